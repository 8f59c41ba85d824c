"""Templates: text with ``{{ expressions }}``, in the syntax of Pebble as Kestra uses it.

    compile_template("Hello {{ inputs.name ?? 'you' }}").render({"inputs": {}})   # Hello you

A template reads variables, and the World where a worker gives one: no attribute of a Python object,
no clock, no file. Its work and output are counted and bounded, so that a fold may render it.
"""

from kestrapy.language.expression.reading import Path
from kestrapy.language.expression.selection import names_of, select
from kestrapy.language.expression.template import (
    Template,
    compile_template,
    has_expression,
    render_value,
    value_needs_worker,
)
from kestrapy.language.expression.world import World

__all__ = [
    "Path",
    "Template",
    "World",
    "compile_template",
    "has_expression",
    "names_of",
    "render_value",
    "select",
    "value_needs_worker",
]

"""Templates: text with ``{{ expressions }}``, in the syntax of Pebble as Kestra uses it.

    compile_template("Hello {{ inputs.name ?? 'you' }}").render({"inputs": {}})   # Hello you

A template reads variables and nothing else: no attribute or method of a Python object, no clock, no
file. Its work and its output are counted and bounded, so that a fold may render it.
"""

from kestrapy.language.expression.reading import Path
from kestrapy.language.expression.selection import names_of, select
from kestrapy.language.expression.template import (
    Template,
    compile_template,
    has_expression,
    render_value,
)

__all__ = [
    "Path",
    "Template",
    "compile_template",
    "has_expression",
    "names_of",
    "render_value",
    "select",
]

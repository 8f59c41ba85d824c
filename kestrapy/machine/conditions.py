"""Whether a condition of a flow holds for an execution as it stands."""

from __future__ import annotations

from kestrapy.errors import ExpressionError
from kestrapy.language.expression import render_value
from kestrapy.language.reads import reads_of
from kestrapy.language.values import is_true
from kestrapy.machine.entities import Execution
from kestrapy.machine.turn import Turn
from kestrapy.machine.variables import variables_of
from kestrapy.model.flow import Condition


def holds(turn: Turn, execution: Execution, condition: Condition) -> bool:
    """An expression that can't be evaluated does not."""
    if condition.type == "Expression":
        return is_met(turn, execution, condition.expression) is True
    state = execution.history.current
    wanted = not condition.within or state in condition.within
    return wanted and state not in condition.without


def is_met(turn: Turn, execution: Execution, expression: str) -> bool | str:
    """Whether an expression about the execution gives true; why it can't be told."""
    plan = turn.plan(execution)
    variables = variables_of(turn, execution, plan, reads_of(expression), None)
    try:
        return is_true(render_value(expression, variables))
    except ExpressionError as error:
        return str(error)

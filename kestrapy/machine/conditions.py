"""Whether a condition of a flow holds for an execution as it stands."""

from __future__ import annotations

from collections.abc import Callable

from kestrapy.errors import ExpressionError
from kestrapy.language.expression import render_value
from kestrapy.language.reads import reads_of
from kestrapy.language.values import is_true
from kestrapy.machine.entities import Execution
from kestrapy.machine.fold_world import FoldWorld
from kestrapy.machine.turn import Turn
from kestrapy.machine.variables import variables_of
from kestrapy.model.flow import Condition


def holds(turn: Turn, execution: Execution, condition: Condition) -> bool:
    """An expression that can't be evaluated does not, and neither does a type that is not asked of
    executions.
    """
    asked = _ASKED.get(condition.type.rpartition(".")[2])
    return asked is not None and asked(turn, execution, condition)


def is_met(turn: Turn, execution: Execution, expression: str) -> bool | str:
    """Whether an expression about the execution gives true; why it can't be told."""
    plan = turn.plan(execution)
    try:
        variables = variables_of(turn, execution, plan, reads_of(expression), None)
        return is_true(render_value(expression, variables, FoldWorld(turn.at, execution.id)))
    except ExpressionError as error:
        return str(error)


def _expression(turn: Turn, execution: Execution, condition: Condition) -> bool:
    return is_met(turn, execution, condition.properties["expression"]) is True


def _status(turn: Turn, execution: Execution, condition: Condition) -> bool:
    state = execution.history.current.value
    within, without = condition.properties.get("in"), condition.properties.get("notIn")
    return (not within or state in within) and state not in (without or ())


def _flow(turn: Turn, execution: Execution, condition: Condition) -> bool:
    wanted = (condition.properties["namespace"], condition.properties["flowId"])
    return (execution.namespace, execution.flow_id) == wanted


def _namespace(turn: Turn, execution: Execution, condition: Condition) -> bool:
    wanted = str(condition.properties["namespace"])
    usual = "PREFIX" if condition.properties.get("prefix") else "EQUALS"
    match condition.properties.get("comparison") or usual:
        case "PREFIX":
            return execution.namespace.startswith(wanted)
        case "SUFFIX":
            return execution.namespace.endswith(wanted)
    return execution.namespace == wanted


def _none(turn: Turn, execution: Execution, condition: Condition) -> bool:
    return not any(holds(turn, execution, it) for it in condition.conditions)


def _any(turn: Turn, execution: Execution, condition: Condition) -> bool:
    return any(holds(turn, execution, it) for it in condition.conditions)


_ASKED: dict[str, Callable[[Turn, Execution, Condition], bool]] = {
    "Expression": _expression,
    "ExecutionStatus": _status,
    "ExecutionFlow": _flow,
    "ExecutionNamespace": _namespace,
    "Not": _none,
    "Or": _any,
}
"""By the last part of a type's name."""

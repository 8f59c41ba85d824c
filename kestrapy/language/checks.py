"""A flow's checks: which of them an execution with given inputs does not pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kestrapy.errors import ExpressionError, InputRefused, Problem
from kestrapy.language.expression import render_value
from kestrapy.language.expression.world import World
from kestrapy.language.flow_policies import CHECK_BEHAVIORS
from kestrapy.language.values import is_true
from kestrapy.model.flow import Check, Flow


def failed_checks(flow: Flow, variables: Mapping[str, Any], world: World) -> list[Check]:
    """In their order. variables: what conditions may read: inputs, flow, labels, vars. world: time
    and chance. One that can't be evaluated fails.
    """
    return [check for check in flow.checks if not _holds(check, variables, world)]


def require_checks(flow: Flow, variables: Mapping[str, Any], world: World) -> None:
    """Raises InputRefused where there is to be no execution, with all that it does not pass."""
    failed = failed_checks(flow, variables, world)
    if most_severe(failed) == "BLOCK_EXECUTION":
        raise InputRefused(
            [Problem(f"Flow execution blocked: {it.message}", "checks") for it in failed]
        )


def _holds(check: Check, variables: Mapping[str, Any], world: World) -> bool:
    try:
        return is_true(render_value(check.condition, variables, world))
    except ExpressionError:
        return False


def most_severe(checks: Sequence[Check]) -> str:
    """The behavior that counts where several fail; empty where none does."""
    found = {check.behavior for check in checks}
    return next((it for it in CHECK_BEHAVIORS if it in found), "")

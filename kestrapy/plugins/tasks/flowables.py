"""What flowable task types add to the core properties. The executor reads the rendered values; the
lists of their children are read by ``language.flow_children``.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator

from kestrapy.language.expression import has_expression
from kestrapy.plugins.properties import Duration, Expression, Properties, Text

BEHAVIORS = ("RESUME", "WARN", "CANCEL", "FAIL")


def _check_values(value: Any) -> Any:
    if not isinstance(value, list | dict | str):
        raise ValueError(f"expected a list, a map, or JSON of one, got {value!r}")
    return value


def _check_behavior(text: str) -> str:
    if text not in BEHAVIORS and not has_expression(text):
        raise ValueError(f"{text!r} is unknown: expected one of {', '.join(BEHAVIORS)}")
    return text


Values = Annotated[Any, AfterValidator(_check_values)]


class IfProperties(Properties):
    """condition: ``then`` runs where it is true, ``else`` where it is false, "false", 0 or ""."""

    condition: Text


class SwitchProperties(Properties):
    """value: the tasks of the case of this name run, those of ``defaults`` where there is none."""

    value: Text


class ForEachProperties(Properties):
    """values: a list, a map, or JSON of one. concurrencyLimit: of iterations; 0: all at once."""

    values: Values


class EachProperties(Properties):
    """value: a list, a map, or JSON of one."""

    value: Values


class CheckFrequency(Properties):
    """interval: between two rounds. maxIterations: of rounds. maxDuration: since the first one."""

    interval: Duration = "PT1S"
    max_iterations: int | Expression = 100
    max_duration: Duration = "PT1H"


class LoopUntilProperties(Properties):
    """condition: looked at after each round. failOnMaxReached: else the loop ends in success."""

    condition: Text
    check_frequency: CheckFrequency | None = None
    fail_on_max_reached: bool | Expression = False


class PauseProperties(Properties):
    """pauseDuration: after which it ends by itself. delay: its older name. behavior: how."""

    pause_duration: Duration | None = None
    delay: Duration | None = None
    behavior: Annotated[str, AfterValidator(_check_behavior)] = "RESUME"


class ResumeProperties(Properties):
    """executionId: of the paused execution, else its own. namespace, flowId: of which that has to
    be. inputs: those that its Pause asks for.
    """

    execution_id: Text | None = None
    namespace: Text | None = None
    flow_id: Text | None = None
    inputs: dict[str, Any] | Expression | None = None


class ExitProperties(Properties):
    """state: in which the execution ends."""

    state: Text = "SUCCESS"


class LabelsProperties(Properties):
    """labels: a map, a list of maps with key and value, or JSON of one."""

    labels: Values


class SetVariablesProperties(Properties):
    """variables: by name. overwrite: else one that exists fails the task."""

    variables: dict[str, Any] | Expression
    overwrite: bool | Expression = True


class UnsetVariablesProperties(Properties):
    """variables: their names. ignoreMissing: else one that isn't there fails the task."""

    variables: list[Text] | Expression
    ignore_missing: bool | Expression = False

"""Query parameters. Each endpoint names its model, so that one it doesn't know is refused."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from kestrapy.config import GROUP_KEY, WorkerGroup
from kestrapy.errors import InputRefused, Problem
from kestrapy.model.state import State

LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR")


class Parameters(BaseModel):
    """None at all; the others add theirs."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True)


class WorkerParameters(Parameters):
    worker_group: str | None = Field(None, description="Those of this group only.")


class GroupBody(WorkerGroup):
    """A declared worker group. What is left out has its default."""

    model_config = ConfigDict(populate_by_name=False)

    key: str = Field("", pattern=f"^({GROUP_KEY})?$", description="Its key; it never changes.")


class Paged(Parameters):
    page: int = Field(1, ge=1, le=1_000_000, description="From 1.")
    size: int = Field(10, ge=1, le=1000)


class FlowSearchParameters(Paged):
    q: str = Field("", description="A part of `<namespace>.<id>`, in any case.")
    namespace: str = Field("", description="Itself and those below it.")


class FlowParameters(Parameters):
    revision: int | None = Field(None, ge=1, description="The latest one where it is left out.")
    source: bool = Field(True, description="With the YAML that was saved.")
    allow_deleted: bool = Field(False, description="As Kestra's clients send it; nothing changes.")


class SubmissionParameters(Parameters):
    revision: int | None = Field(None, ge=1, description="The latest one where it is left out.")
    labels: list[str] = Field([], description="`key:value`; may be repeated.")
    wait: bool = Field(False, description="Answer when the execution has ended.")
    schedule_date: AwareDatetime | None = Field(
        None, description="It is CREATED until this date, and starts then."
    )


class UnqueueParameters(Parameters):
    state: Literal["RUNNING"] = Field("RUNNING", description="The state that follows.")


class ExecutionParameters(Parameters):
    event: int | None = Field(None, ge=0, description="As it was after the event of this number.")


class EventParameters(Parameters):
    after: int = Field(-1, ge=-1, description="Events of a higher number.")
    size: int = Field(1000, ge=1, le=10_000)


class ManyParameters(Parameters):
    namespace: str = Field("", description="Itself and those below it.")
    flow_id: str = ""
    state: list[State] = Field([], description="Any of these.")
    labels: list[str] = Field([], description="`key:value`; all of these.")
    start_date: AwareDatetime | None = Field(None, description="Started then or later.")
    end_date: AwareDatetime | None = Field(None, description="Started before.")


class ExecutionSearchParameters(Paged, ManyParameters):
    sort: str = Field("state.startDate:desc", description="`field:asc` or `field:desc`.")


class KillParameters(Parameters):
    is_on_kill_cascade: bool = Field(
        True, description="Whether what its subflows run is killed too."
    )


class DeletionParameters(Parameters):
    delete_logs: bool = Field(True, description="Whether its log lines are deleted too.")
    delete_metrics: bool = Field(True, description="Whether its metrics are deleted too.")
    delete_storage: bool = Field(True, description="Whether its files are deleted too.")


class IgnoredParameters(Parameters):
    name: str = Field(
        pattern=r"^(execution/[^/]+|flow/[^/]+/[^/]+|namespace/[^/]+|tenant/main)$",
        description="`execution/ID`, `flow/NAMESPACE/ID`, `namespace/NAME` or `tenant/main`.",
    )


class RestartParameters(Parameters):
    revision: int | None = Field(
        None, ge=1, description="Of the flow; a new execution goes on with it."
    )


class ReplayParameters(Parameters):
    task_run_id: str = Field("", description="From which on; without it from the beginning.")
    revision: int | None = Field(
        None, ge=1, description="Of the flow; the execution's own where it is left out."
    )


class StatusParameters(Parameters):
    status: State = Field(description="The state that it is to have.")


class ReplaysParameters(Parameters):
    latest_revision: bool = Field(
        False, description="With the flow's latest revision; else each with its own."
    )


class ReplaysSearchParameters(ManyParameters, ReplaysParameters):
    """Replays of what a search finds."""


class NewStatusParameters(Parameters):
    new_status: State = Field(description="The state that they are to have.")


class NewStatusSearchParameters(ManyParameters, NewStatusParameters):
    """Another state for what a search finds."""


class StateBody(Parameters):
    """A task run, and the state that it is to have."""

    task_run_id: str
    state: State


class FileParameters(Parameters):
    path: str = Field(description="A `kestra:///` URI of this execution.")


class LogParameters(Parameters):
    min_level: str = Field("TRACE", pattern=f"^({'|'.join(LEVELS)})$")
    task_run_id: str = ""
    task_id: str = ""


class LogSearchParameters(Paged):
    q: str = Field("", description="A part of the line.")
    namespace: str = Field("", description="Itself and those below it.")
    flow_id: str = ""
    min_level: str = Field("TRACE", pattern=f"^({'|'.join(LEVELS)})$")
    start_date: AwareDatetime | None = None
    end_date: AwareDatetime | None = None


class TriggerSearchParameters(Paged):
    q: str = Field("", description="A part of the trigger's uid, `namespace/flow/trigger`.")
    namespace: str = Field("", description="Itself and those below it.")
    flow_id: str = ""


def levels_from(level: str) -> tuple[str, ...]:
    """This one and the more severe ones; empty, for any, where it is the lowest."""
    return LEVELS[LEVELS.index(level) :] if level != LEVELS[0] else ()


def epoch_ms(date: AwareDatetime | None) -> int | None:
    return None if date is None else int(date.timestamp() * 1000)


def parse_labels(labels: list[str]) -> dict[str, str]:
    """``key:value`` each. Raises InputRefused."""
    found: dict[str, str] = {}
    problems = []
    for label in labels:
        key, colon, value = label.partition(":")
        if not (key and colon and value):
            problems.append(Problem(f"{label!r} is no label: expected key:value", "labels"))
        found[key] = value
    if problems:
        raise InputRefused(problems)
    return found

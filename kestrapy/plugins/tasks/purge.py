"""PurgeLogs and PurgeExecutions: what storage is to delete.

They count what the database has when they ask; the indexer deletes it soon after, some rows at a
time, in the order in which topics have it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from kestrapy.language.temporals import epoch_ms
from kestrapy.machine.outputs import ExecutionPurge, LogPurge
from kestrapy.model.state import TERMINAL, State
from kestrapy.plugins.properties import Expression, Instant, Properties, Text, from_json
from kestrapy.plugins.tasks.count import States, states_of
from kestrapy.plugins.tasks.log import LEVELS, Level
from kestrapy.ports.store import EndedSearch, StoredExecution
from kestrapy.ports.tasks import TaskContext, TaskFailed, TaskOutcome


class _OfFlows(Properties):
    """namespace: of itself and the namespaces below it; with a flowId only of itself; of all by
    default. flowId: of this flow; it needs a namespace.
    """

    namespace: Text | None = None
    flow_id: Text | None = None

    @model_validator(mode="after")
    def _flow_has_a_namespace(self) -> Self:
        if self.flow_id is not None and self.namespace is None:
            raise ValueError("`flowId` needs the flow's `namespace` beside it")
        return self


Levels = Annotated[
    list[Level] | Expression,
    BeforeValidator(from_json),
    WithJsonSchema({"type": "array", "items": {"enum": list(LEVELS)}}),
]


class PurgeLogsProperties(_OfFlows):
    """executionId: of this execution. logLevels: lines of these levels; of all by default.
    startDate: said then or later. endDate: said before it, and before now.
    """

    execution_id: Text | None = None
    log_levels: Levels | None = None
    start_date: Instant | None = None
    end_date: Instant


class PurgeLogsTask:
    """``io.kestra.plugin.core.log.PurgeLogs``: ``outputs.count``, how many lines the database had
    of them. Those that are still on their way are deleted too. log.Fetch reads lines where they
    are kept for a week in any case.
    """

    def run(self, properties: PurgeLogsProperties, context: TaskContext) -> TaskOutcome:
        levels = properties.log_levels
        if isinstance(levels, str):
            raise TaskFailed(f"logLevels: expected a list, got {levels[:80]!r}")
        now = context.now()
        purge = LogPurge(
            id=f"{context.task_run_id}/{context.epoch}",
            shard=0,
            at=now,
            namespace=properties.namespace or "",
            flow_id=properties.flow_id or "",
            execution_id=properties.execution_id or "",
            levels=levels or [],
            start=None if properties.start_date is None else epoch_ms(properties.start_date),
            # What is said from now on is not meant, whatever the date.
            end=min(now, epoch_ms(properties.end_date)),
        )
        count = context.queries.lines_to_purge(purge)
        context.purge_lines(purge)
        return TaskOutcome(outputs={"count": count})


def _have_ended(states: list[Any] | str | None) -> None:
    named = states if isinstance(states, list) else []
    for it in named:
        if isinstance(it, State) and not it.is_terminal:
            ended = ", ".join(sorted(TERMINAL - {State.SKIPPED, State.RESUBMITTED}))
            raise ValueError(
                f"states: {it} is no state of an execution that has ended, and no other is purged:"
                f" name some of {ended}"
            )


class PurgeExecutionsProperties(_OfFlows):
    """states: of executions in these states, all of which have ended; of all that have ended by
    default. startDate: that started then or later. endDate: that ended before it. purgeExecution,
    purgeLog, purgeMetric, purgeStorage: what of them is deleted: the executions themselves with
    their task runs, their log lines, metrics and files. batchSize: how many at a time.
    """

    states: States | None = None
    start_date: Instant | None = None
    end_date: Instant
    purge_execution: bool | Expression = True
    purge_log: bool | Expression = True
    purge_metric: bool | Expression = True
    purge_storage: bool | Expression = True
    batch_size: Annotated[int, Field(ge=1, le=1_000)] | Expression = 100

    @model_validator(mode="after")
    def _only_ended(self) -> Self:
        _have_ended(self.states)
        return self


class PurgeExecutionsTask:
    """``io.kestra.plugin.core.execution.PurgeExecutions``: ``outputs.executionsCount``,
    ``logsCount``, ``metricsCount``, as many as the database had, and ``storagesCount``, the files
    that are deleted. An execution that is restarted meanwhile stays.
    """

    def run(self, properties: PurgeExecutionsProperties, context: TaskContext) -> TaskOutcome:
        search = EndedSearch(
            end=epoch_ms(properties.end_date),
            start=None if properties.start_date is None else epoch_ms(properties.start_date),
            namespace=properties.namespace or "",
            flow_id=properties.flow_id or "",
            states=[str(it) for it in states_of(properties.states)],
        )
        counts = dict.fromkeys(_COUNTS, 0)
        above = ""
        while found := context.queries.ended(search, above, int(properties.batch_size)):
            if context.ending:
                raise TaskFailed("The run was ended before its time", counts)
            _purge(found, properties, counts, context)
            above = found[-1].execution_id
        return TaskOutcome(outputs=counts)


_COUNTS = ("executionsCount", "logsCount", "storagesCount", "metricsCount")


def _purge(
    found: Sequence[StoredExecution],
    properties: PurgeExecutionsProperties,
    counts: dict[str, int],
    context: TaskContext,
) -> None:
    execution, logs = bool(properties.purge_execution), bool(properties.purge_log)
    metrics = bool(properties.purge_metric)
    amounts = context.queries.amounts([it.execution_id for it in found])
    if execution or logs or metrics:
        at = context.now()
        context.purge_executions(
            [
                ExecutionPurge(it.execution_id, it.number, at, execution, logs, metrics)
                for it in found
            ]
        )
    counts["executionsCount"] += len(found) if execution else 0
    counts["logsCount"] += amounts.lines if logs else 0
    counts["metricsCount"] += amounts.metrics if metrics else 0
    if properties.purge_storage:
        for it in found:
            counts["storagesCount"] += _delete_files(it, context)


def _delete_files(execution: StoredExecution, context: TaskContext) -> int:
    of = (execution.namespace, execution.flow_id, execution.execution_id)
    blobs, folder = context.files_of(*of)
    return sum(blobs.delete(uri) for uri in blobs.list(folder))

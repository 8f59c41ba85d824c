"""The same partitions folded once more by the machine: it must have said what the topics have."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kestrapy.assembly.parts import Parts
from kestrapy.machine.entities import Execution
from kestrapy.machine.folds import ExecutionFold
from kestrapy.machine.outputs import ExecutionEvent, Granted, Job, JobCopy, Kill, Refused
from kestrapy.machine.stage import Arrival, Position, Stage
from kestrapy.servers.executor import Plans
from kestrapy.servers.flow_catalogue import FlowCatalogue
from tests.acceptance.evidence import TIMEOUT, Seen

Events = dict[tuple[str, int], ExecutionEvent]
"""By execution and number."""


@dataclass
class Refolded:
    """What came out of a fold from the beginning. jobs: of an epoch several, where it was published
    again. live: executions that have not ended.
    """

    events: Events = field(default_factory=dict)
    jobs: dict[tuple[str, int], list[Job]] = field(default_factory=dict)
    answers: set[Any] = field(default_factory=set)
    live: list[str] = field(default_factory=list)
    poison: list[str] = field(default_factory=list)

    def take(self, output: object) -> None:
        match output:
            case ExecutionEvent():
                self.events[output.execution_id, output.number] = output
            case Job():
                self.jobs.setdefault((output.task_run_id, output.epoch), []).append(output)
            case JobCopy():
                self.take(output.job)
            case Granted() | Refused() | Kill():
                self.answers.add(_told(output))


def refold(parts: Parts, executions: list[Seen]) -> Refolded:
    flows = FlowCatalogue(parts.log, parts.codec, parts.catalogue)
    flows.catch_up(TIMEOUT)
    rules = Plans(flows, parts.registry).rules(parts.catalogue.shards)
    flows.close()
    stages = [Stage(ExecutionFold(rules), {}, Position()) for _ in range(parts.catalogue.shards)]
    found = Refolded()
    for record, envelope in executions:
        folded = stages[record.partition].fold(
            Arrival(
                envelope.record,
                record.timestamp,
                record.offset,
                envelope.source,
                envelope.redrives,
                envelope.traceparent,
            )
        )
        if folded.poison is not None:
            found.poison.append(f"{envelope.record}: {folded.poison}")
        for output in folded.outputs:
            found.take(output)
    for stage in stages:
        found.live += [it.id for it in stage.state.values() if isinstance(it, Execution)]
    return found


def problems(found: Refolded, events: list[Seen], jobs: list[Seen], inbox: list[Seen]) -> list[str]:
    """What stands in a topic and was not folded, or the other way round, or differs."""
    wrong = [f"poison: {it}" for it in found.poison]
    wrong += [f"execution {it} has not ended in the state" for it in found.live]
    said = {(it.content.execution_id, it.content.number): it.content for it in events}
    for seen in events:
        event = seen.content
        if found.events.get((event.execution_id, event.number)) != event:
            wrong.append(f"the event {event.execution_id}/{event.number} is not what folds give")
    wrong += [f"the event {it} was never said" for it in found.events.keys() - said.keys()]
    for seen in jobs:
        job = seen.content
        if job not in found.jobs.get((job.task_run_id, job.epoch), ()):
            wrong.append(f"the job {job.task_run_id}/{job.epoch} is not what folds give")
    published = {(it.content.task_run_id, it.content.epoch) for it in jobs}
    wrong += [f"the job {it} was never published" for it in found.jobs.keys() - published]
    told = {_told(it.content) for it in inbox}
    wrong += [f"the answer {it} was never given" for it in found.answers - told]
    wrong += [f"the answer {it} is of no fold" for it in told - found.answers]
    return wrong


def _told(answer: Granted | Refused | Kill) -> tuple[str, str, str, int]:
    return type(answer).__name__, answer.worker_id, answer.task_run_id, answer.epoch

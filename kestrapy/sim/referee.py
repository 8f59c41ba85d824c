"""What must hold after each event: one owner and one result per epoch, nothing twice at a time.

It sees what stands in the log, folds it by itself, and is told when tasks start and end.
"""

from __future__ import annotations

from typing import Any

from kestrapy.machine.commands import (
    Claimed,
    ExecutionCreated,
    KillRequested,
    Result,
    Returned,
    SettingChanged,
    SlotGranted,
    SlotReleased,
    Source,
)
from kestrapy.machine.entities import run_key
from kestrapy.machine.outputs import ExecutionEvent, FlowRevision, Granted, Job
from kestrapy.machine.stage import Folded
from kestrapy.model.state import State
from kestrapy.ports.log import Partition, Reader, Record
from kestrapy.servers.owner import Owner
from kestrapy.sim.reference import Place, Reference
from kestrapy.sim.tasks import SimTask
from kestrapy.sim.timeline import Timeline
from kestrapy.wire.codec import Codec
from kestrapy.wire.topics import Catalogue

BATCH = 10_000
FOREVER = 1 << 60
Fence = tuple[str, int]


class Referee:
    """problems: what did not hold; a world ends with the first one."""

    def __init__(
        self,
        timeline: Timeline,
        reader: Reader,
        codec: Codec,
        topics: Catalogue,
        reference: Reference,
    ):
        self.problems: list[str] = []
        self.ends: dict[str, tuple[State, int]] = {}
        """By execution, its terminal state and the number of the event that said so."""
        self.runs: dict[str, dict[str, State]] = {}
        """By execution and task, the state that was told last."""
        self.created: set[str] = set()
        self.children: dict[tuple[str, int], str] = {}
        """By task run and iteration, the execution that it has started."""
        self.slots: dict[str, tuple[int, int]] = {}
        """By execution of a limited flow, from when to when it held a slot: append times."""
        self.killed_at: dict[str, int] = {}
        self.started: set[tuple[str, str, int]] = set()
        self.flows: set[str] = set()
        self.groups: set[tuple[int, str]] = set()
        """Shards, and the groups that they know to be declared."""
        self._timeline = timeline
        self._reader = reader
        self._codec = codec
        self._topics = topics
        self._reference = reference
        self._commands = (
            topics.requests,
            topics.executions,
            topics.admission,
            topics.workers,
            topics.triggers,
        )
        self._jobs: dict[Partition, list[tuple[int, Job]]] = {}
        self._claimed: set[Fence] = set()
        self._owners: dict[Fence, str] = {}
        self._results: dict[Fence, State] = {}
        self._chains: dict[tuple[str, int], str] = {}
        self._epochs: dict[str, int] = {}
        self._told_end: dict[str, State] = {}
        self._killing: set[str] = set()
        self._waits: dict[str, str] = {}
        self._running: dict[str, list[SimTask]] = {}

    def wrong(self, problem: str) -> None:
        if not self.problems:
            self._timeline.note("referee", problem)
        self.problems.append(problem)

    # What stands in the log

    def watch(self, partitions: list[Partition]) -> None:
        self._reader.assign(dict.fromkeys(partitions, 0))

    def read(self) -> None:
        """All that came into the log since the last time."""
        records = self._reader.poll(BATCH, 0)
        others = []
        for record in records:
            if record.topic in self._commands:
                envelope, folded = self._reference.fold(record)
                self._folded(record, envelope.record, folded)
                source = envelope.source
            else:
                source = None
                others.append(record)
            if source is not None:
                others.append(record)
        for record in others:
            self._sent(record)

    def _folded(self, record: Record, command: Any, folded: Folded) -> None:
        if folded.poison is not None:
            self.wrong(f"{record.topic}/{record.partition}/{record.offset}: {folded.poison}")
        if isinstance(command, Result | Returned) and (folded.changes or folded.outputs):
            self._counted(command)
        for output in folded.outputs:
            if isinstance(output, Granted):
                self._granted(output)
            elif isinstance(output, Job):
                self._job(output)
            elif isinstance(output, ExecutionEvent):
                self._event(output)
            elif isinstance(output, SlotReleased) and output.execution_id in self.slots:
                if folded.changes:  # else it answers a grant that came too late
                    began, _ = self.slots[output.execution_id]
                    self.slots[output.execution_id] = began, record.timestamp
        if isinstance(command, SlotGranted) and folded.changes:
            self.slots[command.execution_id] = record.timestamp, FOREVER
        for key, entity in folded.changes.items():
            epoch = getattr(entity, "epoch", None)
            if epoch is not None:
                if self._epochs.get(key, 0) > epoch:
                    self.wrong(f"the epoch of {key} went back to {epoch}")
                self._epochs[key] = epoch
        if isinstance(command, Claimed):
            self._claimed.add((command.task_run_id, command.epoch))
        elif isinstance(command, ExecutionCreated) and folded.changes:
            self._created(command)
        elif isinstance(command, KillRequested):
            self.killed_at.setdefault(command.execution_id, record.offset)
        elif isinstance(command, SettingChanged):
            self.groups.add((record.partition, command.name))

    def _created(self, it: ExecutionCreated) -> None:
        if it.execution_id in self.created:
            self.wrong(f"{it.execution_id} was created twice")
        self.created.add(it.execution_id)
        if it.parent is None:
            return
        if it.parent.waits:
            self._waits[it.parent.task_run_id] = it.execution_id
        place = it.parent.task_run_id, it.parent.iteration
        if self.children.setdefault(place, it.execution_id) != it.execution_id:
            self.wrong(f"{place} has started {it.execution_id} and {self.children[place]}")

    def _counted(self, it: Result | Returned) -> None:
        fence = it.task_run_id, it.epoch
        if self._owners.get(fence) != it.worker_id:
            self.wrong(f"{it.worker_id} ends {fence}, owner {self._owners.get(fence)}")
        if self._epochs.get(run_key(it.task_run_id)) != it.epoch:
            self.wrong(f"{it.worker_id} ends {fence}, which is not the run's epoch any more")

    def _granted(self, it: Granted) -> None:
        fence = it.task_run_id, it.epoch
        if self._owners.setdefault(fence, it.worker_id) != it.worker_id:
            self.wrong(f"{fence} is granted to {it.worker_id} and {self._owners[fence]}")
        self._wanted(it.task_run_id.rpartition("-")[0], it)

    def _job(self, it: Job) -> None:
        self._wanted(it.execution_id, it)

    def _wanted(self, execution_id: str, output: object) -> None:
        if execution_id in self._killing or execution_id in self._told_end:
            self.wrong(f"after the kill or the end: {output}")

    def _event(self, it: ExecutionEvent) -> None:
        told, run = it.execution, it.task_run
        if told is not None:
            if it.execution_id in self._told_end:
                self.wrong(f"{it.execution_id} ended, and then {told.state}")
            if told.state is State.KILLING:
                self._killing.add(it.execution_id)
            if told.state.is_terminal:
                self._told_end[it.execution_id] = told.state
                self.ends[it.execution_id] = told.state, it.number
        if run is None:
            return
        if run.id in self._told_end:
            self.wrong(f"{run.id} ended, and then {run.state}")
        if run.state.is_terminal:
            self._told_end[run.id] = run.state
            self._waited(run.id)
        self.runs.setdefault(it.execution_id, {})[run.task_id] = run.state
        for attempt in run.attempts if run.epoch else []:
            fence, state = (run.id, attempt.epoch), attempt.histories[-1].state
            if self._owners.get(fence) != attempt.worker_id:
                self.wrong(f"{fence} has an attempt of {attempt.worker_id}, who was granted none")
            if state.is_terminal:
                if self._results.setdefault(fence, state) is not state:
                    self.wrong(f"{fence} ended twice: {self._results[fence]}, {state}")
            elif fence in self._results:
                self.wrong(f"{fence} goes on after its end")

    def _waited(self, task_run_id: str) -> None:
        """A task run that waits for its child does not end before it."""
        child = self._waits.get(task_run_id, "")
        if child and child not in self._told_end:
            self.wrong(f"{task_run_id} has ended before its child {child}")

    def _sent(self, record: Record) -> None:
        """Something that a fold put out: every owner must have put out the same."""
        if record.topic in (self._topics.logs, self._topics.metrics, self._topics.dead_letter):
            return
        envelope = self._codec.decode(record)
        if envelope.source is not None:
            self._compare(record, envelope.source)
        content = envelope.record
        if isinstance(content, ExecutionEvent):
            key = content.execution_id, content.number
            if self._chains.setdefault(key, content.chain) != content.chain:
                self.wrong(f"diverged: the event {key} has two chains")
        elif isinstance(content, Job):
            place = Partition(record.topic, record.partition)
            self._jobs.setdefault(place, []).append((record.offset, content))
        elif isinstance(content, FlowRevision):
            self.flows.add(content.flow_id)

    def committed(self, partition: Partition, offset: int) -> None:
        """A group reads on from there: nobody is given the jobs before it any more."""
        jobs = self._jobs.get(partition, [])
        while jobs and jobs[0][0] < offset:
            job = jobs.pop(0)[1]
            if (job.task_run_id, job.epoch) not in self._claimed:
                self.wrong(
                    f"{partition} is committed up to {offset}, and nobody has claimed"
                    f" {job.task_run_id} epoch {job.epoch}"
                )

    def _compare(self, record: Record, source: Source) -> None:
        problem = self._reference.problem_of_output(record, source)
        if problem is not None:
            self.wrong(f"{record.topic}/{record.partition}/{record.offset}: {problem}")

    # What owners have in memory

    def compare(self, name: str, owner: Owner) -> None:
        """An owner's states with those of the log up to there."""
        for index, shard in owner.shards.items():
            for topic in shard.specs:
                problem = self._reference.problem_of_state(Place(topic, index), shard.stage(topic))
                if problem is not None:
                    self.wrong(f"{name}: shard {index}, {topic}: {problem}")

    # What runs

    def task_started(self, task: SimTask) -> None:
        job = task.job
        self._timeline.note(task.worker_id, f"runs {job.task_run_id} epoch {job.epoch}")
        fence = job.task_run_id, job.epoch
        if self._owners.get(fence) != task.worker_id:
            self.wrong(f"{fence} was started by {task.worker_id}, owner {self._owners.get(fence)}")
        start = (task.worker_id, *fence)
        if start in self.started:
            self.wrong(f"{fence} was started twice by {task.worker_id}")
        self.started.add(start)
        others = self._running.setdefault(job.task_run_id, [])
        for other in others:
            if not (other.supervisor.thawing or task.supervisor.thawing):
                self.wrong(
                    f"{job.task_run_id} runs twice at a time: epoch {other.job.epoch} on"
                    f" {other.worker_id}, epoch {job.epoch} on {task.worker_id}"
                )
        others.append(task)

    def task_ended(self, task: SimTask) -> None:
        self._running[task.job.task_run_id].remove(task)

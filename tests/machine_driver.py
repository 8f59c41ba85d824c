"""Drive the pure machine by hand: one partition of ``executions``, with workers that do as told.

driver = Driver(flow(task("a"), task("b")))
driver.create().run(a=["fail"])
assert driver.states == {"a": "FAILED"}
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

import msgspec

from kestrapy.language.flow import parse_flow
from kestrapy.language.plan import Plan
from kestrapy.machine.commands import (
    ChildReported,
    ChildWanted,
    Claimed,
    Command,
    ExecutionCreated,
    ExecutionDue,
    ExecutionRestored,
    ExecutionSubmitted,
    KillRequested,
    RestoringContinued,
    Result,
    Returned,
    Source,
    SweepDue,
    TimerDue,
    WorkerLost,
)
from kestrapy.machine.entities import (
    Child,
    Ended,
    Entity,
    Execution,
    Group,
    Sweep,
    TaskRun,
    execution_key,
    group_key,
    run_key,
)
from kestrapy.machine.folds import ExecutionFold
from kestrapy.machine.outputs import ExecutionEvent, Granted, Job, Kill, Output
from kestrapy.machine.stage import Arrival, Folded, Position, Stage
from kestrapy.machine.timeouts import Timeout
from kestrapy.machine.turn import ContentMissing, Rules
from kestrapy.model.ids import derive_execution_id
from kestrapy.model.state import State
from kestrapy.model.worker_group import DEFAULT_GROUP, GroupSettings
from kestrapy.plugins.registry import REGISTRY
from kestrapy.ports.store import StoredExecution

NAMESPACE, FLOW_ID = "tests", "driven"
EXECUTION_ID = derive_execution_id(0, 1_000, "driven")

Document = dict[str, Any]
Timed = TaskRun | Execution | Sweep | Timeout
ROOMY = Group(GroupSettings(DEFAULT_GROUP), workers=1, slots=1_000)
"""A default group in which nothing has to wait for a slot."""


def task(task_id: str, **properties: Any) -> Document:
    """A task that a worker runs; properties as in YAML."""
    return {"id": task_id, "type": "return", **properties}


def sequential(task_id: str, *tasks: Document, **properties: Any) -> Document:
    return {"id": task_id, "type": "sequential", "tasks": list(tasks), **properties}


def parallel(task_id: str, *tasks: Document, **properties: Any) -> Document:
    return {"id": task_id, "type": "parallel", "tasks": list(tasks), **properties}


def flow(*tasks: Document, **properties: Any) -> Document:
    return {"id": FLOW_ID, "namespace": NAMESPACE, "tasks": list(tasks), **properties}


def constant(interval: str = "PT1S", **properties: Any) -> Document:
    """A retry."""
    return {"type": "constant", "interval": interval, **properties}


def plan_of(document: Document, revision: int = 1) -> Plan:
    """The plan of a flow, read as a saved one is (JSON is YAML)."""
    parsed = parse_flow(msgspec.json.encode(document).decode(), REGISTRY)
    return Plan(msgspec.structs.replace(parsed, revision=revision), REGISTRY)


def rules_of(*plans: Plan) -> Rules:
    """What a fold may look up: these plans, and texts of one-task flows."""
    known = {(it.flow.namespace, it.flow.id, it.flow.revision): it for it in plans}

    def find(namespace: str, flow_id: str, revision: int) -> Plan:
        try:
            return known[namespace, flow_id, revision]
        except KeyError:
            raise ContentMissing(f"{namespace}.{flow_id} revision {revision}") from None

    return Rules(flow=find, inline=lambda _namespace, _id, text: plan_of(msgspec.json.decode(text)))


class Driver:
    """A stage of the executor's fold and all that went in and out; each command is 5 ms after the
    last one. groups: what the state knows of worker groups at the beginning.

    ``run`` lets workers act on what goes out. A task's script says, grant by grant, what its worker
    does; its last word holds on: ``success``, ``warning``, ``fail``, ``lost`` (the worker is),
    ``return`` (handed back), ``silent`` (no answer). That of a task that runs other flows says how
    each execution of these ends: ``success``, ``warning``, ``fail``, ``killed``, ``cancelled``,
    ``refused``, ``silent``, and of one that is wanted again ``missing``. Each grant of a lost
    worker's group is claimed by a worker of another name.
    """

    def __init__(self, *documents: Document, groups: Iterable[Group] = (ROOMY,)):
        self.rules = rules_of(*(plan_of(it, n) for n, it in enumerate(documents, 1)))
        known: dict[str, Entity] = {group_key(it.settings.key): it for it in groups}
        self.stage = Stage(ExecutionFold(self.rules), known, Position())
        self.at = 1_000
        self.log: list[Arrival] = []
        self.outputs: list[Output] = []
        self.worker = "w1"
        self._grants: dict[str, int] = {}
        self._lost = 0
        self._answered = 0

    # Commands

    def fold(self, command: Command, at: int | None = None, source: Source | None = None) -> Folded:
        """Fold a command, which must not be poison."""
        folded = self.fold_any(command, at, source)
        assert folded.poison is None, (command, folded.poison)
        return folded

    def fold_any(
        self, command: Command, at: int | None = None, source: Source | None = None
    ) -> Folded:
        """Fold a command, poison or not. at: its append time, epoch ms."""
        self.at = self.at + 5 if at is None else at
        arrival = Arrival(command, self.at, self.stage.position.offset, source)
        folded = self.stage.fold(arrival)
        self.log.append(arrival)
        self.outputs += folded.outputs
        return folded

    def tell(self, *commands: Command) -> list[Output]:
        """-> what went out for them."""
        return [output for command in commands for output in self.fold(command).outputs]

    def create(self, execution_id: str = EXECUTION_ID, **fields: Any) -> Driver:
        fields = {"namespace": NAMESPACE, "flow_id": FLOW_ID, "revision": 1, **fields}
        self.fold(ExecutionCreated(execution_id, **fields))
        return self

    def claim(self, job: Job | TaskRun, worker: str = "w1") -> list[Output]:
        return self.tell(Claimed(run_id(job), job.epoch, worker))

    def result(
        self, job: Job | TaskRun, state: State = State.SUCCESS, worker: str = "w1", **fields: Any
    ) -> list[Output]:
        return self.tell(Result(run_id(job), job.epoch, worker, state, **fields))

    # Workers

    def restore(self, parts: Iterable[ExecutionRestored]) -> Driver:
        """Fold them; the following ``run`` answers only what goes out from here on."""
        self._answered = len(self.outputs)
        self.tell(*parts)
        return self

    def run(self, **scripts: list[str]) -> Driver:
        """Go on until nobody has anything to do: no job, no grant, no kill, no retry."""
        todo = deque(self.outputs[self._answered :])
        while todo or self._due():
            if todo:
                commands = list(self._react(todo.popleft(), scripts))
            else:
                waiting = self._due()[0]
                self.at = max(self.at, waiting.due)
                commands = [timer_of(waiting)]
            for command in commands:
                todo.extend(self.fold(command).outputs)
        return self

    def _due(self) -> list[Timed]:
        """The next ones to be tried again, begun at their date, or to go on."""
        runs = [it for it in self.state.values() if isinstance(it, TaskRun)]
        timed = (Execution, Sweep, Timeout)
        waiting: list[Timed] = [
            it for it in self.state.values() if isinstance(it, timed) and it.due
        ]
        waiting += [it for it in runs if it.state is State.RETRYING or (it.scope and it.due)]
        return sorted(waiting, key=lambda it: it.due)

    def _react(self, output: Output, scripts: dict[str, list[str]]) -> Iterable[Command]:
        if isinstance(output, Job):
            yield Claimed(output.task_run_id, output.epoch, self.worker)
        elif isinstance(output, Granted):
            run = self.stage.state.get(run_key(output.task_run_id))
            if isinstance(run, TaskRun):
                yield from self._work(run, scripts.get(run.task_id, ["success"]))
        elif isinstance(output, RestoringContinued):
            yield output
        elif isinstance(output, Kill):
            killed = (output.task_run_id, output.epoch, output.worker_id, State.KILLED)
            yield Result(*killed)
        elif isinstance(output, ExecutionSubmitted) and output.lineage is None:
            yield from self._child(output, scripts)
        elif isinstance(output, ChildWanted):
            yield from self._again(output, scripts)
        elif isinstance(output, KillRequested):
            yield from self._killed(output.execution_id)

    def _child(self, asked: ExecutionSubmitted, scripts: dict[str, list[str]]) -> Iterable[Command]:
        assert asked.parent is not None and asked.trigger is not None
        task_run_id, iteration = asked.parent.task_run_id, asked.parent.iteration
        script = scripts.get(asked.trigger.id, ["success"])
        turn = self._grants[task_run_id] = self._grants.get(task_run_id, 0) + 1
        word = script[min(turn, len(script)) - 1]
        if word == "silent":
            return
        state = State({"fail": "FAILED", "refused": "FAILED"}.get(word, word.upper()))
        if not asked.parent.waits and word != "refused":
            state = State.RUNNING
        outputs = msgspec.json.encode({"o": turn}).decode() if asked.parent.waits else "{}"
        report = (task_run_id, asked.execution_id, iteration, state)
        if word == "refused":
            yield ChildReported(*report, error="no such flow", refused=True)
        else:
            yield ChildReported(*report, outputs=outputs)

    def _again(self, wanted: ChildWanted, scripts: dict[str, list[str]]) -> Iterable[Command]:
        """What the script of the task says next, or that it is ``missing``."""
        parent = wanted.parent
        run = self.state[run_key(parent.task_run_id)]
        assert isinstance(run, TaskRun)
        turn = self._grants[run.id] = self._grants.get(run.id, 0) + 1
        script = scripts.get(run.task_id, ["success"])
        word = script[min(turn, len(script)) - 1]
        if word == "silent":
            return
        state = State({"fail": "FAILED", "missing": "FAILED"}.get(word, word.upper()))
        yield ChildReported(
            parent.task_run_id,
            wanted.execution_id,
            parent.iteration,
            state,
            msgspec.json.encode({"o": turn}).decode(),
            restoring=parent.restoring,
            missing=word == "missing",
        )

    def _killed(self, execution_id: str) -> Iterable[Command]:
        for key, entity in self.state.items():
            if isinstance(entity, Child) and entity.execution_id == execution_id:
                task_run_id, _, iteration = key[2:].partition(":")
                report = ChildReported(task_run_id, execution_id, int(iteration), State.KILLED)
                yield msgspec.structs.replace(report, restoring=entity.restoring)

    def _work(self, run: TaskRun, script: list[str]) -> Iterable[Command]:
        turn = self._grants[run.id] = self._grants.get(run.id, 0) + 1
        match script[min(turn, len(script)) - 1]:
            case "lost":
                lost, self._lost = self.worker, self._lost + 1
                self.worker = f"{lost}'"
                yield WorkerLost(lost)
            case "return":
                yield Returned(run.id, run.epoch, run.worker_id)
            case "silent":
                pass
            case word:
                state = {"fail": State.FAILED}.get(word) or State(word.upper())
                outputs = msgspec.json.encode({"value": f"{run.task_id}#{turn}"}).decode()
                yield Result(run.id, run.epoch, run.worker_id, state, outputs)

    # What came of it

    @property
    def state(self) -> dict[str, Entity]:
        return self.stage.state

    @property
    def runs(self) -> dict[str, TaskRun]:
        """Live task runs by task id."""
        return {it.task_id: it for it in self.state.values() if isinstance(it, TaskRun)}

    @property
    def execution(self) -> Execution | Ended:
        """The execution as it stands in the state."""
        found = self.state[execution_key(EXECUTION_ID)]
        assert isinstance(found, Execution | Ended)
        return found

    def stored(self, execution_id: str = EXECUTION_ID) -> StoredExecution:
        """The execution as storage has it, from the events."""
        runs, last, number = {}, None, -1
        for event in self.of(ExecutionEvent):
            if event.execution_id == execution_id:
                number = event.number
                last = event if event.execution is not None else last
                if event.task_run is not None:
                    runs[event.task_run.ordinal] = event.task_run
        assert last is not None and last.execution is not None
        return StoredExecution(
            execution_id,
            last.namespace,
            last.flow_id,
            last.flow_revision,
            number,
            last.execution,
            tuple(run for _, run in sorted(runs.items()) if not run.removed),
            max(runs, default=-1) + 1,
        )

    def of(self, kind: type[Any]) -> list[Any]:
        """The outputs of a kind, in order."""
        return [it for it in self.outputs if isinstance(it, kind)]

    def job(self, task_id: str) -> Job:
        """The last job of a task."""
        found: Job = [it for it in self.of(Job) if it.task_id == task_id][-1]
        return found

    @property
    def jobs(self) -> list[str]:
        """Task ids in the order in which their jobs went out."""
        return [it.task_id for it in self.of(Job)]

    @property
    def states(self) -> dict[str, str]:
        """By task id, in the order of their first events, the state that was told last."""
        told = [it.task_run for it in self.of(ExecutionEvent) if it.task_run is not None]
        return {it.task_id: str(it.state) for it in told}

    def snapshot(self, task_id: str = "") -> Any:
        """What was told last of a task's run, or of the execution."""
        for event in reversed(self.of(ExecutionEvent)):
            told = event.task_run if task_id else event.execution
            if told is not None and (not task_id or told.task_id == task_id):
                return told
        raise LookupError(task_id or "execution")

    @property
    def ended(self) -> str:
        """The execution's state as it was told last."""
        return str(self.snapshot().state)

    def histories(self, task_id: str = "") -> list[str]:
        return [str(it.state) for it in self.snapshot(task_id).histories]


def timer_of(entity: Timed) -> Command:
    """The timer that it waits for."""
    if isinstance(entity, Sweep):
        return SweepDue(entity.execution_id, entity.due)
    if isinstance(entity, Timeout):
        return TimerDue(entity.task_run_id, entity.due)
    made = TimerDue if isinstance(entity, TaskRun) else ExecutionDue
    return made(entity.id, entity.due)


def run_id(job: Job | TaskRun) -> str:
    return job.task_run_id if isinstance(job, Job) else job.id

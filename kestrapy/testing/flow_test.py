"""Drives flows in memory, on a virtual clock: the engine behind tests of flows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from kestrapy.errors import InputRefused, NotFound, UserError
from kestrapy.language.flow import parse_flow
from kestrapy.language.inputs import seal_secrets, undeclared
from kestrapy.language.plan import Plan
from kestrapy.language.runnable import require_runnable
from kestrapy.machine.commands import (
    ExecutionSubmitted,
    KillRequested,
    PauseRequested,
    ResumeRequested,
)
from kestrapy.machine.entities import execution_of
from kestrapy.machine.outputs import ExecutionEvent, FlowRevision, LogEntry
from kestrapy.model.flow import Flow, Task
from kestrapy.model.ids import derive_execution_id
from kestrapy.model.registry import Kind
from kestrapy.model.state import State
from kestrapy.plugins.registry import REGISTRY
from kestrapy.servers.declarations import groups_named
from kestrapy.servers.inputs_read import PairsWorld, read_inputs
from kestrapy.servers.restarts import Restarts, Revived
from kestrapy.servers.webserver.flows import save_requested
from kestrapy.testing.clock import VirtualClock
from kestrapy.testing.errors import Stuck
from kestrapy.testing.observed import ObservedExecution, ObservedStorage, ObservedTaskRun, lines_of
from kestrapy.testing.results import Chosen, outcome_of
from kestrapy.testing.servers import QUIET, FlowTestServers, Wanted
from kestrapy.testing.stand_ins import StandIn, StandInTrigger, with_stand_ins

PATIENCE = 60
"""Seconds of virtual time in which something may come that nobody could foresee."""
SECOND = 1_000
LONGEST = 10 * 365 * 24 * 3600 * SECOND
"""ms that an execution may take: a flow that never ends ends the test."""


class FlowTest:
    """Flows under test: the first one is run, the others are there to be called by it.

    Each is a path, or the text of a flow. Use it in a ``with`` statement. variables: what the
    expressions of all tasks may read beside their own. stand_ins: for types of tasks and triggers
    that kestrapy does not have. triggers: whether the flows' triggers fire while time passes.
    Raises FlowRefused for a flow that can't be saved.
    """

    def __init__(
        self,
        flow: str | Path,
        *others: str | Path,
        variables: Mapping[str, Any] | None = None,
        stand_ins: Sequence[StandIn | StandInTrigger] = (),
        triggers: bool = False,
    ):
        self._registry = with_stand_ins(REGISTRY, stand_ins)
        self.flows = [parse_flow(_text(it), self._registry) for it in (flow, *others)]
        groups = [key for flow in self.flows for key in groups_named(flow)]
        tasks = [it for it in stand_ins if isinstance(it, StandIn)]
        self._wanted = Wanted(self._registry, groups, variables or {}, tasks, triggers)
        self._revisions: dict[tuple[str, str], int] = {}
        self._sources: dict[tuple[str, str, int], str] = {}
        self._executions: dict[str, ObservedExecution] = {}
        self._servers: FlowTestServers | None = None

    def __enter__(self) -> Self:
        self._servers = self._start_servers(self._wanted)
        for flow in self.flows:
            self._save(flow)
        self._advance_until(self._are_saved, "the flows are saved")
        return self

    def _start_servers(self, wanted: Wanted) -> FlowTestServers:
        return FlowTestServers(wanted, VirtualClock())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.servers.close()

    @property
    def servers(self) -> FlowTestServers:
        """For what this class does not offer: the log, internal storage, any command."""
        if self._servers is None:
            raise UserError("a FlowTest works within its `with` statement only")
        return self._servers

    @property
    def now(self) -> int:
        """What the test's clock shows, epoch ms."""
        return self.servers.clock.wall()

    # Flows

    def save(self, flow: str | Path) -> int:
        """Save a flow, or a new revision of one, as its users do. -> its revision."""
        parsed = parse_flow(_text(flow), self._registry)
        key = (parsed.namespace, parsed.id)
        self.flows = [it for it in self.flows if (it.namespace, it.id) != key] + [parsed]
        before = self._revisions.pop(key, 0)
        self._save(parsed)
        try:
            self._advance_until(self._are_saved, "the flow is saved")
        except Stuck:
            self._revisions[key] = before  # equal content makes no new revision
        return self._revisions[key]

    def _save(self, flow: Flow) -> None:
        if self._wanted.triggers:
            require_runnable(flow, self._registry)
        else:
            flow = msgspec.structs.replace(flow, triggers=())
        self.servers.send(save_requested(flow))

    def _are_saved(self) -> bool:
        return all((flow.namespace, flow.id) in self._revisions for flow in self.flows)

    # Results

    def result(
        self,
        task_id: str,
        outputs: Mapping[str, Any] | None = None,
        state: State | str = State.SUCCESS,
        error: str = "",
        seconds: float = 0,
        times: int | None = None,
    ) -> None:
        """From now on runs of this task don't run: they end so.

        seconds: after which they do, by the test's clock. times: for so many runs; what was chosen
        next holds afterwards, and without that the task runs for real. Raises NotFound where no
        worker runs a task of that id, ValueError for a state that no result has.
        """
        self._require_runnable(task_id)
        chosen = Chosen(outcome_of(state, outputs, error), round(seconds * SECOND), times)
        self.servers.runner.results.add(task_id, chosen)

    def _require_runnable(self, task_id: str) -> None:
        found = [task for flow in self.flows for task in _tasks(flow) if task.id == task_id]
        kinds = {self._registry.tasks[task.type].kind for task in found}
        if Kind.RUNNABLE not in kinds:
            what = "is moved by the executor" if found else "is in none of the flows"
            raise NotFound(f"task {task_id!r} {what}: choose results of tasks that workers run")

    # Executions

    @property
    def executions(self) -> list[ObservedExecution]:
        """All that there are, subflows included, in the order in which they began."""
        self._look(0)
        return list(self._executions.values())

    def of_flow(self, flow_id: str) -> list[ObservedExecution]:
        """The executions of a flow, in the order in which they began."""
        return [it for it in self.executions if it.flow_id == flow_id]

    def start(
        self,
        inputs: Mapping[str, Any] | None = None,
        labels: Mapping[str, str] | None = None,
        flow_id: str | None = None,
        in_seconds: float = 0,
    ) -> ObservedExecution:
        """Submit an execution of the first flow, or of another. inputs: a Path stands for a file's
        content. in_seconds: after which it starts; until then it is CREATED. Raises InputRefused.
        """
        flow = self._flow(flow_id)
        execution_id = self._new_id()
        given = self._checked(inputs or {}, flow, execution_id)
        self.servers.send(
            ExecutionSubmitted(
                execution_id,
                flow.namespace,
                flow.id,
                self._revisions[flow.namespace, flow.id],
                msgspec.json.encode(given).decode(),
                dict(labels or {}),
                not_before=self.now + round(in_seconds * SECOND) if in_seconds else 0,
            )
        )
        return self._observed(execution_id)

    def run(
        self,
        inputs: Mapping[str, Any] | None = None,
        labels: Mapping[str, str] | None = None,
        flow_id: str | None = None,
    ) -> ObservedExecution:
        """Run an execution to its end, however long that takes by the test's clock.

        Raises InputRefused, and Stuck where it waits for somebody, such as one that is paused.
        """
        execution = self.start(inputs, labels, flow_id)
        self.run_until(None, execution)
        return execution

    def run_until(
        self, state: State | str | None, execution: ObservedExecution | None = None
    ) -> ObservedExecution:
        """Let time pass until an execution, by default the youngest that a test started, is in this
        state; None: in a terminal one. Raises Stuck where that never comes.
        """
        execution = execution or self._youngest()
        wanted = None if state is None else State(state)

        def holds() -> bool:
            if not execution.exists:
                return False
            if execution.state.is_terminal and wanted not in (None, execution.state):
                raise Stuck(f"it does not become {wanted} any more: {_described(execution)}")
            return execution.state.is_terminal if wanted is None else execution.state is wanted

        self._advance_until(holds, f"{execution.id} is {wanted or 'ended'}", execution)
        if execution.state.is_terminal:
            self.settle()  # what follows an end, such as afterExecution and the last log lines
        return execution

    def kill(self, execution: ObservedExecution | None = None) -> None:
        """Ask for the end of an execution, by default the youngest; ``run_until`` sees it come."""
        self.servers.send(KillRequested((execution or self._youngest()).id))

    def pause(self, execution: ObservedExecution | None = None) -> None:
        """Let nothing more of an execution start, by default of the youngest; what runs goes on."""
        self.servers.send(PauseRequested((execution or self._youngest()).id))

    def resume(
        self,
        inputs: Mapping[str, Any] | None = None,
        execution: ObservedExecution | None = None,
    ) -> None:
        """Let all that is paused of an execution go on, by default of the youngest. inputs: what a
        Pause asks for; where they don't fit it stays paused, and a log line says why.
        """
        given = msgspec.json.encode(dict(inputs or {})).decode()
        execution_id = (execution or self._youngest()).id
        self.servers.send(ResumeRequested(execution_id=execution_id, inputs=given))

    # After the end

    def restart(
        self, execution: ObservedExecution | None = None, revision: int | None = None
    ) -> ObservedExecution:
        """Run again what failed of an execution that has ended, by default the youngest, and what
        follows. -> it, or the new execution that a revision of its flow makes of it. Either is
        RESTARTED, ``run_until`` lets it go on. Raises Conflict where nothing failed.
        """
        of = (execution or self._youngest()).stored
        return self._revived(self._restarts.restart(of, revision))

    def replay(
        self,
        execution: ObservedExecution | None = None,
        from_run: ObservedTaskRun | None = None,
        revision: int | None = None,
        inputs: Mapping[str, Any] | None = None,
    ) -> ObservedExecution:
        """-> a new execution that does what this one did, from its beginning or from one of its
        task runs on. inputs: others than before, from the beginning only.
        """
        of = (execution or self._youngest()).stored
        task_run_id = "" if from_run is None else from_run.id
        given = None if inputs is None else partial(self._checked, inputs)
        return self._revived(self._restarts.replay(of, task_run_id, revision, given))

    def mark(self, run: ObservedTaskRun, state: State | str) -> ObservedExecution:
        """Give a task run another state: one that is paused, or one of an execution that has ended,
        which then goes on from there. -> its execution.
        """
        of = self._observed(execution_of(run.id)).stored
        return self._revived(self._restarts.mark(of, run.id, State(state)))

    def change_status(
        self, state: State | str, execution: ObservedExecution | None = None
    ) -> ObservedExecution:
        """Give an execution that has ended another state; nothing of it runs."""
        of = (execution or self._youngest()).stored
        return self._revived(self._restarts.change_status(of, State(state)))

    def _revived(self, revived: Revived) -> ObservedExecution:
        execution = self._observed(revived.execution_id)
        before = execution.states if execution.exists else None
        for record in revived.records:
            self.servers.send(record)

        def has_changed() -> bool:
            return execution.exists and execution.states != before

        self._advance_until(has_changed, f"{execution.id} is taken up again")
        return execution

    @property
    def _restarts(self) -> Restarts:
        parts = self.servers.parts
        storage = ObservedStorage(self._executions)
        shards = parts.catalogue.shards
        return Restarts(self._plan, self._new_id, parts.entropy.token, storage, shards)

    def _plan(self, namespace: str, flow_id: str, revision: int) -> Plan:
        flow = parse_flow(self._sources[namespace, flow_id, revision], self._registry)
        return Plan(msgspec.structs.replace(flow, revision=revision), self._registry)

    def _new_id(self) -> str:
        return derive_execution_id(0, self.now, self.servers.parts.entropy.token())

    # Time

    def advance(self, seconds: float) -> None:
        """Let so much time pass; all that becomes due meanwhile happens at its time."""
        end = self.servers.clock.monotonic() + round(seconds * SECOND)
        self.settle()
        while (left := end - self.servers.clock.monotonic()) > 0:
            self._look(min(left, self.servers.next_due() or left))
            self.settle()

    def settle(self) -> None:
        """Let everything happen that needs no time; the clock moves by less than a second."""
        quiet = 0
        while quiet < len(QUIET):
            said = self._look(QUIET[quiet])
            quiet = 0 if said or self.servers.works else quiet + 1

    def _advance_until(
        self, holds: Callable[[], bool], what: str, execution: ObservedExecution | None = None
    ) -> None:
        idle, quiet = 0, 0
        latest = self.servers.clock.monotonic() + LONGEST
        while not holds():
            step = QUIET[quiet] if quiet < len(QUIET) else self.servers.next_due()
            if step is None:
                idle, step = idle + 1, SECOND
            if idle > PATIENCE or self.servers.clock.monotonic() > latest:
                state = f": {_described(execution)}" if execution else ""
                raise Stuck(f"it never comes that {what}{state}")
            busy = self._look(step) or self.servers.works
            idle, quiet = (0, 0) if busy else (idle, quiet + 1)

    def _look(self, milliseconds: int) -> bool:
        """One round. -> whether anything was said in it."""
        said = self.servers.round(milliseconds)
        for record in said:
            if isinstance(record, ExecutionEvent | LogEntry):
                self._observed(record.execution_id).take(record)
            elif isinstance(record, FlowRevision):
                key = (record.namespace, record.flow_id)
                self._revisions[key] = record.revision
                self._sources[*key, record.revision] = record.source
        return bool(said)

    def _observed(self, execution_id: str) -> ObservedExecution:
        found = self._executions.get(execution_id)
        if found is None:
            found = self._executions[execution_id] = ObservedExecution(execution_id)
        return found

    def _youngest(self) -> ObservedExecution:
        if not self._executions:
            raise NotFound("no execution was started yet")
        return next(reversed(self._executions.values()))

    def _flow(self, flow_id: str | None) -> Flow:
        if flow_id is None:
            return self.flows[0]
        for flow in self.flows:
            if flow.id == flow_id:
                return flow
        known = ", ".join(flow.id for flow in self.flows)
        raise NotFound(f"no flow {flow_id!r} in this test; there are {known}")

    def _checked(self, inputs: Mapping[str, Any], flow: Flow, execution_id: str) -> dict[str, Any]:
        """Raises InputRefused."""
        if unknown := undeclared(flow, inputs):
            raise InputRefused(unknown)
        given = self._stored(flow, execution_id, inputs)
        given = seal_secrets(flow, given, self.servers.cipher.encrypt)
        variables = {"flow": {"id": flow.id, "namespace": flow.namespace}}
        world = PairsWorld(self.now, execution_id, flow.namespace, self.servers.blobs)
        return read_inputs(flow, given, variables, world)[1]

    def _stored(self, flow: Flow, execution_id: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        folder = "/".join(
            [*flow.namespace.split("."), flow.id, "executions", execution_id, "inputs"]
        )
        given = dict(inputs)
        for name, value in inputs.items():
            if isinstance(value, Path):
                given[name] = f"kestra:///{folder}/{name}/{value.name}"
                with value.open("rb") as content:
                    self.servers.blobs.put(given[name], content)
        return given


def _tasks(holder: Any) -> Iterator[Task]:
    """All tasks in a flow, a task or a list of these, however deep."""
    if isinstance(holder, Task):
        yield holder
    if isinstance(holder, msgspec.Struct):
        for name in holder.__struct_fields__:
            yield from _tasks(getattr(holder, name))
    elif isinstance(holder, tuple | list):
        for item in holder:
            yield from _tasks(item)
    elif isinstance(holder, Mapping):
        for item in holder.values():
            yield from _tasks(item)


def _text(flow: str | Path) -> str:
    """A text with a line break is a flow's, another one names a file."""
    if isinstance(flow, Path) or "\n" not in flow:
        return Path(flow).read_text(encoding="utf-8")
    return flow


def _described(execution: ObservedExecution) -> str:
    return "\n".join([repr(execution), *lines_of(execution)])

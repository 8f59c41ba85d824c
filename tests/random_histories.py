"""Histories of commands drawn at random: what the log of a partition may ever say, and more.

``python -m tests.random_histories 20`` prints a digest of what the first 20 histories put out.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from hashlib import blake2b
from random import Random
from typing import Any

import msgspec

from kestrapy.errors import Conflict, NotFound
from kestrapy.language.plan import Plan
from kestrapy.machine import pictures
from kestrapy.machine.commands import (
    ChildReported,
    ChildWanted,
    Claimed,
    Command,
    ExecutionCreated,
    ExecutionDue,
    ExecutionRequested,
    FlowResolved,
    ForceRun,
    GroupLive,
    KillRequested,
    Lineage,
    LogicVersion,
    NoWorker,
    Parent,
    PauseRequested,
    PublishAgain,
    RestoringContinued,
    Result,
    ResumeRequested,
    Returned,
    SettingChanged,
    SlotDenied,
    SlotGranted,
    Source,
    SweepDue,
    TaskReport,
    TaskRunMarked,
    TimerDue,
    TriggerFired,
    Undeliverable,
    WorkerLost,
)
from kestrapy.machine.entities import Child, Execution, Sweep, TaskRun, execution_key
from kestrapy.machine.outputs import ExecutionEvent, Granted, Job, Output
from kestrapy.machine.restored import RestoredChild, Restoring
from kestrapy.machine.restoring import HELD
from kestrapy.machine.stage import LOGIC_VERSION
from kestrapy.machine.task_runs import HELD_STATES
from kestrapy.machine.timeouts import Timeout
from kestrapy.machine.turn import ContentMissing
from kestrapy.model.ids import derive_execution_id
from kestrapy.model.state import State
from kestrapy.model.worker_group import (
    DEFAULT_GROUP,
    GROUP,
    IGNORED,
    Fallback,
    GroupSettings,
    encode,
)
from kestrapy.ports.store import StoredExecution
from tests.machine_driver import FLOW_ID, NAMESPACE, ROOMY, Driver
from tests.random_flows import random_flow

OUTCOMES = (*[State.SUCCESS] * 5, *[State.FAILED] * 3, State.WARNING, State.KILLED)
SPLIT = '{"numberOfBatches":3,"prefix":"kestra:///b"}'
"""The outputs of a ForEachItem's first step."""
OUTPUTS = (*["{}", '{"value":1}', '{"value":{"deep":[1,2]}}', SPLIT] * 3, "not JSON", "[]")
ANSWERS = (
    '{"runIf":false}',
    '{"runIf":true,"properties":{"condition":true,"value":"3","values":["a","b"]}}',
    '{"runIf":true,"properties":{"condition":false,"value":[1],"values":"[2]"}}',
    '{"batches":[{"inputs":{"i":1}},{"error":"no"}]}',
    '{"batches":[{"inputs":{"i":1}},{"inputs":5},5,{}]}',
)
"""What a worker evaluates for flowable tasks."""
INPUTS = (*["{}"] * 10, '{"n":"7"}', '{"n":"many"}', "nothing")
DAY = 24 * 3600 * 1000
GROUPS = (DEFAULT_GROUP, "spare", "gpu")
FALLBACKS = (
    *[Fallback()] * 3,
    Fallback("FAIL"),
    Fallback("CANCEL"),
    Fallback("GROUP", "spare"),
    Fallback("GROUP", "gpu"),
)


class History:
    """A driver to which workers, owners and clients say what they may, and what they may not.

    ``watch`` is called after each command.
    """

    def __init__(self, random: Random, watch: Callable[[Driver], None] = lambda _: None):
        self.random = random
        groups = random.choice([(), (ROOMY,)])
        self.driver = Driver(random_flow(random), random_flow(random), groups=groups)
        self.driver.at = DAY
        self._watch = watch
        self._workers = ["w0", "w1", "w2"]
        self._hired = 3
        self._ids = [_id(0)]
        self._offset = 0
        self._revisions = 0
        self._parts: list[Command] = []

    # Chaos

    def play(self, steps: int) -> History:
        """Any command after another; what fits the state comes more often."""
        self._say(*self._create())
        for _ in range(steps):
            self._say(*self._any())
        return self

    def _any(self) -> tuple[Command, Source | None]:
        kinds: Sequence[tuple[float, Callable[[], Any]]] = (
            (0.06, self._create),
            (0.04, self._resolve),
            (0.30, self._claim),
            (0.20, self._result),
            (0.07, self._child_report),
            (0.03, self._report),
            (0.03, self._return),
            (0.04, self._lose),
            (0.08, self._timer),
            (0.02, self._resume),
            (0.02, self._execution_timer),
            (0.03, self._slot),
            (0.03, self._sweep),
            (0.03, self._pause_or_resume),
            (0.01, self._mark),
            (0.04, self._restore),
            (0.015, self._kill),
            (0.01, self._undeliverable),
            (0.01, lambda: LogicVersion(LOGIC_VERSION)),
            (0.02, self._group),
            (0.02, self._no_worker),
            (0.005, self._publish_again),
            (1.0, self._repeat),
        )
        drawn, place = self.random.random(), 0
        while drawn >= kinds[place][0]:
            drawn, place = drawn - kinds[place][0], place + 1
        made = kinds[place][1]()
        return made if isinstance(made, tuple) else (made, None)

    def _say(self, command: Command, source: Source | None = None) -> None:
        self.driver.fold(command, at=self.driver.at + self._pause(), source=source)
        self._watch(self.driver)

    def _pause(self) -> int:
        """Append times go back at times, and whole days pass."""
        if self.random.random() < 0.96:
            return self.random.randint(0, 400)
        return self.random.choice([-3_000, 6_000, 700_000, DAY])

    def _create(self) -> tuple[Command, Source | None]:
        execution_id = self._some_id()
        if self.random.random() < 0.8 or execution_key(execution_id) not in self.driver.state:
            execution_id = self._ids[-1]  # a new one, or one that was killed before it came
            self._ids.append(_id(len(self._ids)))
        trigger = TriggerFired("t", "schedule", "uid") if self.random.random() < 0.3 else None
        request = ExecutionRequested("key", NAMESPACE, FLOW_ID)
        created = ExecutionCreated(
            execution_id,
            NAMESPACE,
            FLOW_ID,
            self.random.randint(0, 2),
            inputs=self.random.choice(INPUTS),
            trigger=trigger,
            requested=None if trigger else request,
            not_before=self.random.choice([0, 0, 0, 0, 0, self.driver.at + 3_000, 5]),
            lineage=Lineage(_id(0), 2, 5) if self.random.random() < 0.1 else None,
        )
        self._offset += self.random.choice([0, 1, 1, 1])
        return created, Source("requests", 0, self._offset, 0)

    def _resolve(self) -> Command:
        waiting = [it for it in self._live(Execution) if it.awaits]
        execution_id = self._one_of(waiting).id if waiting else self._some_id()
        if self.random.random() < 0.2:
            return FlowResolved(execution_id, 0, "there is none")
        return FlowResolved(execution_id, self.random.randint(1, 2))

    def _claim(self) -> Command:
        jobs = self.driver.of(Job)
        if not jobs or self.random.random() < 0.05:
            return Claimed(f"{self._some_id()}-9", 1, self.random.choice(self._workers))
        job = self._one_of(jobs)
        return Claimed(job.task_run_id, self._epoch(job.epoch), self.random.choice(self._workers))

    def _result(self) -> Command:
        run_id, epoch, worker = self._granted()
        outcome, outputs = self.random.choice(OUTCOMES), self.random.choice(OUTPUTS)
        if self.random.random() < 0.3:
            outputs = self.random.choice(ANSWERS)
        if self.random.random() < 0.05:
            outcome = self.random.choice(list(State))
        return Result(run_id, epoch, worker, outcome, outputs, "because")

    def _child_report(self) -> Command:
        run_id, epoch, worker = self._granted()
        state = self.random.choice([State.RUNNING, State.RETRYING, State.SKIPPED, *OUTCOMES])
        if self.random.random() < 0.05:
            state = self.random.choice(list(State))
        place = self.random.randint(-1, 3) if self.random.random() < 0.2 else 0
        attempt = self.random.choice([1, 1, 2, 3])
        outputs = self.random.choice(OUTPUTS)
        return TaskReport(run_id, epoch, worker, place, attempt, state, outputs)

    def _return(self) -> Command:
        return Returned(*self._granted())

    def _granted(self) -> tuple[str, int, str]:
        grants = self.driver.of(Granted)
        if not grants or self.random.random() < 0.03:
            runs = self._live(TaskRun)
            return (self._one_of(runs).id if runs else "nothing-0"), 0, ""
        grant = self._one_of(grants)
        worker = grant.worker_id
        if self.random.random() < 0.1:
            worker = self.random.choice(self._workers)
        return grant.task_run_id, self._epoch(grant.epoch), worker

    def _lose(self) -> Command:
        worker = self.random.choice(self._workers)
        if self.random.random() < 0.7:
            self._workers[self._workers.index(worker)] = f"w{self._hired}"
            self._hired += 1
        return WorkerLost(worker)

    def _timer(self) -> Command:
        timeouts = self._live(Timeout)
        if timeouts and self.random.random() < 0.4:
            timeout = self._one_of(timeouts)
            return TimerDue(timeout.task_run_id, timeout.due + self.random.choice([0, 0, 0, 1, -1]))
        runs = [it for it in self._live(TaskRun) if it.due]
        if not runs or self.random.random() < 0.05:
            return TimerDue("nothing-0", 5)
        urgent = [it for it in runs if it.state is not State.SUBMITTED]
        run = self._one_of(urgent if urgent and self.random.random() < 0.95 else runs)
        if self.random.random() < 0.8:
            return TimerDue(run.id, run.due)
        return TimerDue(run.id, self.random.choice([0, 1, run.due - 1, run.due + 1, 10**17]))

    def _sweep(self) -> Command:
        waiting = self._live(Sweep)
        if not waiting:
            return SweepDue(self._some_id(), 5)
        sweep = self._one_of(waiting)
        return SweepDue(sweep.execution_id, sweep.due + self.random.choice([0, 0, 0, 1, -1]))

    def _execution_timer(self) -> Command:
        waiting = [it for it in self._live(Execution) if it.due]
        if not waiting:
            return ExecutionDue(self._some_id(), 5)
        execution = self._one_of(waiting)
        return ExecutionDue(execution.id, execution.due + self.random.choice([0, 0, 0, 1, -1]))

    def _slot(self) -> Command:
        drawn, execution_id = self.random.random(), self._some_id()
        known = self.driver.state.get(execution_key(execution_id))
        restarts = known.restarts if isinstance(known, Execution) else 0
        restarts += drawn * 100 % 10 < 1
        if drawn < 0.5:
            return SlotGranted(execution_id, NAMESPACE, FLOW_ID, drawn < 0.1, restarts)
        if drawn < 0.9:
            return SlotDenied(execution_id, 2, 2, 0, restarts)
        return ForceRun(execution_id)

    def _kill(self) -> Command:
        return KillRequested(self._some_id())

    def _report(self) -> Command:
        """Of a child, or of one that nobody knows."""
        known = [key for key, it in self.driver.state.items() if isinstance(it, Child)]
        if not known or self.random.random() < 0.1:
            return ChildReported(f"{self._some_id()}-0", "unknown", -1, State.SUCCESS)
        made = self._report_of(self._one_of(known), self.random.choice(OUTCOMES))
        refused = made.state is State.FAILED and self.random.random() < 0.3
        missing = bool(made.restoring) and self.random.random() < 0.5
        return msgspec.structs.replace(made, refused=refused, missing=missing)

    def _report_of(self, key: str, state: State) -> ChildReported:
        child = self.driver.state[key]
        assert isinstance(child, Child)
        task_run_id, _, iteration = key[2:].partition(":")
        outputs = self.random.choice(["{}", '{"o":[1,2]}'])
        state = state if child.waits else State.RUNNING
        report = ChildReported(task_run_id, child.execution_id, int(iteration), state, outputs)
        return msgspec.structs.replace(report, restoring=child.restoring)

    def _pause_or_resume(self) -> Command:
        """By request, of a whole execution; one is left alone for a while."""
        drawn, execution_id = self.random.random(), self._some_id()
        if drawn < 0.5:
            return PauseRequested(execution_id)
        if drawn < 0.8:
            return ResumeRequested(execution_id=execution_id)
        self._revisions += 1
        name = self.random.choice([f"execution/{execution_id}", f"flow/{NAMESPACE}/{FLOW_ID}"])
        content = "{}" if self.random.random() < 0.3 else ""
        return SettingChanged(IGNORED, name, self._revisions, content)

    def _resume(self) -> Command:
        runs = self._live(TaskRun)
        paused = [it for it in runs if it.state is State.PAUSED]
        if not runs or (not paused and self.random.random() < 0.5):
            if self.random.random() < 0.5:
                return ResumeRequested(f"{self._some_id()}-0")
            return ResumeRequested(execution_id=self._some_id())
        return ResumeRequested(self._one_of(paused or runs).id)

    def _mark(self) -> Command:
        paused = [it for it in self._live(TaskRun) if it.state is State.PAUSED]
        run_id = self._one_of(paused).id if paused else f"{self._some_id()}-0"
        return TaskRunMarked(run_id, self.random.choice(list(State)))

    def _restore(self) -> Command:
        """What has ended is restarted, replayed or changed, from what was told of it, in parts of a
        few task runs. The fold's own steps come as well, and more than once.
        """
        steps = self.driver.of(RestoringContinued)
        if steps and self.random.random() < 0.4:
            step: Command = self._one_of(steps)
            return step
        if self.random.random() < 0.2:
            return self._want()
        if not self._parts or self.random.random() < 0.05:
            self._parts = self._revival()
        if not self._parts:
            return LogicVersion(LOGIC_VERSION)
        return self._parts.pop(0)

    def _want(self) -> Command:
        """A parent's word, mostly to one that waits for it."""
        held = {
            key.removeprefix("r:"): it.restoring
            for key, it in self.driver.state.items()
            if isinstance(it, Restoring) and it.step == HELD
        }
        execution_id = self._one_of([*held]) if held else self._some_id()
        token = held.get(execution_id, "nothing")
        if self.random.random() < 0.2:
            execution_id = self._some_id()
        return ChildWanted(execution_id, Parent("00parent-0", restoring=token))

    def _restart(self, stored: StoredExecution, plan: Plan, token: str) -> list[Command]:
        """With some of what its task runs may have started; at times it waits for a parent."""
        restart = pictures.Restart.of(stored, plan)
        children = [
            RestoredChild(
                run.ordinal,
                iteration,
                _id(1_000 + iteration),
                f"{token}/{iteration}",
                self.random.choice(OUTCOMES),
                self.random.choice(["{}", '{"o":[1,2]}']),
            )
            for run in restart.callers
            for iteration in range(-1, 4)
            if self.random.random() < 0.7
        ]
        return [*restart.parts(token, children, held=self.random.random() < 0.3)]

    def _revival(self) -> list[Command]:
        ended = [
            it.execution_id
            for it in self.driver.of(ExecutionEvent)
            if it.execution is not None and it.execution.state.is_terminal
        ]
        if not ended:
            return []
        stored = self.driver.stored(self._one_of(ended))
        token = f"r{len(self.driver.log)}"
        new_id = derive_execution_id(0, 2_000, token)
        try:
            revision = stored.flow_revision
            plan = self.driver.rules.flow(NAMESPACE, FLOW_ID, revision)
            run = self.random.choice(stored.task_runs).id if stored.task_runs else ""
            match self.random.randint(0, 9):
                case 0 | 1:
                    return [*pictures.replay(stored, plan, token, run, new_id)]
                case 2 | 3:
                    state = self.random.choice(pictures.MARKS)
                    return [*pictures.mark(stored, plan, token, run, state)]
                case 4:
                    state = self.random.choice(pictures.STATUSES)
                    return [pictures.change_status(stored, token, state)]
                case _:
                    return self._restart(stored, plan, token)
        except (Conflict, NotFound, ContentMissing):
            return []

    def _undeliverable(self) -> Command:
        jobs = self.driver.of(Job)
        if not jobs:
            return Undeliverable("nothing-0", 1, "no topic")
        job = self._one_of(jobs)
        missing = self.random.random() < 0.5
        return Undeliverable(job.task_run_id, self._epoch(job.epoch), "no topic", missing)

    def _group(self) -> Command:
        """Workers come and go; a group is declared anew, and perhaps drained or deleted."""
        key = self.random.choice(GROUPS)
        if self.random.random() < 0.6:
            workers = self.random.choice([0, 0, 1, 2])
            return GroupLive(key, workers, workers * self.random.choice([1, 4]))
        self._revisions += 1
        fallback = self.random.choice(FALLBACKS)
        settings = GroupSettings(
            key,
            lanes={"fast": 4},
            fallback=Fallback() if fallback.group == key else fallback,
            max_resubmissions=self.random.choice([0, 1, 5]),
            drained=self.random.random() < 0.15,
        )
        content = "" if self.random.random() < 0.05 else encode(settings)
        return SettingChanged(GROUP, key, self._revisions, content)

    def _no_worker(self) -> Command:
        return NoWorker(*self._waiting())

    def _publish_again(self) -> Command:
        runs = [it for it in self._live(TaskRun) if it.due]
        if not runs:
            return PublishAgain("nothing-0", 5)
        run = self._one_of(runs)
        return PublishAgain(run.id, run.due)

    def _waiting(self) -> tuple[str, int]:
        runs = [it for it in self._live(TaskRun) if it.is_waiting]
        if not runs:
            return "nothing-0", 1
        run = self._one_of(runs)
        return run.id, self._epoch(run.epoch)

    def _repeat(self) -> tuple[Command, Source | None]:
        arrival = self.random.choice(self.driver.log)
        return arrival.command, arrival.source

    def _some_id(self) -> str:
        """Of the last executions, or of the next one."""
        return self.random.choice(self._ids[-4:])

    def _epoch(self, epoch: int) -> int:
        return epoch if self.random.random() < 0.93 else epoch + self.random.randint(-1, 1)

    def _one_of(self, items: Sequence[Any]) -> Any:
        """Of the last ones mostly: the others are late."""
        return self.random.choice(items if self.random.random() < 0.15 else items[-4:])

    def _live(self, kind: type[Any]) -> list[Any]:
        return [it for it in self.driver.state.values() if isinstance(it, kind)]

    # Calm

    def settle(self) -> History:
        """Everyone does what is asked until nothing is wanted any more.

        Raises AssertionError where something waits for nothing.
        """
        self._workers = [f"calm{self._hired}"]
        for name in [f"flow/{NAMESPACE}/{FLOW_ID}", *(f"execution/{it}" for it in self._ids)]:
            self._say(SettingChanged(IGNORED, name, self._revisions, ""))
        for key in GROUPS:
            self._revisions += 1
            settings = encode(GroupSettings(key))
            self._say(SettingChanged(GROUP, key, self._revisions, settings))
        for _ in range(2_000):
            wanted = [it for each in self._live(object) for it in self._wanted(each)]
            wanted = wanted or self._paused()
            wanted += [
                self._report_of(key, State.SUCCESS)
                for key, it in self.driver.state.items()
                if isinstance(it, Child)
            ]
            wanted = self._steps() + wanted
            if not wanted:
                break
            self._say(wanted[0])
        left = self._live(Execution) + self._live(TaskRun) + self._live(Sweep)
        left += self._live(Timeout)
        assert not left, f"these wait, but for nothing: {left}"
        return self

    def _paused(self) -> list[Command]:
        return [
            ResumeRequested(execution_id=it.id)
            for it in self._live(Execution)
            if it.history.current is State.PAUSED
        ]

    def _steps(self) -> list[Command]:
        """Of what is being restored: the fold has told itself to go on. Not where parts are
        missing, or it waits for a slot, or for the end of a walk.
        """
        return [
            RestoringContinued(key.removeprefix("r:"), it.restoring, it.step)
            for key, it in self.driver.state.items()
            if isinstance(it, Restoring) and it.step >= 0 and not it.until
            if not self._awaits_slot(key.removeprefix("r:"))
        ]

    def _awaits_slot(self, execution_id: str) -> bool:
        execution = self.driver.state[execution_key(execution_id)]
        return isinstance(execution, Execution) and execution.awaits == "slot"

    def _wanted(self, entity: object) -> list[Command]:
        if isinstance(entity, Execution) and entity.awaits == "flow":
            return [FlowResolved(entity.id, 1)]
        if isinstance(entity, Execution) and entity.awaits == "slot":
            return [SlotGranted(entity.id, NAMESPACE, FLOW_ID, restarts=entity.restarts)]
        if isinstance(entity, Execution) and entity.due:
            return [ExecutionDue(entity.id, entity.due)]
        if isinstance(entity, Sweep):
            return [SweepDue(entity.execution_id, entity.due)]
        if isinstance(entity, Timeout) and entity.below >= 0:
            return [TimerDue(entity.task_run_id, entity.due)]
        if not isinstance(entity, TaskRun):
            return []
        if entity.is_waiting and not entity.place:
            return [Claimed(entity.id, entity.epoch, self._workers[0])]
        if entity.due and (entity.state is State.RETRYING or entity.scope is not None):
            return [TimerDue(entity.id, entity.due)]
        if entity.state is State.PAUSED:
            return [ResumeRequested(entity.id)]
        if entity.state in HELD_STATES and entity.worker_id and not entity.inside:
            return [Result(entity.id, entity.epoch, entity.worker_id, State.SUCCESS)]
        return []


def _id(number: int) -> str:
    return derive_execution_id(0, 1_000, "history", number)


def output_bytes(outputs: Sequence[Output]) -> bytes:
    """What goes out, each with its kind."""
    return msgspec.msgpack.encode([(type(it).__name__, it) for it in outputs])


def digest_of(count: int) -> str:
    """Of all that the histories of the seeds 0 to count - 1 put out."""
    hasher = blake2b(digest_size=16)
    for seed in range(count):
        history = History(Random(seed)).play(60).settle()
        hasher.update(output_bytes(history.driver.outputs))
    return hasher.hexdigest()


if __name__ == "__main__":
    print(digest_of(int(sys.argv[1])))

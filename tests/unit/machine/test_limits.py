"""Concurrency limits: who is granted a slot, who waits, and that none is ever lost."""

from __future__ import annotations

from collections import deque
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kestrapy.errors import Conflict
from kestrapy.machine import limits
from kestrapy.machine.commands import (
    Claimed,
    Command,
    ExecutionCreated,
    FlowSaveRequested,
    ForceRun,
    KillRequested,
    RestoringContinued,
    Result,
    SlotDenied,
    SlotGranted,
    SlotReleased,
    SlotWanted,
    Source,
    WorkerLost,
)
from kestrapy.machine.entities import Ended, Entity, Execution
from kestrapy.machine.execution import quarantine
from kestrapy.machine.folds import admission_fold
from kestrapy.machine.limits import Limit, Seat, Standing
from kestrapy.machine.outputs import FlowRevision, Granted, Job, Kill, Output
from kestrapy.machine.pictures import restart
from kestrapy.machine.stage import Arrival, Folded, Position, Stage
from kestrapy.model.ids import derive_execution_id, shard_of
from kestrapy.model.state import State
from tests.machine_driver import EXECUTION_ID, FLOW_ID, NAMESPACE, Driver, flow, plan_of, task
from tests.unit.machine.test_properties import runs


class Office:
    """The stage of ``admission``, by hand; each command must leave the counts true."""

    def __init__(self) -> None:
        self.stage = Stage(admission_fold(), {}, Position())

    def tell(self, command: Command, source: Source | None = None) -> list[Output]:
        return self.fold(command, source).outputs

    def fold(self, command: Command, source: Source | None = None) -> Folded:
        folded = self.stage.fold(Arrival(command, 5, self.stage.position.offset, source))
        assert folded.poison is None, folded.poison
        counts_are_true(self.stage.state)
        return folded

    def want(self, name: str, limit: int = 1, revision: int = 1, **more: Any) -> list[Output]:
        given = {"waits": True, **more}
        return self.tell(SlotWanted("n", "f", name, revision, limit, **given))

    def release(self, name: str, restarts: int = 0) -> list[Output]:
        return self.tell(SlotReleased("n", "f", name, restarts))


def counts_are_true(state: Any) -> None:
    kept = [it for it in state.values() if isinstance(it, Limit)]
    seats = [it for it in state.values() if isinstance(it, Seat)]
    assert sum(it.holding for it in kept) == sum(1 for it in seats if not it.place)
    assert sum(it.waiting for it in kept) == sum(1 for it in seats if it.place)
    standing = [it for it in state.values() if isinstance(it, Standing)]
    assert len(standing) == sum(1 for it in seats if it.place)


def granted(*names: str, more: bool = False) -> list[Output]:
    return [SlotGranted(name, "n", "f", more) for name in names]


# In admission


def test_a_seat_goes_with_the_life_of_its_execution_that_asked() -> None:
    office = Office()
    office.want("a", restarts=1)
    assert office.want("b", restarts=3) == [SlotDenied("b", 1, 1, 0, 3)]
    assert office.release("a") == office.release("a", 2) == office.release("b") == []
    assert office.want("b", forced=True) == [], "of one that is over"
    assert office.release("a", 1) == [SlotGranted("b", "n", "f", restarts=3)]


def test_as_many_as_the_limit_says_and_then_in_the_order_in_which_they_came() -> None:
    office = Office()
    assert office.want("a", 2) == granted("a")
    assert office.want("b", 2) == granted("b")
    assert office.want("c", 2) == [SlotDenied("c", 2, 2, 0)]
    assert office.want("d", 2) == [SlotDenied("d", 2, 2, 1)]
    assert office.release("b") == granted("c")
    assert office.release("a") == granted("d")
    assert office.release("c") == office.release("d") == []
    assert set(office.stage.state) == {"l:n/f"}, "no seat is left behind"


def test_asking_or_releasing_twice_changes_nothing() -> None:
    office = Office()
    office.want("a")
    office.want("b")
    assert office.want("a") == office.want("b") == []
    assert office.release("a") == granted("b")
    assert office.release("a") == office.release("stranger") == []


def test_who_leaves_the_line_frees_no_slot() -> None:
    office = Office()
    for name in "abcd":
        office.want(name)
    assert office.release("b") == office.release("c") == []
    assert office.release("a") == granted("d")


def test_who_does_not_wait_has_no_seat() -> None:
    office = Office()
    office.want("a")
    assert office.want("b", waits=False) == [SlotDenied("b", 1, 1, 0)]
    assert office.release("b") == []
    assert office.release("a") == []


def test_flows_do_not_share_slots() -> None:
    office = Office()
    office.want("a")
    other = SlotWanted("n", "g", "b", 1, 1, True)
    assert office.tell(other) == [SlotGranted("b", "n", "g")]


def test_a_new_revisions_limit_holds_for_all() -> None:
    office = Office()
    for name in "abcd":
        office.want(name)
    source = "anything"
    (revision, *grants) = office.tell(FlowSaveRequested("n", "f", source, limit=3))
    assert isinstance(revision, FlowRevision)
    assert grants == [], "it is revision 1, as those that run"
    (_, *grants) = office.tell(FlowSaveRequested("n", "f", source + "!", limit=3))
    assert grants == [*granted("b", more=True), *granted("c")]
    (_, *grants) = office.tell(FlowSaveRequested("n", "f", source + "?", limit=1))
    assert grants == []
    assert office.want("e", limit=9, revision=1) == [SlotDenied("e", 1, 3, 1)]
    assert office.release("a") == office.release("b") == [], "three ran, and one may"
    assert office.release("c") == granted("d")
    (_, *grants) = office.tell(FlowSaveRequested("n", "f", source, limit=0))
    assert grants == granted("e"), "no limit any more"


def test_a_revision_that_an_execution_brings_counts_too() -> None:
    office = Office()
    office.want("a")
    office.want("b")
    assert office.want("c", limit=3, revision=2) == [
        SlotDenied("c", 3, 1, 1),
        *granted("b", more=True),
        *granted("c"),
    ]


def test_one_that_is_forced_gets_a_slot_beyond_the_limit() -> None:
    office = Office()
    for name in "abc":
        office.want(name)
    assert office.want("c", forced=True) == granted("c")
    assert office.want("a", forced=True) == office.want("gone", forced=True) == []
    assert office.release("a") == [], "c holds the only slot"
    assert office.release("c") == granted("b")


def test_many_that_may_run_at_once_are_granted_in_parts() -> None:
    office = Office()
    for number in range(2 * limits.GRANTS + 10):
        office.want(f"e{number}")
    (_, *grants) = office.tell(FlowSaveRequested("n", "f", "s1", limit=1_000))
    assert grants == []
    (_, *grants) = office.tell(FlowSaveRequested("n", "f", "s2", limit=1_000))
    assert len(grants) == limits.GRANTS
    assert grants[-1].more  # type: ignore[union-attr]
    grants = office.want("e1", limit=1_000, revision=2)
    assert len(grants) == limits.GRANTS
    assert len(office.want("e2", limit=1_000, revision=2)) == 9


# In an execution

LIMITED = {"concurrency": {"limit": 1}}
GRANT = SlotGranted(EXECUTION_ID, NAMESPACE, FLOW_ID)
RELEASED = SlotReleased(NAMESPACE, FLOW_ID, EXECUTION_ID)


def asked(behavior: str = "QUEUE", **properties: Any) -> Driver:
    limit = {"concurrency": {"limit": 1, "behavior": behavior}}
    driver = Driver(flow(task("a"), **limit, **properties)).create()
    (wanted,) = driver.of(SlotWanted)
    assert wanted == SlotWanted(NAMESPACE, FLOW_ID, EXECUTION_ID, 1, 1, behavior == "QUEUE")
    assert driver.histories() == ["CREATED"] and not driver.jobs
    return driver


def test_it_runs_once_it_is_granted_a_slot_and_gives_it_back_after_all() -> None:
    driver = asked(afterExecution=[task("z")])
    driver.tell(GRANT)
    assert driver.jobs == ["a"] and driver.tell(GRANT) == []
    driver.run(z=["silent"])
    assert driver.ended == "SUCCESS" and not driver.of(SlotReleased), "z runs"
    driver.result(driver.job("z"), worker="w1")
    assert driver.of(SlotReleased) == [RELEASED]
    assert isinstance(driver.execution, Ended)


def test_one_that_is_denied_is_queued_and_says_why() -> None:
    driver = asked()
    driver.tell(SlotDenied(EXECUTION_ID, 1, 1, 4))
    assert driver.histories() == ["CREATED", "QUEUED"]
    why = driver.snapshot().waits_for
    assert why.startswith(f"1 executions of flow {NAMESPACE}.{FLOW_ID} run") and "4 wait" in why
    assert driver.tell(SlotDenied(EXECUTION_ID, 1, 1, 4)) == []
    driver.tell(GRANT)
    assert driver.snapshot().waits_for == ""
    driver.run()
    assert driver.histories() == ["CREATED", "QUEUED", "RUNNING", "SUCCESS"]


@pytest.mark.parametrize(("behavior", "state"), [("CANCEL", "CANCELLED"), ("FAIL", "FAILED")])
def test_one_that_does_not_wait_ends(behavior: str, state: str) -> None:
    driver = asked(behavior, afterExecution=[task("z")], listeners=[{"tasks": [task("l")]}])
    driver.tell(SlotDenied(EXECUTION_ID, 1, 1, 0))
    assert driver.histories() == ["CREATED", state]
    assert f"limit is 1, with behavior {behavior}" in driver.snapshot().error
    assert not driver.jobs
    assert driver.tell(GRANT) == [RELEASED]


@pytest.mark.parametrize("queued", [True, False])
def test_a_kill_while_it_waits_ends_it_and_frees_its_seat(queued: bool) -> None:
    driver = asked(afterExecution=[task("z")])
    if queued:
        driver.tell(SlotDenied(EXECUTION_ID, 1, 1, 0))
    out = driver.tell(KillRequested(EXECUTION_ID))
    assert RELEASED in out and not driver.jobs
    assert driver.ended == "KILLED"


def test_a_slot_for_one_that_is_not_there_is_given_back() -> None:
    driver = Driver(flow(task("a"), **LIMITED))
    assert driver.tell(GRANT) == [RELEASED]
    driver.create()
    driver.tell(GRANT)
    driver.run()
    assert driver.tell(GRANT) == [RELEASED]
    assert driver.tell(SlotDenied(EXECUTION_ID, 1, 1, 0)) == []


def test_a_quarantined_execution_gives_its_slot_back() -> None:
    driver = asked()
    driver.tell(GRANT)
    run = driver.runs["a"]
    command = Result(run.id, 1, "w1", State.SUCCESS)
    out = quarantine(driver.state, command, "a bug", 2_000, 9, driver.rules, 2).outputs
    assert RELEASED in out


def test_a_forced_one_asks_beyond_the_limit_only_while_it_is_queued() -> None:
    driver = asked()
    assert driver.tell(ForceRun(EXECUTION_ID)) == []
    driver.tell(SlotDenied(EXECUTION_ID, 1, 1, 0))
    (wanted,) = driver.tell(ForceRun(EXECUTION_ID))
    assert isinstance(wanted, SlotWanted) and wanted.forced
    driver.tell(GRANT)
    assert driver.tell(ForceRun(EXECUTION_ID)) == driver.tell(ForceRun("nobody")) == []


def test_who_hears_of_more_asks_on() -> None:
    driver = asked()
    out = driver.tell(SlotGranted(EXECUTION_ID, NAMESPACE, FLOW_ID, more=True))
    assert [it for it in out if isinstance(it, SlotWanted)] == driver.of(SlotWanted)[:1]


# Both


class Company:
    """Executions on two shards and the office, with what they say to each other under way.

    What one says to another arrives in order, and some of it twice; what different ones say, in any
    order. ``watch`` holds after each command.
    """

    def __init__(self, random: Random, limit: int):
        self.random, self.limit = random, limit
        limited = {"concurrency": {"limit": limit}}
        self.document = flow(task("a"), afterExecution=[task("z")], **limited)
        self.shards = [Driver(self.document), Driver(self.document)]
        self.office = Office()
        self.under_way: dict[tuple[str, str], deque[tuple[Command, Source | None]]] = {}
        self._lost = 0
        self.said: list[tuple[str, Command, Source | None]] = []
        self.ids: list[str] = []

    def begin(self) -> None:
        shard = self.random.randint(0, 1)
        self.ids.append(derive_execution_id(shard, 1_000, len(self.ids)))
        created = ExecutionCreated(self.ids[-1], NAMESPACE, FLOW_ID, 1)
        self._arrive(f"shard{shard}", created, None)

    def hurry(self) -> None:
        """One that was restarted is killed, and restarted once more, before it has its slot."""
        waiting = [it.id for it in self.live() if it.awaits == "slot" and it.restarts]
        if waiting:
            chosen = self.random.choice(waiting)
            self._arrive(f"shard{shard_of(chosen)}", KillRequested(chosen), None)
            self._restart(chosen)

    def restart(self) -> None:
        """One that has ended, if it can be restarted."""
        self._restart(self.random.choice(self.ids))

    def _restart(self, restarted: str) -> None:
        token = f"r{len(self.said)}"
        place = shard_of(restarted)
        try:
            stored = self.shards[place].stored(restarted)
            parts = restart(stored, plan_of(self.document), token)
        except (AssertionError, Conflict):  # it is not there yet
            return
        for part in parts:
            self._arrive(f"shard{place}", part, None)

    def kill(self) -> None:
        killed = self.random.choice(self.ids)
        self._arrive(f"shard{shard_of(killed)}", KillRequested(killed), None)

    def lose(self) -> None:
        for shard in (0, 1):
            self._arrive(f"shard{shard}", WorkerLost(self._worker), None)
        self._lost += 1

    @property
    def _worker(self) -> str:
        return f"w{self._lost}"

    def deliver(self) -> bool:
        ways = [way for way, waiting in self.under_way.items() if waiting]
        if not ways:
            return False
        way = self.random.choice(ways)
        command, source = self.under_way[way].popleft()
        if source is not None:
            self.said.append((way[1], command, source))
        self._arrive(way[1], command, source)
        return True

    def repeat(self) -> None:
        """What a fold has said arrives once more: two owners folded it."""
        if self.said:
            self._arrive(*self.random.choice(self.said))

    def _arrive(self, place: str, command: Command, source: Source | None) -> None:
        if place == "office":
            outputs, offset = self._tell_office(command, source)
        else:
            driver = self.shards[int(place[-1])]
            offset = driver.stage.position.offset
            outputs = driver.fold(command, source=source).outputs
        for index, output in enumerate(outputs):
            self._send(place, output, Source(place, 0, offset, index))
        self.watch()

    def _tell_office(self, command: Command, source: Source | None) -> tuple[list[Output], int]:
        offset = self.office.stage.position.offset
        return self.office.tell(command, source), offset

    def _send(self, place: str, output: Output, source: Source) -> None:
        match output:
            case SlotWanted() | SlotReleased():
                self._put(place, "office", output, source)
            case SlotGranted() | SlotDenied():
                self._put(place, f"shard{shard_of(output.execution_id)}", output, source)
            case RestoringContinued():
                self._put(place, place, output, source)
            case Job():
                claim = Claimed(output.task_run_id, output.epoch, self._worker)
                self._put("worker", place, claim, None)
            case Granted() | Kill():
                state = State.SUCCESS if isinstance(output, Granted) else State.KILLED
                said = (output.task_run_id, output.epoch, output.worker_id, state)
                self._put("worker", place, Result(*said), None)

    def _put(self, sender: str, to: str, command: Command, source: Source | None) -> None:
        self.under_way.setdefault((sender, to), deque()).append((command, source))

    def live(self) -> list[Execution]:
        states: list[Entity] = [it for each in self.shards for it in each.state.values()]
        return [it for it in states if isinstance(it, Execution)]

    def watch(self) -> None:
        running = [it for it in self.live() if it.awaits != "slot"]
        assert len(running) <= self.limit, f"{len(running)} run, {self.limit} may"


@runs(200)
@given(st.integers(0, 2**32))
def test_no_more_than_the_limit_run_and_no_slot_is_ever_lost(seed: int) -> None:
    random = Random(seed)
    company = Company(random, random.randint(1, 3))
    deeds = [company.begin] * 2 + [company.deliver] * 12 + [company.kill, company.repeat]
    deeds += [company.restart] * 2 + [company.hurry]
    company.begin()
    for _ in range(150):
        random.choice(deeds)()
        if random.random() < 0.02:
            company.lose()
    while company.deliver():
        pass
    assert not company.live(), "these wait, but for nothing"
    assert not [it for it in company.office.stage.state.values() if isinstance(it, Seat | Standing)]

"""A stage: duplicates, time, poison, content that is not there yet, versions, expiry."""

from __future__ import annotations

from typing import Any

import pytest

from kestrapy.errors import UnknownLogicVersion
from kestrapy.machine import stage
from kestrapy.machine.commands import (
    Claimed,
    ExecutionCreated,
    ExecutionEnded,
    KillRequested,
    LogicVersion,
    Source,
    TriggerFired,
    WorkerLost,
)
from kestrapy.machine.entities import Ended
from kestrapy.machine.execution import KILL_NOTE_KEPT
from kestrapy.machine.folds import ExecutionFold
from kestrapy.machine.outputs import ExecutionEvent, Kill, Refused
from kestrapy.machine.stage import LOGIC_VERSION, Position, Stage
from kestrapy.machine.turn import ContentMissing, Rules
from kestrapy.model.ids import derive_execution_id
from kestrapy.model.state import State
from tests.machine_driver import (
    EXECUTION_ID,
    FLOW_ID,
    NAMESPACE,
    Driver,
    flow,
    parallel,
    plan_of,
    rules_of,
    task,
)

CREATED = ExecutionCreated(EXECUTION_ID, NAMESPACE, FLOW_ID, 1)


def other_id(number: int) -> str:
    return derive_execution_id(0, 1_000, "other", number)


# Duplicates


def test_what_is_not_above_its_source_is_dropped() -> None:
    driver = Driver(flow(task("a")))
    marks = [(5, 0), (5, 1), (5, 1), (5, 0), (4, 9), (6, 0), (5, 7), (7, 0)]
    passed = [
        bool(driver.fold(KillRequested(other_id(n)), source=Source("s", 0, *mark)).changes)
        for n, mark in enumerate(marks)
    ]
    assert passed == [True, True, False, False, False, True, False, True]
    assert driver.stage.position.offset == len(marks)
    assert driver.stage.position.sources == {"s/0": (7, 0)}


def test_sources_are_told_apart_by_stage_and_partition() -> None:
    driver = Driver(flow(task("a")))
    sources = [Source("s", 0, 5, 0), Source("s", 1, 5, 0), Source("t", 0, 5, 0)]
    for number, source in enumerate(sources):
        assert driver.fold(KillRequested(other_id(number)), source=source).changes


def test_commands_without_a_source_are_never_dropped() -> None:
    driver = Driver(flow(task("a")))
    claim = Claimed("x-0", 1, "w")
    assert driver.tell(claim, claim) == [Refused("w", "x-0", 1)] * 2
    assert driver.stage.position.sources == {}


def test_a_dropped_command_still_moves_the_position() -> None:
    driver = Driver(flow(task("a")))
    source = Source("s", 0, 5, 0)
    driver.fold(KillRequested("x"), at=2_000, source=source)
    driver.fold(KillRequested("y"), at=3_000, source=source)
    assert (driver.stage.position.offset, driver.stage.position.at) == (2, 3_000)


# Time


def test_time_never_goes_back() -> None:
    driver = Driver(flow(task("a")))
    driver.fold(KillRequested("x"), at=9_000)
    driver.fold(CREATED, at=3_000)
    assert driver.snapshot().histories[0].at == 9_000
    assert driver.stage.position.at == 9_000
    driver.fold(KillRequested(EXECUTION_ID), at=10_000)
    times = [it.at for it in driver.snapshot().histories]
    assert times == sorted(times)


def test_offsets_may_leave_gaps() -> None:
    driver = Driver(flow(task("a")))
    driver.stage.position.offset = 41
    driver.create()
    assert driver.of(ExecutionEvent)[0].number >> 20 == 41
    assert driver.stage.position.offset == 42


# Poison


class Broken(Exception):
    pass


def breakable(broken: list[bool]) -> Rules:
    """Rules that raise a bug while ``broken`` holds."""
    sound = rules_of(plan_of(flow(parallel("p", task("a"), task("b")))))

    def find(*name: Any) -> Any:
        if broken:
            raise Broken("planted")
        return sound.flow(*name)

    return Rules(find, sound.inline)


def test_a_poison_command_ends_its_own_execution_only() -> None:
    broken: list[bool] = []
    driver = Driver()
    driver.stage = Stage(ExecutionFold(breakable(broken)), {}, Position())
    driver.create(trigger=TriggerFired("t", "schedule", "uid")).create(other_id(1))
    for job in driver.outputs[:]:
        if hasattr(job, "task_type"):
            driver.claim(job)
    spared = {key: it for key, it in driver.state.items() if other_id(1) in key}
    step = ExecutionFold.step

    def fail(*_: Any) -> Any:
        raise Broken("planted")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ExecutionFold, "step", fail)
        folded = driver.fold_any(KillRequested(EXECUTION_ID))
    assert ExecutionFold.step is step
    assert folded.poison == "Broken: planted"
    assert driver.snapshot().error == "quarantined: Broken: planted"
    assert driver.ended == "FAILED"
    assert isinstance(driver.execution, Ended)
    assert {key: it for key, it in driver.state.items() if other_id(1) in key} == spared
    kills = [it for it in folded.outputs if isinstance(it, Kill)]
    assert [it.task_run_id for it in kills] == [f"{EXECUTION_ID}-2", f"{EXECUTION_ID}-1"]
    assert [it.state for it in folded.outputs if isinstance(it, ExecutionEnded)] == ["FAILED"]
    assert driver.tell(WorkerLost("w1")), "of the other execution"


def test_poison_before_the_beginning_is_visible_too() -> None:
    broken = [True]
    driver = Driver()
    driver.stage = Stage(ExecutionFold(breakable(broken)), {}, Position())
    trigger = TriggerFired("t", "schedule", "uid")
    folded = driver.fold_any(ExecutionCreated(EXECUTION_ID, NAMESPACE, FLOW_ID, 1, trigger=trigger))
    assert folded.poison == "Broken: planted"
    assert driver.histories() == ["CREATED", "FAILED"]
    assert driver.of(ExecutionEnded) == [ExecutionEnded("uid", EXECUTION_ID, State.FAILED)]
    broken.clear()
    driver.create(other_id(1))
    assert driver.jobs == ["a", "b"], "the partition goes on"


def test_a_command_that_can_not_even_be_quarantined_is_passed() -> None:
    broken: list[bool] = []
    driver = Driver()
    driver.stage = Stage(ExecutionFold(breakable(broken)), {}, Position())
    driver.create()
    before = dict(driver.state)
    broken.append(True)
    folded = driver.fold_any(KillRequested(EXECUTION_ID))
    assert folded.poison is not None and "quarantine" in folded.poison
    assert (folded.outputs, driver.state) == ([], before)
    broken.clear()
    driver.tell(KillRequested(EXECUTION_ID))
    assert driver.ended == "KILLED"


# Content that has not been read yet


def test_content_missing_changes_nothing_and_is_folded_later() -> None:
    driver = Driver()
    driver.fold(KillRequested("x"), at=2_000)
    state, position = dict(driver.state), Position(1, 2_000)
    source = Source("requests", 0, 9, 0)
    with pytest.raises(ContentMissing, match="revision 1"):
        driver.fold(CREATED, at=7_000, source=source)
    assert driver.state == state
    assert driver.stage.position == position
    driver.stage.fold_rules = ExecutionFold(rules_of(plan_of(flow(task("a")))))
    driver.fold(CREATED, at=7_000, source=source)
    assert driver.jobs == ["a"]
    assert driver.stage.position == Position(2, 7_000, sources={"requests/0": (9, 0)})
    assert driver.fold(CREATED, at=7_000, source=source).outputs == []


def test_content_missing_keeps_what_would_expire() -> None:
    driver = Driver(groups=())
    driver.fold(KillRequested("x"), at=2_000)
    state = dict(driver.state)
    with pytest.raises(ContentMissing):
        driver.fold(CREATED, at=2_000 + KILL_NOTE_KEPT)
    assert driver.state == state
    folded = driver.fold(KillRequested("y"), at=2_000 + KILL_NOTE_KEPT)
    assert folded.changes["k:x"] is None
    assert list(driver.state) == ["k:y"]


# Versions of the rules


def test_a_version_that_is_known() -> None:
    driver = Driver(flow(task("a")), groups=())
    driver.tell(LogicVersion(LOGIC_VERSION))
    assert driver.stage.position.version == LOGIC_VERSION


def test_new_rules_stay_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proposal of an owner that was slow comes after the one that took effect."""
    monkeypatch.setattr(stage, "KNOWN_LOGIC_VERSIONS", (2, 3))
    driver = Driver(flow(task("a")), groups=())
    driver.tell(LogicVersion(3), LogicVersion(2))
    assert driver.stage.position.version == 3


def test_a_version_that_is_unknown_is_refused() -> None:
    driver = Driver(flow(task("a")))
    with pytest.raises(UnknownLogicVersion, match="logic version 99 is in force"):
        driver.fold(LogicVersion(99))
    assert driver.stage.position == Position()
    with pytest.raises(UnknownLogicVersion):
        Stage(ExecutionFold(driver.rules), {}, Position(version=99))


# Expiry


def test_expiry_is_by_log_time_and_told_as_a_change() -> None:
    driver = Driver(flow(task("a")), groups=())
    driver.fold(KillRequested("x"), at=1_000)
    assert "k:x" not in driver.fold(KillRequested("y"), at=999 + KILL_NOTE_KEPT).changes
    assert driver.fold(KillRequested("z"), at=1_000 + KILL_NOTE_KEPT).changes["k:x"] is None
    assert sorted(driver.state) == ["k:y", "k:z"]


def test_what_was_renewed_expires_by_its_new_time() -> None:
    driver = Driver(flow(task("a")), groups=())
    driver.fold(KillRequested("x"), at=1_000)
    driver.fold(KillRequested("x"), at=5_000)
    driver.fold(KillRequested("y"), at=4_999 + KILL_NOTE_KEPT)
    assert sorted(driver.state) == ["k:x", "k:y"]
    driver.fold(KillRequested("z"), at=5_000 + KILL_NOTE_KEPT)
    assert sorted(driver.state) == ["k:y", "k:z"]


def test_a_restored_stage_expires_alike() -> None:
    driver = Driver(flow(task("a")), groups=())
    driver.fold(KillRequested("x"), at=1_000)
    restored = Stage(driver.stage.fold_rules, dict(driver.state), driver.stage.position)
    driver.stage = restored
    driver.fold(KillRequested("z"), at=1_000 + KILL_NOTE_KEPT)
    assert list(driver.state) == ["k:z"]

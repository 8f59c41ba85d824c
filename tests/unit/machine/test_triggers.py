"""Schedules: a date makes one execution."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from kestrapy.machine.commands import (
    Command,
    ExecutionEnded,
    ExecutionSubmitted,
    TriggerDefined,
    TriggerDefinition,
    TriggerDue,
    TriggerScheduled,
    TriggerToggled,
)
from kestrapy.machine.folds import trigger_fold
from kestrapy.machine.outputs import TriggerEvent
from kestrapy.machine.stage import Arrival, Position, Stage
from kestrapy.machine.triggers import TriggerState, trigger_key
from kestrapy.model.ids import shard_of, time_of
from kestrapy.model.state import State

UID = "n/f/daily"
DAILY = TriggerDefinition("daily", "schedule", inputs='{"n":1}', properties='{"cron":"@daily"}')
HOURLY = msgspec.structs.replace(DAILY, properties='{"cron":"@hourly"}')
OFF = msgspec.structs.replace(DAILY, disabled=True)
PARALLEL = msgspec.structs.replace(DAILY, allow_concurrent=True)
SHARDS = 4


class Scheduler:
    def __init__(self) -> None:
        self.stage = Stage(trigger_fold(SHARDS), {}, Position())
        self.events: list[TriggerEvent] = []

    def fold(self, *commands: Command, at: int = 1_000) -> list[ExecutionSubmitted]:
        submitted: list[ExecutionSubmitted] = []
        for command in commands:
            folded = self.stage.fold(Arrival(command, at, self.stage.position.offset))
            assert folded.poison is None
            self.events += [it for it in folded.outputs if isinstance(it, TriggerEvent)]
            submitted += [it for it in folded.outputs if isinstance(it, ExecutionSubmitted)]
        return submitted

    def define(
        self, definition: TriggerDefinition | None = DAILY, revision: int = 1, at: int = 1_000
    ) -> Scheduler:
        assert self.fold(TriggerDefined(UID, "n", "f", revision, definition), at=at) == []
        return self

    def schedule(self, date: int, at: int = 1_000) -> Scheduler:
        """Answer what the trigger wants to know."""
        trigger = self.trigger
        assert trigger.wants_date
        command = TriggerScheduled(UID, trigger.revision, trigger.after, date, date + 10_000)
        assert self.fold(command, at=at) == []
        return self

    @property
    def trigger(self) -> TriggerState:
        found = self.stage.state[trigger_key(UID)]
        assert isinstance(found, TriggerState)
        return found


@pytest.fixture
def scheduler() -> Scheduler:
    """With a trigger that waits for 20,000."""
    return Scheduler().define().schedule(20_000)


def ended(submitted: ExecutionSubmitted) -> ExecutionEnded:
    return ExecutionEnded(UID, submitted.execution_id, State.SUCCESS)


def test_a_new_trigger_wants_a_date_after_its_definition() -> None:
    trigger = Scheduler().define(at=7_000).trigger
    assert (trigger.wants_date, trigger.after, trigger.due) == (True, 7_000, 0)


def test_a_date_makes_one_execution(scheduler: Scheduler) -> None:
    (submitted,) = scheduler.fold(TriggerDue(UID, 20_000), at=20_100)
    assert time_of(submitted.execution_id) == 20_000
    assert 0 <= shard_of(submitted.execution_id) < SHARDS
    assert (submitted.namespace, submitted.flow_id, submitted.revision) == ("n", "f", 1)
    assert submitted.inputs == '{"n":1}'
    assert submitted.trigger is not None
    assert (submitted.trigger.id, submitted.trigger.uid) == ("daily", UID)
    assert json.loads(submitted.trigger.variables) == {
        "date": "1970-01-01T00:00:20.000Z",
        "next": "1970-01-01T00:00:30.000Z",
    }
    trigger = scheduler.trigger
    assert trigger.execution_id == submitted.execution_id
    assert (trigger.last, trigger.after, trigger.date, trigger.due) == (20_000, 20_000, 0, 0)
    assert trigger.wants_date
    before = dict(scheduler.stage.state)
    assert scheduler.fold(TriggerDue(UID, 20_000), at=20_100) == []
    assert scheduler.stage.state == before


def test_the_id_of_an_execution_is_its_triggers_and_dates() -> None:
    one, two = (Scheduler().define(at=at).schedule(20_000) for at in (1_000, 5_000))
    first, second = (it.fold(TriggerDue(UID, 20_000), at=n) for it, n in ((one, 20_000), (two, 9)))
    assert first == second


def test_only_the_date_that_it_waits_for(scheduler: Scheduler) -> None:
    before = dict(scheduler.stage.state)
    strange = [TriggerDue(UID, 19_999), TriggerDue(UID, 0), TriggerDue("n/f/other", 20_000)]
    assert scheduler.fold(*strange) == []
    assert scheduler.stage.state == before
    assert scheduler.stage.position.at == 1_000


@pytest.mark.parametrize(
    "answer",
    [
        TriggerScheduled(UID, 2, 1_000, 30_000, 40_000),
        TriggerScheduled(UID, 1, 999, 30_000, 40_000),
        TriggerScheduled("n/f/other", 1, 1_000, 30_000, 40_000),
    ],
)
def test_a_date_counts_only_where_it_was_asked_for(answer: TriggerScheduled) -> None:
    scheduler = Scheduler().define()
    scheduler.fold(answer)
    assert scheduler.trigger.date == 0
    scheduler.schedule(20_000)
    scheduler.fold(TriggerScheduled(UID, 1, 1_000, 50_000, 60_000))
    assert (scheduler.trigger.date, scheduler.trigger.following) == (20_000, 30_000)


def test_a_running_execution_holds_the_next_back(scheduler: Scheduler) -> None:
    (first,) = scheduler.fold(TriggerDue(UID, 20_000), at=20_000)
    scheduler.schedule(30_000, at=20_000)
    assert scheduler.fold(TriggerDue(UID, 30_000), at=30_000) == []
    trigger = scheduler.trigger
    assert (trigger.held_back, trigger.due, trigger.execution_id) == (True, 0, first.execution_id)
    assert scheduler.fold(TriggerDue(UID, 30_000), at=31_000) == []
    (second,) = scheduler.fold(ended(first), at=57_000)
    assert time_of(second.execution_id) == 30_000
    trigger = scheduler.trigger
    assert (trigger.held_back, trigger.after, trigger.last) == (False, 30_000, 30_000)
    assert second.trigger is not None
    assert json.loads(second.trigger.variables)["previous"] == "1970-01-01T00:00:20.000Z"
    assert scheduler.fold(ended(first), at=58_000) == [], "another's end"


def test_an_end_before_the_next_date_frees_the_trigger(scheduler: Scheduler) -> None:
    (first,) = scheduler.fold(TriggerDue(UID, 20_000), at=20_000)
    assert scheduler.fold(ended(first), at=21_000) == []
    assert scheduler.trigger.execution_id == ""
    scheduler.schedule(30_000, at=21_000)
    assert len(scheduler.fold(TriggerDue(UID, 30_000), at=30_000)) == 1


def test_concurrent_executions_where_they_are_allowed() -> None:
    scheduler = Scheduler().define(PARALLEL).schedule(20_000)
    (first,) = scheduler.fold(TriggerDue(UID, 20_000), at=20_000)
    scheduler.schedule(30_000, at=20_000)
    (second,) = scheduler.fold(TriggerDue(UID, 30_000), at=30_000)
    assert first.execution_id != second.execution_id


def test_a_disabled_trigger_wants_nothing() -> None:
    trigger = Scheduler().define(OFF).trigger
    assert (trigger.wants_date, trigger.due) == (False, 0)


# Definitions


def test_an_older_definition_has_no_effect(scheduler: Scheduler) -> None:
    scheduler.define(HOURLY, revision=3)
    before = dict(scheduler.stage.state)
    scheduler.define(DAILY, revision=2).define(None, revision=3).define(DAILY, revision=3)
    assert scheduler.stage.state == before


def test_an_equal_schedule_keeps_its_date(scheduler: Scheduler) -> None:
    renamed = msgspec.structs.replace(DAILY, inputs='{"n":2}')
    scheduler.define(renamed, revision=2, at=5_000)
    trigger = scheduler.trigger
    assert (trigger.date, trigger.following, trigger.after) == (20_000, 30_000, 1_000)
    (submitted,) = scheduler.fold(TriggerDue(UID, 20_000), at=20_000)
    assert (submitted.revision, submitted.inputs) == (2, '{"n":2}')


def test_another_schedule_seeks_a_date_from_now_on(scheduler: Scheduler) -> None:
    (first,) = scheduler.fold(TriggerDue(UID, 20_000), at=20_000)
    scheduler.schedule(30_000, at=20_000).define(HOURLY, revision=2, at=25_000)
    trigger = scheduler.trigger
    assert (trigger.wants_date, trigger.date, trigger.after) == (True, 0, 25_000)
    assert (trigger.last, trigger.execution_id) == (20_000, first.execution_id)
    assert scheduler.fold(TriggerDue(UID, 30_000), at=30_000) == []


def test_what_was_held_back_stays_due_in_a_new_definition(scheduler: Scheduler) -> None:
    (first,) = scheduler.fold(TriggerDue(UID, 20_000), at=20_000)
    scheduler.schedule(30_000).fold(TriggerDue(UID, 30_000), at=30_000)
    scheduler.define(PARALLEL, revision=2, at=31_000)
    assert (scheduler.trigger.due, scheduler.trigger.execution_id) == (30_000, first.execution_id)
    assert len(scheduler.fold(TriggerDue(UID, 30_000), at=31_000)) == 1


def test_what_a_disabled_trigger_missed_is_not_made_up(scheduler: Scheduler) -> None:
    scheduler.define(OFF, revision=2, at=2_000)
    assert scheduler.fold(TriggerDue(UID, 20_000), at=20_000) == []
    scheduler.define(DAILY, revision=3, at=90_000)
    assert (scheduler.trigger.wants_date, scheduler.trigger.after) == (True, 90_000)


def test_a_removed_trigger_is_forgotten(scheduler: Scheduler) -> None:
    (first,) = scheduler.fold(TriggerDue(UID, 20_000), at=20_000)
    scheduler.define(None, revision=2)
    assert scheduler.stage.state == {}
    late: list[Any] = [ended(first), TriggerDue(UID, 20_000)]
    late += [TriggerScheduled(UID, 1, 20_000, 30_000, 40_000)]
    assert scheduler.fold(*late) == []
    scheduler.define(None, revision=3)
    assert [it.deleted for it in scheduler.events] == [False, False, False, True]


def test_each_change_is_told(scheduler: Scheduler) -> None:
    (first,) = scheduler.fold(TriggerDue(UID, 20_000), at=20_000)
    scheduler.fold(ended(first), at=21_000)
    told = [(it.next_date, it.last_date, it.execution_id) for it in scheduler.events]
    assert told == [
        (None, None, None),
        (20_000, None, None),
        (None, 20_000, first.execution_id),
        (None, 20_000, None),
    ]
    numbers = [it.number for it in scheduler.events]
    assert numbers == sorted(set(numbers))


def test_a_disabled_trigger_makes_nothing_until_it_is_enabled(scheduler: Scheduler) -> None:
    off, on = TriggerToggled(UID, disabled=True), TriggerToggled(UID, disabled=False)
    assert scheduler.fold(off, at=5_000) == []
    assert (scheduler.trigger.due, scheduler.trigger.wants_date) == (0, False)
    assert scheduler.events[-1].disabled and scheduler.events[-1].next_date is None
    late = [TriggerScheduled(UID, 1, 1_000, 30_000, 40_000), TriggerDue(UID, 20_000), off]
    before = len(scheduler.events)
    assert scheduler.fold(*late, at=20_000) == []
    assert len(scheduler.events) == before  # said twice, it has no effect
    scheduler.fold(on, at=50_000)
    assert not scheduler.events[-1].disabled
    assert scheduler.trigger.after == 50_000  # what came meanwhile is not made up
    scheduler.schedule(60_000, at=50_000)
    assert len(scheduler.fold(TriggerDue(UID, 60_000), at=60_000)) == 1


def test_it_stays_disabled_through_revisions_of_its_flow(scheduler: Scheduler) -> None:
    scheduler.fold(TriggerToggled(UID, disabled=True))
    scheduler.define(HOURLY, revision=2)
    assert not scheduler.trigger.wants_date and scheduler.events[-1].disabled
    scheduler.define(OFF, revision=3)
    scheduler.fold(TriggerToggled(UID, disabled=False))
    assert not scheduler.trigger.wants_date  # its flow disables it as well
    scheduler.define(DAILY, revision=4)
    assert scheduler.trigger.wants_date
    scheduler.fold(TriggerToggled("n/f/other", disabled=True))
    assert scheduler.trigger.wants_date


def test_a_date_that_is_held_back_is_dropped_when_it_is_disabled(scheduler: Scheduler) -> None:
    (first,) = scheduler.fold(TriggerDue(UID, 20_000), at=20_000)
    scheduler.schedule(30_000).fold(TriggerDue(UID, 30_000), at=30_000)
    scheduler.fold(TriggerToggled(UID, disabled=True), at=31_000)
    assert scheduler.fold(ended(first), at=32_000) == []
    scheduler.fold(TriggerToggled(UID, disabled=False), at=40_000)
    assert scheduler.trigger.wants_date and not scheduler.trigger.held_back

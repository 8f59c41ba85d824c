"""Revisions of flows are numbered, and their triggers told."""

from __future__ import annotations

import msgspec

from kestrapy.machine.commands import (
    FlowSaveRequested,
    SettingChanged,
    SettingSaveRequested,
    TriggerDefined,
    TriggerDefinition,
)
from kestrapy.machine.folds import admission_fold
from kestrapy.machine.outputs import FlowRevision, Output, SettingRevision
from kestrapy.machine.stage import Arrival, Position, Stage

DAILY = TriggerDefinition("daily", "schedule", properties='{"cron":"@daily"}')
HOURLY = TriggerDefinition("hourly", "schedule", properties='{"cron":"@hourly"}')


class Admission:
    def __init__(self) -> None:
        self.stage = Stage(admission_fold(), {}, Position())

    def save(
        self,
        source: str,
        *triggers: TriggerDefinition,
        at: int = 1_000,
        flow_id: str = "f",
        disabled: bool = False,
    ) -> list[Output]:
        command = FlowSaveRequested("n", flow_id, source, disabled, triggers)
        folded = self.stage.fold(Arrival(command, at, self.stage.position.offset))
        assert folded.poison is None
        return folded.outputs


def test_revisions_rise() -> None:
    admission = Admission()
    assert admission.save("one", at=5) == [FlowRevision("n", "f", 1, "one", 5)]
    assert admission.save("two", at=6) == [FlowRevision("n", "f", 2, "two", 6)]
    assert admission.save("one", at=7) == [FlowRevision("n", "f", 3, "one", 7)]
    assert admission.save("one", at=8, flow_id="g") == [FlowRevision("n", "g", 1, "one", 8)]


def test_equal_content_is_answered_with_the_revision_that_there_is() -> None:
    admission = Admission()
    admission.save("one", DAILY, at=5)
    before = dict(admission.stage.state)
    assert admission.save("one", DAILY, at=9) == [FlowRevision("n", "f", 1, "one", 5)]
    assert admission.stage.state == before


def test_settings_are_numbered_and_told_to_every_shard() -> None:
    stage = Stage(admission_fold(), {}, Position())

    def save(content: str, at: int) -> list[Output]:
        command = SettingSaveRequested("workerGroup", "gpu", content)
        return stage.fold(Arrival(command, at, stage.position.offset)).outputs

    assert save("", at=4) == []  # there is none to be deleted
    first = SettingRevision("workerGroup", "gpu", 1, '{"key":"gpu"}', 5)
    told = SettingChanged("workerGroup", "gpu", 1, '{"key":"gpu"}')
    assert save('{"key":"gpu"}', at=5) == [first, told]
    assert save('{"key":"gpu"}', at=6) == [first]
    deleted = SettingChanged("workerGroup", "gpu", 2, "")
    assert save("", at=7) == [SettingRevision("workerGroup", "gpu", 2, "", 7), deleted]


def test_triggers_are_told_with_each_revision() -> None:
    admission = Admission()
    assert admission.save("one", DAILY, HOURLY)[1:] == [
        TriggerDefined("n/f/daily", "n", "f", 1, DAILY),
        TriggerDefined("n/f/hourly", "n", "f", 1, HOURLY),
    ]
    assert admission.save("two", HOURLY)[1:] == [
        TriggerDefined("n/f/hourly", "n", "f", 2, HOURLY),
        TriggerDefined("n/f/daily", "n", "f", 2, None),
    ]
    assert admission.save("three")[1:] == [TriggerDefined("n/f/hourly", "n", "f", 3, None)]
    assert admission.save("four", DAILY)[1:] == [TriggerDefined("n/f/daily", "n", "f", 4, DAILY)]


def test_triggers_of_a_disabled_flow_are_disabled() -> None:
    (defined,) = Admission().save("one", DAILY, disabled=True)[1:]
    assert isinstance(defined, TriggerDefined)
    assert defined.definition == msgspec.structs.replace(DAILY, disabled=True)

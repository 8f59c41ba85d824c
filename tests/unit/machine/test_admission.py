"""Revisions of flows are numbered, and their triggers told."""

from __future__ import annotations

import msgspec

from kestrapy.machine.commands import FlowSaveRequested, TriggerDefined, TriggerDefinition
from kestrapy.machine.folds import admission_fold
from kestrapy.machine.outputs import FlowRevision, Output
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

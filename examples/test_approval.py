"""Tests of approval.yaml: ``pytest examples/test_approval.py``."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kestrapy.testing import FlowTest


@pytest.fixture
def approval() -> Iterator[FlowTest]:
    with FlowTest(Path(__file__).with_name("approval.yaml")) as test:
        test.start()
        test.run_until("PAUSED")
        yield test


def test_it_goes_on_with_what_it_was_told(approval: FlowTest) -> None:
    approval.resume({"copies": 3})
    execution = approval.run_until("SUCCESS")
    assert execution.messages("print") == ["3 copies, reason: none given"]


def test_it_stays_paused_where_that_makes_no_sense(approval: FlowTest) -> None:
    approval.resume({"copies": 0})
    approval.advance(60)
    (execution,) = approval.executions
    assert execution.state == "PAUSED"
    approval.resume({"copies": 1, "reason": "a mistake"})
    assert approval.run_until("SUCCESS").messages("print") == ["1 copies, reason: a mistake"]


def test_nobody_answers(approval: FlowTest) -> None:
    execution = approval.run_until("CANCELLED")
    assert "print" not in execution
    assert len(execution.messages("tell")) == 1

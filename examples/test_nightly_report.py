"""Tests of nightly-report.yaml: ``pytest examples/test_nightly_report.py``."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kestrapy.testing import FlowTest

HOUR = 3_600_000


@pytest.fixture
def report() -> Iterator[FlowTest]:
    with FlowTest(Path(__file__).with_name("nightly-report.yaml")) as test:
        yield test


def test_the_figures_are_sent_in_the_morning(report: FlowTest) -> None:
    report.result("fetch", outputs={"vars": {"total": 42}})

    execution = report.run(inputs={"day": "2026-02-03"})

    assert execution.state == "SUCCESS"
    assert execution.messages("send") == ["figures of 2026-02-03: 42"]
    assert execution.ended is not None
    assert execution.ended - execution.started >= 8 * HOUR


def test_a_source_that_is_away_for_an_hour_is_asked_again(report: FlowTest) -> None:
    report.result("fetch", state="FAILED", error="503", times=1)
    report.result("fetch", outputs={"vars": {"total": 7}})

    execution = report.run()

    assert [attempt.state for attempt in execution["fetch"].attempts] == ["FAILED", "SUCCESS"]
    assert "alert" not in execution


def test_a_source_that_stays_away_is_told(report: FlowTest) -> None:
    report.result("fetch", state="FAILED", error="503")

    execution = report.run()

    assert execution.state == "FAILED"
    assert len(execution["fetch"].attempts) == 3
    assert execution.messages("alert") == ["no figures of 2026-01-01"]
    assert "send" not in execution


def test_it_can_be_killed_in_the_night(report: FlowTest) -> None:
    report.result("fetch", outputs={"vars": {"total": 42}})
    execution = report.start()

    report.advance(seconds=3600)
    assert execution["until-morning"].state == "RUNNING"
    report.kill()
    report.run_until("KILLED")

    assert "send" not in execution

"""Tests of one-at-a-time.yaml: ``pytest examples/test_one_at_a_time.py``."""

from pathlib import Path

from kestrapy.testing import FlowTest


def test_the_second_execution_waits_for_the_first() -> None:
    with FlowTest(Path(__file__).with_name("one-at-a-time.yaml")) as test:
        first = test.start()
        second = test.start()
        test.run_until("RUNNING", first)
        test.run_until("QUEUED", second)
        test.run_until("SUCCESS", second)
        assert first.state == "SUCCESS"
        assert second["work"].started >= first.ended

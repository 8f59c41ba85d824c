"""Lists of tasks: what starts when, and in which state their owner ends."""

from __future__ import annotations

import pytest

from kestrapy.machine.outputs import Job
from tests.machine_driver import Document, Driver, constant, flow, parallel, sequential, task


def test_a_sequence_runs_one_after_the_other() -> None:
    driver = Driver(flow(task("a"), task("b"), task("c"))).create()
    assert driver.jobs == ["a"]
    driver.claim(driver.job("a"))
    assert driver.jobs == ["a"]
    driver.result(driver.job("a"))
    assert driver.jobs == ["a", "b"]
    assert driver.run().states == {"a": "SUCCESS", "b": "SUCCESS", "c": "SUCCESS"}
    assert driver.ended == "SUCCESS"
    assert driver.histories() == ["CREATED", "RUNNING", "SUCCESS"]


def test_a_failure_ends_a_sequence() -> None:
    driver = Driver(flow(task("a"), task("b"))).create().run(a=["fail"])
    assert driver.states == {"a": "FAILED"}
    assert driver.ended == "FAILED"


def test_a_parallel_starts_all_and_waits_for_all() -> None:
    driver = Driver(flow(parallel("p", task("a"), task("b")), task("c"))).create()
    assert driver.jobs == ["a", "b"]
    driver.claim(driver.job("b"))
    driver.result(driver.job("b"))
    assert driver.jobs == ["a", "b"]
    driver.claim(driver.job("a"))
    driver.result(driver.job("a"))
    assert driver.jobs == ["a", "b", "c"]
    assert driver.histories("p") == ["CREATED", "RUNNING", "SUCCESS"]


def test_a_failure_in_a_parallel_lets_what_runs_end_and_nothing_more_begin() -> None:
    tasks = [task(name) for name in "abcd"]
    driver = Driver(flow(parallel("p", *tasks, concurrent=2), task("z"))).create().run(a=["fail"])
    assert driver.states == {"p": "FAILED", "a": "FAILED", "b": "SUCCESS"}
    assert driver.ended == "FAILED"


def test_a_parallel_without_a_limit_starts_all_whatever_becomes_of_the_first() -> None:
    failing = {"id": "a", "type": "switch", "value": "y", "cases": {"x": [task("never")]}}
    driver = Driver(flow(parallel("p", failing, task("b"), task("c")))).create().run()
    assert driver.states == {"p": "FAILED", "a": "FAILED", "b": "SUCCESS", "c": "SUCCESS"}


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_concurrent_limits_what_is_open(limit: int) -> None:
    driver = Driver(flow(parallel("p", *(task(f"t{n}") for n in range(6)), concurrent=limit)))
    driver.create()
    for done in range(6):
        assert len(driver.jobs) == min(6, done + limit)
        job = driver.of(Job)[done]
        driver.claim(job)
        driver.result(job)
    assert driver.jobs == [f"t{n}" for n in range(6)]
    assert driver.ended == "SUCCESS"


def test_nested_lists_end_up_to_the_root() -> None:
    inner = sequential("inner", parallel("deep", task("a"), task("b")), task("c"))
    driver = Driver(flow(sequential("outer", inner), task("d"))).create().run()
    assert driver.jobs == ["a", "b", "c", "d"]
    assert set(driver.states.values()) == {"SUCCESS"}
    assert driver.snapshot("inner").parent_id == driver.snapshot("outer").id
    assert driver.snapshot("a").parent_id == driver.snapshot("deep").id
    assert driver.snapshot("d").parent_id == ""


def test_a_nested_failure_fails_each_list_around_it() -> None:
    driver = Driver(flow(sequential("o", sequential("i", task("a"), task("b")), task("c"))))
    driver.create().run(a=["fail"])
    assert driver.states == {"o": "FAILED", "i": "FAILED", "a": "FAILED"}


def test_disabled_tasks_leave_no_trace() -> None:
    off = sequential("off", task("x"), disabled=True)
    driver = Driver(flow(task("a", disabled=True), off, task("b"))).create().run()
    assert driver.states == {"b": "SUCCESS"}
    empty = Driver(flow(parallel("p", task("a", disabled=True)), task("b", disabled=True)))
    assert empty.create().states == {"p": "SUCCESS"}
    assert empty.ended == "SUCCESS"


def test_errors_run_after_a_failure_only() -> None:
    document = flow(task("a"), task("b"), errors=[task("e1"), task("e2")])
    failed = Driver(document).create().run(a=["fail"])
    assert failed.jobs == ["a", "e1", "e2"]
    assert failed.ended == "FAILED"
    assert Driver(document).create().run().jobs == ["a", "b"]


def test_a_failure_in_errors_does_not_end_them() -> None:
    document = flow(task("a"), errors=[task("e1"), task("e2")], **{"finally": [task("f")]})
    driver = Driver(document).create().run(a=["fail"], e1=["fail"])
    assert driver.jobs == ["a", "e1", "e2", "f"]
    assert driver.ended == "FAILED"


def test_errors_wait_for_what_is_open() -> None:
    inner = parallel("p", task("a"), task("b"), errors=[task("e")])
    driver = Driver(flow(inner)).create()
    for name in ("a", "b"):
        driver.claim(driver.job(name))
    driver.run(a=["fail"], b=["silent"])
    assert driver.jobs == ["a", "b"]
    driver.result(driver.job("b"))
    assert driver.jobs == ["a", "b", "e"]


def test_finally_runs_whatever_came_before() -> None:
    document = flow(task("a"), errors=[task("e")], **{"finally": [task("f1"), task("f2")]})
    assert Driver(document).create().run().jobs == ["a", "f1", "f2"]
    failed = Driver(document).create().run(a=["fail"])
    assert failed.jobs == ["a", "e", "f1", "f2"]
    assert failed.ended == "FAILED"
    assert Driver(document).create().run(f1=["fail"]).jobs == ["a", "f1", "f2"]


@pytest.mark.parametrize("word", ["fail", "warning"])
def test_the_state_follows_from_the_tasks_not_from_what_cleans_up(word: str) -> None:
    inner = sequential("s", task("a"), errors=[task("e")], **{"finally": [task("f")]})
    document = flow(inner, task("b"), **{"finally": [task("last")]})
    cleaned = Driver(document).create().run(f=[word], last=[word])
    assert (cleaned.states["s"], cleaned.ended) == ("SUCCESS", "SUCCESS")
    assert cleaned.jobs == ["a", "f", "b", "last"]
    failed = Driver(document).create().run(a=["fail"], e=[word], f=[word])
    assert (failed.states["s"], failed.ended) == ("FAILED", "FAILED")


def test_a_warning_is_not_made_a_failure_by_what_cleans_up() -> None:
    document = flow(task("a"), **{"finally": [task("f")]})
    assert Driver(document).create().run(a=["warning"], f=["fail"]).ended == "WARNING"


def test_blocks_of_a_flowable_are_its_own() -> None:
    inner = sequential("s", task("a"), errors=[task("e")], **{"finally": [task("f")]})
    document = flow(inner, task("b"), errors=[task("outer")])
    assert Driver(document).create().run(a=["fail"]).jobs == ["a", "e", "f", "outer"]
    assert Driver(document).create().run().jobs == ["a", "f", "b"]


def test_errors_of_a_parallel_run_in_sequence() -> None:
    inner = parallel("p", task("a"), errors=[task("e1"), task("e2")])
    driver = Driver(flow(inner)).create().run(a=["fail"], e1=["silent"])
    assert driver.jobs == ["a", "e1"]


def test_a_block_of_disabled_tasks_is_passed() -> None:
    document = flow(
        task("a"), errors=[task("e", disabled=True)], **{"finally": [task("f", disabled=True)]}
    )
    assert Driver(document).create().run(a=["fail"]).ended == "FAILED"
    assert Driver(document).create().run().ended == "SUCCESS"


@pytest.mark.parametrize(
    ("properties", "word", "state", "end"),
    [
        ({}, "warning", "WARNING", "WARNING"),
        ({"allowWarning": True}, "warning", "SUCCESS", "SUCCESS"),
        ({"allowFailure": True}, "fail", "WARNING", "WARNING"),
        ({"allowFailure": True, "allowWarning": True}, "fail", "SUCCESS", "SUCCESS"),
        ({"allowWarning": True}, "fail", "FAILED", "FAILED"),
        ({"allowFailure": True}, "success", "SUCCESS", "SUCCESS"),
    ],
)
def test_what_a_task_allows(properties: Document, word: str, state: str, end: str) -> None:
    driver = Driver(flow(task("a", **properties))).create().run(a=[word])
    assert driver.states == {"a": state}
    assert driver.ended == end


def test_what_a_flowable_allows_its_children() -> None:
    inner = sequential("s", task("a"), task("b"), allowFailure=True, errors=[task("e")])
    driver = Driver(flow(inner, task("c"), errors=[task("never")])).create().run(a=["fail"])
    assert driver.states == {"s": "WARNING", "a": "FAILED", "e": "SUCCESS", "c": "SUCCESS"}
    assert driver.ended == "WARNING"


def test_a_warning_of_a_child_is_its_parents() -> None:
    driver = Driver(flow(sequential("s", task("a")), task("b"))).create().run(a=["warning"])
    assert driver.states == {"s": "WARNING", "a": "WARNING", "b": "SUCCESS"}
    assert driver.ended == "WARNING"


def test_allowed_failure_is_seen_after_the_last_retry_only() -> None:
    lenient = task("a", allowFailure=True, retry=constant(maxAttempts=2))
    driver = Driver(flow(lenient)).create().run(a=["fail"])
    assert driver.jobs == ["a", "a"]
    assert driver.ended == "WARNING"

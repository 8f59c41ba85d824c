"""Ready jobs wait in lines and are published in turns; groups are known by commands."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from kestrapy.machine import jobs as machine_jobs
from kestrapy.machine.commands import (
    Claimed,
    GroupLive,
    KillRequested,
    NoWorker,
    PublishAgain,
    SettingChanged,
    TimerDue,
    Undeliverable,
    WorkerLost,
)
from kestrapy.machine.entities import Execution, Group, Line, Place, TaskRun, group_key
from kestrapy.machine.groups import LEAST_PUBLISHED
from kestrapy.machine.outputs import ExecutionEvent, Job, JobCopy, Output
from kestrapy.machine.task_runs import MISSING_TOPIC_AGAIN, REPUBLISH_AFTER
from kestrapy.model.ids import derive_execution_id
from kestrapy.model.state import State
from kestrapy.model.worker_group import (
    GROUP,
    NAMESPACE,
    Fallback,
    GroupSettings,
    NamespaceSettings,
    WorkerGroupRef,
    encode,
)
from tests.machine_driver import EXECUTION_ID, Driver, constant, flow, parallel, task
from tests.machine_referee import Referee

MANY = 12


def many(**properties: Any) -> Driver:
    """MANY jobs of one execution at once; nobody knows of a live worker."""
    tasks = (task(f"t{n}", **properties) for n in range(MANY))
    return Driver(flow(parallel("p", *tasks)), groups=())


def group(driver: Driver, key: str = "default") -> Group:
    found = driver.state[group_key(key)]
    assert isinstance(found, Group)
    return found


def declare(driver: Driver, settings: GroupSettings, revision: int = 1) -> list[Output]:
    return driver.tell(SettingChanged(GROUP, settings.key, revision, encode(settings)))


def jobs(outputs: list[Output]) -> list[str]:
    return [it.task_id for it in outputs if isinstance(it, Job)]


def in_lines(driver: Driver) -> list[Any]:
    return [it for it in driver.state.values() if isinstance(it, Line | Place)]


# The window


def test_no_more_is_published_than_slots_will_soon_take() -> None:
    driver = many().create()
    assert driver.jobs == [f"t{n}" for n in range(LEAST_PUBLISHED)]
    assert (group(driver).published, group(driver).waiting) == (LEAST_PUBLISHED, 8)
    assert driver.states["t3"] == "SUBMITTED"
    assert driver.states["t4"] == "CREATED"


def test_a_claim_lets_the_next_one_out() -> None:
    driver = many().create()
    assert jobs(driver.claim(driver.job("t1"))) == ["t4"]
    assert jobs(driver.claim(driver.job("t1"), "w2")) == []  # it has an owner
    assert driver.runs["t4"].state is State.SUBMITTED
    Referee()(driver)


def test_more_slots_let_more_out() -> None:
    driver = many().create()
    assert jobs(driver.tell(GroupLive("default", 1, 3))) == ["t4", "t5"]
    assert jobs(driver.tell(GroupLive("default", 1, 3))) == []
    assert jobs(driver.tell(GroupLive("default", 2, 4))) == ["t6", "t7"]
    assert jobs(driver.tell(GroupLive("default", 0, 0))) == []


def test_a_shard_takes_its_share_of_the_slots() -> None:
    driver = many()
    driver.rules = driver.stage.fold_rules.rules
    object.__setattr__(driver.rules, "shards", 4)
    driver.create()
    assert jobs(driver.tell(GroupLive("default", 1, 8))) == []
    assert jobs(driver.tell(GroupLive("default", 1, 12))) == ["t4", "t5"]


def test_what_waits_and_is_killed_leaves_nothing() -> None:
    driver = many().create()
    driver.claim(driver.job("t0"))
    driver.tell(KillRequested(EXECUTION_ID)) and driver.run()
    assert driver.ended == "KILLED"
    assert in_lines(driver) == []
    assert group_key("default") not in driver.state


def test_a_job_that_leaves_makes_room_for_one_of_another_execution() -> None:
    other = EXECUTION_ID[:-1] + "0"
    driver = many().create().create(other)
    outputs = driver.tell(Undeliverable(driver.job("t0").task_run_id, 1, "too large"))
    assert jobs(outputs) == ["t4"]
    for _ in range(7):
        driver.claim(driver.of(Job)[-1])
    outputs = driver.claim(driver.of(Job)[-1])
    (job,) = [it for it in outputs if isinstance(it, Job)]
    (event,) = [it for it in outputs if isinstance(it, ExecutionEvent) and it.execution_id == other]
    assert (job.execution_id, job.chain) == (other, event.chain)
    assert event.task_run is not None
    assert event.task_run.state is State.SUBMITTED


def test_a_drained_group_gets_nothing() -> None:
    driver = many()
    declare(driver, GroupSettings("default", drained=True))
    driver.create()
    assert driver.jobs == []
    assert jobs(declare(driver, GroupSettings("default"), 2)) == ["t0", "t1", "t2", "t3"]


def test_an_older_declaration_has_no_effect() -> None:
    driver = Driver(flow(task("a")))
    declare(driver, GroupSettings("default", description="new"), 2)
    declare(driver, GroupSettings("default", description="old"), 1)
    assert group(driver).settings.description == "new"


# Order


def test_a_lost_workers_jobs_are_the_first_again() -> None:
    driver = many().create()
    for name in ("t0", "t1", "t2"):
        driver.claim(driver.job(name))
    assert jobs(driver.tell(WorkerLost("w1"))) == []  # four others are published
    for name in ("t3", "t4", "t5"):
        driver.claim(driver.job(name), "w2")
    assert driver.jobs[-3:] == ["t0", "t1", "t2"]


def test_lanes_and_namespaces_take_turns_by_weight() -> None:
    driver = Driver(
        flow(*(task("a", workerGroup={"key": "default"}),)),
        flow(task("a", workerGroup={"key": "default"}), namespace="tests.big"),
        groups=(),
    )
    declare(driver, GroupSettings("default", weights={"tests": 1, "tests.big": 3}))
    for n in range(40):
        name, revision = [("tests", 1), ("tests.big", 2)][n % 2]
        driver.create(_id(n), namespace=name, revision=revision)
    driver.run()
    order = [it.namespace for it in driver.of(Job)]
    shares = Counter(order[LEAST_PUBLISHED : LEAST_PUBLISHED + 20])
    assert 14 <= shares["tests.big"] <= 16
    assert Counter(order) == {"tests": 20, "tests.big": 20}  # nobody starves


def test_who_comes_late_does_not_get_the_turns_that_it_missed() -> None:
    driver = Driver(flow(task("a")), flow(task("a"), namespace="tests.late"), groups=())
    for n in range(60):
        driver.create(_id(n))
    for job in driver.of(Job):  # those that the claims let out are claimed too: 30 in all
        if len(driver.jobs) < 30:
            driver.claim(job)
    for n in range(10):
        driver.create(_id(100 + n), namespace="tests.late", revision=2)
    before = len(driver.jobs)
    driver.run()
    order = [it.namespace for it in driver.of(Job)][before : before + 10]
    assert Counter(order) == {"tests": 5, "tests.late": 5}


def _id(number: int) -> str:
    return derive_execution_id(0, 1_000, "lines", number)


# Fallbacks


def waiting(fallback: Fallback, after: int = 0, **settings: Any) -> Driver:
    driver = Driver(flow(task("a", **settings), task("b")), groups=())
    declare(driver, GroupSettings("default", fallback=fallback, fallback_after=after))
    return driver.create()


def test_a_job_may_fail_for_want_of_workers() -> None:
    driver = waiting(Fallback("FAIL"))
    driver.tell(NoWorker(driver.job("a").task_run_id, 2))
    assert driver.states == {"a": "SUBMITTED"}
    driver.tell(NoWorker(driver.job("a").task_run_id, 1))
    assert driver.ended == "FAILED"
    assert driver.snapshot("a").error.startswith("worker group default has no live worker")


def test_a_job_may_cancel_its_execution_for_want_of_workers() -> None:
    driver = waiting(Fallback("CANCEL"))
    driver.tell(NoWorker(driver.job("a").task_run_id, 1))
    assert (driver.ended, driver.snapshot().error) == ("KILLED", "")
    assert driver.histories() == ["CREATED", "RUNNING", "KILLING", "KILLED"]


def test_a_job_may_go_to_another_group_for_want_of_workers() -> None:
    driver = waiting(Fallback("GROUP", "spare"))
    declare(driver, GroupSettings("spare", fallback=Fallback("GROUP", "default")))
    (job,) = [
        it for it in driver.tell(NoWorker(driver.job("a").task_run_id, 1)) if isinstance(it, Job)
    ]
    assert (job.worker_group, job.epoch) == ("spare", 2)
    assert group(driver).published == 0
    assert driver.snapshot("a").worker_group == "spare"
    # It doesn't go to and fro between two groups that stand in for each other.
    assert driver.tell(NoWorker(job.task_run_id, 2)) == []
    driver.run()
    assert driver.ended == "SUCCESS"


@pytest.mark.parametrize("spare", [None, GroupSettings("spare", namespaces=("other",))])
def test_a_job_fails_whose_other_group_may_not_run_it(spare: GroupSettings | None) -> None:
    driver = waiting(Fallback("GROUP", "spare"))
    if spare is not None:
        declare(driver, spare)
    driver.tell(NoWorker(driver.job("a").task_run_id, 1))
    assert driver.ended == "FAILED"
    assert driver.snapshot("a").error.startswith("fallback of worker group default: ")
    assert "spare" in driver.snapshot("a").error


def test_a_job_waits_where_nothing_else_is_said() -> None:
    driver = waiting(Fallback())
    assert driver.tell(NoWorker(driver.job("a").task_run_id, 1)) == []


def test_workers_that_live_are_waited_for() -> None:
    driver = waiting(Fallback("FAIL"))
    driver.tell(GroupLive("default", 1, 4))
    assert driver.tell(NoWorker(driver.job("a").task_run_id, 1)) == []
    declare(driver, GroupSettings("default", drained=True), 2)
    driver.tell(NoWorker(driver.job("a").task_run_id, 1))
    assert driver.ended == "FAILED"


def test_what_has_an_owner_does_not_fall_back() -> None:
    driver = waiting(Fallback("FAIL"))
    driver.claim(driver.job("a"))
    assert driver.tell(NoWorker(driver.job("a").task_run_id, 1)) == []


# Losses


def test_a_job_whose_workers_keep_dying_is_stopped_and_named() -> None:
    driver = Driver(flow(task("a", retry=constant())), groups=())
    declare(driver, GroupSettings("default", max_resubmissions=2))
    driver.create().run(a=["lost"])
    told = driver.snapshot("a")
    assert driver.ended == "FAILED"
    assert [str(it.histories[-1].state) for it in told.attempts] == ["RESUBMITTED"] * 2 + ["FAILED"]
    assert "3 workers were lost while they ran it (w1, w1', w1'')" in told.error


# Jobs that their topic does not have


def test_a_job_is_published_again_after_half_of_the_retention() -> None:
    driver = Driver(flow(task("a")), groups=()).create()
    run = driver.runs["a"]
    assert run.due == driver.at + REPUBLISH_AFTER
    assert jobs(driver.tell(TimerDue(run.id, run.due))) == ["a"]
    assert group(driver).published == 1


def test_a_job_is_published_again_in_a_topic_that_was_made_anew() -> None:
    driver = Driver(flow(task("a")), groups=()).create()
    run = driver.runs["a"]
    assert jobs(driver.tell(PublishAgain(run.id, run.due))) == ["a"]
    assert driver.stage.position.at == driver.at  # that time has not come
    assert driver.tell(PublishAgain(run.id, run.due)) == []
    driver.claim(run)
    assert driver.tell(PublishAgain(run.id, 0)) == []


def test_a_topic_that_nobody_declared_is_not_waited_for() -> None:
    driver = Driver(flow(task("a")), groups=()).create()
    driver.tell(Undeliverable(driver.job("a").task_run_id, 1, "no topic", missing=True))
    assert (driver.ended, driver.snapshot("a").error) == ("FAILED", "no topic")


def test_a_job_is_sent_where_a_worker_is_free() -> None:
    driver = Driver(flow(task("a")), groups=()).create()
    run = driver.runs["a"]
    (copy,) = [
        it for it in driver.tell(PublishAgain(run.id, run.due, 3)) if isinstance(it, JobCopy)
    ]
    assert (copy.partition, copy.job.epoch) == (3, 1)
    assert isinstance(driver.execution, Execution)
    assert copy.job.chain == driver.execution.chain
    assert group(driver).published == 1


def test_a_declared_groups_missing_topic_is_waited_for() -> None:
    driver = Driver(flow(task("a")), groups=())
    declare(driver, GroupSettings("default"))
    run_id = driver.create().job("a").task_run_id
    driver.tell(Undeliverable(run_id, 1, "missing", missing=True))
    assert driver.runs["a"].due == driver.at + MISSING_TOPIC_AGAIN
    assert jobs(driver.tell(TimerDue(run_id, driver.runs["a"].due))) == ["a"]


# What goes out for two executions at once


def test_each_output_has_the_trace_of_its_own_execution() -> None:
    other = EXECUTION_ID[:-1] + "0"
    driver = many().create(traceparent="mine").create(other, traceparent="theirs")
    for _ in range(8):
        driver.claim(driver.of(Job)[-1])
    folded = driver.fold(Claimed(driver.job("t0").task_run_id, 1, "w9"))
    assert len(folded.traces) == len(folded.outputs)
    traces = {
        it.execution_id: trace
        for it, trace in zip(folded.outputs, folded.traces, strict=True)
        if isinstance(it, Job | ExecutionEvent)
    }
    assert traces == {EXECUTION_ID: "mine", other: "theirs"}


# Defaults


def test_a_namespaces_default_holds_below_it() -> None:
    driver = Driver(flow(task("a")), groups=())
    declare(driver, GroupSettings("gpu"))
    settings = NamespaceSettings("", WorkerGroupRef("gpu"))
    driver.tell(SettingChanged(NAMESPACE, "", 1, encode(settings)))
    assert driver.create().job("a").worker_group == "gpu"
    driver.tell(SettingChanged(NAMESPACE, "", 2, ""))
    assert driver.create(_id(1)).job("a").worker_group == "default"


def test_a_task_that_no_group_runs_may_be_allowed_to_fail() -> None:
    document = flow(task("a", workerGroup={"key": "{{ 'none' }}"}, allowFailure=True))
    assert Driver(document).create().ended == "WARNING"


def test_a_bug_in_publishing_harms_the_execution_that_it_is_about(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    driver = many().create()
    other = EXECUTION_ID[:-1] + "0"
    driver.create(other)
    job_of = machine_jobs.job_of

    def broken(turn: Any, run: TaskRun) -> Job:
        if run.execution_id == other:
            raise ZeroDivisionError("planted")
        return job_of(turn, run)

    monkeypatch.setattr(machine_jobs, "job_of", broken)
    driver.run()
    ends = {
        it.execution_id: it.execution
        for it in driver.of(ExecutionEvent)
        if it.execution is not None and it.execution.state.is_terminal
    }
    assert ends[EXECUTION_ID].state is State.SUCCESS
    assert ends[other].state is State.FAILED
    assert "planted" in ends[other].error
    assert in_lines(driver) == []


def test_a_job_may_fail_with_its_worker() -> None:
    driver = Driver(flow(task("a", onWorkerLost="FAIL"))).create().run(a=["lost"])
    assert driver.ended == "FAILED"
    assert driver.snapshot("a").error == "its worker w1 was lost, and onWorkerLost is FAIL"


def test_a_failure_by_loss_is_retried_where_there_is_a_retry() -> None:
    document = flow(task("a", onWorkerLost="FAIL", retry=constant(maxAttempts=3)))
    driver = Driver(document).create().run(a=["lost", "success"])
    assert driver.ended == "SUCCESS"


def test_a_key_that_gives_no_group_fails_its_task_run() -> None:
    document = flow(task("a", workerGroup={"key": "{{ vars.group }}"}), variables={"group": "no"})
    driver = Driver(document).create()
    assert driver.ended == "FAILED"
    assert "`no`" in driver.snapshot("a").error

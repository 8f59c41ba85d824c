"""Claims, results, losses: each epoch has one owner at most, and one result that counts."""

from __future__ import annotations

from typing import Any

import pytest

from kestrapy.machine.commands import (
    Claimed,
    Command,
    Held,
    KillRequested,
    Result,
    Returned,
    TimerDue,
    Undeliverable,
    WorkerLost,
)
from kestrapy.machine.entities import Holder, TaskRun, holder_key
from kestrapy.machine.epochs import DEAD_KEPT
from kestrapy.machine.outputs import ExecutionEvent, Granted, Job, Kill, Refused
from kestrapy.machine.task_runs import KILL_AGAIN, KILL_GIVEN_UP, REPUBLISH_AFTER
from kestrapy.model.state import State
from tests.machine_driver import EXECUTION_ID, Driver, constant, flow, parallel, sequential, task


@pytest.fixture
def driver() -> Driver:
    """An execution whose first task was submitted."""
    return Driver(flow(task("a"), task("b"))).create()


def answers(outputs: list[Any]) -> list[Any]:
    return [it for it in outputs if isinstance(it, Granted | Refused | Kill)]


def unmoved(driver: Driver, *commands: Command) -> None:
    """None of the commands has any effect."""
    before = dict(driver.state)
    assert driver.tell(*commands) == []
    assert driver.state == before


def held(driver: Driver, worker: str = "w1") -> Holder:
    holder = driver.state[holder_key(worker)]
    assert isinstance(holder, Holder)
    return holder


# Claims


def test_the_first_claim_is_granted(driver: Driver) -> None:
    job = driver.job("a")
    assert driver.runs["a"].state is State.SUBMITTED
    assert answers(driver.claim(job)) == [Granted("w1", job.task_run_id, 1)]
    run = driver.runs["a"]
    assert (run.state, run.worker_id, run.epoch, run.due) == (State.RUNNING, "w1", 1, 0)
    assert held(driver).held == (job.task_run_id,)
    assert driver.histories("a") == ["CREATED", "SUBMITTED", "RUNNING"]


def test_a_repeated_claim_is_answered_alike_and_moves_nothing(driver: Driver) -> None:
    job = driver.job("a")
    driver.claim(job)
    before = dict(driver.state)
    assert driver.claim(job) == [Granted("w1", job.task_run_id, 1)]
    assert driver.state == before


def test_a_second_claim_is_refused(driver: Driver) -> None:
    job = driver.job("a")
    driver.claim(job)
    assert driver.claim(job, "w2") == [Refused("w2", job.task_run_id, 1)]
    assert driver.runs["a"].worker_id == "w1"
    assert holder_key("w2") not in driver.state


@pytest.mark.parametrize("epoch", [0, 2, -1, 1 << 40])
def test_a_claim_of_another_epoch_is_refused(driver: Driver, epoch: int) -> None:
    claim = Claimed(driver.runs["a"].id, epoch, "w1")
    assert driver.tell(claim) == [Refused("w1", claim.task_run_id, epoch)]
    assert driver.runs["a"].state is State.SUBMITTED


@pytest.mark.parametrize("name", ["", "x", "nobody-0", f"{EXECUTION_ID}-7", f"{EXECUTION_ID}-"])
def test_a_claim_of_the_unknown_is_refused(driver: Driver, name: str) -> None:
    assert driver.tell(Claimed(name, 1, "w1")) == [Refused("w1", name, 1)]


def test_a_claim_after_the_end_is_refused(driver: Driver) -> None:
    job = driver.job("a")
    driver.run()
    assert driver.claim(job) == [Refused("w1", job.task_run_id, 1)]


def test_a_worker_is_watched_from_its_first_grant_on(driver: Driver) -> None:
    driver.run()
    assert driver.jobs == ["a", "b"]
    assert driver.of(Held) == [Held("w1")]


def test_a_dead_workers_claim_is_refused_and_the_job_goes_out_anew(driver: Driver) -> None:
    job = driver.job("a")
    driver.tell(WorkerLost("w1"))
    outputs = driver.claim(job)
    assert answers(outputs) == [Refused("w1", job.task_run_id, 1)]
    assert [it.epoch for it in outputs if isinstance(it, Job)] == [2]
    assert answers(driver.claim(job, "w2")) == [Refused("w2", job.task_run_id, 1)]
    assert answers(driver.claim(driver.job("a"), "w2")) == [Granted("w2", job.task_run_id, 2)]


def test_a_dead_worker_stays_dead(driver: Driver) -> None:
    driver.tell(WorkerLost("w1"))
    for epoch in range(2, 6):
        driver.claim(driver.job("a"))
        assert (driver.runs["a"].state, driver.runs["a"].epoch) == (State.SUBMITTED, epoch)


# Results


def test_a_result_counts_once(driver: Driver) -> None:
    job = driver.job("a")
    driver.claim(job)
    driver.result(job, outputs='{"value":1}')
    assert driver.states == {"a": "SUCCESS", "b": "SUBMITTED"}
    assert driver.snapshot("a").outputs == '{"value":1}'
    assert held(driver).held == ()
    unmoved(driver, Result(job.task_run_id, 1, "w1", State.FAILED))


def test_a_result_counts_from_owner_and_epoch_only(driver: Driver) -> None:
    run_id = driver.job("a").task_run_id
    unmoved(driver, Result(run_id, 1, "w1", State.SUCCESS))
    driver.claim(driver.job("a"))
    unmoved(
        driver,
        Result(run_id, 1, "w2", State.SUCCESS),
        Result(run_id, 0, "w1", State.SUCCESS),
        Result(run_id, 2, "w1", State.SUCCESS),
        Result("nothing-0", 1, "w1", State.SUCCESS),
        Returned(run_id, 1, "w2"),
        Returned(run_id, 2, "w1"),
        Undeliverable(run_id, 1, "claimed already"),
    )


def test_a_result_of_a_superseded_epoch_does_not_count(driver: Driver) -> None:
    job = driver.job("a")
    driver.claim(job)
    driver.tell(WorkerLost("w1"))
    driver.claim(driver.job("a"), "w2")
    unmoved(driver, Result(job.task_run_id, 1, "w1", State.SUCCESS))
    unmoved(driver, Result(job.task_run_id, 1, "w2", State.SUCCESS))
    driver.result(driver.job("a"), worker="w2")
    assert driver.states["a"] == "SUCCESS"


@pytest.mark.parametrize("state", [it for it in State if it not in ("SUCCESS", "WARNING")])
def test_any_other_state_of_a_result_is_a_failure(driver: Driver, state: State) -> None:
    driver.claim(driver.job("a"))
    driver.result(driver.job("a"), state, error="why")
    assert driver.states == {"a": "FAILED"}
    assert driver.snapshot("a").error == "why"
    assert driver.ended == "FAILED"


@pytest.mark.parametrize("outputs", ["", "1", "[]", "{", '{"a":NaN}', "[" * 100_000])
def test_outputs_that_are_no_json_object_are_a_failure(driver: Driver, outputs: str) -> None:
    driver.claim(driver.job("a"))
    driver.result(driver.job("a"), outputs=outputs)
    assert driver.states == {"a": "FAILED"}
    assert "JSON object" in driver.snapshot("a").error
    assert driver.snapshot("a").outputs == "{}"


def test_nobody_speaks_for_a_flowable_task() -> None:
    driver = Driver(flow(sequential("s", task("a")))).create()
    run = driver.runs["s"]
    assert driver.tell(Claimed(run.id, 0, "")) == [Refused("", run.id, 0)]
    unmoved(
        driver,
        Result(run.id, 0, "", State.SUCCESS),
        Returned(run.id, 0, ""),
        Undeliverable(run.id, 0, "no"),
        TimerDue(run.id, 0),
    )


# Returned, lost, undeliverable


def test_what_is_returned_is_handed_out_anew(driver: Driver) -> None:
    job = driver.job("a")
    driver.claim(job)
    driver.tell(Returned(job.task_run_id, 1, "w1", "going down"))
    run = driver.runs["a"]
    assert (run.state, run.epoch, run.worker_id, run.failures) == (State.SUBMITTED, 2, "", 0)
    assert driver.job("a").epoch == 2
    assert [it.histories[-1].state for it in driver.snapshot("a").attempts] == ["RESUBMITTED"]
    assert held(driver) == Holder()
    assert answers(driver.claim(driver.job("a"))) == [Granted("w1", job.task_run_id, 2)]


def test_what_a_lost_worker_held_is_handed_out_anew() -> None:
    driver = Driver(flow(parallel("p", *(task(name) for name in "abc")))).create()
    driver.claim(driver.job("a"))
    driver.claim(driver.job("b"), "w2")
    driver.claim(driver.job("c"))
    outputs = driver.tell(WorkerLost("w1"))
    assert [(it.task_id, it.epoch) for it in outputs if isinstance(it, Job)] == [("a", 2), ("c", 2)]
    assert held(driver) == Holder(dead=True, until=driver.at + DEAD_KEPT)
    assert driver.runs["b"].state is State.RUNNING
    told = [it.task_run.task_id for it in outputs if isinstance(it, ExecutionEvent)]
    assert sorted(told) == ["a", "c"]
    unmoved(driver, WorkerLost("w1"))


def test_a_kill_that_a_live_worker_never_answers_ends_by_itself(driver: Driver) -> None:
    driver.claim(driver.job("a"))
    driver.tell(KillRequested(EXECUTION_ID))
    asked = driver.at
    while driver.ended == "KILLING":
        run = driver.runs["a"]
        driver.fold(TimerDue(run.id, run.due), at=run.due)
    assert driver.ended == "KILLED"
    assert driver.at == asked + KILL_GIVEN_UP
    assert len(driver.of(Kill)) == KILL_GIVEN_UP // KILL_AGAIN
    assert driver.snapshot("a").error.startswith("worker w1 did not answer the kill for 60000 ms")
    assert held(driver).held == ()


def test_losses_reach_every_execution() -> None:
    driver = Driver(flow(task("a"))).create()
    driver.create(EXECUTION_ID[:-1] + "0")
    for job in list(driver.of(Job)):
        driver.claim(job)
    outputs = driver.tell(WorkerLost("w1"))
    events = [it for it in outputs if isinstance(it, ExecutionEvent)]
    assert len({it.execution_id for it in events}) == 2
    for job, event in zip([it for it in outputs if isinstance(it, Job)], events, strict=True):
        assert (job.execution_id, job.chain) == (event.execution_id, event.chain)


def test_losing_a_stranger_marks_it_dead(driver: Driver) -> None:
    assert driver.tell(WorkerLost("w9")) == []
    assert held(driver, "w9") == Holder(dead=True, until=driver.at + DEAD_KEPT)
    unmoved(driver, WorkerLost("w9"))


def test_an_undeliverable_job_is_a_failure(driver: Driver) -> None:
    run_id = driver.job("a").task_run_id
    unmoved(driver, Undeliverable(run_id, 2, "another epoch"))
    driver.tell(Undeliverable(run_id, 1, "there is no group gpu"))
    assert driver.states == {"a": "FAILED"}
    assert driver.snapshot("a").error == "there is no group gpu"
    assert driver.ended == "FAILED"


# Timers


def test_only_the_timer_that_is_wanted_is_obeyed() -> None:
    driver = Driver(flow(task("a", retry=constant("PT2S")))).create()
    driver.claim(driver.job("a"))
    run_id = driver.job("a").task_run_id
    unmoved(driver, TimerDue(run_id, 0), TimerDue(run_id, driver.at))
    driver.result(driver.job("a"), State.FAILED)
    due = driver.runs["a"].due
    unmoved(driver, TimerDue(run_id, due - 1), TimerDue(run_id, due + 1), TimerDue("x-1", due))
    assert [it.epoch for it in driver.tell(TimerDue(run_id, due)) if isinstance(it, Job)] == [2]
    unmoved(driver, TimerDue(run_id, due))


def test_an_early_timer_sets_the_time(driver: Driver) -> None:
    """The owner's clock may be ahead of the log's: time then goes on from the timer."""
    due = driver.runs["a"].due
    driver.fold(TimerDue(driver.runs["a"].id, due), at=2_000)
    assert driver.stage.position.at == due
    driver.fold(Claimed(driver.runs["a"].id, 1, "w1"), at=2_001)
    assert driver.snapshot("a").histories[-1].at == due


def test_a_late_timer_leaves_the_time_alone(driver: Driver) -> None:
    run = driver.runs["a"]
    driver.fold(TimerDue(run.id, run.due), at=run.due + 777)
    assert driver.stage.position.at == run.due + 777


def test_a_timer_that_is_not_wanted_does_not_move_time(driver: Driver) -> None:
    unmoved(driver, TimerDue(driver.runs["a"].id, 10**18))
    assert driver.stage.position.at == driver.at


def test_an_unclaimed_job_is_published_again_under_its_epoch(driver: Driver) -> None:
    run = driver.runs["a"]
    first = driver.job("a")
    assert run.due == driver.at + REPUBLISH_AFTER
    (again,) = driver.tell(TimerDue(run.id, run.due))
    assert isinstance(again, Job)
    assert (again.task_run_id, again.epoch, again.task) == (run.id, 1, first.task)
    assert driver.runs["a"].due == run.due + REPUBLISH_AFTER
    assert answers(driver.claim(again)) == [Granted("w1", run.id, 1)]


# Kills


def kill(driver: Driver) -> list[Any]:
    return driver.tell(KillRequested(EXECUTION_ID))


def test_killing_what_nobody_claimed_ends_at_once(driver: Driver) -> None:
    job = driver.job("a")
    assert answers(kill(driver)) == []
    assert driver.ended == "KILLED"
    assert driver.states == {"a": "KILLED"}
    assert driver.histories() == ["CREATED", "RUNNING", "KILLING", "KILLED"]
    assert driver.claim(job) == [Refused("w1", job.task_run_id, 1)]


def test_killing_what_runs_asks_its_owner(driver: Driver) -> None:
    job = driver.job("a")
    driver.claim(job)
    assert answers(kill(driver)) == [Kill("w1", job.task_run_id, 1)]
    assert (driver.ended, driver.states) == ("KILLING", {"a": "KILLING"})
    unmoved(driver, KillRequested(EXECUTION_ID))
    assert driver.claim(job) == [Kill("w1", job.task_run_id, 1)]
    assert driver.claim(job, "w2") == [Refused("w2", job.task_run_id, 1)]
    driver.result(job, State.SUCCESS)
    assert (driver.ended, driver.states) == ("KILLED", {"a": "KILLED"})
    assert driver.snapshot("a").attempts[0].histories[-1].state == "KILLED"


@pytest.mark.parametrize("state", list(State))
def test_any_result_of_a_killed_run_is_killed(driver: Driver, state: State) -> None:
    driver.claim(driver.job("a"))
    kill(driver)
    driver.result(driver.job("a"), state, outputs="not JSON" if state is State.PAUSED else "{}")
    assert driver.ended == "KILLED"


def test_an_unanswered_kill_is_sent_again(driver: Driver) -> None:
    driver.claim(driver.job("a"))
    kill(driver)
    for _ in range(3):
        run = driver.runs["a"]
        assert run.due > driver.at
        assert driver.tell(TimerDue(run.id, run.due)) == [Kill("w1", run.id, 1)]


def test_killing_between_attempts_ends_at_once() -> None:
    driver = Driver(flow(task("a", retry=constant()), task("b"))).create()
    driver.claim(driver.job("a"))
    driver.result(driver.job("a"), State.FAILED)
    run = driver.runs["a"]
    kill(driver)
    assert driver.ended == "KILLED"
    unmoved(driver, TimerDue(run.id, run.due))


def test_a_killed_run_is_never_retried() -> None:
    driver = Driver(flow(task("a", retry=constant()))).create()
    driver.claim(driver.job("a"))
    kill(driver)
    driver.result(driver.job("a"), State.FAILED)
    assert (driver.ended, driver.jobs) == ("KILLED", ["a"])


@pytest.mark.parametrize("command", ["lost", "returned"])
def test_a_killed_run_is_never_resubmitted(driver: Driver, command: str) -> None:
    job = driver.job("a")
    driver.claim(job)
    kill(driver)
    lost = WorkerLost("w1") if command == "lost" else Returned(job.task_run_id, 1, "w1")
    assert [it for it in driver.tell(lost) if isinstance(it, Job)] == []
    assert (driver.ended, driver.jobs) == ("KILLED", ["a"])


def test_a_loss_ends_all_that_was_being_killed() -> None:
    driver = Driver(flow(parallel("p", task("a"), sequential("s", task("b"))))).create()
    for name in "ab":
        driver.claim(driver.job(name))
    kill(driver)
    driver.tell(WorkerLost("w1"))
    assert driver.ended == "KILLED"
    assert set(driver.states.values()) == {"KILLED"}


def test_a_kill_reaches_into_nested_lists() -> None:
    inner = parallel("p", task("a"), sequential("s", task("b"), task("c")), task("d"))
    document = flow(sequential("o", inner), errors=[task("e")], **{"finally": [task("f")]})
    driver = Driver(document).create()
    driver.run(a=["silent"], b=["silent"])
    assert driver.states["d"] == "SUCCESS"
    assert [it.task_run_id for it in answers(kill(driver))] == [
        driver.runs["b"].id,
        driver.runs["a"].id,
    ]
    assert driver.states["s"] == driver.states["p"] == driver.states["o"] == "KILLING"
    driver.result(driver.runs["a"], State.KILLED)
    assert (driver.states["a"], driver.states["p"]) == ("KILLED", "KILLING")
    assert driver.ended == "KILLING"
    driver.result(driver.runs["b"], State.KILLED)
    assert driver.ended == "KILLED"
    assert driver.states == dict.fromkeys("opasb", "KILLED") | {"d": "SUCCESS"}
    assert sorted(driver.jobs) == ["a", "b", "d"], "neither errors nor finally"


def test_a_kill_of_nested_lists_that_nobody_holds_ends_them_all() -> None:
    driver = Driver(flow(sequential("o", parallel("p", task("a"), task("b"))))).create()
    kill(driver)
    assert set(driver.states.values()) == {"KILLED"}
    assert driver.ended == "KILLED"


def test_nothing_is_left_of_an_ended_execution_but_a_marker() -> None:
    driver = Driver(flow(task("a"), task("b")), groups=()).create().run()
    kinds = {type(it).__name__ for it in driver.state.values()}
    assert kinds == {"Ended", "Holder"}
    unmoved(driver, KillRequested(EXECUTION_ID))
    assert not [it for it in driver.state.values() if isinstance(it, TaskRun)]


@pytest.mark.parametrize(("warning", "state"), [(False, "WARNING"), (True, "SUCCESS")])
def test_an_undeliverable_job_may_be_allowed_to_fail(warning: bool, state: str) -> None:
    driver = Driver(flow(task("a", allowFailure=True, allowWarning=warning), task("b"))).create()
    driver.tell(Undeliverable(driver.job("a").task_run_id, 1, "there is no group gpu"))
    assert driver.states == {"a": state, "b": "SUBMITTED"}

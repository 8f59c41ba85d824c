"""Restarts, replays and changes of executions that have ended."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from kestrapy.errors import Conflict
from kestrapy.machine import pictures
from kestrapy.machine.commands import (
    KillRequested,
    RestoringContinued,
    SlotDenied,
    SlotGranted,
    SlotReleased,
    SlotWanted,
)
from kestrapy.machine.entities import Ended
from kestrapy.machine.outputs import ExecutionEvent, Job
from kestrapy.machine.restored import RestoredPart, Restoring
from kestrapy.model.ids import derive_execution_id
from kestrapy.model.state import State
from tests.machine_driver import (
    EXECUTION_ID,
    FLOW_ID,
    NAMESPACE,
    Document,
    Driver,
    flow,
    parallel,
    plan_of,
    sequential,
    task,
)

NEW_ID = derive_execution_id(0, 2_000, "again")


def ended(document: Document, **scripts: list[str]) -> Driver:
    return Driver(document).create().run(**scripts)


def restart(driver: Driver, document: Document, new_id: str = "") -> Driver:
    plan = plan_of(document)
    return driver.restore(pictures.restart(driver.stored(), plan, "r1", new_id))


def states(driver: Driver, execution_id: str = EXECUTION_ID) -> dict[str, str]:
    return {it.task_id: str(it.state) for it in driver.stored(execution_id).task_runs}


def names(driver: Driver) -> list[str]:
    return [
        it.task_id + (f"[{it.value}]" if it.value is not None else "")
        for it in driver.stored().task_runs
    ]


def test_a_failed_task_runs_again_in_place_and_what_follows_it() -> None:
    document = flow(task("a"), task("b"), task("c"))
    driver = ended(document, b=["fail"])
    before = driver.stored()
    restart(driver, document)
    told = driver.stored()
    assert [str(it.state) for it in told.snapshot.histories] == [
        *("CREATED", "RUNNING", "FAILED", "RESTARTED")
    ]
    assert told.snapshot.labels["system.restarted"] == "true"
    assert states(driver) == {"a": "SUCCESS", "b": "RESTARTED"}
    driver.run()
    after = driver.stored()
    assert driver.ended == "SUCCESS" and states(driver) == dict.fromkeys("abc", "SUCCESS")
    assert driver.histories("b")[3:] == ["FAILED", "RESTARTED", "SUBMITTED", "RUNNING", "SUCCESS"]
    assert [it.id for it in after.task_runs[:2]] == [it.id for it in before.task_runs]
    assert [it.epoch for it in after.task_runs] == [1, 2, 1]
    assert [it.state for it in driver.snapshot().histories][-2:] == [State.RUNNING, State.SUCCESS]


def test_readers_are_told_just_what_a_restart_changes() -> None:
    document = flow(parallel("p", task("a"), task("b")))
    driver = ended(document, b=["fail"])
    count = len(driver.of(ExecutionEvent))
    restart(driver, document)
    told = [it.task_run.task_id for it in driver.of(ExecutionEvent)[count:] if it.task_run]
    assert told == ["p", "b"]
    numbers = [it.number for it in driver.of(ExecutionEvent)]
    assert numbers == sorted(numbers)


def test_expressions_read_what_ran_before_the_restart() -> None:
    document = flow(
        task("a"), task("b", format="{{ outputs.a.value }} {{ taskrun.attemptsCount }}")
    )
    driver = ended(document, b=["fail"])
    restart(driver, document).run()
    variables = msgspec.json.decode(driver.job("b").variables)
    assert variables == {"outputs": {"a": {"value": "a#1"}}, "taskrun": {"attemptsCount": 1}}


FLOWABLE: list[tuple[Document, dict[str, list[str]], list[str]]] = [
    (
        flow(sequential("s", task("a"), task("b"), task("c")), task("d")),
        {"b": ["fail", "success"]},
        ["s", "a", "b", "c", "d"],
    ),
    (
        flow(parallel("p", task("a"), task("b"), task("c")), task("d")),
        {"a": ["fail", "success"], "b": ["fail", "success"]},
        ["p", "a", "b", "c", "d"],
    ),
    (
        flow({"id": "i", "type": "if", "condition": "{{ true }}", "then": [task("a"), task("b")]}),
        {"a": ["fail", "success"]},
        ["i", "a", "b"],
    ),
    (
        flow(
            {
                **{"id": "w", "type": "switch", "value": "x"},
                "cases": {"x": [task("a"), task("b")], "y": [task("c")]},
            }
        ),
        {"a": ["fail", "success"]},
        ["w", "a", "b"],
    ),
    (
        flow(
            {
                **{"id": "g", "type": "dag"},
                "tasks": [
                    {"task": task("a")},
                    {"task": task("b"), "dependsOn": ["a"]},
                    {"task": task("c"), "dependsOn": ["b"]},
                    {"task": task("d")},
                ],
            }
        ),
        {"b": ["fail", "success"]},
        ["g", "a", "d", "b", "c"],
    ),
    (
        flow(
            {
                **{"id": "f", "type": "forEach", "values": ["x", "y", "z"]},
                "tasks": [task("a"), task("b")],
            }
        ),
        {"a": ["fail", "success"]},
        ["f", "a[x]", "b[x]", "a[y]", "b[y]", "a[z]", "b[z]"],
    ),
    (
        flow(
            {
                **{"id": "f", "type": "forEach", "values": ["x", "y", "z"], "concurrencyLimit": 0},
                "tasks": [task("a"), task("b")],
            }
        ),
        {"a": ["success"], "b": ["fail", "success"]},
        ["f", "a[x]", "a[y]", "a[z]", "b[x]", "b[y]", "b[z]"],
    ),
]


@pytest.mark.parametrize(("document", "scripts", "expected"), FLOWABLE)
def test_lists_of_tasks_go_on(
    document: Document, scripts: dict[str, list[str]], expected: list[str]
) -> None:
    """Where a loop fails at each value for the first time, it is restarted at each."""
    driver = ended(document, **scripts)
    assert driver.ended == "FAILED"
    for _ in range(3):
        if driver.ended == "FAILED":
            restart(driver, document).run(**scripts)
    assert driver.ended == "SUCCESS", driver.states
    assert names(driver) == expected
    assert all(it.state is State.SUCCESS for it in driver.stored().task_runs)
    assert isinstance(driver.execution, Ended)
    assert all(type(it).__name__ in ("Ended", "Holder", "Group") for it in driver.state.values())


def test_what_handled_the_error_goes_and_runs_anew_at_the_next_one() -> None:
    document = flow(
        sequential("s", task("a"), errors=[task("e")]),
        errors=[task("x")],
        **{"finally": [task("z")], "afterExecution": [task("after")]},
    )
    driver = ended(document, a=["fail"])
    assert list(states(driver)) == ["s", "a", "e", "x", "z", "after"]
    restart(driver, document)
    driver.run(a=["fail"])
    assert list(states(driver)) == ["s", "a", "e", "x", "z", "after"]
    assert [it.ordinal for it in driver.stored().task_runs] == [0, 1, 6, 7, 8, 9]
    restart(driver, document).run()
    assert list(states(driver)) == ["s", "a", "z", "after"]
    assert driver.ended == "SUCCESS"


def test_a_failure_of_what_comes_at_the_end_alone_runs_that_again() -> None:
    document = flow(task("a"), **{"finally": [task("z")]})
    driver = ended(document, z=["fail"])
    restart(driver, document).run()
    assert (driver.ended, driver.jobs) == ("SUCCESS", ["a", "z", "z"])


def test_nothing_failed() -> None:
    document = flow(task("a"), **{"finally": [task("z")]})
    driver = ended(document)
    with pytest.raises(Conflict, match=r"nothing of execution .* failed"):
        restart(driver, document)


def test_a_killed_execution_goes_on() -> None:
    document = flow(parallel("p", task("a"), task("b")), task("c"))
    driver = Driver(document).create()
    driver.tell(KillRequested(EXECUTION_ID))
    assert driver.ended == "KILLED"
    restart(driver, document).run()
    assert (driver.ended, names(driver)) == ("SUCCESS", ["p", "a", "b", "c"])


def test_another_revision_makes_another_execution() -> None:
    old, new = flow(task("a"), task("b")), flow(task("a"), task("b", format="new"), task("c"))
    driver = Driver(old, new).create().run(b=["fail"])
    parts = pictures.restart(driver.stored(), plan_of(new, 2), "r1", NEW_ID)
    driver.restore(parts).run()
    stored = driver.stored(NEW_ID)
    assert stored.snapshot.original_id == EXECUTION_ID and stored.flow_revision == 2
    assert states(driver, NEW_ID) == dict.fromkeys("abc", "SUCCESS")
    assert driver.stored().snapshot.state is State.FAILED


def test_a_revision_without_a_task_that_ran_is_refused() -> None:
    old, new = flow(task("a"), task("b")), flow(task("b"))
    driver = Driver(old, new).create().run(b=["fail"])
    with pytest.raises(Conflict, match="revision 2 of the flow does not have task `a`"):
        pictures.restart(driver.stored(), plan_of(new, 2), "r1", NEW_ID)


# What is out of date, or comes twice


def test_each_part_counts_once_and_only_for_what_has_ended() -> None:
    document = flow(*(task(f"t{n}") for n in range(150)))
    driver = ended(document, t149=["fail"])
    parts = pictures.restart(driver.stored(), plan_of(document), "r1")
    assert len(parts) == 2
    driver.restore([parts[0], parts[0]])
    assert driver.ended == "FAILED"
    driver.tell(parts[1])
    assert driver.ended == "RESTARTED"
    assert driver.tell(parts[0], parts[1]) == []
    driver.run()
    assert driver.ended == "SUCCESS"
    assert driver.tell(*parts) == []


def test_an_old_picture_restores_nothing() -> None:
    document = flow(task("a"))
    driver = ended(document, a=["fail"])
    old = pictures.restart(driver.stored(), plan_of(document), "old")
    restart(driver, document).run(a=["fail"])
    assert driver.tell(*old) == []
    restart(driver, document).run()
    assert driver.ended == "SUCCESS"


def test_the_later_of_two_restorings_counts() -> None:
    document = flow(*(task(f"t{n}") for n in range(150)))
    driver = ended(document, t149=["fail"])
    first = pictures.restart(driver.stored(), plan_of(document), "first")
    second = pictures.restart(driver.stored(), plan_of(document), "second")
    driver.restore([first[0], second[0], first[1]])
    assert driver.ended == "FAILED"
    driver.tell(second[1])
    assert driver.ended == "RESTARTED"


def test_a_half_written_restoring_is_forgotten() -> None:
    document = flow(*(task(f"t{n}") for n in range(150)))
    driver = ended(document, t149=["fail"])
    driver.restore(pictures.restart(driver.stored(), plan_of(document), "r1")[:1])
    assert {type(it) for it in driver.state.values()} >= {Restoring, RestoredPart}
    driver.fold(KillRequested("another"), at=driver.at + 8 * 24 * 3600 * 1000)
    assert not {type(it) for it in driver.state.values()} & {Restoring, RestoredPart}


def test_a_kill_while_it_comes_back_ends_it() -> None:
    document = flow(*(task(f"t{n}") for n in range(250)))
    driver = ended(document, t249=["fail"])
    restart(driver, document)
    driver.tell(KillRequested(EXECUTION_ID))
    driver.run()
    assert driver.ended == "KILLED"
    assert driver.jobs.count("t249") == 1


@pytest.mark.parametrize("size", [300, 3_000])
def test_a_step_of_a_restart_costs_a_part_at_most(size: int) -> None:
    document = flow(
        {
            **{"id": "f", "type": "forEach", "concurrencyLimit": 0},
            **{"values": "{{ range(1, " + str(size) + ") }}", "tasks": [task("a")]},
        }
    )
    driver = ended(document, a=["fail", "success"])
    parts = pictures.restart(driver.stored(), plan_of(document), "r1")
    driver.restore([])
    waiting: list[Any] = list(parts)
    while waiting:
        folded = driver.fold(waiting.pop(0))
        assert len(folded.changes) < 700 and len(folded.outputs) < 400, len(folded.changes)
        waiting += [it for it in folded.outputs if isinstance(it, RestoringContinued)]
    driver.run(a=["success"])
    assert driver.ended == "SUCCESS"
    assert len([it for it in driver.of(Job) if it.epoch == 2]) == size


# Replays, marks, status


def replay(driver: Driver, document: Document, task_id: str) -> Driver:
    stored = driver.stored()
    run_id = next(it.id for it in stored.task_runs if it.task_id == task_id)
    parts = pictures.replay(stored, plan_of(document), "r1", run_id, NEW_ID)
    return driver.restore(parts)


def test_a_replay_copies_what_came_before() -> None:
    document = flow(task("a"), sequential("s", task("b"), task("c")), task("d"))
    driver = ended(document)
    replay(driver, document, "b")
    copied = driver.stored(NEW_ID)
    assert {it.task_id: str(it.state) for it in copied.task_runs} == {
        **{"a": "SUCCESS", "s": "RUNNING", "b": "RESTARTED"}
    }
    assert copied.snapshot.labels["system.replay"] == "true"
    driver.run()
    assert states(driver, NEW_ID) == dict.fromkeys(["a", "s", "b", "c", "d"], "SUCCESS")
    assert driver.jobs == ["a", "b", "c", "d", "b", "c", "d"]


def test_a_replay_of_a_task_side_by_side_leaves_the_others() -> None:
    document = flow(parallel("p", task("a"), task("b")), task("c"))
    replay(driver := ended(document), document, "a").run()
    assert driver.jobs == ["a", "b", "c", "a", "c"]


def test_a_replay_of_a_flowable_task_begins_it_anew() -> None:
    document = flow(task("a"), sequential("s", task("b")), task("c"))
    replay(driver := ended(document), document, "s").run()
    assert driver.jobs == ["a", "b", "c", "b", "c"]
    assert driver.stored(NEW_ID).snapshot.state is State.SUCCESS


def test_a_marked_task_run_counts_as_what_it_was_marked_as() -> None:
    document = flow(task("a"), sequential("s", task("b"), task("c")), errors=[task("e")])
    driver = ended(document, b=["fail"])
    run_id = driver.stored().task_runs[2].id
    parts = pictures.mark(driver.stored(), plan_of(document), "r1", run_id, State.SUCCESS)
    driver.restore(parts).run()
    assert driver.ended == "SUCCESS"
    assert states(driver) == dict.fromkeys(["a", "s", "b", "c"], "SUCCESS")
    assert driver.jobs == ["a", "b", "e", "c"]


def test_a_cancelled_task_run_cancels_the_execution() -> None:
    document = flow(task("a"), task("b"))
    driver = ended(document, a=["fail"])
    run_id = driver.stored().task_runs[0].id
    parts = pictures.mark(driver.stored(), plan_of(document), "r1", run_id, State.CANCELLED)
    driver.restore(parts).run()
    assert (driver.ended, states(driver)) == ("CANCELLED", {"a": "CANCELLED"})


def test_a_status_is_changed_and_nothing_runs() -> None:
    document = flow(task("a"))
    driver = ended(document, a=["fail"])
    change = pictures.change_status(driver.stored(), "r1", State.SUCCESS)
    driver.restore([change]).run()
    assert driver.histories() == ["CREATED", "RUNNING", "FAILED", "SUCCESS"]
    assert driver.jobs == ["a"]
    assert driver.tell(change) == []


def test_labels_of_an_ended_execution() -> None:
    driver = ended(flow(task("a")))
    driver.restore([pictures.label(driver.stored(), "r1", {"system.replayed": "true"})])
    assert driver.snapshot().labels["system.replayed"] == "true"
    assert driver.histories() == ["CREATED", "RUNNING", "SUCCESS"]


def test_one_that_has_not_ended_is_refused() -> None:
    driver = Driver(document := flow(task("a"))).create()
    with pytest.raises(Conflict, match="has not ended, it is RUNNING"):
        restart(driver, document)


# Slots

GRANT = SlotGranted(EXECUTION_ID, NAMESPACE, FLOW_ID)
AGAIN = SlotGranted(EXECUTION_ID, NAMESPACE, FLOW_ID, restarts=1)


def limited(behavior: str = "QUEUE", **properties: Any) -> tuple[Driver, Document]:
    """One whose second task failed, restarted."""
    limit = {"concurrency": {"limit": 1, "behavior": behavior}}
    document = flow(task("a"), task("b"), **limit, **properties)
    driver = Driver(document).create()
    driver.tell(GRANT)
    driver.run(b=["fail", "success"])
    assert driver.ended == "FAILED" and len(driver.of(SlotReleased)) == 1
    return restart(driver, document), document


def test_a_restarted_execution_asks_for_its_slot_before_anything_of_it_runs() -> None:
    driver, _ = limited()
    assert driver.of(SlotWanted) == [
        SlotWanted(NAMESPACE, FLOW_ID, EXECUTION_ID, 1, 1, True, restarts=number)
        for number in (0, 1)
    ]
    assert driver.histories()[-1] == "RESTARTED" and driver.jobs == ["a", "b"]
    driver.tell(SlotDenied(EXECUTION_ID, 1, 1, 4, 1))
    assert driver.histories()[-1] == "QUEUED" and "4 wait" in driver.snapshot().waits_for
    assert driver.tell(SlotDenied(EXECUTION_ID, 1, 1, 4, 1)) == [], "said once"
    driver.tell(AGAIN, AGAIN)
    driver.run()
    assert driver.ended == "SUCCESS" and driver.jobs == ["a", "b", "b"]
    assert driver.histories()[3:] == ["RESTARTED", "QUEUED", "RUNNING", "SUCCESS"]
    assert len(driver.of(SlotReleased)) == 2


@pytest.mark.parametrize(
    ("behavior", "state"), [("CANCEL", "CANCELLED"), ("FAIL", "FAILED"), ("QUEUE", "KILLED")]
)
def test_a_restarted_execution_without_a_slot_stays_as_it_was_and_can_be_restarted(
    behavior: str, state: str
) -> None:
    driver, document = limited(behavior, afterExecution=[task("z")])
    before = driver.stored().task_runs
    driver.tell(SlotDenied(EXECUTION_ID, 1, 1, 0, 1))
    if behavior == "QUEUE":
        driver.tell(KillRequested(EXECUTION_ID))
    driver.run()
    assert driver.ended == state and driver.stored().task_runs == before
    assert len(driver.of(SlotReleased)) == 2 and not any(
        isinstance(it, Restoring) for it in driver.state.values()
    )
    restart(driver, document)
    driver.tell(msgspec.structs.replace(AGAIN, restarts=2))
    driver.run()
    assert driver.ended == "SUCCESS" and driver.jobs[-2:] == ["b", "z"]


def test_a_restarted_execution_is_killed_before_it_is_told_of_its_slot() -> None:
    driver, _ = limited()
    driver.tell(KillRequested(EXECUTION_ID))
    assert driver.run().ended == "KILLED" and len(driver.of(SlotReleased)) == 2
    driver.tell(AGAIN)
    assert len(driver.of(SlotReleased)) == 3, "it gives back what it does not want any more"


def test_one_that_waits_in_line_for_longer_than_its_parts_are_kept_can_be_restarted() -> None:
    driver, document = limited()
    driver.tell(SlotDenied(EXECUTION_ID, 1, 1, 0, 1))
    driver.fold(KillRequested("another"), at=driver.at + 8 * 24 * 3600 * 1000)
    driver.tell(AGAIN)
    driver.run()
    assert driver.ended == "FAILED" and "restart it" in driver.snapshot().error
    assert len(driver.of(SlotReleased)) == 2 and driver.jobs == ["a", "b"]
    restart(driver, document)
    driver.tell(msgspec.structs.replace(AGAIN, restarts=2))
    assert driver.run().ended == "SUCCESS" and driver.jobs == ["a", "b", "b"]


# Files


def test_a_job_of_a_replay_names_the_execution_whose_files_it_may_read() -> None:
    document = flow(task("a"), task("b"))
    driver = ended(document)
    parts = pictures.replay(driver.stored(), plan_of(document), "r1", f"{EXECUTION_ID}-1", NEW_ID)
    driver.restore(parts).run()
    *before, last = [msgspec.json.decode(it.variables) for it in driver.of(Job)]
    assert last == {"execution": {"originalId": EXECUTION_ID}}
    assert before == [{}, {}], "of no other: nothing more is within its reach"
    driver = ended(document, b=["fail"])
    restart(driver, document).run()
    assert {it.variables for it in driver.of(Job)} == {"{}"}


def test_a_restarted_execution_is_killed_once_it_has_waited_for_its_slot() -> None:
    """Its task runs are coming back just then."""
    driver, _ = limited()
    driver.tell(SlotDenied(EXECUTION_ID, 1, 1, 0, 1))
    (step,) = [it for it in driver.tell(AGAIN) if isinstance(it, RestoringContinued)]
    driver.tell(KillRequested(EXECUTION_ID), step)
    assert driver.run().ended == "KILLED" and len(driver.of(SlotReleased)) == 2


def test_a_word_about_a_seat_of_before_a_restart_has_no_effect() -> None:
    """Both come late: the execution was killed and restarted meanwhile, and asks once more."""
    driver, document = limited("CANCEL")
    driver.tell(KillRequested(EXECUTION_ID))
    driver.run()
    restart(driver, document)
    wanted = driver.of(SlotWanted)[-1]
    assert (len(driver.of(SlotWanted)), wanted.restarts) == (3, 2)
    before = dict(driver.state)
    released = SlotReleased(NAMESPACE, FLOW_ID, EXECUTION_ID, 1)
    assert driver.tell(AGAIN) == [released], "of a seat that is gone: it changes nothing"
    assert driver.tell(SlotDenied(EXECUTION_ID, 1, 1, 0, 1)) == []
    assert driver.state == before
    driver.tell(msgspec.structs.replace(AGAIN, restarts=2))
    assert driver.run().ended == "SUCCESS"

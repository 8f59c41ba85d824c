"""Restarts of executions whose subflows failed, from end to end in memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kestrapy.errors import Conflict
from kestrapy.machine import pictures
from kestrapy.model.state import State
from kestrapy.ports.store import StoredExecution
from kestrapy.servers.child_restarts import ChildRestarts
from kestrapy.testing import FlowTest
from kestrapy.testing.observed import ObservedExecution, ObservedStorage

CALLER = """\
id: {id}
namespace: tests
tasks:
- {{id: first, type: return, format: one}}
- {{id: call, type: subflow, namespace: tests, flowId: {called}}}
- {{id: last, type: return, format: "{{{{ outputs.call.outputs.o }}}}"}}
outputs: [{{id: o, type: STRING, value: "{{{{ outputs.last.value }}}}"}}]
"""
INNER = """\
id: inner
namespace: tests
tasks:
- {id: before, type: return, format: before}
- {id: x, type: return, format: "x{{ taskrun.attemptsCount }}"}
outputs: [{id: o, type: STRING, value: "{{ outputs.x.value }}"}]
"""
OUTER = CALLER.format(id="outer", called="inner")
ANEW = OUTER.replace("flowId: inner", "flowId: inner, restartBehavior: NEW_EXECUTION")
EACH = """\
id: each
namespace: tests
inputs: [{id: rows, type: FILE}]
tasks:
- id: all
  type: io.kestra.plugin.core.flow.ForEachItem
  items: "{{ inputs.rows }}"
  namespace: tests
  flowId: called
  inputs: {row: "{{ taskrun.items }}"}
- {id: show, type: return, format: "{{ read(outputs.all_merge.subflowOutputs) }}"}
"""
CALLED = """\
id: called
namespace: tests
inputs: [{id: row, type: FILE}]
tasks:
- {id: row, type: return, format: "{{ read(inputs.row) | trim }}"}
- {id: refuse, type: fail, runIf: "{{ outputs.row.value contains 'bad' }}"}
outputs: [{id: row, type: STRING, value: "{{ outputs.row.value }}"}]
"""


def states(test: FlowTest, flow_id: str) -> dict[str, list[str]]:
    """By id, each state that an execution of the flow ended in."""
    ends = ("SUCCESS", "WARNING", "FAILED", "KILLED")
    return {
        it.id: [str(state) for state in it.states if state in ends] for it in test.of_flow(flow_id)
    }


def failed(test: FlowTest, task_id: str = "x", **given: Any) -> ObservedExecution:
    test.result(task_id, state="FAILED", times=1)
    execution = test.run(**given)
    assert execution.state == "FAILED", execution.task_runs
    return execution


def test_a_failed_subflow_goes_on_under_its_id_and_its_parent_with_what_it_gives() -> None:
    with FlowTest(OUTER, INNER) as test:
        execution = failed(test)
        (child,) = test.of_flow("inner")
        assert execution["call"].outputs == {"executionId": child.id, "state": "FAILED"}
        test.restart(execution)
        test.run_until("SUCCESS", execution)
        assert states(test, "inner") == {child.id: ["FAILED", "SUCCESS"]}
        assert len(child.of_task("before")) == 1 and child["before"].states.count("RUNNING") == 1
        assert child.labels["system.restarted"] == "true"
        assert [str(it.state) for it in execution["call"].attempts] == ["FAILED", "SUCCESS"]
        assert execution["call"].outputs["executionId"] == child.id
        assert execution.outputs == {"o": child.outputs["o"]}


def test_one_that_fails_again_is_restarted_again() -> None:
    with FlowTest(OUTER, INNER) as test:
        test.result("x", state="FAILED", times=3)
        execution = test.run()
        for _ in range(2):
            test.restart(execution)
            test.run_until("FAILED", execution)
        test.restart(execution)
        test.run_until("SUCCESS", execution)
        assert list(states(test, "inner").values()) == [[*["FAILED"] * 3, "SUCCESS"]]


def test_a_task_can_ask_for_a_new_execution() -> None:
    with FlowTest(ANEW, INNER) as test:
        execution = failed(test)
        test.restart(execution)
        test.run_until("SUCCESS", execution)
        assert list(states(test, "inner").values()) == [["FAILED"], ["SUCCESS"]]


def test_subflows_of_subflows_go_on_at_the_task_that_failed() -> None:
    flows = [CALLER.format(id=f"level{n}", called=f"level{n + 1}") for n in range(3)]
    bottom = INNER.replace("id: inner", "id: level3")
    with FlowTest(flows[0], *flows[1:], bottom) as test:
        execution = failed(test)
        test.restart(execution)
        test.run_until("SUCCESS", execution)
        for level in range(4):
            (ends,) = states(test, f"level{level}").values()
            assert ends == ["FAILED", "SUCCESS"], level
        assert all(it["first"].states.count("RUNNING") == 1 for it in test.of_flow("level2"))


def forget(test: FlowTest, execution: ObservedExecution) -> None:
    """As a database would that it was deleted from."""
    test._executions.pop(execution.id)


def test_one_that_storage_has_no_more_is_replaced_by_a_new_one() -> None:
    with FlowTest(OUTER, INNER) as test:
        execution = failed(test)
        forget(test, *test.of_flow("inner"))
        test.restart(execution)
        test.run_until("SUCCESS", execution)
        (child,) = test.of_flow("inner")
        assert execution["call"].outputs["executionId"] == child.id
        assert states(test, "inner") == {child.id: ["SUCCESS"]}


def test_one_whose_flow_is_not_known_any_more_is_replaced_by_a_new_one() -> None:
    with FlowTest(OUTER, INNER) as test:
        execution = failed(test)
        (old,) = test.of_flow("inner")
        old.revision = 7  # as a database that was moved here might say
        test._sources["tests", "inner", 7] = INNER.replace("id: x,", "id: other,")
        test.restart(execution)
        test.run_until("SUCCESS", execution)
        assert list(states(test, "inner").values()) == [["FAILED"], ["SUCCESS"]]
        ended = [str(it.state) for it in execution["call"].attempts]
        assert ended == ["FAILED", "SUCCESS"]


def test_a_restart_is_refused_while_storage_has_not_heard_of_the_end() -> None:
    with FlowTest(OUTER, INNER) as test:
        execution = failed(test)
        (child,) = test.of_flow("inner")
        snapshot = child.snapshot
        began = snapshot.histories[:2]
        child._snapshot = msgspec.structs.replace(snapshot, state=State.RUNNING, histories=began)
        with pytest.raises(Conflict, match="has not yet heard"):
            test.restart(execution)
        child._snapshot = snapshot
        test.restart(execution)
        test.run_until("SUCCESS", execution)
        assert states(test, "inner") == {child.id: ["FAILED", "SUCCESS"]}


def test_one_that_was_mended_by_itself_is_not_run_again() -> None:
    with FlowTest(OUTER, INNER) as test:
        execution = failed(test)
        (child,) = test.of_flow("inner")
        test.restart(child)
        test.run_until("SUCCESS", child)
        test.restart(execution)
        test.run_until("SUCCESS", execution)
        assert states(test, "inner") == {child.id: ["FAILED", "SUCCESS"]}
        assert execution.outputs == child.outputs != {}


def test_one_that_runs_again_already_is_waited_for() -> None:
    with FlowTest(OUTER, INNER) as test:
        execution = failed(test)
        (child,) = test.of_flow("inner")
        test.result("x", {"value": "late"}, seconds=60)
        test.restart(child)
        test.run_until("RUNNING", child)
        test.restart(execution)
        test.run_until("SUCCESS", execution)
        assert states(test, "inner") == {child.id: ["FAILED", "SUCCESS"]}
        assert execution.outputs == {"o": "late"}


def test_a_kill_reaches_one_that_was_restarted() -> None:
    with FlowTest(OUTER, INNER) as test:
        execution = failed(test)
        (child,) = test.of_flow("inner")
        test.result("x", seconds=3600)
        test.restart(execution)
        test.advance(10)
        assert child.state == "RUNNING"
        test.kill(execution)
        test.run_until("KILLED", execution)
        assert states(test, "inner") == {child.id: ["FAILED", "KILLED"]}


def test_a_killed_parent_goes_on_with_the_child_that_was_killed_with_it() -> None:
    with FlowTest(OUTER, INNER) as test:
        test.result("x", seconds=3600, times=1)
        execution = test.start()
        test.run_until("RUNNING", execution)
        test.advance(10)
        test.kill(execution)
        test.run_until("KILLED", execution)
        test.restart(execution)
        test.run_until("SUCCESS", execution)
        assert list(states(test, "inner").values()) == [["KILLED", "SUCCESS"]]


def test_a_restart_with_another_revision_calls_anew() -> None:
    with FlowTest(OUTER, INNER) as test:
        execution = failed(test)
        revision = test.save(OUTER.replace("format: one", "format: two"))
        again = test.restart(execution, revision)
        test.run_until("SUCCESS", again)
        assert list(states(test, "inner").values()) == [["FAILED"], ["SUCCESS"]]


# Batches


def rows(folder: Path, count: int, *bad: int) -> dict[str, Path]:
    path = folder / "rows.txt"
    path.write_text("".join(f"{'bad' if n in bad else 'row'}{n}\n" for n in range(count)))
    return {"rows": path}


def iterations(execution: ObservedExecution) -> dict[str, int]:
    counts = execution["all_items"].outputs["iterations"]
    return {state: count for state, count in counts.items() if count}


def test_only_the_batches_that_failed_go_on_and_outputs_are_merged(tmp_path: Path) -> None:
    count = 230  # in three steps
    with FlowTest(EACH, CALLED) as test:
        execution = test.run(rows(tmp_path, count, 4, 120, 229))
        assert iterations(execution) == {"SUCCESS": 227, "FAILED": 3}
        before = states(test, "called")
        test.result("refuse")
        test.restart(execution)
        test.run_until("SUCCESS", execution)
        wanted = {
            it: [*ends, *(["SUCCESS"] if "FAILED" in ends else [])] for it, ends in before.items()
        }
        assert states(test, "called") == wanted
        assert iterations(execution) == {"SUCCESS": count}
        assert execution["all_items"].outputs["numberOfBatches"] == count
        lines = [json.loads(it)["row"] for it in execution["show"].outputs["value"].splitlines()]
        bad = ("bad4", "bad120", "bad229")
        assert sorted(lines) == sorted(
            [f"row{n}" for n in range(count) if n not in (4, 120, 229)] + list(bad)
        )


def test_batches_of_earlier_attempts_are_found_by_a_later_restart(tmp_path: Path) -> None:
    with FlowTest(EACH, CALLED) as test:
        execution = test.run(rows(tmp_path, 3, 1))
        test.restart(execution)
        test.run_until("FAILED", execution)
        test.result("refuse")
        test.restart(execution)
        test.run_until("SUCCESS", execution)
        ends = sorted(states(test, "called").values())
        assert ends == [["FAILED", "FAILED", "SUCCESS"], ["SUCCESS"], ["SUCCESS"]]


def test_outputs_are_there_for_a_merge_that_runs_again(tmp_path: Path) -> None:
    with FlowTest(EACH, CALLED) as test:
        test.result("refuse")
        execution = failed(test, "all_merge", inputs=rows(tmp_path, 3))
        test.restart(execution)
        test.run_until("SUCCESS", execution)
        assert list(states(test, "called").values()) == [["SUCCESS"]] * 3
        lines = execution["show"].outputs["value"].splitlines()
        assert [json.loads(it)["row"] for it in lines] == ["row0", "row1", "row2"]


def test_batches_that_were_tried_again_as_other_executions_go_on_as_the_last(
    tmp_path: Path,
) -> None:
    retry = (
        "retry: {type: constant, interval: PT1S, maxAttempts: 2, behavior: CREATE_NEW_EXECUTION}\n"
    )
    with FlowTest(EACH, CALLED + retry) as test:
        execution = test.run(rows(tmp_path, 2, 1))
        assert execution.state == "FAILED"
        before = test.of_flow("called")
        assert [str(it.state) for it in before] == ["SUCCESS", "RETRIED", "FAILED"]
        test.result("refuse")
        test.restart(execution)
        test.run_until("SUCCESS", execution)
        assert [it.id for it in test.of_flow("called")] == [it.id for it in before]
        assert before[2].state == "SUCCESS"


@pytest.mark.parametrize("lost", [0, 1])
def test_batches_that_storage_has_no_more_are_run_anew(tmp_path: Path, lost: int) -> None:
    with FlowTest(EACH, CALLED) as test:
        execution = test.run(rows(tmp_path, 2, 1))
        forget(test, test.of_flow("called")[lost])
        test.result("refuse")
        test.restart(execution)
        test.run_until("SUCCESS", execution)
        assert iterations(execution) == {"SUCCESS": 2}
        assert len(test.of_flow("called")) == 2


def test_what_waits_for_a_parent_is_sent_as_it_is_read_and_before_its_last_part(
    tmp_path: Path,
) -> None:
    count = 250
    with FlowTest(EACH, CALLED) as test:
        execution = test.run(rows(tmp_path, count, *range(count)))
        restart = pictures.Restart.of(execution.stored, test._plan("tests", "each", 1))
        read: list[str] = []

        class Storage:
            heads_of = ObservedStorage(test._executions).heads_of

            def execution(self, execution_id: str) -> StoredExecution | None:
                read.append(execution_id)
                return ObservedStorage(test._executions).execution(execution_id)

        tokens, storage = iter(range(10_000)), Storage()
        children = ChildRestarts(storage, test._plan, lambda: f"r{next(tokens)}", 1)
        sent = []
        for record in children.records(restart, "top"):
            sent.append(record)
            assert len(read) <= len(sent) + 1
        assert [it.held for it in sent].count(True) == count == len(read)
        assert (sent[-1].execution_id, sent[-1].last) == (execution.id, True)
        own = [it for it in sent if not it.held]
        assert [it.part for it in own] == list(range(len(own)))
        assert [it.last for it in own] == [False] * (len(own) - 1) + [True]
        assert sum(len(it.children) for it in own) == count

"""A WorkingDirectory, run by a real worker: its folder, its tasks, and what they leave."""

from __future__ import annotations

import io
from typing import Any

import pytest

from kestrapy.testing import FlowTest, ObservedExecution
from tests.unit.testing.test_flow_test import flow, ret, shell, sleep

LOCAL = "io.kestra.plugin.core.storage.LocalFiles"


def directory(*tasks: str, **properties: str) -> str:
    own = "".join(f", {name}: {value}" for name, value in properties.items())
    kind = "io.kestra.plugin.core.flow.WorkingDirectory"
    return f"{{id: dir, type: {kind}, tasks: [{', '.join(tasks)}]{own}}}"


def ran(*tasks: str, **inputs: Any) -> ObservedExecution:
    with FlowTest(flow(*tasks)) as test:
        return test.run(**inputs)


def states(execution: ObservedExecution) -> dict[str, str]:
    return {run.task_id: str(run.state) for run in execution.task_runs}


def test_its_tasks_share_a_folder_and_see_each_others_outputs() -> None:
    write = shell("write", "echo hello > note.txt")
    read = shell("read", 'echo "::{\\"outputs\\":{\\"text\\":\\"$(cat note.txt)\\"}}::"')
    execution = ran(
        directory(write, read, ret("got", "{{ outputs.read.vars.text }} {{ tasks.read.state }}")),
        ret("after", "{{ outputs.got.value }}"),
    )
    assert execution["got"].outputs == {"value": "hello SUCCESS"}
    assert execution["after"].outputs == {"value": "hello SUCCESS"}
    assert [run.task_id for run in execution.task_runs] == ["dir", "write", "read", "got", "after"]


def test_a_task_knows_itself_and_its_directory() -> None:
    text = "{{ task.id }} {{ taskrun.id }} {{ taskrun.parentId }} {{ workerTaskrun.id }}"
    execution = ran(directory(ret("a"), ret("b", text)))
    runs = {run.task_id: run.id for run in execution.task_runs}
    assert execution["b"].outputs["value"] == f"b {runs['b']} {runs['dir']} {runs['dir']}"
    assert execution["b"].parent_id == runs["dir"]


def test_its_logs_are_those_of_the_tasks() -> None:
    log = "io.kestra.plugin.core.log.Log"
    execution = ran(directory(f"{{id: a, type: {log}, message: hi}}"))
    assert execution.messages("a") == ["hi"]


def test_a_failure_ends_it_and_what_comes_after_never_begins() -> None:
    handler = ret("mend", "{{ outputs.a.vars.x ?? 0 }}")
    execution = ran(directory(ret("a"), shell("b", "exit 3"), ret("c"), errors=f"[{handler}]"))
    assert states(execution) == {"dir": "FAILED", "a": "SUCCESS", "b": "FAILED", "mend": "SUCCESS"}
    assert "its task b FAILED" in execution["dir"].error
    assert "exit code 3" in execution["b"].error


def test_a_failure_that_is_allowed_is_a_warning() -> None:
    execution = ran(directory(shell("a", "exit 3", ", allowFailure: true"), ret("b")))
    assert states(execution) == {"dir": "WARNING", "a": "WARNING", "b": "SUCCESS"}


def test_a_task_may_be_skipped_or_disabled() -> None:
    tasks = [
        ret("a", more=", runIf: '{{ 1 == 2 }}'"),
        ret("b", more=", disabled: true"),
        ret("c", "x", ", runIf: '{{ 1 == 1 }}'"),
        ret("d", more=", runIf: '{{ nothing.there }}'"),
    ]
    execution = ran(directory(*tasks))
    assert states(execution) == {"dir": "FAILED", "a": "SKIPPED", "c": "SUCCESS", "d": "FAILED"}
    assert "runIf" in execution["d"].error


def test_a_task_is_tried_again_in_the_same_folder() -> None:
    flaky = shell(
        "a",
        "test -f seen || { touch seen; exit 1; }",
        ", retry: {type: constant, interval: PT1H, maxAttempts: 3, warningOnRetry: true}",
    )
    execution = ran(directory(flaky))
    assert states(execution) == {"dir": "WARNING", "a": "WARNING"}
    assert [str(it.state) for it in execution["a"].attempts] == ["FAILED", "WARNING"]
    assert execution.ended is not None and execution.ended - execution.started > 3_600_000


def test_a_task_has_its_own_timeout() -> None:
    execution = ran(directory(sleep("a", "P1D", ", timeout: PT1M"), ret("b")))
    assert states(execution) == {"dir": "FAILED", "a": "FAILED"}
    assert "Timeout" in execution["a"].error
    assert execution.ended is not None and execution.ended - execution.started < 3_600_000


def test_a_kill_ends_the_task_that_runs() -> None:
    with FlowTest(flow(directory(ret("a"), sleep("b", "P1D"), ret("c")))) as test:
        execution = test.start()
        test.run_until("RUNNING", execution)
        test.kill(execution)
        test.run_until(None, execution)
    assert execution.state == "KILLED"
    assert states(execution)["dir"] == "KILLED"
    assert "c" not in states(execution)


def test_files_go_in_and_come_out() -> None:
    source = flow(
        directory(
            shell("a", "cat in/one.txt > two.txt; echo done"),
            inputFiles="{in/one.txt: hello}",
            outputFiles="['*.txt']",
        )
    )
    with FlowTest(source) as test:
        execution = test.run()
        (uri,) = execution["dir"].outputs["outputFiles"].values()
        with test.servers.blobs.open(uri) as content:
            assert content.read() == b"hello"


def test_namespace_files_are_there() -> None:
    source = flow(directory(shell("a", "cat main.sh"), namespaceFiles="{enabled: true}"))
    with FlowTest(source) as test:
        test.servers.blobs.put("kestra:///_files/tests/main.sh", io.BytesIO(b"echo one"))
        execution = test.run()
    assert states(execution) == {"dir": "SUCCESS", "a": "SUCCESS"}


def test_outputs_of_one_task_are_not_those_of_the_next() -> None:
    first = shell("a", "echo 1 > {{ outputDir }}/one.txt")
    second = shell("b", "ls -A > {{ outputDir }}/two.txt")
    execution = ran(directory(first, second))
    assert list(execution["a"].outputs["outputFiles"]) == ["one.txt"]
    assert list(execution["b"].outputs["outputFiles"]) == ["two.txt"]


def test_a_cache_is_found_by_later_executions_until_it_is_too_old() -> None:
    fill = shell("a", "test -f libs/x || { mkdir -p libs; echo $RANDOM > libs/x; echo MADE; }")
    cache = "{patterns: ['libs/**'], ttl: PT1H}"
    with FlowTest(flow(directory(fill, cache=cache))) as test:
        first, second = test.run(), test.run()
        test.advance(2 * 3_600)
        third = test.run()
    made = ["MADE" in execution.messages("a") for execution in (first, second, third)]
    assert made == [True, False, True]


def test_a_failed_directory_keeps_no_cache() -> None:
    fill = shell("a", "test ! -f x || echo FOUND; touch x; exit 1")
    with FlowTest(flow(directory(fill, cache="{patterns: [x]}"))) as test:
        test.run()
        second = test.run()
    assert "FOUND" not in second.messages("a")


def test_results_of_its_tasks_may_be_chosen() -> None:
    with FlowTest(flow(directory(ret("a"), ret("b", "{{ outputs.a.value }}")))) as test:
        test.result("a", {"value": "chosen"}, seconds=3_600)
        execution = test.run()
    assert execution["b"].outputs == {"value": "chosen"}


@pytest.mark.parametrize("values", ["['x']", "['x', 'y']"])
def test_in_a_loop_each_directory_has_its_value(values: str) -> None:
    kind = "io.kestra.plugin.core.flow.ForEach"
    text = "{{ taskrun.value }} {{ parent.taskrun.value }} {{ outputs.a[taskrun.value].value }}"
    inner = directory(ret("a", "{{ taskrun.value }}!"), ret("b", text))
    execution = ran(f"{{id: each, type: {kind}, values: {values}, tasks: [{inner}]}}")
    found = [run.outputs["value"] for run in execution.of_task("b")]
    assert found == [f"{it} {it} {it}!" for it in ("x", "y")[: len(found)]]

"""Rows that go their own way: a function each, found by the fixture's name and a part of the source
test's.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

from kestrapy.errors import InputRefused
from kestrapy.ports.places import namespace_files
from kestrapy.testing import FlowTest, ObservedExecution
from tests.conformance import life
from tests.conformance.corpus import Row
from tests.conformance.facts import check
from tests.conformance.given import Given, given_of, inputs_test
from tests.conformance.play import begun, judge, test_of
from tests.conformance.story import Story, opened, parent_of

Play = Callable[[Row], None]
PECULIAR: list[tuple[str, str, Play]] = []


def peculiar(row: Row) -> Play | None:
    """What plays this row; None where it goes the common way."""
    for stem, part, play in PECULIAR:
        if row.path.stem == stem and part in row.source_test:
            return play
    return None


def plays(stem: str, *parts: str) -> Callable[[Play], Play]:
    def declare(play: Play) -> Play:
        PECULIAR.extend((stem, part, play) for part in parts)
        return play

    return declare


def ended(test: FlowTest, row: Row) -> Story:
    """The row's execution, run to its end and noted."""
    story = begun(test, given_of(row.inputs)[0])
    test.run_until(None, story.execution)
    story.note()
    return story


def states(execution: ObservedExecution) -> list[str]:
    return [str(it) for it in execution.states]


# Restarts


@plays("restart_last_failed", "restartFailed")
def restart_last_failed(row: Row) -> None:
    with test_of(row) as test:
        story = ended(test, row)
        first = story.phases[0]
        assert (first.state, first.task_runs[2].state) == ("FAILED", "FAILED")
        assert life.restart(test, story.execution).id == story.execution.id
        test.run_until("RESTARTED", story.execution)
        again = story.note()
        assert len(again.states) == 4 and len(again.task_runs) == 3, f"{again}"
        assert again.labels.get("system.restarted") == "true", f"{again.labels}"
        assert again.task_runs[2].state == "RESTARTED", f"{again.task_runs}"
        assert len(again.task_runs[2].states) == 5, f"{again.task_runs[2].states}"
        test.run_until("SUCCESS", story.execution)
        runs = story.execution.task_runs
        assert [str(it.state) for it in runs] == ["SUCCESS"] * 4
        assert len(runs[2].attempts) == 2


@plays("restart_last_failed", "restartSimpleRevision")
def restart_on_another_revision(row: Row) -> None:
    with test_of(row) as test:
        story = ended(test, row)
        old_task = '  type: io.kestra.plugin.core.log.Log\n  message: "{{ task.id }}"\n'
        new_task = "  type: io.kestra.plugin.core.debug.Return\n  format: replace\n"
        revision = test.save(row.path.read_text().replace(old_task, new_task, 1))
        made = life.restart(test, story.execution, revision)
        test.run_until("RESTARTED", made)
        assert made.id != story.execution.id
        old = {it.id for it in story.execution.task_runs}
        assert len(made.task_runs) == 3 and not old & {it.id for it in made.task_runs}


@plays("failed-first", "restartMultiple")
def restart_twice(row: Row) -> None:
    with test_of(row) as test:
        story = ended(test, row)
        for _ in range(2):
            assert story.execution.state == "FAILED" and len(story.execution.task_runs) == 1
            life.restart(test, story.execution)
            test.run_until("RESTARTED", story.execution)
            test.run_until("FAILED", story.execution)
        assert len(story.execution.task_runs) == 1


@plays("failed-first", "changeState")
def change_state(row: Row) -> None:
    with test_of(row) as test:
        story = ended(test, row)
        assert story.execution.state == "FAILED" and len(story.execution.task_runs) == 1
        life.mark(test, story.execution.task_runs[0], "SUCCESS")
        test.run_until("SUCCESS", story.execution)
        assert len(story.execution.task_runs) == 2
        check("taskrun[0] SUCCESS", story)


def restarted(row: Row, failed: int, kept: int) -> Iterator[Story]:
    """Run, restart, run to the end. failed: the task run that failed first. kept: task runs that
    are there when it is restarted.
    """
    with test_of(row) as test:
        story = ended(test, row)
        assert story.phases[0].task_runs[failed].state == "FAILED", f"{story.phases[0]}"
        life.restart(test, story.execution)
        test.run_until("RESTARTED", story.execution)
        assert len(story.execution.task_runs) == kept, f"{story.execution.task_runs}"
        test.run_until(None, story.execution)
        first, last = row.terminal_state.split(" then ")
        before, after = (int(it) for it in row.task_runs.split(" then "))
        assert (story.phases[0].state, story.execution.state) == (first, last)
        assert len(story.phases[0].task_runs) == before
        assert len(story.execution.task_runs) == after, f"{story.execution.task_runs}"
        yield story


@plays("restart_local_errors", "restartFailed")
def restart_with_errors(row: Row) -> None:
    for story in restarted(row, failed=3, kept=4):
        check("failStep has 2 attempts", story)


@plays("restart-with-finally", "restartFailed")
@plays("restart-with-after-execution", "restartFailed")
def restart_with_finally(row: Row) -> None:
    for story in restarted(row, failed=1, kept=2):
        check("after all SUCCESS or SKIPPED", story)


@plays("restart-for-each-item", "restartForEachItem")
def restart_children(row: Row) -> None:
    with test_of(row) as test:
        story = ended(test, row)
        assert (story.phases[0].state, len(story.phases[0].task_runs)) == ("FAILED", 3)
        before = {it.id: str(it.state) for it in story.children}
        assert list(before.values()) == ["FAILED"] * 6, f"{before}"
        life.restart(test, story.execution)
        test.run_until("SUCCESS", story.execution)
        assert len(story.execution.task_runs) == 4
        assert {it.id: str(it.state) for it in story.children} == dict.fromkeys(before, "SUCCESS")


@plays("working-directory", "workerFailed")
def restart_a_working_directory(row: Row) -> None:
    with test_of(row) as test:
        story = ended(test, row)
        assert (story.phases[0].state, len(story.phases[0].task_runs)) == ("FAILED", 3)
        check("1 error-t1", story)
        life.restart(test, story.execution)
        test.run_until("RESTARTED", story.execution)
        assert len(story.execution.states) == 4, f"{story.execution.states}"
        first = story.execution.task_runs[0]
        assert first.state == "RESTARTED" and len(first.states) == 4, f"{first.states}"


# Pauses, dates, lists of what is left alone


@plays("pause_no_tasks", "runEmptyTasks")
def resume_by_hand(row: Row) -> None:
    with test_of(row) as test:
        execution = test.start()
        test.run_until("PAUSED", execution)
        assert len(execution.task_runs) == 1
        life.mark(test, execution.task_runs[0], "RUNNING")
        test.run_until("SUCCESS", execution)


@plays("resume-execution", "resume")
def resume_another(row: Row) -> None:
    with test_of(row) as test:
        paused = test.start(flow_id="pause-test")
        test.run_until("PAUSED", paused)
        assert test.run({"executionId": paused.id}).state == "SUCCESS"
        before = test.now
        test.run_until(None, paused)
        assert test.now - before <= 5_000


@plays("minimal", "shouldIgnoreExecutionById")
def left_alone(row: Row) -> None:
    with test_of(row) as test:
        execution = life.schedule(test, 5)
        life.ignore(test, execution)
        test.advance(10)
        assert test.run().state == "SUCCESS"
        assert execution.state == "CREATED"


@plays("minimal", "shouldScheduleOnDate")
def at_its_date(row: Row) -> None:
    with test_of(row) as test:
        execution = life.schedule(test, 1)
        test.advance(0.2)
        assert execution.state == "CREATED"
        test.run_until("SUCCESS", execution)


@plays("flow-concurrency-queue", "flowConcurrencyScheduled")
def queued_at_its_date(row: Row) -> None:
    with test_of(row) as test:
        first = test.start()
        test.run_until("RUNNING", first)
        second = life.schedule(test, 1)
        test.run_until("QUEUED", second)
        test.run_until("SUCCESS", second)
        assert first.state == "SUCCESS"


# Concurrency limits


def several(test: FlowTest, first_until: str, more: int = 1) -> list[ObservedExecution]:
    """The first one, once it is in this state, and so many more that have begun."""
    first = test.start()
    test.run_until(first_until, first)
    others = [test.start() for _ in range(more)]
    test.settle()
    return [first, *others]


@plays("flow-concurrency-cancel", "concurrencyCancel")
@plays("flow-concurrency-fail", "concurrencyFail")
def not_beside_another(row: Row) -> None:
    state = row.terminal_state.split()[-1]
    with test_of(row) as test:
        first, *others = several(test, "RUNNING", 2)
        assert [str(it.state) for it in others] == [state, state]
        assert first.state == "RUNNING"
        test.kill(first)
        test.run_until("KILLED", first)


@plays("flow-concurrency-queue", "#concurrencyQueue")
@plays("flow-concurrency-queue-after-execution", "concurrencyQueue")
@plays("flow-concurrency-queue-pause", "concurrencyQueuePause")
def one_after_the_other(row: Row) -> None:
    with test_of(row) as test:
        first, second = several(test, "PAUSED" if "pause" in row.fixture else "RUNNING")
        test.run_until(None, first)
        test.run_until(None, second)
        assert [first.state, second.state] == ["SUCCESS", "SUCCESS"]
        assert states(second)[:3] == ["CREATED", "QUEUED", "RUNNING"], f"{states(second)}"


@plays("flow-concurrency-subflow", "flowConcurrencySubflow")
def limited_subflow(row: Row) -> None:
    with test_of(row) as test:
        first, second = several(test, "RUNNING")
        for execution in (first, second):
            test.run_until(None, execution)
        children = test.of_flow("flow-concurrency-cancel")
        for child in children:
            test.run_until(None, child)
        assert sorted(str(it.state) for it in children) == ["CANCELLED", "SUCCESS"]
        third = test.run()
        assert third.state == "SUCCESS"
        last = next(it for it in test.executions if parent_of(it) == third.id)
        test.run_until("SUCCESS", last)


@plays("flow-concurrency-parallel-subflow-kill", "ParallelSubflowKill")
def kill_a_queued_child(row: Row) -> None:
    with test_of(row) as test:
        parent = test.start()
        test.run_until("RUNNING", parent)
        test.settle()
        (queued,) = [it for it in test.executions if it.state == "QUEUED"]
        test.kill(parent)
        test.run_until("KILLED", queued)
        assert "RUNNING" not in states(queued) and not queued.task_runs


@plays("flow-concurrency-queue-killed", "flowConcurrencyKilled")
def a_kill_frees_one_slot(row: Row) -> None:
    with test_of(row) as test:
        first, second, third = several(test, "RUNNING", 2)
        assert [second.state, third.state] == ["QUEUED", "QUEUED"]
        test.kill(first)
        test.run_until("KILLED", first)
        test.settle()
        assert [second.state, third.state] == ["RUNNING", "QUEUED"]


@plays("flow-concurrency-queue-killed", "flowConcurrencyQueueKilled")
def killing_the_queued_frees_none(row: Row) -> None:
    with test_of(row) as test:
        first, second, third = several(test, "RUNNING", 2)
        test.kill(second)
        test.run_until("KILLED", second)
        test.settle()
        assert "RUNNING" not in states(second)
        assert [first.state, third.state] == ["RUNNING", "QUEUED"]


# Retries by new executions


@plays("retry-new-execution-task-attempts", "retryNewExecution")
@plays("retry-new-execution-flow-attempts", "retryNewExecution")
@plays("retry-new-execution-flow-duration", "retryNewExecution")
def retried_by_new_executions(row: Row) -> None:
    with test_of(row) as test:
        test.run()
        test.advance(60)
        found = [str(it.state) for it in test.executions]
        assert found == row.terminal_state.split(", "), f"{found}"


# Inputs, variables, secrets


BAD_VALUES = {
    "validatedString": {"foo": "must match the pattern"},
    "validatedInt": {"9": "must be more than `10`", "21": "must be less than `20`"},
    "validatedDate": {"2022-01-01": "after", "2024-01-01": "before"},
    "validatedDateTime": {"2022-01-01T00:00:00Z": "after", "2024-01-01T00:00:00Z": "before"},
    "validatedDuration": {"PT1S": "must be more than", "PT30S": "must be less than"},
    "validatedFloat": {"0.01": "must be more than", "1.01": "must be less than"},
    "validatedTime": {"00:00:01": "after", "14:00:00": "before"},
    "uri": {"justastring": "Invalid URI format."},
    "enum": {"INVALID": "it must match the values `[ENUM_VALUE, OTHER_ONE]`"},
    "array": {'["s1", "s2"]': "Unable to parse array element as `INT` on `s1`"},
}


@plays("inputs", "BadValue")
def bad_values(row: Row) -> None:
    with test_of(row) as test:
        for name, values in BAD_VALUES.items():
            for value, wanted in values.items():
                try:
                    test.start({**inputs_test(), name: value})
                except InputRefused as refusal:
                    assert wanted in str(refusal), f"{name}={value}: {refusal}"
                    continue
                raise AssertionError(f"{name}={value} is accepted")


@plays("allow-failure", "AllowFailureTest#success")
def without_a_crash(row: Row) -> None:
    """Kestra's test starts it past the check of inputs, without the one that the flow demands."""
    demanded = "  - id: crash\n    type: STRING\n"
    text = row.path.read_text(encoding="utf-8")
    assert demanded in text
    with FlowTest(text.replace(demanded, f"{demanded}    required: false\n")) as test:
        judge(row, ended(test, row))


@plays("state", "#set")
def one_state_after_the_other(row: Row) -> None:
    wanted: list[tuple[str, str, Any]] = [
        ("createGet", "value", 1),
        ("updateGet", "value", "2"),
        ("deleteGet", "", 0),
    ]
    with test_of(row) as test:
        for task_id, name, value in wanted:
            execution = test.run({"state": "conformance"})
            assert execution.state == "SUCCESS" and len(execution.task_runs) == 5
            outputs = execution[task_id].outputs
            found = outputs["data"][name] if name else outputs["count"]
            assert found == value, f"{task_id}: {outputs}"


@plays("primitive-labels-flow", "OverrideExistingLabels")
def override_labels(row: Row) -> None:
    inputs = {"intLabel": "42", "boolLabel": "true", "floatLabel": "3.14"}
    labels = {"intValue": "1", "boolValue": "false", "floatValue": "4.2f"}
    with test_of(row) as test:
        story = begun(test, Given(inputs, {**labels, "existingLabel": "someValue"}))
        test.run_until("SUCCESS", story.execution)
        assert len(story.execution.task_runs) == 1
        found = story.execution.labels
        assert {name: found[name] for name in labels} == {
            "intValue": "42",
            "boolValue": "true",
            "floatValue": "3.14",
        }, f"{found}"


@plays("task-flow", "invalidOutputs", "flowWaitFailed")
def with_the_label_of_the_row_above(row: Row) -> None:
    inputs = json.loads(row.inputs.partition(" + ")[0])
    with test_of(row) as test:
        story = begun(test, Given(inputs, {"mainFlowExecutionLabel": "execFoo"}))
        test.run_until(None, story.execution)
        story.note()
        judge(row, story)


@plays("variables", "recursiveVars")
def variables(row: Row) -> None:
    known = {
        "envs": {"test1": "true", "test2": "Pass by env"},
        "globals": {"string": "string", "int": 1, "bool": True, "nested": {"int": 2}},
    }
    with FlowTest(*row.paths, variables=known) as test:
        judge(row, ended(test, row))


@contextmanager
def environment(**values: str) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@plays("secrets", "getSecret")
def secrets(row: Row) -> None:
    lines = "password\n" * 4

    def encoded(value: str) -> str:
        return base64.b64encode(value.encode()).decode()

    kept = {
        "SECRET_MY_SECRET": encoded('{"secretKey": "secretValue"}'),
        "SECRET_NEW_LINE": encoded(lines),
    }
    with environment(**kept), test_of(row) as test:
        execution = ended(test, row).execution
        runs = execution.task_runs
        found = [opened(test, it.outputs).get("value") for it in runs]
        assert found == ["secretValue", None, lines, "secretValue", None], f"{found}"
        assert runs[4].state == "WARNING" and not runs[4].outputs, f"{runs[4]}"
        assert execution.messages("log-secret") == ["******"], f"{execution.messages()}"


@plays("log-to-file", "LogToFileTest")
def log_to_file(row: Row) -> None:
    with test_of(row) as test:
        execution = ended(test, row).execution
        assert (execution.state, len(execution.task_runs)) == ("SUCCESS", 1)
        with test.servers.blobs.open(execution.task_runs[0].attempts[0].log_file) as file:
            (line,) = file.read().decode().splitlines()
        assert "INFO" in line and "Hello World!" in line


@plays("encrypted-string", "encryptedStringOutput")
@plays("working-directory-taskrun-encrypted", "encryption")
def encrypted_output(row: Row) -> None:
    """Of a task that encrypts it: a later one reads it in the clear. (What it would put out without
    a key is the stand-in's own affair.)
    """
    with test_of(row) as test:
        execution = ended(test, row).execution
        assert execution.state == "SUCCESS"
        assert row.task_runs == str(len(execution.task_runs))
        *_, hidden, shown = execution.task_runs
        sealed = hidden.outputs["value"]
        assert sealed["type"] == "io.kestra.datatype:aes_encrypted"
        assert test.servers.cipher.decrypt(sealed["value"]) == "Hello World"
        assert opened(test, shown.outputs)["value"] == "Hello World"


# Files of namespaces


FILES_OF_NAMESPACES = {
    "io.test.first": {
        "test/a/b/c/1.txt": "first in first namespace",
        "a/b/c/2.txt": "second in first namespace",
        "a/b/3.txt": "third in first namespace",
    },
    "io.test.second": {
        "test/a/b/c/1.txt": "first in second namespace",
        "a/b/c/2.txt": "second in second namespace",
    },
    "io.test.third": {"test/a/b/c/1.txt": "first in third namespace"},
    "io.kestra.tests": {"ignore/4.txt": "4th"},
}


@plays("working-directory-namespace-files-with-namespaces", "namespaceFilesWithNamespace")
def files_of_namespaces(row: Row) -> None:
    with test_of(row) as test:
        for namespace, files in FILES_OF_NAMESPACES.items():
            for path, text in files.items():
                uri = f"{namespace_files(namespace)}/{path}"
                test.servers.blobs.put(uri, BytesIO(text.encode()))
        execution = ended(test, row).execution
        assert (execution.state, len(execution.task_runs)) == ("WARNING", 6)
        found = {it.task_id: it for it in execution.task_runs}
        assert found["t4"].state == "FAILED"
        assert [found[it].outputs["value"] for it in ("t1", "t2", "t3")] == [
            "first in third namespace",
            "second in second namespace",
            "third in first namespace",
        ]


# What a test-only type shows


@plays("workertask-result-too-large", "workerTaskResultTooLarge")
def result_too_large(row: Row) -> None:
    with test_of(row) as test:
        execution = ended(test, row).execution
        assert execution.state == "FAILED" and len(execution.task_runs) == 1
        said = [it.message for it in execution.logs if it.level == "ERROR"]
        said += [it.error for it in execution.task_runs]
        pattern = r"Unable to emit the worker task result to the queue.*limit of 1048576"
        assert any(re.match(pattern, it) for it in said), f"{[it[:200] for it in said]}"

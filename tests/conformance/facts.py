"""The column ``facts``: a list of readings, each for one form of words.

A cell is cut at semicolons. Each fact has to be read by a reading, and to hold: what nothing reads
fails its row. Where a row says things in its own way, it is in ``peculiar``.
"""

from __future__ import annotations

import json
import operator
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from kestrapy.model.flow import Flow, Task
from kestrapy.testing import ObservedExecution
from tests.conformance.given import Unread
from tests.conformance.story import Story, read, shown, text

Reading = Callable[[Story, re.Match[str]], None]
STATES = "SUCCESS|FAILED|WARNING|KILLED|CANCELLED|SKIPPED|RUNNING|PAUSED|CREATED|RETRIED"
RUN = r"(?:taskrun)?\[\d+\]|last taskrun|[\w-]+\[[^\]]+\]|[\w-]+"
COMPARED = {"=": operator.eq, "==": operator.eq, ">": operator.gt, ">=": operator.ge}
READINGS: list[tuple[re.Pattern[str], Reading]] = []


def facts_of(cell: str) -> list[str]:
    """The facts of a cell: semicolons within quotes don't part them."""
    return [it.strip() for it in re.findall(r'(?:"[^"]*"|[^;"])+', cell) if it.strip()]


def check(fact: str, story: Story) -> None:
    """Raises AssertionError where it does not hold, Unread where nothing reads it."""
    for pattern, reading in READINGS:
        match = pattern.fullmatch(fact)
        if match:
            reading(story, match)
            return
    raise Unread(f"no reading of the fact: {fact}")


def reads(pattern: str) -> Callable[[Reading], Reading]:
    """Declare what a form of words means."""

    def declare(reading: Reading) -> Reading:
        READINGS.append((re.compile(pattern), reading))
        return reading

    return declare


def _value(written: str) -> str:
    """Of a text as the table writes it: with or without quotes."""
    written = written.strip()
    if len(written) > 1 and written[0] == written[-1] == '"':
        return written[1:-1]
    return written


# Remarks of the table that say nothing of the outcome


@reads(r"no Java test runs it at 1\.3|run by Kestra QA")
def remark(story: Story, match: re.Match[str]) -> None:
    """The flow asserts by itself: its end is the assertion."""


# States and counts of task runs


@reads(rf"(?:child|children) (?:({STATES}) (\d+) taskruns?|(\d+) taskruns ({STATES}))")
def children_ended(story: Story, match: re.Match[str]) -> None:
    _all_children(story.children, match[1] or match[4], int(match[2] or match[3]))


@reads(rf"child ({STATES}) (\d+) taskruns but the parent ({STATES}) because .*")
def child_and_parent_ended(story: Story, match: re.Match[str]) -> None:
    _all_children(story.children, match[1], int(match[2]))
    assert story.execution.state == match[3]


@reads(r"child trigger\.type ([\w.]+), vars executionId/flowId/namespace of the parent")
def trigger_of_the_child(story: Story, match: re.Match[str]) -> None:
    (child,) = story.children
    found, parent = child.trigger, story.execution
    assert found["type"] == match[1], f"{found}"
    variables = {name: found["variables"][name] for name in ("executionId", "flowId", "namespace")}
    wanted = {"executionId": parent.id, "flowId": parent.flow_id, "namespace": parent.namespace}
    assert variables == wanted, f"{found}"


@reads(r"a child has trigger\.taskRunIteration=0")
def iteration_of_a_child(story: Story, match: re.Match[str]) -> None:
    found = [it.trigger["variables"].get("taskRunIteration") for it in story.children]
    assert 0 in found, f"taskRunIteration {found}"


@reads(r"child input items matches (.+)")
def items_of_the_child(story: Story, match: re.Match[str]) -> None:
    for child in story.children:
        found = text(child.inputs.get("items"))
        assert re.fullmatch(match[1], found), f"items {found}"


@reads(r"at parent end <=(\d+) children")
def so_few_children_then(story: Story, match: re.Match[str]) -> None:
    end = story.execution.ended or 0
    assert len([it for it in story.children if it.started <= end]) <= int(match[1])


@reads(rf"(?:finally )?(\d+) (?:child executions|children) ({STATES}) (\d+) taskruns?")
def so_many_children_ended(story: Story, match: re.Match[str]) -> None:
    assert len(story.children) == int(match[1]), f"{len(story.children)} children"
    _all_children(story.children, match[2], int(match[3]))


def _all_children(children: list[ObservedExecution], state: str, task_runs: int) -> None:
    assert children, "there is no child"
    for child in children:
        assert child.state == state, f"a child is {child.state}"
        assert len(child.task_runs) == task_runs, f"a child has {child.task_runs}"


@reads(rf"(\d+) child executions: (\d+) ({STATES}) and (\d+) ({STATES})")
def children_of_two_kinds(story: Story, match: re.Match[str]) -> None:
    states = Counter(str(it.state) for it in story.children)
    assert states == {match[3]: int(match[2]), match[5]: int(match[4])}, f"children: {states}"
    assert sum(states.values()) == int(match[1])


@reads(rf"both(?: taskruns)? ({STATES})|after all ({STATES}) or ({STATES})")
def all_task_runs_ended(story: Story, match: re.Match[str]) -> None:
    wanted = [it for it in match.groups() if it]
    wrong = [it for it in story.execution.task_runs if it.state not in wanted]
    assert not wrong, f"{wrong}"


@reads(rf">=(\d+) taskruns ({STATES})(?: \(.*\))?")
def at_least_so_many(story: Story, match: re.Match[str]) -> None:
    found = [it for it in story.execution.task_runs if it.state == match[2]]
    assert len(found) >= int(match[1]), f"{story.execution.task_runs}"


@reads(r"last taskrun is ([\w-]+) (SUCCESS)(?: \(.*\))?")
def last_is(story: Story, match: re.Match[str]) -> None:
    run = story.run("last taskrun")
    assert (run.task_id, run.state) == (match[1], match[2]), f"the last is {run}"


@reads(rf"(taskrun\[\d+\]|\[\d+\])=([\w-]+) ({STATES})(?: \(.*\))?")
def which_and_how(story: Story, match: re.Match[str]) -> None:
    run = story.run(match[1])
    assert (run.task_id, run.state) == (match[2], match[3]), f"{match[1]} is {run}"


@reads(r"taskrun\[\d+\]=[\w-]+(?:, ?\[\d+\]=[\w-]+)*")
def which_are_where(story: Story, match: re.Match[str]) -> None:
    for index, name in re.findall(r"\[(\d+)\]=([\w-]+)", match[0]):
        assert story.run(f"[{index}]").task_id == name, f"{story.execution.task_runs}"


@reads(r"(taskrun\[\d+\]) ([a-z]\w*)")
def which_is_there(story: Story, match: re.Match[str]) -> None:
    assert story.run(match[1]).task_id == match[2], f"{story.execution.task_runs}"


@reads(r"no ([\w-]+)")
def not_reached(story: Story, match: re.Match[str]) -> None:
    assert match[1] not in story.execution, f"{match[1]} was reached"


@reads(r"(\d+) (?:taskrun )?(?!attempts?$)([\w-]+)")
def so_many_runs(story: Story, match: re.Match[str]) -> None:
    runs = story.runs(match[2])
    assert len(runs) == int(match[1]), f"{len(runs)} runs of {match[2]}"


@reads(r"exactly one taskrun each of ([\w-]+) and ([\w-]+)")
def one_run_each(story: Story, match: re.Match[str]) -> None:
    for name in match.groups():
        assert len(story.runs(name)) == 1, f"{len(story.runs(name))} runs of {name}"


def tasks_in(flow: Flow, block: str) -> Sequence[Task]:
    """Of a block, as the table calls it."""
    if block == "listener":
        return [task for listener in flow.listeners for task in listener.tasks]
    names = {"main": "tasks", "finally": "finally_", "afterExecution": "after_execution"}
    found: Sequence[Task] = getattr(flow, names[block])
    return found


@reads(r"order (main(?:, (?:finally|listener|afterExecution))+)")
def blocks_in_this_order(story: Story, match: re.Match[str]) -> None:
    flow = story.test.flows[0]
    wanted = [task.id for name in match[1].split(", ") for task in tasks_in(flow, name)]
    found = [it.task_id for it in story.execution.task_runs]
    assert found == wanted, f"order {found}"


@reads(r"last is ([\w-]+), starts after the execution's own end date")
def last_after_the_end(story: Story, match: re.Match[str]) -> None:
    run = story.execution.task_runs[-1]
    assert run.task_id == match[1], f"the last is {run}"
    assert run.started >= (story.execution.ended or 0), "it began before the execution's end"


@reads(r"order ([\w-]+(?:, [\w-]+)+)")
def in_this_order(story: Story, match: re.Match[str]) -> None:
    wanted = match[1].split(", ")
    found = [it.task_id for it in story.execution.task_runs]
    assert [name.lower() for name in found] == [name.lower() for name in wanted], f"order {found}"


@reads(r"all taskruns but ([\w-]+) are terminated")
def all_ended_but(story: Story, match: re.Match[str]) -> None:
    open_ones = [
        it
        for it in story.execution.task_runs
        if not it.state.is_terminal and it.task_id != match[1]
    ]
    assert not open_ones, f"still open: {open_ones}"


@reads(r"(\d+) taskruns of ([\w-]+) with iteration (\d+) and (\d+)")
def iterations(story: Story, match: re.Match[str]) -> None:
    found = sorted(it.iteration for it in story.runs(match[2]))
    assert found == [int(match[3]), int(match[4])], f"iterations {found}"
    assert len(found) == int(match[1])


# Attempts and histories


@reads(rf"((?:[\w-]+, )*[\w-]+) ({STATES}) \(attempts? ?(?:too|{STATES})\)")
def with_their_attempts(story: Story, match: re.Match[str]) -> None:
    for name in match[1].split(", "):
        run = story.run(name)
        assert run.state == match[2], f"{run}"
        assert run.attempts and run.attempts[-1].state == match[2], f"{run}: {run.attempts}"


@reads(rf"({RUN})?,? ?attempt\[0\] ({STATES})")
def first_attempt(story: Story, match: re.Match[str]) -> None:
    run = story.run(match[1] or "taskrun[0]")
    assert run.attempts, f"{run} has no attempt"
    assert run.attempts[0].state == match[2], f"{run.attempts}"


@reads(rf"({RUN}) ({STATES}), attempt\[0\] ({STATES})")
def state_and_first_attempt(story: Story, match: re.Match[str]) -> None:
    run = story.run(match[1])
    assert run.state == match[2], f"{run}"
    assert run.attempts and run.attempts[0].state == match[3], f"{run.attempts}"


@reads(rf"(?:({RUN}) )?(?:({STATES}) )?(?:has )?(\d+) attempts?(?: ({STATES}))?")
def so_many_attempts(story: Story, match: re.Match[str]) -> None:
    run = story.run(match[1] or "taskrun[0]")
    assert len(run.attempts) == int(match[3]), f"{run} has {len(run.attempts)} attempts"
    wanted = match[2] or match[4]
    assert not wanted or run.attempts[-1].state == wanted, f"{run.attempts}"


@reads(rf"({RUN}) attempts ((?:{STATES})(?:,(?:{STATES}))+)")
def states_of_attempts(story: Story, match: re.Match[str]) -> None:
    found = [str(it.state) for it in story.run(match[1]).attempts]
    assert found == match[2].split(","), f"attempts {found}"


@reads(
    rf"(?:({RUN})(?: and ({RUN}))? )?attemptNumber ?(==|>=|=|) ?(\d+)(?: ({STATES}))?(?: \(.*\))?"
)
def attempt_number(story: Story, match: re.Match[str]) -> None:
    names = [it for it in (match[1], match[2]) if it] or ["last taskrun"]
    for run in map(story.run, names):
        holds = COMPARED[match[3] or "="](len(run.attempts), int(match[4]))
        assert holds, f"{run} has {len(run.attempts)} attempts"
        assert not match[5] or run.state == match[5], f"{run}"


@reads(rf"(taskrun\[\d+\]) histories:? ((?:{STATES}) x\d+(?:, (?:{STATES}) x\d+)*)")
def histories(story: Story, match: re.Match[str]) -> None:
    states = [str(it) for it in story.run(match[1]).states]
    for state, count in re.findall(r"(\w+) x(\d+)", match[2]):
        assert states.count(state) == int(count), f"histories {states}"


@reads(r"attempt histories ([A-Z]+(?:,[A-Z]+)*)")
def histories_of_attempts(story: Story, match: re.Match[str]) -> None:
    wanted = match[1].split(",")
    for run in story.execution.task_runs:
        for attempt in run.attempts:
            assert [str(it) for it in attempt.states] == wanted, f"{run}: {attempt.states}"


# What tasks and executions put out


@reads(r"iterationCount ?(=|>) ?(\d+)")
def loop_count(story: Story, match: re.Match[str]) -> None:
    counts = [
        it.outputs["iterationCount"]
        for it in story.execution.task_runs
        if "iterationCount" in it.outputs
    ]
    assert counts, "no task run has an iterationCount"
    assert COMPARED[match[1]](counts[0], int(match[2])), f"iterationCount is {counts[0]}"


@reads(r"execution\.outputs is null")
def no_outputs(story: Story, match: re.Match[str]) -> None:
    assert not story.execution.outputs, f"outputs {shown(story.execution.outputs)}"


@reads(r"execution\.outputs == \{(\w+): '(.*)'\}")
def exact_outputs(story: Story, match: re.Match[str]) -> None:
    found = story.execution.outputs
    assert list(found) == [match[1]], f"outputs {shown(found)}"
    assert found[match[1]] == match[2], f"outputs {shown(found)}"


@reads(r"execution\.outputs\.(\w+) contains (\w+), (\w+)")
def outputs_contain(story: Story, match: re.Match[str]) -> None:
    found = read(story.execution.outputs, match[1])
    assert match[2] in found and match[3] in found, shown(found)


@reads(r"execution\.variables\.(\w+)=(.+)")
def variable_is(story: Story, match: re.Match[str]) -> None:
    found = read(story.execution.variables, match[1])
    assert found == json.loads(match[2]), shown(found)


@reads(rf"({RUN})\.outputs is null")
def no_task_outputs(story: Story, match: re.Match[str]) -> None:
    assert not story.run(match[1]).outputs, shown(story.run(match[1]).outputs)


@reads(r"outputs has exactly the key (\w+) \(null\)")
def one_null_output(story: Story, match: re.Match[str]) -> None:
    assert story.run("taskrun[0]").outputs == {match[1]: None}, shown(
        story.run("taskrun[0]").outputs
    )


@reads(r'outputs "([^"]*)", "([^"]*)"')
def values_in_order(story: Story, match: re.Match[str]) -> None:
    found = [text(value) for it in story.execution.task_runs for value in it.outputs.values()]
    assert found == list(match.groups()), f"{found}"


@reads(r"taskrun\[(\d+)\] and \[(\d+)\] outputs\.(\w+)\.(\w+)=(\w+), (\w+)=(\w+)")
def same_outputs(story: Story, match: re.Match[str]) -> None:
    for index in (match[1], match[2]):
        found = read(story.run(f"[{index}]").outputs, match[3])
        wanted = {match[4]: match[5], match[6]: match[7]}
        assert wanted.items() <= found.items(), shown(found)


@reads(r"(taskrun\[\d+\])(?:\.outputs\.)? ?numberOfBatches=(\d+),? (.*)")
def batches(story: Story, match: re.Match[str]) -> None:
    outputs = story.run(match[1]).outputs
    assert outputs.get("numberOfBatches") == int(match[2]), shown(outputs)
    for state, count in re.findall(r"([A-Z]+):(\d+)", match[3]):
        assert outputs["iterations"].get(state) == int(count), shown(outputs)


@reads(r"numberOfBatches=(\d+)")
def some_batches(story: Story, match: re.Match[str]) -> None:
    found = [it.outputs.get("numberOfBatches") for it in story.execution.task_runs]
    assert int(match[1]) in found, f"numberOfBatches {found}"


@reads(r"iterations\.([A-Z]+)=(\d+)|iterations\.CREATED absent, RUNNING 0, SUCCESS (\d+)")
def iterations_by_state(story: Story, match: re.Match[str]) -> None:
    found = [
        it.outputs["iterations"] for it in story.execution.task_runs if "iterations" in it.outputs
    ]
    assert found, "no task run has iterations"
    if match[1]:
        assert found[-1].get(match[1]) == int(match[2]), f"{found[-1]}"
    else:
        assert found[-1] == {"RUNNING": 0, "SUCCESS": int(match[3])}, f"{found[-1]}"


@reads(rf"({RUN}) outputs value=(\w+), defaults=(true|false)|value=(\w+), defaults=(true|false)")
def switch_outputs(story: Story, match: re.Match[str]) -> None:
    outputs = story.run(match[1] or "taskrun[0]").outputs
    wanted = {"value": match[2] or match[4], "defaults": (match[3] or match[5]) == "true"}
    assert outputs == wanted, shown(outputs)


@reads(
    rf'({RUN})\.([\w.]+) contains "(.*)"\+output of ({RUN})'
    rf"|({RUN})\.([\w.]+) contains output of ({RUN})"
    rf"|({RUN}) contains output of ({RUN})"
    rf'|({RUN}) contains "(.*)"\+output of ({RUN})'
)
def contains_the_output_of(story: Story, match: re.Match[str]) -> None:
    groups = match.groups("")
    name, prefix, other = {
        0: (groups[0], groups[2], groups[3]),
        4: (groups[4], "", groups[6]),
        7: (groups[7], "", groups[8]),
        9: (groups[9], groups[10], groups[11]),
    }[next(index for index in (0, 4, 7, 9) if groups[index])]
    wanted = prefix + text(story.run(other).outputs["value"])
    found = text(story.run(name).outputs["value"])
    assert wanted in found, f"{shown(wanted)} is not in {shown(found)}"


@reads(r'(taskrun\[\d+\])\.outputs\.uris(\[".+"\]) content "(.*)"')
def stored_content(story: Story, match: re.Match[str]) -> None:
    uri = read(story.run(match[1]).outputs, f"uris{match[2]}")
    with story.test.servers.blobs.open(uri) as content:
        found = content.read().decode()
    assert found == match[3], f"content {shown(found)}"


@reads(r"(taskrun\[\d+\])\.outputs\.(\w+) is a URI of a file with (\d+) lines")
def stored_lines(story: Story, match: re.Match[str]) -> None:
    with story.test.servers.blobs.open(read(story.run(match[1]).outputs, match[2])) as content:
        found = len(content.read().splitlines())
    assert found == int(match[3]), f"{found} lines"


@reads(r"([\w-]+)\.outputs\.executionId = child id|outputs\.executionId = child id")
def id_of_the_child(story: Story, match: re.Match[str]) -> None:
    found = story.run(match[1] or "taskrun[0]").outputs.get("executionId")
    assert [found] == [it.id for it in story.children], f"executionId {found}"


@reads(r'extracted contains "(.*)"')
def extracted(story: Story, match: re.Match[str]) -> None:
    found = read(story.run("taskrun[0]").outputs, "outputs.extracted")
    assert match[1] in found, shown(found)


@reads(r'([\w-]+)\.values\.(\w+)=(\w+), (\w+)="(.*)"')
def two_values(story: Story, match: re.Match[str]) -> None:
    found = read(story.run(match[1]).outputs, "values")
    assert found == {match[2]: match[3], match[4]: match[5]}, shown(found)


@reads(r'([\w-]+)="([^"]*)"(?: \(.*\))?')
def returned(story: Story, match: re.Match[str]) -> None:
    found = text(read(story.run(match[1]).outputs, "value"))
    assert found == match[2], f"{match[1]} returned {shown(found)}"


@reads(r"([\w-]+) taskrun fails more than 5 s after its creation(?: \(.*\))?")
def fails_later(story: Story, match: re.Match[str]) -> None:
    run = story.run(match[1])
    assert run.state == "FAILED" and (run.ended or 0) - run.started > 5_000, f"{run}"


_PATH = r"(outputs\.[\w.]+|value|\.[\w.]+|(?<=\.)[\w.]+)|(values\.[\w.]+)"


@reads(rf"(?:(?!outputs\.)({RUN})[. ]?)?(?:{_PATH})( contains:? | starts with | matches |=| )(.+)")
def output_is(story: Story, match: re.Match[str]) -> None:
    found, wanted = text(_output(story, match)), _value(match[5])
    wanted = re.sub(r" even though the task failed$|(?<=\}) \(\w+\)$", "", wanted).strip('"')
    how = match[4].strip(": ")
    holds = {
        "contains": lambda: wanted in found or _same_json(wanted, found),
        "starts with": lambda: found.startswith(wanted),
        "matches": lambda: re.match(wanted, found) is not None,
    }.get(how, lambda: found == wanted)()
    assert holds, f"{match[0].split(how or ' ')[0]}: {shown(found)}, not {how} {shown(wanted)}"


def _output(story: Story, match: re.Match[str]) -> Any:
    name, path = match[1], (match[2] or match[3]).strip(".")
    if name is None and path.startswith("outputs."):
        head, _, rest = path.removeprefix("outputs.").partition(".")
        if head in story.execution:
            return read(story.outputs(head), rest)
    path = path.removeprefix("outputs.")
    return read(story.outputs(name or "taskrun[0]"), path)


def _same_json(wanted: str, found: str) -> bool:
    """Whether all of the one object is in the other, in whatever order."""
    try:
        part, whole = json.loads(wanted), json.loads(found)
    except json.JSONDecodeError:
        return False
    if isinstance(whole, list):
        return part in whole
    return isinstance(part, dict) and isinstance(whole, dict) and part.items() <= whole.items()


# Logs and labels


@reads(r'log(?: contains)? "(.*)"')
def logged(story: Story, match: re.Match[str]) -> None:
    found = [*story.execution.messages(), story.execution.error]
    found += [it.error for it in story.execution.task_runs]
    assert any(match[1] in it for it in found), f"no log line has it: {shown(found)}"


@reads(r'log\[(\d+)\] ([A-Z]+) "(.*)"')
def log_line(story: Story, match: re.Match[str]) -> None:
    lines = story.execution.logs
    assert len(lines) > int(match[1]), f"{len(lines)} lines"
    line = lines[int(match[1])]
    assert (line.level, line.message) == (match[2], match[3]), f"{line.level} {line.message}"


@reads(r"log message is split into >(\d+) entries with one timestamp")
def split_message(story: Story, match: re.Match[str]) -> None:
    entries = Counter((it.task_run_id, it.at) for it in story.execution.logs)
    assert max(entries.values(), default=0) > int(match[1]), f"{list(entries.values())}"


@reads(r"message protection of 1 MiB hits while running")
def too_large(story: Story, match: re.Match[str]) -> None:
    errors = [story.execution.error, *(it.error for it in story.execution.task_runs)]
    assert any(re.search(r"\b(bytes|size)\b", it) for it in errors), f"errors {shown(errors)}"


@reads(r"(taskrun\[\d+\]) emits no log(?: \(.*\))?")
def logs_nothing(story: Story, match: re.Match[str]) -> None:
    run = story.run(match[1])
    assert not [it for it in story.execution.logs if it.task_run_id == run.id]


@reads(r"labels contain ([\w.]+)=(\w+)")
def has_label(story: Story, match: re.Match[str]) -> None:
    assert story.execution.labels.get(match[1]) == match[2], f"{story.execution.labels}"


@reads(r"labels exactly:? (.+)")
def exact_labels(story: Story, match: re.Match[str]) -> None:
    labels = dict(story.execution.labels)
    wanted = [it.strip() for it in match[1].split(",")]
    names = {it.partition("=")[0] for it in wanted}
    names = {"system.correlationId" if it == "correlationId" else it for it in names}
    assert set(labels) == names, f"labels {labels}"
    for each in wanted:
        name, _, value = each.partition("=")
        if value.startswith("taskrun id of "):
            value = story.run(value.removeprefix("taskrun id of ")).id
        if "correlationId" in name:
            name, value = "system.correlationId", story.execution.id
        assert not value or labels[name] == value, f"label {name}={labels[name]}, not {value}"


@reads(r"(?:\d+ )?child(?: (\d+))? labels: (.+)|(\d+) child labels: (.+)")
def labels_of_the_child(story: Story, match: re.Match[str]) -> None:
    (child,) = story.children
    labels, wanted = child.labels, [it.strip() for it in (match[2] or match[4]).split(",")]
    assert len(labels) == len(wanted), f"labels {labels}"
    for each in wanted:
        name, _, value = each.partition("=")
        if "correlationId" in name:
            name, value = "system.correlationId", story.execution.id
        assert labels.get(name) == value, f"labels {labels}"


@reads(r"not inherited=label")
def not_inherited(story: Story, match: re.Match[str]) -> None:
    (child,) = story.children
    assert "inherited" not in child.labels, f"labels {child.labels}"


@reads(r"correlationId label = parent id")
def correlated(story: Story, match: re.Match[str]) -> None:
    found = {it.labels.get("system.correlationId") for it in story.children}
    assert found == {story.execution.id}, f"correlation ids {found}"


@reads(r"as above and (global-error) (SUCCESS)")
def but_for_the_last_task(story: Story, match: re.Match[str]) -> None:
    """Of allow-failure.yaml: the row before this one, whose execution went on."""
    above = "1-1-allow-failure WARNING;1-1-1_seq FAILED;1-1-1-1 SUCCESS;ko FAILED"
    for fact in [*facts_of(above), "local-error SUCCESS", f"{match[1]} {match[2]}"]:
        check(fact, story)


# The common form, last: who is how


@reads(rf"((?:{RUN})(?:, ?(?:{RUN}))*) ({STATES})(?: \(.*\))?")
def who_is_how(story: Story, match: re.Match[str]) -> None:
    for name in re.findall(r"[\w-]+\[[^\]]+\]|[^, ][^,]*", match[1]):
        run = story.run(name)
        assert run.state == match[2], f"{run} is not {match[2]}"


def unread(cells: list[str]) -> Iterator[str]:
    """Facts that no reading reads."""
    for cell in cells:
        for fact in facts_of(cell):
            if not any(pattern.fullmatch(fact) for pattern, _ in READINGS):
                yield fact

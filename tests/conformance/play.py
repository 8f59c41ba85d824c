"""Playing a row: the common forms of the column ``steps``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from kestrapy.errors import FlowRefused, UserError
from kestrapy.language.flow import parse_flow
from kestrapy.plugins.registry import REGISTRY
from kestrapy.testing import FlowTest
from kestrapy.testing.stand_ins import with_stand_ins
from tests.conformance.corpus import Row
from tests.conformance.facts import check, facts_of
from tests.conformance.given import Given, Unread, given_of
from tests.conformance.life import Missing
from tests.conformance.local_web import local_web
from tests.conformance.stand_ins import STAND_INS, TRIGGERS
from tests.conformance.story import Phase, Story

Step = Callable[[Row, re.Match[str]], None]
STEPS: list[tuple[re.Pattern[str], Step]] = []


def play(row: Row) -> None:
    """Raises whatever shows that the row does not come out as it should."""
    for pattern, step in STEPS:
        match = pattern.fullmatch(row.steps)
        if match:
            step(row, match)
            return
    raise Unread(f"no reading of the steps: {row.steps}")


def does(pattern: str) -> Callable[[Step], Step]:
    def declare(step: Step) -> Step:
        STEPS.append((re.compile(pattern), step))
        return step

    return declare


ALL = (*STAND_INS, *TRIGGERS)
FLOW_TEST: ContextVar[type[FlowTest]] = ContextVar("FLOW_TEST", default=FlowTest)
"""What rows are played with."""


@contextmanager
def test_of(row: Row) -> Iterator[FlowTest]:
    """A test with the row's flows."""
    kind = FLOW_TEST.get()
    if "needs-network" not in row.category:
        with kind(*row.paths, stand_ins=ALL) as test:
            yield test
        return
    with local_web(row.path) as text, kind(text, *row.paths[1:], stand_ins=ALL) as test:
        yield test


@does("")
def accepted(row: Row, match: re.Match[str]) -> None:
    registry = with_stand_ins(REGISTRY, ALL)
    parse_flow(row.path.read_text(encoding="utf-8"), registry)


@does("run|run each|run; await child(?: switch)?")
def run(row: Row, match: re.Match[str]) -> None:
    """To the end, that of its children too, once with each of the given inputs."""
    for given in given_of(row.inputs):
        with test_of(row) as test:
            story = begun(test, given)
            test.run_until(None, story.execution)
            for child in story.children:
                test.run_until(None, child)
            story.note()
            judge(row, story)


@does("run.*listen.*|run a")
def fire(row: Row, match: re.Match[str]) -> None:
    raise Missing("triggers that executions fire")


@does("run until PAUSED; wait")
def run_until_paused(row: Row, match: re.Match[str]) -> None:
    (given,) = given_of(row.inputs)
    with test_of(row) as test:
        story = begun(test, given)
        test.run_until("PAUSED", story.execution)
        story.note()
        test.run_until(None, story.execution)
        story.note()
        judge(row, story)


@does("validate|parse")
def refuse(row: Row, match: re.Match[str]) -> None:
    """The flow is refused, for what the facts say."""
    try:
        accepted(row, match)
    except FlowRefused as refusal:
        messages = [str(problem) for problem in refusal.problems]
    else:
        raise AssertionError("the flow is accepted")
    refused_for(row.facts, messages)


@does("create")
def create(row: Row, match: re.Match[str]) -> None:
    """The execution is refused, for what the facts say; ``a / b``: so are or are not others."""
    states = row.terminal_state.split(" / ")
    for given, state in zip(given_of(row.inputs), states, strict=True):
        with test_of(row) as test:
            try:
                test.start(declared(test, given.inputs), given.labels)
            except UserError as refusal:
                assert state == "refused", f"{given.inputs} refused: {refusal}"
                problems = getattr(refusal, "problems", [refusal])
                refused_for(row.facts, [str(problem) for problem in problems])
            else:
                assert state == "accepted", f"{given.inputs} is accepted"


def refused_for(facts: str, messages: list[str]) -> None:
    """What stands in quotes has to be in a message; ``n violations``: so many messages."""
    found = "\n".join(messages)
    count = re.match(r"(\d+) (?:violations?|messages)", facts)
    assert not count or len(messages) == int(count[1]), f"{len(messages)} problems: {found}"
    for quoted in re.findall(r'"((?:[^"\\]|\\.)*)"', facts):
        for part in quoted.split(" ... "):
            assert part in found, f"no problem says {part!r}: {found}"


def begun(test: FlowTest, given: Given) -> Story:
    return Story(test, test.start(declared(test, given.inputs), given.labels))


def declared(test: FlowTest, inputs: dict[str, Any]) -> dict[str, Any]:
    """Kestra's tests give the same inputs to several flows, and Kestra leaves those out that a flow
    does not declare; here they would be refused.
    """
    known = {it.id for it in test.flows[0].inputs}
    return {name: value for name, value in inputs.items() if name in known}


def judge(row: Row, story: Story) -> None:
    """State, number of task runs, and facts."""
    states = row.terminal_state.split(" (")[0].split(" then ")
    counts = row.task_runs.split(" then ")
    for phase, state in zip(story.phases, _for_each(states, story), strict=True):
        assert state in ("-", phase.state), f"the execution is {phase.state}: {_how(phase)}"
    for phase, count in zip(story.phases, _for_each(counts, story), strict=True):
        assert _fits(count, len(phase.task_runs)), f"{len(phase.task_runs)} task runs, not {count}"
    for fact in facts_of(row.facts):
        check(fact, story)


def _for_each(cells: list[str], story: Story) -> list[str]:
    """One cell may speak of all phases."""
    return cells * len(story.phases) if len(cells) == 1 else cells


def _fits(count: str, found: int) -> bool:
    if count == "-":
        return True
    if count.startswith(">="):
        return found >= int(count[2:])
    return found == int(count)


def _how(phase: Phase) -> str:
    errors = [f"{it.task_id}: {it.error}" for it in phase.task_runs if it.error]
    return "; ".join([str(phase.task_runs), *errors])

"""The suite's own parts: a reading that can't fail would pass whatever comes out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kestrapy.testing import FlowTest
from tests.conformance.corpus import Row
from tests.conformance.facts import check, facts_of
from tests.conformance.given import Unread, given_of
from tests.conformance.play import _fits, judge, refused_for
from tests.conformance.story import Story

FLOW = """\
id: read
namespace: tests
outputs:
  - {id: key, type: STRING, value: '{"value":"x"}'}
tasks:
  - {id: one, type: io.kestra.plugin.core.debug.Return, logLevel: INFO, format: "value1"}
  - id: group
    type: io.kestra.plugin.core.flow.Sequential
    tasks:
      - id: two-2
        type: io.kestra.plugin.core.debug.Return
        logLevel: INFO
        format: "get {{ outputs.one.value }}"
  - {id: told, type: io.kestra.plugin.core.log.Log, level: WARN, message: "first t1"}
  - id: ko
    type: io.kestra.plugin.core.execution.Fail
    retry: {type: constant, interval: PT1S, maxAttempts: 2}
errors:
  - {id: e1, type: io.kestra.plugin.core.debug.Return, format: "[1]"}
"""


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    with FlowTest(FLOW) as test:
        yield Story(test, test.run(labels={"sla": "violated"}))


HOLD = [
    'outputs.one.value contains "alue1"',
    'one.value="value1"',
    'one="value1" (a remark)',
    "taskrun[0].value starts with val",
    r"taskrun[0].value matches ^value\d",
    "two-2.value contains output of one",
    'two-2 contains "get "+output of one',
    "one,told SUCCESS",
    "ko FAILED (a remark)",
    "no ok",
    "taskrun[0]=one, [2]=two-2",
    "last taskrun is e1 SUCCESS",
    "ko has 2 attempts",
    "taskrun[4] attemptNumber == 2",
    "ko attempts FAILED,FAILED",
    "ko attempt[0] FAILED",
    "ko FAILED, attempt[0] FAILED",
    'log contains "first t"',
    'log[0] WARN "first t1"',
    "taskrun[0] emits no log",
    "labels contain sla=violated",
    "1 e1",
    "exactly one taskrun each of one and ko",
    "order one, group, two-2, told, ko, e1",
    "taskrun[0] histories: CREATED x1, RUNNING x1",
    "all taskruns but ko are terminated",
    "after all SUCCESS or FAILED",
    ">=1 taskruns FAILED (should be 3)",
]
DIFFER = [
    'outputs.one.value contains "other"',
    'one.value="value2"',
    'one="value2"',
    "taskrun[0].value starts with x",
    r"taskrun[0].value matches ^value\d\d",
    "one.value contains output of two-2",
    'two-2 contains "got "+output of one',
    "one,ko SUCCESS",
    "ko SUCCESS (a remark)",
    "nothing SUCCESS",
    "no ko",
    "taskrun[0]=one, [2]=one",
    "taskrun[9] SUCCESS",
    "last taskrun is ko SUCCESS",
    "ko has 3 attempts",
    "taskrun[4] attemptNumber == 1",
    "ko attempts FAILED,SUCCESS",
    "ko attempt[0] SUCCESS",
    'log contains "second"',
    'log[0] ERROR "first t1"',
    'log[7] WARN "first t1"',
    "taskrun[3] emits no log",
    "labels contain sla=kept",
    "labels exactly: other=x",
    "2 e1",
    "exactly one taskrun each of one and nothing",
    "order one, group",
    "taskrun[0] histories: RUNNING x2",
    "after all SUCCESS or SKIPPED",
    "both SUCCESS",
    ">=2 taskruns FAILED",
    "child SUCCESS 1 taskrun",
    "4 child executions: 2 SUCCESS and 2 FAILED",
    "iterationCount=3",
    "outputs has exactly the key value (null)",
]


@pytest.mark.parametrize("fact", HOLD)
def test_a_fact_that_holds_is_read(story: Story, fact: str) -> None:
    check(fact, story)


@pytest.mark.parametrize("fact", DIFFER)
def test_a_fact_that_does_not_hold_fails(story: Story, fact: str) -> None:
    with pytest.raises(AssertionError):
        check(fact, story)


def test_a_fact_that_nothing_reads_is_no_success(story: Story) -> None:
    with pytest.raises(Unread, match="no reading of the fact"):
        check("all is well, on the whole", story)


def row(state: str, count: str, facts: str = "") -> Row:
    return Row("key", "valids/read.yaml", (), "", "run", state, count, facts, "source", "core")


def test_states_counts_and_facts_of_each_phase_are_judged(story: Story) -> None:
    story.phases.clear()
    story.note()
    judge(row("FAILED", "6", "ko FAILED"), story)
    wrong = [row("SUCCESS", "6"), row("FAILED", "5"), row("FAILED", "6", "ko SUCCESS")]
    story.note()
    judge(row("FAILED then FAILED", "6 then 6"), story)
    wrong += [row("FAILED then WARNING", "6"), row("FAILED", "6 then 7")]
    for each in wrong:
        with pytest.raises(AssertionError):
            judge(each, story)


def test_facts_are_cut_at_semicolons_outside_of_quotes() -> None:
    assert facts_of('a "b; c"; d') == ['a "b; c"', "d"]


def test_inputs_are_read_with_labels_files_and_alternatives() -> None:
    (given,) = given_of('{"string":"OK"} + label team=a, sla=b')
    assert (given.inputs, given.labels) == ({"string": "OK"}, {"team": "a", "sla": "b"})
    assert [it.inputs for it in given_of('{"a":1} / {"a":-0}')] == [{"a": 1}, {"a": 0}]
    (given,) = given_of('{"file": FILE of 10 lines, "batch": 4}')
    lines = given.inputs["file"].read_text().splitlines()
    assert len(lines) == 10 and all(len(line) == 20 for line in lines)
    (given,) = given_of('{"file": empty FILE}')
    assert given.inputs["file"].read_text() == ""
    assert len(given_of("InputsTest.inputs with string = 16 KiB of a")[0].inputs["string"]) == 16384
    with pytest.raises(Unread):
        given_of("whatever")


def test_counts_and_refusals_are_compared() -> None:
    assert _fits("3", 3) and _fits("-", 7) and _fits(">=2", 3)
    assert not _fits("3", 4) and not _fits(">=2", 1)
    refused_for('2 violations "one" / "two"', ["a one", "b two"])
    for facts in ('3 violations "one"', '"three"'):
        with pytest.raises(AssertionError):
            refused_for(facts, ["a one", "b two"])

"""execution.Count: what it asks the database, and what it keeps of the answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kestrapy.adapters.sql.queries import SqlQueries
from kestrapy.adapters.sql.schema import upgrade
from kestrapy.adapters.sql.writer import SqlIndexWriter
from kestrapy.assembly.lookups import Once, open_store
from kestrapy.config import load_settings
from kestrapy.errors import FlowRefused, UserError
from kestrapy.language.flow import parse_flow
from kestrapy.model.state import State
from kestrapy.plugins.registry import REGISTRY
from tests.samples import of_execution
from tests.task_bench import Bench, NoLauncher

COUNT = "io.kestra.plugin.core.execution.Count"
TEAM = "company.team"
FLOWS = [{"namespace": TEAM, "flowId": it} for it in ("first", "second", "third")]
SINCE = "1970-01-01T00:00:00Z"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """4 executions of first, one of which runs, 6 of second and none of third."""
    url = f"sqlite:///{tmp_path}/store.db"
    upgrade(url)
    writer = SqlIndexWriter(url)
    flows = ["first"] * 4 + ["second"] * 6
    events = [
        of_execution(f"e{number}", number, *_states(number), flow_id=flow, at=number * 1_000)
        for number, flow in enumerate(flows)
    ]
    writer.write(events, [])
    writer.close()
    bench = Bench(NoLauncher(), tmp_path)
    queries = SqlQueries(url)
    bench.tools = bench.tools._replace(queries=Once(lambda: queries))
    yield bench
    queries.close()


def _states(number: int) -> list[State]:
    return [State.RUNNING] if number == 0 else [State.RUNNING, State.SUCCESS]


def counted(bench: Bench, **properties: Any) -> dict[Any, int]:
    given = {"startDate": SINCE, "expression": "{{ true }}", **properties}
    outputs = bench.done(COUNT, **given)
    assert outputs["total"] == sum(it["count"] for it in outputs["results"])
    return {it["flowId"] or it["namespace"]: it["count"] for it in outputs["results"]}


def test_flows_whose_count_fits_the_expression(bench: Bench) -> None:
    assert counted(bench, flows=FLOWS) == {"first": 4, "second": 6, "third": 0}
    assert counted(bench, flows=FLOWS, expression="{{ count >= 4 }}") == {"first": 4, "second": 6}
    assert counted(bench, flows=FLOWS, expression="{{ count == 0 }}") == {"third": 0}
    assert counted(bench, flows=FLOWS, expression="no") == {}


def test_of_some_states_and_dates(bench: Bench) -> None:
    assert counted(bench, flows=FLOWS, states=["RUNNING"]) == {"first": 1, "second": 0, "third": 0}
    named = "{{ ['RUNNING', 'SUCCESS'] }}"
    assert counted(bench, flows=FLOWS, states=named)["first"] == 4
    late = counted(bench, flows=FLOWS, startDate="1970-01-01T00:00:03Z")
    assert late == {"first": 1, "second": 6, "third": 0}
    ended = counted(bench, flows=FLOWS, endDate="1970-01-01T01:00:02.001+01:00")
    assert ended == {"first": 2, "second": 0, "third": 0}


def test_namespaces_are_counted_as_one(bench: Bench) -> None:
    assert counted(bench, namespaces=[TEAM, "company"]) == {TEAM: 10}
    assert counted(bench, namespaces=[TEAM], flows=FLOWS[:1]) == {"first": 4, TEAM: 10}


def test_what_does_not_fit_is_told(bench: Bench) -> None:
    given = {"flows": FLOWS, "expression": "true"}
    assert "states" in bench.refusal(COUNT, **given, startDate=SINCE, states=["DONE"])
    assert "no instant" in bench.refusal(COUNT, **given, startDate="{{ 'yesterday' }}")


@pytest.mark.parametrize(
    ("properties", "told"),
    [
        ("startDate: x, flows: [], expression: e", "tasks[0].startDate: 'x' is no instant"),
        (f"startDate: '{SINCE}', expression: e", "give `flows` or `namespaces`"),
        (f"startDate: '{SINCE}', flows: []", "expression"),
        (f"startDate: '{SINCE}', flows: [{{id: a}}], expression: e", "tasks[0].flows[0]"),
    ],
)
def test_it_is_refused_with_its_place(properties: str, told: str) -> None:
    flow = f"id: f\nnamespace: n\ntasks:\n  - {{id: a, type: {COUNT}, {properties}}}\n"
    with pytest.raises(FlowRefused) as caught:
        parse_flow(flow, REGISTRY)
    assert told in str(caught.value)


def test_a_worker_without_a_database_says_what_to_set(tmp_path: Path) -> None:
    settings = load_settings(None, {"KESTRAPY_DATA_DIR": str(tmp_path)})
    bench = Bench(NoLauncher(), tmp_path)
    bench.tools = bench.tools._replace(queries=lambda: open_store(settings))
    told = bench.refusal(COUNT, flows=FLOWS, startDate=SINCE, expression="true")
    assert "no database to ask" in told and "`store.url`" in told
    assert not (tmp_path / "kestrapy.db").exists()
    with pytest.raises(UserError, match=r"kestrapy\.db"):
        open_store(settings)


def test_a_database_is_opened_once(tmp_path: Path) -> None:
    settings = load_settings(None, {"KESTRAPY_DATA_DIR": str(tmp_path)})
    upgrade(settings.store_url)
    once = Once(lambda: open_store(settings))
    assert once() is once()
    once().close()

"""``kestrapy execution``: which executions are meant, and what is said of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import pytest
import typer

from kestrapy.assembly import executions
from kestrapy.cli.execution import (
    check_name,
    epoch_ms,
    replay,
    restart,
    revive,
    search_of,
    tell,
)
from kestrapy.errors import InputRefused, UserError
from kestrapy.model.state import State
from kestrapy.ports.store import ExecutionSearch, StoredExecution
from kestrapy.servers import many
from kestrapy.servers.many import Outcome
from kestrapy.servers.restarts import Revived

SEARCH = ExecutionSearch()


class Told:
    """Answers as Many does, where all of some ids are refused."""

    orders: ClassVar[list[Any]] = []

    def __init__(self, *refused: str):
        self._refused = refused

    def whole(self, order: Any) -> Any:
        return order

    def by_ids(self, order: Any, ids: Sequence[str]) -> Outcome:
        self.orders.append(order)
        outcome = Outcome(len(ids) - len(self._refused))
        for each in self._refused:
            outcome.refuse(each, "because")
        return outcome

    def by_query(self, _order: Any, _search: ExecutionSearch, _newest: str) -> Iterator[Outcome]:
        yield Outcome(2)
        yield Outcome(3)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Any:
    def answer_as(answers: Told) -> None:
        @contextmanager
        def opened(*_: Any) -> Iterator[Told]:
            yield answers

        @contextmanager
        def opened_restarts(*_: Any) -> Iterator[tuple[Told, Any]]:
            yield answers, SimpleNamespace(new_id=str)

        monkeypatch.setattr(executions, "opened_executions", opened)
        monkeypatch.setattr(executions, "opened_restarts", opened_restarts)

    return answer_as


def test_it_says_how_many_and_why_not_others(told: Any, capsys: Any) -> None:
    told(Told("b"))
    tell("killed", many.kill, ["a", "b"], ExecutionSearch(), None)
    out, err = capsys.readouterr()
    assert out == "1 will be killed, 1 refused\n" and "b: because" in err
    tell("paused", many.pause, [], ExecutionSearch("company"), None)
    assert capsys.readouterr().out == "3 will be paused, 0 refused\n", "the last word counts"


def test_the_exit_code_tells_that_nothing_was_done(told: Any) -> None:
    told(Told("a"))
    with pytest.raises(typer.Exit) as caught:
        tell("killed", many.kill, ["a"], ExecutionSearch(), None)
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(("ids", "namespace"), [([], ""), (["a"], "company")])
def test_either_ids_or_a_search(told: Any, ids: list[str], namespace: str) -> None:
    told(Told())
    with pytest.raises(UserError, match="say which executions"):
        tell("killed", many.kill, ids, ExecutionSearch(namespace), None)


def test_what_goes_on_under_a_new_id_is_told(told: Any, capsys: Any) -> None:
    told(Told())
    one = cast(StoredExecution, SimpleNamespace(execution_id="a"))
    for new_id, expected in (("a", ""), ("b", "a goes on as b\n")):
        revive("replayed", lambda _, it, new=new_id: Revived(new, []), ["a"], SEARCH, None)
        Told.orders.pop()(one)
        assert capsys.readouterr().out == "1 will be replayed, 0 refused\n" + expected


def test_a_replay_from_a_task_run_is_of_one_execution() -> None:
    for ids in ([], ["a", "b"]):
        with pytest.raises(UserError, match="--task-run is of one execution"):
            replay(ids, task_run="a-1", namespace="company")
    with pytest.raises(UserError, match="say which executions"):
        restart([])


def test_options_make_a_search() -> None:
    found = search_of("n", "f", [State.RUNNING], ["a:b:c"], "2026-01-01T00:00:00Z/")
    assert (found.namespace, found.flow_id, found.states) == ("n", "f", (State.RUNNING,))
    assert (found.labels, found.start, found.end) == ((("a", "b:c"),), 1_767_225_600_000, None)
    assert search_of("", "", None, None, "") == SEARCH, "nothing is said"
    assert epoch_ms("1970-01-01T01:00:00.5+01:00") == 500


def test_ids_without_options_are_a_choice_and_nothing_at_all_is_none(told: Any) -> None:
    told(Told())
    nothing = search_of("", "", None, None, "")
    tell("killed", many.kill, ["a"], nothing, None)
    with pytest.raises(UserError, match="say which executions"):
        tell("killed", many.kill, None, nothing, None)


@pytest.mark.parametrize(
    ("labels", "started"),
    [(["plain"], ""), ([], "2026-01-01T00:00:00Z"), ([], "soon/"), ([], "2026-01-01/")],
)
def test_what_can_not_be_read_is_refused(labels: list[str], started: str) -> None:
    with pytest.raises(InputRefused):
        search_of("", "", None, labels, started)


def test_what_can_be_left_alone() -> None:
    for name in ("execution/x", "flow/a.b/c", "namespace/a.b", "tenant/main"):
        check_name(name)
    for name in ("", "x", "flow/a", "flow/a/b/c", "namespace/", "tenant/other", "group/x"):
        with pytest.raises(UserError, match="expected execution/ID"):
            check_name(name)


def test_refusals_are_counted_and_the_first_are_named() -> None:
    outcome = Outcome()
    for number in range(many.REFUSALS_TOLD + 5):
        outcome.refuse(str(number), "because")
    assert (outcome.refused_count, len(outcome.refused)) == (105, 100)

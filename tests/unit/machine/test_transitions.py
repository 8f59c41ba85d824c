"""The tables of states: what is in none of them can't be written."""

from __future__ import annotations

import pytest

from kestrapy.errors import InvariantViolated
from kestrapy.machine.transitions import ATTEMPT, EXECUTION, TASK_RUN, Table, enter
from kestrapy.model.state import State, begin

TABLES = {"execution": EXECUTION, "task run": TASK_RUN, "attempt": ATTEMPT}
NAMED = pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)


@NAMED
def test_each_pair_of_states_is_entered_or_refused(table: Table) -> None:
    for before in State:
        for after in State:
            history = begin(before, 5)
            if after in table.get(before, ()):
                entered = enter(table, history, after, 7)
                assert [it.state for it in entered.histories] == [before, after]
                assert entered.histories[-1].at == 7
            else:
                with pytest.raises(InvariantViolated, match=f"{before} may not become {after}"):
                    enter(table, history, after, 7)
            assert history == begin(before, 5)


@NAMED
def test_nothing_follows_an_end(table: Table) -> None:
    assert not [state for state in table if state.is_terminal]


@NAMED
def test_every_state_leads_to_an_end(table: Table) -> None:
    for state, following in table.items():
        seen, todo = {state}, set(following)
        while todo:
            seen |= todo
            todo = {after for it in todo for after in table.get(it, ())} - seen
        assert any(it.is_terminal for it in seen)
        assert not [it for it in seen if not it.is_terminal and it not in table]

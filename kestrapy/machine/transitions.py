"""Which state may follow which. Whatever is not in a table is a bug of the machine, and is never
written.

::

    execution   CREATED ──▶ RUNNING ──▶ SUCCESS | WARNING | FAILED | RETRIED
                 │    │       ▲▲ │ └────▶ KILLING ──▶ KILLED | RETRIED
                 │    │       │└─┴─ PAUSED ─┘
                 │    └──▶ QUEUED ──▶ KILLED | FAILED | CANCELLED (too late)
                 └──▶ FAILED (refused, or no slot) | CANCELLED (no slot) | KILLED
                RESTARTED goes on as CREATED or as RUNNING does; so does one that was QUEUED then

    task run    CREATED ──▶ SUBMITTED ──▶ RUNNING ──▶ SUCCESS | WARNING | FAILED
                   │          ▲   ▲ │        │ │ └──▶ KILLING ──▶ KILLED
                   │          │   │ └────────┼─┼────▶ KILLED | FAILED (undeliverable)
                   │          │   └──────────┘ └────▶ RETRYING ─▶ SUBMITTED | KILLED
                   ├──▶ RUNNING (flowable) …   (a lost or returned epoch is submitted anew;
                   ├──▶ FAILED (no group)      allowFailure makes WARNING or SUCCESS of FAILED;
                   └──▶ SKIPPED                a Pause is PAUSED in between)
"""

from __future__ import annotations

from collections.abc import Mapping

from kestrapy.errors import InvariantViolated
from kestrapy.model.state import State, StateHistory

S = State
Table = Mapping[State, frozenset[State]]

_ENDS = frozenset({S.SUCCESS, S.WARNING, S.FAILED, S.KILLED})
_KILLED = _ENDS | {S.CANCELLED}
"""Ends of what is killed: an execution may be ended in another state than KILLED."""

EXECUTION: Table = {
    S.CREATED: frozenset({S.RUNNING, S.QUEUED, S.FAILED, S.CANCELLED, S.KILLED}),
    S.QUEUED: frozenset({S.RUNNING, S.KILLING, S.FAILED, S.CANCELLED, S.KILLED}),
    S.RESTARTED: _KILLED | {S.RUNNING, S.QUEUED, S.KILLING, S.RETRIED},
    S.RUNNING: _KILLED | {S.KILLING, S.PAUSED, S.RETRIED},
    S.PAUSED: _KILLED | {S.RUNNING, S.KILLING, S.RETRIED},
    S.KILLING: _KILLED | {S.RETRIED},
}
TASK_RUN: Table = {
    S.CREATED: _ENDS | {S.SUBMITTED, S.RUNNING, S.SKIPPED},
    S.RESTARTED: _KILLED | {S.SUBMITTED, S.RUNNING, S.SKIPPED},
    S.SUBMITTED: _ENDS | {S.RUNNING, S.SUBMITTED},
    S.RUNNING: _KILLED | {S.SUBMITTED, S.RETRYING, S.KILLING, S.PAUSED, S.SKIPPED},
    S.PAUSED: frozenset({S.RUNNING, S.KILLING}),
    S.KILLING: _KILLED,
    S.RETRYING: _ENDS | {S.SUBMITTED, S.RUNNING, S.KILLING},
}
INSIDE: Table = {
    S.CREATED: _ENDS | {S.RUNNING, S.SKIPPED},
    S.SUBMITTED: _ENDS | {S.RUNNING, S.SKIPPED},
    S.RUNNING: _ENDS | {S.RETRYING, S.SUBMITTED},
    S.RETRYING: _ENDS | {S.RUNNING, S.SUBMITTED},
    **{end: frozenset({S.SUBMITTED}) for end in (*sorted(_ENDS), S.SKIPPED)},
}
"""Of a task of a WorkingDirectory: when that is handed out anew, so is whatever it had come to."""
RESTORED: Table = dict.fromkeys(S, _KILLED | {S.RESTARTED, S.RUNNING, S.SKIPPED})
"""Of executions and task runs that come back from storage, whatever they ended as."""
ATTEMPT: Table = {
    S.RUNNING: _ENDS | {S.KILLING, S.RESUBMITTED},
    S.KILLING: frozenset({S.KILLED, S.FAILED}),
}


def enter(table: Table, history: StateHistory, state: State, at: int) -> StateHistory:
    """history with state entered at ``at`` (epoch ms). Raises InvariantViolated where the table
    forbids it.
    """
    if state not in table.get(history.current, frozenset()):
        raise InvariantViolated(f"{history.current} may not become {state}")
    return history.enter(state, at)

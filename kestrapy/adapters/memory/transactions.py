"""``ports.log.Transactions`` in memory."""

from __future__ import annotations

from collections.abc import Iterable

from kestrapy.adapters.memory.journal import CommitFault, Journal
from kestrapy.errors import InvariantViolated
from kestrapy.ports.log import Message, Outcome


class MemoryTransactions:
    def __init__(self, journal: Journal, transactional_id: str):
        self._journal = journal
        self._id = transactional_id
        self._epoch: int | None = None

    def begin_epoch(self, timeout: float) -> None:
        with self._journal.lock:
            self._journal.finish(self._id, commit=False)
            self._epoch = self._journal.epochs.get(self._id, 0) + 1
            self._journal.epochs[self._id] = self._epoch

    def commit(self, messages: Iterable[Message], timeout: float) -> Outcome:
        if self._epoch is None:
            raise InvariantViolated(f"{self._id}: commit without an epoch: call begin_epoch first")
        try:
            appended = all(self._append(message) for message in messages)
        except BaseException:
            self._end(commit=False)
            raise
        return self._end(commit=appended)

    def close(self) -> None:
        self._epoch = None

    def _append(self, message: Message) -> bool:
        with self._journal.lock:
            return self._is_current() and self._journal.append(message, self._id) is None

    def _end(self, *, commit: bool) -> Outcome:
        with self._journal.lock:
            if not self._is_current():
                self._epoch = None
                return Outcome.ABORTED
            fault = self._journal.faults.pop(self._id, None) if commit else CommitFault.ABORT
            commits = fault is None or fault is CommitFault.LOSE_ANSWER
            self._journal.finish(self._id, commit=commits)
        if fault is None:
            return Outcome.COMMITTED
        self._epoch = None
        return Outcome.ABORTED if fault is CommitFault.ABORT else Outcome.UNKNOWN

    def _is_current(self) -> bool:
        return self._epoch == self._journal.epochs.get(self._id)

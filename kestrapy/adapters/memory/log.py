"""``ports.log.Log`` in memory: for one process, such as ``kestrapy run``, and for tests."""

from __future__ import annotations

from collections.abc import Sequence

from kestrapy.adapters.memory.journal import CommitFault, Journal
from kestrapy.adapters.memory.member import MemoryMember
from kestrapy.adapters.memory.producer import MemoryProducer
from kestrapy.adapters.memory.reader import MemoryReader
from kestrapy.adapters.memory.share import MemoryShareMember
from kestrapy.adapters.memory.topics import MemoryTopics
from kestrapy.adapters.memory.transactions import MemoryTransactions
from kestrapy.ports.clock import Clock
from kestrapy.ports.log import Partition, RebalanceListener


class MemoryLog:
    """Nothing is kept when the process ends. Its clients may be used in different threads.

    session_ms: after so long without a poll a member is put out of its group.
    """

    def __init__(self, clock: Clock, session_ms: int = 30_000):
        self._journal = Journal(clock, session_ms)

    def producer(self, *, gapless: bool = False) -> MemoryProducer:
        """Each is gapless: nothing takes any time."""
        return MemoryProducer(self._journal)

    def reader(self) -> MemoryReader:
        return MemoryReader(self._journal)

    def member(
        self,
        group: str,
        topics: Sequence[str],
        listener: RebalanceListener,
        instance_id: str = "",
        aside: str = "",
    ) -> MemoryMember:
        return MemoryMember(self._journal, group, topics, listener, instance_id)

    def share_member(self, group: str, topic: str) -> MemoryShareMember:
        return MemoryShareMember(self._journal, group, topic)

    def transactions(self, transactional_id: str) -> MemoryTransactions:
        return MemoryTransactions(self._journal, transactional_id)

    def topics(self) -> MemoryTopics:
        return MemoryTopics(self._journal)

    def fail_next_commit(self, transactional_id: str, fault: CommitFault) -> None:
        """The next commit under that id goes wrong in that way."""
        with self._journal.lock:
            self._journal.faults[transactional_id] = fault

    def delete_before(self, partition: Partition, offset: int) -> None:
        """Delete a partition's records below offset, as retention does."""
        with self._journal.lock:
            self._journal.partition(partition).delete_before(offset)

    def high_watermark(self, partition: Partition) -> int:
        """The offset of the next append; records of open transactions stand before it."""
        with self._journal.lock:
            return self._journal.partition(partition).end

"""A consumer group in memory: who shall own which partition, and who owns it still.

Rebalances are cooperative: ``share_out`` only decides. An owner gives up what it shall own no more
in its next poll, and only then the new one gets it in a poll of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from kestrapy.adapters.memory.partition import Watcher
from kestrapy.ports.log import Partition


class Membership:
    """One member's seat in a group."""

    def __init__(self, topics: Sequence[str], instance_id: str, watcher: Watcher):
        self.topics = frozenset(topics)
        self.instance_id = instance_id
        self.watcher = watcher
        self.out = False
        """No longer in the group: expired, or another took its instance id."""
        self.fenced = False
        self.polled_at: int | None = None
        """When the last poll returned, by the monotonic clock; None: it is in a poll."""


class Group:
    """Guarded by the log's lock.

    version: grows whenever there may be something for a member to give up or to take.
    """

    def __init__(self, session_ms: int, partitions_of: Callable[[str], list[Partition]]):
        self.committed: dict[Partition, int] = {}
        self.version = 0
        self._session_ms = session_ms
        self._partitions_of = partitions_of
        self._members: list[Membership] = []
        self._owners: dict[Partition, Membership] = {}
        self._target: dict[Partition, Membership] = {}

    def join(self, member: Membership) -> None:
        """Take a seat; that of the former member with the same instance id, when there is one."""
        for former in self._members:
            if member.instance_id and former.instance_id == member.instance_id:
                self._replace(former, member)
                return
        self._members.append(member)
        self.share_out()

    def leave(self, member: Membership) -> None:
        """Give the seat up; partitions go to those who stay."""
        self._remove(member)
        self.share_out()

    def expire(self, now: int) -> None:
        """Put out those whose last poll was too long ago."""
        late = [
            member
            for member in self._members
            if member.polled_at is not None and now - member.polled_at > self._session_ms
        ]
        for member in late:
            self._remove(member)
        if late:
            self.share_out()

    def surplus(self, member: Membership) -> list[Partition]:
        """What the member owns and shall own no more."""
        return [
            partition
            for partition, owner in self._owners.items()
            if owner is member and self._target.get(partition) is not member
        ]

    def release(self, member: Membership, partitions: Sequence[Partition]) -> None:
        """Own these no more; whoever shall have them is woken."""
        for partition in partitions:
            if self._owners.get(partition) is member:
                del self._owners[partition]
        self._wake()

    def take(self, member: Membership) -> list[Partition]:
        """Own what is meant for the member and free."""
        taken = [
            partition
            for partition, target in self._target.items()
            if target is member and partition not in self._owners
        ]
        self._owners.update(dict.fromkeys(taken, member))
        return taken

    def forget(self, topic: str) -> None:
        """The topic was deleted: what was committed for it means nothing for one made anew."""
        for partition in [part for part in self.committed if part.topic == topic]:
            del self.committed[partition]

    def commit(self, member: Membership, offsets: Mapping[Partition, int]) -> None:
        """Keep the offsets of those partitions that the member owns."""
        for partition, offset in offsets.items():
            if self._owners.get(partition) is member:
                self.committed[partition] = offset

    def share_out(self) -> None:
        """Decide anew who shall own what: as even as subscriptions allow, moving little."""
        topics = sorted({topic for member in self._members for topic in member.topics})
        partitions = [partition for topic in topics for partition in self._partitions_of(topic)]
        loads: dict[Membership, list[Partition]] = {member: [] for member in self._members}
        homeless = []
        for partition in partitions:
            keeper = self._target.get(partition)
            if keeper in loads and partition.topic in keeper.topics:
                loads[keeper].append(partition)
            else:
                homeless.append(partition)
        for partition in homeless:
            if (idlest := _idlest(loads, partition)) is not None:
                loads[idlest].append(partition)
        for partition in partitions:
            _even_out(loads, partition)
        self._target = {part: member for member, load in loads.items() for part in load}
        self._owners = {part: who for part, who in self._owners.items() if who in loads}
        self._wake()

    def _replace(self, former: Membership, member: Membership) -> None:
        self._members[self._members.index(former)] = member
        former.out = former.fenced = True
        former.watcher.wake()
        self.release(former, [part for part, who in self._owners.items() if who is former])
        for partition, target in self._target.items():
            if target is former:
                self._target[partition] = member
        if former.topics != member.topics:
            self.share_out()

    def _remove(self, member: Membership) -> None:
        if member in self._members:
            self._members.remove(member)
        member.out = True
        member.watcher.wake()

    def _wake(self) -> None:
        self.version += 1
        for member in self._members:
            member.watcher.wake()


def _idlest(loads: Mapping[Membership, list[Partition]], partition: Partition) -> Membership | None:
    """None where all who read that topic stepped aside."""
    able = [member for member in loads if partition.topic in member.topics]
    return min(able, key=lambda member: len(loads[member]), default=None)


def _even_out(loads: Mapping[Membership, list[Partition]], partition: Partition) -> None:
    """Move a partition to the idlest member, if that one has at least two fewer than its keeper."""
    keeper = next((member for member, load in loads.items() if partition in load), None)
    idlest = _idlest(loads, partition)
    if keeper is None or idlest is None:
        return
    if len(loads[keeper]) - len(loads[idlest]) >= 2:
        loads[keeper].remove(partition)
        loads[idlest].append(partition)

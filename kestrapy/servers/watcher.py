"""Watches the leases of the workers whose heartbeats stand in a shard's partition of ``workers``.

Silence counts only up to a probe of our own that we have read back: whatever a worker had
acknowledged before stands before it. So an owner that lags behind in reading can't misjudge anyone.

A heartbeat counts when the state's sequence rises. So what is known survives a takeover by the same
process, which reads some heartbeats once more: a shard that is restored again and again still finds
out who is lost.
"""

from __future__ import annotations

from kestrapy.machine.commands import Command, Probe, Suspect
from kestrapy.machine.leases import Watched, watched_key
from kestrapy.servers.shard import Shard

PREFIX = watched_key("")


class Watcher:
    """One shard's watcher. lost_after: ms of silence. Times: monotonic ms of this process."""

    def __init__(self, owner_id: str, lost_after: int):
        self._owner_id = owner_id
        self._lost_after = lost_after
        self._heard: dict[str, tuple[int, int]] = {}
        """By worker, the highest sequence that was seen, and when it was first seen."""
        self._sent: dict[int, int] = {}
        self._read_back = 0

    def sent(self, sequence: int, now: int) -> None:
        """A probe goes out."""
        self._sent[sequence] = now

    def arrived(self, command: Command) -> None:
        if isinstance(command, Probe) and command.owner == self._owner_id:
            self._read_back = self._sent.pop(command.sequence, self._read_back)

    def judge(self, shard: Shard, topic: str, now: int) -> None:
        """Suspect whoever was silent up to the last probe that came back. Those never heard are
        watched too.
        """
        state = shard.stage(topic).state
        watched = {key: it for key, it in sorted(state.items()) if isinstance(it, Watched)}
        for key, entity in watched.items():
            worker = key.removeprefix(PREFIX)
            sequence, heard = self._heard.get(worker, (-1, now))
            if entity.sequence > sequence:
                self._heard[worker] = entity.sequence, now
            elif self._read_back - heard >= self._lost_after:
                shard.command(Suspect(worker, entity.sequence))
        for worker in [it for it in self._heard if watched_key(it) not in watched]:
            del self._heard[worker]

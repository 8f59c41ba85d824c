"""Watches the leases of the workers whose heartbeats stand in a shard's partition of ``workers``.

Silence counts only up to a probe of our own that we have read back: whatever a worker had
acknowledged before stands before it. So an owner that lags behind in reading can't misjudge anyone.
"""

from __future__ import annotations

from kestrapy.machine.commands import Command, Heartbeat, Probe, Suspect
from kestrapy.machine.leases import Watched, watched_key
from kestrapy.ports.clock import Clock
from kestrapy.servers.shard import Shard

PREFIX = watched_key("")


class Watcher:
    """One shard's watcher. lost_after: ms of silence. Times: monotonic ms of this process."""

    def __init__(self, owner_id: str, clock: Clock, lost_after: int):
        self._owner_id = owner_id
        self._clock = clock
        self._lost_after = lost_after
        self._heard: dict[str, int] = {}
        self._sent: dict[int, int] = {}
        self._read_back = 0

    def sent(self, sequence: int, now: int) -> None:
        """A probe goes out."""
        self._sent[sequence] = now

    def arrived(self, command: Command) -> None:
        match command:
            case Heartbeat(kind="worker", worker_id=worker):
                self._heard[worker] = self._clock.monotonic()
            case Probe(owner=owner, sequence=sequence) if owner == self._owner_id:
                self._read_back = self._sent.pop(sequence, self._read_back)

    def judge(self, shard: Shard, topic: str, now: int) -> None:
        """Suspect whoever was silent up to the last probe that came back. Those never heard are
        watched too.
        """
        state = shard.stage(topic).state
        watched = {key for key, entity in state.items() if isinstance(entity, Watched)}
        for key in sorted(watched):
            worker = key.removeprefix(PREFIX)
            heard = self._heard.setdefault(worker, now)
            if self._read_back - heard >= self._lost_after:
                entity = state[key]
                if isinstance(entity, Watched):
                    shard.command(Suspect(worker, entity.sequence))
        for worker in [it for it in self._heard if watched_key(it) not in watched]:
            del self._heard[worker]

"""When new rules come into force: once every live server of the kind knows them.

Each announces in its heartbeats the versions that it knows. The owner of a shard writes a higher
one into its log when all of them know it; from that record on, every fold of that log obeys it.
"""

from __future__ import annotations

from collections.abc import Sequence

from kestrapy.machine import stage
from kestrapy.machine.commands import LogicVersion
from kestrapy.servers.shard import Shard
from kestrapy.servers.worker_board import LiveServer

SAY_AGAIN = 2_000


def agreed(servers: Sequence[LiveServer]) -> int:
    """The highest version that this build and all of these servers know; 0 where there is none."""
    known = [set(it.beat.logic_versions) for it in servers]
    common = (it for it in stage.KNOWN_LOGIC_VERSIONS if all(it in each for each in known))
    return max(common, default=0)


class LogicVersions:
    """One shard's."""

    def __init__(self) -> None:
        self._due = 0

    def turn(self, shard: Shard, servers: Sequence[LiveServer], now: int) -> None:
        """servers: all live ones of this kind, this process included. now: monotonic ms."""
        if now < self._due or not servers:
            return
        self._due = now + SAY_AGAIN
        version = agreed(servers)
        for topic in shard.specs:
            if shard.stage(topic).position.version < version:
                shard.command_here(topic, LogicVersion(version))

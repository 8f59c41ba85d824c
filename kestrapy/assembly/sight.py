"""One look at an installation's topics: what is declared, who lives, what waits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kestrapy.assembly.parts import Parts
from kestrapy.config import Settings
from kestrapy.errors import LogUnavailable
from kestrapy.machine.explanation import KnownGroup
from kestrapy.model.worker_group import DEFAULT_GROUP, GroupSettings, WorkerGroupRef
from kestrapy.servers.settings_catalogue import UNDECLARED, SettingsCatalogue
from kestrapy.servers.worker_board import GroupLoad, LiveServer, WorkerBoard

TIMEOUT = 15.0
"""Seconds for each of the two topics."""


@dataclass(frozen=True)
class Sight:
    """What was seen. groups: declared ones, those of the settings file included, by key. loads:
    of groups of which something was heard. workers: live ones that take jobs.
    """

    groups: Mapping[str, GroupSettings]
    defaults: Mapping[str, WorkerGroupRef]
    loads: Mapping[str, GroupLoad]
    workers: tuple[LiveServer, ...]

    def known(self) -> dict[str, KnownGroup]:
        """The groups as routing takes them."""
        found = {}
        for key, declared in self.groups.items():
            load = self.load(key)
            found[key] = KnownGroup(declared, load.workers, load.slots, load.waiting)
        return found

    def load(self, key: str) -> GroupLoad:
        return self.loads.get(key) or GroupLoad(key)

    def takers(self, key: str) -> list[str]:
        """Ids of the live workers that would take a job of the group, in order."""
        declared = self.groups.get(key)
        if declared is not None and declared.drained:
            return []
        return [it.beat.worker_id for it in self.workers if it.beat.worker_group == key]


def look(parts: Parts, settings: Settings, declared: Mapping[str, GroupSettings]) -> Sight:
    """declared: groups of the settings file, which may not be in the topic yet.

    Raises LogUnavailable, TopicUnfit.
    """
    catalogue = SettingsCatalogue(parts.log, parts.codec, parts.catalogue)
    worker = settings.worker
    board = WorkerBoard(
        *(parts.log, parts.codec, parts.catalogue, parts.clock),
        heartbeat_interval=worker.heartbeat_interval,
        lost_after=worker.lost_after,
    )
    try:
        catalogue.catch_up(TIMEOUT)
        _listen(board, parts)
        saved = {key: it for key, it in catalogue.groups().items() if it is not UNDECLARED}
        namespaces = catalogue.namespaces().items()
        defaults = {name: it.worker_group for name, it in namespaces}
        return Sight(
            groups={DEFAULT_GROUP: UNDECLARED, **declared, **saved},
            defaults={name: ref for name, ref in defaults.items() if ref is not None},
            loads=board.groups(),
            workers=tuple(it for it in board.workers() if it.beat.state == "RUNNING"),
        )
    finally:
        catalogue.close()
        board.close()


def _listen(board: WorkerBoard, parts: Parts) -> None:
    """Hear the last seconds of all workers; none of them is too new to have been heard."""
    deadline = parts.clock.monotonic() + int(TIMEOUT * 1000)
    while not board.is_caught_up:
        board.poll(0.2)
        if parts.clock.monotonic() > deadline:
            raise LogUnavailable(f"{parts.catalogue.workers} was not read in {TIMEOUT} s")

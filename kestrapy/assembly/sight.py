"""One look at an installation's topics: what is declared, who lives, what waits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kestrapy.assembly.groups import seen_groups
from kestrapy.assembly.parts import Parts
from kestrapy.config import Settings
from kestrapy.machine.explanation import KnownGroup
from kestrapy.model.worker_group import GroupSettings, WorkerGroupRef
from kestrapy.servers.worker_board import GroupLoad, LiveServer


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


def look(parts: Parts, settings: Settings) -> Sight:
    """Raises LogUnavailable, TopicUnfit."""
    with seen_groups(parts, settings, settled=False) as seen:
        namespaces = seen.settings.namespaces().items()
        defaults = {name: it.worker_group for name, it in namespaces}
        return Sight(
            groups=seen.settings.groups(),
            defaults={name: ref for name, ref in defaults.items() if ref is not None},
            loads=seen.board.groups(),
            workers=tuple(it for it in seen.board.workers() if it.beat.state == "RUNNING"),
        )

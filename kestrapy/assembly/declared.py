"""What is declared, for servers at their start."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from kestrapy.assembly.parts import Parts
from kestrapy.errors import LogUnavailable, SettingsRefused
from kestrapy.language.problems import near
from kestrapy.model.worker_group import GroupSettings
from kestrapy.servers.declarations import from_file
from kestrapy.servers.settings_catalogue import UNDECLARED, SettingsCatalogue

log = logging.getLogger(__name__)

CATCH_UP_TIMEOUT = 30.0


@contextmanager
def caught_up(parts: Parts) -> Iterator[SettingsCatalogue]:
    """Read up to now. Raises LogUnavailable, TopicUnfit."""
    catalogue = SettingsCatalogue(parts.log, parts.codec, parts.catalogue)
    try:
        catalogue.catch_up(CATCH_UP_TIMEOUT)
        yield catalogue
    finally:
        catalogue.close()


def declared(parts: Parts) -> dict[str, GroupSettings]:
    """Groups by key: those of the settings file, and those that were saved, which win."""
    with caught_up(parts) as catalogue:
        saved = {key: it for key, it in catalogue.groups().items() if it is not UNDECLARED}
    return {**parts.groups, **saved}


def require_group(parts: Parts, key: str) -> GroupSettings:
    """A declared group. Raises SettingsRefused, with how to declare it, where there is none."""
    groups = declared(parts)
    if key not in groups:
        raise SettingsRefused(
            f"worker group {key!r} is not declared{near(key, groups)}"
            f" (declared: {', '.join(sorted(groups))}): run `kestrapy worker-group create {key}`,"
            " or add it to workerGroups of the settings file"
        )
    return groups[key]


def save_declared(parts: Parts) -> None:
    """Have what the settings file declares saved, where it isn't. Raises LogUnavailable."""
    with caught_up(parts) as catalogue:
        wanted = from_file(parts.groups, catalogue)
    producer = parts.log.producer()
    try:
        for record in wanted:
            log.info("declaring worker group %s as the settings file has it", record.name)
            producer.send(parts.router.message(record))
        if producer.flush(CATCH_UP_TIMEOUT):
            raise LogUnavailable("the groups of the settings file could not be declared")
    finally:
        producer.close()

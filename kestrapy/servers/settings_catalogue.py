"""What is declared, read from the topic ``settings``: worker groups, and namespaces' defaults."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from kestrapy.errors import RecordRefused
from kestrapy.machine.outputs import SettingRevision
from kestrapy.model.worker_group import (
    DEFAULT_GROUP,
    GROUP,
    IGNORED,
    NAMESPACE,
    GroupSettings,
    NamespaceSettings,
    decode,
)
from kestrapy.ports.log import Log, Record
from kestrapy.servers.topic_view import TopicView
from kestrapy.wire.codec import Codec
from kestrapy.wire.topics import SETTINGS, Catalogue

UNDECLARED = GroupSettings(key=DEFAULT_GROUP)
"""The default group, where nobody declared it otherwise."""


class SettingsCatalogue(TopicView):
    """The topic ``settings``. What can't be read leaves the revision before it in force.

    file_groups: those of the settings file count as declared until the topic has a word on them,
    so that a flow that names one is not refused while a new installation starts.
    """

    def __init__(
        self,
        log: Log,
        codec: Codec,
        catalogue: Catalogue,
        file_groups: Mapping[str, GroupSettings] = MappingProxyType({}),
    ):
        super().__init__(log, codec, catalogue.settings, SETTINGS.records)
        self._revisions: dict[tuple[str, str], SettingRevision] = {}
        written = {key: it for key, it in file_groups.items() if it.origin}
        self._groups: Mapping[str, GroupSettings] = MappingProxyType(
            {DEFAULT_GROUP: UNDECLARED} | written
        )
        self._namespaces: Mapping[str, NamespaceSettings] = MappingProxyType({})

    def groups(self) -> Mapping[str, GroupSettings]:
        """Declared worker groups by key, and the default group, which is always there.

        It never changes: a later declaration makes another mapping.
        """
        return self._groups

    def namespaces(self) -> Mapping[str, NamespaceSettings]:
        """Namespaces with settings of their own, by name; like ``groups``. "": the tenant."""
        return self._namespaces

    def namespace(self, name: str) -> NamespaceSettings | None:
        """Its own settings, not its parents'. "": the tenant's."""
        return self._namespaces.get(name)

    def revision(self, kind: str, name: str) -> SettingRevision | None:
        """The latest one that could be read; its content is empty where it was deleted."""
        with self._changed:
            return self._revisions.get((kind, name))

    def ignored(self) -> list[SettingRevision]:
        """What executors leave alone, by name: see ``machine.entities.ignored_key``."""
        with self._changed:
            found = [it for (kind, _), it in self._revisions.items() if kind == IGNORED]
        return sorted((it for it in found if it.content), key=lambda it: it.name)

    def group_revision(self, key: str) -> SettingRevision | None:
        """None for a default group that nobody declared."""
        return self.revision(GROUP, key)

    def namespace_as_saved(
        self, name: str
    ) -> tuple[NamespaceSettings | None, SettingRevision | None]:
        """A namespace's own settings, with their revision."""
        with self._changed:
            return self._namespaces.get(name), self._revisions.get((NAMESPACE, name))

    def _take(self, content: SettingRevision, record: Record) -> None:
        key = content.kind, content.name
        before = self._revisions.get(key)
        if before is not None and before.revision > content.revision:
            return
        if content.kind == IGNORED:
            self._revisions[key] = content
            return
        found = _declared(content) if content.content else None
        self._revisions[key] = content
        if content.kind == GROUP:
            groups = {it: value for it, value in self._groups.items() if it != content.name}
            if isinstance(found, GroupSettings):
                groups[content.name] = found
            self._groups = MappingProxyType({DEFAULT_GROUP: UNDECLARED} | groups)
        else:
            rest = {it: value for it, value in self._namespaces.items() if it != content.name}
            if isinstance(found, NamespaceSettings):
                rest[content.name] = found
            self._namespaces = MappingProxyType(rest)


def _declared(revision: SettingRevision) -> GroupSettings | NamespaceSettings:
    place = f"setting {revision.kind} {revision.name!r}, revision {revision.revision}"
    try:
        found = decode(revision.kind, revision.content)
    except KeyError as cause:
        raise RecordRefused(f"{place}: expected kind {GROUP} or {NAMESPACE}") from cause
    except msgspec.DecodeError as cause:
        raise RecordRefused(f"{place}: {cause}") from cause
    name = found.key if isinstance(found, GroupSettings) else found.namespace
    if name != revision.name:
        raise RecordRefused(f"{place}: its content is of {name!r}")
    return found

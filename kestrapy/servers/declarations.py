"""Saving what is declared: worker groups, and namespaces' settings.

A declaration goes to the log as a request; the fold of ``admission`` numbers it. Whoever saves one
waits until its revision comes back in ``settings``, so the catalogue is read by another thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

import msgspec

from kestrapy.errors import Conflict, DeclarationRefused, LogUnavailable, NotFound, Problem
from kestrapy.language.expression import has_expression
from kestrapy.language.plan import blocks_of
from kestrapy.machine.commands import SettingSaveRequested
from kestrapy.machine.outputs import SettingRevision
from kestrapy.model.flow import Flow, Task
from kestrapy.model.worker_group import (
    DEFAULT_GROUP,
    GROUP,
    IGNORED,
    NAMESPACE,
    GroupSettings,
    NamespaceSettings,
    WorkerGroupRef,
    encode,
)
from kestrapy.ports.log import Log, Message, TopicSpec
from kestrapy.servers.router import Router
from kestrapy.servers.settings_catalogue import UNDECLARED, SettingsCatalogue
from kestrapy.wire.topics import Catalogue

SAVE_TIMEOUT = 10.0
TOPIC_TIMEOUT = 30.0
_USERS_NAMED = 5


class Declarations:
    """send: returns once the log has the message. settings: read in a thread of its own.

    What fails raises LogUnavailable, TopicUnfit.
    """

    def __init__(
        self, log: Log, router: Router, settings: SettingsCatalogue, send: Callable[[Message], None]
    ):
        self._log = log
        self._router = router
        self._settings = settings
        self._send = send

    def group(self, key: str) -> GroupSettings:
        """Raises NotFound."""
        found = self._settings.groups().get(key)
        if found is None:
            declared = ", ".join(sorted(self._settings.groups()))
            raise NotFound(f"there is no worker group {key} (declared: {declared})")
        return found

    def create(self, group: GroupSettings) -> SettingRevision:
        """Raises Conflict where there is one of that key, DeclarationRefused."""
        there = self._settings.groups().get(group.key)
        if there is not None and there is not UNDECLARED:
            raise Conflict(f"worker group {group.key} exists: change its declaration instead")
        return self._save_group(group)

    def change(self, group: GroupSettings) -> SettingRevision:
        """Declare a group anew; whether it is drained stays. Raises NotFound, Conflict where the
        settings file declares it, DeclarationRefused.
        """
        before = self.group(group.key)
        if before.origin:
            raise Conflict(
                f"worker group {group.key} is declared by the servers' settings file: change it"
                " there, and start the executors anew"
            )
        return self._save_group(msgspec.structs.replace(group, drained=before.drained))

    def drain(self, key: str, drained: bool) -> SettingRevision:
        """Hand out no more jobs of the group, or hand them out again. Raises NotFound."""
        settings = msgspec.structs.replace(self.group(key), drained=drained)
        return self._save(GROUP, key, encode(settings))

    def delete(self, key: str, flows: Iterable[Flow]) -> SettingRevision:
        """flows: the latest revision of each one. The group's topic stays, with what is in it.

        Raises NotFound, and Conflict where the group is wanted.
        """
        before = self.group(key)
        if key == DEFAULT_GROUP:
            raise Conflict("the default group is always there: it can't be deleted")
        if before.origin:
            raise Conflict(
                f"worker group {key} is declared by the servers' settings file: delete it there,"
                " start the executors anew, and then delete it here"
            )
        if users := list(self._users(key, flows)):
            more = f" and {len(users) - _USERS_NAMED} more" if len(users) > _USERS_NAMED else ""
            named = ", ".join(users[:_USERS_NAMED])
            raise Conflict(f"worker group {key} is named by {named}{more}: change them first")
        return self._save(GROUP, key, "")

    def save_namespace(self, settings: NamespaceSettings) -> SettingRevision:
        """settings: judged before, by ``language.worker_groups.parse_defaults``."""
        return self._save(NAMESPACE, settings.namespace, encode(settings))

    def delete_namespace(self, name: str) -> SettingRevision:
        """Raises NotFound."""
        if self._settings.namespace(name) is None:
            whose = f"namespace {name} has" if name else "the tenant has"
            raise NotFound(f"{whose} no settings of its own")
        return self._save(NAMESPACE, name, "")

    def ignore(self, name: str, ignored: bool) -> SettingRevision | None:
        """Leave executions alone, or do so no more. name: as ``machine.entities.ignored_key`` has
        it. -> None where nothing was to be done.
        """
        before = self._settings.revision(IGNORED, name)
        if (before is not None and bool(before.content)) is ignored:
            return before
        return self._save(IGNORED, name, "{}" if ignored else "")

    def _save_group(self, group: GroupSettings) -> SettingRevision:
        other = group.fallback.group
        if other and other not in self._settings.groups():
            declared = ", ".join(sorted(self._settings.groups()))
            problem = f"there is no worker group {other} to fall back to (declared: {declared})"
            raise DeclarationRefused([Problem(problem, "fallback.group")])
        # First the topic: jobs may come as soon as it is declared.
        topic = group_topic(self._router.catalogue, group)
        self._log.topics().create([topic], TOPIC_TIMEOUT)
        return self._save(GROUP, group.key, encode(group))

    def _save(self, kind: str, name: str, content: str) -> SettingRevision:
        """Have it numbered, and wait for the revision with this content."""
        before = self._settings.revision(kind, name)
        if before is not None and before.content == content:
            return before
        lowest = before.revision if before else 0
        self._send(self._router.message(SettingSaveRequested(kind, name, content)))

        def numbered() -> SettingRevision | None:
            found = self._settings.revision(kind, name)
            return found if found and found.revision > lowest else None

        self._settings.wait_for(lambda: numbered() is not None, SAVE_TIMEOUT)
        found = numbered()
        if found is None:
            raise LogUnavailable(
                f"{kind} {name!r} will be saved, but no executor has numbered its revision in"
                f" {SAVE_TIMEOUT:g} s: is one running?"
            )
        return found

    def _users(self, key: str, flows: Iterable[Flow]) -> Iterator[str]:
        for flow in flows:
            if key in groups_named(flow):
                yield f"flow {flow.namespace}.{flow.id}"
        for other in self._settings.groups().values():
            if other.fallback.group == key:
                yield f"worker group {other.key}"
        for name, settings in sorted(self._settings.namespaces().items()):
            if settings.worker_group and key in _named(settings.worker_group):
                yield f"namespace {name}" if name else "the tenant"


def group_topic(catalogue: Catalogue, group: GroupSettings) -> TopicSpec:
    """The topic of a group's jobs. That of a share group has one partition."""
    name = catalogue.jobs(group.key)
    (spec,) = [it for it in catalogue.specs([group.key]) if it.name == name]
    return replace(spec, partitions=1) if group.dispatch == "share" else spec


def groups_named(flow: Flow) -> list[str]:
    """The worker groups that a flow names, those to fall back to included, each once."""
    refs = [flow.worker_group]
    waiting: list[Flow | Task] = [flow]
    while waiting:
        for _, tasks in blocks_of(waiting.pop(0)):
            refs += [it.worker_group for it in tasks]
            waiting += tasks
    return list(dict.fromkeys(key for ref in refs if ref is not None for key in _named(ref)))


def _named(ref: WorkerGroupRef) -> list[str]:
    """A template names none."""
    keys = [ref.key, ref.fallback.group if ref.fallback else ""]
    return [key for key in keys if key and not has_expression(key)]


def from_file(
    written: Mapping[str, GroupSettings], settings: SettingsCatalogue
) -> list[SettingSaveRequested]:
    """What is to be saved so that the groups of a settings file are declared.

    written: as ``model.declaring.declared_groups`` has them. A group that such a file declared
    once, and does so no more, stays; but anybody may change or delete it from then on.
    """
    current = settings.groups()
    wanted = []
    for key, group in written.items():
        before = current.get(key)
        if group.origin:
            drained = before is not None and before.drained
            wanted.append(msgspec.structs.replace(group, drained=drained))
    wanted += [
        msgspec.structs.replace(group, origin="")
        for key, group in current.items()
        if group.origin and (key not in written or not written[key].origin)
    ]
    return [
        SettingSaveRequested(GROUP, it.key, encode(it))
        for it in wanted
        if current.get(it.key) != it
    ]

"""What is declared of worker groups, and of namespaces: settings that everybody may read.

A declaration is JSON with camelCase keys. It goes through the log in revisions (topic
``settings``), so that folds know it too; a fold never reads a configuration file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec

from kestrapy.config import DEFAULT_GROUP as DEFAULT_GROUP

DEFAULT_LANE = "default"
"""The lane of a job that names none; every group has it."""
GROUP = "workerGroup"
NAMESPACE = "namespace"
IGNORED = "ignored"
"""Kinds of settings. The tenant's defaults are those of the namespace with the empty name. What is
ignored, executors leave alone; its content is an empty map.
"""

Behavior = Literal["WAIT", "FAIL", "CANCEL", "GROUP"]
Weight = Annotated[int, msgspec.Meta(ge=1, le=1000)]
Milliseconds = Annotated[int, msgspec.Meta(ge=0)]
Key = Annotated[str, msgspec.Meta(pattern=r"^[a-zA-Z0-9_-]{1,100}$")]


class Declaration(
    msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True
):
    """A declared thing, as JSON."""


class Fallback(Declaration, frozen=True):
    """What becomes of a job whose group has no live worker: it waits, its task run fails, its
    execution is killed (CANCEL), or it goes to another group.
    """

    behavior: Behavior = "WAIT"
    group: str = ""


class WorkerGroupRef(Declaration, frozen=True):
    """Where a task shall run, as its author says.

    key: a declared worker group, or a template that renders to one; empty: by tags, or not said.
    tags, match: a group that has all (ALL) or any (ANY) of these tags; a tag may be a template.
    lane: of the group, empty: the default one. fallback: None: the group's. fallback_after (ms):
    None: at once where fallback is FAIL or CANCEL, else the group's.
    """

    key: str = ""
    tags: tuple[str, ...] = ()
    match: Literal["ALL", "ANY"] = "ALL"
    lane: str = ""
    fallback: Fallback | None = None
    fallback_after: Milliseconds | None = None


class GroupSettings(Declaration, frozen=True):
    """A declared worker group.

    tags: what ``workerSelector`` may find it by. min_workers: how many live ones are expected.
    dispatch: a Kafka consumer group, or a share group. lanes: weight of each lane beside the
    default one, whose weight is 1 unless it is named here. weights: of namespaces, 1 for those that
    are not named; a weight holds below its namespace too, the nearest one counts. fallback,
    fallback_after (ms): of jobs that say nothing else. namespaces: those that may use it, with
    those below them; empty: all. max_resubmissions: how often a job whose worker was lost is handed
    out anew. drained: nothing is handed to its workers any more. origin: "file" where the settings
    file of the servers declares it.
    """

    key: Key
    description: str = ""
    tags: tuple[str, ...] = ()
    min_workers: Annotated[int, msgspec.Meta(ge=0)] = 0
    dispatch: Literal["consumer", "share"] = "consumer"
    lanes: dict[Key, Weight] = {}
    weights: dict[str, Weight] = {}
    fallback: Fallback = Fallback()
    fallback_after: Milliseconds = 60_000
    namespaces: tuple[str, ...] = ()
    max_resubmissions: Annotated[int, msgspec.Meta(ge=0)] = 5
    drained: bool = False
    origin: Literal["", "file"] = ""

    def allows(self, namespace: str) -> bool:
        """Whether flows of this namespace may use the group."""
        return not self.namespaces or any(
            namespace == it or namespace.startswith(f"{it}.") for it in self.namespaces
        )

    def has_lane(self, lane: str) -> bool:
        return lane == DEFAULT_LANE or lane in self.lanes

    def serves(self, tags: Sequence[str], match: str) -> bool:
        """Whether it has all (ALL) or any (ANY) of these tags."""
        return (all if match == "ALL" else any)(tag in self.tags for tag in tags)

    def weight(self, namespace: str) -> int:
        """Of a namespace's turns: its own, else that of its nearest parent, else 1."""
        for name in lineage(namespace):
            if name in self.weights:
                return self.weights[name]
        return 1


class NamespaceSettings(Declaration, frozen=True):
    """Defaults of a namespace, for those below it too; of the tenant where its name is empty."""

    namespace: str = ""
    worker_group: WorkerGroupRef | None = None


def lineage(namespace: str) -> list[str]:
    """A namespace and its parents, the nearest first: ``a.b.c``, ``a.b``, ``a``."""
    parts = namespace.split(".") if namespace else []
    return [".".join(parts[:count]) for count in range(len(parts), 0, -1)]


def encode(declaration: Declaration) -> str:
    return msgspec.json.encode(declaration).decode()


_KINDS: dict[str, Any] = {GROUP: GroupSettings, NAMESPACE: NamespaceSettings}


def decode(kind: str, content: str) -> GroupSettings | NamespaceSettings:
    """Raises msgspec.ValidationError, which names the place, or KeyError for an unknown kind."""
    found: GroupSettings | NamespaceSettings = msgspec.json.decode(content, type=_KINDS[kind])
    return found

"""Worker groups, workers, and why a task run waits, as JSON: for the REST API and the command line.

Dates are ISO 8601 in UTC, durations ISO 8601; a date that is not there is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from kestrapy.machine.outputs import SettingRevision, TaskRunSnapshot
from kestrapy.model.declaring import written_fallback, written_group
from kestrapy.model.instants import iso_date
from kestrapy.model.state import State
from kestrapy.model.worker_group import GroupSettings, NamespaceSettings, WorkerGroupRef
from kestrapy.servers.worker_board import GroupLoad, LiveServer
from kestrapy.wire.kestra_json import Json, iso_duration

WAITING = (State.CREATED, State.SUBMITTED)
"""States of a task run that has a worker group and no worker."""


def group_json(settings: GroupSettings, revision: SettingRevision | None, load: GroupLoad) -> Json:
    """A declared group and how it is now. revision: None for a default group nobody declared."""
    found = written_group(settings)
    found |= {
        "fallbackAfter": iso_duration(settings.fallback_after),
        "drained": settings.drained,
        "liveWorkers": load.workers,
        "slots": load.slots,
        "runningJobs": load.running,
        "waitingJobs": load.waiting,
        "waitingByNamespace": dict(load.by_namespace),
    }
    if load.oldest_at:
        found["oldestJobDate"] = iso_date(load.oldest_at)
    if settings.origin:
        found["origin"] = settings.origin
    if revision is not None:
        found |= {"revision": revision.revision, "updated": iso_date(revision.at)}
    return found


def worker_json(worker: LiveServer) -> Json:
    """A live worker as it said itself last."""
    beat = worker.beat
    found: Json = {
        "id": beat.worker_id,
        "workerGroup": {"key": beat.worker_group},
        "state": beat.state,
        "slots": beat.slots,
        "runningJobs": beat.running,
        "tags": beat.tags,
        "version": beat.version,
        "host": beat.host,
        "lastSeen": iso_date(worker.last_seen),
    }
    if beat.started:
        found["startDate"] = iso_date(beat.started)
    return found


def namespace_json(settings: NamespaceSettings, revision: SettingRevision) -> Json:
    """A namespace's own settings; the tenant's where its name is empty."""
    found: Json = {"revision": revision.revision, "updated": iso_date(revision.at)}
    if settings.namespace:
        found["namespace"] = settings.namespace
    ref = settings.worker_group
    if ref is not None:
        found["workerSelector" if ref.tags else "workerGroup"] = ref_json(ref)
    return found


def ref_json(ref: WorkerGroupRef) -> Json:
    """A workerGroup or workerSelector, as its author writes it."""
    found: Json = {"key": ref.key} if ref.key else {}
    if ref.tags:
        found |= {"tags": list(ref.tags), "match": ref.match}
    if ref.lane:
        found["lane"] = ref.lane
    if ref.fallback is not None:
        found["fallback"] = written_fallback(ref.fallback)
    if ref.fallback_after is not None:
        found["fallbackAfter"] = iso_duration(ref.fallback_after)
    return found


def waiting_json(
    run: TaskRunSnapshot,
    groups: Mapping[str, GroupSettings],
    loads: Mapping[str, GroupLoad],
    *,
    certain: bool,
) -> Json | None:
    """Why a task run waits for a worker; None where it doesn't.

    certain: whether it is known that a group of which nothing was heard has no live worker.
    """
    if run.state not in WAITING or not run.worker_group:
        return None
    key = run.worker_group
    load = loads.get(key) or GroupLoad(key)
    found: Json = {
        "workerGroup": {"key": key},
        "reason": _reason(key, groups.get(key), load, certain=certain),
        "liveWorkers": load.workers,
        "waitingJobs": load.waiting,
    }
    if load.oldest_at:
        found["oldestJobDate"] = iso_date(load.oldest_at)
    return found


def _reason(key: str, settings: GroupSettings | None, load: GroupLoad, *, certain: bool) -> str:
    if settings is None:
        return f"worker group {key} is declared no more: declare it again, or kill the execution"
    if settings.drained:
        return f"worker group {key} is drained: it hands out no jobs until it is resumed"
    if load.workers:
        jobs = "1 job waits" if load.waiting == 1 else f"{load.waiting} jobs wait"
        return f"{load.running} of {load.slots} slots of {key} are taken, {jobs}"
    if not certain:
        return (
            f"whether worker group {key} has a live worker is not known yet: ask again in a moment"
        )
    return f"worker group {key} has no live worker; its jobs wait ({fallback_text(settings)})"


def fallback_text(settings: GroupSettings) -> str:
    """What a group's fallback is, and when: of jobs that say nothing else."""
    written: Any = settings.fallback.group or settings.fallback.behavior
    if settings.fallback.behavior == "WAIT":
        return "fallback WAIT"
    return f"fallback {written} after {iso_duration(settings.fallback_after)}"


def as_text(document: Any) -> str:
    """JSON for people: indented."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()

"""Servers from their parts: the same for a real cluster, for one process, and for tests."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Literal

from kestrapy import __version__
from kestrapy.model.registry import Registry
from kestrapy.model.worker_group import GroupSettings
from kestrapy.ports.clock import Clock, Entropy
from kestrapy.ports.log import Log
from kestrapy.ports.rarely import Rarely, never
from kestrapy.servers.executor import ExecutorDuties, Sources
from kestrapy.servers.flow_catalogue import FlowCatalogue
from kestrapy.servers.group_topics import GroupTopics
from kestrapy.servers.owner import Owner, OwnerSettings
from kestrapy.servers.router import Router
from kestrapy.servers.scheduler import SchedulerDuties
from kestrapy.servers.worker.running import JobRunner, Supervision
from kestrapy.servers.worker.worker import Worker, WorkerSettings
from kestrapy.servers.worker_board import WorkerBoard
from kestrapy.wire.codec import Codec
from kestrapy.wire.topics import Catalogue


@dataclass(frozen=True)
class Parts:
    """What all servers of one process share. groups: those that their settings declare, by key,
    and the default one.
    """

    log: Log
    codec: Codec
    catalogue: Catalogue
    registry: Registry
    groups: Mapping[str, GroupSettings]
    clock: Clock
    entropy: Entropy

    @property
    def router(self) -> Router:
        return Router(self.codec, self.catalogue)

    @property
    def prefix(self) -> str:
        """Of consumer groups and transactional ids: that of the topics, so that installations stay
        apart.
        """
        return self.catalogue.prefix


@dataclass(frozen=True)
class OwnerOptions:
    """interval: ms between checkpoints. lost_after: ms of silence after which a worker is
    suspected.
    """

    instance_id: str = ""
    group_prefix: str = ""
    interval: int = 500
    per_batch: bool = False
    lost_after: int = 30_000
    heartbeat_interval: int = 1_000
    rarely: Rarely = never


def build_executor(
    parts: Parts, options: OwnerOptions, threads: Executor, board: WorkerBoard | None = None
) -> Owner:
    """board: one that others look at too; the executor reads it."""
    topics = parts.catalogue
    owner_id = f"executor-{parts.entropy.token()}"
    sources = Sources(
        flows=FlowCatalogue(parts.log, parts.codec, topics),
        registry=parts.registry,
        groups=parts.groups,
        board=board or board_of(parts, options.heartbeat_interval, options.lost_after),
        group_topics=GroupTopics(parts.log.topics(), topics, threads),
    )
    duties = ExecutorDuties(topics, sources, owner_id, options.lost_after)
    settings = OwnerSettings(
        kind="executor",
        group=f"{options.group_prefix or parts.prefix}executor",
        topic=topics.executions,
        pulse_topic=topics.workers,
        state_topic=topics.state,
        transactional_prefix=parts.prefix,
        owner_id=owner_id,
        instance_id=options.instance_id,
        interval=options.interval,
        per_batch=options.per_batch,
        rarely=options.rarely,
    )
    return Owner(settings, duties, parts.log, parts.router, parts.clock, threads)


def build_scheduler(parts: Parts, options: OwnerOptions, threads: Executor) -> Owner:
    topics = parts.catalogue
    owner_id = f"scheduler-{parts.entropy.token()}"
    settings = OwnerSettings(
        kind="scheduler",
        group=f"{options.group_prefix or parts.prefix}scheduler",
        topic=topics.triggers,
        pulse_topic=topics.triggers,
        state_topic=topics.scheduler_state,
        transactional_prefix=parts.prefix,
        owner_id=owner_id,
        instance_id=options.instance_id,
        interval=options.interval,
        per_batch=options.per_batch,
        rarely=options.rarely,
    )
    board = board_of(parts, options.heartbeat_interval, options.lost_after)
    duties = SchedulerDuties(topics, board, owner_id)
    return Owner(settings, duties, parts.log, parts.router, parts.clock, threads)


def board_of(parts: Parts, heartbeat_interval: int, lost_after: int) -> WorkerBoard:
    """Times: ms, of the workers' settings."""
    return WorkerBoard(
        parts.log, parts.codec, parts.catalogue, parts.clock, heartbeat_interval, lost_after
    )


@dataclass(frozen=True)
class WorkerOptions:
    """slots: jobs at once. gone: earlier workers of this supervisor. Times: ms."""

    group: str
    slots: int
    instance_id: str = ""
    dispatch: Literal["consumer", "share"] = "consumer"
    tags: tuple[str, ...] = ()
    host: str = ""
    gone: tuple[str, ...] = ()
    heartbeat_interval: int = 1_000
    lease: int = 25_000
    grace: int = 300_000
    rarely: Rarely = never


def build_worker(
    parts: Parts, options: WorkerOptions, runner: JobRunner, supervision: Supervision
) -> Worker:
    settings = WorkerSettings(
        worker_id=f"{options.group}-{parts.entropy.token()}",
        group=options.group,
        slots=options.slots,
        consumer_group=parts.catalogue.jobs(options.group),
        instance_id=options.instance_id,
        dispatch=options.dispatch,
        tags=options.tags,
        host=options.host,
        gone=options.gone,
        heartbeat_interval=options.heartbeat_interval,
        lease=options.lease,
        grace=options.grace,
        version=__version__,
        rarely=options.rarely,
    )
    return Worker(settings, parts.log, parts.router, parts.clock, runner, supervision)

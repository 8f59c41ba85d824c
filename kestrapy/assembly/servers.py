"""The five servers as processes, from settings: each function here is the whole life of one."""

from __future__ import annotations

import _thread
import faulthandler
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

from prometheus_client import REGISTRY as METRICS
from prometheus_client import Gauge
from pydantic import ValidationError

from kestrapy.adapters.aes import AesCipher
from kestrapy.adapters.kafka.log import KafkaLog
from kestrapy.adapters.process.launcher import connect_to_supervisor, gone_workers
from kestrapy.adapters.secrets import EnvironmentSecrets
from kestrapy.adapters.system import SystemClock, SystemEntropy
from kestrapy.assembly.declared import require_group, save_declared
from kestrapy.assembly.lookups import Once, open_store
from kestrapy.assembly.parts import (
    OwnerOptions,
    Parts,
    WorkerOptions,
    board_of,
    build_executor,
    build_scheduler,
    build_worker,
)
from kestrapy.assembly.storage import blobs_of
from kestrapy.config import Settings
from kestrapy.errors import LogUnavailable, SettingsRefused, TopicUnfit
from kestrapy.model.declaring import declared_groups
from kestrapy.plugins.registry import REGISTRY
from kestrapy.servers.declarations import group_topic
from kestrapy.servers.group_metrics import GroupCollector
from kestrapy.servers.health import Check, HealthServer
from kestrapy.servers.loop import run_until
from kestrapy.servers.owner import Owner
from kestrapy.servers.worker.job_runner import TaskJobRunner
from kestrapy.servers.worker.log_lines import LogLines
from kestrapy.servers.worker.run_context import Tools
from kestrapy.servers.worker.task_sender import TaskSender
from kestrapy.servers.worker.worker import Worker
from kestrapy.wire.codec import Codec
from kestrapy.wire.fitness import unfit
from kestrapy.wire.registry import SchemaRegistry
from kestrapy.wire.topics import Catalogue

log = logging.getLogger(__name__)

TOPICS_TIMEOUT = 30.0
STOP_LIMIT = 20.0
"""Below the 30 s that Kubernetes and the like leave a process before they kill it."""
INSTANCE_VARIABLE = "KESTRAPY_INSTANCE_ID"
"""Names this server in its consumer group; its parent gives it, so that a restart costs no
rebalance.
"""


def instance_id() -> str:
    return os.environ.get(INSTANCE_VARIABLE, "")


def cipher_of(settings: Settings) -> AesCipher | None:
    """None without a key."""
    key = settings.encryption_key
    return AesCipher(key) if key else None


def parts_of(settings: Settings, client: str) -> Parts:
    """What servers share. client: shown by the brokers. Connects to nothing."""
    clock = SystemClock()
    registry_url = settings.registry_url
    return Parts(
        log=KafkaLog(
            settings.kafka.bootstrap_servers,
            f"kestrapy-{client}-{socket.gethostname()}-{os.getpid()}",
            settings.librdkafka,
            replication_factor=settings.kafka.replication_factor,
            clock=clock,
        ),
        codec=Codec(SchemaRegistry(registry_url) if registry_url else None),
        catalogue=Catalogue(
            settings.kafka.topic_prefix,
            settings.shards,
            settings.job_partitions,
            settings.shared_groups,
        ),
        registry=REGISTRY,
        groups=declared_groups(settings),
        clock=clock,
        entropy=SystemEntropy(),
    )


def ensure_topics(parts: Parts) -> list[str]:
    """Make the topics that are missing. -> their names. Raises TopicUnfit where one would lose
    records.
    """
    topics = parts.log.topics()
    specs = parts.catalogue.specs(parts.groups)
    names = [spec.name for spec in specs]
    described = topics.describe(names, TOPICS_TIMEOUT)
    missing = [spec for spec in specs if spec.name not in described]
    made = topics.create(missing, TOPICS_TIMEOUT)
    if missing:
        described = topics.describe(names, TOPICS_TIMEOUT)
    wrong = [problem for spec in specs for problem in unfit(spec, described.get(spec.name))]
    if wrong:
        raise TopicUnfit("; ".join(wrong))
    return made


@contextmanager
def stopping(limit: float = STOP_LIMIT) -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT set.

    limit: seconds from the first of these after which the process ends by itself, with code 1 and
    the stacks of its threads on stderr; 0 for none. Nothing is lost by that: whoever owns next
    restores from the log, as after a kill.
    """
    stop = threading.Event()

    def on_signal(*_: object) -> None:
        if limit and not stop.is_set():
            faulthandler.dump_traceback_later(limit, exit=True)
        # In a thread of its own: this handler runs in the main one, which may just hold the event's
        # lock, on its way into or out of a wait.
        _thread.start_new_thread(stop.set, ())

    before = {it: signal.signal(it, on_signal) for it in _STOP_SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def endpoint(settings: Settings, port: int, checks: Mapping[str, Check]) -> Iterator[None]:
    """/health and /metrics while the block runs. port 0: a free one. Raises SettingsRefused."""
    host = settings.endpoints.host
    try:
        server = HealthServer(host, port, checks)
    except OSError as error:
        raise SettingsRefused(f"endpoints: {host}:{port} can't be listened on: {error}") from error
    log.info("health and metrics are on http://%s:%d", host, server.port)
    try:
        yield
    finally:
        server.close()


def run_executor(settings: Settings) -> None:
    _run_owner(settings, "executor", _measured, settings.endpoints.executor, save_declared)


def _measured(parts: Parts, options: OwnerOptions, threads: ThreadPoolExecutor) -> Owner:
    """An executor whose board is on /metrics too."""
    board = board_of(parts, options.heartbeat_interval, options.lost_after)
    METRICS.register(GroupCollector(board, lambda: parts.groups, parts.clock))
    return build_executor(parts, options, threads, board)


def run_scheduler(settings: Settings) -> None:
    _run_owner(settings, "scheduler", build_scheduler, settings.endpoints.scheduler)


def _run_owner(
    settings: Settings,
    kind: str,
    build: Callable[[Parts, OwnerOptions, ThreadPoolExecutor], Owner],
    port: int,
    before: Callable[[Parts], None] = lambda parts: None,
) -> None:
    parts = parts_of(settings, kind)
    ensure_topics(parts)
    before(parts)
    options = OwnerOptions(
        instance_id=instance_id(),
        interval=settings.executor.checkpoint_interval,
        per_batch=settings.executor.commit == "per-batch",
        lost_after=settings.worker.lost_after,
        heartbeat_interval=settings.worker.heartbeat_interval,
    )
    with ThreadPoolExecutor(2, "checkpoint") as threads, stopping() as stop:
        owner = build(parts, options, threads)
        _measure_owner(owner)
        with endpoint(settings, port, {"shards": lambda: _refusals(owner)}):
            log.info("%s is up", kind)
            try:
                run_until(owner, parts.clock, stop)
            finally:
                owner.close()


def _refusals(owner: Owner) -> str | None:
    return "; ".join(f"shard {it}: {why}" for it, why in owner.refused.items()) or None


def _measure_owner(owner: Owner) -> None:
    owned = Gauge("kestrapy_shards_owned", "Shards that this server owns.")
    owned.set_function(lambda: len(owner.shards))
    folded = Gauge("kestrapy_commands_folded", "Commands folded since each shard was taken over.")
    folded.set_function(lambda: sum(it.folded for it in list(owner.shards.values())))


def refuse_undeclared(settings: Settings) -> None:
    """Raises SettingsRefused where a worker's group isn't declared; a log that does not answer is
    left to the worker.
    """
    parts = parts_of(settings, "worker")
    with suppress(LogUnavailable):
        ensure_topics(parts)
        require_group(parts, settings.worker.worker_group)


def run_worker(settings: Settings) -> int:
    """Run under a supervisor, which started this process. -> exit code."""
    supervisor = connect_to_supervisor()
    parts = parts_of(settings, "worker")
    ensure_topics(parts)
    group = require_group(parts, settings.worker.worker_group)
    parts.log.topics().create([group_topic(parts.catalogue, group)], TOPICS_TIMEOUT)
    options = WorkerOptions(
        group=group.key,
        slots=settings.worker.threads,
        instance_id=instance_id(),
        dispatch=group.dispatch,
        tags=settings.worker.tags,
        host=socket.gethostname(),
        gone=tuple(gone_workers()),
        heartbeat_interval=settings.worker.heartbeat_interval,
        lease=settings.worker.lease,
        grace=settings.worker.termination_grace_period,
    )
    tools = Tools(
        blobs_of(settings),
        supervisor,
        parts.clock,
        settings.home / "work",
        parts.entropy,
        LogLines(parts.log, parts.codec, parts.catalogue),
        TaskSender(parts.log, parts.codec, parts.catalogue),
        cipher=cipher_of(settings),
        secrets=EnvironmentSecrets(settings.secrets.prefix),
        keyed=AesCipher,
        queries=Once(lambda: open_store(settings)),
    )
    worker = build_worker(parts, options, TaskJobRunner(tools, {}), supervisor)
    _measure_worker(worker)
    with (
        stopping(limit=0) as stop,  # its grace period is its own, and the supervisor sees to it
        endpoint(settings, settings.endpoints.worker, {"lease": worker.lease_problem}),
    ):
        log.info("worker %s of group %s is up", worker.settings.worker_id, options.group)
        run_until(StoppableWorker(worker, stop), parts.clock, _WhenDone(worker))
        worker.close()
    return 0


class StoppableWorker:
    """Lets a worker know that its process was asked to stop; it goes on until nothing is in
    hand.
    """

    def __init__(self, worker: Worker, stop: threading.Event):
        self._worker = worker
        self._stop = stop

    def tick(self, now: int, patience: int = 0) -> int:
        if self._stop.is_set():
            self._worker.stop(now)
        return self._worker.tick(now, patience)


class _WhenDone(threading.Event):
    """Set once the worker has nothing in hand any more."""

    def __init__(self, worker: Worker):
        super().__init__()
        self._worker = worker

    def is_set(self) -> bool:
        return self._worker.is_done


def _measure_worker(worker: Worker) -> None:
    labels = {"worker_group": worker.settings.group}
    running = Gauge("kestrapy_worker_running_jobs", "Jobs that run here.", labels.keys())
    running.labels(**labels).set_function(lambda: worker.running)
    slots = Gauge("kestrapy_worker_slots", "Jobs that may run here at once.", labels.keys())
    slots.labels(**labels).set(worker.settings.slots)


def of_group(
    settings: Settings, group: str | None, threads: int | None, tags: Sequence[str] | None = None
) -> Settings:
    """The settings of a worker of this group, with so many threads and these tags, where they are
    given.

    Raises SettingsRefused.
    """
    worker = settings.worker.model_copy(
        update={
            name: value
            for name, value in (
                ("worker_group", group),
                ("threads", threads),
                ("tags", tuple(tags or ())),
            )
            if value is not None and value != ()
        }
    )
    values = settings.model_dump(by_alias=True) | {"worker": worker.model_dump(by_alias=True)}
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        # Without its cause, whose text shows all settings, secret ones too.
        found = "; ".join(it["msg"].removeprefix("Value error, ") for it in error.errors())
        raise SettingsRefused(f"--worker-group, --threads, --tag: {found}") from None

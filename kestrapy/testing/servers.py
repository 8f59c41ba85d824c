"""The servers of a flow test: real ones, in one thread, on a log in memory and a virtual clock."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kestrapy.adapters.aes import AesCipher
from kestrapy.adapters.blobs.local import LocalBlobs
from kestrapy.adapters.memory.log import MemoryLog
from kestrapy.adapters.secrets import EnvironmentSecrets
from kestrapy.adapters.system import SystemClock
from kestrapy.assembly.lookups import IndexedLog
from kestrapy.assembly.parts import (
    OwnerOptions,
    Parts,
    WorkerOptions,
    build_executor,
    build_scheduler,
    build_worker,
)
from kestrapy.config import DEFAULT_GROUP
from kestrapy.errors import UserError
from kestrapy.machine.commands import SettingSaveRequested
from kestrapy.model.registry import Registry
from kestrapy.model.worker_group import GROUP, GroupSettings, encode
from kestrapy.ports.log import Log, Partition, SendError
from kestrapy.servers.loop import Ticking
from kestrapy.servers.worker.job_runner import TaskJobRunner
from kestrapy.servers.worker.log_lines import LogLines
from kestrapy.servers.worker.run_context import Tools
from kestrapy.servers.worker.task_sender import TaskSender
from kestrapy.servers.worker.worker import Worker
from kestrapy.testing.clock import VirtualClock
from kestrapy.testing.results import ChosenResults
from kestrapy.testing.runner import FlowTestRunner, LateLauncher, NoSupervisor, TestTypes
from kestrapy.testing.stand_ins import StandIn
from kestrapy.wire.codec import Codec
from kestrapy.wire.topics import Catalogue

FOREVER = 100 * 365 * 24 * 3_600_000
"""ms: no worker is lost because the clock jumps."""
SLOTS = 1_000
TIMEOUT = 10.0
"""Seconds for an answer of the log."""
QUIET = (1, 10, 100, 100, 100)
"""ms by which the clock moves in rounds in which nothing was said; after them all is still."""


class InlineThreads(Executor):
    """Does at once what it is given."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # whatever it is: who asks the future is told
            future.set_exception(error)
        return future


class CountedTokens:
    """The port ``Entropy``: the same tokens in each test."""

    def __init__(self) -> None:
        self._count = 0

    def token(self) -> str:
        self._count += 1
        return f"{self._count:016x}"


class CountedNonces:
    """Those of a cipher: what a test encrypts is the same each time."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self) -> bytes:
        self._count += 1
        return self._count.to_bytes(12, "big")


@dataclass(frozen=True)
class Wanted:
    """What the servers of a test have to know. groups: keys of worker groups beside the default
    one. variables: what all expressions of tasks may read beside their own. triggers: whether they
    fire.
    """

    registry: Registry
    groups: Collection[str] = ()
    variables: Mapping[str, Any] = field(default_factory=dict)
    stand_ins: Sequence[StandIn] = ()
    triggers: bool = False


class FlowTestServers:
    """An executor, a worker for each group, and a scheduler where triggers are to fire; nothing is
    kept when it is closed.

    log: one in memory where none is given; prefix: of its topics.
    """

    def __init__(
        self, wanted: Wanted, clock: VirtualClock, log: Log | None = None, prefix: str = ""
    ):
        self._temporary = tempfile.TemporaryDirectory(prefix="kestrapy-")
        folder = Path(self._temporary.name)
        self.clock = clock
        self.blobs = LocalBlobs(folder / "storage")
        groups = dict.fromkeys((DEFAULT_GROUP, *wanted.groups))
        self.parts = Parts(
            log=log or MemoryLog(clock, session_ms=FOREVER),
            codec=Codec(),
            catalogue=Catalogue(prefix, shards=1, job_partitions=1),
            registry=wanted.registry,
            groups={key: GroupSettings(key) for key in groups},
            clock=clock,
            entropy=CountedTokens(),
        )
        self._real_clock = SystemClock()
        self._launcher = LateLauncher()
        self.cipher = AesCipher(bytes(32), CountedNonces())
        results = ChosenResults()
        self._indexed = IndexedLog(self.parts, folder / "store")
        tools = Tools(
            self.blobs,
            self._launcher,
            clock,
            folder / "work",
            self.parts.entropy,
            LogLines(self.parts.log, self.parts.codec, self.parts.catalogue),
            TaskSender(self.parts.log, self.parts.codec, self.parts.catalogue),
            sleep=clock.sleep,
            cipher=self.cipher,
            secrets=EnvironmentSecrets(),
            keyed=lambda key: AesCipher(key, CountedNonces()),
            types=TestTypes(wanted.stand_ins, results),
            queries=self._indexed,
        )
        real = TaskJobRunner(tools, wanted.variables)
        self.runner = FlowTestRunner(clock, real, results)
        parts = self.parts
        parts.log.topics().create(parts.catalogue.specs(parts.groups), TIMEOUT)
        self._producer = parts.log.producer()
        self._reader = parts.log.reader()
        self._reader.assign(dict.fromkeys(self._watched(), 0))
        options, threads = OwnerOptions(lost_after=FOREVER), InlineThreads()
        self._owners = [build_executor(parts, options, threads)]
        if wanted.triggers:
            self._owners.append(build_scheduler(parts, options, threads))
        self._workers = [self._worker(group) for group in parts.groups]
        for key, settings in parts.groups.items():
            self.send(SettingSaveRequested(GROUP, key, encode(settings)))

    def _worker(self, group: str) -> Worker:
        options = WorkerOptions(group, SLOTS, lease=FOREVER)
        return build_worker(self.parts, options, self.runner, NoSupervisor())

    def _watched(self) -> Iterator[Partition]:
        """All topics but those in which servers talk about themselves."""
        topics = self.parts.catalogue
        for spec in topics.specs(self.parts.groups):
            if spec.name not in (topics.workers, topics.state, topics.scheduler_state):
                yield from (Partition(spec.name, index) for index in range(spec.partitions))

    def close(self) -> None:
        for worker in self._workers:
            worker.close()
        for owner in self._owners:
            owner.close()
        self._reader.close()
        self._producer.close()
        self._launcher.close()
        self._indexed.close()
        self._temporary.cleanup()

    def send(self, record: object) -> None:
        """Raises UserError for one that the log does not take, such as one that is too large."""
        refusals: list[SendError | None] = []
        for message in self.parts.router.messages(record):
            self._producer.send(message, refusals.append)
        self._producer.flush(TIMEOUT)
        for refusal in refusals:
            if refusal is not None:
                name = type(record).__name__
                raise UserError(f"{name} is not taken: {refusal.failure.value}: {refusal.detail}")

    # Time

    def round(self, milliseconds: int) -> list[Any]:
        """Move the clock, and let each server have its turn. -> the records said since the last
        round, except by servers about themselves.
        """
        self.clock.move(milliseconds)
        self._await_tasks()
        servers: list[Ticking] = [*self._owners, *self._workers]
        for server in servers:
            server.tick(self.clock.monotonic())
        said: list[Any] = []
        while records := self._reader.poll(1_000, 0.0):
            said += [self.parts.codec.decode(it).record for it in records if it.value is not None]
        return said

    def _await_tasks(self) -> None:
        """Where a task takes its time, the clock goes on as real time does."""
        before = self._real_clock.monotonic()
        if not self.runner.await_tasks():
            self.clock.move(self._real_clock.monotonic() - before)

    @property
    def works(self) -> bool:
        """Whether a task works just now, or an owner has not yet folded what stands there."""
        behind = any(it.is_waiting for owner in self._owners for it in owner.shards.values())
        return behind or not self.runner.await_tasks(0.0)

    def next_due(self) -> int | None:
        """In how many ms something becomes due; None: nothing does, whatever time passes."""
        log_time = self.clock.wall()
        shards = [shard for owner in self._owners for shard in owner.shards.values()]
        timers = [shard.timers.next_due() for shard in shards]
        waits = [due - log_time for due in timers if due is not None]
        if (due := self.runner.next_due()) is not None:
            waits.append(due - self.clock.monotonic())
        return max(1, min(waits)) if waits else None

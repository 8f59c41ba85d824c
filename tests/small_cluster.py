"""Executors, schedulers and workers in one thread on a log in memory and a clock that is moved by
hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from kestrapy.adapters.memory.log import MemoryLog
from kestrapy.assembly.parts import (
    OwnerOptions,
    Parts,
    WorkerOptions,
    build_executor,
    build_scheduler,
    build_worker,
)
from kestrapy.machine.commands import ExecutionSubmitted, FlowSaveRequested, TriggerDefinition
from kestrapy.machine.outputs import ExecutionEvent, Job
from kestrapy.model.ids import derive_execution_id
from kestrapy.model.state import State
from kestrapy.model.worker_group import GroupSettings
from kestrapy.plugins.registry import REGISTRY
from kestrapy.ports.log import Partition
from kestrapy.ports.tasks import TaskOutcome
from kestrapy.servers.owner import Owner
from kestrapy.servers.worker.running import JobSinks
from kestrapy.servers.worker.worker import Worker
from kestrapy.testing.servers import CountedTokens, InlineThreads
from kestrapy.wire.codec import Codec
from kestrapy.wire.topics import Catalogue

START = 1_800_000_000_000
FLOW = """\
id: two
namespace: tests
tasks:
  - {id: first, type: io.kestra.plugin.core.debug.Return, format: "1"}
  - {id: second, type: io.kestra.plugin.core.debug.Return, format: "{{ outputs.first.value }}"}
"""


class HandClock:
    """Three clocks with zeros of their own that move together when they are told to."""

    def __init__(self) -> None:
        self.now = 0

    def wall(self) -> int:
        return START + self.now

    def monotonic(self) -> int:
        return 1_000_000 + self.now

    def boottime(self) -> int:
        return 5_000_000 + self.now


class Alone:
    """A supervisor that is content with everything."""

    def announce(self, worker_id: str) -> None: ...

    def settle(self, worker_ids: Sequence[str]) -> None: ...

    def renew(self, until: int) -> None: ...


class Run:
    """A job that ends when the test says so, or at once."""

    def __init__(self, job: Job, outcome: TaskOutcome | None):
        self.job = job
        self._outcome = outcome

    def outcome(self) -> TaskOutcome | None:
        return self._outcome

    def end(self, outcome: TaskOutcome) -> None:
        self._outcome = self._outcome or outcome

    def kill(self, reason: str) -> None:
        self.end(TaskOutcome(State.KILLED, error=reason))


class Runner:
    """Notes every start. at_once: jobs succeed when they are started."""

    def __init__(self, at_once: bool = True):
        self.at_once = at_once
        self.runs: list[Run] = []

    def start(self, job: Job, sinks: JobSinks, traceparent: str) -> Run:
        run = Run(job, TaskOutcome(outputs={"value": "1"}) if self.at_once else None)
        self.runs.append(run)
        return run


class SmallCluster:
    """shards: partitions of everything. Servers tick in the order in which they were added."""

    def __init__(self, shards: int = 2):
        self.clock = HandClock()
        self.log = MemoryLog(self.clock)
        self.parts = Parts(
            log=self.log,
            codec=Codec(),
            catalogue=Catalogue("", shards, 2),
            registry=REGISTRY,
            groups={"default": GroupSettings("default")},
            clock=self.clock,
            entropy=CountedTokens(),
        )
        self.log.topics().create(self.parts.catalogue.specs(self.parts.groups), 1)
        self.servers: list[Owner | Worker] = []
        self._producer = self.log.producer()
        self._made = 0

    def executor(self, group: str = "a", **options: Any) -> Owner:
        """group: executors of different ones own all shards each, at the same time."""
        owner = OwnerOptions(group_prefix=f"{group}.", **options)
        return self._add(build_executor(self.parts, owner, InlineThreads()))

    def scheduler(self, group: str = "a") -> Owner:
        options = OwnerOptions(group_prefix=f"{group}.")
        return self._add(build_scheduler(self.parts, options, InlineThreads()))

    def worker(self, runner: Runner, slots: int = 2, **options: Any) -> Worker:
        options = WorkerOptions("default", slots, **options)  # type: ignore[assignment]
        return self._add(build_worker(self.parts, options, runner, Alone()))  # type: ignore[arg-type]

    def _add(self, server: Any) -> Any:
        self.servers.append(server)
        return server

    def remove(self, server: Owner | Worker) -> None:
        """As if it was killed: it never ticks again, and says nothing."""
        self.servers.remove(server)

    def tick(self, times: int = 1, step: int = 10) -> None:
        for _ in range(times):
            self.clock.now += step
            for server in list(self.servers):
                server.tick(self.clock.monotonic())

    def until(self, holds: Callable[[], bool], step: int = 10, limit: int = 5_000) -> None:
        for _ in range(limit):
            if holds():
                return
            self.tick(step=step)
        raise AssertionError(f"does not hold after {limit} ticks")

    def send(self, record: object) -> None:
        self._producer.send(self.parts.router.message(record))
        self._producer.flush(1)

    def save(self, source: str = FLOW, triggers: Sequence[TriggerDefinition] = ()) -> None:
        lines = dict(line.split(": ", 1) for line in source.splitlines()[:2])
        namespace, flow_id = lines["namespace"], lines["id"]
        self.send(FlowSaveRequested(namespace, flow_id, source, False, tuple(triggers)))

    def create(self, flow_id: str = "two", inputs: str = "{}") -> str:
        self._made += 1
        shard = self._made % self.parts.catalogue.shards
        execution_id = derive_execution_id(shard, self.clock.wall(), "test", self._made)
        self.send(ExecutionSubmitted(execution_id, "tests", flow_id, 1, inputs))
        return execution_id

    def records(self, topic: str) -> Iterator[Any]:
        """All records of a topic, decoded, partition by partition."""
        reader = self.log.reader()
        described = self.log.topics().describe([topic], 1)[topic]
        for index in range(described.partitions):
            partition = Partition(topic, index)
            end = reader.end_offset(partition, 1)
            reader.assign({partition: reader.beginning_offset(partition, 1)})
            while reader.position(partition) < end:
                for record in reader.poll(1000, 0):
                    yield self.parts.codec.decode(record).record
            reader.unassign([partition])
        reader.close()

    def events(self) -> list[ExecutionEvent]:
        return list(self.records(self.parts.catalogue.execution_events))

    def ends(self) -> Mapping[str, State]:
        """The terminal states of executions."""
        return {
            it.execution_id: it.execution.state
            for it in self.events()
            if it.execution is not None and it.execution.state.is_terminal
        }

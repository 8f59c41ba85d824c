"""A world: a cluster of real servers that a seed draws, runs, harms, heals, and judges.

1. Draw the options (``options``), make topics, machines and processes.
2. Safety: clients ask, faults happen; the referee looks after each event.
3. Heal: faults end, who is down comes back; everything must end within a bounded time.
4. Validate: live state == restored state == folded log; ends as the flows say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from random import Random

from kestrapy.adapters.memory.journal import Journal
from kestrapy.adapters.memory.reader import MemoryReader
from kestrapy.adapters.memory.topics import MemoryTopics
from kestrapy.assembly.parts import (
    OwnerOptions,
    Parts,
    WorkerOptions,
    build_executor,
    build_worker,
)
from kestrapy.machine.folds import ExecutionFold, admission_fold, intake_fold, leases_fold
from kestrapy.machine.stage import Fold, Position, Stage
from kestrapy.model.worker_group import GroupSettings
from kestrapy.plugins.registry import REGISTRY
from kestrapy.ports.log import Log, Message, Partition, SendError
from kestrapy.servers.executor import Plans
from kestrapy.servers.flow_catalogue import FlowCatalogue
from kestrapy.servers.owner import Owner
from kestrapy.servers.worker.worker import Worker
from kestrapy.sim.clock import BrokerClock, SimClock, SimEntropy, Skew, draw_skew
from kestrapy.sim.faults import Faults
from kestrapy.sim.log import SimLog, SimMember
from kestrapy.sim.network import Link, Network
from kestrapy.sim.options import EMPTY_GROUP, GROUPS, Options
from kestrapy.sim.processes import Process, WorkerProcess
from kestrapy.sim.rare_paths import RarePaths
from kestrapy.sim.referee import Referee
from kestrapy.sim.reference import Place, Reference
from kestrapy.sim.scenarios import GENERAL, SCENARIOS
from kestrapy.sim.tasks import SimSupervisor
from kestrapy.sim.timeline import Timeline
from kestrapy.sim.validation import validate
from kestrapy.sim.workload import Clients, draw_shapes
from kestrapy.wire.codec import Codec
from kestrapy.wire.topics import Catalogue

SESSION = 6_000
CALM_BOUND = 300_000
"""ms after the faults within which everything must have ended."""
SETTLE_ROUNDS = 12
SETTLE = 2_500
"""ms that the world goes on after the last end: for zombies, and checkpoints."""
ZOMBIE_ACTS = 20_000
COMPARE_EVERY = 40
CODEC = Codec()


class WatchedJournal(Journal):
    """Says whether something came since it was asked last."""

    news = True

    def append(self, message: Message, transaction: str | None = None) -> SendError | None:
        self.news = True
        return super().append(message, transaction)

    def finish(self, transaction: str, *, commit: bool) -> None:
        self.news = True
        super().finish(transaction, commit=commit)


class Visitor:
    """A member that takes partitions and does nothing with them."""

    left = False

    def assigned(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        return {}

    def revoked(self, partitions: Sequence[Partition]) -> None: ...

    def lost(self, partitions: Sequence[Partition]) -> None: ...

    def poll(self, member: SimMember) -> None:
        member.poll(1, 0)

    def leave(self, member: SimMember) -> None:
        self.left = True
        member.close()


class World:
    """One seed's cluster. tell: is given each line of the trace."""

    def __init__(
        self, seed: int, scenario: str = GENERAL, tell: Callable[[str], None] | None = None
    ):
        self.seed = seed
        self.random = Random(seed)
        self.timeline = Timeline(tell)
        self.counts: Counter[str] = Counter()
        self.options: Options = SCENARIOS[scenario](self.random)
        self.network = Network(self.timeline, self.random, self.counts, replace(self.options.rates))
        self.rare_paths = RarePaths(self.random, self.counts)
        self.broker_clock = BrokerClock(self.timeline)
        self.journal = WatchedJournal(self.broker_clock, SESSION)
        self.topics = Catalogue("", self.options.shards, self.options.job_partitions)
        specs = self.topics.specs((*GROUPS, EMPTY_GROUP))
        MemoryTopics(self.journal).create(specs, 1)
        self.parts = self._parts_of(self._omniscient(), Skew())
        self.flows = FlowCatalogue(self.parts.log, CODEC, self.topics)
        self.plans = Plans(self.flows, REGISTRY)
        self.reference = Reference(self.parts.router, self.begin_stage)
        self.referee = Referee(
            self.timeline, MemoryReader(self.journal), CODEC, self.topics, self.reference
        )
        self.referee.watch(
            [
                Partition(spec.name, index)
                for spec in specs
                for index in range(spec.partitions)
                if spec.name not in (self.topics.state, self.topics.scheduler_state)
            ]
        )
        self.executors = [self._executor(number) for number in range(self.options.executors)]
        self.workers = [self._worker(number) for number in range(self.options.workers)]
        self.shapes = draw_shapes(self.random)
        client_log, _ = self.connect(SimClock(self.timeline, Skew()))
        self.clients = Clients(self.timeline, self.random, client_log.producer(), self.parts.router)
        self.network.committed = self._committed
        self._owned: dict[str, dict[int, int]] = {}
        self._ticks = 0

    # Its parts

    def _omniscient(self) -> SimLog:
        """A way to the log that no fault befalls."""
        still = Network(Timeline(), Random(0), Counter())
        return SimLog(self.journal, Link(still, SimClock(still.timeline, Skew())))

    def _parts_of(self, log: Log, skew: Skew) -> Parts:
        return Parts(
            log=log,
            codec=CODEC,
            catalogue=self.topics,
            registry=REGISTRY,
            groups={key: GroupSettings(key) for key in (*GROUPS, EMPTY_GROUP)},
            clock=SimClock(self.timeline, skew),
            entropy=SimEntropy(self.random),
        )

    def begin_stage(self, place: Place) -> Stage:
        """A fold from the beginning of a partition."""
        topics = self.topics
        folds: dict[str, Callable[[], Fold]] = {
            topics.requests: lambda: intake_fold(place.partition),
            topics.executions: lambda: ExecutionFold(self.plans.rules(topics.shards)),
            topics.admission: admission_fold,
            topics.workers: leases_fold,
        }
        return Stage(folds[place.topic](), {}, Position())

    def _executor(self, number: int) -> Process:
        group = "shared." if self.options.shared_group else f"{'abc'[number]}."

        def build(process: Process, log: Log, threads: Executor) -> Owner:
            parts = replace(self.parts, log=log, clock=process.clock, entropy=process.entropy)
            options = OwnerOptions(
                instance_id=process.name,
                group_prefix=group,
                interval=self.options.interval,
                per_batch=self.options.per_batch,
                lost_after=self.options.times.lost_after,
                rarely=self.rare_paths,
            )
            return build_executor(parts, options, threads)

        return Process(self, f"executor-{number}", draw_skew(self.random), build, self._pace())

    def _worker(self, number: int) -> WorkerProcess:
        group, times = GROUPS[number % len(GROUPS)], self.options.times

        def build(process: Process, log: Log, threads: Executor) -> Worker:
            supervisor = worker.supervisor or self._supervisor(worker)
            parts = replace(self.parts, log=log, clock=process.clock, entropy=process.entropy)
            options = WorkerOptions(
                group=group,
                slots=self.options.slots,
                instance_id=process.name,
                gone=tuple(supervisor.gone),
                heartbeat_interval=times.heartbeat_interval,
                lease=times.lease,
                grace=5_000,
                rarely=self.rare_paths,
            )
            return build_worker(parts, options, supervisor, supervisor)

        name = f"worker-{number}"
        worker = WorkerProcess(self, name, draw_skew(self.random), build, self._pace())
        return worker

    def _supervisor(self, worker: WorkerProcess) -> SimSupervisor:
        worker.supervisor = SimSupervisor(
            self.timeline,
            self.random,
            SimClock(self.timeline, worker.skew),
            self.referee,
            self.options,
            worker.lease_over,
        )
        return worker.supervisor

    def _pace(self) -> int:
        return self.random.choice([20, 40, 60, 120])

    # The world, as processes see it

    def connect(self, clock: SimClock) -> tuple[SimLog, Link]:
        link = Link(self.network, clock)
        return SimLog(self.journal, link), link

    def ticked(self, process: Process) -> None:
        owner = process.server
        if not isinstance(owner, Owner):
            return
        owned = {index: id(shard) for index, shard in owner.shards.items()}
        fresh = owned != self._owned.get(process.name)
        self._owned[process.name] = owned
        self._ticks += 1
        if fresh or self._ticks % COMPARE_EVERY == 0:
            self.observe()
            self.referee.compare(process.name, owner)
            self.counts["states compared"] += len(owned)

    def rebalance(self) -> None:
        """Another member comes into a group for a while, reads nothing, and leaves."""
        groups = [(self.topics.jobs(group), self.topics.jobs(group)) for group in GROUPS]
        if self.options.shared_group:
            groups.append(("shared.executor", self.topics.executions))
        group, topic = self.random.choice(groups)
        visitor = Visitor()
        log, _ = self.connect(SimClock(self.timeline, Skew()))
        member = log.member(group, [topic], visitor)
        member.pause()
        for turn in range(self.random.randint(2, 8)):
            self.timeline.after(300 * turn, lambda: None if visitor.left else visitor.poll(member))
        self.timeline.after(3_000, lambda: visitor.leave(member))

    def broke(self, process: Process, error: Exception) -> None:
        self.referee.wrong(f"{process.name} broke: {type(error).__name__}: {error}")

    def _committed(self, partition: Partition, offset: int) -> None:
        if self.topics.group(partition.topic):
            self.observe()
            self.referee.committed(partition, offset)

    def observe(self) -> None:
        """Let the referee see what came into the log."""
        if self.journal.news:
            self.journal.news = False
            self.flows.poll()
            self.referee.read()

    # Its life

    @property
    def processes(self) -> list[Process]:
        return [*self.executors, *self.workers]

    def run(self) -> list[str]:
        """-> what went wrong; nothing where all is well."""
        for process in self.processes:
            self.timeline.after(self.random.randint(0, 500), process.start)
        self.clients.save(self.shapes)
        self._poll_clients()
        if not self._until(self._is_declared, 60_000):
            return self._failed("the flows are not saved")
        options = self.options
        if options.zombie:
            self.executors[0].pause(options.zombie)
        span = options.safety * 3 // 4
        self.clients.ask(self.shapes, options.executions, options.shards, span)
        faults = Faults(self)
        faults.plan(self.timeline.now + options.safety)
        self._until(lambda: False, options.safety)
        faults.heal()
        self.timeline.note("world", "is healed")
        if not self._until(self._is_over, CALM_BOUND):
            return self._failed("not everything ended after the faults")
        self._wait_for_zombie()
        for _ in range(SETTLE_ROUNDS):
            self._until(lambda: False, SETTLE)
            if not self.reference.unsent():
                break
        if not self.referee.problems:
            for problem in validate(self):
                self.referee.wrong(problem)
        return self.referee.problems

    def _wait_for_zombie(self) -> None:
        """Until it has done what it can; all others take their time."""
        left = self.executors[0].held - self.timeline.now
        if self.options.zombie and left > 0:
            for process in self.processes:
                process.pace = 1_000
            self._until(lambda: False, left + ZOMBIE_ACTS)

    def _failed(self, problem: str) -> list[str]:
        if not self.referee.problems:
            self.referee.wrong(f"{problem}; open: {self.open_executions()}")
        return self.referee.problems

    def open_executions(self) -> list[str]:
        """Ids of executions that were acknowledged or began, and have not ended."""
        asked = [it.execution_id for it in self.clients.wishes if it.execution_id]
        known = [*asked, *self.referee.runs, *self.referee.children.values()]
        return sorted({it for it in known if it not in self.referee.ends})

    def _is_over(self) -> bool:
        return (
            self.clients.is_done
            and len(self.referee.ends) - len(self.referee.children) >= len(self.clients.wishes)
            and not self.open_executions()
            and self._owned_shards() == set(range(self.options.shards))
        )

    def _is_declared(self) -> bool:
        groups = self.options.shards * (len(GROUPS) + 1)
        referee = self.referee
        return len(referee.flows) == len(self.shapes) and len(referee.groups) == groups

    def _owned_shards(self) -> set[int]:
        owners = [it.server for it in self.executors if isinstance(it.server, Owner)]
        return {index for owner in owners for index in owner.shards}

    def _poll_clients(self) -> None:
        self.clients.poll()
        self.timeline.after(50, self._poll_clients)

    def _until(self, holds: Callable[[], bool], limit: int) -> bool:
        """Let events happen until holds() or limit ms have passed, or something is wrong."""
        end = self.timeline.now + limit
        while not self.referee.problems and self.timeline.now <= end:
            if holds():
                return True
            self.timeline.step()
            self.observe()
        return False

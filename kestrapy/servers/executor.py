"""The executor: moves every execution of its shards forward."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache

import msgspec

from kestrapy.errors import FlowRefused
from kestrapy.language.flow import parse_flow
from kestrapy.language.plan import Plan
from kestrapy.machine.commands import FlowResolved, TimerDue
from kestrapy.machine.entities import Content, Entity, Execution, TaskRun, content_key
from kestrapy.machine.folds import ExecutionFold, admission_fold, intake_fold, leases_fold
from kestrapy.machine.turn import ContentMissing, Rules
from kestrapy.model.registry import Registry
from kestrapy.ports.clock import Clock
from kestrapy.servers.flow_catalogue import FlowCatalogue
from kestrapy.servers.shard import Shard, StageSpec
from kestrapy.servers.watcher import Watcher
from kestrapy.wire.topics import Catalogue

JUDGE_EVERY = 1_000
ASK_AGAIN = 2_000
CATCH_UP_TIMEOUT = 5.0
PLANS_KEPT = 2_000


class Plans:
    """Plans of flows, compiled once. Their content never changes, so a cache can't be seen."""

    def __init__(self, flows: FlowCatalogue, registry: Registry):
        self._flows = flows
        self._registry = registry
        self.of_flow = lru_cache(PLANS_KEPT)(self._of_flow)
        self.of_text = lru_cache(PLANS_KEPT)(self._of_text)

    def _of_flow(self, namespace: str, flow_id: str, revision: int) -> Plan:
        found = self._flows.get(namespace, flow_id, revision)
        if found is None:
            raise ContentMissing(f"{namespace}.{flow_id} revision {revision}")
        flow = parse_flow(found.source, self._registry)
        return Plan(msgspec.structs.replace(flow, revision=revision), self._registry)

    def _of_text(self, namespace: str, flow_id: str, text: str) -> Plan:
        return Plan(parse_flow(text, self._registry), self._registry)

    def rules(self) -> Rules:
        return Rules(flow=self.of_flow, inline=self.of_text)


class ExecutorDuties:
    """What an executor does beside folding: look-ups that a fold may not make, and watching
    leases.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        flows: FlowCatalogue,
        registry: Registry,
        groups: Collection[str],
        owner_id: str,
        clock: Clock,
        lost_after: int,
    ):
        self._topics = catalogue
        self._flows = flows
        self._registry = registry
        self._groups = groups
        self._owner_id = owner_id
        self._clock = clock
        self._lost_after = lost_after
        self._plans = Plans(flows, registry)
        self._watchers: dict[int, Watcher] = {}
        self._judge_due: dict[int, int] = {}
        self._awaiting: dict[int, dict[str, int]] = {}

    def specs(self, index: int) -> list[StageSpec]:
        watcher = Watcher(self._owner_id, self._clock, self._lost_after)
        awaiting: dict[str, int] = {}
        self._watchers[index], self._awaiting[index] = watcher, awaiting

        def observe(key: str, entity: Entity | None) -> None:
            if isinstance(entity, Execution) and entity.awaits:
                awaiting.setdefault(key, 0)
            elif awaiting:
                awaiting.pop(key, None)

        return [
            StageSpec(self._topics.requests, intake_fold(index)),
            StageSpec(
                self._topics.executions,
                ExecutionFold(self._plans.rules()),
                due=_due,
                timer=_timer,
                observe=observe,
            ),
            StageSpec(self._topics.admission, admission_fold()),
            StageSpec(self._topics.workers, leases_fold(), arrived=watcher.arrived),
        ]

    def before_folding(self, now: int) -> None:
        self._flows.poll()

    def taken_over(self, shard: Shard, now: int) -> None:
        self._judge_due[shard.index] = now + JUDGE_EVERY

    def pulse(self, shard: Shard, sequence: int, now: int) -> None:
        self._watchers[shard.index].sent(sequence, now)

    def turn(self, shard: Shard, now: int) -> None:
        if now >= self._judge_due[shard.index]:
            self._judge_due[shard.index] = now + JUDGE_EVERY
            self._watchers[shard.index].judge(shard, self._topics.workers, now)
        for key, asked in list(self._awaiting[shard.index].items()):
            if now >= asked:
                self._awaiting[shard.index][key] = now + ASK_AGAIN
                self._resolve(shard, key)

    def dropped(self, index: int) -> None:
        for kept in (self._watchers, self._judge_due, self._awaiting):
            kept.pop(index, None)

    def _resolve(self, shard: Shard, key: str) -> None:
        """Look up which revision an execution runs, and write the answer into the log: the first
        one counts.
        """
        state = shard.stage(self._topics.executions).state
        execution = state.get(key)
        if not isinstance(execution, Execution):
            return
        content = state.get(content_key(execution.id))
        if isinstance(content, Content):
            shard.command(self._resolution(execution, content))

    def _resolution(self, execution: Execution, content: Content) -> FlowResolved:
        if content.inline:
            return FlowResolved(execution.id, 1, self._inline_problem(content.inline))
        revision = content.requested.revision if content.requested else None
        name = f"{execution.namespace}.{execution.flow_id}"
        for attempt in range(2):
            if revision is None:
                latest = self._flows.latest(execution.namespace, execution.flow_id)
            else:
                latest = self._flows.get(execution.namespace, execution.flow_id, revision)
            if latest is not None:
                return FlowResolved(execution.id, latest.revision)
            if attempt == 0:
                self._flows.catch_up(CATCH_UP_TIMEOUT)
        which = name if revision is None else f"revision {revision} of {name}"
        return FlowResolved(execution.id, 0, f"there is no flow {which}: save it first")

    def _inline_problem(self, text: str) -> str:
        try:
            parse_flow(text, self._registry, groups=self._groups)
        except FlowRefused as refusal:
            return str(refusal)
        return ""


def _due(entity: Entity) -> int:
    return entity.due if isinstance(entity, TaskRun) else 0


def _timer(entity: Entity) -> TimerDue:
    if not isinstance(entity, TaskRun):
        raise TypeError(f"{type(entity).__name__} has no timer")
    return TimerDue(entity.id, entity.due)

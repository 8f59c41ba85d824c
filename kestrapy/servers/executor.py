"""The executor: moves every execution of its shards forward."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from kestrapy import __version__
from kestrapy.errors import FlowRefused
from kestrapy.language.flow import parse_flow
from kestrapy.language.plan import Plan
from kestrapy.machine import stage
from kestrapy.machine.commands import ExecutionDue, FlowResolved, Heartbeat, SweepDue, TimerDue
from kestrapy.machine.entities import Content, Entity, Execution, Sweep, TaskRun, content_key
from kestrapy.machine.folds import ExecutionFold, admission_fold, intake_fold, leases_fold
from kestrapy.machine.timeouts import Timeout
from kestrapy.machine.turn import ContentMissing, Rules
from kestrapy.model.registry import Registry
from kestrapy.model.worker_group import DEFAULT_GROUP, GroupSettings
from kestrapy.servers.flow_catalogue import FlowCatalogue
from kestrapy.servers.group_topics import GroupTopics
from kestrapy.servers.group_watch import Deaths, GroupWatch
from kestrapy.servers.logic_versions import LogicVersions
from kestrapy.servers.redirection import Redirection
from kestrapy.servers.shard import Shard, StageSpec
from kestrapy.servers.watcher import Watcher
from kestrapy.servers.worker_board import GroupLoad, WorkerBoard
from kestrapy.wire.topics import Catalogue

JUDGE_EVERY = 200
"""ms between two looks for silent workers: how late a loss may be seen beyond the lost-after."""
LOOK_EVERY, POLL_EVERY = 100, 20
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

    def rules(self, shards: int) -> Rules:
        return Rules(flow=self.of_flow, inline=self.of_text, shards=shards)


@dataclass(frozen=True)
class Sources:
    """Where an executor looks things up. groups: those of the settings file, by key."""

    flows: FlowCatalogue
    registry: Registry
    groups: Mapping[str, GroupSettings]
    board: WorkerBoard
    group_topics: GroupTopics


class Watch:
    """What an executor keeps for one shard beside its state."""

    def __init__(self, watcher: Watcher, deaths: Deaths, topics: Catalogue):
        self.leases = watcher
        self.groups = GroupWatch(topics.executions, deaths)
        self.versions = LogicVersions()
        self.judge_due = 0
        self.awaiting: dict[str, int] = {}

    def observe(self, key: str, entity: Entity | None) -> None:
        self.groups.index.observe(key, entity)
        if isinstance(entity, Execution) and entity.awaits == "flow":
            self.awaiting.setdefault(key, 0)
        elif self.awaiting:
            self.awaiting.pop(key, None)


class ExecutorDuties:
    """What an executor does beside folding: look-ups that a fold may not make, and watching
    leases and groups.
    """

    def __init__(self, catalogue: Catalogue, sources: Sources, owner_id: str, lost_after: int):
        self._topics = catalogue
        self._sources = sources
        self._flows = sources.flows
        self._owner_id = owner_id
        self._lost_after = lost_after
        self._plans = Plans(sources.flows, sources.registry)
        self._watchers: dict[int, Watcher] = {}
        self._deaths = Deaths()
        self._redirection = Redirection()
        self._watches: dict[int, Watch] = {}
        self._look_due = self._poll_due = 0
        self._loads: Mapping[str, GroupLoad] | None = None

    def specs(self, index: int) -> list[StageSpec]:
        watcher = self._watchers.setdefault(index, Watcher(self._owner_id, self._lost_after))
        watch = self._watches[index] = Watch(watcher, self._deaths, self._topics)
        return [
            StageSpec(self._topics.requests, intake_fold(index)),
            StageSpec(
                self._topics.executions,
                ExecutionFold(self._plans.rules(self._topics.shards)),
                due=_due,
                timer=_timer,
                observe=watch.observe,
            ),
            StageSpec(self._topics.admission, admission_fold()),
            StageSpec(self._topics.workers, leases_fold(), arrived=watch.leases.arrived),
        ]

    def announcement(self, sequence: int) -> Heartbeat:
        return Heartbeat(
            self._owner_id,
            sequence,
            kind="executor",
            version=__version__,
            logic_versions=list(stage.KNOWN_LOGIC_VERSIONS),
        )

    def before_folding(self, now: int) -> None:
        self._flows.poll()
        board = self._sources.board
        if now >= self._poll_due:
            self._poll_due = now + POLL_EVERY
            board.poll()
        if now < self._look_due:
            return
        self._look_due = now + LOOK_EVERY
        self._loads = board.groups() if board.is_settled else None
        self._sources.group_topics.turn(self._declared(), now)

    def _declared(self) -> dict[str, GroupSettings]:
        """Groups of the settings file, and those that some shard here knows to be declared."""
        known = {
            key: group.settings
            for watch in self._watches.values()
            for key, group in watch.groups.index.groups.items()
            if group.revision and not group.deleted
        }
        return {DEFAULT_GROUP: GroupSettings(DEFAULT_GROUP), **self._sources.groups, **known}

    def taken_over(self, shard: Shard, now: int) -> None:
        """It is judged at once: one that is lost soon again would never judge."""

    def pulse(self, shard: Shard, sequence: int, now: int) -> None:
        self._watches[shard.index].leases.sent(sequence, now)

    def turn(self, shard: Shard, now: int) -> None:
        watch = self._watches[shard.index]
        if now >= watch.judge_due:
            watch.judge_due = now + JUDGE_EVERY
            watch.leases.judge(shard, self._topics.workers, now)
        watch.groups.turn(shard, self._loads, self._sources.group_topics.ids, now)
        published = watch.groups.index.published
        self._redirection.turn(shard, published, self._sources.board.workers, now)
        if self._loads is not None:
            watch.versions.turn(shard, self._sources.board.executors(), now)
        for key, asked in list(watch.awaiting.items()):
            if now >= asked:
                watch.awaiting[key] = now + ASK_AGAIN
                self._resolve(shard, key)

    def dropped(self, index: int) -> None:
        """What the watcher knows stays: it is true, should the shard come back."""
        self._watches.pop(index, None)

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
            shard.command(self._resolution(shard.index, execution, content))

    def _resolution(self, index: int, execution: Execution, content: Content) -> FlowResolved:
        if content.inline:
            return FlowResolved(execution.id, 1, self._inline_problem(index, content.inline))
        revision = content.requested.revision if content.requested else None
        if content.parent is not None:
            revision = content.parent.revision or None
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

    def _inline_problem(self, index: int, text: str) -> str:
        known = {
            key: group.settings
            for key, group in self._watches[index].groups.index.groups.items()
            if group.revision and not group.deleted
        }
        try:
            parse_flow(text, self._sources.registry, groups={**self._sources.groups, **known})
        except FlowRefused as refusal:
            return str(refusal)
        return ""


def _due(entity: Entity) -> int:
    return entity.due if isinstance(entity, TaskRun | Execution | Sweep | Timeout) else 0


def _timer(entity: Entity) -> TimerDue | ExecutionDue | SweepDue:
    if isinstance(entity, Sweep):
        return SweepDue(entity.execution_id, entity.due)
    if isinstance(entity, Execution):
        return ExecutionDue(entity.id, entity.due)
    if isinstance(entity, Timeout):
        return TimerDue(entity.task_run_id, entity.due)
    if not isinstance(entity, TaskRun):
        raise TypeError(f"{type(entity).__name__} has no timer")
    return TimerDue(entity.id, entity.due)

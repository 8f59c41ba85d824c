"""What a shard's owner does for worker groups beside folding.

It tells its shard which groups live (``GroupLive``), which waiting jobs had no live worker for as
long as their fallback allows (``NoWorker``), and everybody what waits here (``GroupReport``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from kestrapy.machine.commands import GroupLive, GroupReport, NoWorker, PublishAgain
from kestrapy.machine.entities import Entity, EntityMap, Group, Line, TaskRun, group_key
from kestrapy.machine.task_runs import HELD_STATES
from kestrapy.model.worker_group import GroupSettings
from kestrapy.servers.shard import Shard
from kestrapy.servers.worker_board import GroupLoad

LOOK_EVERY = 100
SAY_AGAIN = 1_000
REPORT_EVERY = 1_000
REPORT_UNCHANGED_EVERY = 5_000
"""ms; half of what a WorkerBoard keeps a report for, and less."""
SEEN_FOR = 5_000
"""ms for which a death counts that was not looked at: longer than a shard is lost at a restore."""
MOST_FALLBACKS = 500
"""Of a shard and a look: what has no worker is many jobs at once."""

GROUPS = group_key("")
Late = tuple[str, int]
"""A group, and a job's fallback_after, ms."""


@dataclass
class Index:
    """A shard's task runs, as this looks for them; kept by ``observe``, so that a look costs what
    it finds. waiting: by group and key, since when, epoch ms. late: those with a fallback.
    published: by group and key, those that stand in the topic.
    """

    groups: dict[str, Group] = field(default_factory=dict)
    waiting: dict[str, dict[str, int]] = field(default_factory=dict)
    late: dict[Late, dict[str, int]] = field(default_factory=dict)
    published: dict[str, dict[str, TaskRun]] = field(default_factory=dict)
    held: Counter[str] = field(default_factory=Counter)
    lines: dict[str, tuple[str, str, int]] = field(default_factory=dict)
    _runs: dict[str, tuple[str, int | None, bool]] = field(default_factory=dict)

    def observe(self, key: str, entity: Entity | None) -> None:
        if key.startswith("t:"):
            self._observe_run(key, entity)
        elif isinstance(entity, Group):
            self.groups[entity.settings.key] = entity
        elif isinstance(entity, Line):
            group, _, namespace = key.removeprefix("q:").split("/")
            self.lines[key] = group, namespace, entity.count
        elif entity is None:
            self.lines.pop(key, None)
            self.groups.pop(key.removeprefix(GROUPS), None)

    def _observe_run(self, key: str, run: Entity | None) -> None:
        self._forget(key)
        if not isinstance(run, TaskRun) or run.scope is not None:
            return
        if run.is_waiting:
            self.waiting.setdefault(run.group, {})[key] = run.ready
            if not run.place:
                self.published.setdefault(run.group, {})[key] = run
            after = run.fallback_after if run.fallback is not None else None
            if after is not None:
                self.late.setdefault((run.group, after), {})[key] = run.ready
            self._runs[key] = run.group, after, False
        elif run.state in HELD_STATES:
            self.held[run.group] += 1
            self._runs[key] = run.group, None, True

    def _forget(self, key: str) -> None:
        known = self._runs.pop(key, None)
        if known is None:
            return
        group, after, is_held = known
        if is_held:
            self.held[group] -= 1
            return
        self.waiting[group].pop(key, None)
        self.published.get(group, {}).pop(key, None)
        if after is not None:
            self.late[group, after].pop(key, None)


class Deaths:
    """Since when each group has had no worker that takes jobs, as one process has seen it.

    Takeovers don't end it: a shard that is restored again and again falls back all the same. What
    nobody looked at for ``SEEN_FOR`` is not known any more. Times: monotonic ms.
    """

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, int]] = {}

    def saw_dead(self, group: str, now: int) -> None:
        since, seen = self._seen.get(group, (now, now))
        self._seen[group] = (since if now - seen <= SEEN_FOR else now), now

    def saw_living(self, group: str) -> None:
        self._seen.pop(group, None)

    def since(self, group: str) -> int | None:
        known = self._seen.get(group)
        return known[0] if known is not None else None


class GroupWatch:
    """One shard's. deaths: of this process. Times: monotonic ms, but for ``log_time``."""

    def __init__(self, topic: str, deaths: Deaths):
        self.index = Index()
        self._deaths = deaths
        self._topic = topic
        self._look_due = 0
        self._report_due = 0
        self._said: dict[str, int] = {}
        self._asked: dict[tuple[str, int], int] = {}
        self._reported: dict[str, tuple[GroupReport, int]] = {}

    def turn(
        self,
        shard: Shard,
        loads: Mapping[str, GroupLoad] | None,
        topics: Mapping[str, str],
        now: int,
    ) -> None:
        """loads: what lives, by group; None while that is not known for certain. topics: ids of
        groups' topics, as far as they are known.
        """
        if now >= self._report_due:
            self._report_due = now + REPORT_EVERY
            self._report(shard, now)
        if loads is None or now < self._look_due:
            return
        self._look_due = now + LOOK_EVERY
        for key in sorted({*self.index.groups, *loads}):
            load = loads.get(key) or GroupLoad(key)
            self._look(shard, GroupLive(key, load.workers, load.slots, topics.get(key, "")), now)
        self._fall_back(shard, now)

    def _look(self, shard: Shard, live: GroupLive, now: int) -> None:
        key = live.worker_group
        group = self.index.groups.get(key) or Group(GroupSettings(key))
        made_anew = live.topic not in ("", group.topic)
        told = (group.workers, group.slots) == (live.workers, live.slots) and not made_anew
        if not told and now >= self._said.get(key, 0):
            self._said[key] = now + SAY_AGAIN
            if made_anew and group.topic:
                self._publish_again(shard, key)
            shard.command_here(self._topic, live)
        if live.workers and not group.settings.drained:
            self._deaths.saw_living(key)
        else:
            self._deaths.saw_dead(key, now)

    def _publish_again(self, shard: Shard, group: str) -> None:
        """The topic was made anew: whatever stood in it, unclaimed, stands there no more."""
        for run in self.index.published.get(group, {}).values():
            shard.command(PublishAgain(run.id, run.due))

    # Fallbacks

    def _fall_back(self, shard: Shard, now: int) -> None:
        log_time, count = shard.log_time(now), 0
        state = shard.stage(self._topic).state
        self._asked = {fence: again for fence, again in self._asked.items() if again > now}
        for run in self._overdue(state, log_time, now):
            if count >= MOST_FALLBACKS:
                break
            if (run.id, run.epoch) not in self._asked:
                self._asked[run.id, run.epoch] = now + SAY_AGAIN
                shard.command(NoWorker(run.id, run.epoch))
                count += 1

    def _overdue(self, state: EntityMap, log_time: int, now: int) -> Iterator[TaskRun]:
        """Those whose group has been dead, and who have waited, for their fallback's time."""
        for (group, after), runs in self.index.late.items():
            since = self._deaths.since(group)
            if since is None or now - since < after:
                continue
            for key, ready in runs.items():
                if log_time - ready < after:
                    break  # those behind it came later
                run = state.get(key)
                if isinstance(run, TaskRun):
                    yield run

    # Reports

    def _report(self, shard: Shard, now: int) -> None:
        by_namespace: dict[str, dict[str, int]] = {}
        for group, namespace, count in self.index.lines.values():
            counts = by_namespace.setdefault(group, {})
            counts[namespace] = counts.get(namespace, 0) + count
        held = {key for key, count in self.index.held.items() if count}
        waiting = {key for key, runs in self.index.waiting.items() if runs}
        for key in sorted({*held, *waiting, *self._reported}):
            ready = self.index.waiting.get(key, {})
            report = GroupReport(
                shard=shard.index,
                worker_group=key,
                waiting=len(ready),
                running=self.index.held[key],
                oldest_at=min(ready.values(), default=0),
                by_namespace=by_namespace.get(key, {}),
            )
            self._say(shard, report, now)

    def _say(self, shard: Shard, report: GroupReport, now: int) -> None:
        """What has changed, at once; what has not, again and again; that there is nothing, once."""
        before, said = self._reported.get(report.worker_group, (None, 0))
        empty = not report.waiting and not report.running
        if report != before or now - said >= REPORT_UNCHANGED_EVERY:
            shard.command(report)
            self._reported[report.worker_group] = report, now
        if empty:
            del self._reported[report.worker_group]

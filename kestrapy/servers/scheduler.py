"""The scheduler: makes executions when triggers are due."""

from __future__ import annotations

import itertools
import logging

import msgspec
from croniter import CroniterError
from pydantic import ValidationError

from kestrapy import __version__
from kestrapy.machine import stage
from kestrapy.machine.commands import Heartbeat, TriggerDue, TriggerScheduled
from kestrapy.machine.entities import Entity
from kestrapy.machine.folds import trigger_fold
from kestrapy.machine.triggers import TriggerState
from kestrapy.plugins.schedule import dates_after
from kestrapy.plugins.triggers import ScheduleProperties
from kestrapy.servers.logic_versions import LogicVersions
from kestrapy.servers.shard import Shard, StageSpec
from kestrapy.servers.worker_board import WorkerBoard
from kestrapy.wire.topics import Catalogue

log = logging.getLogger(__name__)

ASK_AGAIN = 2_000
LOOK_EVERY = 500
NEVER = 60_000
"""ms until a trigger without any further date is looked at again."""


class SchedulerDuties:
    """What a scheduler does beside folding: it looks up the dates that triggers want."""

    def __init__(self, catalogue: Catalogue, board: WorkerBoard, owner_id: str):
        self._topics = catalogue
        self._board = board
        self._owner_id = owner_id
        self._look_due = 0
        self._wanting: dict[int, dict[str, int]] = {}
        self._versions: dict[int, LogicVersions] = {}

    def specs(self, index: int) -> list[StageSpec]:
        wanting: dict[str, int] = {}
        self._wanting[index], self._versions[index] = wanting, LogicVersions()

        def observe(key: str, entity: Entity | None) -> None:
            if isinstance(entity, TriggerState) and entity.wants_date:
                wanting[key] = 0
            else:
                wanting.pop(key, None)

        fold = trigger_fold(self._topics.shards)
        return [StageSpec(self._topics.triggers, fold, due=_due, timer=_timer, observe=observe)]

    def announcement(self, sequence: int) -> Heartbeat:
        return Heartbeat(
            self._owner_id,
            sequence,
            kind="scheduler",
            version=__version__,
            logic_versions=list(stage.KNOWN_LOGIC_VERSIONS),
        )

    def before_folding(self, now: int) -> None:
        if now >= self._look_due:
            self._look_due = now + LOOK_EVERY
            self._board.poll()

    def taken_over(self, shard: Shard, now: int) -> None:
        """Nothing to watch."""

    def pulse(self, shard: Shard, sequence: int, now: int) -> None:
        """Nobody is suspected."""

    def dropped(self, index: int) -> None:
        self._wanting.pop(index, None)
        self._versions.pop(index, None)

    def turn(self, shard: Shard, now: int) -> None:
        if self._board.is_settled:
            self._versions[shard.index].turn(shard, self._board.servers("scheduler"), now)
        for key, due in list(self._wanting[shard.index].items()):
            if now < due:
                continue
            trigger = shard.stage(self._topics.triggers).state.get(key)
            scheduled = scheduled_dates(trigger) if isinstance(trigger, TriggerState) else None
            self._wanting[shard.index][key] = now + (ASK_AGAIN if scheduled else NEVER)
            if scheduled is not None:
                shard.command(scheduled)


def scheduled_dates(trigger: TriggerState) -> TriggerScheduled | None:
    """The next two dates that a trigger wants; None where it has none, or can't be read."""
    try:
        properties = ScheduleProperties.model_validate(
            msgspec.json.decode(trigger.definition.properties)
        )
        dates = list(itertools.islice(dates_after(properties, trigger.after), 2))
    except (ValidationError, CroniterError, msgspec.DecodeError) as error:
        log.error("trigger %s has no dates: %s", trigger.uid, error)
        return None
    if not dates:
        return None
    return TriggerScheduled(trigger.uid, trigger.revision, trigger.after, dates[0], dates[-1])


def _due(entity: Entity) -> int:
    return entity.due if isinstance(entity, TriggerState) else 0


def _timer(entity: Entity) -> TriggerDue:
    if not isinstance(entity, TriggerState):
        raise TypeError(f"{type(entity).__name__} has no timer")
    return TriggerDue(entity.uid, entity.due)

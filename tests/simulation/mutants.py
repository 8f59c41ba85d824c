"""Planted bugs: each breaks one rule, and the simulator has to find it. ``make mutants``.

A mutant is a set of patches that hold while a seed runs. Rules that have a second one behind them
are not among them: no seed can see that one of the two is missing.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple
from unittest.mock import patch

import msgspec

from kestrapy.adapters.memory.transactions import MemoryTransactions
from kestrapy.machine import (
    beginnings,
    calls,
    epochs,
    execution,
    groups,
    intake,
    leases,
    subflows,
    task_runs,
)
from kestrapy.machine.commands import Suspect
from kestrapy.machine.entities import execution_key
from kestrapy.machine.outputs import Granted, Refused
from kestrapy.machine.stage import Stage
from kestrapy.machine.turn import Turn
from kestrapy.model.state import State
from kestrapy.ports.log import Outcome, Partition
from kestrapy.servers.checkpoint import Checkpoints
from kestrapy.servers.outbox import Outbox
from kestrapy.servers.shard import Shard
from kestrapy.servers.watcher import Watcher
from kestrapy.servers.worker import dispatch
from kestrapy.servers.worker.custody import Custody
from kestrapy.servers.worker.deliveries import Deliveries
from kestrapy.servers.worker.dispatch import ConsumerDispatch
from kestrapy.servers.worker.in_hand import Hands, Stand
from kestrapy.servers.worker.lease import Lease
from kestrapy.sim.log import SimLog
from kestrapy.sim.scenarios import GENERAL

GENERAL_SEEDS, SCENARIO_SEEDS = 200, 50
Patches = Iterable[Any]


class Mutant(NamedTuple):
    """patches: context managers that plant the bug."""

    what: str
    patches: Callable[[], Patches]
    scenario: str = GENERAL

    @property
    def seeds(self) -> int:
        """Within how many it has to be found."""
        return GENERAL_SEEDS if self.scenario == GENERAL else SCENARIO_SEEDS


MUTANTS: dict[str, Mutant] = {}


def mutant(what: str, scenario: str = GENERAL) -> Callable[[Callable[[], Patches]], None]:
    def plant(patches: Callable[[], Patches]) -> None:
        name = patches.__name__.strip("_").replace("_", "-")
        MUTANTS[name] = Mutant(what, patches, scenario)

    return plant


# The machine


@mutant("a claim of an epoch that has an owner is granted")
def _grant_to_second_claim() -> Patches:
    def grant(turn: Turn, run: Any, command: Any) -> None:
        turn.emit(Granted(command.worker_id, run.id, run.epoch))

    yield patch.dict(task_runs._ON_CLAIM, dict.fromkeys(task_runs.HELD_STATES, grant))


@mutant("a result counts whatever its epoch and whoever says it", "losses")
def _result_of_superseded_epoch() -> Patches:
    held = task_runs.HELD_STATES
    yield patch.object(task_runs, "is_owned_by", lambda run, epoch, worker: run.state in held)


@mutant("the machine reads a wall clock")
def _wall_clock_in_machine() -> Patches:
    real = Turn.close

    def close(self: Turn, *given: Any) -> None:
        self.at += time.time_ns() // 1_000_000 % 3
        real(self, *given)

    yield patch.object(Turn, "close", close)


@mutant("an execution's id is drawn, not derived")
def _id_not_derived() -> Patches:
    real = intake.derive_execution_id

    def drawn(shard: int, at: int, *cause: Any) -> str:
        return real(shard, at, *cause, random.random())

    yield patch.object(intake, "derive_execution_id", drawn)


@mutant("the id of a child is not derived from its task run")
def _child_not_derived() -> Patches:
    yield patch.object(calls, "digest", lambda *parts, bits: random.getrandbits(bits))


@mutant("what is killed does not wait for its children")
def _children_left_behind() -> Patches:
    def kill(turn: Turn, run: Any) -> Any:
        scope = msgspec.structs.replace(run.scope, open=0)
        return turn.put_run(msgspec.structs.replace(run, scope=scope))

    yield patch.object(subflows, "kill", kill)


@mutant("duplicates of what another fold sent are folded twice", "old-zombie")
def _duplicate_command_folded_twice() -> Patches:
    yield patch.object(Stage, "_is_new", lambda self, source: True)


@mutant("a loss hands out anew what is being killed", "losses")
def _resubmission_of_killed_execution() -> Patches:
    def lose(turn: Turn, run: Any) -> None:
        task_runs.release(turn, run)
        ended = task_runs.end_attempt(turn, run, State.RESUBMITTED)
        history = ended.history.enter(State.RUNNING, turn.at)
        task_runs.submit_again(turn, msgspec.structs.replace(ended, history=history))

    yield patch.object(task_runs, "lose", lose)


@mutant("what is published and unclaimed is counted up, and not down where it is handed out anew")
def _published_jobs_counted_wrong() -> Patches:
    real = groups.stop_waiting

    def stop_waiting(turn: Turn, run: Any) -> Any:
        group = turn.group(run.group)
        left = real(turn, run)
        if run.epoch > 1 and not run.place:
            turn.put_group(
                msgspec.structs.replace(turn.group(run.group), published=group.published)
            )
        return left

    yield patch.object(groups, "stop_waiting", stop_waiting)


@mutant("a claim lets no other job out of its group's line")
def _line_that_stands_still() -> Patches:
    real = groups.stop_waiting

    def stop_waiting(turn: Turn, run: Any) -> Any:
        left = real(turn, run)
        turn.groups.pop(run.group, None)
        return left

    yield patch.object(groups, "stop_waiting", stop_waiting)


@mutant("a fallback is taken although a worker has claimed the job")
def _fallback_of_a_claimed_job() -> Patches:
    def find(turn: Turn, task_run_id: str, epoch: int) -> Any:
        return epochs._find(turn, task_run_id)

    yield patch.object(epochs, "find_waiting", find)


@mutant("time goes back where an append time does")
def _time_goes_back() -> Patches:
    real = Stage.fold

    def fold(self: Stage, arrival: Any) -> Any:
        self.position.at = 0
        return real(self, arrival)

    yield patch.object(Stage, "fold", fold)


@mutant("an execution that is created twice begins anew")
def _no_dedupe_of_created() -> Patches:
    real = beginnings.created

    def created(turn: Turn, command: Any) -> None:
        turn.changes[execution_key(command.execution_id)] = None
        real(turn, command)

    yield patch.dict(execution._HANDLERS, {execution.ExecutionCreated: created})


# The shells


@mutant("a checkpoint does not wait for the acks of what was sent before it", "owners")
def _checkpoint_ahead_of_acks() -> Patches:
    yield patch.object(Outbox, "is_settled", lambda self: True)
    yield patch.object(Outbox, "failure", None)


@mutant("what folds send may time out, and what follows it stands in the log", "away")
def _outputs_with_gaps() -> Patches:
    real = SimLog.producer
    yield patch.object(SimLog, "producer", lambda self, *, gapless=False: real(self))


@mutant("a fenced owner takes the fence back and commits what it has", "owners")
def _fence_that_a_zombie_wins_back() -> Patches:
    real = Checkpoints.write

    def write(self: Checkpoints, *args: Any, **options: Any) -> Outcome:
        outcome = real(self, *args, **options)
        if outcome is Outcome.ABORTED:
            self.transactions.begin_epoch(1.0)
            return real(self, *args, **options)
        return outcome

    yield patch.object(Checkpoints, "write", write)


@mutant("transactions are not fenced: a zombie commits", "owners")
def _checkpoint_not_fenced() -> Patches:
    yield patch.object(MemoryTransactions, "_is_current", lambda self: self._epoch is not None)


@mutant("a new owner does not set the timers of the state that it restored", "owners")
def _timer_lost_on_takeover() -> Patches:
    real = Shard._restored_stage

    def restored(self: Shard, spec: Any, found: Any) -> Stage:
        stage = real(self, spec, found)
        for key in stage.state:
            self.timers.set(f"{spec.topic}|{key}", 0)
        return stage

    yield patch.object(Shard, "_restored_stage", restored)


@mutant("a checkpoint names the offset that was read, not the one that was folded", "owners")
def _offset_checkpointed_ahead() -> Patches:
    real = Shard._snapshot

    def snapshot(self: Shard, now: int) -> Any:
        taken = real(self, now)
        for position in taken.positions.values():
            position.offset += 1
        return taken

    yield patch.object(Shard, "_snapshot", snapshot)


@mutant("silence is judged by the owner's clock, and the log has no say in it")
def _lost_by_own_clock() -> Patches:
    real = Watcher.judge

    def judge(self: Watcher, shard: Shard, topic: str, now: int) -> None:
        self._read_back = now
        real(self, shard, topic, now)

    def step(state: Any, command: Any, at: int) -> Any:
        if isinstance(command, Suspect):
            return leases._lost(command.worker_id, at)
        return real_step(state, command, at)

    real_step = leases.step
    yield patch.object(Watcher, "judge", judge)
    yield patch.object(leases, "step", step)


# The worker


@mutant("the lease is longer than lost-after", "losses")
def _lease_longer_than_lost_after() -> Patches:
    real = Lease.__init__
    yield patch.object(Lease, "__init__", lambda self, length: real(self, length * 2))


@mutant("a worker starts what it has claimed, without a grant")
def _start_before_grant() -> Patches:
    real = Custody._claim_acked

    def acked(self: Custody, hand: Any, error: Any) -> None:
        real(self, hand, error)
        if error is None and hand.stand is Stand.CLAIMING:
            self.hands.move(hand, Stand.GRANTED, hand.sent)

    yield patch.object(Custody, "_claim_acked", acked)


@mutant("a worker forgets what it ran, and starts it again for a repeated grant")
def _forget_ended_epochs() -> Patches:
    real = Custody._drop

    def drop(self: Custody, hand: Any) -> None:
        real(self, hand)
        self._ended.clear()

    yield patch.object(Custody, "_drop", drop)


@mutant("a job's offset is committed before its claim is acknowledged")
def _commit_before_claim() -> Patches:
    real = Custody._claim

    def claim(self: Custody, hand: Any, now: int) -> None:
        for delivery in hand.deliveries:
            self._means.dispatch.done(delivery)
        real(self, hand, now)

    yield patch.object(Custody, "_claim", claim)


@mutant(
    "an acknowledged claim lets the offset be committed although an earlier one is open", "losses"
)
def _commit_past_unclaimed() -> Patches:
    def done(self: Deliveries, delivery: tuple[Partition, int]) -> None:
        partition, offset = delivery
        if self._open.get(partition, {}).pop(offset, None) is not None:
            self._moved[partition] = offset + 1

    yield patch.object(Deliveries, "done", done)


@mutant("the job that a full worker holds is done when it is fetched", "skew")
def _held_job_is_done() -> Patches:
    real = ConsumerDispatch._wait

    def wait(self: ConsumerDispatch, member: Any, now: int) -> None:
        real(self, member, now)
        for record in self._held:
            self._deliveries.done(dispatch.delivery_of(record))

    yield patch.object(ConsumerDispatch, "_wait", wait)


@mutant("slots are counted up and down: a refused claim's is never free again")
def _slot_leaks() -> Patches:
    real = Custody.answered

    def answered(self: Custody, answer: Any, now: int) -> None:
        wanted = self.hands.get((answer.task_run_id, answer.epoch)) is not None
        real(self, answer, now)
        if isinstance(answer, Refused) and wanted:
            self._slots -= 1

    yield patch.object(Custody, "answered", answered)


@mutant("a claim without an answer is never sent again", "away")
def _claim_sent_once() -> Patches:
    real = Hands.standing

    def standing(self: Hands, *stands: Stand) -> Any:
        return [] if stands == (Stand.CLAIMING,) else real(self, *stands)

    yield patch.object(Hands, "standing", standing)


@mutant("a result without an answer is never sent again", "away")
def _result_sent_once() -> Patches:
    real = Hands.standing

    def standing(self: Hands, *stands: Stand) -> Any:
        return [] if Stand.REPORTING in stands else real(self, *stands)

    yield patch.object(Hands, "standing", standing)

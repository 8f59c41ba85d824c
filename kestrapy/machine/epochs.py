"""What workers, and the owners of shards, say of the epochs of task runs.

A word about a task run counts where it fits: of an epoch that is over, or of an execution that is
gone, it has no effect.
"""

from __future__ import annotations

import msgspec

from kestrapy.machine import (
    blocks,
    directories,
    endings,
    evaluations,
    groups,
    sweeps,
    task_runs,
    timeouts,
)
from kestrapy.machine.commands import (
    Claimed,
    PublishAgain,
    Result,
    Returned,
    TaskReport,
    Undeliverable,
    WorkerLost,
)
from kestrapy.machine.entities import (
    Entity,
    Execution,
    Holder,
    TaskRun,
    execution_key,
    holder_key,
    run_key,
)
from kestrapy.machine.turn import Turn
from kestrapy.model.state import State

DEAD_KEPT = 24 * 3600 * 1000
"""ms for which a lost worker is known: its lease was over long before."""
replace = msgspec.structs.replace


def _find(turn: Turn, task_run_id: str) -> TaskRun | None:
    """The task run of a live execution, if it is a job: no worker may speak for another one."""
    run = turn.get(run_key(task_run_id), TaskRun)
    return run if run is not None and run.scope is None and not run.inside else None


def is_killed(turn: Turn, run: TaskRun) -> bool:
    """Whether it is to be killed, with its execution or with what an overdue run has started, and
    the walk that does it has not met it yet: then it is killed by whatever comes first.
    """
    if run.state.is_terminal or run.state is State.KILLING:
        return False
    execution = turn.get(execution_key(run.execution_id), Entity)
    return isinstance(execution, Execution) and timeouts.is_stopped(turn, run)


def claimed(turn: Turn, command: Claimed) -> None:
    run = _find(turn, command.task_run_id)
    if run is not None and is_killed(turn, run):
        go_on(turn, run, sweeps.kill_run(turn, run))
    task_runs.claim(turn, _find(turn, command.task_run_id), command)


def result(turn: Turn, command: Result) -> None:
    run = _find(turn, command.task_run_id)
    if run is None or not task_runs.is_owned_by(run, command.epoch, command.worker_id):
        return
    if run.asks:
        _answered(turn, run, command)
    else:
        go_on(turn, run, task_runs.accept(turn, run, command))


def _answered(turn: Turn, run: TaskRun, command: Result) -> None:
    """A worker has evaluated what a run asked: it begins, or its loop goes on."""
    begins = run.asks == evaluations.BEGIN
    ended = evaluations.take(turn, run, command)
    run = turn.run(run.execution_id, run.ordinal)
    if ended is None and is_killed(turn, run):
        is_done = begins and not run.asks
        ended = State.KILLED if is_done else sweeps.kill_run(turn, run)
    elif ended is None and begins and not run.asks:
        kind = turn.plan(turn.execution(run.execution_id)).kind(run.task_id)
        ended = blocks.begin(turn, run, kind)
    run = turn.run(run.execution_id, run.ordinal)
    go_on(turn, run, ended)
    if ended is None and run.scope is not None:
        endings.advance(turn, run.execution_id, run.ordinal)


def task_reported(turn: Turn, command: TaskReport) -> None:
    run = _find(turn, command.task_run_id)
    if run is None or run.asks:
        return
    if task_runs.is_owned_by(run, command.epoch, command.worker_id):
        directories.report(turn, run, command)


def returned(turn: Turn, command: Returned) -> None:
    run = _find(turn, command.task_run_id)
    if run is None or not task_runs.is_owned_by(run, command.epoch, command.worker_id):
        return
    go_on(turn, run, task_runs.take_back(turn, run))


def find_waiting(turn: Turn, task_run_id: str, epoch: int) -> TaskRun | None:
    run = _find(turn, task_run_id)
    return run if run is not None and run.epoch == epoch and run.is_waiting else None


def undeliverable(turn: Turn, command: Undeliverable) -> None:
    """Too large a job fails. One whose topic is missing waits for it, if its group is declared."""
    run = find_waiting(turn, command.task_run_id, command.epoch)
    if run is None or run.place:
        return
    group = turn.group(run.group)
    if command.missing and group.revision and not group.deleted:
        turn.put_run(replace(run, due=turn.at + task_runs.MISSING_TOPIC_AGAIN))
        return
    turn.put_run(replace(groups.stop_waiting(turn, run), error=command.reason))
    go_on(turn, run, State.FAILED)


def publish_again(turn: Turn, command: PublishAgain) -> None:
    run = _find(turn, command.task_run_id)
    if run is None or not run.is_waiting or run.place or run.due != command.due:
        return
    if command.partition < 0:
        task_runs.publish_again(turn, run)
    else:
        task_runs.publish_copy(turn, run, command.partition)


def worker_lost(turn: Turn, command: WorkerLost) -> None:
    """From here on the worker is dead: what it held is handed out anew, what it claims is
    refused.
    """
    key = holder_key(command.worker_id)
    holder = turn.get(key, Holder) or Holder()
    if holder.dead:
        return
    turn.put(key, Holder(held=holder.held, dead=True, until=turn.at + DEAD_KEPT))
    for task_run_id in reversed(holder.held):  # each becomes the first of its line
        run = turn.need(run_key(task_run_id), TaskRun)
        if _lives(turn, run.execution_id):
            go_on(turn, run, task_runs.lose(turn, run))


def _lives(turn: Turn, execution_id: str) -> bool:
    """Whether an execution goes on: neither a quarantine nor its clean-up is under way."""
    execution = turn.get(execution_key(execution_id), Entity)
    return isinstance(execution, Execution) and not sweeps.is_breaking(turn, execution_id)


def go_on(turn: Turn, run: TaskRun, ended: State | None) -> None:
    """After a task run's epoch: the lists that wait for it move on."""
    turn.touch(run.execution_id)
    if ended is None:
        return
    run, owner = turn.run(run.execution_id, run.ordinal), run.ordinal
    if not (directories.go_on(turn, run, ended) or evaluations.give_up(turn, run, ended)):
        owner = blocks.end(turn, run, ended)
    endings.advance(turn, run.execution_id, owner)

"""Ended executions come back into the state, from parts that somebody read from storage.

::

    parts arrive ──▶ kept ──▶ the last one: RESTARTED ──▶ each part unpacked ──▶ RUNNING, each part
                                                                                  set going

The fold tells itself to take the next step (``RestoringContinued``), so that no command costs more
than one part, however large the execution is. Only once all task runs are in the state again does
one of them go on: what runs may read the outputs of any other.
"""

from __future__ import annotations

import msgspec

from kestrapy.errors import UserError
from kestrapy.machine import (
    blocks,
    endings,
    flowables,
    merging,
    reports,
    slots,
    sweeps,
    task_runs,
    timeouts,
    transitions,
    waking,
)
from kestrapy.machine.commands import (
    ChildWanted,
    ExecutionRestored,
    Parent,
    RestoringContinued,
    SweepDue,
)
from kestrapy.machine.entities import (
    Ended,
    Entity,
    Execution,
    Scope,
    TaskRun,
    content_key,
    execution_key,
    run_key,
)
from kestrapy.machine.lists import ROOT
from kestrapy.machine.restored import (
    FormerChild,
    RestoredChild,
    RestoredHead,
    RestoredPart,
    RestoredRun,
    Restoring,
    former_child_key,
    restored_part_key,
    restoring_key,
)
from kestrapy.machine.turn import Turn
from kestrapy.model.state import State

PART_KEPT = 7 * 24 * 3600 * 1000
"""ms for which a part waits for the others: as long as they may stand in the log unread."""

WAITS = -1
"""The step of a restoring that is complete, while the shard still forgets the execution's task
runs.
"""

HELD = -2
"""The step of a restoring that is complete, and waits for the word of a parent."""

_decode_head = msgspec.msgpack.Decoder(RestoredHead).decode
_decode_run = msgspec.msgpack.Decoder(RestoredRun).decode
_decode_child = msgspec.msgpack.Decoder(RestoredChild).decode
replace = msgspec.structs.replace


# Parts arrive


def take(turn: Turn, command: ExecutionRestored) -> None:
    """Keep a part. The first one of another restoring takes the place of one that has not begun."""
    key = restoring_key(command.execution_id)
    known = turn.get(key, Restoring)
    if known is not None and known.step == WAITS:
        return
    is_known = known is not None and known.restoring == command.restoring
    expected = known.parts if known is not None and is_known else 0
    if command.part != expected or not _is_wanted(turn, command):
        return
    head = known.head if known is not None and is_known else command.head
    until = turn.at + PART_KEPT
    turn.put(key, Restoring(command.restoring, command.part + 1, until, head))
    part = RestoredPart(command.runs, until, command.children)
    turn.put(restored_part_key(command.execution_id, command.part), part)
    if command.last and command.held:
        turn.put(key, replace(turn.need(key, Restoring), step=HELD))
    elif command.last:
        _begin(turn, command.execution_id)


def wanted(turn: Turn, command: ChildWanted) -> None:
    """A task run wants an execution that it had started: it goes on, or its parent is told that it
    can't.
    """
    own, parent = command.execution_id, command.parent
    found = turn.get(execution_key(own), Entity)
    restoring = turn.get(restoring_key(own), Restoring)
    if isinstance(found, Execution):
        known = turn.content(own).parent
        is_taken = known is not None and known.task_run_id != parent.task_run_id
        if is_taken or found.killing or found.history.current.is_terminal:
            return reports.tell_missing(turn, command)
        return _wait_for(turn, own, parent)
    is_held = restoring is not None and restoring.step == HELD
    if restoring is None or not is_held or restoring.restoring != parent.restoring:
        return reports.tell_missing(turn, command)
    turn.put(restoring_key(own), replace(restoring, parent=parent))
    return _begin(turn, own)


def _wait_for(turn: Turn, execution_id: str, parent: Parent) -> None:
    """One that lives reports its end to this parent."""
    content = turn.content(execution_id)
    if content.parent != parent:
        turn.put(content_key(execution_id), replace(content, parent=parent))
        turn.touch(execution_id)


def give_up(turn: Turn, execution_id: str) -> None:
    """The rules failed upon one that was about to begin: its parent is told, and it may be restored
    another time.
    """
    restoring = turn.get(restoring_key(execution_id), Restoring)
    if restoring is None or restoring.step != WAITS:
        return
    turn.drop(restoring_key(execution_id))
    if restoring.parent is not None:
        reports.tell_missing(turn, ChildWanted(execution_id, restoring.parent))


def kill(turn: Turn, execution_id: str) -> None:
    """Of one that is about to begin: it ends as soon as it does."""
    restoring = turn.get(restoring_key(execution_id), Restoring)
    if restoring is not None and restoring.step == WAITS:
        turn.put(restoring_key(execution_id), replace(restoring, killed=True))


def _is_wanted(turn: Turn, command: ExecutionRestored) -> bool:
    """Not where the execution lives, nor where storage had not yet heard of its last end."""
    found = turn.get(execution_key(command.execution_id), Entity)
    if isinstance(found, Ended):
        return command.number >= found.number or turn.at >= found.until
    return found is None


def _begin(turn: Turn, execution_id: str) -> None:
    """All parts are there: the execution is what its head says, once what it was is forgotten."""
    restoring = turn.need(restoring_key(execution_id), Restoring)
    if sweeps.under_way(turn, execution_id) is not None:
        turn.put(restoring_key(execution_id), replace(restoring, until=0, step=WAITS))
        return None
    head = _decode_head(restoring.head)
    history = head.execution.history
    if head.enters is not None:
        history = transitions.enter(transitions.RESTORED, history, head.enters, turn.at)
    lives = head.enters is State.RESTARTED
    content = head.content
    if restoring.parent is not None:
        content = replace(content, parent=restoring.parent)
    turn.put(content_key(execution_id), content)
    turn.put_execution(replace(head.execution, history=history, restoring=lives))
    if not lives:
        return _tell(turn, execution_id)
    if restoring.killed:
        return endings.end(turn, execution_id, State.KILLED)
    if head.ends_as:
        flowables.stop(turn, execution_id, State(head.ends_as))
    turn.put(
        restoring_key(execution_id), replace(restoring, head=b"", until=0, step=0, parent=None)
    )
    if turn.plan(turn.execution(execution_id)).flow.concurrency is not None:
        turn.touch(execution_id)
        return slots.ask(turn, execution_id)
    return _take_step(turn, execution_id)


def sweep_due(turn: Turn, command: SweepDue) -> None:
    """A walk over an execution's task runs goes on; who waits for its end does so after it."""
    waking.sweep_due(turn, command)
    restoring = turn.get(restoring_key(command.execution_id), Restoring)
    if restoring is not None and restoring.step == WAITS:
        _begin(turn, command.execution_id)


def _tell(turn: Turn, execution_id: str) -> None:
    """Something of an ended execution was changed; it does not go on."""
    turn.touch(execution_id)
    turn.close(execution_id)
    state = turn.execution(execution_id).history.current
    turn.drop(content_key(execution_id))
    turn.drop(restoring_key(execution_id))
    turn.drop(restored_part_key(execution_id, 0))
    until = turn.at + endings.RESTARTED_KEPT
    turn.put(execution_key(execution_id), Ended(state, until, turn.number))


# Step by step


def go_on(turn: Turn, command: RestoringContinued) -> None:
    key = restoring_key(command.execution_id)
    restoring = turn.get(key, Restoring)
    if restoring is None or restoring.restoring != command.restoring:
        return
    if restoring.step != command.step or sweeps.is_breaking(turn, command.execution_id):
        return
    if _lives(turn, command.execution_id):
        _take_step(turn, command.execution_id)
    else:  # it was killed meanwhile
        turn.drop(key)


def _take_step(turn: Turn, execution_id: str) -> None:
    """Each part is unpacked; then each part's task runs are set going."""
    key = restoring_key(execution_id)
    restoring = turn.need(key, Restoring)
    turn.touch(execution_id)
    part = restoring.step % restoring.parts
    if turn.get(restored_part_key(execution_id, part), RestoredPart) is None:
        turn.drop(key)
        reason = "it waited for days, and its task runs were forgotten meanwhile: restart it"
        return endings.break_off(turn, execution_id, reason)
    if restoring.step < restoring.parts:
        _unpack(turn, execution_id, part)
    elif part == 0 and turn.execution(execution_id).killing:
        return _stop(turn, execution_id)
    else:
        _set_going(turn, execution_id, part)
    step, lives = restoring.step + 1, _lives(turn, execution_id)
    if lives and step < 2 * restoring.parts:
        turn.put(key, replace(restoring, step=step))
        turn.emit(RestoringContinued(execution_id, restoring.restoring, step), execution_id)
    else:
        turn.drop(key)
        _advance(turn, execution_id, ROOT)


def _stop(turn: Turn, execution_id: str) -> None:
    """It was killed while it came back: nothing of it goes on."""
    turn.drop(restoring_key(execution_id))
    turn.put_execution(replace(turn.execution(execution_id), restoring=False))
    endings.kill_rest(turn, execution_id)


def _runs(turn: Turn, execution_id: str, part: int) -> list[RestoredRun]:
    key = restored_part_key(execution_id, part)
    return [_decode_run(it) for it in turn.need(key, RestoredPart).runs]


def _unpack(turn: Turn, execution_id: str, part: int) -> None:
    for restored in _runs(turn, execution_id, part):
        run = restored.run
        if restored.removed:
            turn.removed.append(run)
            continue
        if not restored.fresh:
            turn.told[run_key(run.id)] = run
        if restored.enters is not None:
            run = _entered(turn, run, restored.enters)
        task_runs.keep_last(turn, turn.put_run(run))
    key = restored_part_key(execution_id, part)
    for child in map(_decode_child, turn.need(key, RestoredPart).children):
        caller = turn.find_run(execution_id, child.ordinal)
        if caller is not None and caller.state.is_terminal:  # what they put out is to be merged
            turn.put_run(merging.keep(turn, caller, child.iteration, child.outputs))
            continue
        former = FormerChild(
            child.execution_id,
            child.restoring,
            child.state,
            child.outputs,
            turn.at + PART_KEPT,
        )
        turn.put(former_child_key(f"{execution_id}-{child.ordinal}", child.iteration), former)


def _entered(turn: Turn, run: TaskRun, state: State) -> TaskRun:
    """Where a task run is given a state, so is its last attempt."""
    history = transitions.enter(transitions.RESTORED, run.history, state, turn.at)
    run = replace(run, history=history, error="")
    if run.attempts and state.is_terminal:
        *earlier, last = run.attempts
        last = replace(last, history=last.history.enter(state, turn.at))
        run = replace(run, attempts=(*earlier, last))
    return run


def _set_going(turn: Turn, execution_id: str, part: int) -> None:
    if part == 0:
        execution = turn.execution(execution_id)
        history = transitions.enter(
            transitions.EXECUTION, execution.history, State.RUNNING, turn.at
        )
        turn.put_execution(replace(execution, history=history, restoring=False))
    owners: dict[int, None] = {}
    for restored in _runs(turn, execution_id, part):
        run = turn.find_run(execution_id, restored.run.ordinal)
        if run is None or restored.enters is not run.state:
            continue
        if run.state is State.RUNNING:
            owners[_reopen(turn, run)] = None
        elif run.state is State.RESTARTED and not turn.execution(execution_id).killing:
            owners[_run_again(turn, run)] = None
    turn.drop(restored_part_key(execution_id, part))
    for owner in owners:
        _advance(turn, execution_id, owner)


def _run_again(turn: Turn, run: TaskRun) -> int:
    """-> whose list may have to go on."""
    plan = turn.plan(turn.execution(run.execution_id))
    ended = blocks.prepare(turn, run, plan.kind(run.task_id))
    run = turn.run(run.execution_id, run.ordinal)
    return run.ordinal if ended is None else blocks.end(turn, run, ended)


def _reopen(turn: Turn, run: TaskRun) -> int:
    """A flowable task run whose list goes on; its time counts anew. -> its ordinal."""
    plan = turn.plan(turn.execution(run.execution_id))
    if plan.kind(run.task_id).has_values and not _tell_values(turn, run):
        run = turn.run(run.execution_id, run.ordinal)
        scope = run.scope or Scope()
        turn.put_run(replace(run, scope=replace(scope, failed=True, block_failed=True)))
    timeouts.begin(turn, run)
    return run.ordinal


def _tell_values(turn: Turn, run: TaskRun) -> bool:
    """A run that goes through values comes back from storage, which keeps none of them. -> whether
    they could be told; else it has an error.
    """
    scope = run.scope or Scope()
    try:
        flowables.start_each(turn, run)
    except UserError as error:
        flowables.fail(turn, turn.run(run.execution_id, run.ordinal), str(error))
        return False
    run = turn.run(run.execution_id, run.ordinal)
    size = run.scope.size if run.scope is not None else 0
    lanes = tuple(it for it in scope.lanes if it[0] < size)
    turn.put_run(replace(run, scope=replace(scope, size=size, lanes=lanes)))
    return True


def _lives(turn: Turn, execution_id: str) -> bool:
    return isinstance(turn.get(execution_key(execution_id), Entity), Execution)


def _advance(turn: Turn, execution_id: str, owner: int) -> None:
    """Unless it has ended meanwhile. Of a runnable task run there is no list."""
    if not _lives(turn, execution_id):
        return
    if owner == ROOT or turn.run(execution_id, owner).scope is not None:
        endings.advance(turn, execution_id, owner)

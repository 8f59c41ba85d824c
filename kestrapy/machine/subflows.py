"""Task runs that start executions of other flows, their *children*, and go on once these report.

    parent's fold ── ExecutionSubmitted ──▶ requests of the child's shard ──▶ its fold
    child's fold  ── ChildReported ───────▶ executions of the parent's shard

The id of a child is derived from its task run, so that whoever folds the log again starts the same
one. A ``Child`` is kept for each that has not reported: only its report counts, and only once. A
child that can't start reports that too, so nobody waits for one that will never be.

A ForEachItem starts one child for each batch of its items: it keeps counts, and never a list.

A restart brings back what a run has started before (``FormerChild``). One that has ended well is
not run again. Any other is asked to go on (``ChildWanted``); where its fold answers that it can't,
a new one takes its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from kestrapy.errors import UserError
from kestrapy.machine import (
    batches,
    calls,
    evaluations,
    flowables,
    merging,
    task_runs,
    timeouts,
    transitions,
)
from kestrapy.machine.commands import ChildReported, KillRequested
from kestrapy.machine.entities import (
    Attempt,
    Child,
    Scope,
    TaskRun,
    child_key,
    run_key,
)
from kestrapy.machine.restored import FormerChild, former_child_key
from kestrapy.machine.turn import Turn
from kestrapy.model.registry import Kind
from kestrapy.model.state import State
from kestrapy.model.state import begin as begin_history

PAGE = 100
"""Children that one command starts, or asks to end; a timer that is due at once goes on."""
MOST_OPEN = 2_000
"""Children of one task run that are open at a time."""
PAGE_PARTS = 4
"""Parts of outputs, of former children, after which a command takes no more of them."""
DONE = (State.SUCCESS, State.WARNING)

replace = msgspec.structs.replace
_encode = msgspec.json.Encoder().encode


# Starting


def begin(turn: Turn, run: TaskRun) -> State | None:
    """From here on it runs. -> the state in which it ends at once; None: it waits for children."""
    run = turn.put_run(replace(run, history=flowables.running(turn, run), scope=Scope(), due=0))
    try:
        if turn.plan(turn.execution(run.execution_id)).kind(run.task_id) is Kind.BATCHES:
            return _begin_batches(turn, run)
        ended = _begin_one(turn, run)
    except UserError as error:
        flowables.fail(turn, turn.run(run.execution_id, run.ordinal), str(error))
        return State.FAILED
    if ended is None:
        timeouts.begin(turn, run)
    return ended


def _begin_one(turn: Turn, run: TaskRun) -> State | None:
    former, report = _former(turn, run, calls.ALONE), None
    if former is None:
        child_id = calls.start(turn, run, calls.variables_here(turn, run), calls.ALONE)
    else:
        child_id, report = former.execution_id, _report_of(turn, run, former, calls.ALONE)
        if report is None:
            calls.want(turn, run, former, calls.ALONE)
    outputs = _encode({"executionId": child_id}).decode()
    run = turn.put_run(_with_attempt(turn, replace(run, scope=Scope(open=1), outputs=outputs)))
    if report is None:
        return None
    _end_one(turn, run, state := _state_for(turn, run, report), report)
    return _despite_failures(turn, run, state)


def _begin_batches(turn: Turn, run: TaskRun) -> State | None:
    """As many as the split, which ran before it, has made; none are started here."""
    count = batches.count_of(turn, run)
    if count == 0:
        return State.SUCCESS
    run = _with_attempt(turn, replace(run, scope=Scope(size=count), outputs="{}"))
    turn.put_run(_counted(turn, run, {}))
    return None


def start_batches(turn: Turn, run: TaskRun) -> None:
    """As many more as may be open, within what one command may do."""
    scope = run.scope or Scope()
    room = _room(scope)
    count = min(room, PAGE - turn.started)
    if count <= 0:
        if room > 0:
            turn.put_run(replace(run, due=run.due or turn.at + 1))
        return
    try:
        variables = calls.variables_here(turn, run)
    except UserError as error:
        flowables.fail(turn, run, str(error))
        return _give_up(turn, turn.run(run.execution_id, run.ordinal))
    counts: dict[State, int] = {}
    parts, last = scope.parts[1] + PAGE_PARTS, scope.cursor + count
    while scope.cursor < last and scope.parts[1] < parts:
        run, state = _take_batch(turn, run, variables, scope.cursor)
        scope = run.scope or Scope()
        turn.started += 1
        if state is not None:
            counts[state] = counts.get(state, 0) + 1
    run = replace(run, due=turn.at + 1 if _room(scope) else 0)
    _finish_batches(turn, _counted(turn, run, counts), State.SUCCESS)


def _give_up(turn: Turn, run: TaskRun) -> None:
    """None of the batches that are left can start."""
    scope = run.scope or Scope()
    left, scope = scope.size - scope.cursor, replace(scope, cursor=scope.size, failed=True)
    run = _counted(turn, replace(run, scope=scope, due=0), {State.FAILED: left})
    _finish_batches(turn, run, State.FAILED)


def _room(scope: Scope) -> int:
    return min(scope.size - scope.cursor, MOST_OPEN - scope.open)


def _take_batch(
    turn: Turn, run: TaskRun, variables: Mapping[str, Any], iteration: int
) -> tuple[TaskRun, State | None]:
    """-> the run, which counts the batch, and the state in which that ends at once; None: it is
    open.
    """
    former, state = _former(turn, run, iteration), None
    try:
        if former is None:
            calls.start(turn, run, _of_batch(turn, run, variables, iteration), iteration)
        elif (report := _report_of(turn, run, former, iteration)) is None:
            calls.want(turn, run, former, iteration)
        else:
            state = _state_for(turn, run, report)
            if report.outputs != "{}":
                run = merging.keep(turn, run, iteration, report.outputs)
    except UserError as error:
        state = State.FAILED
        if not run.error:  # the first tells what is wrong with all of them
            flowables.fail(turn, run, f"batch {iteration}: {error}")
            run = turn.run(run.execution_id, run.ordinal)
    scope = run.scope or Scope()
    scope = replace(scope, cursor=iteration + 1, open=scope.open + 1)
    return replace(run, scope=scope if state is None else _left(scope, state)), state


def _of_batch(
    turn: Turn, run: TaskRun, variables: Mapping[str, Any], iteration: int
) -> dict[str, Any]:
    item = batches.item_of(batches.split_of(turn, run), iteration)
    own = {**variables.get("taskrun", {}), "items": item, "iteration": iteration}
    return {**variables, "taskrun": own}


# Children of earlier attempts


def _former(turn: Turn, run: TaskRun, iteration: int) -> FormerChild | None:
    """What a restart has brought back; it is taken up once."""
    key = former_child_key(run.id, iteration)
    found = turn.get(key, FormerChild)
    if found is None:
        return None
    turn.drop(key)
    if calls.asks_outputs(turn, run) and found.state in DONE and found.outputs == "{}":
        return None  # it would have to render them, and is no more
    return found


def _report_of(
    turn: Turn, run: TaskRun, former: FormerChild, iteration: int
) -> ChildReported | None:
    """What a former child has to say without going on; None: it has to go on."""
    report = ChildReported(run.id, former.execution_id, iteration, former.state, former.outputs)
    if not calls.is_set(turn, run, "wait", True):
        return replace(report, state=State.RUNNING, outputs="{}")
    fails = _state_for(turn, run, report) in (State.FAILED, State.KILLED)
    return None if fails or not former.state.is_terminal else report


def _start_anew(turn: Turn, run: TaskRun, iteration: int) -> str:
    """In place of a former child that can't go on. -> why it can't start; empty where it does."""
    is_alone = iteration == calls.ALONE
    before = replace(run, attempts=run.attempts[:-1]) if is_alone else run
    try:
        variables = calls.variables_here(turn, before)
        if not is_alone:
            variables = _of_batch(turn, run, variables, iteration)
        child_id = calls.start(turn, before, variables, iteration)
    except UserError as error:
        return str(error)
    turn.touch(run.execution_id)
    if is_alone:
        turn.put_run(replace(run, outputs=_encode({"executionId": child_id}).decode()))
    return ""


def _counted(turn: Turn, run: TaskRun, more: Mapping[State, int]) -> TaskRun:
    """With ``iterations``, by state, in its outputs."""
    scope = run.scope or Scope()
    before = msgspec.json.decode(run.outputs, type=dict[str, Any]).get("iterations", {})
    found = {"CREATED": scope.size - scope.cursor, "RUNNING": scope.open}
    if not found["CREATED"] and not calls.is_set(turn, run, "wait", True):
        del found["CREATED"]
    found |= {name: count for name, count in before.items() if name not in ("CREATED", "RUNNING")}
    for state, count in more.items():
        if count:
            found[str(state)] = found.get(str(state), 0) + count
    outputs = {"numberOfBatches": scope.size, "iterations": found}
    return replace(run, outputs=_encode(outputs).decode())


def _with_attempt(turn: Turn, run: TaskRun) -> TaskRun:
    attempt = Attempt(len(run.attempts), "", begin_history(State.RUNNING, turn.at))
    return replace(run, attempts=(*run.attempts, attempt))


# Reports of children


def reported(turn: Turn, command: ChildReported) -> TaskRun | None:
    """A child has started, where nobody waits for its end, or has ended. -> its task run, which
    may go on; None where it is to be tried again, or the report has no effect.
    """
    run = turn.get(run_key(command.task_run_id), TaskRun)
    key = child_key(command.task_run_id, command.iteration)
    child = turn.get(key, Child)
    if run is None or run.scope is None or child is None:
        return None
    if (child.execution_id, child.restoring) != (command.execution_id, command.restoring):
        return None
    if command.missing:
        if run.state is State.KILLING or run.scope.overdue or timeouts.is_stopped(turn, run):
            command = replace(command, state=State.KILLED)
        elif problem := _start_anew(turn, run, command.iteration):
            command = replace(command, refused=True, error=problem)
        else:
            return None
    if command.following:
        _replaced(turn, run, key, replace(child, execution_id=command.following))
        return None
    turn.drop(key)
    turn.touch(run.execution_id)
    state = _state_in(run, child, command)
    if state is State.FAILED and not run.error:
        what = "could not run" if command.refused else "has FAILED"
        why = f": {command.error}" if command.error else ""
        flowables.fail(turn, run, f"the subflow {child.execution_id} {what}{why}")
        run = turn.run(run.execution_id, run.ordinal)
    if command.iteration == calls.ALONE:
        _end_one(turn, run, state, command)
    else:
        _end_batch(turn, run, state, command)
    run = turn.run(run.execution_id, run.ordinal)
    return None if run.state is State.RETRYING else run


def _replaced(turn: Turn, run: TaskRun, key: str, child: Child) -> None:
    """Another execution has taken a child's place; a kill goes to that one too."""
    turn.put(key, child)
    turn.touch(run.execution_id)
    if run.state is State.KILLING or (run.scope is not None and run.scope.overdue):
        turn.emit(KillRequested(child.execution_id), run.execution_id)
    elif key == child_key(run.id, calls.ALONE):
        outputs = _encode({"executionId": child.execution_id}).decode()
        turn.put_run(replace(run, outputs=outputs))


def _state_for(turn: Turn, run: TaskRun, command: ChildReported) -> State:
    transmits = calls.is_set(turn, run, "transmitFailed", True)
    return _state_in(run, Child(command.execution_id, transmits=transmits), command)


def _state_in(run: TaskRun, child: Child, command: ChildReported) -> State:
    """In which state the child leaves its parent: FAILED where it could not start, or its outputs
    can't be had, or it came too late.
    """
    if command.refused or (run.scope is not None and run.scope.overdue):
        return State.FAILED
    shows = (State.FAILED, State.KILLED, State.WARNING)
    return command.state if child.transmits and command.state in shows else State.SUCCESS


def _end_one(turn: Turn, run: TaskRun, state: State, command: ChildReported) -> None:
    outputs: dict[str, Any] = {"executionId": command.execution_id}
    if command.state.is_terminal:
        outputs["state"] = str(command.state)
    if given := msgspec.json.decode(command.outputs):
        outputs["outputs"] = given
    run = _attempt_ended(turn, replace(run, outputs=_encode(outputs).decode()), state)
    if state is State.FAILED and _tried_again(turn, run):
        return
    run = turn.run(run.execution_id, run.ordinal) if state is State.FAILED else run
    state = _despite_failures(turn, run, state)
    turn.put_run(replace(run, scope=_left(run.scope or Scope(), state)))


def _despite_failures(turn: Turn, run: TaskRun, state: State) -> State:
    retry = turn.plan(turn.execution(run.execution_id)).retry(run.task_id)
    warns = retry is not None and retry.warning_on_retry and run.failures
    return State.WARNING if warns and state is State.SUCCESS else state


def _tried_again(turn: Turn, run: TaskRun) -> bool:
    """Whether a run whose attempt has failed waits for another try, with children of its own; it
    counts the failure, and is put.
    """
    if not task_runs.retried(turn, turn.put_run(replace(run, failures=run.failures + 1))):
        return False
    merging.drop(turn, run)
    timeouts.end(turn, run)
    run = turn.run(run.execution_id, run.ordinal)
    due = max(run.due, turn.at + 1)
    turn.put_run(replace(run, scope=Scope(), due=due, outputs="{}", error="", answers=""))
    return True


def _end_batch(turn: Turn, run: TaskRun, state: State, command: ChildReported) -> None:
    run = replace(run, scope=_left(run.scope or Scope(), state))
    if command.outputs != "{}":
        run = merging.keep(turn, run, command.iteration, command.outputs)
    _finish_batches(turn, _counted(turn, run, {state: 1}), state)


def _finish_batches(turn: Turn, run: TaskRun, state: State) -> None:
    """Put a run; its attempt ends once none is open and none is to come. state: of the last one."""
    scope = run.scope or Scope()
    if not scope.open and (scope.cursor >= scope.size or run.state is State.KILLING):
        run = _attempt_ended(turn, run, State.FAILED if scope.failed else state)
        if scope.failed:
            _tried_again(turn, run)
            return
        warned = scope.warned or _despite_failures(turn, run, state) is State.WARNING
        run = replace(run, scope=replace(scope, warned=warned))
    turn.put_run(run)


def _left(scope: Scope, state: State) -> Scope:
    """One child less is open."""
    return replace(
        scope,
        open=scope.open - 1,
        failed=scope.failed or state is State.FAILED,
        warned=scope.warned or state is State.WARNING,
        killed=scope.killed or state is State.KILLED,
    )


def _attempt_ended(turn: Turn, run: TaskRun, state: State) -> TaskRun:
    *earlier, last = run.attempts
    state = State.KILLED if run.state is State.KILLING else state
    history = transitions.enter(transitions.ATTEMPT, last.history, state, turn.at)
    return replace(run, attempts=(*earlier, replace(last, history=history)))


# Timers, kills, clean-up


def due(turn: Turn, run: TaskRun) -> State | None:
    """Its timer. -> the state in which it ends at once; None: its list goes on."""
    if run.state is State.RETRYING:
        asks = evaluations.is_needed(turn, run)
        return evaluations.ask(turn, run, evaluations.BEGIN) if asks else begin(turn, run)
    run = turn.put_run(replace(run, due=0))
    if run.state is State.KILLING:
        _kill_page(turn, run, run.scope or Scope())
    return None


def kill(turn: Turn, run: TaskRun) -> TaskRun:
    """Ask for the end of the children that it waits for, a page of them; it ends once all have
    reported. Those that it does not wait for, or that the kill spares, are left alone. -> the run
    as it is then
    """
    scope = run.scope or Scope()
    if scope.open:
        _kill_page(turn, run, replace(scope, rounds=scope.cursor))
    return turn.run(run.execution_id, run.ordinal)


def time_out(turn: Turn, run: TaskRun) -> None:
    """The time of a Subflow is over: its child is killed, and it fails once that one has reported;
    at once where it does not wait for the end.
    """
    scope = replace(run.scope or Scope(), overdue=True)
    run = kill(turn, turn.put_run(replace(run, scope=scope)))
    if run.scope is not None and not run.scope.open:
        run = _attempt_ended(turn, run, State.FAILED)
        if not _tried_again(turn, run):
            run = turn.run(run.execution_id, run.ordinal)
            turn.put_run(replace(run, scope=replace(run.scope or Scope(), failed=True)))


def _kill_page(turn: Turn, run: TaskRun, scope: Scope) -> None:
    """From the iteration before ``rounds`` on, downwards."""
    left, spares = max(scope.rounds - PAGE, 0), turn.execution(run.execution_id).spares
    for iteration in range(left, scope.rounds) if scope.size else (calls.ALONE,):
        child = turn.get(child_key(run.id, iteration), Child)
        if child is None:
            continue
        if child.waits and not spares:
            turn.emit(KillRequested(child.execution_id), run.execution_id)
        else:
            turn.drop(child_key(run.id, iteration))
            scope = replace(scope, open=scope.open - 1)
    due = turn.at + 1 if left and scope.open else 0
    turn.put_run(replace(run, scope=replace(scope, rounds=left), due=due))


def drop(turn: Turn, run: TaskRun) -> bool:
    """Forget a page of its children, and of what these have put out. Where some are open, which
    only a quarantine leaves behind, those that it waits for are killed. -> whether more are left
    """
    scope = run.scope
    if scope is None or not (run.attempts or scope.parts[1]):  # it has nothing to do with others
        return False
    scope, has_parts = merging.dropped(turn, run.id, scope, PAGE)
    children = range(max(scope.cursor - PAGE, 0), scope.cursor) if scope.open else range(0)
    for iteration in (calls.ALONE, *children) if scope.open else ():
        child = turn.get(child_key(run.id, iteration), Child)
        if child is None:
            continue
        turn.drop(child_key(run.id, iteration))
        scope = replace(scope, open=scope.open - 1)
        if child.waits:
            turn.emit(KillRequested(child.execution_id))
    turn.put_run(replace(run, scope=replace(scope, cursor=children.start)))
    return has_parts or (scope.open > 0 and children.start > 0)

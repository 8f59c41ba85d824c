"""What wakes up what waits: timers, pauses that are over, executions that may go on again."""

from __future__ import annotations

import msgspec

from kestrapy.errors import ExpressionError, InputRefused
from kestrapy.machine import (
    beginnings,
    endings,
    epochs,
    flowables,
    halts,
    overdue,
    subflows,
    sweeps,
    task_runs,
)
from kestrapy.machine.commands import (
    PauseRequested,
    ResumeAnswered,
    ResumeAsked,
    ResumeRequested,
    SweepDue,
    TaskRunMarked,
    TimerDue,
)
from kestrapy.machine.entities import (
    Entity,
    Execution,
    Halt,
    HeldBack,
    Sweep,
    TaskRun,
    execution_key,
    halt_key,
    held_back_key,
    run_key,
    sweep_key,
)
from kestrapy.machine.lists import ROOT
from kestrapy.machine.timeouts import Timeout, timeout_key
from kestrapy.machine.turn import Turn
from kestrapy.model.registry import CALLS, Kind
from kestrapy.model.state import State

replace = msgspec.structs.replace

# Timers


def timer_due(turn: Turn, command: TimerDue) -> None:
    timeout = turn.get(timeout_key(command.task_run_id), Timeout)
    if timeout is not None and timeout.due == command.due:
        turn.at = max(turn.at, command.due)
        overdue.due(turn, turn.need(run_key(command.task_run_id), TaskRun), timeout)
    run = turn.get(run_key(command.task_run_id), TaskRun)
    if run is None or not run.due or run.due != command.due:
        return
    turn.at = max(turn.at, command.due)
    execution = turn.execution(run.execution_id)
    if run.state is State.RETRYING and halts.stands_still(turn, execution):
        turn.put_run(replace(run, due=0))
        turn.touch(run.execution_id)
        halts.hold_back(turn, execution, run.ordinal)
    else:
        _wake(turn, run)


def _wake(turn: Turn, run: TaskRun) -> None:
    if epochs.is_killed(turn, run):
        epochs.go_on(turn, run, sweeps.kill_run(turn, run))
    elif run.scope is None:
        epochs.go_on(turn, run, task_runs.ON_TIMER[run.state](turn, run))
    elif turn.plan(turn.execution(run.execution_id)).kind(run.task_id) in CALLS:
        epochs.go_on(turn, run, ended := subflows.due(turn, run))
        if ended is None and turn.run(run.execution_id, run.ordinal).scope is not None:
            endings.advance(turn, run.execution_id, run.ordinal)
    else:
        flowables.due(turn, run)
        endings.advance(turn, run.execution_id, run.ordinal)


def sweep_due(turn: Turn, command: SweepDue) -> None:
    sweep = sweeps.under_way(turn, command.execution_id)
    if sweep is None or sweep.due != command.due:
        return
    turn.at = max(turn.at, command.due)
    if sweep.kind == halts.GO_ON:
        _go_on(turn, sweep)
    else:
        endings.walk_on(turn, sweep)


# Pause and resume


def _live(turn: Turn, execution_id: str) -> Execution | None:
    """An execution that has neither ended nor been killed."""
    execution = turn.get(execution_key(execution_id), Entity)
    if not isinstance(execution, Execution) or execution.killing:
        return None
    return None if execution.history.current.is_terminal else execution


def pause(turn: Turn, command: PauseRequested) -> None:
    """Of one that runs: nothing more of it starts until it is resumed."""
    execution = _live(turn, command.execution_id)
    if execution is None or execution.history.current is not State.RUNNING:
        return
    halt = turn.get(halt_key(execution.id), Halt) or Halt()
    turn.put(halt_key(execution.id), replace(halt, asked=True))
    flowables.count_paused(turn, execution.id, 1)


def resume(turn: Turn, command: ResumeRequested) -> None:
    if command.task_run_id:
        run = turn.get(run_key(command.task_run_id), TaskRun)
        if run is not None and run.state is State.PAUSED and not _ends(turn, run):
            _resume_run(turn, run, command.inputs)
        return
    execution = _live(turn, command.execution_id)
    if execution is not None and execution.history.current is State.PAUSED:
        _resume_all(turn, execution, command.inputs)


def _ends(turn: Turn, run: TaskRun) -> bool:
    """Whether a paused run is to be killed; then it is, whoever comes first."""
    if not epochs.is_killed(turn, run):
        return False
    epochs.go_on(turn, run, sweeps.kill_run(turn, run))
    return True


def marked(turn: Turn, command: TaskRunMarked) -> None:
    """A paused run goes on, or ends in a state."""
    run = turn.get(run_key(command.task_run_id), TaskRun)
    if run is None or run.state is not State.PAUSED or _ends(turn, run):
        return
    if command.state in (State.RUNNING, State.SUCCESS):
        _resume_run(turn, run, "{}")
    elif command.state in flowables.RESUMED:
        flowables.resume(turn, run, command.state)
        endings.advance(turn, run.execution_id, run.ordinal)


def asked(turn: Turn, command: ResumeAsked) -> None:
    """A task of another execution asks, and is answered."""
    problem = _problem_of(turn, command)
    turn.emit(ResumeAnswered(command.task_run_id, problem))
    if not problem:
        _resume_all(turn, turn.execution(command.execution_id), command.inputs)


def answered(turn: Turn, command: ResumeAnswered) -> None:
    run = turn.get(run_key(command.task_run_id), TaskRun)
    if run is None or run.state.is_terminal or run.scope is None or not run.scope.waits:
        return
    if turn.plan(turn.execution(run.execution_id)).kind(run.task_id) is not Kind.RESUME:
        return
    if command.problem:
        flowables.fail(turn, run, command.problem)
    epochs.go_on(turn, run, State.FAILED if command.problem else State.SUCCESS)


def _problem_of(turn: Turn, command: ResumeAsked) -> str:
    """Why an execution can't be resumed; empty where it can."""
    execution = _live(turn, command.execution_id)
    if execution is None:
        return f"execution {command.execution_id} is not paused: it has ended, or there is none"
    for said, name in (
        (command.namespace, execution.namespace),
        (command.flow_id, execution.flow_id),
    ):
        if said and said != name:
            flow = f"{execution.namespace}.{execution.flow_id}"
            return f"execution {execution.id} is one of the flow {flow}, not of {said}"
    if execution.history.current is not State.PAUSED:
        return f"execution {execution.id} is not paused: {execution.history.current}"
    halt = turn.get(halt_key(execution.id), Halt) or Halt()
    for place in range(halt.head, min(halt.tail, halt.head + sweeps.SLICE)):
        ordinal = turn.need(held_back_key(execution.id, place), HeldBack).ordinal
        run = turn.get(run_key(f"{execution.id}-{ordinal}"), TaskRun)
        if run is not None and run.state is State.PAUSED:
            try:
                flowables.outputs_of_resume(turn, run, command.inputs)
            except (InputRefused, ExpressionError) as error:
                return str(error)
            return ""
    return ""


def _resume_all(turn: Turn, execution: Execution, inputs: str) -> None:
    halt = turn.get(halt_key(execution.id), Halt) or Halt()
    if halt.asked:
        halt = replace(halt, asked=False)
        turn.put(halt_key(execution.id), halt)
        flowables.count_paused(turn, execution.id, -1)
    _go_on(turn, Sweep(halts.GO_ON, execution.id, halt.tail, resumes=True, inputs=inputs))


def _go_on(turn: Turn, sweep: Sweep) -> None:
    """Let the next ones go on that were held back."""
    execution = _live_or_after(turn, sweep.execution_id)
    if execution is None or halts.is_paused(turn, execution.id):
        return sweeps.stop(turn, sweep.execution_id)
    if halts.is_ignored(turn, execution):
        return halts.look_later(turn, sweep)
    sweeps.stop(turn, execution.id)
    if execution.history.current is State.CREATED:
        return beginnings.begin_in_time(turn, execution.id)
    halt = turn.get(halt_key(execution.id), Halt) or Halt()
    below = sweep.below or halt.tail
    for _ in range(sweeps.SLICE):
        ordinal = halts.take(turn, execution.id, below)
        if ordinal is None:
            return halts.settle(turn, execution.id)
        _let_go_on(turn, execution.id, ordinal, sweep)
        if _live_or_after(turn, execution.id) is None:
            return None
    following = replace(sweep, below=below, due=max(turn.at, sweep.due) + 1)
    turn.put(sweep_key(execution.id), following)


def _live_or_after(turn: Turn, execution_id: str) -> Execution | None:
    execution = turn.get(execution_key(execution_id), Entity)
    return execution if isinstance(execution, Execution) and not execution.killing else None


def _let_go_on(turn: Turn, execution_id: str, ordinal: int, sweep: Sweep) -> None:
    if ordinal == ROOT:
        return endings.advance(turn, execution_id, ROOT)
    run = turn.run(execution_id, ordinal)
    if run.state is State.PAUSED and sweep.resumes:
        _resume_run(turn, run, sweep.inputs)
    elif run.state is State.PAUSED:
        halts.hold_back(turn, turn.execution(execution_id), ordinal)
    elif run.state is State.RETRYING and not run.due:
        _wake(turn, run)
    elif run.scope is not None and not run.state.is_terminal:
        endings.advance(turn, execution_id, ordinal)


def _resume_run(turn: Turn, run: TaskRun, inputs: str) -> None:
    """It stays paused where the inputs that it asks for do not fit."""
    try:
        outputs = flowables.outputs_of_resume(turn, run, inputs)
    except (InputRefused, ExpressionError) as error:
        flowables.tell(turn, run, "ERROR", f"it is not resumed: {error}")
        return halts.hold_back(turn, turn.execution(run.execution_id), run.ordinal)
    flowables.resume(turn, turn.put_run(replace(run, outputs=outputs)))
    endings.advance(turn, run.execution_id, run.ordinal)

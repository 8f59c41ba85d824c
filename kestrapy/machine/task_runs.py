"""A task run that a worker runs: submit, claim, result, loss, kill, timers.

    executor ── Job(epoch) ──▶ group      worker ── Claimed(epoch) ──▶ fold ── Granted | Refused ──▶
    worker worker ── Result(epoch) ──▶ fold      counted once, from the owner of the epoch only

The epoch is the fence: it grows each time the task run is handed out anew. Each function here takes
the task run as it is and writes the one that follows; the tables say which command does what in
which state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from kestrapy.machine import transitions
from kestrapy.machine.commands import Claimed, Held, Result
from kestrapy.machine.entities import (
    Attempt,
    Holder,
    LastRun,
    TaskRun,
    holder_key,
    last_run_key,
)
from kestrapy.machine.outputs import Granted, Job, Kill, Refused
from kestrapy.machine.retry import retry_delay
from kestrapy.machine.turn import Turn
from kestrapy.machine.variables import variables_of
from kestrapy.model.state import State, begin

REPUBLISH_AFTER = 3 * 24 * 3600 * 1000
"""ms after which a job that nobody claimed is published again: under half of a jobs topic's
retention.
"""
KILL_AGAIN = 5_000
"""ms after which an unanswered kill is sent again: an inbox message may be missed."""

replace = msgspec.structs.replace
_encode_text = msgspec.json.Encoder().encode
_decode_outputs = msgspec.json.Decoder(dict[str, Any]).decode


def create(turn: Turn, execution_id: str, task_id: str, parent: int) -> TaskRun:
    """The next task run of an execution; its ordinal is the execution's count."""
    execution = turn.execution(execution_id)
    run = TaskRun(execution_id, execution.count, task_id, parent, begin(State.CREATED, turn.at))
    turn.put_execution(replace(execution, count=execution.count + 1))
    turn.put(last_run_key(execution_id, task_id), LastRun(run.ordinal))
    return turn.put_run(run)


def submit(turn: Turn, run: TaskRun) -> TaskRun:
    """Hand a task run out under a new epoch."""
    execution = turn.execution(run.execution_id)
    group = turn.plan(execution).worker_group(run.task_id)
    run = turn.put_run(
        replace(
            run,
            history=transitions.enter(transitions.TASK_RUN, run.history, State.SUBMITTED, turn.at),
            epoch=run.epoch + 1,
            worker_id="",
            group=group,
            due=turn.at + REPUBLISH_AFTER,
        )
    )
    return publish(turn, run)


def publish(turn: Turn, run: TaskRun) -> TaskRun:
    """Put the job of the current epoch out."""
    execution = turn.execution(run.execution_id)
    plan = turn.plan(execution)
    task = plan.task(run.task_id)
    variables = variables_of(turn, execution, plan, plan.names(run.task_id), run)
    turn.emit(
        Job(
            task_run_id=run.id,
            epoch=run.epoch,
            execution_id=run.execution_id,
            namespace=execution.namespace,
            flow_id=execution.flow_id,
            flow_revision=execution.revision,
            task_id=run.task_id,
            task_type=task.type,
            worker_group=run.group,
            attempt=run.failures + 1,
            task=plan.job_text(run.task_id),
            variables=_encode_text(variables).decode(),
        )
    )
    return run


# Claims


def claim(turn: Turn, run: TaskRun | None, command: Claimed) -> bool:
    """Answer a claim, a repeated one with the same answer. -> whether the task run has changed."""
    answer = _ON_CLAIM.get(run.state) if run is not None and run.epoch == command.epoch else None
    if run is None or answer is None:
        turn.emit(Refused(command.worker_id, command.task_run_id, command.epoch))
        return False
    return answer(turn, run, command)


def _first_claim(turn: Turn, run: TaskRun, command: Claimed) -> bool:
    holder = turn.get(holder_key(command.worker_id), Holder)
    if holder is not None and holder.dead:
        # Its claim's ack let it commit the job's offset: nobody else is given this epoch any more.
        turn.emit(Refused(command.worker_id, run.id, run.epoch))
        submit(turn, run)
        return True
    if holder is None:
        turn.emit(Held(command.worker_id))
        holder = Holder()
    turn.put(holder_key(command.worker_id), replace(holder, held=(*holder.held, run.id)))
    attempt = Attempt(run.epoch, command.worker_id, begin(State.RUNNING, turn.at))
    turn.put_run(
        replace(
            run,
            history=transitions.enter(transitions.TASK_RUN, run.history, State.RUNNING, turn.at),
            worker_id=command.worker_id,
            due=0,
            attempts=(*run.attempts, attempt),
        )
    )
    turn.emit(Granted(command.worker_id, run.id, run.epoch))
    return True


def _held_claim(turn: Turn, run: TaskRun, command: Claimed) -> bool:
    if run.worker_id != command.worker_id:
        answer: type[Granted | Refused | Kill] = Refused
    else:
        answer = Kill if run.state is State.KILLING else Granted
    turn.emit(answer(command.worker_id, run.id, run.epoch))
    return False


_ON_CLAIM: dict[State, Callable[[Turn, TaskRun, Claimed], bool]] = {
    State.SUBMITTED: _first_claim,
    State.RUNNING: _held_claim,
    State.KILLING: _held_claim,
}

HELD_STATES = (State.RUNNING, State.KILLING)


def is_owned_by(run: TaskRun, epoch: int, worker_id: str) -> bool:
    """Whether a worker's word about an epoch counts."""
    return run.state in HELD_STATES and run.epoch == epoch and run.worker_id == worker_id


# Ends of an epoch


def release(turn: Turn, run: TaskRun) -> None:
    """The worker holds this run no more."""
    holder = turn.get(holder_key(run.worker_id), Holder)
    if holder is not None and run.id in holder.held:
        held = tuple(it for it in holder.held if it != run.id)
        turn.put(holder_key(run.worker_id), replace(holder, held=held))


def end_attempt(turn: Turn, run: TaskRun, state: State) -> TaskRun:
    """Close the attempt of the current epoch, which has an owner."""
    *earlier, last = run.attempts
    history = transitions.enter(transitions.ATTEMPT, last.history, state, turn.at)
    return replace(run, attempts=(*earlier, replace(last, history=history)), due=0)


def accept(turn: Turn, run: TaskRun, result: Result) -> State | None:
    """Take the owner's result. -> the state in which the task run is to end, None when it is
    retried.
    """
    release(turn, run)
    killing = run.state is State.KILLING
    state = State.KILLED if killing else result.state
    if state not in (State.SUCCESS, State.WARNING, State.KILLED) or (
        state is State.KILLED and not killing
    ):
        state = State.FAILED
    outputs, error = result.outputs, result.error
    if problem := _problem_of(outputs):
        state, outputs, error = State.KILLED if killing else State.FAILED, "{}", error or problem
    run = end_attempt(turn, run, state)
    failures = run.failures + (state is State.FAILED)
    run = turn.put_run(replace(run, outputs=outputs, error=error, failures=failures))
    if state is State.FAILED:
        return None if _retried(turn, run) else State.FAILED
    retry = turn.plan(turn.execution(run.execution_id)).task(run.task_id).retry
    if state is State.SUCCESS and failures and retry and retry.warning_on_retry:
        return State.WARNING
    return state


def _problem_of(outputs: str) -> str:
    """Why a worker's outputs can't be kept, empty where they can: other tasks' expressions read
    them.
    """
    try:
        _decode_outputs(outputs)
    except (msgspec.DecodeError, RecursionError) as error:
        return f"the outputs of the task must be a JSON object: {error}"
    return ""


def _retried(turn: Turn, run: TaskRun) -> bool:
    execution = turn.execution(run.execution_id)
    retry = turn.plan(execution).task(run.task_id).retry
    if retry is None or execution.killing:
        return False
    began = run.attempts[0].history.start
    delay = retry_delay(retry, run.failures, turn.at - began, run.id)
    if delay is None:
        return False
    history = transitions.enter(transitions.TASK_RUN, run.history, State.RETRYING, turn.at)
    turn.put_run(replace(run, history=history, worker_id="", due=turn.at + delay))
    return True


def hand_out_again(turn: Turn, run: TaskRun) -> State | None:
    """The owner is lost, or gave the epoch back. -> the state in which the run ends, None: a new
    epoch.
    """
    release(turn, run)
    if run.state is State.KILLING:
        turn.put_run(end_attempt(turn, run, State.KILLED))
        return State.KILLED
    submit(turn, end_attempt(turn, run, State.RESUBMITTED))
    return None


# Kills and timers


def kill(turn: Turn, run: TaskRun) -> State | None:
    """-> KILLED where nobody holds the run; else its owner is told, again and again until it
    answers.
    """
    if run.state is not State.RUNNING:
        return State.KILLED
    *earlier, last = run.attempts
    attempt = transitions.enter(transitions.ATTEMPT, last.history, State.KILLING, turn.at)
    history = transitions.enter(transitions.TASK_RUN, run.history, State.KILLING, turn.at)
    run = replace(run, history=history, attempts=(*earlier, replace(last, history=attempt)))
    _send_kill(turn, run)
    return None


def _send_kill(turn: Turn, run: TaskRun) -> None:
    turn.emit(Kill(run.worker_id, run.id, run.epoch))
    turn.put_run(replace(run, due=turn.at + KILL_AGAIN))


def _publish_again(turn: Turn, run: TaskRun) -> None:
    publish(turn, turn.put_run(replace(run, due=turn.at + REPUBLISH_AFTER)))


def _try_again(turn: Turn, run: TaskRun) -> None:
    submit(turn, run)


ON_TIMER: dict[State, Callable[[Turn, TaskRun], None]] = {
    State.SUBMITTED: _publish_again,
    State.RETRYING: _try_again,
    State.KILLING: _send_kill,
}

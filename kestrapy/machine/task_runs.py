"""A task run that a worker runs: submit, claim, result, loss, kill, timers.

    executor ── Job(epoch) ──▶ group      worker ── Claimed(epoch) ──▶ fold ── Granted | Refused ──▶
    worker worker ── Result(epoch) ──▶ fold      counted once, from the owner of the epoch only

The epoch is the fence: it grows each time the task run is handed out anew. Each function here takes
the task run as it is and writes the one that follows; the tables say which command does what in
which state.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from kestrapy.errors import RoutingProblem
from kestrapy.language.expression import has_expression, render_value
from kestrapy.language.reads import reads_of
from kestrapy.language.worker_groups import unfit_fallback
from kestrapy.machine import directories, flowables, groups, jobs, merging, routing, transitions
from kestrapy.machine.commands import Claimed, Held, Result
from kestrapy.machine.entities import (
    Attempt,
    Execution,
    Holder,
    LastRun,
    TaskRun,
    holder_key,
    last_run_key,
    valued_run_key,
)
from kestrapy.machine.outputs import Granted, JobCopy, Kill, Refused
from kestrapy.machine.retry import retry_delay
from kestrapy.machine.routing import Route
from kestrapy.machine.timeouts import is_stopped
from kestrapy.machine.turn import Turn
from kestrapy.machine.variables import values_of, variables_of
from kestrapy.model.flow import Retry
from kestrapy.model.state import State, begin
from kestrapy.model.worker_group import DEFAULT_LANE, Fallback

REPUBLISH_AFTER = 3 * 24 * 3600 * 1000
"""ms after which a job that nobody claimed is published again: under half of a jobs topic's
retention.
"""
MISSING_TOPIC_AGAIN = 5_000
"""ms after which a job is published again whose group's topic is missing: it is made anew."""
MOST_COPIES = 5
"""Of an epoch's job, for workers that are free while it waits at a busy one."""
KILL_GIVEN_UP = 60_000
"""ms after which a kill counts as answered by a worker that lives and says nothing."""
KILL_AGAIN = 5_000
"""ms after which an unanswered kill is sent again: an inbox message may be missed."""

replace = msgspec.structs.replace
_decode_outputs = msgspec.json.Decoder(dict[str, Any]).decode


def create(
    turn: Turn,
    execution_id: str,
    task_id: str,
    parent: int,
    value: str | None = None,
    iteration: int = -1,
    *,
    inside: bool = False,
) -> TaskRun:
    """The next task run of an execution; its ordinal is the execution's count."""
    execution = turn.execution(execution_id)
    last = turn.get(last_run_key(execution_id, task_id), LastRun)
    run = TaskRun(
        execution_id,
        execution.count,
        task_id,
        parent,
        begin(State.CREATED, turn.at),
        value=value,
        iteration=iteration,
        earlier=-1 if last is None else last.ordinal,
        inside=inside,
    )
    turn.put_execution(replace(execution, count=execution.count + 1))
    keep_last(turn, turn.put_run(run))
    return run


def create_inside(turn: Turn, run: TaskRun) -> None:
    """The task runs of a WorkingDirectory's tasks: their ordinals follow that of its own run. One
    that runs again has them.
    """
    first = turn.find_run(run.execution_id, run.ordinal + 1)
    if first is not None and first.parent == run.ordinal and first.inside:
        return
    for task in turn.plan(turn.execution(run.execution_id)).tasks(run.task_id, directories.TASKS):
        turn.started += 1
        create(turn, run.execution_id, task.id, run.ordinal, inside=True)


def keep_last(turn: Turn, run: TaskRun) -> None:
    """Expressions find it as the last run of its task, of all and for its values."""
    turn.put(last_run_key(run.execution_id, run.task_id), LastRun(run.ordinal))
    if values := values_of(turn, run):
        turn.put(valued_run_key(run.execution_id, run.task_id, values), LastRun(run.ordinal))


def submit(turn: Turn, run: TaskRun) -> State | None:
    """Hand a task run out under a new epoch, to the group that its flow, its namespace and what
    lives say. -> FAILED where they name none that may run it.
    """
    try:
        route = _route_of(turn, run)
    except RoutingProblem as problem:
        turn.put_run(replace(run, error=str(problem)))
        return State.FAILED
    _submit_to(turn, run, route)
    return None


def _submit_to(turn: Turn, run: TaskRun, route: Route) -> None:
    waits = route.fallback.behavior == "WAIT"
    _wait(
        turn,
        replace(
            run,
            group=route.group,
            lane=route.lane,
            fallback=None if waits else route.fallback,
            fallback_after=0 if waits else route.fallback_after,
        ),
        first=False,
    )


def submit_again(turn: Turn, run: TaskRun) -> None:
    """Hand it out anew where it was: it has waited before, and is the first of its line."""
    _wait(turn, run, first=True)


def _wait(turn: Turn, run: TaskRun, *, first: bool) -> None:
    directories.reopen(turn, run)
    history = run.history
    if history.current is not State.CREATED:
        history = transitions.enter(transitions.TASK_RUN, history, State.SUBMITTED, turn.at)
    run = replace(
        run, history=history, epoch=run.epoch + 1, worker_id="", due=0, ready=turn.at, copies=0
    )
    groups.wait(turn, run, first=first)
    turn.touch(run.execution_id)


def _route_of(turn: Turn, run: TaskRun) -> Route:
    """Raises RoutingProblem."""
    execution = turn.execution(run.execution_id)
    plan = turn.plan(execution)
    task, flow = plan.task(run.task_id).worker_group, plan.flow.worker_group

    def render(template: str) -> Any:
        reads = reads_of(template)
        return render_value(template, variables_of(turn, execution, plan, reads, run))

    named = tuple(it.key for it in (task, flow) if it is not None and it.key)
    known = groups.KnownGroups(turn, tuple(it for it in named if not has_expression(it)))
    return routing.route(
        task, flow, execution.namespace, known, partial(groups.default_of, turn), render
    )


def publish(turn: Turn, run: TaskRun, partition: int = -1) -> None:
    """Put the job of the current epoch out. partition: -1 for the one that its key chooses."""
    job = jobs.job_of(turn, run)
    turn.emit(job if partition < 0 else JobCopy(job, partition), run.execution_id)
    # Another due time each, so that a command which names the old one counts once.
    turn.put_run(replace(run, due=max(turn.at + REPUBLISH_AFTER, run.due + 1)))


# Fallbacks


def fall_back(turn: Turn, run: TaskRun) -> State | None:
    """Its group has had no live worker for too long. -> the state in which the run is to end; None
    where it waits on, here or for another group.
    """
    fallback = run.fallback or Fallback()
    if fallback.behavior == "FAIL":
        reason = f"worker group {run.group} has no live worker: start one, or set another fallback"
        turn.put_run(replace(groups.stop_waiting(turn, run), error=reason))
        return State.FAILED
    if fallback.behavior == "GROUP" and fallback.group not in (run.group, *run.left):
        return _move(turn, groups.stop_waiting(turn, run), fallback.group)
    return None


def _move(turn: Turn, run: TaskRun, group: str) -> State | None:
    """Under a new epoch: a worker of the group that it leaves may still have its job."""
    known = {key: view.settings for key, view in groups.KnownGroups(turn).items()}
    namespace = turn.execution(run.execution_id).namespace
    if problem := unfit_fallback(group, run.group, namespace, known):
        turn.put_run(replace(run, error=f"fallback of worker group {run.group}: {problem}"))
        return State.FAILED
    settings = known[group]
    run = replace(run, left=(*run.left, run.group))
    lane = run.lane if settings.has_lane(run.lane) else DEFAULT_LANE
    route = Route(group, lane, settings.fallback, settings.fallback_after, "a fallback")
    _submit_to(turn, run, route)
    return None


# Claims


def claim(turn: Turn, run: TaskRun | None, command: Claimed) -> None:
    """Answer a claim, a repeated one with the same answer."""
    answer = _ON_CLAIM.get(run.state) if run is not None and run.epoch == command.epoch else None
    if run is None or answer is None or run.place:
        turn.emit(Refused(command.worker_id, command.task_run_id, command.epoch))
    else:
        answer(turn, run, command)


def _first_claim(turn: Turn, run: TaskRun, command: Claimed) -> None:
    run = groups.stop_waiting(turn, run)
    holder = turn.get(holder_key(command.worker_id), Holder)
    if holder is not None and holder.dead:
        # Its claim's ack let it commit the job's offset: nobody else is given this epoch any more.
        turn.emit(Refused(command.worker_id, run.id, run.epoch), run.execution_id)
        submit_again(turn, run)
        return
    if holder is None:
        turn.emit(Held(command.worker_id), run.execution_id)
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
    turn.emit(Granted(command.worker_id, run.id, run.epoch), run.execution_id)


def _held_claim(turn: Turn, run: TaskRun, command: Claimed) -> None:
    if run.worker_id != command.worker_id:
        answer: type[Granted | Refused | Kill] = Refused
    else:
        answer = Kill if run.state is State.KILLING else Granted
    turn.emit(answer(command.worker_id, run.id, run.epoch))


_ON_CLAIM: dict[State, Callable[[Turn, TaskRun, Claimed], None]] = {
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


def end_attempt(turn: Turn, run: TaskRun, state: State, log_file: str = "") -> TaskRun:
    """Close the attempt of the current epoch, which has an owner."""
    *earlier, last = run.attempts
    history = transitions.enter(transitions.ATTEMPT, last.history, state, turn.at)
    last = replace(last, history=history, log_file=log_file)
    return replace(run, attempts=(*earlier, last), due=0)


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
    if problem := problem_of(outputs):
        state, outputs, error = State.KILLED if killing else State.FAILED, "{}", error or problem
    run = end_attempt(turn, run, state, result.log_file)
    failures = run.failures + (state is State.FAILED)
    run = turn.put_run(replace(run, outputs=outputs, error=error, failures=failures))
    if state is State.FAILED:
        return None if retried(turn, run) else State.FAILED
    if state is State.SUCCESS and merging.added(turn, run):
        submit_again(turn, run)
        return None
    retry = turn.plan(turn.execution(run.execution_id)).retry(run.task_id)
    if state is State.SUCCESS and failures and retry and retry.warning_on_retry:
        return State.WARNING
    return state


def problem_of(outputs: str) -> str:
    """Why a worker's outputs can't be kept, empty where they can: other tasks' expressions read
    them.
    """
    try:
        _decode_outputs(outputs)
    except (msgspec.DecodeError, RecursionError) as error:
        return f"the outputs of the task must be a JSON object: {error}"
    return ""


def retried(turn: Turn, run: TaskRun) -> bool:
    """Whether a run that has failed, which its ``failures`` count, waits for another try."""
    execution = turn.execution(run.execution_id)
    retry = turn.plan(execution).retry(run.task_id)
    if retry is None or is_stopped(turn, run):
        return False
    if retry.behavior == "CREATE_NEW_EXECUTION":
        _retry_execution(turn, execution, retry)
        return False
    began = run.attempts[0].history.start
    delay = retry_delay(retry, run.failures, turn.at - began, run.id)
    if delay is None:
        return False
    history = transitions.enter(transitions.TASK_RUN, run.history, State.RETRYING, turn.at)
    turn.put_run(replace(run, history=history, worker_id="", due=turn.at + delay))
    return True


def _retry_execution(turn: Turn, execution: Execution, retry: Retry) -> None:
    """The whole execution is tried again, if there is a next try: this one stops."""
    if execution.history.current.is_terminal:
        return
    lineage = turn.content(execution.id).lineage
    attempt = 1 if lineage is None else lineage.attempt
    began = execution.history.start if lineage is None else lineage.began
    delay = retry_delay(retry, attempt, turn.at - began, execution.id)
    if delay is not None:
        flowables.stop(turn, execution.id, State.RETRIED, again=turn.at + delay)


def take_back(turn: Turn, run: TaskRun) -> State | None:
    """The owner gave the epoch back. -> the state in which the run ends, None: a new epoch."""
    release(turn, run)
    if is_stopped(turn, run):
        turn.put_run(end_attempt(turn, run, State.KILLED))
        return State.KILLED
    submit_again(turn, end_attempt(turn, run, State.RESUBMITTED))
    return None


def lose(turn: Turn, run: TaskRun) -> State | None:
    """The owner is lost. -> the state in which the run ends, None: a new epoch, or a retry."""
    if is_stopped(turn, run):
        return take_back(turn, run)
    task = turn.plan(turn.execution(run.execution_id)).task(run.task_id)
    run = replace(run, losses=run.losses + 1)
    limit = turn.group(run.group).settings.max_resubmissions
    if task.on_worker_lost != "FAIL" and run.losses <= limit:
        return take_back(turn, run)
    release(turn, run)
    run = end_attempt(turn, run, State.FAILED)
    if task.on_worker_lost == "FAIL":
        error = f"its worker {run.worker_id} was lost, and onWorkerLost is FAIL"
        run = turn.put_run(replace(run, error=error, failures=run.failures + 1))
        return None if retried(turn, run) else State.FAILED
    lost = ", ".join(it.worker_id for it in run.attempts[-run.losses :])
    error = (
        f"{run.losses} workers were lost while they ran it ({lost}), more than the"
        f" maxResubmissions {limit} of worker group {run.group}: the task may end its workers"
    )
    turn.put_run(replace(run, error=error, failures=run.failures + 1))
    return State.FAILED


# Kills and timers


def kill(turn: Turn, run: TaskRun) -> State | None:
    """-> KILLED where nobody holds the run; else its owner is told, again and again until it
    answers. One inside a WorkingDirectory is told of by nobody but that one's owner.
    """
    if run.inside:
        return None  # it ends with the job of its directory
    if run.is_waiting:
        groups.stop_waiting(turn, run)
    if run.state is not State.RUNNING:
        return State.KILLED
    *earlier, last = run.attempts
    attempt = transitions.enter(transitions.ATTEMPT, last.history, State.KILLING, turn.at)
    history = transitions.enter(transitions.TASK_RUN, run.history, State.KILLING, turn.at)
    run = replace(run, history=history, attempts=(*earlier, replace(last, history=attempt)))
    return _send_kill(turn, run)


def _send_kill(turn: Turn, run: TaskRun) -> State | None:
    """A worker that lives and does not answer is given up: nobody else will run its epoch."""
    asked = run.history.histories[-1].at
    if turn.at - asked >= KILL_GIVEN_UP:
        release(turn, run)
        error = f"worker {run.worker_id} did not answer the kill for {turn.at - asked} ms"
        turn.put_run(replace(end_attempt(turn, run, State.KILLED), error=error))
        return State.KILLED
    turn.emit(Kill(run.worker_id, run.id, run.epoch), run.execution_id)
    turn.put_run(replace(run, due=turn.at + KILL_AGAIN))
    return None


def publish_again(turn: Turn, run: TaskRun) -> None:
    """Under the same epoch: its record is gone, or will be."""
    publish(turn, run)


def publish_copy(turn: Turn, run: TaskRun, partition: int) -> None:
    """Under the same epoch, where a worker is free. A few times at most: each has to be read."""
    if run.copies < MOST_COPIES:
        publish(turn, replace(run, copies=run.copies + 1), partition)


ON_TIMER: dict[State, Callable[[Turn, TaskRun], State | None]] = {
    State.SUBMITTED: publish_again,
    State.RETRYING: submit,
    State.KILLING: _send_kill,
}

"""How a flowable task run begins, and what its timer means: by the kind of its task.

Each function here takes the run as it is and writes the one that follows. Which of its children
start is decided by ``blocks``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from kestrapy.errors import ExpressionError, InputRefused, Problem, UserError
from kestrapy.language.durations import to_ms
from kestrapy.language.expression import render_value
from kestrapy.language.expression.scope import Scope as Rendering
from kestrapy.language.inputs import resolve_inputs
from kestrapy.language.reads import Reads, reads_of
from kestrapy.language.values import is_true, labels_from, merged, values_from, without
from kestrapy.machine import halts, timeouts, transitions
from kestrapy.machine.commands import ResumeAsked
from kestrapy.machine.entities import (
    VALUES_PART,
    Content,
    Scope,
    TaskRun,
    Values,
    content_key,
    values_key,
)
from kestrapy.machine.fold_world import FoldWorld
from kestrapy.machine.outputs import LogEntry
from kestrapy.machine.turn import Turn
from kestrapy.machine.variables import variables_of
from kestrapy.model.ids import shard_of
from kestrapy.model.instants import iso_date
from kestrapy.model.registry import Kind
from kestrapy.model.state import State, StateHistory

VALUES_LIMIT = 4_000_000
"""Bytes of the values that one run goes through: they are kept as long as it runs."""
LOOP_INTERVAL, LOOP_ROUNDS, LOOP_DURATION = "PT1S", 100, "PT1H"
"""What ``checkFrequency`` says where it says nothing."""
replace = msgspec.structs.replace


def skip(turn: Turn, run: TaskRun) -> State | None:
    """-> SKIPPED where its runIf is false, FAILED where that can't be told; None: it runs."""
    plan = turn.plan(turn.execution(run.execution_id))
    planned = plan.planned(run.task_id)
    if not planned.task.run_if:
        return None
    if run.answers:
        return None if _answers(run).get("runIf") else State.SKIPPED
    try:
        condition = _rendered(turn, run, planned.task.run_if, planned.condition)
        return None if is_true(condition) else State.SKIPPED
    except ExpressionError as error:
        fail(turn, run, f"runIf: {error}")
        return State.FAILED


def begin(turn: Turn, run: TaskRun) -> State | None:
    """From here on it runs. -> FAILED where it can't be told what it is to do; another state where
    it is done at once.
    """
    run = turn.put_run(replace(run, history=running(turn, run), scope=Scope()))
    kind = turn.plan(turn.execution(run.execution_id)).kind(run.task_id)
    try:
        if kind in _DEEDS:
            return _DEEDS[kind](turn, run)
        if kind in _STARTS:
            _STARTS[kind](turn, run)
    except UserError as error:
        fail(turn, turn.run(run.execution_id, run.ordinal), str(error))
        return State.FAILED
    timeouts.begin(turn, run)
    return None


def running(turn: Turn, run: TaskRun) -> StateHistory:
    """Its history, RUNNING by now: it is already where a worker has evaluated something for it."""
    if run.state is State.RUNNING:
        return run.history
    return transitions.enter(transitions.TASK_RUN, run.history, State.RUNNING, turn.at)


def fail(turn: Turn, run: TaskRun, reason: str) -> None:
    """Keep why a run fails that no worker has to do with, and log it."""
    turn.put_run(replace(run, error=reason))
    tell(turn, run, "ERROR", reason)


def tell(turn: Turn, run: TaskRun, level: str, message: str) -> None:
    """Log a line of a run that no worker has to do with."""
    execution = turn.execution(run.execution_id)
    entry = LogEntry(
        execution_id=run.execution_id,
        task_run_id=run.id,
        epoch=run.epoch,
        attempt=run.failures,
        sequence=0,
        at=turn.at,
        level=level,
        message=message,
        namespace=execution.namespace,
        flow_id=execution.flow_id,
        task_id=run.task_id,
    )
    turn.emit(entry, run.execution_id)


def due(turn: Turn, run: TaskRun) -> None:
    """The timer of a flowable task run: it goes on, and its list with it."""
    scope = run.scope or Scope()
    run = replace(run, due=0)
    match scope.waits, turn.plan(turn.execution(run.execution_id)).kind(run.task_id):
        case True, Kind.PAUSE:
            if scope.outcome == State.RUNNING:
                run = _resumed_by_time(turn, run)
            resume(turn, run, State(scope.outcome))
        case True, _:
            turn.put_run(replace(run, scope=replace(scope, waits=False, cursor=0)))
        case _:
            turn.put_run(run)


def stop(turn: Turn, execution_id: str, state: State, again: int = 0) -> None:
    """Nothing more of the execution starts; it ends in this state. again: with RETRIED, when it is
    tried again, epoch ms.
    """
    execution = turn.execution(execution_id)
    turn.put_execution(replace(execution, killing=True, awaits="", ends_as=str(state), again=again))


def _rendered(turn: Turn, run: TaskRun, value: Any, reads: Reads) -> Any:
    execution = turn.execution(run.execution_id)
    variables = variables_of(turn, execution, turn.plan(execution), reads, run)
    return render_value(value, variables, FoldWorld(turn.at, run.id))


def _answers(run: TaskRun) -> dict[str, Any]:
    """What a worker has evaluated for the run: runIf, and its task's properties."""
    return msgspec.json.decode(run.answers, type=dict[str, Any])


def answered(run: TaskRun, names: Iterable[str]) -> dict[str, Any] | None:
    """Properties of its task as a worker has rendered them; None where none did."""
    given = _answers(run).get("properties") if run.answers else None
    if not isinstance(given, dict) or not given:
        return None
    return {name: given[name] for name in names if given.get(name) is not None}


def _properties(turn: Turn, run: TaskRun, *names: str) -> dict[str, Any]:
    """Some of its task's properties, rendered; those that aren't there are left out."""
    if (evaluated := answered(run, names)) is not None:
        return evaluated
    plan = turn.plan(turn.execution(run.execution_id))
    given = plan.task(run.task_id).properties
    wanted = {name: given[name] for name in names if given.get(name) is not None}
    rendered: dict[str, Any] = _rendered(turn, run, wanted, plan.reads(run.task_id))
    return rendered


def _text(value: Any) -> str:
    return Rendering({}).text(value)


def _outputs(**outputs: Any) -> str:
    return msgspec.json.encode(outputs).decode()


# Choices


def _start_if(turn: Turn, run: TaskRun) -> None:
    holds = is_true(_properties(turn, run, "condition").get("condition"))
    scope = Scope(block="then" if holds else "else")
    turn.put_run(replace(run, scope=scope, outputs=_outputs(evaluationResult=holds)))


def _start_switch(turn: Turn, run: TaskRun) -> None:
    value = _text(_properties(turn, run, "value").get("value"))
    branches = turn.plan(turn.execution(run.execution_id)).task(run.task_id).branches
    by_default = f"cases.{value}" not in branches
    if by_default and "defaults" not in branches:
        raise UserError(f"no case is `{value}`, and there are no defaults")
    block = "defaults" if by_default else f"cases.{value}"
    outputs = _outputs(value=value, defaults=by_default)
    turn.put_run(replace(run, scope=Scope(block=block), outputs=outputs))


# Values


def start_each(turn: Turn, run: TaskRun) -> None:
    """Tell the values of a run. Raises UserError where they can't be told."""
    given = _properties(turn, run, "values", "value")
    values = values_from(given.get("values", given.get("value")))
    size = sum(map(len, values))
    if size > VALUES_LIMIT:
        raise UserError(f"{size:,} characters of values are too many: at most {VALUES_LIMIT:,}")
    for part, chunk in enumerate(_chunks(values)):
        turn.put(values_key(run.id, part), Values(chunk))
    turn.put_run(replace(run, scope=Scope(size=len(values))))


def _chunks(values: list[str]) -> Iterator[tuple[str, ...]]:
    for start in range(0, len(values), VALUES_PART):
        yield tuple(values[start : start + VALUES_PART])


def value_at(turn: Turn, run: TaskRun, iteration: int) -> str:
    """The value of an iteration, from 0."""
    part, place = divmod(iteration, VALUES_PART)
    return turn.need(values_key(run.id, part), Values).values[place]


def drop_values(turn: Turn, run: TaskRun) -> None:
    """Nothing needs them once the run has ended."""
    size = run.scope.size if run.scope is not None else 0
    for part in range(-(-size // VALUES_PART)):
        if turn.get(values_key(run.id, part), Values) is not None:
            turn.drop(values_key(run.id, part))


# Loops


def _start_loop(turn: Turn, run: TaskRun) -> None:
    turn.put_run(replace(run, scope=Scope(rounds=1), outputs=_outputs(iterationCount=1)))


def repeat(turn: Turn, run: TaskRun) -> None:
    """A round of a loop is over: it waits for the next one, or ends."""
    scope = run.scope or Scope()
    answers, run = run, replace(run, answers="")
    try:
        given = _properties(turn, answers, "condition", "checkFrequency", "failOnMaxReached")
        limits = given.get("checkFrequency") or {}
        if is_true(given.get("condition")):
            turn.put_run(replace(run, scope=replace(scope, rounds=0)))
        elif _is_last(limits, scope.rounds, turn.at - run.history.start):
            _end_loop(turn, run, scope, is_true(given.get("failOnMaxReached")))
        else:
            pause = _ms(limits.get("interval", LOOP_INTERVAL))
            turn.put_run(
                replace(
                    run,
                    due=turn.at + max(pause, 1),
                    scope=replace(scope, rounds=scope.rounds + 1, waits=True),
                    outputs=_outputs(iterationCount=scope.rounds + 1),
                )
            )
    except UserError as error:
        scope = replace(scope, rounds=0, failed=True, block_failed=True)
        fail(turn, replace(run, scope=scope), str(error))


def _is_last(limits: Mapping[str, Any], rounds: int, lasted: int) -> bool:
    most = limits.get("maxIterations", LOOP_ROUNDS)
    if not str(most).isdecimal():
        raise UserError(f"maxIterations must be a whole number, not {most!r}")
    return rounds >= int(most) or lasted >= _ms(limits.get("maxDuration", LOOP_DURATION))


def _end_loop(turn: Turn, run: TaskRun, scope: Scope, failing: bool) -> None:
    count = scope.rounds + 1
    scope = replace(scope, rounds=0, failed=failing, block_failed=failing)
    run = replace(run, scope=scope, outputs=_outputs(iterationCount=count))
    if failing:
        fail(turn, run, f"the condition did not hold within checkFrequency ({count - 1} rounds)")
    else:
        turn.put_run(run)


def _ms(duration: Any) -> int:
    try:
        return to_ms(duration)
    except ValueError as error:
        raise UserError(str(error)) from None


# Pauses

_BEHAVIORS = {
    "RESUME": State.RUNNING,
    "WARN": State.WARNING,
    "FAIL": State.FAILED,
    "CANCEL": State.CANCELLED,
}


def _start_pause(turn: Turn, run: TaskRun) -> None:
    given = _properties(turn, run, "pauseDuration", "delay", "behavior")
    task = turn.plan(turn.execution(run.execution_id)).task(run.task_id)
    behavior = _text(given.get("behavior", "RESUME"))
    if behavior not in _BEHAVIORS:
        raise UserError(f"behavior {behavior!r} is unknown: one of {', '.join(_BEHAVIORS)}")
    lasts = given.get("pauseDuration", given.get("delay"))
    ends = [(_ms(lasts), _BEHAVIORS[behavior])] if lasts is not None else []
    if task.timeout is not None:
        ends.append((task.timeout, State.WARNING if task.allow_failure else State.FAILED))
    first = min(ends, default=None, key=lambda it: it[0])
    scope = Scope(
        block="onPause" if "onPause" in task.branches else "tasks",
        waits=True,
        outcome="" if first is None else str(first[1]),
    )
    history = transitions.enter(transitions.TASK_RUN, run.history, State.PAUSED, turn.at)
    until = 0 if first is None else max(turn.at + first[0], 1)
    turn.put_run(replace(run, history=history, scope=scope, due=until))
    count_paused(turn, run.execution_id, 1)
    halts.hold_back(turn, turn.execution(run.execution_id), run.ordinal)


def outputs_of_resume(turn: Turn, run: TaskRun, given: str) -> str:
    """The outputs of a Pause that goes on: the inputs that it asks for, as they were given or by
    default. given: JSON object. Raises InputRefused, ExpressionError.
    """
    execution = turn.execution(run.execution_id)
    plan = turn.plan(execution)
    asked = plan.task(run.task_id).on_resume
    outputs: dict[str, Any] = {}
    if asked:
        reads = reads_of([msgspec.to_builtins(it) for it in asked])
        variables = variables_of(turn, execution, plan, reads, run)
        try:
            values = msgspec.json.decode(given, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise InputRefused([Problem(f"inputs must be a JSON object: {error}")]) from None
        flow = replace(plan.flow, inputs=asked)
        outputs["onResume"] = resolve_inputs(flow, values, variables, FoldWorld(turn.at, run.id))
    outputs["resumed"] = {"by": None, "on": iso_date(turn.at)}
    return _outputs(**outputs)


RESUMED = (*_BEHAVIORS.values(), State.SUCCESS)
"""What a paused run may be told to go on as."""


def resume(turn: Turn, run: TaskRun, outcome: State = State.RUNNING) -> None:
    """A paused run goes on. outcome: RUNNING, or what it is to end as."""
    scope = replace(run.scope or Scope(), waits=False)
    if outcome is State.WARNING:
        scope = replace(scope, warned=True)
    elif outcome is State.FAILED:
        scope = replace(scope, failed=True, block_failed=True)
    elif outcome is State.CANCELLED:
        stop(turn, run.execution_id, State.CANCELLED)
    history = transitions.enter(transitions.TASK_RUN, run.history, State.RUNNING, turn.at)
    run = turn.put_run(replace(run, history=history, scope=scope, due=0))
    count_paused(turn, run.execution_id, -1)
    if outcome is State.FAILED:
        fail(turn, run, "the pause was not resumed in time")


def _resumed_by_time(turn: Turn, run: TaskRun) -> TaskRun:
    """Nobody was asked: it has the defaults of its inputs, where these are enough."""
    try:
        return turn.put_run(replace(run, outputs=outputs_of_resume(turn, run, "{}")))
    except (InputRefused, ExpressionError):
        return run


def count_paused(turn: Turn, execution_id: str, more: int) -> None:
    """An execution is PAUSED as long as one of its task runs is."""
    execution = turn.execution(execution_id)
    paused, history = execution.paused + more, execution.history
    state = State.PAUSED if paused else State.RUNNING
    if history.current is not state and history.current in (State.RUNNING, State.PAUSED):
        history = transitions.enter(transitions.EXECUTION, history, state, turn.at)
    turn.put_execution(replace(execution, paused=paused, history=history))
    turn.touch(execution_id)


# What the executor does at once

_EXITS = {it.value: it for it in (*_BEHAVIORS.values(), State.SUCCESS, State.KILLED)} | {
    "CANCELED": State.CANCELLED
}


def _exit(turn: Turn, run: TaskRun) -> State:
    named = _text(_properties(turn, run, "state").get("state", "SUCCESS"))
    state = _EXITS.get(named)
    if state is None or state is State.RUNNING:
        raise UserError(f"state {named!r} is none that an execution ends in")
    stop(turn, run.execution_id, state)
    return state


def _set_labels(turn: Turn, run: TaskRun) -> State:
    labels = labels_from(_properties(turn, run, "labels").get("labels"))
    content = turn.content(run.execution_id)
    _change(turn, run, replace(content, labels={**content.labels, **labels}))
    return State.SUCCESS


def _set_variables(turn: Turn, run: TaskRun) -> State:
    given, known = _properties(turn, run, "variables", "overwrite"), _variables(turn, run)
    fresh = given.get("variables")
    if not isinstance(fresh, Mapping):
        raise UserError(f"variables must be a map, not {_text(fresh)[:80]}")
    twice = [name for name in fresh if name in known]
    if twice and not is_true(given.get("overwrite", True)):
        raise UserError(
            "`overwrite` is set to false and the following variables already exist: "
            + ",".join(twice)
        )
    return _keep_variables(turn, run, merged(known, fresh))


def _unset_variables(turn: Turn, run: TaskRun) -> State:
    given, known = _properties(turn, run, "variables", "ignoreMissing"), _variables(turn, run)
    names = given.get("variables")
    if not isinstance(names, list):
        raise UserError(f"variables must be a list of names, not {_text(names)[:80]}")
    missing, kept = [], known
    for name in dict.fromkeys(map(_text, names)):
        rest = without(kept, name)
        if rest is None:
            missing.append(name)
        else:
            kept = rest
    if missing and not is_true(given.get("ignoreMissing", False)):
        raise UserError(f"there are no variables {', '.join(missing)}")
    return _keep_variables(turn, run, kept)


def _variables(turn: Turn, run: TaskRun) -> dict[str, Any]:
    changed = turn.content(run.execution_id).variables
    found: dict[str, Any] = turn.plan(turn.execution(run.execution_id)).flow.variables
    return msgspec.json.decode(changed, type=dict[str, Any]) if changed else found


def _keep_variables(turn: Turn, run: TaskRun, variables: Mapping[str, Any]) -> State:
    text = msgspec.json.encode(variables).decode()
    _change(turn, run, replace(turn.content(run.execution_id), variables=text))
    return State.SUCCESS


def _change(turn: Turn, run: TaskRun, content: Content) -> None:
    turn.put(content_key(run.execution_id), content)
    turn.touch(run.execution_id)


def _no_template(turn: Turn, run: TaskRun) -> State:
    given = _properties(turn, run, "namespace", "templateId")
    name = f"{_text(given.get('namespace'))}.{_text(given.get('templateId'))}"
    raise UserError(
        f"there is no template {name}: kestrapy keeps none, as Kestra gives them up;"
        " make it a flow, and call that by a Subflow"
    )


def _start_resume(turn: Turn, run: TaskRun) -> None:
    """Ask the fold of the other execution; its answer ends this run."""
    given = _properties(turn, run, "executionId", "namespace", "flowId", "inputs")
    execution_id = _text(given.get("executionId", run.execution_id)).strip()
    inputs = given.get("inputs", {})
    if not isinstance(inputs, Mapping):
        raise UserError(f"inputs must be a map, not {_text(inputs)[:80]}")
    try:
        known = shard_of(execution_id) < turn.rules.shards
    except ValueError as error:
        raise UserError(str(error)) from None
    if not known:
        raise UserError(f"there is no execution {execution_id}")
    turn.put_run(replace(run, scope=Scope(waits=True)))
    flow = _text(given.get("namespace", "")), _text(given.get("flowId", ""))
    text = msgspec.json.encode(inputs).decode()
    turn.emit(ResumeAsked(execution_id, run.id, *flow, text), run.execution_id)


_DEEDS: dict[Kind, Callable[[Turn, TaskRun], State]] = {
    Kind.EXIT: _exit,
    Kind.LABELS: _set_labels,
    Kind.SET_VARIABLES: _set_variables,
    Kind.UNSET_VARIABLES: _unset_variables,
    Kind.TEMPLATE: _no_template,
}
_STARTS: dict[Kind, Callable[[Turn, TaskRun], None]] = {
    Kind.IF: _start_if,
    Kind.SWITCH: _start_switch,
    Kind.FOR_EACH: start_each,
    Kind.EACH_SEQUENTIAL: start_each,
    Kind.EACH_PARALLEL: start_each,
    Kind.LOOP_UNTIL: _start_loop,
    Kind.PAUSE: _start_pause,
    Kind.RESUME: _start_resume,
}

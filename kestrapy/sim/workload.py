"""What a world's clients ask for: flows of seven shapes, executions of them, kills; and what must
come of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random

import msgspec

from kestrapy.machine.commands import (
    ExecutionRequested,
    ExecutionSubmitted,
    FlowSaveRequested,
    KillRequested,
    SettingSaveRequested,
)
from kestrapy.model.ids import derive_execution_id
from kestrapy.model.state import State
from kestrapy.model.worker_group import GROUP, GroupSettings, encode
from kestrapy.ports.log import Producer, SendError
from kestrapy.servers.router import Router
from kestrapy.sim.clock import EPOCH
from kestrapy.sim.options import EMPTY_GROUP, GROUPS
from kestrapy.sim.timeline import Timeline

NAMESPACE = "sim"
ASK_AGAIN = 400
RESUBMISSIONS = 50
"""More than any world brings about: else an execution would fail for the faults."""
RETURN = "io.kestra.plugin.core.debug.Return"
Document = dict[str, object]
PARALLEL = "io.kestra.plugin.core.flow.Parallel"
CALLS = ("c0", "c1", "c2", "c3")
"""Ids of tasks that run another flow."""
SUBFLOW = "io.kestra.plugin.core.flow.Subflow"
LIMITED, LIMIT = "limited", 2
"""A flow with a concurrency limit, and that limit."""


@dataclass(frozen=True)
class Shape:
    """A flow, and how its executions end when nobody kills them: the states of all task runs.

    runs: by task id; a task that is not named there never runs. asked: by clients; else only by
    other flows.
    """

    name: str
    source: str
    state: State
    runs: dict[str, State] = field(default_factory=dict)
    asked: bool = True


def draw_shapes(random: Random) -> list[Shape]:
    return [
        *(_retry(random), _parallel(random), _kill(random), _timeout(random), _fallback(random)),
        _limited(random),
        *_subflows(random),
    ]


def _task(random: Random, task_id: str, ms: int, fails: int = 0, **more: object) -> Document:
    """Of one of the groups; at times the other one takes over where it has no worker."""
    key, other = random.sample(GROUPS, 2)
    group: Document = {"key": key}
    if random.random() < 0.2:
        group |= {"fallback": {"group": other}, "fallbackAfter": "PT2S"}
    work = {"type": RETURN, "format": f"ms={ms} fails={fails}", "workerGroup": group}
    return {"id": task_id, **work, **more}


def _shape(name: str, state: State, runs: dict[str, State], **flow: object) -> Shape:
    document = {"id": name, "namespace": NAMESPACE, **flow}
    return Shape(name, msgspec.json.encode(document).decode(), state, runs)


def _retry(random: Random) -> Shape:
    """A task fails some attempts before it succeeds, or once too often."""
    fails, most = random.randint(0, 4), random.randint(2, 4)
    interval = random.choice(["PT0.5S", "PT4S"])
    retry = {"type": "constant", "interval": interval, "maxAttempts": most}
    ends = State.SUCCESS if fails < most else State.FAILED
    runs = {"tried": ends} | ({"then": State.SUCCESS} if fails < most else {})
    tasks = [
        _task(random, "tried", random.randint(5, 2_000), fails, retry=retry),
        _task(random, "then", random.randint(5, 500)),
    ]
    return _shape("retry", ends, runs, tasks=tasks)


def _parallel(random: Random) -> Shape:
    children = [
        _task(random, f"p{n}", random.randint(5, 3_000)) for n in range(random.randint(2, 4))
    ]
    broken = random.random() < 0.3
    if broken:
        children[-1]["format"] = "ms=50 fails=99"
    both = {"id": "both", "type": PARALLEL, "tasks": children, "concurrent": random.choice([0, 2])}
    runs = {str(child["id"]): State.SUCCESS for child in children} | {"both": State.SUCCESS}
    ends = State.FAILED if broken else State.SUCCESS
    if broken:
        runs |= {str(children[-1]["id"]): ends, "both": ends}
    else:
        runs["last"] = State.SUCCESS
    return _shape("parallel", ends, runs, tasks=[both, _task(random, "last", 20)])


def _kill(random: Random) -> Shape:
    """Long enough to be killed while it runs."""
    tasks = [_task(random, "long", random.randint(3_000, 15_000)), _task(random, "never", 500)]
    return _shape(
        "killed", State.SUCCESS, {"long": State.SUCCESS, "never": State.SUCCESS}, tasks=tasks
    )


def _timeout(random: Random) -> Shape:
    """A task that runs longer than it may; what handles errors runs."""
    tasks = [_task(random, "slow", 60_000, timeout=f"PT{random.randint(1, 3)}S")]
    runs = {"slow": State.FAILED, "mend": State.SUCCESS, "tidy": State.SUCCESS}
    errors, after = [_task(random, "mend", 30)], [_task(random, "tidy", 30)]
    return _shape("timeout", State.FAILED, runs, tasks=tasks, errors=errors, **{"finally": after})


def _fallback(random: Random) -> Shape:
    """A task of a group that no worker serves: it fails, ends its execution, or goes elsewhere."""
    behavior = random.choice(["FAIL", "CANCEL", {"group": random.choice(GROUPS)}])
    group: Document = {"key": EMPTY_GROUP, "fallback": behavior}
    if random.random() < 0.7 or isinstance(behavior, dict):
        group["fallbackAfter"] = f"PT{random.randint(1, 5)}S"
    tasks = [
        _task(random, "first", 100, workerGroup=group, allowFailure=True),
        _task(random, "instead", random.randint(5, 1_000)),
    ]
    ends = {"FAIL": State.WARNING, "CANCEL": State.KILLED}.get(str(behavior), State.SUCCESS)
    runs = {"first": ends} | ({} if behavior == "CANCEL" else {"instead": State.SUCCESS})
    return _shape("fallback", ends, runs, tasks=tasks)


def _limited(random: Random) -> Shape:
    """Some of its executions have to wait for others to end."""
    work, limit = [_task(random, "work", random.randint(500, 4_000))], {"limit": LIMIT}
    runs = {"work": State.SUCCESS}
    return _shape(LIMITED, State.SUCCESS, runs, tasks=work, concurrency=limit)


def _subflows(random: Random) -> list[Shape]:
    """A flow that calls another one several times, and waits for it, or does not."""
    waits = random.random() < 0.7
    calls = [
        {"id": call, "type": SUBFLOW, "namespace": NAMESPACE, "flowId": "called", "wait": waits}
        for call in CALLS[: random.randint(1, len(CALLS))]
    ]
    all_ = {"id": "all", "type": PARALLEL, "tasks": calls, "concurrent": random.choice([0, 2])}
    runs = {str(call["id"]): State.SUCCESS for call in calls}
    runs |= {"all": State.SUCCESS, "last": State.SUCCESS}
    work = [_task(random, "work", random.randint(5, 3_000))]
    called = _shape("called", State.SUCCESS, {"work": State.SUCCESS}, tasks=work)
    tasks = [all_, _task(random, "last", 20)]
    return [_shape("subflow", State.SUCCESS, runs, tasks=tasks), replace(called, asked=False)]


@dataclass
class Wish:
    """An execution that was asked for. key: idempotency key where its id is intake's to give."""

    shape: Shape
    execution_id: str = ""
    key: str = ""
    acked: bool = False
    kill_acked: bool = False


class Clients:
    """Those who ask. A request is sent again until it is acknowledged."""

    def __init__(self, timeline: Timeline, random: Random, producer: Producer, router: Router):
        self.wishes: list[Wish] = []
        self._timeline = timeline
        self._random = random
        self._producer = producer
        self._router = router
        self._open = 0

    @property
    def is_done(self) -> bool:
        """All that was to be asked was asked, and acknowledged."""
        return self._open == 0

    def save(self, shapes: Sequence[Shape]) -> None:
        """Groups first, then flows."""
        for key in (*GROUPS, EMPTY_GROUP):
            settings = encode(GroupSettings(key, max_resubmissions=RESUBMISSIONS))
            self._send(SettingSaveRequested(GROUP, key, settings), _nothing)
        for shape in shapes:
            limit = LIMIT if shape.name == LIMITED else 0
            saved = FlowSaveRequested(NAMESPACE, shape.name, shape.source, limit=limit)
            self._send(saved, _nothing)

    def ask(self, shapes: Sequence[Shape], count: int, shards: int, span: int) -> None:
        """Ask for count executions within span ms from now on; some are killed."""
        asked = [shape for shape in shapes if shape.asked]
        for number in range(count):
            shape = asked[number % len(asked)]
            when = self._random.randint(0, span)
            self._open += 1
            self._timeline.after(when, partial(self._one, number, shape, shards))

    def _one(self, number: int, shape: Shape, shards: int) -> None:
        self._open -= 1
        wish = Wish(shape)
        self.wishes.append(wish)
        request: ExecutionSubmitted | ExecutionRequested
        if self._random.random() < 0.3:
            wish.key = f"key-{number}"
            request = ExecutionRequested(wish.key, NAMESPACE, shape.name)
        else:
            at = EPOCH + self._timeline.now
            wish.execution_id = derive_execution_id(number % shards, at, "sim", number)
            request = ExecutionSubmitted(wish.execution_id, NAMESPACE, shape.name, 1)
        self._send(request, lambda: setattr(wish, "acked", True))
        if shape.name == "killed" or self._random.random() < 0.05:
            self._open += 1
            self._timeline.after(self._random.randint(0, 12_000), lambda: self._kill(wish))

    def _kill(self, wish: Wish) -> None:
        self._open -= 1
        if wish.execution_id:
            request = KillRequested(wish.execution_id)
            self._send(request, lambda: setattr(wish, "kill_acked", True))

    def _send(self, record: object, acked: Callable[[], None]) -> None:
        self._open += 1

        def answered(error: SendError | None) -> None:
            self._open -= 1
            if error is None:
                acked()
            else:
                self._open += 1
                self._timeline.after(ASK_AGAIN, again)

        def again() -> None:
            self._open -= 1
            self._send(record, acked)

        self._producer.send(self._router.message(record), answered)

    def poll(self) -> None:
        self._producer.poll()


def _nothing() -> None:
    """Nobody waits for it."""

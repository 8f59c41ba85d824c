"""What must be true of a world in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from kestrapy.machine.entities import Child, Entity, Execution, execution_of
from kestrapy.machine.folds import decode_entity, encode_entity
from kestrapy.machine.limits import Limit, Seat, Standing
from kestrapy.machine.outputs import Output
from kestrapy.machine.stage import Arrival, Position, Stage
from kestrapy.machine.turn import NUMBERS_PER_COMMAND
from kestrapy.model.state import State
from kestrapy.servers.owner import Owner
from kestrapy.sim.reference import Place, mark_of
from kestrapy.sim.workload import CALLS, LIMIT, Wish

if TYPE_CHECKING:
    from kestrapy.sim.world import World

EVERY_PREFIX = 150
DRAWN_PREFIXES = 50
_encode = msgspec.msgpack.Encoder().encode
_decode_position = msgspec.msgpack.Decoder(Position).decode


def validate(world: World) -> Iterator[str]:
    _compare_owners(world)
    yield from _wishes(world)
    yield from _slots(world)
    yield from _leftovers(world)
    if unsent := world.reference.unsent():
        yield f"{len(unsent)} outputs of folds stand nowhere in the log, such as {unsent[0]}"
    shard = world.random.randrange(world.options.shards)
    for place in sorted(world.reference.stages):
        if place.partition == shard:
            yield from _prefixes(world, place)


def _compare_owners(world: World) -> None:
    """The live states are what the log says."""
    world.observe()
    for process in world.executors:
        if isinstance(process.server, Owner):
            world.referee.compare(process.name, process.server)


def _wishes(world: World) -> Iterator[str]:
    """Each acknowledged request has its execution, which ended as its flow says."""
    referee = world.referee
    for wish in world.clients.wishes:
        if not wish.acked:
            yield f"a request was never acknowledged: {wish}"
        if wish.execution_id:
            yield from _ended(world, wish, wish.execution_id)
    children = set(referee.children.values())
    if len(referee.ends) - len(children) != len(world.clients.wishes):
        yield f"{len(world.clients.wishes)} executions were asked for, {len(referee.ends)} ended"
    yield from _children(world)


def _children(world: World) -> Iterator[str]:
    """Each one has ended, as its flow says where nobody was killed; and what a parent that went
    well has started is there.
    """
    referee = world.referee
    for (task_run_id, _), child in referee.children.items():
        found, parent = referee.ends.get(child), execution_of(task_run_id)
        if found is None:
            yield f"{child}, a child of {task_run_id}, has not ended"
        elif found[0] is not State.SUCCESS and child not in referee.killed_at:
            yield f"{child}, a child of {task_run_id}, is {found[0]}"
        if parent not in referee.ends:
            yield f"{child} has ended, its parent {parent} has not"
    started = Counter(execution_of(task_run_id) for task_run_id, _ in referee.children)
    for execution_id, (state, _) in referee.ends.items():
        calls = [it for it in referee.runs.get(execution_id, {}) if it in CALLS]
        if state is State.SUCCESS and started[execution_id] != len(calls):
            yield f"{execution_id} has {started[execution_id]} children of {len(calls)} tasks"


def _ended(world: World, wish: Wish, execution_id: str) -> Iterator[str]:
    found = world.referee.ends.get(execution_id)
    if found is None:
        yield f"{execution_id} ({wish.shape.name}) has not ended"
        return
    state, number = found
    killed_at = world.referee.killed_at.get(execution_id)
    if wish.kill_acked and killed_at is None:
        yield f"the acknowledged kill of {execution_id} is not in the log"
    if killed_at is not None and killed_at * NUMBERS_PER_COMMAND < number:
        if state is not State.KILLED:
            yield f"{execution_id} was killed before its end, and is {state}"
        return
    if state is not wish.shape.state:
        yield f"{execution_id} ({wish.shape.name}) is {state}, expected {wish.shape.state}"
    runs = world.referee.runs.get(execution_id, {})
    if runs != wish.shape.runs:
        yield f"{execution_id} ({wish.shape.name}) ran {runs}, expected {wish.shape.runs}"


def _slots(world: World) -> Iterator[str]:
    """No more held a slot at a time than the flow's limit says."""
    spans = world.referee.slots
    for execution_id, (moment, _) in spans.items():
        held = [it for it, (begin, end) in spans.items() if begin <= moment < end]
        if len(held) > LIMIT:
            yield f"{len(held)} executions ran when {execution_id} began, {LIMIT} may: {held}"


def _leftovers(world: World) -> Iterator[str]:
    for place, stage in world.reference.stages.items():
        for key, entity in stage.state.items():
            part = key.startswith(("a:", "c:", "t:", "l:")) and not isinstance(entity, Limit)
            if part or isinstance(entity, Execution | Child | Seat | Standing):
                yield f"{place}: {key} is left over"


# Restores


def _prefixes(world: World, place: Place) -> Iterator[str]:
    """Folding all == decoding the checkpoint of a prefix and folding the rest, outputs too."""
    arrivals = world.reference.arrivals[place]
    chosen = set(range(min(EVERY_PREFIX, len(arrivals) + 1)))
    rest = range(len(chosen), len(arrivals) + 1)
    chosen |= set(world.random.sample(rest, min(DRAWN_PREFIXES, len(rest))))
    stage = world.begin_stage(place)
    said: list[bytes] = []
    checkpoints: dict[int, tuple[dict[str, bytes], bytes]] = {}
    for number in range(len(arrivals) + 1):
        if number in chosen:
            checkpoints[number] = _checkpoint(stage)
        if number < len(arrivals):
            said.append(_bytes_of(_fold(stage, arrivals[number])))
    end = mark_of(stage)
    for number, checkpoint in checkpoints.items():
        restored = _restored(world, stage, checkpoint)
        world.counts["restores"] += 1
        for later in range(number, len(arrivals)):
            if _bytes_of(_fold(restored, arrivals[later])) != said[later]:
                yield f"{place}: restored at {number}, command {later} has other outputs"
                return
        if mark_of(restored) != end:
            yield f"{place}: restored at {number}, the state in the end is another"
            return


def _fold(stage: Stage, arrival: Arrival) -> list[Output]:
    return stage.fold(arrival).outputs


def _bytes_of(outputs: list[Output]) -> bytes:
    return _encode([(type(it).__name__, it) for it in outputs])


def _checkpoint(stage: Stage) -> tuple[dict[str, bytes], bytes]:
    state = {key: encode_entity(entity) for key, entity in stage.state.items()}
    return state, _encode(stage.position)


def _restored(world: World, stage: Stage, checkpoint: tuple[dict[str, bytes], bytes]) -> Stage:
    """Its entities come in any order."""
    encoded, position = checkpoint
    keys = list(encoded)
    world.random.shuffle(keys)
    state: dict[str, Entity] = {key: decode_entity(encoded[key]) for key in keys}
    return Stage(stage.fold_rules, state, _decode_position(position))

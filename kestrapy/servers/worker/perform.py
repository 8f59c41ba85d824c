"""Runs a task within a run's context: its properties rendered, its outputs perhaps from before."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgspec

from kestrapy.errors import ExpressionError, NotFound, UserError
from kestrapy.language.durations import to_ms
from kestrapy.language.expression import names_of
from kestrapy.model.flow import Task, TaskCache
from kestrapy.model.state import State
from kestrapy.plugins.properties import validate_rendered
from kestrapy.plugins.registry import Runnable
from kestrapy.plugins.tasks.script_files import FOLDER_VARIABLES, folder_variables
from kestrapy.ports.blobs import SCHEME
from kestrapy.ports.tasks import RunnableTask, TaskOutcome

if TYPE_CHECKING:
    from kestrapy.servers.worker.run_context import RunContext


class _Kept(msgspec.Struct):
    """Outputs of a task, in internal storage. at: epoch ms."""

    at: int
    outputs: dict[str, Any]


def perform(
    task: Task, kind: Runnable, context: RunContext, runner: RunnableTask | None = None
) -> TaskOutcome:
    """runner: what runs it, where it isn't its type. Raises UserError, TaskFailed."""
    properties = None
    if kind.takes_properties:
        late = {name: it for name, it in task.properties.items() if name in kind.late}
        at_once = {name: it for name, it in task.properties.items() if name not in late}
        properties = validate_rendered(kind.properties, _rendered(at_once, context) | late)
    runner = runner or kind.task
    if task.task_cache is None:
        return runner.run(properties, context)
    uri = context.cache_uri(f"outputs-{_key(task, context)}.json")
    kept = _kept(uri, task.task_cache, context)
    if kept is not None:
        context.log("INFO", "taskCache: its outputs are those of an earlier run")
        return TaskOutcome(outputs=kept)
    outcome = runner.run(properties, context)
    outcome = msgspec.structs.replace(outcome, outputs=context.guarded(outcome.outputs))
    if outcome.state is State.SUCCESS:
        _keep(uri, outcome.outputs, context)
    return outcome


def timeout_of(task: Task, render: Callable[[str], Any]) -> int | None:
    """After how many ms its run is overdue; None: never, as where its template gives nothing.

    Raises UserError for what is no duration.
    """
    if not task.timeout_template:
        return task.timeout
    given = render(task.timeout_template)
    if given in (None, ""):
        return None
    try:
        return to_ms(given)
    except ValueError as error:
        raise UserError(f"timeout: {error}") from None


def _rendered(properties: Mapping[str, Any], context: RunContext) -> Any:
    if any(path[0] in FOLDER_VARIABLES for path in names_of(properties)):
        return context.render_with(properties, folder_variables(context.working_dir))
    return context.render(properties)


def _key(task: Task, context: RunContext) -> str:
    """Of what the run is given: a hash shows nothing of a secret."""
    given: Any = task.properties
    try:
        given = _rendered(task.properties, context)
    except ExpressionError:  # its type renders some of it itself, of whatever there is
        given = [task.properties, context.variable()]
    text = msgspec.json.encode([task.type, given], order="sorted")
    return blake2b(text, digest_size=16).hexdigest()


def _kept(uri: str, cache: TaskCache, context: RunContext) -> dict[str, Any] | None:
    try:
        with context.blobs.open(uri) as file:
            found = msgspec.json.decode(file.read(), type=_Kept)
    except (NotFound, msgspec.DecodeError):
        return None
    fresh = cache.ttl is None or context.now() - found.at <= cache.ttl
    return found.outputs if fresh else None


def _keep(uri: str, outputs: dict[str, Any], context: RunContext) -> None:
    text = msgspec.json.encode(_Kept(context.now(), outputs))
    if f"{SCHEME}/".encode() in text:
        context.log("WARN", "taskCache: outputs that name files of this execution are not kept")
        return
    context.blobs.put(uri, io.BytesIO(text))

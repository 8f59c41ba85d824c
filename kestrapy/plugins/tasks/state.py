"""Tasks on states: small maps that a flow keeps from one execution to the next. Kestra has
replaced them by key-value pairs.
"""

from __future__ import annotations

import io
import re
from hashlib import blake2b
from typing import Any, ClassVar

import msgspec
from pydantic import Field

from kestrapy.errors import NotFound, UserError
from kestrapy.plugins.pairs import MAX_BYTES
from kestrapy.plugins.properties import (
    Expression,
    Properties,
    Template,
    Text,
    from_json,
    to_text,
)
from kestrapy.plugins.rendering import render_texts
from kestrapy.plugins.tasks.kv import merged
from kestrapy.ports.places import namespace_states
from kestrapy.ports.tasks import TaskContext, TaskFailed, TaskOutcome

READS = (("taskrun", "value"),)
"""What the type reads by itself: an iteration has a state of its own."""

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,99}")


class _State(Properties):
    """name: of the state, ``default`` by default. namespace: true: shared by the namespace's
    flows; false, the default: the flow's own. taskrunValue: true, the default: apart for each
    iteration's value.
    """

    name: Text = "default"
    namespace: bool | Expression = False
    taskrun_value: bool | Expression = True

    def uri(self, context: TaskContext) -> str:
        if not _NAME.fullmatch(self.name):
            raise UserError(
                f"name: {self.name[:80]!r} is no name of letters, digits, '.', '_', '-'"
            )
        flow = "_namespace" if self.namespace else context.flow_id
        value = context.variable("taskrun", "value") if self.taskrun_value else None
        own = "" if value is None else blake2b(to_text(value).encode(), digest_size=16).hexdigest()
        return f"{namespace_states(context.namespace)}/{flow}/{self.name}/state{own}.json"

    def read(self, context: TaskContext) -> dict[str, Any] | None:
        try:
            with context.shared.open(self.uri(context)) as content:
                return msgspec.json.decode(content.read(MAX_BYTES), type=dict[str, Any])
        except NotFound:
            return None


class SetProperties(_State):
    """data: a map, which is merged into the one that is kept. An expression in it gives a text."""

    late: ClassVar[frozenset[str]] = frozenset({"data"})
    data: dict[str, Any] | Template = Field(default_factory=dict)


class SetTask:
    """``io.kestra.plugin.core.state.Set``: ``outputs.count`` fields are kept, ``outputs.key``."""

    def run(self, properties: SetProperties, context: TaskContext) -> TaskOutcome:
        data = properties.data
        is_one = isinstance(data, str)
        data = from_json(context.render(data)) if is_one else render_texts(data, context)
        if not isinstance(data, dict):
            raise TaskFailed(f"data: expected a map, not {to_text(data)[:80]!r}")
        kept = merged(properties.read(context) or {}, data)
        content = msgspec.json.encode(kept)
        if len(content) > MAX_BYTES:
            raise TaskFailed(f"the state has {len(content)} bytes, at most {MAX_BYTES} are kept")
        uri = properties.uri(context)
        context.shared.put(uri, io.BytesIO(content))
        return TaskOutcome(outputs={"count": len(kept), "key": uri})


class GetProperties(_State):
    """errorOnMissing: fail where nothing is kept, false by default."""

    error_on_missing: bool | Expression = False


class GetTask:
    """``io.kestra.plugin.core.state.Get``: ``outputs.data``, and ``outputs.count`` fields."""

    def run(self, properties: GetProperties, context: TaskContext) -> TaskOutcome:
        data = properties.read(context)
        if data is None and properties.error_on_missing:
            raise TaskFailed(f"there is no state {properties.name!r}, and `errorOnMissing` is true")
        return TaskOutcome(outputs={"count": len(data or {}), "data": data or {}})


class DeleteProperties(_State):
    """errorOnMissing: fail where nothing is kept, false by default."""

    error_on_missing: bool | Expression = False


class DeleteTask:
    """``io.kestra.plugin.core.state.Delete``: ``outputs.deleted``."""

    def run(self, properties: DeleteProperties, context: TaskContext) -> TaskOutcome:
        deleted = context.shared.delete(properties.uri(context))
        if properties.error_on_missing and not deleted:
            raise TaskFailed(f"there is no state {properties.name!r}, and `errorOnMissing` is true")
        return TaskOutcome(outputs={"deleted": deleted})

"""What tasks that run other flows add to the core properties. The executor starts their
executions; of a ForEachItem, workers split the items and merge the outputs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal
from urllib.parse import quote, unquote

from pydantic import AfterValidator, Field

from kestrapy.language.expression import has_expression
from kestrapy.plugins.properties import (
    Expression,
    Instant,
    Properties,
    Text,
    validate_rendered,
)
from kestrapy.plugins.tasks.storage_split import SplitProperties, SplitRules, split
from kestrapy.plugins.tasks.streams import chunks, store
from kestrapy.ports.tasks import TaskContext, TaskOutcome


def _check_labels(value: Any) -> Any:
    if not isinstance(value, list | dict) and not has_expression(value):
        raise ValueError(f"expected a map, or a list of maps with key and value, got {value!r}")
    return value


class _Call(Properties):
    """namespace, flowId, revision: which flow; without a revision the latest one. inputs: by id.
    labels: that the execution gets beside its flow's own. wait: for its end. transmitFailed: fail,
    or warn, as it does. inheritLabels: it also gets the labels of this execution. scheduleDate:
    an instant, before which it does not start. restartBehavior: what becomes of an execution that
    failed when this one is restarted; RETRY_FAILED restarts it too, NEW_EXECUTION makes a new one.
    """

    namespace: Text
    flow_id: Text
    revision: int | Expression | None = None
    inputs: dict[str, Any] | Expression | None = None
    labels: Annotated[Any, AfterValidator(_check_labels)] = Field(default_factory=dict)
    wait: bool | Expression = True
    transmit_failed: bool | Expression = True
    inherit_labels: bool | Expression = False
    schedule_date: Instant | None = None
    restart_behavior: Literal["RETRY_FAILED", "NEW_EXECUTION"] = "RETRY_FAILED"


class SubflowProperties(_Call):
    """outputs: templates that the execution of a flow without outputs renders when it ends; an
    older form of these.
    """

    outputs: dict[str, Any] | None = None


class Batch(SplitRules):
    """As a Split deals rows out; one in each batch where nothing is said."""


class ForEachItemProperties(_Call):
    """items: URI of a file. batch: how its items are dealt out; each batch is a file, whose URI is
    ``taskrun.items`` in inputs, and its number ``taskrun.iteration``.
    """

    items: Text
    batch: Batch = Batch()


class BatchesProperties(_Call):
    """As of the ForEachItem."""


class SplitItemsProperties(Properties):
    """As of the ForEachItem."""

    items: Text
    batch: Batch = Batch()


class SplitItemsTask:
    """The first step of a ForEachItem: ``outputs.splits``, a file with the batches' URIs, and what
    the executor makes each URI of.
    """

    def run(self, properties: SplitItemsProperties, context: TaskContext) -> TaskOutcome:
        uri = properties.items
        rules = properties.batch.model_dump(by_alias=True, exclude_none=True)
        if not properties.batch.rules:
            rules["rows"] = 1
        name = PurePosixPath(unquote(uri))
        folder = _folder(context)
        prefix = f"{folder}/{quote(name.stem or 'batch')}-"
        count = 0

        def listed() -> Iterator[bytes]:
            nonlocal count
            given = validate_rendered(SplitProperties, {"from": uri, **rules})
            for path in split(given, context):
                batch = f"{prefix}{count}{quote(name.suffix)}"
                with path.open("rb") as content:
                    context.blobs.put(batch, content)
                count += 1
                yield f"{batch}\n".encode()

        splits = store("splits.txt", listed(), context)
        outputs = {"splits": splits, "numberOfBatches": count}
        return TaskOutcome(outputs={**outputs, "prefix": prefix, "suffix": quote(name.suffix)})


def _folder(context: TaskContext) -> str:
    task = context.task_id.replace("_", "-")
    return f"{context.execution_folder}/tasks/{task}/{context.task_run_id}/{context.epoch}"


class MergeOutputsProperties(Properties):
    """None: what is to be merged comes with the job."""


class MergeOutputsTask:
    """The last step of a ForEachItem: ``outputs.subflowOutputs``, a file with the outputs of its
    executions, a JSON object on each line, in the order of the batches as far as they go.
    """

    def run(self, properties: MergeOutputsProperties, context: TaskContext) -> TaskOutcome:
        outputs = context.variable("merging", "outputs") or []
        so_far = context.variable("merging", "uri")
        if not outputs:
            return TaskOutcome(outputs={"subflowOutputs": so_far} if so_far else {})
        lines = (_line(it) for _, it in sorted(outputs, key=lambda it: int(it[0])))
        if so_far is None:
            uri = store("outputs.jsonl", lines, context)
        else:
            with context.blobs.open(so_far) as content:
                uri = store("outputs.jsonl", chain(chunks(content), lines), context)
        return TaskOutcome(outputs={"subflowOutputs": uri})


def _line(outputs: Any) -> bytes:
    return json.dumps(outputs, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


class TemplateProperties(Properties):
    """namespace, templateId: which template. args: by name."""

    namespace: Text
    template_id: Text
    args: dict[str, Any] | Expression | None = None

"""FilterItems and DeduplicateItems: files of items, one JSON object on each line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import blake2b
from typing import IO, Any, ClassVar, Literal

from pydantic import Field

from kestrapy.errors import ExpressionError
from kestrapy.plugins.properties import Expression, Properties, Text, is_true, to_text
from kestrapy.plugins.tasks.streams import rows, store
from kestrapy.ports.tasks import TaskContext, TaskFailed, TaskOutcome

MAX_KEYS = 5_000_000
"""How many different keys DeduplicateItems keeps in memory, by their hashes."""


class FilterItemsProperties(Properties):
    """from: URI. filterCondition: a template of a truth, which reads the item's fields.

    filterType: INCLUDE (the default) keeps the items of which it is true, EXCLUDE the others.
    errorOrNullBehavior: of items for which it fails or is null: FAIL (the default), INCLUDE or
    EXCLUDE.
    """

    late: ClassVar[frozenset[str]] = frozenset({"filterCondition"})
    from_: Text = Field(alias="from")
    filter_condition: Text
    filter_type: Literal["INCLUDE", "EXCLUDE"] | Expression = "INCLUDE"
    error_or_null_behavior: Literal["FAIL", "INCLUDE", "EXCLUDE"] | Expression = "FAIL"


class FilterItemsTask:
    """``io.kestra.plugin.core.storage.FilterItems``: ``outputs.uri``, ``processedItemsTotal`` and
    ``droppedItemsTotal``.
    """

    def run(self, properties: FilterItemsProperties, context: TaskContext) -> TaskOutcome:
        total = dropped = 0

        def kept() -> Iterator[bytes]:
            nonlocal total, dropped
            with context.blobs.open(properties.from_) as content:
                for row, item in items(content):
                    total += 1
                    if _is_kept(item, total, properties, context):
                        yield row + b"\n"
                    else:
                        dropped += 1

        uri = store("filtered.jsonl", kept(), context)
        return TaskOutcome(
            outputs={"uri": uri, "processedItemsTotal": total, "droppedItemsTotal": dropped}
        )


def _is_kept(
    item: dict[str, Any], number: int, properties: FilterItemsProperties, context: TaskContext
) -> bool:
    try:
        truth = context.render_with(properties.filter_condition, item)
    except ExpressionError as error:
        return _despite(properties, f"item {number}: {error}")
    if truth is None or truth == "":
        return _despite(properties, f"item {number}: filterCondition is null")
    return is_true(truth) == (properties.filter_type == "INCLUDE")


def _despite(properties: FilterItemsProperties, why: str) -> bool:
    if properties.error_or_null_behavior == "FAIL":
        raise TaskFailed(f"{why}; errorOrNullBehavior may be INCLUDE or EXCLUDE")
    return properties.error_or_null_behavior == "INCLUDE"


class DeduplicateItemsProperties(Properties):
    """from: URI. expr: a template of an item's key, which reads the item's fields."""

    late: ClassVar[frozenset[str]] = frozenset({"expr"})
    from_: Text = Field(alias="from")
    expr: Text


class DeduplicateItemsTask:
    """``io.kestra.plugin.core.storage.DeduplicateItems``: the last item of each key is kept.

    ``outputs.uri``, ``processedItemsTotal``, ``droppedItemsTotal`` and ``numKeys``.
    """

    def run(self, properties: DeduplicateItemsProperties, context: TaskContext) -> TaskOutcome:
        last, total = self._last_of_each(properties, context)

        def kept() -> Iterator[bytes]:
            left = iter(sorted(last.values()))
            wanted = next(left, None)
            with context.blobs.open(properties.from_) as content:
                for number, (row, _) in enumerate(items(content, parse=False), 1):
                    if number == wanted:
                        yield row + b"\n"
                        wanted = next(left, None)

        uri = store("deduplicated.jsonl", kept(), context)
        return TaskOutcome(
            outputs={
                "uri": uri,
                "processedItemsTotal": total,
                "droppedItemsTotal": total - len(last),
                "numKeys": len(last),
            }
        )

    def _last_of_each(
        self, properties: DeduplicateItemsProperties, context: TaskContext
    ) -> tuple[dict[bytes, int], int]:
        """The number of the last item by the hash of its key; how many items there are."""
        last: dict[bytes, int] = {}
        number = 0
        with context.blobs.open(properties.from_) as content:
            for number, (_, item) in enumerate(items(content), 1):
                if context.ending:
                    raise TaskFailed("The run was ended before its time")
                key = to_text(context.render_with(properties.expr, item))
                last[blake2b(key.encode(), digest_size=16).digest()] = number
                if len(last) > MAX_KEYS:
                    raise TaskFailed(f"the file has more than {MAX_KEYS} keys")
        return last, number


def items(content: IO[bytes], parse: bool = True) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Each item's row, and the item; empty rows are passed over. parse: else all items are {}.

    Raises TaskFailed for a row that is no JSON object.
    """
    for number, row in enumerate(rows(content), 1):
        if row.strip():
            yield row, (_item(row, number) if parse else {})


def _item(row: bytes, number: int) -> dict[str, Any]:
    try:
        item = json.loads(row)
    except ValueError:
        item = None
    if not isinstance(item, dict):
        raise TaskFailed(f"line {number} is no JSON object: items stand one on each line")
    return item

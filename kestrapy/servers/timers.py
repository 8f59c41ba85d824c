"""The timers that a shard's state asks for: a heap that forgets what the state no longer wants."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush


class Timers:
    """One due time per key, in ms of any one clock."""

    def __init__(self) -> None:
        self._due: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []

    def set(self, key: str, due: int) -> None:
        """due 0: none any more."""
        if self._due.get(key, 0) == due:
            return
        if not due:
            del self._due[key]
            return
        self._due[key] = due
        heappush(self._heap, (due, key))
        if len(self._heap) > 2 * len(self._due) + 1000:
            self._heap = [(it, key) for key, it in self._due.items()]
            heapify(self._heap)

    def take(self, now: int, again_after: int) -> Iterator[tuple[str, int]]:
        """Those due at now, as (key, due). Each comes again after again_after ms while it is still
        set.
        """
        while self._heap and self._heap[0][0] <= now:
            _, key = heappop(self._heap)
            due = self._due.get(key)
            if due is not None and due <= now:
                heappush(self._heap, (now + again_after, key))
                yield key, due

    def next_due(self) -> int | None:
        """When ``take`` may give something next; None when nothing is set."""
        return self._heap[0][0] if self._heap else None

    def __len__(self) -> int:
        return len(self._due)

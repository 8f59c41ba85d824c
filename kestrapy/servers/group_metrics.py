"""Worker groups for Prometheus, from a board that another thread or loop reads."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from kestrapy.ports.clock import Clock
from kestrapy.servers.worker_board import GroupLoad, WorkerBoard

_LABELS = ("worker_group",)


class GroupCollector(Collector):
    """Says of each declared group what the board knows; nothing before it has read that.

    declared: keys of groups; those without live workers are shown with 0. A scrape asks nobody.
    """

    def __init__(self, board: WorkerBoard, declared: Callable[[], Collection[str]], clock: Clock):
        self._board = board
        self._declared = declared
        self._clock = clock

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        if not self._board.is_caught_up:
            return
        heard = self._board.groups()
        groups = [heard.get(key) or GroupLoad(key) for key in sorted({*self._declared(), *heard})]
        now = self._clock.wall()
        kinds: tuple[tuple[str, str, Callable[[GroupLoad], float]], ...] = (
            ("live_workers", "Live workers that take jobs.", lambda it: it.workers),
            ("waiting_jobs", "Jobs that no worker owns.", lambda it: it.waiting),
            ("running_jobs", "Jobs that workers own.", lambda it: it.running),
            (
                "oldest_job_age_seconds",
                "Since when the oldest job waits; 0 where none does.",
                lambda it: max(0, now - it.oldest_at) / 1000 if it.oldest_at else 0,
            ),
        )
        for name, what, value in kinds:
            family: Any = GaugeMetricFamily(f"kestrapy_worker_group_{name}", what, labels=_LABELS)
            for group in groups:
                family.add_metric([group.group], value(group))
            yield family

"""Flows drawn at random: every shape that the language has, small."""

from __future__ import annotations

from random import Random
from typing import Any

from tests.machine_driver import Document, flow, parallel, sequential, task

ROUTES: list[Document] = [
    {"key": "gpu"},
    {"key": "spare", "lane": "fast"},
    {"key": "spare", "fallback": "FAIL"},
    {"key": "gpu", "fallback": {"group": "spare"}},
    {"key": "gpu", "fallback": "CANCEL"},
    {"key": "{{ inputs.n ?? 'default' }}"},
    {"key": "{{ outputs.t1.value ?? '' }}"},
]


def random_flow(random: Random) -> Document:
    """random: also hypothesis' own, which shrinks what it draws."""
    return FlowMaker(random).flow()


class FlowMaker:
    """Ids are t1, t2… in the order in which the tasks are drawn; some read others' outputs."""

    def __init__(self, random: Random):
        self._random = random
        self._count = 0

    def flow(self) -> Document:
        properties: Document = self._blocks(1)
        if self._chance(0.3):
            properties["inputs"] = [{"id": "n", "type": "INT", "defaults": 3}]
        if self._chance(0.3):
            value = self._random.choice(["{{ outputs.t1.value }}", "{{ outputs.t1 ?? 1 }}", "x"])
            properties["outputs"] = [{"id": "o", "type": "STRING", "value": value}]
        if self._chance(0.05):
            properties["disabled"] = True
        return flow(*self._children(0), **properties)

    def _task(self, depth: int) -> Document:
        self._count += 1
        task_id = f"t{self._count}"
        properties = self._allowances()
        if depth > 3 or self._count > 9 or self._chance(0.6):
            return task(task_id, **properties, **self._work())
        properties |= self._blocks(depth + 1)
        children = self._children(depth)
        if self._chance(0.5):
            return sequential(task_id, *children, **properties)
        if self._chance(0.5):
            properties["concurrent"] = self._random.randint(1, 2)
        return parallel(task_id, *children, **properties)

    def _children(self, depth: int) -> list[Document]:
        return [self._task(depth + 1) for _ in range(self._random.randint(1, 3))]

    def _blocks(self, depth: int) -> Document:
        found: Document = {}
        for name in ("errors", "finally"):
            if self._chance(0.25):
                found[name] = self._children(depth)
        return found

    def _allowances(self) -> Document:
        chances = {"disabled": 0.1, "allowFailure": 0.15, "allowWarning": 0.1}
        return {name: True for name, chance in chances.items() if self._chance(chance)}

    def _work(self) -> Document:
        found: Document = {}
        if self._chance(0.4):
            found["retry"] = self._retry()
        if self._chance(0.4):
            found["format"] = f"{{{{ outputs.t{self._random.randint(1, 5)}.value ?? inputs.n }}}}"
        if self._chance(0.3):
            found["workerGroup"] = self._random.choice(ROUTES)
        if self._chance(0.2):
            found["onWorkerLost"] = self._random.choice(["RESUBMIT", "FAIL"])
        return found

    def _retry(self) -> Document:
        limits: list[Any] = [{"maxAttempts": 2}, {"maxAttempts": 4}, {"maxDuration": "PT5S"}, {}]
        kinds: list[Document] = [
            {"type": "constant", "interval": "PT0S"},
            {"type": "constant", "interval": "PT1S"},
            {"type": "exponential", "interval": "PT1S", "maxInterval": "PT5S"},
            {"type": "random", "minInterval": "PT1S", "maxInterval": "PT3S"},
        ]
        warning = {"warningOnRetry": True} if self._chance(0.3) else {}
        return {**self._random.choice(kinds), **self._random.choice(limits), **warning}

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability

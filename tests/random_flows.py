"""Flows drawn at random: every shape that the language has, small."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from tests.machine_driver import Document, flow, task

ROUTES: list[Document] = [
    {"key": "gpu"},
    {"key": "spare", "lane": "fast"},
    {"key": "spare", "fallback": "FAIL"},
    {"key": "gpu", "fallback": {"group": "spare"}},
    {"key": "gpu", "fallback": "CANCEL"},
    {"key": "{{ inputs.n ?? 'default' }}"},
    {"key": "{{ outputs.t1.value ?? '' }}"},
]
CONDITIONS = [
    *("{{ outputs.t1.value ?? false }}", "{{ inputs.n ?? 0 }}", "{{ taskrun.iteration == 1 }}"),
    *("{{ outputs.t2.value }}", "false"),
    *("{{ kv('k') }}", "{{ randomInt(0, 2) == 1 }}", "{{ secret('s') == taskrun.id }}"),
]
ASKED: list[list[Document]] = [
    [],
    [{"type": "io.kestra.plugin.core.condition.ExecutionStatus", "in": ["FAILED", "KILLED"]}],
    [
        {"type": "io.kestra.plugin.core.condition.ExecutionStatus", "notIn": ["FAILED"]},
        {
            "type": "io.kestra.plugin.core.condition.Expression",
            "expression": "{{ outputs.t1.value ?? labels.k }}",
        },
    ],
]
ASSERTED = [
    *("{{ outputs.t1.value ?? false }}", "{{ inputs.n ?? 0 }}", "{{ outputs.t2.value }}"),
    *("false", "{{ labels.k is not defined }}"),
]
TIMES = ["PT0S", "PT0.001S", "PT1S", "PT10M"]
DEEDS: list[Document] = [
    *({"type": "exit", "state": it} for it in ("KILLED", "FAILED", "SUCCESS", "CANCELED")),
    {"type": "labels", "labels": {"k": "{{ taskrun.id }}"}},
    {"type": "labels", "labels": '[{"key": "system.k", "value": 1}]'},
    {"type": "setVariables", "variables": {"v": "{{ vars }}"}},
    {"type": "unsetVariables", "variables": ["v"]},
]
CALLS: list[Document] = [
    {"type": "subflow", "inputs": {"n": "{{ inputs.n }}"}},
    {"type": "subflow", "wait": False, "labels": {"k": "{{ taskrun.id }}"}},
    {"type": "subflow", "transmitFailed": False, "flowId": "{{ outputs.t1.value }}"},
    {"type": "subflow", "retry": {"type": "constant", "interval": "PT1S", "maxAttempts": 2}},
    {"type": "subflow", "timeout": "PT1S", "retry": {"type": "constant", "interval": "PT1S"}},
    {"type": "subflow", "timeout": "PT1S", "wait": False},
    {"type": "forEachItem", "items": "kestra:///a", "inputs": {"i": "{{ taskrun.items }}"}},
    {"type": "forEachItem", "items": "kestra:///a", "wait": False, "transmitFailed": False},
    {
        "type": "forEachItem",
        "items": "kestra:///a",
        "inputs": {"i": "{{ read(taskrun.items) }}"},
        "retry": {"type": "constant", "interval": "PT1S", "maxAttempts": 2},
    },
]
VALUES: list[Any] = [
    *(["a", "b", "c"], '[1, {"k": 2}]', {"x": 1, "y": None}, [], "[1, null]"),
    *("{{ outputs.t1.value }}", "{{ [inputs.n, 'b', 'b'] }}", "{{ read('values.json') }}"),
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
        if self._chance(0.2):
            properties["afterExecution"] = self._children(0)
        if self._chance(0.2):
            properties["listeners"] = [self._listener() for _ in range(self._random.randint(1, 3))]
        if self._chance(0.2):
            properties["retry"] = self._retry()
        if self._chance(0.2):
            behavior = self._random.choice(["QUEUE", "QUEUE", "CANCEL", "FAIL"])
            properties["concurrency"] = {"limit": 2, "behavior": behavior}
        if self._chance(0.2):
            properties["sla"] = [self._sla() for _ in range(self._random.randint(1, 2))]
        if self._chance(0.1):
            properties["checks"] = [self._check()]
        if self._chance(0.05):
            properties["disabled"] = True
        return flow(*self._children(0), **properties)

    def _sla(self) -> Document:
        behavior = self._random.choice(["FAIL", "CANCEL", "NONE", "NONE"])
        kept: Document = {"id": "s", "behavior": behavior, "labels": {"k": "v"}}
        if self._chance(0.5):
            return {**kept, "type": "MAX_DURATION", "duration": self._random.choice(TIMES)}
        asserted = self._random.choice(ASSERTED)
        return {**kept, "type": "EXECUTION_ASSERTION", "assert": asserted}

    def _check(self) -> Document:
        behavior = self._random.choice(["BLOCK", "FAIL", "CREATE", "CREATE"])
        condition = self._random.choice(["{{ (inputs.n ?? 0) < 5 }}", "true", "false"])
        return {"condition": condition, "message": "m", "behavior": f"{behavior}_EXECUTION"}

    def _listener(self) -> Document:
        return {"tasks": self._children(3), "conditions": self._random.choice(ASKED)}

    def _task(self, depth: int) -> Document:
        self._count += 1
        task_id = f"t{self._count}"
        properties = self._allowances()
        if self._chance(0.05):
            return {"id": task_id, **self._random.choice(DEEDS), **properties}
        if self._chance(0.08):
            called = {"namespace": "other", "flowId": "called", **self._random.choice(CALLS)}
            return {"id": task_id, **called, **properties}
        if depth > 3 or self._count > 9 or self._chance(0.6):
            return task(task_id, **properties, **self._work())
        properties |= self._blocks(depth + 1)
        made = self._random.choice(self._flowables())(depth)
        if self._chance(0.15):
            properties["retry"] = self._retry()
        if self._chance(0.2):
            properties["timeout"] = self._random.choice(TIMES)
        return {"id": task_id, **made, **properties}

    def _flowables(self) -> list[Callable[[int], Document]]:
        """What makes a flowable task of a type, its children included."""
        plain = [self._sequential, self._parallel, self._each]
        return [
            *plain * 2,
            self._directory,
            self._choice,
            self._switch,
            self._dag,
            self._loop,
            self._wait,
        ]

    def _sequential(self, depth: int) -> Document:
        kind = self._random.choice(["sequential", "sequential", "allowFailure"])
        return {"type": kind, "tasks": self._children(depth)}

    def _parallel(self, depth: int) -> Document:
        limit = {"concurrent": self._random.randint(1, 2)} if self._chance(0.5) else {}
        return {"type": "parallel", "tasks": self._children(depth), **limit}

    def _choice(self, depth: int) -> Document:
        other = {"else": self._children(depth)} if self._chance(0.5) else {}
        condition = self._random.choice([*CONDITIONS, "true"])
        return {"type": "if", "condition": condition, "then": self._children(depth), **other}

    def _switch(self, depth: int) -> Document:
        cases = {name: self._children(depth) for name in ("3", "7")}
        other = {"defaults": self._children(depth)} if self._chance(0.5) else {}
        value = self._random.choice(["{{ inputs.n ?? 7 }}", "{{ taskrun.value }}", "3"])
        return {"type": "switch", "value": value, "cases": cases, **other}

    def _each(self, depth: int) -> Document:
        values = self._random.choice(VALUES)
        kind = self._random.choice(["forEach", "forEach", "eachSequential", "eachParallel"])
        if kind != "forEach":
            return {"type": kind, "value": values, "tasks": self._children(depth)}
        limit = self._random.randint(0, 2)
        tasks = self._children(depth)
        return {"type": kind, "values": values, "tasks": tasks, "concurrencyLimit": limit}

    def _dag(self, depth: int) -> Document:
        items: list[Document] = []
        for child in self._children(depth):
            before = [it["task"]["id"] for it in items if self._chance(0.5)]
            items.append({"task": child, "dependsOn": before})
        self._random.shuffle(items)
        return {"type": "dag", "tasks": items}

    def _loop(self, depth: int) -> Document:
        often = {"interval": "PT1S", "maxIterations": self._random.randint(1, 3)}
        return {
            "type": "loopUntil",
            "condition": self._random.choice(CONDITIONS),
            "checkFrequency": often,
            "failOnMaxReached": self._chance(0.5),
            "tasks": self._children(depth),
        }

    def _wait(self, depth: int) -> Document:
        found: Document = {"type": "pause"}
        if self._chance(0.5):
            found["pauseDuration"] = self._random.choice(["PT0S", "PT3S"])
            found["behavior"] = self._random.choice(["RESUME", "WARN", "CANCEL", "FAIL"])
        if self._chance(0.3):
            found["timeout"] = "PT2S"
        if self._chance(0.3):
            found["onPause"] = self._task(9)
        if self._chance(0.5):
            found["tasks"] = self._children(depth)
        return found

    def _directory(self, depth: int) -> Document:
        """Its tasks are those of a worker, and go where it goes."""
        tasks = []
        for _ in range(self._random.randint(1, 3)):
            self._count += 1
            of = self._allowances() | self._work()
            for name in ("workerGroup", "onWorkerLost", "retry"):  # a retry is the worker's
                of.pop(name, None)
            tasks.append(task(f"t{self._count}", **of))
        own = self._work()
        own.pop("format", None)
        return {"type": "workingDirectory", "tasks": tasks, **own}

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
        found: Document = {name: True for name, chance in chances.items() if self._chance(chance)}
        if self._chance(0.15):
            found["runIf"] = self._random.choice(CONDITIONS)
        return found

    def _work(self) -> Document:
        found: Document = {}
        if self._chance(0.4):
            found["retry"] = self._retry()
        if self._chance(0.4):
            other = self._random.randint(1, 5)
            found["format"] = self._random.choice(
                [
                    f"{{{{ outputs.t{other}.value ?? inputs.n }}}}",
                    f"{{{{ outputs.t{other}[taskrun.value].value ?? parent.taskrun.value ?? 1 }}}}",
                    f"{{{{ outputs.t{other} ?? parents }}}}",
                ]
            )
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
        other = {"behavior": "CREATE_NEW_EXECUTION"} if self._chance(0.15) else {}
        return {**self._random.choice(kinds), **self._random.choice(limits), **warning, **other}

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability

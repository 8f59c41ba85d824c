"""Kill and stop every kind of server while executions are created, then judge what came of it.

Longer than the test, by hand (an existing Kafka by KESTRAPY_KAFKA_BOOTSTRAP_SERVERS, or its own):

    python -m tests.acceptance.chaos --executions 5000 --seconds 600 --seed 7
"""

from __future__ import annotations

import argparse
import json
import math
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from kestrapy.adapters.kafka.provision import provide_kafka
from tests.acceptance import database, marks
from tests.acceptance.cluster import Cluster, Slot, send
from tests.acceptance.evidence import Follower
from tests.acceptance.judgement import judge

SERVERS = (
    *("indexer", "executor#1", "executor#2", "scheduler", "webserver"),
    *("worker:alpha#1", "worker:alpha#2", "worker:beta#1", "worker:beta#2"),
)
SETTINGS: dict[str, Any] = {
    "workerGroups": [{"key": "alpha"}, {"key": "beta"}],
    "jobPartitions": 4,
    # As low as the settings allow: a supervisor's death is mended after lostAfter.
    "worker": {"lease": "PT9.5S", "endTasks": "PT0.5S", "lostAfter": "PT10.5S", "threads": 8},
}
NAMESPACE = "acceptance"
SHAPES = {
    "one": """\
tasks:
  - {id: only, type: return, format: "{{ execution.id }}", workerGroup: {key: alpha}}
outputs: [{id: said, type: STRING, value: "{{ outputs.only.value }}"}]
""",
    "two": """\
tasks:
  - {id: first, type: return, format: "{{ inputs.word }}", workerGroup: {key: alpha}}
  - {id: second, type: return, format: "{{ outputs.first.value }}", workerGroup: {key: beta}}
inputs: [{id: word, type: STRING}]
outputs: [{id: said, type: STRING, value: "{{ outputs.second.value }}"}]
""",
    "fan": """\
tasks:
  - id: all
    type: parallel
    tasks:
      - {id: a, type: return, format: a, workerGroup: {key: alpha}}
      - {id: b, type: sleep, duration: PT0.7S, workerGroup: {key: beta}}
      - {id: c, type: log, message: "{{ taskrun.id }}", workerGroup: {key: beta}}
      - id: d
        type: fail
        condition: "{{ taskrun.attemptsCount == 0 }}"
        workerGroup: {key: alpha}
        retry: {type: constant, interval: PT0.2S, maxAttempts: 20}
""",
    "script": """\
tasks:
  - id: run
    type: shell.script
    workerGroup: {key: beta}
    script: |
SCRIPT
""",
}
WEIGHTS = {"one": 3, "two": 3, "fan": 3, "script": 3}
END_TIMEOUT = 120.0


@dataclass(frozen=True)
class Plan:
    """seconds: how long executions are created and servers killed. pause: between kills, s.
    at_once: how many servers are harmed, drawn each time. acts: weights of kill, away and stop.
    away: s, longer than the session of a consumer group."""

    seed: int
    executions: int = 500
    seconds: float = 60.0
    pause: tuple[float, float] = (0.5, 2.5)
    at_once: tuple[int, ...] = (1, 1, 1, 2, 3)
    acts: tuple[int, ...] = (8, 1, 1)
    away: float = 8.0
    clients: int = 8


def flow_source(shape: str, mark_file: Path) -> str:
    text = "".join(f"      {line}\n" for line in marks.script(mark_file).splitlines())
    return f"id: {shape}\nnamespace: {NAMESPACE}\n" + SHAPES[shape].replace("SCRIPT\n", text)


class Killer:
    """Harms servers while something goes on.

    kill: they are started again at once. away: they are for longer than their session, so that
    others take over. stop: they are for as long, and come back as zombies.
    """

    def __init__(self, cluster: Cluster, plan: Plan):
        self.harm: Counter[str] = Counter()
        self._cluster = cluster
        self._plan = plan
        self._random = random.Random(plan.seed)
        self._away: dict[str, tuple[float, Callable[[], None]]] = {}

    def run(self) -> None:
        """For the plan's time, in a thread that goes on. What has to end later, ends in peace."""
        end = time.monotonic() + self._plan.seconds
        while time.monotonic() < end:
            time.sleep(self._random.uniform(*self._plan.pause))
            self._mend(time.monotonic())
            here = [it for it in SERVERS if it not in self._away]
            at_once = min(len(here), self._random.choice(self._plan.at_once))
            for name in self._random.sample(here, at_once):
                self._harm(name)
        self._mend(math.inf)

    def _harm(self, name: str) -> None:
        act = self._random.choices(("kill", "away", "stop"), self._plan.acts)[0]
        slot, until = self._cluster.slots[name], time.monotonic() + self._plan.away
        # Of a worker: its child alone, which its supervisor starts again; its supervisor; or both.
        part = self._random.choice(("child", "supervisor", "both")) if slot.kind == "worker" else ""
        if act == "stop":
            # The supervisor goes on: it is what ends the tasks of a worker that is stopped.
            part = part and "child"
            self._away[name] = until, self._send(slot, signal.SIGSTOP, part)
        else:
            self._send(slot, signal.SIGKILL, part)
            if part != "child":
                slot.wait()
                due = until if act == "away" else 0.0
                self._away[name] = due, lambda: self._cluster.start(name)
        self.harm[" ".join(filter(None, (act, slot.kind, part)))] += 1
        self._mend(0.0)

    def _send(self, slot: Slot, number: signal.Signals, part: str) -> Callable[[], None]:
        """-> what lets those go on that were stopped."""
        reached = [*slot.worker_pids()] if part in ("child", "both") else []
        reached += [slot.pid] if part != "child" else []
        for pid in reached:
            send(pid, number)

        def go_on() -> None:
            for pid in reached:
                send(pid, signal.SIGCONT)

        return go_on

    def _mend(self, now: float) -> None:
        for name, (due, mend) in list(self._away.items()):
            if due <= now:
                del self._away[name]
                mend()


class Load:
    """Creates executions, evenly over the time. acknowledged: shape and word by execution."""

    def __init__(self, cluster: Cluster, plan: Plan):
        self.acknowledged: dict[str, tuple[str, str]] = {}
        self._api = cluster.api
        self._plan = plan
        chosen = random.Random(plan.seed)
        self._shapes = chosen.choices(
            list(WEIGHTS), weights=list(WEIGHTS.values()), k=plan.executions
        )

    def run(self) -> None:
        """Returns when each was acknowledged. Raises what a client met."""
        begin = time.monotonic()
        with ThreadPoolExecutor(self._plan.clients, "client") as clients:
            numbers = range(self._plan.executions)
            for _ in clients.map(lambda number: self._submit(number, begin), numbers):
                pass

    def _submit(self, number: int, begin: float) -> None:
        due = begin + self._plan.seconds * number / self._plan.executions
        threading.Event().wait(max(0.0, due - time.monotonic()))
        shape, word = self._shapes[number], f"word-{number}"
        inputs = {"word": word} if shape == "two" else {}
        self.acknowledged[self._api.submit(NAMESPACE, shape, **inputs)] = shape, word


def run(cluster: Cluster, plan: Plan) -> dict[str, Any]:
    """The whole run on a cluster that has no server yet. -> the summary; "problems" is empty where
    every promise was kept."""
    begin = time.monotonic()
    mark_file = cluster.folder / "marks"
    cluster.start(*SERVERS)
    cluster.await_ready()
    for shape in SHAPES:
        cluster.api.save_flow(flow_source(shape, mark_file))
    load, killer = Load(cluster, plan), Killer(cluster, plan)
    with ThreadPoolExecutor(1, "load") as threads:
        loading = threads.submit(load.run)
        killer.run()
        loading.result()
    parts = cluster.parts()
    with Follower(parts) as follower:
        follower.await_ends(load.acknowledged, END_TIMEOUT)
    url = cluster.settings.store_url
    cluster.wait_for(lambda: database.is_indexed(parts, url), "the indexer to have read everything")
    codes = cluster.stop()
    summary = judge(cluster, load.acknowledged, mark_file)
    summary["problems"] += [f"{it} ended with {code}" for it, code in codes.items() if code]
    summary["harm"] = dict(sorted(killer.harm.items()))
    summary["seed"], summary["seconds"] = plan.seed, round(time.monotonic() - begin)
    (cluster.folder / "summary.json").write_text(json.dumps(summary, indent=2))
    return summary


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--executions", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    plan = Plan(options.seed, options.executions, options.seconds)
    folder = Path(tempfile.mkdtemp(prefix="kestrapy-chaos-"))
    with (
        provide_kafka() as kafka,
        Cluster(folder, kafka.bootstrap_servers, f"c{uuid4().hex[:12]}.", SETTINGS) as cluster,
    ):
        summary = run(cluster, plan)
    print(json.dumps(summary, indent=2), f"logs: {folder}", sep="\n")
    return 1 if summary["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())

"""Kill, stop and restart every kind of server, and brokers, while executions are created; then
judge what came of it.

As long as one likes, by hand, on three brokers of its own:

    python -m tests.acceptance.chaos --executions 5000 --seconds 600 --seed 7
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from rich.console import Console
from rich.table import Table

from tests.acceptance import database, marks
from tests.acceptance.brokers import KAFKA, Brokers
from tests.acceptance.cluster import Cluster
from tests.acceptance.evidence import Follower
from tests.acceptance.faults import Faults, Timing
from tests.acceptance.judgement import judge

GROUPS = ("alpha", "beta", "gamma")
SERVERS = (
    *("indexer", "executor#1", "executor#2", "scheduler", "webserver"),
    *(f"worker:{group}#{number}" for group in GROUPS for number in (1, 2)),
)
SETTINGS: dict[str, Any] = {
    "workerGroups": [{"key": group} for group in GROUPS],
    "jobPartitions": 4,
    # As low as the settings allow: a supervisor's death is mended after lostAfter.
    "worker": {
        **{"lease": "PT9.5S", "endTasks": "PT0.5S", "lostAfter": "PT10.5S"},
        **{"threads": 8, "terminationGracePeriod": "PT5S"},
    },
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
      - {id: c, type: log, message: "{{ taskrun.id }}", workerGroup: {key: gamma}}
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
    "program": """\
tasks:
  - id: run
    type: shell.script
    workerGroup: {key: gamma}
    script: |
SCRIPT
""",
}
WEIGHTS = {"one": 3, "two": 3, "fan": 3, "script": 2, "program": 2}
END_TIMEOUT = 300.0


@dataclass(frozen=True)
class Plan:
    """seconds: how long executions are created, and servers and brokers harmed."""

    seed: int
    executions: int = 500
    seconds: float = 60.0
    rolling: int = 1
    clients: int = 8


def flow_source(shape: str, mark_file: Path) -> str:
    text = "".join(f"      {line}\n" for line in marks.script(mark_file).splitlines())
    return f"id: {shape}\nnamespace: {NAMESPACE}\n" + SHAPES[shape].replace("SCRIPT\n", text)


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


def run(cluster: Cluster, brokers: Brokers | None, plan: Plan) -> dict[str, Any]:
    """The whole run on a cluster that has no server yet. -> the summary; "problems" is empty where
    every promise was kept. brokers: None to leave them in peace."""
    begin = time.monotonic()
    mark_file = cluster.folder / "marks"
    cluster.start(*SERVERS)
    cluster.await_ready()
    for shape in SHAPES:
        cluster.api.save_flow(flow_source(shape, mark_file))
    load = Load(cluster, plan)
    timing = Timing(plan.seconds, rolling=plan.rolling)
    faults = Faults(cluster, brokers, plan.seed, SERVERS, timing)
    parts, url = cluster.parts(), cluster.settings.store_url

    def use() -> None:
        load.run()
        faults.harm.over.wait()
        with Follower(parts) as follower:
            follower.await_ends(load.acknowledged, END_TIMEOUT)
        cluster.wait_for(lambda: database.is_indexed(parts, url), "the indexer to have read all")

    with ThreadPoolExecutor(1, "user") as threads:
        using = threads.submit(use)
        faults.run(using.done)
        using.result()
    codes = cluster.stop()
    summary = judge(cluster, load.acknowledged, mark_file)
    ends = [f"{it} ended with {code}" for it, code in codes.items() if code]
    summary["problems"] += ends + faults.harm.problems
    summary["verdict"]["servers that did not end well"] = len(ends + faults.harm.problems)
    summary["harm"] = dict(sorted(faults.harm.done.items())) | {"spared": faults.harm.spared}
    summary["seed"], summary["seconds"] = plan.seed, round(time.monotonic() - begin)
    (cluster.folder / "summary.json").write_text(json.dumps(summary, indent=2))
    return summary


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--executions", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rolling", type=int, default=1, help="restarts of all servers (1)")
    parser.add_argument("--out", type=Path, help="also write the summary there, as JSON")
    options = parser.parse_args()
    plan = Plan(options.seed, options.executions, options.seconds, options.rolling)
    folder = Path(tempfile.mkdtemp(prefix="kestrapy-chaos-"))
    with (
        Brokers(folder / "kafka") as brokers,
        Cluster(folder, brokers.servers, f"c{uuid4().hex[:12]}.", SETTINGS, KAFKA) as cluster,
    ):
        summary = run(cluster, brokers, plan)
    if options.out is not None:
        options.out.write_text(json.dumps(summary, indent=2) + "\n")
    show(summary)
    print(f"everything: {folder / 'summary.json'}, logs beside it")
    return 1 if summary["problems"] else 0


def show(summary: Mapping[str, Any]) -> None:
    """The verdict, what was done, and the first problems."""
    verdict = Table("promise", "broken", title=f"seed {summary['seed']}")
    for promise, count in summary["verdict"].items():
        verdict.add_row(promise, str(count), style="red" if count else "")
    counts = Table("counted", "")
    for name, value in summary.items():
        if isinstance(value, int):
            counts.add_row(name, str(value))
    harm = Table("fault", "times")
    for fault, times in summary["harm"].items():
        harm.add_row(fault, str(times))
    Console(width=100).print(verdict, counts, harm, *summary["problems"][:20])


if __name__ == "__main__":
    sys.exit(main())

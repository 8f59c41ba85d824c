"""How well slots are used: skewed jobs on two workers, and short jobs on one slot.

    python -m benchmarks.waiting skew [--dispatch share] [--seeds 1,2,3] [--out FILE]
    python -m benchmarks.waiting one-slot [--dispatch share] [--jobs N] [--out FILE]

One executor and the workers run as processes on a real Kafka. A job is an execution of one Sleep
task; the time goes from the first record sent to the last end read.

skew: 2 workers × 2 slots, 200 jobs, 10 % of 2 s, the others of 50 ms, in an order that the seed
draws. The figure is the makespan over that of list scheduling: each job, in that order, goes to the
slot that is free first, without any cost.
one-slot: jobs of 100 ms on 1 worker × 1 slot; 10 jobs/s would be no time between two.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import platform
import random
import secrets
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from benchmarks.smoke import has_ended
from kestrapy.adapters.kafka.provision import provide_kafka
from kestrapy.assembly.servers import ensure_topics, parts_of
from kestrapy.assembly.standalone import Child
from kestrapy.config import load_settings
from kestrapy.machine.commands import ExecutionSubmitted, FlowSaveRequested
from kestrapy.model.ids import derive_execution_id
from kestrapy.ports.log import Partition
from kestrapy.servers.flow_catalogue import FlowCatalogue

GROUP = "bench"
LONG, SHORT, TENTH = 2_000, 50, 100
FLOW = """\
id: sleep-{ms}
namespace: bench
tasks:
  - id: sleep
    type: io.kestra.plugin.core.flow.Sleep
    duration: PT{seconds}S
    workerGroup: {{key: bench}}
"""
SETTLED = 4.0
"""Seconds after the first jobs ended: each worker has its partitions by then."""


class Cluster:
    """An executor and the workers of one group, and a client that speaks to them by the log."""

    def __init__(self, servers: str, folder: Path, workers: int, slots: int, dispatch: str):
        config = folder / "config.yaml"
        config.write_text(
            yaml.safe_dump(
                {
                    "dataDir": str(folder),
                    "kafka": {
                        "bootstrapServers": servers,
                        "topicPrefix": f"bench-{secrets.token_hex(4)}.",
                    },
                    "workerGroups": [{"key": GROUP, "dispatch": dispatch}],
                    "worker": {"workerGroup": GROUP, "threads": slots},
                }
            )
        )
        self._parts = parts_of(load_settings(config, {}), "bench")
        ensure_topics(self._parts)
        names = ["executor", *(f"worker-{number}" for number in range(workers))]
        tail = ["--config", str(config)]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("KESTRAPY_")}
        self._children = [
            Child(
                it,
                ["server", it.split("-")[0], *tail],
                f"bench-{it}",
                folder / f"{it}.log",
                environment,
            )
            for it in names
        ]
        for child in self._children:
            child.start(0)
        self._producer = self._parts.log.producer()
        self._flows = FlowCatalogue(self._parts.log, self._parts.codec, self._parts.catalogue)
        for ms in (LONG, SHORT, TENTH):
            source = FLOW.format(ms=ms, seconds=ms / 1000)
            self._send(FlowSaveRequested("bench", f"sleep-{ms}", source))
        self._producer.flush(10)
        while any(
            self._flows.latest("bench", f"sleep-{it}") is None for it in (LONG, SHORT, TENTH)
        ):
            self._flows.poll(0.5)
        topics = self._parts.catalogue
        events = [Partition(topics.execution_events, it) for it in range(topics.shards)]
        self._reader = self._parts.log.reader()
        self._reader.assign({it: self._reader.end_offset(it, 10) for it in events})

    def _send(self, record: object) -> None:
        self._producer.send(self._parts.router.message(record))

    def go(self, jobs: Sequence[int]) -> tuple[float, dict[str, Any]]:
        """jobs: ms of each. -> seconds from the first record to the last end, and what was seen."""
        start = time.perf_counter()
        open_ids = set()
        for number, ms in enumerate(jobs):
            shard = number % self._parts.catalogue.shards
            at = self._parts.clock.wall()
            execution_id = derive_execution_id(shard, at, secrets.token_hex(8))
            open_ids.add(execution_id)
            self._send(ExecutionSubmitted(execution_id, "bench", f"sleep-{ms}", 1))
        self._producer.flush(30)
        epochs: dict[str, int] = {}
        jobs_of: Counter[str] = Counter()
        last_end: dict[str, float] = {}
        while open_ids:
            for record in self._reader.poll(1000, 0.5):
                event = self._parts.codec.decode(record).record
                run = event.task_run
                if run is not None and run.state.is_terminal:
                    epochs[run.id] = run.epoch
                    jobs_of[run.worker_id] += 1
                    last_end[run.worker_id] = time.perf_counter() - start
                if has_ended(event):
                    open_ids.discard(event.execution_id)
        seen = {
            "handed_out_again": sum(epochs.values()) - len(epochs),
            "jobs_by_worker": [jobs_of[it] for it in sorted(jobs_of)],
            "last_end_by_worker_s": [round(last_end[it], 2) for it in sorted(last_end)],
        }
        return time.perf_counter() - start, seen

    def close(self) -> None:
        for child in reversed(self._children):
            if child.process is not None:
                child.process.terminate()
        for child in self._children:
            if child.process is not None:
                child.process.wait(30)


@contextmanager
def cluster_on(servers: str, workers: int, slots: int, dispatch: str) -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory(prefix="kestrapy-waiting-") as name:
        cluster = Cluster(servers, Path(name), workers, slots, dispatch)
        try:
            yield cluster
        finally:
            cluster.close()


def list_scheduling(jobs: Sequence[int], slots: int) -> float:
    """Seconds until all are done where each goes to the slot that is free first."""
    free = [0] * slots
    for ms in jobs:
        heapq.heapreplace(free, free[0] + ms)
    return max(free) / 1000


def skewed(seed: int, count: int) -> list[int]:
    long = count // 10
    jobs = [LONG] * long + [SHORT] * (count - long)
    random.Random(seed).shuffle(jobs)
    return jobs


def skew(servers: str, dispatch: str, seeds: Sequence[int], count: int) -> dict[str, object]:
    rounds = []
    with cluster_on(servers, 2, 2, dispatch) as cluster:
        cluster.go([SHORT] * 40)
        time.sleep(SETTLED if dispatch == "consumer" else 3 * SETTLED)
        for seed in seeds:
            jobs = skewed(seed, count)
            bound = list_scheduling(jobs, 4)
            took, seen = cluster.go(jobs)
            rounds.append({"seed": seed, "bound_s": bound, "ratio": round(took / bound, 3)} | seen)
            print(rounds[-1], file=sys.stderr)
    ratios = [float(str(it["ratio"])) for it in rounds]
    return {"rounds": rounds, "ratio_median": statistics.median(ratios), "ratio_worst": max(ratios)}


def one_slot(servers: str, dispatch: str, count: int) -> dict[str, object]:
    rates = []
    with cluster_on(servers, 1, 1, dispatch) as cluster:
        cluster.go([SHORT] * 10)
        for _ in range(3):
            took, seen = cluster.go([TENTH] * count)
            rates.append(round(count / took, 2))
            print(rates[-1], "jobs/s", seen, file=sys.stderr)
    return {"jobs": count, "jobs_per_s": rates, "jobs_per_s_median": statistics.median(rates)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("what", choices=("skew", "one-slot"))
    parser.add_argument("--dispatch", choices=("consumer", "share"), default="consumer")
    parser.add_argument("--seeds", default="1,2,3", help="of skew (1,2,3)")
    parser.add_argument("--jobs", type=int, default=200, help="per round (200)")
    parser.add_argument("--out", type=Path, help="also write the result there")
    options = parser.parse_args()
    with provide_kafka() as kafka:
        print(kafka.description, file=sys.stderr)
        servers = kafka.bootstrap_servers
        if options.what == "skew":
            seeds = [int(it) for it in options.seeds.split(",")]
            result = skew(servers, options.dispatch, seeds, options.jobs)
        else:
            result = one_slot(servers, options.dispatch, options.jobs)
    result = {"benchmark": options.what, "dispatch": options.dispatch} | result
    result["python"] = platform.python_version()
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()

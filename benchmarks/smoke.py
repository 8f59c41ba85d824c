"""How fast a one-task execution goes through the real servers, beside the floor, in one run.

    python -m benchmarks.smoke [--executions N] [--rounds N] [--out FILE]

Executor, worker and indexer run as processes on a real Kafka (an existing one, a container, or the
embedded broker), the store is SQLite. An execution is created by a record in ``requests`` and has
ended when its last event is read. Rounds of engine and floor alternate, so that both see the same
machine. The last line is JSON: executions/s (best round), latency of one at a time (median and 95th
percentile), and the ratios to the floor.
"""

from __future__ import annotations

import argparse
import json
import platform
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from benchmarks.floor import Floor
from kestrapy.adapters.kafka.provision import provide_kafka
from kestrapy.assembly.servers import ensure_topics, parts_of
from kestrapy.assembly.standalone import Standalone
from kestrapy.config import Settings, load_settings
from kestrapy.machine.commands import ExecutionSubmitted, FlowSaveRequested
from kestrapy.machine.outputs import ExecutionEvent
from kestrapy.model.ids import derive_execution_id
from kestrapy.ports.log import Partition
from kestrapy.servers.flow_catalogue import FlowCatalogue

FLOW = """\
id: smoke
namespace: bench
tasks:
  - id: answer
    type: io.kestra.plugin.core.debug.Return
    format: "hello from {{ execution.id }}"
"""
SERVERS = ("executor", "worker-default", "indexer")
SLOTS = 64


class Engine:
    """The servers, and a client that speaks to them through the log."""

    def __init__(self, settings: Settings, config: Path, folder: Path):
        self._parts = parts_of(settings, "smoke")
        ensure_topics(self._parts)
        self._servers = Standalone(settings, config, folder)
        self._servers.children = [it for it in self._servers.children if it.name in SERVERS]
        self._servers.look()
        self._producer = self._parts.log.producer()
        self._flows = FlowCatalogue(self._parts.log, self._parts.codec, self._parts.catalogue)
        self._send(FlowSaveRequested("bench", "smoke", FLOW))
        self._producer.flush(10)
        while self._flows.latest("bench", "smoke") is None:
            self._flows.poll(0.5)
            self._servers.look()
        topics = self._parts.catalogue
        events = [Partition(topics.execution_events, it) for it in range(topics.shards)]
        self._reader = self._parts.log.reader()
        self._reader.assign({it: self._reader.end_offset(it, 10) for it in events})
        self.go(20)

    def _send(self, record: object) -> None:
        self._producer.send(self._parts.router.message(record))

    def go(self, count: int) -> float:
        """-> seconds from the first creation to the last end."""
        start = time.perf_counter()
        open_ids = set()
        for number in range(count):
            shard = number % self._parts.catalogue.shards
            at = self._parts.clock.wall()
            execution_id = derive_execution_id(shard, at, secrets.token_hex(8))
            open_ids.add(execution_id)
            self._send(ExecutionSubmitted(execution_id, "bench", "smoke", 1))
            if number % 100 == 0:
                self._producer.poll()
        self._producer.flush(30)
        while open_ids:
            for record in self._reader.poll(1000, 0.5):
                event = self._parts.codec.decode(record).record
                if has_ended(event):
                    open_ids.discard(event.execution_id)
        return time.perf_counter() - start

    def close(self) -> None:
        self._servers.stop()


def has_ended(event: ExecutionEvent) -> bool:
    return event.execution is not None and event.execution.state.is_terminal


@contextmanager
def engine_on(servers: str, commit: str) -> Iterator[Engine]:
    with tempfile.TemporaryDirectory(prefix="kestrapy-smoke-") as name:
        folder = Path(name)
        config = folder / "config.yaml"
        config.write_text(
            yaml.safe_dump(
                {
                    "dataDir": str(folder),
                    "kafka": {
                        "bootstrapServers": servers,
                        "topicPrefix": f"smoke-{secrets.token_hex(4)}.",
                    },
                    "executor": {"commit": commit},
                    "worker": {"threads": SLOTS, "terminationGracePeriod": 5_000},
                }
            )
        )
        engine = Engine(load_settings(config, {}), config, folder)
        try:
            yield engine
        finally:
            engine.close()


def latencies(go: Callable[[int], float], count: int) -> list[float]:
    """Of one execution at a time, in ms, sorted."""
    return sorted(go(1) * 1000 for _ in range(count))


def measure(
    go: dict[str, Callable[[int], float]], executions: int, rounds: int
) -> dict[str, object]:
    rates: dict[str, list[float]] = {name: [] for name in go}
    alone: dict[str, list[float]] = {name: [] for name in go}
    for number in range(rounds):
        for name, run in go.items():
            rates[name].append(executions / run(executions))
            alone[name] += latencies(run, 30)
            print(
                f"round {number + 1}/{rounds} {name:6} {rates[name][-1]:7.0f} executions/s,"
                f" latency {statistics.median(alone[name]):5.1f} ms",
                file=sys.stderr,
            )
    found: dict[str, object] = {}
    for name in go:
        ordered = sorted(alone[name])
        found[name] = {
            "executions_per_s": round(max(rates[name])),
            "latency_ms_p50": round(ordered[len(ordered) // 2], 2),
            "latency_ms_p95": round(ordered[int(len(ordered) * 0.95)], 2),
        }
    best = {name: max(values) for name, values in rates.items()}
    middle = {name: statistics.median(values) for name, values in alone.items()}
    found["ratios"] = {
        "throughput_engine_to_floor": round(best["engine"] / best["floor"], 3),
        "latency_engine_to_floor": round(middle["engine"] / middle["floor"], 3),
    }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--executions", type=int, default=2_000, help="per round (2000)")
    parser.add_argument("--rounds", type=int, default=3, help="of engine and floor (3)")
    parser.add_argument("--commit", choices=("log", "per-batch"), default="log")
    parser.add_argument("--out", type=Path, help="also write the result there")
    options = parser.parse_args()
    with provide_kafka() as kafka:
        print(kafka.description, file=sys.stderr)
        floor = Floor(kafka.bootstrap_servers)
        try:
            with engine_on(kafka.bootstrap_servers, options.commit) as engine:
                result = measure(
                    {"engine": engine.go, "floor": floor.go}, options.executions, options.rounds
                )
        finally:
            floor.close()
    result |= {
        "benchmark": "smoke",
        "commit": options.commit,
        "executions": options.executions,
        "rounds": options.rounds,
        "python": platform.python_version(),
    }
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()

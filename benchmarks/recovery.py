"""How long it takes until the work of what died goes on, on three brokers.

    python -m benchmarks.recovery [--only NAME ...] [--rounds N] [--executions N] [--out FILE]

All servers run as processes with the default times; replication is 3, two replicas in sync. What
a task does is told by the task itself, which writes into a file when it starts and that it is alive
(boot time, to 10 ms); what servers decide, by the append times of the topics. Prints a table; the
last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import platform
import secrets
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from confluent_kafka.admin import AdminClient
from rich.console import Console
from rich.table import Table

from kestrapy.machine.commands import ExecutionSubmitted, Heartbeat, WorkerLost
from kestrapy.machine.entities import execution_of
from kestrapy.model.ids import derive_execution_id
from kestrapy.model.state import State
from tests.acceptance import marks
from tests.acceptance.brokers import COUNT, KAFKA, Brokers
from tests.acceptance.cluster import BASIC, Cluster, send
from tests.acceptance.evidence import Seen, partitions_of, read_topic
from tests.acceptance.ownership import Ownership

NAMESPACE = "recovery"
GROUP = "alpha"
EMPTY_GROUP = "nobody"
SETTINGS: dict[str, Any] = {
    "workerGroups": [{"key": GROUP}, {"key": EMPTY_GROUP}],
    "jobPartitions": 8,
    "worker": {"threads": 32},  # so that no job waits for a slot
}
WORKERS = (f"worker:{GROUP}#1", f"worker:{GROUP}#2")
SESSION = 6.0
"""Seconds after which Kafka notices a dead member of a consumer group."""
TIMEOUT = 120.0
EXECUTORS = ("executor", "executor#2")


@dataclass
class Goal:
    """What a measurement found. seconds: one of each round, or of each thing that was measured.
    at_most: s. facts: what else must hold, and whether it did."""

    name: str
    measured: str
    at_most: float
    seconds: list[float] = field(default_factory=list)
    facts: dict[str, bool] = field(default_factory=dict)

    @property
    def is_reached(self) -> bool:
        return bool(self.seconds) and max(self.seconds) <= self.at_most and all(self.facts.values())

    def document(self) -> dict[str, Any]:
        found = self.seconds or [0.0]
        return {
            "measured": self.measured,
            "at_most_s": self.at_most,
            "rounds": len(self.seconds),
            "min_s": round(min(found), 2),
            "median_s": round(statistics.median(found), 2),
            "max_s": round(max(found), 2),
            **({"facts": self.facts} if self.facts else {}),
            "reached": self.is_reached,
        }


class Site:
    """The servers, and a client that speaks to them through the log."""

    def __init__(self, cluster: Cluster, brokers: Brokers):
        self.cluster = cluster
        self.brokers = brokers
        self.mark_file = cluster.folder / "marks"
        self.stop_file = cluster.folder / "stop"
        cluster.start(*BASIC, *WORKERS)
        cluster.await_ready()
        for source in self._flows():
            cluster.api.save_flow(source)
        self.parts = cluster.parts()
        self._producer = self.parts.log.producer()
        self._admin = AdminClient({"bootstrap.servers": brokers.servers, "log_level": 0})
        worker = cluster.settings.worker
        self.lease, self.lost_after = worker.lease / 1000, worker.lost_after / 1000

    def _flows(self) -> Iterator[str]:
        scripts = {
            "lasting": marks.lasting(self.mark_file, self.stop_file),
            "short": marks.brief(self.mark_file),
        }
        for name, script in scripts.items():
            text = "".join(f"      {line}\n" for line in script.splitlines())
            yield (
                f"id: {name}\nnamespace: {NAMESPACE}\ntasks:\n  - id: run\n    type: shell.script\n"
                f"    workerGroup: {{key: {GROUP}}}\n    script: |\n{text}"
            )
        task = f"{{id: wait, type: return, workerGroup: {{key: {EMPTY_GROUP}}}}}"
        yield f"id: waiting\nnamespace: {NAMESPACE}\ntasks: [{task}]\n"

    def submit(self, flow: str, count: int, shards: list[int] | None = None) -> set[str]:
        """By records in ``requests``. -> ids of the executions, which are in the log."""
        among = shards or list(range(self.parts.catalogue.shards))
        ids = set()
        for number in range(count):
            at, token = self.parts.clock.wall(), secrets.token_hex(8)
            execution_id = derive_execution_id(among[number % len(among)], at, token)
            ids.add(execution_id)
            record = ExecutionSubmitted(execution_id, NAMESPACE, flow, 1)
            self._producer.send(self.parts.router.message(record))
            if number % 100 == 0:
                self._producer.poll()
        if self._producer.flush(60):
            raise AssertionError("not all executions were acknowledged")
        return ids

    def marks_of(self, ids: set[str], epoch: int) -> dict[str, marks.Epoch]:
        """By task run: the runs of these executions in that epoch."""
        found = marks.read_marks(self.mark_file)
        return {
            run: it for (run, at), it in found.items() if at == epoch and execution_of(run) in ids
        }

    def await_started(self, ids: set[str], epoch: int, count: int) -> dict[str, marks.Epoch]:
        self.cluster.wait_for(
            lambda: len(self.marks_of(ids, epoch)) >= count,
            f"{count} tasks of epoch {epoch}",
            TIMEOUT,
        )
        return self.marks_of(ids, epoch)

    def lasting(self, count: int = 8) -> tuple[set[str], set[str]]:
        """Long tasks on both workers. -> ids of their executions; task runs of the first worker,
        at least one."""
        ids: set[str] = set()
        held: set[str] = set()
        first = self.cluster.slots[WORKERS[0]].pid
        while not held:  # all may go to one worker
            ids |= self.submit("lasting", count)
            running = self.await_started(ids, 1, len(ids))
            held = {run for run, it in running.items() if it.supervisor == first}
        return ids, held

    def end_tasks(self, ids: set[str]) -> None:
        """Whatever of these still runs, ends by itself."""
        self.stop_file.touch()

        def over() -> bool:
            found = marks.read_marks(self.mark_file)
            mine = [run for run, _ in found if execution_of(run) in ids]
            good = {run for (run, _), it in found.items() if it.ends}
            return set(mine) <= good

        self.cluster.wait_for(over, "tasks to end", TIMEOUT)
        self.stop_file.unlink()

    def restart(self, name: str) -> None:
        self.cluster.start(name)
        self.cluster.await_ready(name)

    def read(self, topic: str) -> list[Seen]:
        return read_topic(self.parts, topic)

    def executions(self) -> list[Seen]:
        return self.read(self.parts.catalogue.executions)

    @contextmanager
    def following(self) -> Iterator[Callable[[], list[Seen]]]:
        """-> gives the events that came since the last time."""
        places = partitions_of(self.parts, self.parts.catalogue.execution_events)
        reader = self.parts.log.reader()
        reader.assign({it: reader.end_offset(it, TIMEOUT) for it in places})
        deadline = time.monotonic() + TIMEOUT

        def new_events() -> list[Seen]:
            if time.monotonic() > deadline:
                raise AssertionError(f"what was waited for did not come in {TIMEOUT:g} s")
            return [Seen(it, self.parts.codec.decode(it)) for it in reader.poll(5_000, 0.1)]

        try:
            yield new_events
        finally:
            reader.close()

    def shards_of(self, executor: str) -> list[int]:
        """Which shards the group says are that executor's."""
        group = f"{self.parts.catalogue.prefix}executor"
        found = self._admin.describe_consumer_groups([group])[group].result(TIMEOUT)
        return sorted(
            place.partition
            for member in found.members
            if member.group_instance_id == executor
            for place in member.assignment.topic_partitions
        )


def again(site: Site, ids: set[str], held: set[str], since: float) -> float:
    """Seconds until the last one of these task runs started in its next epoch."""
    site.cluster.wait_for(
        lambda: held <= site.marks_of(ids, 2).keys(), "the lost tasks to run again", TIMEOUT
    )
    found = site.marks_of(ids, 2)
    return max(min(found[run].times) for run in held) - since


def boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


# What is measured


def worker_killed(site: Site, rounds: int) -> Iterator[Goal]:
    goal = Goal(
        "worker process killed",
        "SIGKILL of a worker until the last one of its running tasks started again; its supervisor"
        " lives",
        3.0,
    )
    for _ in range(rounds):
        ids, held = site.lasting()
        since = boottime()
        for pid in site.cluster.slots[WORKERS[0]].worker_pids():
            send(pid, signal.SIGKILL)
        goal.seconds.append(again(site, ids, held, since))
        site.end_tasks(ids)
        site.cluster.await_ready(*WORKERS)
    yield goal


def both_killed(site: Site, rounds: int) -> Iterator[Goal]:
    running = Goal(
        "worker and supervisor killed, running jobs",
        "SIGKILL of both until the last one of their running tasks started on another worker",
        site.lost_after + 2,
    )
    waiting = Goal(
        "worker and supervisor killed, waiting jobs",
        "from when a worker was stopped, so that it claims nothing, and killed at once, until the"
        " last job of 24 that came to the group in that moment started on another worker",
        SESSION + 3,
    )
    for _ in range(rounds):
        ids, held = site.lasting(6)
        slot = site.cluster.slots[WORKERS[0]]
        pids = [*slot.worker_pids(), slot.pid]
        since = boottime()
        for pid in pids:
            send(pid, signal.SIGSTOP)
        fresh = site.submit("short", 24)
        for pid in pids:
            send(pid, signal.SIGKILL)
        slot.wait()
        found = site.await_started(fresh, 1, len(fresh))
        waiting.seconds.append(max(min(it.times) for it in found.values()) - since)
        running.seconds.append(again(site, ids, held, since))
        site.end_tasks(ids | fresh)
        site.restart(WORKERS[0])
    yield running
    yield waiting


def worker_stopped(site: Site, rounds: int) -> Iterator[Goal]:
    ended = Goal(
        "worker stopped past its lease, its tasks end",
        "SIGSTOP of a worker until the last sign of life of its tasks, while it is stopped; in"
        " every second round its supervisor is stopped as well",
        site.lease + 1,
    )
    moved = Goal(
        "worker stopped past its lease, its jobs run again",
        "SIGSTOP until the last one of them started on another worker",
        site.lost_after + 2,
    )
    for number in range(rounds):
        ids, held = site.lasting()
        slot = site.cluster.slots[WORKERS[0]]
        before = site.cluster.worker_ids(slot.pid)
        pids = [*slot.worker_pids(), *([slot.pid] if number % 2 else [])]
        since = boottime()
        for pid in pids:
            send(pid, signal.SIGSTOP)
        moved.seconds.append(again(site, ids, held, since))
        first = site.marks_of(ids, 1)
        ended.seconds.append(max(max(first[run].times) for run in held) - since)
        went_on = boottime()
        for pid in pids:
            send(pid, signal.SIGCONT)
        site.cluster.wait_for(
            lambda before=before, pid=slot.pid: bool(site.cluster.worker_ids(pid) - before),  # type: ignore[misc]
            "the worker that was stopped to be replaced",
        )
        site.end_tasks(ids)
        first = site.marks_of(ids, 1)
        fact = "nothing runs on when it is continued"
        ended.facts[fact] = ended.facts.get(fact, True) and all(
            max(first[run].times) < went_on for run in held
        )
        fact = "each epoch was started once, by its owner"
        seen = site.executions()
        ended.facts[fact] = not marks.problems(
            marks.read_marks(site.mark_file), Ownership(seen).owners, site.cluster.worker_ids
        )
    yield ended
    yield moved


def broker_killed(site: Site, rounds: int) -> Iterator[Goal]:
    goal = Goal(
        "one of three brokers killed",
        f"longest pause between two heartbeats of a worker in the log; each of {COUNT} brokers in"
        " turn, for longer than a lease",
        site.lease,
    )
    ids, _ = site.lasting()
    begin = site.parts.clock.wall()
    for number in range(max(rounds, COUNT)):
        site.cluster.wait_for(site.brokers.are_in_sync, "replicas in sync", TIMEOUT)
        mend = site.brokers.kill(number % COUNT)
        back = boottime() + site.lease + 2
        site.cluster.wait_for(lambda back=back: boottime() > back, "a lease's time", TIMEOUT)  # type: ignore[misc]
        mend()
    goal.facts["no task ran anew"] = not site.marks_of(ids, 2)
    site.end_tasks(ids)
    heard: dict[str, list[int]] = {}
    for seen in site.read(site.parts.catalogue.workers):
        it = seen.content
        if isinstance(it, Heartbeat) and it.kind == "worker" and seen.record.timestamp >= begin:
            heard.setdefault(it.worker_id, []).append(seen.record.timestamp)
    goal.seconds += [
        max(b - a for a, b in pairwise(times)) / 1000 for times in heard.values() if len(times) > 1
    ]
    goal.facts["no worker was lost"] = not any(
        isinstance(it.content, WorkerLost) and it.record.timestamp >= begin
        for it in site.executions()
    )
    yield goal


def executor_killed(site: Site, rounds: int, executions: int) -> Iterator[Goal]:
    restarted = Goal(
        "executor killed, restarted by its parent",
        f"SIGKILL of an executor with {executions} running executions until an execution asked for"
        " after that runs, in the last one of its shards",
        5.0,
    )
    taken = Goal(
        "executor killed, another takes over",
        "the same, but it is not started again",
        SESSION + 5,
    )
    site.restart("executor#2")
    site.cluster.wait_for(lambda: all(map(site.shards_of, EXECUTORS)), "a share for both")
    # Each has half of the shards, so each has as many as are wanted.
    with site.following() as new_events:
        waited = site.submit("waiting", 2 * executions)
        while waited:
            waited -= {it.content.execution_id for it in new_events() if is_running(it)}
    for number in range(rounds):
        restarted.seconds.append(next_decision(site, EXECUTORS[number % 2], restart=True))
        taken.seconds.append(next_decision(site, EXECUTORS[number % 2], restart=False))
        site.restart(EXECUTORS[number % 2])
        site.cluster.wait_for(lambda: all(map(site.shards_of, EXECUTORS)), "a share for both")
    yield restarted
    yield taken


def next_decision(site: Site, victim: str, restart: bool) -> float:
    """Seconds from the executor's end until new executions run in all that were its shards."""
    shards = site.shards_of(victim)
    with site.following() as new_events:
        since = site.parts.clock.wall()
        site.cluster.kill(victim)
        if restart:
            site.cluster.start(victim)
        waited = site.submit("waiting", len(shards), shards)
        at = since
        while waited:
            for seen in new_events():
                if seen.content.execution_id in waited and is_running(seen):
                    waited.discard(seen.content.execution_id)
                    at = max(at, seen.record.timestamp)
    return (at - since) / 1000


def is_running(event: Seen) -> bool:
    told = event.content.execution
    return told is not None and told.state is State.RUNNING


def show(goals: list[Goal]) -> None:
    table = Table("what died", "goal", "rounds", "min", "median", "max", "", title="seconds")
    for goal in goals:
        it = goal.document()
        figures = [f"{it[name]:.2f}" for name in ("min_s", "median_s", "max_s")]
        reached = "reached" if goal.is_reached else "MISSED"
        table.add_row(goal.name, f"<= {goal.at_most:g}", str(it["rounds"]), *figures, reached)
    Console(width=120, stderr=True).print(table)


MEASUREMENTS: dict[str, Callable[[Site, int], Iterator[Goal]]] = {
    "worker": worker_killed,
    "both": both_killed,
    "stopped": worker_stopped,
    "broker": broker_killed,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    names = (*MEASUREMENTS, "executor")
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--rounds", type=int, default=3, help="of each measurement (3)")
    parser.add_argument("--executions", type=int, default=10_000, help="running ones (10000)")
    parser.add_argument(
        "--out", type=Path, help="also keep the result there, beside what others left"
    )
    options = parser.parse_args()
    goals: list[Goal] = []
    with tempfile.TemporaryDirectory(prefix="kestrapy-recovery-") as name:
        folder = Path(name)
        with (
            Brokers(folder / "kafka") as brokers,
            Cluster(folder, brokers.servers, "recovery.", SETTINGS, KAFKA) as cluster,
        ):
            site = Site(cluster, brokers)
            for measured in options.only:
                if measured == "executor":
                    goals += executor_killed(site, options.rounds, options.executions)
                else:
                    goals += MEASUREMENTS[measured](site, options.rounds)
                show(goals)
    measured_now = {goal.name: goal.document() for goal in goals}
    result = {
        "benchmark": "recovery",
        "goals": measured_now,
        "brokers": COUNT,
        "python": platform.python_version(),
    }
    if options.out:
        earlier = json.loads(options.out.read_text())["goals"] if options.out.exists() else {}
        kept = result | {"goals": earlier | measured_now}
        options.out.write_text(json.dumps(kept, indent=2) + "\n")
    print(json.dumps(result))
    return 0 if all(goal.is_reached for goal in goals) else 1


if __name__ == "__main__":
    sys.exit(main())

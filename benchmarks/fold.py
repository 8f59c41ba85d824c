"""Microseconds of an executor's thread for one execution: ``python -m benchmarks.fold``.

A one-task flow goes through a shard's stage without a broker: its commands are decoded, folded, and
what goes out is encoded. Best of five rounds; CPU time, so that other processes matter little.
"""

from __future__ import annotations

from collections.abc import Callable
from time import process_time
from typing import Any

from kestrapy.language.flow import parse_flow
from kestrapy.language.plan import Plan
from kestrapy.machine.commands import Claimed, Command, ExecutionCreated, Result, Source
from kestrapy.machine.entities import Entity, Group, group_key
from kestrapy.machine.folds import ExecutionFold
from kestrapy.machine.outputs import Granted, Job
from kestrapy.machine.stage import Arrival, Position, Stage
from kestrapy.machine.turn import Rules
from kestrapy.model.ids import derive_execution_id
from kestrapy.model.state import State
from kestrapy.model.worker_group import DEFAULT_GROUP, GroupSettings
from kestrapy.plugins.registry import REGISTRY
from kestrapy.ports.log import Record
from kestrapy.servers.router import Router
from kestrapy.wire.codec import Codec
from kestrapy.wire.topics import Catalogue

FLOW = """\
id: smoke
namespace: bench
tasks:
  - id: answer
    type: io.kestra.plugin.core.debug.Return
    format: "hello from {{ execution.id }}"
"""
ROUNDS, EXECUTIONS = 5, 1_000
STEPS = ("decode", "fold", "encode")


class Bench:
    """One stage; ``spent``: seconds by step."""

    def __init__(self) -> None:
        plan = Plan(parse_flow(FLOW, REGISTRY), REGISTRY)
        rules = Rules(flow=lambda *_: plan, inline=lambda *_: plan)
        roomy = Group(GroupSettings(DEFAULT_GROUP), workers=1, slots=1_000)
        known: dict[str, Entity] = {group_key(DEFAULT_GROUP): roomy}
        self.stage = Stage(ExecutionFold(rules), known, Position())
        self.router = Router(Codec(), Catalogue(shards=1))
        self.spent = dict.fromkeys(STEPS, 0.0)
        self.records = 0
        self.at = 1_790_000_000_000

    def _timed(self, step: str, call: Callable[..., Any], *arguments: Any) -> Any:
        start = process_time()
        result = call(*arguments)
        self.spent[step] += process_time() - start
        return result

    def tell(self, command: Command) -> list[Any]:
        """-> what went out."""
        self.at += 1
        offset = self.stage.position.offset
        value, headers = self.router.codec.encode(command)
        record = Record("executions", 0, offset, self.at, b"", value, headers)
        envelope = self._timed("decode", self.router.codec.decode, record)
        folded = self._timed("fold", self.stage.fold, Arrival(envelope.record, self.at, offset))
        assert folded.poison is None, folded.poison
        for index, output in enumerate(folded.outputs):
            source = Source(self.stage.name, 0, offset, index)
            self._timed("encode", self.router.messages, output, source, folded.traces[index])
            self.records += 1
        return folded.outputs

    def execution(self, number: int) -> None:
        execution_id = derive_execution_id(0, self.at, str(number))
        out = self.tell(ExecutionCreated(execution_id, "bench", "smoke", 1))
        job = next(it for it in out if isinstance(it, Job))
        out = self.tell(Claimed(job.task_run_id, job.epoch, "worker"))
        assert any(isinstance(it, Granted) for it in out)
        self.tell(Result(job.task_run_id, job.epoch, "worker", State.SUCCESS, '{"value":"hello"}'))


def main() -> None:
    rounds = []
    for _ in range(ROUNDS):
        bench = Bench()
        for number in range(EXECUTIONS):
            bench.execution(number)
        rounds.append(bench)
    best = {step: min(it.spent[step] for it in rounds) / EXECUTIONS * 1e6 for step in STEPS}
    for step, spent in best.items():
        print(f"{step:7} {spent:7.1f} µs")
    print(f"{'all':7} {sum(best.values()):7.1f} µs, {rounds[0].records / EXECUTIONS:.1f} records")


if __name__ == "__main__":
    main()

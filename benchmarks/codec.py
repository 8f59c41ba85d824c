"""Microseconds to encode and to decode one record of each type: ``python -m benchmarks.codec``.

Best of five rounds, in one thread, headers and source included. Sizes are bytes of the value.
"""

from __future__ import annotations

from timeit import repeat
from typing import Any

from kestrapy.machine.commands import (
    Claimed,
    ExecutionCreated,
    ExecutionRequested,
    Heartbeat,
    Result,
    Source,
    TimerDue,
)
from kestrapy.machine.outputs import (
    AttemptSnapshot,
    ExecutionEvent,
    ExecutionSnapshot,
    Granted,
    Job,
    LogEntry,
    StateChange,
    TaskRunSnapshot,
)
from kestrapy.model.state import State
from kestrapy.ports.log import Record
from kestrapy.wire.codec import Codec

ROUNDS, CALLS = 5, 5_000
RUN, EXECUTION, WORKER = "01hq3x9abcdeabcdef", "01hq3x9abcdef", "worker-1-0af76519"
NAMESPACE, FLOW, TASK = "company.team", "hello-world", "say-hello"
LOG_TASK = "io.kestra.plugin.core.log.Log"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
AT = 1_790_000_000_000
HISTORY = [StateChange(state, AT) for state in (State.CREATED, State.RUNNING, State.SUCCESS)]

SAMPLES: dict[str, Any] = {
    "ExecutionRequested": ExecutionRequested("order-4711", NAMESPACE, FLOW, labels={"team": "a"}),
    "Claimed": Claimed(RUN, 1, WORKER),
    "Granted": Granted(WORKER, RUN, 1),
    "Result": Result(RUN, 1, WORKER, State.SUCCESS, '{"value": "hello"}'),
    "Heartbeat": Heartbeat(WORKER, 17, "worker", "default", 8, 3, "0.1.0"),
    "Job": Job(
        *(RUN, 1, EXECUTION, NAMESPACE, FLOW, 3, TASK, LOG_TASK, "default", 1),
        task=f'{{"id": "{TASK}", "type": "{LOG_TASK}", "message": "{{{{ inputs.name }}}}"}}',
        variables='{"inputs": {"name": "world"}}',
        chain="b7ad6b7169203331",
    ),
    "LogEntry": LogEntry(
        *(EXECUTION, RUN, 1, 1, 0, AT, "INFO", "hello, world", NAMESPACE, FLOW, TASK)
    ),
    "ExecutionEvent, execution": ExecutionEvent(
        *(EXECUTION, 4711, AT, NAMESPACE, FLOW, 3),
        ExecutionSnapshot(State.SUCCESS, HISTORY, "{}", "{}", {"team": "a"}, "{}", None, ""),
        chain="b7ad6b7169203331",
    ),
    "ExecutionEvent, task run": ExecutionEvent(
        *(EXECUTION, 4711, AT, NAMESPACE, FLOW, 3),
        task_run=TaskRunSnapshot(
            *(RUN, TASK, "", None, -1, 0, State.SUCCESS, HISTORY),
            [AttemptSnapshot(1, WORKER, HISTORY)],
            *('{"value": "hello"}', "", "default", WORKER, 1),
        ),
        chain="b7ad6b7169203331",
    ),
    "ExecutionCreated (internal)": ExecutionCreated(EXECUTION, NAMESPACE, FLOW, 3),
    "TimerDue (internal)": TimerDue(RUN, AT),
}


def microseconds(call: Any) -> float:
    """The least that one call took."""
    return min(repeat(call, number=CALLS, repeat=ROUNDS)) / CALLS * 1e6


def main() -> None:
    codec, source = Codec(), Source("executions", 3, 471_100, 2)
    print(f"{'record':30} {'bytes':>6} {'encode µs':>10} {'decode µs':>10}")
    for name, sample in SAMPLES.items():
        value, headers = codec.encode(sample, source=source, traceparent=TRACE)
        record = Record("executions", 3, 471_101, AT, b"key", value, headers)
        expected = frozenset({type(sample)})

        def encode(sample: Any = sample) -> None:
            codec.encode(sample, source=source, traceparent=TRACE)

        def decode(record: Record = record, expected: frozenset[type] = expected) -> None:
            codec.decode(record, expected)

        times = f"{microseconds(encode):10.1f} {microseconds(decode):10.1f}"
        print(f"{name:30} {len(value):6} {times}")


if __name__ == "__main__":
    main()

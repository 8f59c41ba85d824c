"""Record histories under this build's logic version: ``python -m tests.compatibility.record``.

For a new version only. What is recorded stays as it is for as long as a build knows the version: to
record it anew hides that the rules have changed. It refuses to overwrite a file.
"""

from __future__ import annotations

import sys
from random import Random

import msgspec

from kestrapy.machine.commands import (
    Command,
    ExecutionEnded,
    ExecutionRequested,
    ExecutionSubmitted,
    FlowSaveRequested,
    Heartbeat,
    Held,
    JobRequested,
    Lineage,
    SlotReleased,
    SlotWanted,
    Suspect,
    TriggerDefined,
    TriggerDefinition,
    TriggerDue,
    TriggerFired,
    TriggerScheduled,
    TriggerToggled,
    WorkerGone,
)
from kestrapy.machine.stage import LOGIC_VERSION, Arrival
from kestrapy.model.ids import derive_execution_id, digest
from kestrapy.model.state import State
from tests.compatibility.stored import SHARDS, StoredHistory, digest_of, path_of, store
from tests.random_flows import random_flow
from tests.random_histories import History

SEEDS = range(12)
STEPS = 50
DAILY = TriggerDefinition("daily", "schedule", properties='{"cron":"@daily"}')
UID = "n/f/daily"
FIRED = derive_execution_id(digest(UID, 90_000, bits=32) % SHARDS, 90_000, "trigger", UID, 90_000)
"""The execution of the first date."""

OTHERS: dict[str, list[Command]] = {
    "requests": [
        ExecutionRequested("k1", "n", "f", inputs='{"a":1}', labels={"x": "y", "b": "c"}),
        ExecutionRequested("k1", "n", "f"),
        JobRequested("k2", "gpu", "a.b.Return", '{"format":"hi"}', '{"a":[1,2]}'),
        ExecutionSubmitted("id", "n", "f", 3, trigger=TriggerFired("daily", "schedule", UID)),
        ExecutionRequested("", "n", "f"),
        ExecutionSubmitted("id2", "n", "f", 3, not_before=9_000, lineage=Lineage("id", 2, 1_000)),
    ],
    "admission": [
        FlowSaveRequested("n", "f", "one", triggers=(DAILY,)),
        FlowSaveRequested("n", "f", "one", triggers=(DAILY,)),
        FlowSaveRequested("n", "f", "two", disabled=True, triggers=(DAILY,)),
        FlowSaveRequested("n", "f", "three"),
        *(SlotWanted("n", "f", f"e{number}", 3, 1, number != 2) for number in range(6)),
        SlotReleased("n", "f", "e3"),
        SlotReleased("n", "f", "e1", 1),
        SlotWanted("n", "f", "e3", 3, 1, True, restarts=1),
        SlotWanted("n", "f", "e5", 3, 1, True, forced=True),
        SlotReleased("n", "f", "e0"),
        SlotReleased("n", "f", "e0"),
        SlotReleased("n", "f", "e5"),
        FlowSaveRequested("n", "f", "four", limit=5),
    ],
    "workers": [
        Heartbeat("w1", 1, worker_group="gpu", slots=4),
        Held("w2"),
        Suspect("w1", 0),
        Suspect("w1", 1),
        Heartbeat("w1", 2),
        WorkerGone("w2"),
        Suspect("w2", 0),
    ],
    "triggers": [
        TriggerDefined(UID, "n", "f", 1, DAILY),
        TriggerScheduled(UID, 1, 1_000, 90_000, 180_000),
        TriggerDue(UID, 90_000),
        TriggerScheduled(UID, 1, 90_000, 180_000, 270_000),
        TriggerDue(UID, 180_000),
        ExecutionEnded(UID, FIRED, State.SUCCESS),
        TriggerToggled(UID, disabled=True),
        TriggerToggled(UID, disabled=False),
        TriggerDefined(UID, "n", "f", 2, None),
    ],
}


def histories() -> list[StoredHistory]:
    """Of executions, drawn at random; of the other stages, by hand."""
    found = []
    for seed in SEEDS:
        random = Random(seed)
        flows = [random_flow(random), random_flow(random)]
        driver = History(Random(seed)).play(STEPS).settle().driver
        found.append(StoredHistory("executions", flows, [store(it) for it in driver.log]))
    for stage, commands in OTHERS.items():
        arrivals = [Arrival(it, 1_000 + 500 * place, place) for place, it in enumerate(commands)]
        found.append(StoredHistory(stage, [], [store(it) for it in arrivals]))
    return found


def main() -> int:
    path = path_of(LOGIC_VERSION)
    if path.exists():
        print(f"{path.name} is there: it may not change while a build knows this version")
        return 1
    recorded = histories()
    for history in recorded:
        history.digest = digest_of(history)
    lines = b",\n".join(msgspec.json.encode(it) for it in recorded)
    path.write_bytes(b"[" + lines + b"]\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

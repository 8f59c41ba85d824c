"""What tasks themselves write: when an epoch ran, and below which supervisor."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

Fence = tuple[str, int]
INIT = 1


def script(file: Path) -> str:
    """A shell script that runs for about a second; PPID is the guardian, whose parent kept it."""
    return f"""\
mark() {{ read up _ < /proc/uptime; echo "$1 $KESTRAPY_TASK_RUN_ID $KESTRAPY_EPOCH $boss $up" \
>> '{file}'; }}
while read key value; do [ "$key" != PPid: ] || boss=$value; done < /proc/$PPID/status
mark start
for _ in 1 2 3 4 5; do sleep 0.2; mark alive; done
mark end
"""


def brief(file: Path) -> str:
    """The same, but it ends at once."""
    return "".join(
        line for line in script(file).splitlines(keepends=True) if not line.startswith("for ")
    )


def lasting(file: Path, stop: Path) -> str:
    """The same, but its first epoch goes on until it is ended, or until the file stop is there."""
    going_on = f"while [ $KESTRAPY_EPOCH = 1 ] && [ ! -e '{stop}' ]"
    return script(file).replace("mark end", f"{going_on}; do sleep 0.2; mark alive; done\nmark end")


class Span(NamedTuple):
    """first, last: of its marks, s since boot."""

    first: float
    last: float


@dataclass
class Epoch:
    """supervisor: its pid. times: of all marks, s since boot."""

    supervisor: int
    starts: int = 0
    ends: int = 0
    times: list[float] = field(default_factory=list)


def read_marks(file: Path) -> dict[Fence, Epoch]:
    found: dict[Fence, Epoch] = {}
    for line in file.read_text().splitlines() if file.exists() else ():
        what, run, epoch, supervisor, time = line.split()
        it = found.setdefault((run, int(epoch)), Epoch(int(supervisor)))
        it.starts += what == "start"
        it.ends += what == "end"
        it.times.append(float(time))
    return found


def problems(
    marks: Mapping[Fence, Epoch],
    owners: Mapping[Fence, str],
    worker_ids: Callable[[int], set[str]],
) -> list[str]:
    """Epochs that started twice or below another worker than their owner; runs that overlap."""
    wrong = []
    by_run = defaultdict(list)
    for fence, epoch in marks.items():
        by_run[fence[0]].append((fence[1], Span(min(epoch.times), max(epoch.times))))
        if epoch.starts != 1 or epoch.ends > 1:
            wrong.append(f"{fence} started {epoch.starts} times")
        # A task that finds no supervisor any more is about to be ended by its guardian.
        orphaned = epoch.supervisor == INIT and not epoch.ends
        if not orphaned and owners.get(fence, "") not in worker_ids(epoch.supervisor):
            wrong.append(f"{fence} of {owners.get(fence)} ran below {epoch.supervisor}")
    for run, spans in by_run.items():
        for (_, earlier), (epoch_number, later) in zip(
            sorted(spans), sorted(spans)[1:], strict=False
        ):
            if later.first < earlier.last:
                wrong.append(f"{run}: epoch {epoch_number} ran before the one before it ended")
    return wrong

"""Who owned which epoch, from the order of claims and results alone: kestrapy's machine is not
asked.

The rule is one line long: the first claim of an epoch owns it, unless its worker was lost before.
What the owner says first, before it is lost, is what counts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from kestrapy.machine.commands import Claimed, Result, Returned, WorkerLost
from kestrapy.machine.outputs import Granted, Job
from tests.acceptance.evidence import Seen

Fence = tuple[str, int]
"""Task run id and epoch."""
LOST = "lost"


class Ownership:
    """owners: "" where the first claim was a dead worker's. ends: the accepted Result or Returned,
    or LOST."""

    def __init__(self, executions: Iterable[Seen]):
        self.owners: dict[Fence, str] = {}
        self.ends: dict[Fence, Result | Returned | str] = {}
        self.dropped = 0
        self._dead: set[tuple[int, str]] = set()
        for seen in executions:
            self._take(seen.record.partition, seen.content)

    def _take(self, shard: int, said: object) -> None:
        match said:
            case Claimed(task_run_id=run, epoch=epoch, worker_id=worker):
                dead = (shard, worker) in self._dead
                self.owners.setdefault((run, epoch), "" if dead else worker)
            case Result(task_run_id=run, epoch=epoch) | Returned(task_run_id=run, epoch=epoch):
                fence = run, epoch
                if self.owners.get(fence) == said.worker_id and fence not in self.ends:
                    self.ends[fence] = said
                else:
                    self.dropped += 1
            case WorkerLost(worker_id=worker):
                self._dead.add((shard, worker))
                for fence, owner in self.owners.items():
                    if owner == worker and fence not in self.ends and _shard(fence) == shard:
                        self.ends[fence] = LOST

    def problems(self, jobs: Iterable[Seen], inbox: Iterable[Seen]) -> list[str]:
        """Of grants and of results."""
        return [*self.wrong_grants(inbox), *self.wrong_results(jobs)]

    def wrong_grants(self, inbox: Iterable[Seen]) -> list[str]:
        """Those to others than the owner."""
        grants = [it.content for it in inbox if isinstance(it.content, Granted)]
        return [
            f"{_fence(it)} was granted to {it.worker_id}, not to its owner"
            for it in grants
            if self.owners.get(_fence(it)) != it.worker_id
        ]

    def wrong_results(self, jobs: Iterable[Seen]) -> list[str]:
        """Task runs without exactly one result that counts, in their last epoch."""
        wrong = []
        epochs = defaultdict(set)
        for seen in jobs:
            epochs[seen.content.task_run_id].add(seen.content.epoch)
        for run, found in epochs.items():
            last = max(found)
            if found != set(range(1, last + 1)):
                wrong.append(f"{run} has the epochs {sorted(found)}")
            good = [epoch for epoch in found if self.has_succeeded((run, epoch))]
            if good != [last]:
                wrong.append(f"{run}: epochs {good} of {last} have a result that counts")
        return wrong

    def has_succeeded(self, fence: Fence) -> bool:
        end = self.ends.get(fence)
        return isinstance(end, Result) and end.state == "SUCCESS"


def _fence(it: Granted | Job) -> Fence:
    return it.task_run_id, it.epoch


def _shard(fence: Fence) -> int:
    return int(fence[0][:2], 36)

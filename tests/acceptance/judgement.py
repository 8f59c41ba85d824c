"""Whether every promise was kept: from the topics, the database, tasks' marks, and the logs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from kestrapy.assembly.parts import Parts
from kestrapy.machine.commands import Claimed
from kestrapy.machine.outputs import ExecutionEvent
from kestrapy.model.state import State
from tests.acceptance import database, marks, refold
from tests.acceptance.cluster import Cluster
from tests.acceptance.evidence import Seen, keep_newest, read_topic
from tests.acceptance.ownership import LOST, Ownership

ALARMS = ("Traceback", "diverged", "could not be folded")

Asked = tuple[str, str]
"""Shape and word of an execution that was acknowledged."""


VERDICT = (
    ("lost", ("outcomes", "dead letters", "results without a task that ended")),
    ("started by two owners at once", ("grants", "marks")),
    ("task runs without exactly one accepted result", ("results",)),
    ("diverged", ("refold",)),
    ("database differs from the log", ("database",)),
    ("alarms in logs", ("logs",)),
)
"""What the promises come down to, and which kinds of problems are counted in each row."""


def judge(cluster: Cluster, acknowledged: Mapping[str, Asked], mark_file: Path) -> dict[str, Any]:
    """-> "verdict", a number for each promise, all 0 where they were kept; "problems", a line for
    each that was not; and what was counted beside."""
    found = read_all(cluster.parts())
    ownership = Ownership(found.executions)
    ran = marks.read_marks(mark_file)
    refolded = refold.refold(cluster.parts(), found.executions)
    wrong = {
        "grants": ownership.wrong_grants(found.inbox),
        "results": ownership.wrong_results(found.jobs),
        "refold": refold.problems(refolded, found.events, found.jobs, found.inbox),
        "database": database.problems(cluster.settings.store_url, found.events, found.logs),
        "marks": marks.problems(ran, ownership.owners, cluster.worker_ids),
        "results without a task that ended": unfounded(ownership, found.jobs, ran),
        "outcomes": outcomes(acknowledged, found.events),
        "dead letters": [it.content.reason for it in found.letters],
        "logs": alarms(cluster),
    }
    return {
        "verdict": {row: sum(len(wrong[kind]) for kind in kinds) for row, kinds in VERDICT},
        "problems": [f"{name}: {it}" for name, lines in wrong.items() for it in lines],
        "executions": dict(Counter(shape for shape, _ in acknowledged.values())),
        **found.counts(),
        "epochs lost": sum(end == LOST for end in ownership.ends.values()),
        "results dropped": ownership.dropped,
        "scripts begun": len(ran),
        "scripts ended": sum(it.ends for it in ran.values()),
        "starts of servers": sum(len(it.log_files) for it in cluster.slots.values()),
    }


class Found(NamedTuple):
    """What stands in the topics."""

    executions: list[Seen]
    events: list[Seen]
    jobs: list[Seen]
    inbox: list[Seen]
    logs: list[Seen]
    letters: list[Seen]

    def counts(self) -> dict[str, int]:
        """Executions count those, too, whose acknowledgement was lost and that were asked for
        again."""
        return {
            "executions made": len({it.content.execution_id for it in self.events}),
            "commands": len(self.executions),
            "task runs": len({it.content.task_run_id for it in self.jobs}),
            "epochs": len({(it.content.task_run_id, it.content.epoch) for it in self.jobs}),
            "claims": sum(isinstance(it.content, Claimed) for it in self.executions),
            "events": len(self.events),
            "events written twice": _twice(self.events),
            "jobs written twice": _twice(self.jobs),
        }


def read_all(parts: Parts) -> Found:
    topics = parts.catalogue
    return Found(
        executions=read_topic(parts, topics.executions),
        events=read_topic(parts, topics.execution_events),
        jobs=[it for group in parts.groups for it in read_topic(parts, topics.jobs(group))],
        inbox=read_topic(parts, topics.inbox),
        logs=read_topic(parts, topics.logs),
        letters=read_topic(parts, topics.dead_letter),
    )


def unfounded(
    ownership: Ownership, jobs: list[Seen], ran: Mapping[marks.Fence, marks.Epoch]
) -> list[str]:
    """Scripts whose success counts, though they did not write down that they ended."""
    scripts = {(it.content.task_run_id, it.content.epoch) for it in jobs if _is_script(it)}
    good = sorted(it for it in scripts if ownership.has_succeeded(it))
    return [f"{it} succeeded, says its worker" for it in good if it not in ran or not ran[it].ends]


def _is_script(job: Seen) -> bool:
    return str(job.content.task_type).lower().endswith("shell.script")


def _twice(seen: list[Seen]) -> int:
    return len(seen) - len({repr(it.content) for it in seen})


def outcomes(acknowledged: Mapping[str, Asked], events: list[Seen]) -> list[str]:
    """Acknowledged executions that did not end in SUCCESS, or with other outputs than they have."""
    last: dict[str, ExecutionEvent] = {}
    for seen in events:
        keep_newest(last, seen.content)
    wrong = []
    for execution_id, (shape, word) in acknowledged.items():
        snapshot = last[execution_id].execution
        said = {"one": execution_id, "two": word}.get(shape)
        expected = {"said": said} if said else {}
        if snapshot is None or (snapshot.state, json.loads(snapshot.outputs)) != (
            State.SUCCESS,
            expected,
        ):
            wrong.append(f"{shape} {execution_id}: {snapshot}")
    return wrong


def alarms(cluster: Cluster) -> list[str]:
    """Lines of logs that must not be there."""
    files = [file for slot in cluster.slots.values() for file in slot.log_files.values()]
    return [
        f"{file.name}: {line}"
        for file in files
        for line in file.read_text(errors="replace").splitlines()
        if any(it in line for it in ALARMS)
    ]

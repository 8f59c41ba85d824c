"""A worker that is killed in the midst of a WorkingDirectory: all of it runs again, once."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from kestrapy.machine.commands import TaskReport
from kestrapy.machine.outputs import ExecutionEvent, TaskRunSnapshot
from kestrapy.model.state import State
from tests.acceptance import marks
from tests.acceptance.cluster import BASIC, Cluster, send
from tests.acceptance.evidence import Follower, read_topic
from tests.acceptance.faults import reached

pytestmark = [pytest.mark.acceptance, pytest.mark.external]

WORKER = "worker:alpha#1"
SETTINGS = {"workerGroups": [{"key": "alpha"}], "jobPartitions": 4}
NOTE = 'echo "::{\\"outputs\\":{\\"note\\":\\"$(cat note)\\"}}::"\n'
"""A line of a script: what stands in the file is an output."""


def source(mark_file: Path, stop_file: Path) -> str:
    """Three tasks; the second one's first epoch goes on until it is ended."""
    scripts = {
        "first": "test ! -e note\necho $KESTRAPY_EPOCH > note\n" + marks.brief(mark_file),
        "second": marks.lasting(mark_file, stop_file),
        "third": marks.brief(mark_file) + NOTE,
    }
    tasks = ""
    for name, script in scripts.items():
        lines = "".join(f"          {line}\n" for line in script.splitlines())
        tasks += f"      - id: {name}\n        type: shell.script\n        script: |\n{lines}"
    return (
        "id: directory\nnamespace: acceptance\ntasks:\n  - id: dir\n"
        "    type: io.kestra.plugin.core.flow.WorkingDirectory\n"
        f"    workerGroup: {{key: alpha}}\n    tasks:\n{tasks}"
    )


def last_told(cluster: Cluster, execution_id: str) -> dict[str, TaskRunSnapshot]:
    """By task id. Each has one run only."""
    parts, found = cluster.parts(), dict[str, TaskRunSnapshot]()
    for record in read_topic(parts, parts.catalogue.execution_events):
        event = record.content
        run = event.task_run if isinstance(event, ExecutionEvent) else None
        if run is not None and run.id.startswith(execution_id):
            assert found.get(run.task_id, run).id == run.id, f"{run.task_id} has two runs"
            found[run.task_id] = run
    return found


def test_it_runs_again_from_its_first_task_and_counts_once(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    mark_file, stop_file = tmp_path / "marks", tmp_path / "stop"
    with Cluster(tmp_path, kafka, topic_prefix, SETTINGS) as cluster:
        cluster.start(*BASIC, WORKER)
        cluster.await_ready()
        cluster.api.save_flow(source(mark_file, stop_file))
        execution_id = cluster.api.submit("acceptance", "directory")
        second = f"{execution_id}-2"
        cluster.wait_for(lambda: (second, 1) in marks.read_marks(mark_file), "the second task")
        for pid in reached(cluster.slots[WORKER], "child"):
            send(pid, signal.SIGKILL)
        with Follower(cluster.parts()) as follower:
            follower.await_ends([execution_id])
            assert follower.ended == {execution_id: State.SUCCESS}
        told = last_told(cluster, execution_id)
        executions = read_topic(cluster.parts(), cluster.parts().catalogue.executions)

    assert {name: str(run.state) for name, run in told.items()} == dict.fromkeys(
        ("dir", "first", "second", "third"), "SUCCESS"
    )
    assert '"note":"2"' in told["third"].outputs, "its folder was another one's"
    ends = {
        name: [(it.epoch, str(it.histories[-1].state)) for it in run.attempts]
        for name, run in told.items()
    }
    assert ends == {
        "dir": [(1, "RESUBMITTED"), (2, "SUCCESS")],
        "first": [(1, "SUCCESS"), (2, "SUCCESS")],
        "second": [(1, "RESUBMITTED"), (2, "SUCCESS")],
        "third": [(2, "SUCCESS")],
    }
    ran = {key: (it.starts, it.ends) for key, it in marks.read_marks(mark_file).items()}
    first, third = f"{execution_id}-1", f"{execution_id}-3"
    assert ran == {
        (first, 1): (1, 1),
        (second, 1): (1, 0),
        (first, 2): (1, 1),
        (second, 2): (1, 1),
        (third, 2): (1, 1),
    }
    reports = [it.content for it in executions if isinstance(it.content, TaskReport)]
    assert {it.epoch for it in reports} == {1, 2}

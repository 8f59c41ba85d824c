"""``kestrapy run``: one flow in one process, on a log in memory."""

from __future__ import annotations

import json
import logging
import shutil
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from kestrapy.assembly.local import LocalCluster
from kestrapy.cli.errors import show_problems
from kestrapy.cli.live import LiveView
from kestrapy.cli.settings import ConfigOption, settings_of
from kestrapy.errors import FlowRefused, InputRefused, NotFound, Problem
from kestrapy.language.flow import parse_flow
from kestrapy.language.inputs import resolve_inputs
from kestrapy.machine.outputs import ExecutionEvent, ExecutionSnapshot, LogEntry, TaskRunSnapshot
from kestrapy.model.flow import Flow, Task
from kestrapy.model.state import State
from kestrapy.plugins.registry import REGISTRY
from kestrapy.wire.kestra_json import execution_json

REFUSED = 2
GOOD_ENDS = (State.SUCCESS, State.WARNING)


class OutputFormat(Enum):
    """How the result is shown."""

    TEXT = "text"
    JSON = "json"


def run(
    flow_file: Annotated[Path, typer.Argument(help="The flow, a YAML file.", metavar="FLOW.yaml")],
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", "-i", help="An input, as id=value; of a FILE input its path."),
    ] = None,
    flows: Annotated[
        Path | None, typer.Option("--flows", help="Folder of further flows to be there.")
    ] = None,
    config: ConfigOption = None,
    output: Annotated[
        OutputFormat, typer.Option("--output", "-o", help="text: live; json: one document.")
    ] = OutputFormat.TEXT,
) -> None:
    """Run one flow in this process, without Kafka: the same code on a log in memory.

    Task states and logs go to standard error while it runs. Exit code 0 for SUCCESS and WARNING, 1
    for any other end, 2 where the flow or its inputs are refused.
    """
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(name)s: %(message)s")
    settings = settings_of(config)
    declared = [group.key for group in settings.worker_groups] or None
    flow = load(flow_file, declared)
    others = [load(path, declared) for path in sorted(flows.glob("*.y*ml"))] if flows else []
    groups = declared or [key for it in (flow, *others) for key in groups_of(it)]
    given = parse_inputs(flow, inputs or [])
    with LocalCluster(REGISTRY, groups, settings.worker.threads, {}) as cluster:
        for other in others:
            if (other.namespace, other.id) != (flow.namespace, flow.id):
                cluster.save(other)
        execution_id = cluster.new_execution_id()
        check_inputs(flow, store_files(cluster, flow, execution_id, given))
        cluster.submit(execution_id, cluster.save(flow), given)
        document = follow(cluster, execution_id)
    if output is OutputFormat.JSON:
        print(json.dumps(document, indent=2, ensure_ascii=False))
    raise typer.Exit(0 if State(document["state"]["current"]) in GOOD_ENDS else 1)


def load(path: Path, groups: list[str] | None) -> Flow:
    """The flow in a file; where it is refused, says why and ends with exit code 2."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NotFound(f"{path} can't be read: {error}") from error
    try:
        return parse_flow(text, REGISTRY, groups=groups)
    except FlowRefused as refusal:
        show_problems(str(path), refusal)
        raise typer.Exit(REFUSED) from None


def groups_of(flow: Flow) -> list[str]:
    """The worker groups that a flow names, in the order of their first mention."""
    found = [flow.worker_group.key] if flow.worker_group else []
    waiting: list[Task] = [*flow.tasks, *flow.errors, *flow.finally_]
    while waiting:
        task = waiting.pop(0)
        if task.worker_group:
            found.append(task.worker_group.key)
        waiting += [*task.tasks, *task.errors, *task.finally_]
    return [key for key in dict.fromkeys(found) if key]


def parse_inputs(flow: Flow, pairs: list[str]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise InputRefused([Problem(f"--input {pair!r}: expected id=value")])
        given[name] = value
    return given


def store_files(
    cluster: LocalCluster, flow: Flow, execution_id: str, given: dict[str, Any]
) -> dict[str, Any]:
    """Put the files of FILE inputs into internal storage; given then holds their URIs."""
    folder = "/".join([*flow.namespace.split("."), flow.id, "executions", execution_id, "inputs"])
    for declared in flow.inputs:
        value = given.get(declared.id)
        if declared.type != "FILE" or value is None or value.startswith("kestra://"):
            continue
        path = Path(value)
        uri = f"kestra:///{folder}/{declared.id}/{path.name}"
        try:
            with path.open("rb") as content:
                cluster.blobs.put(uri, content)
        except OSError as error:
            raise InputRefused([Problem(f"--input {declared.id}: {error}")]) from error
        given[declared.id] = uri
    return given


def check_inputs(flow: Flow, given: dict[str, Any]) -> None:
    """Raises InputRefused before anything runs."""
    resolve_inputs(flow, given, {"flow": {"id": flow.id, "namespace": flow.namespace}})


def follow(cluster: LocalCluster, execution_id: str) -> dict[str, Any]:
    """Show what happens until it is over. -> the execution's JSON document. Ctrl-C kills the
    execution.
    """
    execution: ExecutionEvent | None = None
    runs: dict[str, TaskRunSnapshot] = {}
    with LiveView(colour=sys.stderr.isatty(), width=shutil.get_terminal_size().columns) as view:
        events = cluster.follow(execution_id)
        while True:
            try:
                event = next(events, None)
            except KeyboardInterrupt:
                view.note("killing the execution …")
                cluster.kill(execution_id)
                events = cluster.follow(execution_id)
                continue
            if event is None:
                break
            view.show(event)
            if isinstance(event, LogEntry):
                continue
            if event.task_run is not None:
                runs[event.task_run.id] = event.task_run
            if event.execution is not None:
                execution = event
    if execution is None or execution.execution is None:
        raise NotFound(f"execution {execution_id} never came to be")
    return document_of(execution, execution.execution, runs)


def document_of(
    event: ExecutionEvent, snapshot: ExecutionSnapshot, runs: dict[str, TaskRunSnapshot]
) -> dict[str, Any]:
    ordered = sorted(runs.values(), key=lambda run: run.ordinal)
    return execution_json(
        event.execution_id,
        event.namespace,
        event.flow_id,
        event.flow_revision,
        snapshot,
        ordered,
    )

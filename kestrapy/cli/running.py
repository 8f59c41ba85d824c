"""Running one flow on a local cluster, and showing how it goes."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import typer

from kestrapy.assembly.local import LocalCluster
from kestrapy.cli.errors import show_problems
from kestrapy.cli.given import parse_inputs, store_files
from kestrapy.cli.live import LiveView
from kestrapy.config import Settings
from kestrapy.errors import FlowRefused, InputRefused, NotFound, Problem
from kestrapy.language.flow import parse_flow
from kestrapy.language.inputs import seal_secrets, undeclared
from kestrapy.machine.outputs import ExecutionEvent, ExecutionSnapshot, LogEntry, TaskRunSnapshot
from kestrapy.model.declaring import declared_groups
from kestrapy.model.flow import Flow
from kestrapy.model.state import State
from kestrapy.model.worker_group import GroupSettings
from kestrapy.plugins.registry import REGISTRY
from kestrapy.servers.declarations import groups_named
from kestrapy.servers.inputs_read import PairsWorld, read_inputs
from kestrapy.wire.kestra_json import execution_json

REFUSED = 2
GOOD_ENDS = (State.SUCCESS, State.WARNING)


@dataclass(frozen=True)
class RunOptions:
    """inputs: ``id=value`` each. flows: folder of further flows. not_before: epoch ms, 0: at
    once.
    """

    inputs: list[str]
    flows: Path | None = None
    not_before: int = 0
    as_json: bool = False


def not_before_of(date: str | None) -> int:
    """The epoch ms of a date in ISO 8601, 0 for None. Raises InputRefused."""
    if date is None:
        return 0
    try:
        found = datetime.fromisoformat(date)
    except ValueError as error:
        raise InputRefused([Problem(f"--schedule-date: {error}")]) from None
    if found.tzinfo is None:
        hint = "it has no offset from UTC, such as Z or +02:00"
        raise InputRefused([Problem(f"--schedule-date {date!r}: {hint}")])
    return int(found.timestamp() * 1000)


def run_flow(flow_file: Path, options: RunOptions, settings: Settings) -> int:
    """Run it and show how it goes. -> exit code. Raises UserErrors for what is refused."""
    declared = declared_groups(settings) if settings.worker_groups else None
    flow = load(flow_file, declared)
    paths = sorted(options.flows.glob("*.y*ml")) if options.flows else []
    others = [load(path, declared) for path in paths]
    named = [GroupSettings(key) for it in (flow, *others) for key in groups_named(it)]
    served = list(declared.values()) if declared else named
    given = parse_inputs(options.inputs)
    with LocalCluster(REGISTRY, served, settings.worker.threads, {}) as cluster:
        for other in others:
            if (other.namespace, other.id) != (flow.namespace, flow.id):
                cluster.save(other)
        execution_id = cluster.new_execution_id()
        given = seal_secrets(flow, given, cluster.cipher.encrypt)
        given = store_files(cluster.blobs, flow, execution_id, given)
        given = check_inputs(cluster, flow, given)
        cluster.submit(execution_id, cluster.save(flow), given, options.not_before)
        document = follow(cluster, execution_id)
    if options.as_json:
        print(json.dumps(document, indent=2, ensure_ascii=False))
    return 0 if State(document["state"]["current"]) in GOOD_ENDS else 1


def load(path: Path, groups: Mapping[str, GroupSettings] | None) -> Flow:
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


def check_inputs(cluster: LocalCluster, flow: Flow, given: dict[str, Any]) -> dict[str, Any]:
    """-> what is to be given. Raises InputRefused before anything runs."""
    if unknown := undeclared(flow, given):
        raise InputRefused(unknown)
    variables = {"flow": {"id": flow.id, "namespace": flow.namespace}}
    world = PairsWorld(cluster.parts.clock.wall(), flow.id, flow.namespace, cluster.blobs)
    return read_inputs(flow, given, variables, world)[1]


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

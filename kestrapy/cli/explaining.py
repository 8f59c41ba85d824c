"""What ``kestrapy flow explain`` shows."""

from __future__ import annotations

import json
import shutil
import sys
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from kestrapy.assembly.sight import Sight
from kestrapy.machine.explanation import Placement
from kestrapy.model.flow import Flow
from kestrapy.wire.kestra_json import iso_duration

Json = dict[str, Any]
COLUMNS = ("task", "group", "lane", "why", "fallback", "workers", "waiting")


def documents(placements: list[Placement], flow: Flow, sight: Sight | None) -> list[Json]:
    """One for each task. workers, waiting: only where the topics were looked at."""
    return [_document(it, flow, sight) for it in placements]


def _document(placement: Placement, flow: Flow, sight: Sight | None) -> Json:
    found: Json = {"task": placement.task.id, "type": placement.task.type.partition("$")[0]}
    if placement.runs_flow:
        return {**found, "runsFlow": placement.runs_flow}
    if placement.templates:
        found["decidedAtRunTime"] = list(placement.templates)
    route = placement.route
    if route is None:
        return {**found, "problem": placement.problem}
    fallback = route.fallback
    found |= {
        "workerGroup": route.group,
        "lane": route.lane,
        "reason": route.reason,
        "fallback": {"group": fallback.group} if fallback.group else fallback.behavior,
        "fallbackAfter": iso_duration(route.fallback_after),
    }
    if sight is not None:
        load = sight.load(route.group)
        found |= {
            "liveWorkers": sight.takers(route.group),
            "slots": load.slots,
            "running": load.running,
            "waiting": load.waiting,
            "waitingOfNamespace": load.by_namespace.get(flow.namespace, 0),
        }
    return found


def show_json(flow: Flow, found: list[Json], sight: Sight | None) -> None:
    document = {
        "namespace": flow.namespace,
        "id": flow.id,
        "seenFrom": "flow" if sight is None else "topics",
        "tasks": found,
    }
    print(json.dumps(document, indent=2, ensure_ascii=False))


def show(flow: Flow, found: list[Json], sight: Sight | None) -> None:
    """A table on a terminal, else a paragraph of plain lines for each task."""
    if sight is None:
        print(
            "From the flow alone: declarations, defaults of namespaces and live workers are not"
            " known without --config."
        )
    rows = [(it["task"], *_cells(it, flow)) for it in found]
    if not sys.stdout.isatty():
        for name, *cells in rows:
            print(name)
            for title, cell in zip(COLUMNS[1:], cells, strict=True):
                if cell:
                    print(f"  {title}: {cell}")
        return
    table = Table(*COLUMNS, box=None, title=f"{flow.namespace}.{flow.id}")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console(width=max(shutil.get_terminal_size().columns, 100)).print(table)


def _cells(it: Json, flow: Flow) -> tuple[str, ...]:
    """Group, lane, why, fallback, workers, waiting; empty where there is nothing to say."""
    if "runsFlow" in it:
        why = f"it runs the flow {it['runsFlow']}, whose tasks go their own ways"
        return "", "", why, "", "", ""
    templates = it.get("decidedAtRunTime", ())
    run_time = f"decided at run time: {', '.join(templates)}" if templates else ""
    if "problem" in it:
        return run_time or "?", "", it["problem"], "", "", ""
    group, why = it["workerGroup"], it["reason"]
    if run_time:
        group, why = f"{run_time}; now: {group}", f"{why}, by what is known before it runs"
    return group, it["lane"], why, _fallback_text(it), *_load_texts(it, flow)


def _fallback_text(it: Json) -> str:
    fallback, after = it["fallback"], it["fallbackAfter"]
    if fallback == "WAIT":
        return "WAIT, however long it takes"
    what = fallback if isinstance(fallback, str) else f"to the group {fallback['group']}"
    return f"{what} after {after} without a live worker"


def _load_texts(it: Json, flow: Flow) -> tuple[str, str]:
    if "liveWorkers" not in it:
        return "", ""
    workers = ", ".join(it["liveWorkers"]) or "none is live"
    waiting = f"{it['waiting']} jobs, {it['waitingOfNamespace']} of them of {flow.namespace}"
    return workers, waiting

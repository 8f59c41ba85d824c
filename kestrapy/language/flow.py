"""The source of a flow → the flow: each property by its rule, each problem with its place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kestrapy.errors import FlowRefused, Problem
from kestrapy.language.dashed_references import check_references
from kestrapy.language.fields import Fields, unique
from kestrapy.language.flow_inputs import read_inputs
from kestrapy.language.flow_outputs import read_outputs
from kestrapy.language.flow_policies import read_checks, read_concurrency, read_slas
from kestrapy.language.flow_tasks import Reading, read_block, read_retry
from kestrapy.language.flow_triggers import read_triggers
from kestrapy.language.for_each_item import step_ids
from kestrapy.language.labels import read_labels
from kestrapy.language.listeners import read_listeners
from kestrapy.language.plugin_defaults import SPELLINGS, with_defaults
from kestrapy.language.problems import Problems, shown
from kestrapy.language.worker_groups import Declared, read_worker_group
from kestrapy.language.yaml_source import parse
from kestrapy.model.flow import Flow
from kestrapy.model.registry import Kind, Registry
from kestrapy.model.worker_group import GroupSettings

RESERVED_IDS = (
    *("pause", "resume", "force-run", "change-status", "kill"),
    *("executions", "search", "source", "disable", "enable"),
)
"""They are parts of the REST API's paths, where flows' ids stand too."""
FLOW_ID = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]*")
NAMESPACE = re.compile(r"[a-z0-9][a-z0-9._-]*")
NOT_YET = ("updated",)
"""Properties of a flow that Kestra knows."""


def parse_flow(
    source: str, registry: Registry, *, groups: Mapping[str, GroupSettings] | None = None
) -> Flow:
    """The flow that a YAML source describes; its revision is the source's, else 0.

    registry: the types that tasks and triggers may have. groups: the declared worker groups by key,
    by which every word about worker groups is judged; None when they aren't known here. Raises
    FlowRefused with every problem found, in the order of the source.
    """
    document = parse(source)
    if not isinstance(document.data, dict):
        message = f"a flow is a map with id, namespace and tasks, got {shown(document.data)}"
        raise FlowRefused([Problem(message, "", *document.place(()))])
    problems = Problems(document)
    fields = Fields(with_defaults(document.data, registry, problems), (), problems)
    flow, _ = read_flow(fields, registry, groups, source)
    problems.check()
    return flow


def read_flow(
    fields: Fields, registry: Registry, groups: Mapping[str, GroupSettings] | None, source: str
) -> tuple[Flow, Reading]:
    """-> the flow, and what was read in it. Arguments: as those of ``parse_flow``."""
    reading = Reading(registry, fields.problems, _declared(fields, groups))
    return _read(fields, reading, source), reading


def _declared(fields: Fields, groups: Mapping[str, GroupSettings] | None) -> Declared:
    """What tasks are judged by, the flow's own word on worker groups included."""
    namespace = fields.take("namespace")
    declared = Declared(groups, namespace if isinstance(namespace, str) else "")
    return replace(declared, flow=read_worker_group(fields, declared))


def _read(fields: Fields, reading: Reading, source: str) -> Flow:
    fields.choice("tenantId", ("main",), "main")
    fields.refuse(NOT_YET)
    if fields.flag("deleted"):
        fields.add("deleted", "a flow that is saved is not deleted: leave it out")
    fields.some("tasks", "`tasks` must have a task")
    outputs = fields.each("outputs")
    flow = Flow(
        id=_read_id(fields),
        namespace=fields.identifier("namespace", NAMESPACE, 150),
        revision=fields.integer("revision", 1, 0),
        description=fields.text("description"),
        disabled=fields.flag("disabled"),
        labels=read_labels(fields),
        variables=_read_variables(fields),
        inputs=read_inputs(fields),
        outputs=read_outputs(outputs),
        tasks=read_block(fields, "tasks", reading),
        errors=read_block(fields, "errors", reading),
        finally_=read_block(fields, "finally", reading),
        after_execution=read_block(fields, "afterExecution", reading),
        listeners=read_listeners(fields, reading),
        retry=read_retry(fields),
        concurrency=read_concurrency(fields),
        sla=read_slas(fields),
        checks=read_checks(fields),
        triggers=read_triggers(fields, reading),
        worker_group=reading.declared.flow,
        source=source,
    )
    for name in SPELLINGS:  # they are in the tasks by now
        fields.take(name)
    unique(reading.tasks, "task")
    check_references([it.id for it in flow.inputs], reading.tasks, outputs)
    _check_calls(reading, flow)
    fields.close()
    return flow


def _check_calls(reading: Reading, flow: Flow) -> None:
    """Flows that call themselves; ids that steps of a ForEachItem have."""
    ids = {str(fields.take("id")) for fields in reading.tasks}
    for fields in reading.tasks:
        name = fields.value.get("type")
        kind = reading.registry.tasks.get(name) if isinstance(name, str) else None
        if kind is None or kind.kind not in (Kind.SUBFLOW, Kind.FOR_ITEMS):
            continue
        called = fields.value.get("namespace"), fields.value.get("flowId")
        if called == (flow.namespace, flow.id):
            name = f"{flow.namespace}.{flow.id}"
            fields.add("flowId", f"Invalid Flow: Recursive call to flow [{name}]")
        taken = ids.intersection(step_ids(str(fields.take("id"))))
        if kind.kind is Kind.FOR_ITEMS and taken:
            fields.add("id", f"its steps are called {', '.join(sorted(taken))}: rename the others")


def _read_id(fields: Fields) -> str:
    flow_id = fields.identifier("id", FLOW_ID, 100)
    if flow_id in RESERVED_IDS:
        known = ", ".join(RESERVED_IDS)
        message = f"Flow id is a reserved keyword: {flow_id}. List of reserved keywords: {known}"
        fields.add("id", message)
    return flow_id


def _read_variables(fields: Fields) -> dict[str, Any]:
    variables = fields.mapping("variables")
    fields.problems.add_expressions((*fields.path, "variables"), variables)
    return variables

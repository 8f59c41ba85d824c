"""Where the tasks of a flow would go, said before any of them runs: routing, with what is known.

A template is rendered with the defaults of the inputs, the flow's variables and its labels. Where
it reads more than these, its value is known at run time only, and so is the group.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kestrapy.errors import ExpressionError, InputRefused, RoutingProblem
from kestrapy.language.expression import Path, compile_template
from kestrapy.language.inputs import resolve_inputs
from kestrapy.language.plan import Plan
from kestrapy.language.worker_groups import known_groups
from kestrapy.machine.routing import GroupView, Route, route
from kestrapy.model.flow import TENANT, Flow, Task
from kestrapy.model.registry import CALLS
from kestrapy.model.worker_group import GroupSettings, WorkerGroupRef


@dataclass(frozen=True)
class KnownGroup:
    """A ``GroupView``. Its numbers are zero where nobody looked."""

    settings: GroupSettings
    workers: int = 0
    slots: int = 0
    waiting: int = 0


@dataclass(frozen=True)
class Placement:
    """Where one task goes. templates: what decides it at run time; route: then, what they give now.
    runs_flow: which flow it runs, whose tasks have places of their own; empty for any other task.

    route: None where that isn't known, or where nothing may run the task; problem says which.
    """

    task: Task
    route: Route | None
    templates: tuple[str, ...] = ()
    problem: str = ""
    runs_flow: str = ""

    @property
    def is_certain(self) -> bool:
        """Whether this holds for every execution."""
        return not self.templates


def explain(
    plan: Plan,
    groups: Mapping[str, GroupView] | None,
    defaults: Callable[[str], WorkerGroupRef | None],
) -> list[Placement]:
    """The runnable tasks of a flow, in its order, and those that run other flows. groups, defaults:
    as ``route`` takes them.

    groups: None where declarations aren't known: then each group that is named counts as declared.
    """
    known = _variables(plan.flow)
    found = []
    for task_id in plan.task_ids:
        task, kind = plan.task(task_id), plan.kind(task_id)
        if kind in CALLS:
            found.append(Placement(task, None, runs_flow=_called(task)))
        elif kind.is_job and not plan.is_inside(task_id):
            found.append(_place(task, plan.flow, known, groups, defaults))
    return found


def _called(task: Task) -> str:
    return f"{task.properties.get('namespace')}.{task.properties.get('flowId')}"


def _place(
    task: Task,
    flow: Flow,
    variables: Mapping[str, Any],
    groups: Mapping[str, GroupView] | None,
    defaults: Callable[[str], WorkerGroupRef | None],
) -> Placement:
    variables = {**variables, "task": {"id": task.id, "type": task.type}}
    templates: list[str] = []

    def render(template: str) -> Any:
        templates.append(template)
        return _rendered(template, variables)

    refs = task.worker_group, flow.worker_group
    if groups is None:
        nearest = next((it for it in refs if it is not None and (it.key or it.tags)), None)
        if nearest is not None and nearest.tags:
            tags = f"{nearest.match} of the tags [{', '.join(nearest.tags)}]"
            return Placement(task, None, (), f"a declared group that has {tags}")
        groups = _named(refs, variables)
    try:
        found = route(*refs, flow.namespace, groups, defaults, render)
    except RoutingProblem as problem:
        return Placement(task, None, tuple(templates), str(problem))
    return Placement(task, found, tuple(templates))


def _variables(flow: Flow) -> dict[str, Any]:
    """What is known of an execution before there is one; inputs that have to be given are left out
    one and all.
    """
    about: dict[str, Any] = {"id": flow.id, "namespace": flow.namespace, "tenantId": TENANT}
    if flow.revision:
        about["revision"] = flow.revision
    known = {"flow": about, "vars": flow.variables, "labels": flow.labels}
    given = tuple(it for it in flow.inputs if it.defaults is not None or not it.required)
    try:
        usual = Flow(flow.id, flow.namespace, flow.tasks, inputs=given)
        return {**known, "inputs": resolve_inputs(usual, {}, known)}
    except InputRefused:
        return known


def _rendered(template: str, variables: Mapping[str, Any]) -> Any:
    """Raises ExpressionError also for what ``??`` would take for missing, and is only not there
    yet.
    """
    compiled = compile_template(template)
    for path in compiled.names():
        if not _is_known(path, variables):
            raise ExpressionError(f"`{'.'.join(path)}` is known at run time only")
    return compiled.render(variables)


def _is_known(path: Path, variables: Mapping[str, Any]) -> bool:
    root, *inner = path
    if root != "inputs":
        return root in variables
    value: Any = variables.get("inputs")
    for name in inner:
        if not isinstance(value, Mapping) or name not in value:
            return False
        value = value[name]
    return bool(inner)


def _named(
    refs: tuple[WorkerGroupRef | None, ...], variables: Mapping[str, Any]
) -> dict[str, GroupView]:
    """The groups that they name, as if they were declared, with all lanes that are named."""
    said = [ref for ref in refs if ref is not None]
    lanes = {ref.lane: 1 for ref in said if ref.lane}
    keys = []
    for ref in said:
        try:
            keys.append(str(_rendered(ref.key, variables)).strip())
        except ExpressionError:
            continue
    named = {key: GroupSettings(key, lanes=lanes) for key in keys if key}
    default = {"default": GroupSettings("default", lanes=lanes)}
    return {key: KnownGroup(it) for key, it in known_groups(default | named).items()}

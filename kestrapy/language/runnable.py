"""What may be written in a flow, and does not run yet: it is refused when a flow is saved."""

from __future__ import annotations

from collections.abc import Iterator

from kestrapy.errors import FlowRefused, Problem
from kestrapy.language.plan import blocks_of
from kestrapy.language.yaml_source import parse, path_text
from kestrapy.model.flow import Flow, Task, Trigger
from kestrapy.model.registry import Registry, TriggerType


def require_runnable(flow: Flow, registry: Registry) -> None:
    """Refuse tasks that no worker runs yet, and what nothing makes executions by yet; what is
    disabled may say anything. Raises FlowRefused.
    """
    problems = [*_of_tasks(flow, registry), *_of_triggers(flow, registry)]
    if problems:
        raise FlowRefused(problems)


def _of_tasks(flow: Flow, registry: Registry) -> Iterator[Problem]:
    todo: list[Flow | Task] = [flow]
    while todo:
        children = [task for _, tasks in blocks_of(todo.pop()) for task in tasks]
        todo += (it for it in children if not it.disabled)
        for task in children:
            kind = registry.tasks.get(task.type)
            if kind is not None and not kind.runs and not task.disabled:
                short = task.type.rpartition(".")[2]
                remedy = "take it out, or disable the task by `disabled: true`"
                message = f"no worker runs a {short} task yet (here `{task.id}`): {remedy}"
                yield _problem(flow, ("tasks",), message)


def _of_triggers(flow: Flow, registry: Registry) -> Iterator[Problem]:
    for index, trigger in enumerate(flow.triggers):
        kind = registry.triggers.get(trigger.type)
        if trigger.disabled or kind is None:
            continue
        place = ("triggers", index)
        short = trigger.type.rpartition(".")[2]
        remedy = "take it out, or disable the trigger by `disabled: true`"
        if not kind.runs:
            message = f"a {short} trigger makes no executions yet: {remedy}"
            yield _problem(flow, (*place, "type"), message)
            continue
        for name in sorted(kind.waiting & _said(trigger, kind)):
            message = f"`{name}` of a {short} trigger has no effect yet: {remedy}"
            yield _problem(flow, (*place, name), message)


def _said(trigger: Trigger, kind: TriggerType) -> set[str]:
    """The properties that are not as they are by default, as they are written in YAML."""
    core = {
        "conditions": trigger.conditions,
        "labels": trigger.labels,
        "logLevel": trigger.log_level,
        "logToFile": trigger.log_to_file,
        "stopAfter": trigger.stop_after,
        "failOnTriggerError": trigger.fail_on_trigger_error,
    }
    found = {name for name, value in core.items() if value}
    for name, field in kind.properties.model_fields.items():
        written = field.alias or name
        if trigger.properties.get(written) not in (None, field.default):
            found.add(written)
    return found


def _problem(flow: Flow, path: tuple[str | int, ...], message: str) -> Problem:
    return Problem(message, path_text(path), *parse(flow.source).place(path))

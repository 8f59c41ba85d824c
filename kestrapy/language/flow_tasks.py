"""Tasks of a flow: core properties here, the rest by the model of the task's type."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import partial
from typing import Any, Literal, cast

from kestrapy.errors import ExpressionError
from kestrapy.language.expression import value_needs_worker
from kestrapy.language.fields import Fields
from kestrapy.language.flow_children import read_children
from kestrapy.language.for_each_item import OF_WORKERS, with_steps
from kestrapy.language.plugin_defaults import RUNNABLE_ONLY
from kestrapy.language.problems import Problems, closest, did_you_mean
from kestrapy.language.typed_properties import check_properties
from kestrapy.language.worker_groups import Declared, read_worker_group
from kestrapy.model.flow import Retry, Task, TaskCache
from kestrapy.model.registry import Kind, Registry, TaskType

TASK_ID = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]*")
LOG_LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR")
BEHAVIORS = ("RETRY_FAILED_TASK", "CREATE_NEW_EXECUTION")
ON_WORKER_LOST = ("RESUBMIT", "FAIL")
NOT_YET = ("assets", "version")
"""Core properties of a task that Kestra knows."""
IDLE: dict[str, tuple[str, Any]] = {"timeout": ("timeout", None), "logLevel": ("log_level", "")}
"""Of the rest, what may be written and has no effect, as in Kestra; validation warns of it. With
the attribute of a Task, and what it is then.
"""


def acted_upon(kind: Kind) -> tuple[str, ...]:
    """What has an effect on a task that no worker runs, of what only these have to do with."""
    retry = ("retry",) if kind.has_children or kind is Kind.SUBFLOW else ()
    timeout = ("timeout",) if kind.lasts else ()
    of_steps = ("logLevel", "workerGroup", "workerSelector") if kind is Kind.FOR_ITEMS else ()
    return retry + timeout + of_steps


@dataclass
class Reading:
    """What reading tasks and triggers needs. tasks, conditions: those read so far, with all that is
    in them.
    """

    registry: Registry
    problems: Problems
    declared: Declared
    tasks: list[Fields] = field(default_factory=list)
    conditions: list[Fields] = field(default_factory=list)


def read_block(parent: Fields, name: str, reading: Reading) -> tuple[Task, ...]:
    """The tasks under a property of a flow or of a flowable task."""
    return tuple(read_task(each, reading) for each in parent.each(name))


def read_task(fields: Fields, reading: Reading) -> Task:
    """A task with all that is in it."""
    reading.tasks.append(fields)
    fields.refuse(NOT_YET)
    task_id = fields.identifier("id", TASK_ID, 256)
    kind = _read_type(fields, reading)
    core: dict[str, Any] = {
        "description": fields.text("description"),
        "disabled": fields.flag("disabled"),
        **_read_timeout(fields),
        "retry": read_retry(fields),
        "allow_failure": fields.flag("allowFailure"),
        "allow_warning": fields.flag("allowWarning"),
        "log_level": fields.choice("logLevel", LOG_LEVELS),
        "worker_group": read_worker_group(fields, reading.declared),
        "on_worker_lost": fields.choice("onWorkerLost", ON_WORKER_LOST),
        "run_if": _read_run_if(fields),
        "task_cache": _read_cache(fields),
        "log_to_file": fields.flag("logToFile"),
    }
    if kind is None:
        fields.rest()
        return Task(task_id, fields.text("type"), **core)
    if not kind.kind.is_job:
        _refuse_workers_own(fields, kind)
        if core.pop("timeout_template", ""):
            fields.add("timeout", "no worker renders an expression here: write a duration, as PT5S")
        for name, (attribute, absent) in IDLE.items():
            if name not in acted_upon(kind.kind):
                core[attribute] = absent
    if kind.kind.has_children:
        core |= read_children(fields, kind, partial(read_task, reading=reading))
        if kind.kind is Kind.WORKING_DIRECTORY:
            _check_directory(fields, task_id, core["tasks"], reading)
    known = set(fields.known).difference(NOT_YET)
    properties = fields.rest()
    check_properties(kind.properties, properties, fields.path, reading.problems, known)
    if not kind.kind.is_job:
        for name, value in properties.items():
            of_batches = kind.kind is Kind.FOR_ITEMS and name not in OF_WORKERS
            of_child = kind.kind is Kind.SUBFLOW and name == "outputs"
            if of_batches or of_child:  # nobody asks a worker for each of them
                refuse_world(fields, name, value)
    task = Task(task_id, kind.name, properties=properties, **core)
    return with_steps(task) if kind.kind is Kind.FOR_ITEMS else task


def _check_directory(
    fields: Fields, task_id: str, children: tuple[Task, ...], reading: Reading
) -> None:
    """One job runs them all: where it goes is not their own to say."""
    for index, child in enumerate(children):
        path = (*fields.path, "tasks", index)
        found = reading.registry.tasks.get(child.type)
        if found is not None and found.kind is not Kind.RUNNABLE:
            fields.problems.add(
                path,
                f"{task_id}: Only runnable tasks are allowed as children of a WorkingDirectory"
                f" task; `{child.id}` is a {found.name.rpartition('.')[2]}",
            )
        if child.retry is not None and child.retry.behavior == "CREATE_NEW_EXECUTION":
            fields.problems.add(
                path, f"`{child.id}` runs in the job of `{task_id}`: set CREATE_NEW_EXECUTION there"
            )
        if child.worker_group is not None or child.on_worker_lost:
            fields.problems.add(
                path,
                f"`{child.id}` runs in the job of `{task_id}`: set worker group and"
                " `onWorkerLost` there",
            )


def _refuse_workers_own(fields: Fields, kind: TaskType) -> None:
    remedy = "set it on its tasks" if kind.kind.has_children else "leave it out"
    for name in RUNNABLE_ONLY:
        if fields.has(name) and name not in (*acted_upon(kind.kind), *IDLE):
            fields.add(name, f"`{name}` has no effect here, no worker runs it: {remedy}")


def _read_timeout(fields: Fields) -> dict[str, Any]:
    found = fields.duration_or_template("timeout")
    return {"timeout_template" if isinstance(found, str) else "timeout": found}


def _read_cache(fields: Fields) -> TaskCache | None:
    if not fields.has("taskCache"):
        return None
    given = fields.fields("taskCache")
    if not given.has("enabled"):
        given.problems.add(given.path, "`enabled` is required: true or false")
    cache = TaskCache(given.duration("ttl"))
    enabled = given.flag("enabled")
    given.close()
    return cache if enabled else None


def _read_run_if(fields: Fields) -> str:
    condition = fields.text("runIf")
    fields.problems.add_expressions((*fields.path, "runIf"), condition)
    return condition


def refuse_world(fields: Fields, name: str, value: Any) -> None:
    """A problem of a property that the executor renders, who reads nothing but the log."""
    try:
        if value_needs_worker(value):
            fields.add(
                name,
                "it reads what only a worker can (a file, a key, a secret), and the executor"
                " renders it: take the value from a task's outputs",
            )
    except ExpressionError:  # it was told already
        return


def _read_type(fields: Fields, reading: Reading) -> TaskType | None:
    name = fields.required("type")
    found = reading.registry.tasks.get(name)
    if found is not None and found.hidden:
        found = None
    if name and found is None:
        fields.add("type", _invalid_task_type(name, reading.registry))
    return found


def _named(registry: Registry) -> list[str]:
    """The types that a flow may name."""
    return [name for name, it in registry.tasks.items() if not it.hidden]


def _invalid_task_type(name: str, registry: Registry) -> str:
    """The problem of an unknown type of task; of one of Kestra's, why it is not known."""
    if name in registry.missing:
        return f"Invalid type: {name}; Kestra has it, kestrapy does not yet: leave the task out"
    if name in registry.of_others:
        return f"Invalid type: {name}; Kestra 1.3 has it not: write {registry.of_others[name]}"
    return invalid_type(name, _named(registry))


def invalid_type(name: str, options: Collection[str]) -> str:
    """The problem of an unknown type, with those whose last part is alike."""
    by_last_part: dict[str, str] = {}
    for option in sorted(options, key=len):
        by_last_part[option.rpartition(".")[2]] = option
    alike = closest(name.rpartition(".")[2], by_last_part)
    found = sorted((by_last_part[it] for it in alike), key=lambda it: -_likeness(name, it))
    foreign = "; it is of a plugin that kestrapy does not have" if _is_foreign(name) else ""
    return f"Invalid type: {name}{foreign or did_you_mean(found)}"


def _is_foreign(name: str) -> bool:
    """Whether a type is Kestra's, but of none of the plugins whose tasks are here."""
    _, is_plugin, path = name.partition("io.kestra.plugin.")
    plugin = path.removeprefix("scripts.").partition(".")[0]
    return bool(is_plugin) and not (
        path.startswith(("core.", "fs.http.")) or closest(plugin, ("shell", "python"))
    )


def _likeness(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other).ratio()


def read_retry(parent: Fields) -> Retry | None:
    """Which properties there are depends on the type; durations are bounded by each other."""
    if not parent.has("retry"):
        return None
    fields = parent.fields("retry")
    kind = fields.kind("type", ("constant", "exponential", "random"), "")
    values: dict[str, Any] = {
        "max_attempts": _read_max_attempts(fields),
        "max_duration": fields.duration("maxDuration") or 0,
        "warning_on_retry": fields.flag("warningOnRetry"),
        "behavior": fields.choice("behavior", BEHAVIORS, BEHAVIORS[0]),
    }
    match kind:
        case "constant":
            values["interval"] = _needed_duration(fields, "interval")
        case "exponential":
            values["interval"] = low = _needed_duration(fields, "interval")
            values["max_interval"] = high = _needed_duration(fields, "maxInterval")
            values["delay_factor"] = _read_delay_factor(fields)
            _check_order(fields, "maxInterval", low, high)
        case "random":
            values["min_interval"] = low = _needed_duration(fields, "minInterval")
            values["max_interval"] = high = _needed_duration(fields, "maxInterval")
            _check_order(fields, "maxInterval", low, high)
        case _:
            fields.rest()
    fields.close()
    return Retry(cast(Literal["constant", "exponential", "random"], kind or "constant"), **values)


def _read_max_attempts(fields: Fields) -> int:
    """``maxAttempt`` is Kestra's older name of ``maxAttempts``."""
    if fields.has("maxAttempt") and fields.has("maxAttempts"):
        fields.add("maxAttempt", "`maxAttempt` is the same as `maxAttempts`: keep one of them")
    return fields.integer("maxAttempts", 1, 0) or fields.integer("maxAttempt", 1, 0)


def _read_delay_factor(fields: Fields) -> float:
    factor = fields.number("delayFactor")
    if factor is not None and factor < 1:
        fields.add("delayFactor", f"expected 1 or more, got {factor}")
    return 2.0 if factor is None else float(factor)


def _needed_duration(fields: Fields, name: str) -> int:
    if not fields.has(name):
        fields.problems.add(fields.path, f"`{name}` is required for this type of retry")
    return fields.duration(name) or 0


def _check_order(fields: Fields, name: str, low: int, high: int) -> None:
    if high < low:
        fields.add(name, f"the longest interval ({high} ms) is below the shortest ({low} ms)")

"""A flow as the machine asks for it: each task by id, with its place and what a job of it needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from kestrapy.errors import NotFound
from kestrapy.language.expression import value_needs_worker
from kestrapy.language.expression.template import strings_of
from kestrapy.language.reads import Reads, reads_of
from kestrapy.model.flow import Flow, Retry, Task
from kestrapy.model.registry import Kind, Path, Registry

LISTENERS = "listeners."
"""What the blocks of listeners are called, before their number."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A task in its flow.

    parent_id: the flowable task around it, "" at the top. block, position: where among its
    siblings, from 0. loops: how many lists of values are around it. reads: of its properties,
    and its type; condition: of its runIf. retry: its own, else that of the nearest task around it
    that has one, else the flow's. asks_properties, asks_condition: whether only a worker can render
    them. timed: whether a task around it has a timeout.
    """

    task: Task
    parent_id: str
    block: str
    position: int
    loops: int
    reads: Reads
    condition: Reads
    retry: Retry | None = None
    asks_properties: bool = False
    asks_condition: bool = False
    timed: bool = False


class Plan:
    """The tasks of a flow by id, children included. Immutable; made once for a revision.

    variables_text: the flow's variables as a JSON object. output_reads, check_reads: what its
    outputs and checks read. Every method raises NotFound for an id that the flow does not have.
    """

    def __init__(self, flow: Flow, registry: Registry):
        self.flow = flow
        self._kinds = registry.tasks
        self.variables_text = msgspec.json.encode(flow.variables).decode()
        self.check_reads = reads_of([check.condition for check in flow.checks])
        self.output_reads = reads_of([output.value for output in flow.outputs])
        self._planned = {each.task.id: each for each in self._level(flow, "", 0, flow.retry)}
        lists: dict[tuple[str, str], list[Task]] = {}
        for each in self._planned.values():
            if not each.task.disabled:
                lists.setdefault((each.parent_id, each.block), []).append(each.task)
        self._lists = {key: tuple(tasks) for key, tasks in lists.items()}
        self._places = {it.id: place for tasks in lists.values() for place, it in enumerate(tasks)}
        self._job_texts = {
            each.task.id: msgspec.json.encode(
                msgspec.structs.replace(each.task, errors=(), finally_=())
            ).decode()
            for each in self._planned.values()
            if self._kinds[each.task.type].kind.is_job
        }

    def __iter__(self) -> Iterator[Planned]:
        """A task before its children, blocks in the order of ``blocks_of``."""
        return iter(self._planned.values())

    def __contains__(self, task_id: str) -> bool:
        return task_id in self._planned

    def planned(self, task_id: str) -> Planned:
        try:
            return self._planned[task_id]
        except KeyError:
            place = f"{self.flow.namespace}.{self.flow.id} revision {self.flow.revision}"
            raise NotFound(f"the flow {place} has no task `{task_id}`") from None

    @property
    def task_ids(self) -> Iterable[str]:
        """In the order of ``__iter__``."""
        return self._planned.keys()

    def kind(self, task_id: str) -> Kind:
        """Who moves a run of the task forward."""
        return self._kinds[self.planned(task_id).task.type].kind

    def task(self, task_id: str) -> Task:
        return self.planned(task_id).task

    def tasks(self, parent_id: str, block: str) -> tuple[Task, ...]:
        """The children in a block that aren't disabled; parent_id "": of the flow."""
        return self._lists.get((parent_id, block), ())

    def place(self, task_id: str) -> int:
        """Where among the siblings that aren't disabled, from 0; of one that is not either."""
        return self._places[self.planned(task_id).task.id]

    def parent_id(self, task_id: str) -> str:
        return self.planned(task_id).parent_id

    def block(self, task_id: str) -> str:
        return self.planned(task_id).block

    def is_inside(self, task_id: str) -> bool:
        """Whether the job of a WorkingDirectory around it runs it."""
        planned = self.planned(task_id)
        if not planned.parent_id or planned.block != "tasks":
            return False
        return self.kind(planned.parent_id) is Kind.WORKING_DIRECTORY

    def position(self, task_id: str) -> int:
        return self.planned(task_id).position

    def loops(self, task_id: str) -> int:
        """How many keys lead from the task's id to one run's outputs: values around it."""
        return self.planned(task_id).loops

    def retry(self, task_id: str) -> Retry | None:
        """By which a run of the task is tried again, whoever it comes from."""
        return self.planned(task_id).retry

    def evaluation_reads(self, task_id: str) -> Reads:
        """Of all that a worker may evaluate of a task: its runIf too."""
        planned = self.planned(task_id)
        names = sorted({*planned.reads.names, *planned.condition.names})
        return Reads(tuple(names), planned.reads.outputs + planned.condition.outputs)

    def reads(self, task_id: str) -> Reads:
        return self.planned(task_id).reads

    def job_text(self, task_id: str) -> str:
        """A task that a worker runs as JSON, as a job carries it: without its handlers.

        ``msgspec.json.decode`` with Task reads it.
        """
        return self._job_texts[self.planned(task_id).task.id]

    def _reads_of_job(self, task: Task) -> Reads:
        """Of the properties of a task, and its type; of a WorkingDirectory also of its tasks."""
        rendered = rendered_here(task, self._kinds[task.type].kind)
        own = reads_of([rendered, task.timeout_template])
        names = {*own.names, *self._kinds[task.type].reads}
        if self._kinds[task.type].kind is Kind.WORKING_DIRECTORY:
            children = [it for it in task.tasks if not it.disabled]
            within = reads_of([[it.properties, it.run_if, it.timeout_template] for it in children])
            types = [path for it in children for path in self._kinds[it.type].reads]
            names.update(path for name in (*within.names, *types) for path in _in_directory(name))
            own = own._replace(outputs=own.outputs + within.outputs)
        return own._replace(names=tuple(sorted(names)))

    def _level(
        self,
        parent: Flow | Task,
        parent_id: str,
        loops: int,
        retry: Retry | None,
        *,
        timed: bool = False,
    ) -> Iterator[Planned]:
        timed = timed or (isinstance(parent, Task) and parent.timeout is not None)
        has_values = isinstance(parent, Task) and self._kinds[parent.type].kind.has_values
        for block, tasks in blocks_of(parent):
            around = loops + (has_values and block == "tasks")
            for position, task in enumerate(tasks):
                reads = self._reads_of_job(task)
                condition = reads_of(task.run_if)
                tried = task.retry or retry
                yield Planned(
                    task,
                    parent_id,
                    block,
                    position,
                    around,
                    reads,
                    condition,
                    tried,
                    asks_properties=self._asks(rendered_here(task, self._kinds[task.type].kind)),
                    asks_condition=self._asks(task.run_if),
                    timed=timed,
                )
                yield from self._level(task, task.id, around, tried, timed=timed)

    def _asks(self, value: Any) -> bool:
        """Whether only a worker can render it: it reads the world, or renders variables that do."""
        return value_needs_worker(value) or (
            any("render" in text and "vars" in text for text in strings_of(value))
            and value_needs_worker(self.flow.variables)
        )


def rendered_here(task: Task, kind: Kind) -> dict[str, Any]:
    """Its properties, but for those that are rendered elsewhere: a Subflow's outputs, by what it
    runs.
    """
    if kind is not Kind.SUBFLOW:
        return task.properties
    return {name: value for name, value in task.properties.items() if name != "outputs"}


def _in_directory(name: Path) -> Iterator[Path]:
    """Where a task of a WorkingDirectory finds what it reads: the directory's run has it."""
    match name:
        case ("workerTaskrun", *rest):
            yield "taskrun", *rest
        case ("parent" | "parents", *_):
            yield name
            yield "taskrun", "value"
        case _:
            yield name


def blocks_of(node: Flow | Task) -> Iterator[tuple[str, tuple[Task, ...]]]:
    """The lists of tasks of a flow or a task: tasks, branches, errors, finally; then what runs once
    an execution has ended: ``listeners.N`` from 0, and afterExecution.
    """
    yield "tasks", node.tasks
    if isinstance(node, Task):
        yield from node.branches.items()
    yield "errors", node.errors
    yield "finally", node.finally_
    if isinstance(node, Flow):
        for number, listener in enumerate(node.listeners):
            yield f"{LISTENERS}{number}", listener.tasks
        yield "afterExecution", node.after_execution

"""A flow as the machine asks for it: each task by id, with its place and what a job of it needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import msgspec

from kestrapy.errors import NotFound
from kestrapy.language.expression import Path, names_of
from kestrapy.model.flow import Flow, Task
from kestrapy.model.registry import Kind, Registry

Block = Literal["tasks", "errors", "finally"]


@dataclass(frozen=True, slots=True)
class Planned:
    """A task in its flow.

    parent_id: the flowable task around it, "" at the top. block, position: where among its
    siblings, from 0. names: the paths of variables that its properties read, and its type.
    """

    task: Task
    parent_id: str
    block: Block
    position: int
    names: tuple[Path, ...]


class Plan:
    """The tasks of a flow by id, children included. Immutable; made once for a revision.

    variables_text: the flow's variables as a JSON object. output_names: the paths of variables that
    its outputs read. Every method raises NotFound for an id that the flow does not have.
    """

    def __init__(self, flow: Flow, registry: Registry):
        self.flow = flow
        self._kinds = registry.tasks
        self.variables_text = msgspec.json.encode(flow.variables).decode()
        self.output_names = names_of([output.value for output in flow.outputs])
        self._planned = {each.task.id: each for each in _plan_level(flow, "", registry)}
        self._job_texts = {
            each.task.id: msgspec.json.encode(each.task).decode() for each in self._planned.values()
        }

    def __iter__(self) -> Iterator[Planned]:
        """A task before its children, blocks in the order tasks, errors, finally."""
        return iter(self._planned.values())

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

    def parent_id(self, task_id: str) -> str:
        return self.planned(task_id).parent_id

    def block(self, task_id: str) -> Block:
        return self.planned(task_id).block

    def position(self, task_id: str) -> int:
        return self.planned(task_id).position

    def names(self, task_id: str) -> tuple[Path, ...]:
        return self.planned(task_id).names

    def job_text(self, task_id: str) -> str:
        """The task as JSON, as a job carries it; ``msgspec.json.decode`` with Task reads it."""
        return self._job_texts[self.planned(task_id).task.id]


def _plan_level(parent: Flow | Task, parent_id: str, registry: Registry) -> Iterator[Planned]:
    blocks: tuple[tuple[Block, tuple[Task, ...]], ...] = (
        ("tasks", parent.tasks),
        ("errors", parent.errors),
        ("finally", parent.finally_),
    )
    for block, tasks in blocks:
        for position, task in enumerate(tasks):
            known = registry.tasks.get(task.type)
            names = {*names_of(task.properties), *(known.reads if known else ())}
            yield Planned(task, parent_id, block, position, tuple(sorted(names)))
            yield from _plan_level(task, task.id, registry)

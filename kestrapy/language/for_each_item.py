"""ForEachItem: a task that stands for three, which split the items, run the batches and merge the
outputs.
"""

from __future__ import annotations

import msgspec

from kestrapy.model.flow import Task

replace = msgspec.structs.replace

SPLIT, BATCHES, MERGE = "ForEachItemSplit", "ForEachItemExecutable", "ForEachItemMergeOutputs"
"""The types of the three, after the ForEachItem's own and a ``$``."""
OF_SPLIT = ("items", "batch")
"""The properties that its split renders."""
OF_WORKERS = (*OF_SPLIT, "inputs")
"""Those that may read what only workers can."""


def with_steps(task: Task) -> Task:
    """A ForEachItem with its children: ``<id>_split``, ``<id>_items`` and ``<id>_merge``."""
    given = task.properties
    split = {name: given[name] for name in OF_SPLIT if name in given}
    rest = {name: value for name, value in given.items() if name not in OF_SPLIT}
    of_worker = Task("", "", log_level=task.log_level, worker_group=task.worker_group)
    ids = step_ids(task.id)
    steps = (
        replace(of_worker, id=ids[0], type=f"{task.type}${SPLIT}", properties=split),
        replace(of_worker, id=ids[1], type=f"{task.type}${BATCHES}", properties=rest, log_level=""),
        replace(of_worker, id=ids[2], type=f"{task.type}${MERGE}"),
    )
    return replace(task, tasks=steps)


def step_ids(task_id: str) -> tuple[str, ...]:
    return tuple(f"{task_id}_{step}" for step in ("split", "items", "merge"))

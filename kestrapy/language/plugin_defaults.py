"""``pluginDefaults`` of a flow: values that its tasks and triggers take on, by their type.

They are merged into the document before anything of it is read, so that no rule has to know of
them: maps key by key, anything else as a whole. What a map says itself stands, unless the default
is forced. Of two defaults the more exact one wins: the type itself, then the longer prefix, then
the one that stands first. Whatever has a ``type`` takes part, children and task runners included.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from kestrapy.language.fields import Fields
from kestrapy.language.problems import Problems, near
from kestrapy.language.yaml_source import NODE_LIMIT, Path
from kestrapy.model.registry import Registry

PLACES = ("tasks", "errors", "finally", "afterExecution", "listeners", "triggers")
"""Properties of a flow whose maps take on defaults."""
SPELLINGS = ("pluginDefaults", "taskDefaults")
"""The second is Kestra's older one."""
RUNNABLE_ONLY = (
    *("timeout", "retry", "logLevel", "logToFile", "taskCache"),
    *("workerGroup", "workerSelector", "onWorkerLost"),
)
"""Core properties that a worker acts upon, or that say which one."""
ROUTING = ("workerGroup", "workerSelector")
"""One stands instead of the other: that of the stronger side takes the weaker one's place."""


@dataclass
class PluginDefault:
    """An entry. path: of its values in the document. size: how many values these are."""

    type: str
    values: dict[str, Any]
    forced: bool
    path: Path
    size: int
    used: bool = False


def with_defaults(data: dict[str, Any], registry: Registry, problems: Problems) -> dict[str, Any]:
    """The document with the defaults in it; problems learn where each merged value stands.

    Raises FlowRefused where that would be too much to go on with.
    """
    fields = Fields(data, (), problems)
    given = [name for name in SPELLINGS if fields.has(name)]
    if len(given) > 1:
        fields.add("taskDefaults", "`taskDefaults` is the same as `pluginDefaults`: keep one")
    defaults = [read_default(each) for name in given[:1] for each in fields.each(name)]
    if not defaults:
        return data
    merging = _Merging(defaults, registry, problems)
    merged = {
        name: merging.merged(value, (name,)) if name in PLACES else value
        for name, value in data.items()
    }
    if merging.count > NODE_LIMIT:
        fields.add(given[0], f"they make more than {NODE_LIMIT:,} values in all: say less")
        problems.check()
    types = {*registry.tasks, *registry.triggers, *registry.conditions}
    for default in defaults:
        if default.type and not default.used and not _begins(types, default.type):
            path = (*default.path[:-1], "type")
            message = f"no type is `{default.type}`, or begins so{near(default.type, types)}"
            problems.add(path, message)
    return merged


def read_default(fields: Fields) -> PluginDefault:
    """An entry of the list."""
    values = fields.mapping("values")
    for name in ("id", "type"):
        if name in values:
            path = (*fields.path, "values", name)
            fields.problems.add(path, f"`{name}` is each task's own: leave it out")
    if not values:
        fields.problems.add(fields.path, "`values` must have a property")
    own = {name: value for name, value in values.items() if name not in ("id", "type")}
    read = PluginDefault(
        type=fields.required("type"),
        values=own,
        forced=fields.flag("forced"),
        path=(*fields.path, "values"),
        size=_size(own),
    )
    fields.close()
    return read


class _Merging:
    """Puts defaults into one document. count: values that they made there, up to the limit."""

    def __init__(self, defaults: list[PluginDefault], registry: Registry, problems: Problems):
        self.count = 0
        self._defaults = defaults
        self._registry = registry
        self._problems = problems

    def merged(self, value: Any, path: Path) -> Any:
        if isinstance(value, list):
            return [self.merged(item, (*path, index)) for index, item in enumerate(value)]
        if not isinstance(value, dict):
            return value
        found = {name: self.merged(item, (*path, name)) for name, item in value.items()}
        name = found.get("type")
        return self._with_defaults(name, found, path) if isinstance(name, str) else found

    def _with_defaults(self, name: str, found: dict[str, Any], path: Path) -> dict[str, Any]:
        names = self._names(name)
        matching = [it for it in self._defaults if it.type and _begins(names, it.type)]
        # The strongest comes last where it overrides, and first where it only fills in.
        matching.sort(key=lambda it: (it.type not in names, -len(it.type)))
        ordered = [it for it in matching if not it.forced]
        ordered += [it for it in reversed(matching) if it.forced]
        for default in ordered:
            default.used = True
            self.count += default.size
            if self.count <= NODE_LIMIT:
                values = self._meant_for(default, name, names)
                found = self._merge(found, values, default.forced, path, default.path)
        return found

    def _names(self, name: str) -> set[str]:
        """All names of a type; just the one where it is none of the registry's."""
        known = self._registry
        found = (known.tasks.get(name), known.triggers.get(name), known.conditions.get(name))
        return {name}.union(*((it.name, *it.aliases) for it in found if it is not None))

    def _meant_for(self, default: PluginDefault, name: str, names: set[str]) -> dict[str, Any]:
        """Its values; a prefix says to all types beneath it what only workers act upon."""
        task = self._registry.tasks.get(name)
        flowable = task is not None and not task.kind.is_job
        if default.type in names or not (flowable or name in self._registry.triggers):
            return default.values
        return {key: it for key, it in default.values.items() if key not in RUNNABLE_ONLY}

    def _merge(
        self, own: dict[str, Any], values: dict[str, Any], forced: bool, path: Path, origin: Path
    ) -> dict[str, Any]:
        found = dict(own)
        for name, value in values.items():
            other = ROUTING[1 - ROUTING.index(name)] if name in ROUTING else None
            if other in found:
                if not forced:
                    continue
                del found[other]
            here, there = (*path, name), (*origin, name)
            mine = found.get(name)
            if isinstance(mine, dict) and isinstance(value, dict):
                found[name] = self._merge(mine, value, forced, here, there)
            elif forced or name not in found:
                found[name] = value
                self._problems.origins[here] = there
        return found


def _begins(names: Iterable[str], prefix: str) -> bool:
    return any(name.startswith(prefix) for name in names)


def _size(value: Any) -> int:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(_size, items))

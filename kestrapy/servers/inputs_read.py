"""Inputs whose defaults, or values to choose from, are in key-value pairs: read where an execution
is asked for, since the fold that begins it reads nothing beside its log.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kestrapy.language.expression import value_needs_worker
from kestrapy.language.inputs import resolve_inputs
from kestrapy.machine.fold_world import FoldWorld
from kestrapy.model.flow import Flow
from kestrapy.model.inputs import Input
from kestrapy.plugins.pairs import find_pair, upwards
from kestrapy.ports.blobs import Blobs


class PairsWorld(FoldWorld):
    """``language.expression.World``: time, chance, and the key-value pairs of namespaces."""

    def __init__(self, at: int, seed: str, namespace: str, blobs: Blobs):
        super().__init__(at, seed)
        self._namespace = namespace
        self._blobs = blobs

    def kv(self, key: str, namespace: str | None, error_on_missing: bool) -> Any:
        names = [namespace] if namespace else upwards(self._namespace)
        return find_pair(self._blobs, names, key, self.now(), error_on_missing)


def read_inputs(
    flow: Flow, given: Mapping[str, Any], variables: Mapping[str, Any], world: FoldWorld
) -> tuple[dict[str, Any], dict[str, Any]]:
    """-> the inputs, resolved; and what is to be given for them, which needs no pairs any more.

    given: by id, as ``seal_secrets`` leaves it. Raises InputRefused.
    """
    resolved = resolve_inputs(flow, given, variables, world)
    asked = [it for it in flow.inputs if given.get(it.id) is None and _is_read(it)]
    values = {it.id: _within(resolved, it.id) for it in asked}
    return resolved, {**given, **{name: it for name, it in values.items() if it is not None}}


def _is_read(declared: Input) -> bool:
    """A secret's default is no value yet: workers read it."""
    texts = [declared.defaults, declared.expression]
    return declared.type != "SECRET" and value_needs_worker(texts)


def _within(resolved: Mapping[str, Any], name: str) -> Any:
    value: Any = resolved
    for step in name.split("."):
        value = value[step]
    return value

"""Reading and changing what stands at places of a value. No value is changed that was given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kestrapy.language.expression.calls import Unfit, as_list, as_number, as_text
from kestrapy.language.expression.library.query_functions import rank, type_name
from kestrapy.language.expression.library.query_runs import Place
from kestrapy.language.expression.scope import Scope


def item(value: Any, key: Any) -> Any:
    """Null for what is missing, and in null. Raises Unfit for a key that doesn't fit."""
    if isinstance(key, Mapping):
        start, end = key.get("start"), key.get("end")
        return None if value is None else _sequence(value)[bound(start) : bound(end)]
    if value is None:
        return None
    if isinstance(value, Mapping):
        return value.get(as_text(key))
    items, index = as_list(value), int(as_number(key))
    return items[index] if -len(items) <= index < len(items) else None


def bound(value: Any) -> int | None:
    return None if value is None else int(as_number(value))


def _sequence(value: Any) -> Any:
    if isinstance(value, str | list):
        return value
    raise Unfit(f"needs a list or a string for a slice, not {type_name(value)}")


def at(scope: Scope, value: Any, place: Iterable[Any]) -> Any:
    for key in place:
        scope.step()
        value = item(value, key)
    return value


class Draft:
    """A value that is being changed: each container in it is copied before its first change."""

    def __init__(self, scope: Scope, value: Any):
        self._scope = scope
        self._holder = [value]
        self._own: dict[int, Any] = {}

    def done(self) -> Any:
        return self._scope.weigh(self._holder[0])

    def at(self, place: Place) -> Any:
        """Whoever is given a container may put it elsewhere: it is not changed any more."""
        found = at(self._scope, self._holder[0], place)
        if id(found) in self._own:
            self._own = {}
        return found

    def change(self, place: Place, new: Any) -> None:
        """Put a value at a place; lists and maps on the way are made."""
        self._put(*self._parent(place), new)

    def remove(self, place: Place) -> None:
        if at(self._scope, self._holder[0], place[:-1]) is None:
            return
        if not place:
            self._holder[0] = None
            return
        within, key = self._parent(place)
        if isinstance(within, dict):
            within.pop(as_text(key), None)
        elif isinstance(key, Mapping):
            self._scope.step(len(within))
            del within[bound(key.get("start")) : bound(key.get("end"))]
        elif -len(within) <= (index := int(as_number(key))) < len(within):
            self._scope.step(1 + len(within) // 64)
            del within[index]

    def _parent(self, place: Place) -> tuple[Any, Any]:
        """-> a container that may be changed, and the last key."""
        within: Any = self._holder
        key: Any = 0
        for following in place:
            own = self._owned(item(within, key), following)
            self._put(within, key, own)
            within, key = own, following
        return within, key

    def _owned(self, value: Any, key: Any) -> Any:
        self._scope.step()
        if id(value) in self._own:
            return value
        if value is None:
            made: Any = {} if isinstance(key, str) else []
        elif isinstance(value, Mapping):
            made = dict(value)
        else:
            made = list(as_list(value))
        self._scope.step(len(made))
        self._own[id(made)] = made
        return made

    def _put(self, within: Any, key: Any, value: Any) -> None:
        if isinstance(within, dict):
            within[as_text(key)] = value
            return
        if isinstance(key, Mapping):
            within[bound(key.get("start")) : bound(key.get("end"))] = as_list(value)
            return
        index = int(as_number(key))
        if index < -len(within):
            raise Unfit(f"has no index {index} in a list of {len(within)}")
        if index >= len(within):
            self._scope.step(index - len(within))
            within.extend([None] * (index + 1 - len(within)))
        within[index] = value


def without(scope: Scope, value: Any, places: Iterable[Any]) -> Any:
    """A value without what stands at some places."""
    draft = Draft(scope, value)
    for place in sorted(places, key=lambda it: rank(list(it)), reverse=True):
        draft.remove(tuple(place))
    return draft.done()


def with_one(scope: Scope, value: Any, place: Any, new: Any) -> Any:
    """A value with another at a place."""
    draft = Draft(scope, value)
    draft.change(tuple(as_list(place)), new)
    return draft.done()

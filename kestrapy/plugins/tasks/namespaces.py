"""Which namespaces a task is about that purges what they keep."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Self

from pydantic import model_validator

from kestrapy.plugins.properties import Expression, Properties, Text, TextList
from kestrapy.plugins.rendering import as_list


class OfNamespaces(Properties):
    """namespaces: whose, those of all by default. namespacePattern: the same, with ``*`` and ``?``.
    includeChildNamespaces: of `namespaces`, true by default.
    """

    namespaces: TextList | None = None
    namespace_pattern: Text | None = None
    include_child_namespaces: bool | Expression = True

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.namespaces is not None and self.namespace_pattern is not None:
            raise ValueError("give `namespaces` or `namespacePattern`, not both")
        return self

    def chooses(self, namespace: str) -> bool:
        """Rendered."""
        if self.namespace_pattern is not None:
            return fnmatchcase(namespace, self.namespace_pattern)
        if self.namespaces is None:
            return True
        named = as_list(self.namespaces)
        below = tuple(f"{it}." for it in named) if self.include_child_namespaces else ()
        return namespace in named or namespace.startswith(below)

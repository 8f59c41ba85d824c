"""Which pages there are."""

from __future__ import annotations

from collections.abc import Callable

from kestrapy.reference.commands import commands_reference
from kestrapy.reference.expressions import expressions_reference
from kestrapy.reference.plugins import plugins_reference
from kestrapy.reference.records import records_reference
from kestrapy.reference.rest import rest_reference
from kestrapy.reference.settings import settings_reference

PAGES: dict[str, Callable[[], str]] = {
    "cli.md": commands_reference,
    "expressions.md": expressions_reference,
    "plugins.md": plugins_reference,
    "records.md": records_reference,
    "rest.md": rest_reference,
    "settings.md": settings_reference,
}
"""By file name."""

"""``rest.md``: the endpoints of the webserver, from its OpenAPI document."""

from __future__ import annotations

import asyncio
import tempfile
from itertools import groupby
from pathlib import Path
from typing import Any

from kestrapy.adapters.blobs.local import LocalBlobs
from kestrapy.adapters.memory.log import MemoryLog
from kestrapy.adapters.sql.queries import SqlQueries
from kestrapy.adapters.system import SystemClock, SystemEntropy
from kestrapy.plugins.registry import REGISTRY
from kestrapy.reference.markdown import page, table
from kestrapy.servers.flow_catalogue import FlowCatalogue
from kestrapy.servers.router import Router
from kestrapy.servers.settings_catalogue import SettingsCatalogue
from kestrapy.servers.webserver.app import build_app
from kestrapy.servers.webserver.web import WebDependencies
from kestrapy.servers.worker_board import WorkerBoard
from kestrapy.wire.codec import Codec
from kestrapy.wire.topics import Catalogue

_INTRODUCTION = """
Paths and JSON are those of Kestra's API. The same document, for machines: `/openapi.json`. Paths
without `/main`, as older clients write them, are answered too. A parameter that an endpoint does
not know is refused. Errors are `{"message": …, "problems": […]}`; each problem has `message`,
`path`, `line` and `column`. 404: no such thing; 409: not in this state; 422: bad input;
503: the log or the store does not answer.
"""


def rest_reference() -> str:
    """The reference of the REST API, as Markdown."""
    with tempfile.TemporaryDirectory(prefix="kestrapy-") as folder:
        document = asyncio.run(_document(Path(folder)))
    operations = [
        (operation.get("tags", ["other"])[0], _operation(method, path, operation))
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    sections = []
    for tag, found in groupby(operations, key=lambda it: it[0]):
        sections += [f"## {tag.capitalize()}", *(text for _, text in found)]
    return page("REST API", _INTRODUCTION, sections)


async def _document(folder: Path) -> dict[str, Any]:
    """Of an app that nobody calls: its parts are real, and connect to nothing."""
    clock, codec, topics = SystemClock(), Codec(), Catalogue()
    log = MemoryLog(clock)
    given = WebDependencies(
        log=log,
        router=Router(codec, topics),
        queries=SqlQueries(f"sqlite:///{folder / 'store.db'}"),
        flows=FlowCatalogue(log, codec, topics),
        blobs=LocalBlobs(folder / "storage"),
        registry=REGISTRY,
        settings=SettingsCatalogue(log, codec, topics),
        board=WorkerBoard(log, codec, topics, clock, 1_000, 30_000),
        clock=clock,
        entropy=SystemEntropy(),
    )
    app = build_app(given)
    async with app.router.lifespan_context(app):
        return app.openapi()


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    rows = [_row(it) for it in operation.get("parameters", []) if it["in"] == "query"]
    parts = [
        f"### `{method.upper()} {path}`",
        "\n\n".join(" ".join(it.split()) for it in operation.get("description", "").split("\n\n")),
        table(("parameter", "type", "default", "meaning"), rows),
    ]
    return "\n\n".join(part for part in parts if part)


def _row(parameter: dict[str, Any]) -> tuple[str, str, str, str]:
    schema = parameter["schema"]
    default = schema.get("default")
    shown = "" if default in (None, "", []) else f"`{_text(default)}`"
    name = f"`{parameter['name']}`" + (", required" if parameter["required"] else "")
    return name, _type(schema), shown, parameter.get("description", "")


def _type(schema: dict[str, Any]) -> str:
    branches = [it for it in schema.get("anyOf", []) if it.get("type") != "null"]
    if branches:
        return _type(branches[0])
    if schema.get("type") == "array":
        return f"{_type(schema['items'])}, may be repeated"
    if reference := schema.get("$ref"):
        return str(reference).rpartition("/")[2]
    return str(schema.get("format") or schema["type"])


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

"""Endpoints of logs, metrics and triggers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse

from kestrapy.machine.outputs import LogEntry
from kestrapy.model.instants import iso_date
from kestrapy.ports.store import LogSearch, TriggerSearch
from kestrapy.servers.webserver.answers import answer
from kestrapy.servers.webserver.parameters import (
    LogParameters,
    LogSearchParameters,
    Paged,
    TriggerSearchParameters,
    epoch_ms,
    levels_from,
)
from kestrapy.servers.webserver.web import Web
from kestrapy.wire.kestra_json import log_json, metric_json, trigger_json

MAX_LINES = 10_000
_LINES_PER_CHUNK = 500


class LogEndpoints:
    def __init__(self, web: Web):
        self._web = web

    def router(self) -> APIRouter:
        router = APIRouter()
        add = router.add_api_route
        add("/logs/search", self.search, tags=["logs"])
        add("/logs/{execution_id}", self.of_execution, tags=["logs"])
        add("/logs/{execution_id}/download", self.download, tags=["logs"])
        add("/metrics/{execution_id}", self.metrics, tags=["metrics"])
        add("/triggers/search", self.triggers, tags=["triggers"])
        return router

    def search(self, query: Annotated[LogSearchParameters, Query()]) -> Response:
        """Lines of all executions, oldest first, in pages."""
        found = self._web.queries.logs(
            LogSearch(
                namespace=query.namespace,
                flow_id=query.flow_id,
                levels=levels_from(query.min_level),
                text=query.q,
                start=epoch_ms(query.start_date),
                end=epoch_ms(query.end_date),
                size=query.size,
                page=query.page,
            )
        )
        return answer({"results": [log_json(it) for it in found.results], "total": found.total})

    def of_execution(self, execution_id: str, query: Annotated[LogParameters, Query()]) -> Response:
        """An execution's lines, oldest first: the first 10,000. All of them: `/download`."""
        found = self._web.queries.logs(_search(execution_id, query, MAX_LINES))
        return answer([log_json(it) for it in found.results])

    def download(self, execution_id: str, query: Annotated[LogParameters, Query()]) -> Response:
        """All lines of an execution as text."""
        lines = self._web.queries.log_lines(_search(execution_id, query, MAX_LINES))
        headers = {"Content-Disposition": 'attachment; filename="execution.log"'}
        return StreamingResponse(
            _text(lines), headers=headers, media_type="text/plain; charset=utf-8"
        )

    def metrics(self, execution_id: str, query: Annotated[Paged, Query()]) -> Response:
        """What the tasks of an execution measured."""
        found = self._web.queries.metrics(execution_id, query.size, query.page)
        return answer({"results": [metric_json(it) for it in found.results], "total": found.total})

    def triggers(self, query: Annotated[TriggerSearchParameters, Query()]) -> Response:
        """Triggers with their next date."""
        found = self._web.queries.triggers(
            TriggerSearch(query.namespace, query.flow_id, query.q, query.size, query.page)
        )
        results = [
            {
                "abstractTrigger": {"id": it.trigger_id, "type": it.type},
                "triggerContext": trigger_json(it),
            }
            for it in found.results
        ]
        return answer({"results": results, "total": found.total})


def _search(execution_id: str, query: LogParameters, size: int) -> LogSearch:
    return LogSearch(
        execution_id=execution_id,
        task_run_id=query.task_run_id,
        task_id=query.task_id,
        levels=levels_from(query.min_level),
        size=size,
    )


def _text(lines: Iterable[LogEntry]) -> Iterator[str]:
    rest = iter(lines)
    while chunk := list(islice(rest, _LINES_PER_CHUNK)):
        yield "".join(f"{iso_date(it.at)} {it.level} {it.message}\n" for it in chunk)

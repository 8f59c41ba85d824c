"""Endpoints of executions that exist: reading, searching, killing, resuming, their files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO, Annotated
from urllib.parse import quote, unquote

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from kestrapy.errors import InputRefused, NotFound, Problem, UserError
from kestrapy.machine.commands import Command
from kestrapy.machine.outputs import ExecutionPurge
from kestrapy.model.ids import shard_of, time_of
from kestrapy.ports.places import execution_folder
from kestrapy.ports.store import ExecutionSearch, Order, StoredExecution
from kestrapy.servers import many
from kestrapy.servers.webserver.answers import answer
from kestrapy.servers.webserver.parameters import (
    DeletionParameters,
    EventParameters,
    ExecutionParameters,
    ExecutionSearchParameters,
    FileParameters,
    KillParameters,
    Parameters,
    epoch_ms,
    parse_labels,
)
from kestrapy.servers.webserver.resuming import Resuming
from kestrapy.servers.webserver.submission import form_of
from kestrapy.servers.webserver.watch import wait_until
from kestrapy.servers.webserver.web import Web
from kestrapy.wire.kestra_json import event_json

YOUNG_MS = 10_000
YOUNG_TIMEOUT = 2.0
_CHUNK = 1 << 16
_SORT_FIELDS = {"state.current": "state"}


class ExecutionEndpoints:
    def __init__(self, web: Web):
        self._web = web

    def router(self) -> APIRouter:
        router = APIRouter(tags=["executions"])
        add = router.add_api_route
        add("/executions/search", self.search)
        add("/executions/{execution_id}", self.get)
        add("/executions/{execution_id}", self.delete, methods=["DELETE"], status_code=204)
        add("/executions/{execution_id}/flow", self.flow)
        add("/executions/{execution_id}/events", self.events)
        add("/executions/{execution_id}/file", self.file)
        add("/executions/{execution_id}/kill", self.kill, methods=["DELETE"], status_code=202)
        add("/executions/{execution_id}/pause", self.pause, methods=["POST"], status_code=202)
        add("/executions/{execution_id}/resume", self.resume, methods=["POST"], status_code=202)
        add("/executions/{execution_id}/resume/validate", self.validate_resume, methods=["POST"])
        return router

    def search(self, query: Annotated[ExecutionSearchParameters, Query()]) -> Response:
        """Executions by namespace, flow, state, labels and start, in pages."""
        field, _, direction = query.sort.partition(":")
        order = Order(_sort_field(field), descending=direction.lower() == "desc")
        search = ExecutionSearch(
            namespace=query.namespace,
            flow_id=query.flow_id,
            states=query.state,
            labels=list(parse_labels(query.labels).items()),
            start=epoch_ms(query.start_date),
            end=epoch_ms(query.end_date),
            order=order,
            size=query.size,
            page=query.page,
        )
        if direction.lower() not in ("", "asc", "desc"):
            raise _refused("sort", f"{query.sort!r}: expected field:asc or field:desc")
        try:
            found = self._web.queries.executions(search)
        except ValueError as error:
            raise _refused("sort", str(error)) from None
        return answer(
            {"results": [self._web.stored_json(it) for it in found.results], "total": found.total}
        )

    async def get(
        self,
        execution_id: str,
        request: Request,
        query: Annotated[ExecutionParameters, Query()],
    ) -> Response:
        """An execution with its task runs, as it is, or as it was after one of its events.

        One that was asked for in the last 10 s is waited for, up to 2 s.
        """
        found = await self.found(execution_id, request)
        if query.event is not None:
            past = await run_in_threadpool(self._web.queries.execution, execution_id, query.event)
            if past is None:
                raise NotFound(f"execution {execution_id} has no event {query.event} or earlier")
            return answer(self._web.stored_json(past, now=False))
        return answer(self._web.stored_json(found))

    async def delete(
        self,
        execution_id: str,
        request: Request,
        query: Annotated[DeletionParameters, Query()],
    ) -> Response:
        """Delete an execution that has ended: soon after, and unless it was restarted meanwhile."""
        await self.found(execution_id, request)
        at = self._web.clock.wall()
        for head in await run_in_threadpool(self._web.queries.heads_of, [execution_id]):
            logs, metrics = query.delete_logs, query.delete_metrics
            await self._tell(many.purge(head, at, logs=logs, metrics=metrics))
            if query.delete_storage:
                await run_in_threadpool(self._delete_files, head)
        return Response(status_code=204)

    def _delete_files(self, stored: StoredExecution) -> None:
        of = (stored.namespace, stored.flow_id, stored.execution_id)
        for uri in self._web.blobs.list(execution_folder(*of)):
            self._web.blobs.delete(uri)

    async def flow(
        self, execution_id: str, request: Request, _query: Annotated[Parameters, Query()]
    ) -> Response:
        """The revision of the flow that the execution runs."""
        found = await self.found(execution_id, request)
        revision = self._web.revision(found.namespace, found.flow_id, found.flow_revision)
        document = await run_in_threadpool(self._web.flow_json, revision, with_source=True)
        return answer(document)

    def events(self, execution_id: str, query: Annotated[EventParameters, Query()]) -> Response:
        """What happened to the execution, by number; `?event=` of it shows the state after each."""
        found = self._web.queries.events(execution_id, query.after, query.size)
        if not found and self._web.queries.newest_number(execution_id) is None:
            raise NotFound(f"there is no execution {execution_id}")
        return answer([event_json(it) for it in found])

    async def kill(
        self,
        execution_id: str,
        request: Request,
        query: Annotated[KillParameters, Query()],
    ) -> Response:
        """End an execution. Its running tasks are killed, nothing more is started."""
        found = await self.found(execution_id, request)
        await self._tell(many.kill(found, query.is_on_kill_cascade))
        return answer({"message": f"execution {execution_id} will be killed"}, 202)

    async def pause(
        self, execution_id: str, request: Request, _query: Annotated[Parameters, Query()]
    ) -> Response:
        """Let nothing more of a running execution start until it is resumed; what runs goes on."""
        await self._tell(many.pause(await self.found(execution_id, request)))
        return answer({"message": f"execution {execution_id} will be paused"}, 202)

    async def resume(
        self, execution_id: str, request: Request, _query: Annotated[Parameters, Query()]
    ) -> Response:
        """Let a paused execution go on. The body is a form with the inputs that its pauses ask for
        (`onResume`), files included.
        """
        found = await self.found(execution_id, request)
        async with form_of(request) as form:
            fields = list(form.multi_items())
            await run_in_threadpool(Resuming(self._web).resume, found, fields)
        return answer({"message": f"execution {execution_id} will be resumed"}, 202)

    async def validate_resume(
        self, execution_id: str, request: Request, _query: Annotated[Parameters, Query()]
    ) -> Response:
        """Whether what a form gives would let a paused execution go on; nothing is changed. The
        answer has, for each input that its pauses ask for, its value and `errors`.
        """
        found = await self.found(execution_id, request)
        async with form_of(request) as form:
            fields = list(form.multi_items())
            document = await run_in_threadpool(Resuming(self._web).validated, found, fields)
        return answer(document)

    async def _tell(self, commands: Sequence[Command | ExecutionPurge]) -> None:
        messages = [self._web.router.message(it) for it in commands]
        await run_in_threadpool(self._web.sender.send_all, messages)

    async def file(
        self,
        execution_id: str,
        request: Request,
        query: Annotated[FileParameters, Query()],
    ) -> Response:
        """Download a file of the execution: of its inputs, or of its tasks' outputs."""
        found = await self.found(execution_id, request)
        own = f"{execution_folder(found.namespace, found.flow_id, execution_id)}/"
        if not query.path.startswith(own):  # and storage takes no way out of the folder
            raise UserError(f"{query.path!r} is no file of this execution: they start with {own}")
        size = await run_in_threadpool(self._web.blobs.size, query.path)
        content = await run_in_threadpool(self._web.blobs.open, query.path)
        name = quote(unquote(query.path.rpartition("/")[2]))
        headers = {
            "Content-Length": str(size),
            "Content-Disposition": f"attachment; filename*=UTF-8''{name}",
            "X-Content-Type-Options": "nosniff",
        }
        return StreamingResponse(
            _chunks(content), headers=headers, media_type="application/octet-stream"
        )

    async def found(self, execution_id: str, request: Request) -> StoredExecution:
        """Raises NotFound, for a young execution only after a while."""
        found = await run_in_threadpool(self._web.queries.execution, execution_id)
        if found is None and self._is_young(execution_id):
            found = await wait_until(
                self._web.queries,
                execution_id,
                lambda _: True,
                YOUNG_TIMEOUT,
                request.is_disconnected,
            )
        if found is None:
            raise NotFound(f"there is no execution {execution_id}")
        return found

    def _is_young(self, execution_id: str) -> bool:
        try:
            shard_of(execution_id)
            return abs(self._web.clock.wall() - time_of(execution_id)) < YOUNG_MS
        except ValueError:
            return False


def _sort_field(field: str) -> str:
    return _SORT_FIELDS.get(field, field.removeprefix("state."))


def _refused(path: str, message: str) -> InputRefused:
    return InputRefused([Problem(message, path)])


def _chunks(content: IO[bytes]) -> Iterator[bytes]:
    with content:
        while chunk := content.read(_CHUNK):
            yield chunk

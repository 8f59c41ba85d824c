"""Endpoints of workers: who lives, and who shall take no more jobs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from kestrapy.errors import NotFound
from kestrapy.machine.outputs import Drain
from kestrapy.servers.group_documents import worker_json
from kestrapy.servers.webserver.answers import answer
from kestrapy.servers.webserver.parameters import Parameters, WorkerParameters
from kestrapy.servers.webserver.web import Web
from kestrapy.servers.worker_board import LiveServer

_PATH = "/workers/{worker_id}"


class WorkerEndpoints:
    def __init__(self, web: Web):
        self._web = web

    def router(self) -> APIRouter:
        router = APIRouter(tags=["workers"])
        add = router.add_api_route
        add("/workers", self.all)
        add(_PATH, self.get)
        add(f"{_PATH}/drain", self.drain, methods=["PUT"], status_code=202)
        add(f"{_PATH}/resume", self.resume, methods=["PUT"], status_code=202)
        return router

    def all(self, query: Annotated[WorkerParameters, Query()]) -> Response:
        """Live workers by id. One that says nothing for `worker.lostAfter` leaves the list."""
        return answer([worker_json(it) for it in self._web.board.workers(query.worker_group)])

    def get(self, worker_id: str, _query: Annotated[Parameters, Query()]) -> Response:
        """A live worker, as it said itself last."""
        return answer(worker_json(self._found(worker_id)))

    def drain(self, worker_id: str, _query: Annotated[Parameters, Query()]) -> Response:
        """Have a worker take no more jobs. What it runs goes on; its `state` says when it obeys."""
        return self._tell(worker_id, drained=True)

    def resume(self, worker_id: str, _query: Annotated[Parameters, Query()]) -> Response:
        """Have a drained worker take jobs again."""
        return self._tell(worker_id, drained=False)

    def _tell(self, worker_id: str, *, drained: bool) -> Response:
        self._found(worker_id)
        self._web.sender.send(self._web.router.message(Drain(worker_id, drained)))
        what = "take no more jobs" if drained else "take jobs again"
        return answer({"message": f"worker {worker_id} will {what}"}, 202)

    def _found(self, worker_id: str) -> LiveServer:
        found = self._web.board.worker(worker_id)
        if found is None:
            raise NotFound(f"there is no live worker {worker_id}")
        return found

"""Endpoints of worker groups: declaring them, and how they are."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Query, Response

from kestrapy.errors import DeclarationRefused, Problem
from kestrapy.model.declaring import group_settings
from kestrapy.servers.group_documents import group_json
from kestrapy.servers.webserver.answers import answer
from kestrapy.servers.webserver.parameters import GroupBody, Parameters
from kestrapy.servers.webserver.web import Web
from kestrapy.wire.kestra_json import Json

_PATH = "/worker-groups/{key}"


class WorkerGroupEndpoints:
    def __init__(self, web: Web):
        self._web = web

    def router(self) -> APIRouter:
        router = APIRouter(tags=["worker groups"])
        add = router.add_api_route
        add("/worker-groups", self.all)
        add("/worker-groups", self.create, methods=["POST"])
        add(_PATH, self.get)
        add(_PATH, self.change, methods=["PUT"])
        add(_PATH, self.delete, methods=["DELETE"])
        add(f"{_PATH}/drain", self.drain, methods=["PUT"])
        add(f"{_PATH}/resume", self.resume, methods=["PUT"])
        return router

    def all(self, _query: Annotated[Parameters, Query()]) -> Response:
        """Declared worker groups by key, with their live workers, slots and jobs.

        A group whose `liveWorkers` is 0 has nobody who takes its jobs.
        """
        return answer([self._json(key) for key in sorted(self._web.settings.groups())])

    def create(
        self, body: Annotated[GroupBody, Body()], _query: Annotated[Parameters, Query()]
    ) -> Response:
        """Declare a worker group. Its topic is made."""
        if not body.key:
            raise DeclarationRefused([Problem("missing: name the group", "key")])
        self._web.declarations.create(group_settings(body))
        return answer(self._json(body.key))

    def get(self, key: str, _query: Annotated[Parameters, Query()]) -> Response:
        """A worker group, as `GET /worker-groups` shows it."""
        return answer(self._json(key))

    def change(
        self,
        key: str,
        body: Annotated[GroupBody, Body()],
        _query: Annotated[Parameters, Query()],
    ) -> Response:
        """Declare a worker group anew, as a whole: what is left out has its default.

        Equal content makes no new revision. One that the settings file declares is changed there.
        """
        if body.key not in ("", key):
            problem = f"key is {body.key!r}, and {key!r} can't be renamed"
            raise DeclarationRefused([Problem(problem, "key")])
        written = body.model_copy(update={"key": key})
        self._web.declarations.change(group_settings(written))
        return answer(self._json(key))

    def delete(self, key: str, _query: Annotated[Parameters, Query()]) -> Response:
        """Delete the declaration of a worker group that no flow names; its topic stays."""
        heads = self._web.flows.heads()
        self._web.declarations.delete(key, (self._web.parsed(it) for it in heads))
        return answer({"message": f"worker group {key} is deleted; its topic is not"})

    def drain(self, key: str, _query: Annotated[Parameters, Query()]) -> Response:
        """Hand out no more jobs of the group. What runs goes on, new jobs wait."""
        self._web.declarations.drain(key, drained=True)
        return answer(self._json(key))

    def resume(self, key: str, _query: Annotated[Parameters, Query()]) -> Response:
        """Hand out jobs of the group again."""
        self._web.declarations.drain(key, drained=False)
        return answer(self._json(key))

    def _json(self, key: str) -> Json:
        settings = self._web.declarations.group(key)
        revision = self._web.settings.group_revision(key)
        return group_json(settings, revision, self._web.board.group(key))

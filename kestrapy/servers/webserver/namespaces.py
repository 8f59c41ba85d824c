"""Endpoints of what namespaces, and the tenant, have as defaults."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from kestrapy.errors import NotFound
from kestrapy.language.worker_groups import parse_defaults
from kestrapy.servers.group_documents import namespace_json
from kestrapy.servers.webserver.answers import answer
from kestrapy.servers.webserver.flows import YAML_BODY, Source
from kestrapy.servers.webserver.parameters import Parameters
from kestrapy.servers.webserver.web import Web

_PATH = "/namespaces/{namespace}/settings"
_TENANT = ""


class NamespaceEndpoints:
    def __init__(self, web: Web):
        self._web = web

    def router(self) -> APIRouter:
        router = APIRouter(tags=["settings"])
        add = router.add_api_route
        add(_PATH, self.get)
        add(_PATH, self.save, methods=["PUT"], openapi_extra=YAML_BODY)
        add(_PATH, self.delete, methods=["DELETE"])
        add("/settings", self.get_tenant)
        add("/settings", self.save_tenant, methods=["PUT"], openapi_extra=YAML_BODY)
        add("/settings", self.delete_tenant, methods=["DELETE"])
        return router

    def get(self, namespace: str, _query: Annotated[Parameters, Query()]) -> Response:
        """A namespace's own settings; where there are none, its nearest parent's hold."""
        return self._get(namespace)

    def save(
        self, namespace: str, source: Source, _query: Annotated[Parameters, Query()]
    ) -> Response:
        """Save a namespace's settings, in YAML or JSON: `workerGroup` or `workerSelector`, written
        as in a flow, for tasks that say neither, nor their flow. They hold for namespaces below it
        too.
        """
        return self._save(namespace, source)

    def delete(self, namespace: str, _query: Annotated[Parameters, Query()]) -> Response:
        """Delete a namespace's own settings."""
        return self._delete(namespace)

    def get_tenant(self, _query: Annotated[Parameters, Query()]) -> Response:
        """The tenant's settings, for namespaces without any of their own or their parents'."""
        return self._get(_TENANT)

    def save_tenant(self, source: Source, _query: Annotated[Parameters, Query()]) -> Response:
        """Save the tenant's settings, written as a namespace's."""
        return self._save(_TENANT, source)

    def delete_tenant(self, _query: Annotated[Parameters, Query()]) -> Response:
        """Delete the tenant's settings."""
        return self._delete(_TENANT)

    def _get(self, name: str) -> Response:
        settings, revision = self._web.settings.namespace_as_saved(name)
        if settings is None or revision is None:
            whose = f"namespace {name} has" if name else "the tenant has"
            raise NotFound(f"{whose} no settings of its own")
        return answer(namespace_json(settings, revision))

    def _save(self, name: str, source: str) -> Response:
        settings = parse_defaults(source, name, self._web.groups)
        self._web.declarations.save_namespace(settings)
        return self._get(name)

    def _delete(self, name: str) -> Response:
        self._web.declarations.delete_namespace(name)
        return answer({"message": f"the settings of {name or 'the tenant'} are deleted"})

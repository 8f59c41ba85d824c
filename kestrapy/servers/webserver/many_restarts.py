"""Endpoints that replay many ended executions, or give them another state."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from kestrapy.model.state import State
from kestrapy.ports.store import StoredExecution
from kestrapy.servers.many import Many, Order
from kestrapy.servers.webserver.many_executions import Ids, answer_many, search_of
from kestrapy.servers.webserver.parameters import (
    ManyParameters,
    NewStatusParameters,
    NewStatusSearchParameters,
    ReplaysParameters,
    ReplaysSearchParameters,
)
from kestrapy.servers.webserver.restarts import restarts_by
from kestrapy.servers.webserver.web import Web


class ManyRestartEndpoints:
    def __init__(self, web: Web):
        self._web = web
        self._many = Many(web.queries, web.router, web.sender.send_all)
        self._restarts = restarts_by(web)

    def router(self) -> APIRouter:
        router = APIRouter(tags=["executions"])
        for path, endpoint in (
            ("replay/by-ids", self.replay_by_ids),
            ("replay/by-query", self.replay_by_query),
            ("change-status/by-ids", self.change_by_ids),
            ("change-status/by-query", self.change_by_query),
        ):
            router.add_api_route(f"/executions/{path}", endpoint, methods=["POST"])
        return router

    def replay_by_ids(self, ids: Ids, query: Annotated[ReplaysParameters, Query()]) -> Response:
        """Do again, as new executions, what these did, each from its beginning."""
        return answer_many("replay", self._many.by_ids(self._replay(query.latest_revision), ids))

    def replay_by_query(self, query: Annotated[ReplaysSearchParameters, Query()]) -> Response:
        """Do again, as new executions, what all did that a search finds; not what comes to be
        meanwhile.
        """
        order = self._replay(query.latest_revision)
        return self._by_query("replay", order, query)

    def change_by_ids(self, ids: Ids, query: Annotated[NewStatusParameters, Query()]) -> Response:
        """Give executions that have ended another state; nothing of them runs."""
        order = self._change(query.new_status)
        return answer_many("change-status", self._many.by_ids(order, ids))

    def change_by_query(self, query: Annotated[NewStatusSearchParameters, Query()]) -> Response:
        """Give all ended executions that a search finds another state; nothing of them runs."""
        return self._by_query("change-status", self._change(query.new_status), query)

    def _by_query(self, verb: str, order: Order, query: ManyParameters) -> Response:
        newest_id = self._restarts.new_id()
        *_, outcome = self._many.by_query(order, search_of(query), newest_id)
        return answer_many(verb, outcome)

    def _replay(self, latest: bool) -> Order:
        def revision(stored: StoredExecution) -> int | None:
            if not latest:
                return None
            return self._web.revision(stored.namespace, stored.flow_id).revision

        return self._many.whole(lambda it: self._restarts.replay(it, revision=revision(it)).records)

    def _change(self, state: State) -> Order:
        return self._many.whole(lambda it: self._restarts.change_status(it, state).records)

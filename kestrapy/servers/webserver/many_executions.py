"""Endpoints that tell many executions something at once: by their ids, or by a search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Response

from kestrapy.ports.store import ExecutionSearch
from kestrapy.servers import many
from kestrapy.servers.many import Many, Order, Outcome
from kestrapy.servers.webserver.answers import answer
from kestrapy.servers.webserver.parameters import (
    IgnoredParameters,
    ManyParameters,
    Parameters,
    epoch_ms,
    parse_labels,
)
from kestrapy.servers.webserver.restarts import restarts_by
from kestrapy.servers.webserver.resuming import Resuming
from kestrapy.servers.webserver.web import Web

Ids = Annotated[list[str], Body(max_length=10_000, description="Ids of executions.")]


class ManyEndpoints:
    """orders: by verb, the method and what is asked of each execution."""

    def __init__(self, web: Web):
        self._web = web
        self._many = Many(web.queries, web.router, web.sender.send_all)
        restarts = restarts_by(web)
        self._orders: Mapping[str, tuple[str, Order]] = {
            "kill": ("DELETE", many.kill),
            "pause": ("POST", many.pause),
            "resume": ("POST", Resuming(web).without_inputs),
            "restart": ("POST", self._many.whole(lambda it: restarts.restart(it).records)),
        }

    def router(self) -> APIRouter:
        router = APIRouter(tags=["executions"])
        for verb, (method, order) in self._orders.items():
            for which, endpoint in (
                ("by-ids", self._by_ids(verb, order)),
                ("by-query", self._by_query(verb, order)),
            ):
                router.add_api_route(f"/executions/{verb}/{which}", endpoint, methods=[method])
        router.add_api_route("/ignored", self.ignored)
        router.add_api_route("/ignored", self.ignore, methods=["PUT"])
        router.add_api_route("/ignored", self.heed, methods=["DELETE"])
        return router

    def ignored(self, _query: Annotated[Parameters, Query()]) -> Response:
        """What executors leave alone: nothing of these executions starts."""
        return answer([it.name for it in self._web.settings.ignored()])

    def ignore(self, query: Annotated[IgnoredParameters, Query()]) -> Response:
        """Leave executions alone from now on. What runs goes on, and they may be killed."""
        self._web.declarations.ignore(query.name, True)
        return answer({"name": query.name, "ignored": True})

    def heed(self, query: Annotated[IgnoredParameters, Query()]) -> Response:
        """Leave them alone no more. They go on within a minute."""
        self._web.declarations.ignore(query.name, False)
        return answer({"name": query.name, "ignored": False})

    def _by_ids(self, verb: str, order: Order) -> Any:
        def by_ids(ids: Ids, _query: Annotated[Parameters, Query()]) -> Response:
            return answer_many(verb, self._many.by_ids(order, ids))

        by_ids.__doc__ = (
            f"The same as `{verb}` of one execution, for all of these ids. What fits is done;"
            " `invalids` says which executions were refused, and why."
        )
        return by_ids

    def _by_query(self, verb: str, order: Order) -> Any:
        def by_query(query: Annotated[ManyParameters, Query()]) -> Response:
            *_, outcome = self._many.by_query(order, search_of(query))
            return answer_many(verb, outcome)

        by_query.__doc__ = (
            f"The same as `{verb}` of one execution, for all that a search finds, in batches."
            " `invalids` says which executions were refused, and why; the first 100 of them."
        )
        return by_query


def search_of(query: ManyParameters) -> ExecutionSearch:
    return ExecutionSearch(
        namespace=query.namespace,
        flow_id=query.flow_id,
        states=query.state,
        labels=list(parse_labels(query.labels).items()),
        start=epoch_ms(query.start_date),
        end=epoch_ms(query.end_date),
    )


def answer_many(verb: str, outcome: Outcome) -> Response:
    """400 where nothing could be done, as Kestra answers."""
    document: dict[str, Any] = {"count": outcome.count}
    if outcome.refused_count:
        document |= {
            "message": f"invalid bulk {verb}: {outcome.refused_count} refused",
            "invalidCount": outcome.refused_count,
            "invalids": [
                {"invalidValue": execution_id, "message": reason}
                for execution_id, reason in outcome.refused.items()
            ],
        }
    return answer(document, 400 if outcome.refused_count and not outcome.count else 200)

"""Answers in JSON; errors are ``{"message": …, "problems": […]}``, and never a traceback."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from kestrapy.errors import (
    Conflict,
    DeclarationRefused,
    FlowRefused,
    InputRefused,
    KestrapyError,
    NotFound,
    OperatorError,
    Problem,
    UserError,
)
from kestrapy.ports.store import RowsRefused

_LOG = logging.getLogger(__name__)


def answer(document: Any, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(msgspec.json.encode(document), status, media_type="application/json")


def refusal(status: int, message: str, problems: Sequence[Problem] = ()) -> Response:
    document: dict[str, Any] = {"message": message}
    if problems:
        document["problems"] = [
            {"message": it.message, "path": it.path, "line": it.line, "column": it.column}
            for it in problems
        ]
    return answer(document, status)


def answer_errors(app: FastAPI) -> None:
    """Have every error of the app answered in the same shape."""
    app.add_exception_handler(KestrapyError, _kestrapy_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _bug)


async def _kestrapy_error(request: Request, error: Exception) -> Response:
    match error:
        case FlowRefused() | InputRefused() | DeclarationRefused():
            return refusal(422, str(error), error.problems)
        case NotFound():
            return refusal(404, str(error))
        case Conflict():
            return refusal(409, str(error))
        case UserError() | RowsRefused():
            return refusal(422, str(error))
        case OperatorError():
            _LOG.warning("%s %s: %s", request.method, request.url.path, error)
            found = refusal(503, str(error))
            found.headers["Retry-After"] = "1"
            return found
    return await _bug(request, error)


async def _validation_error(_request: Request, error: Exception) -> Response:
    found = error.errors() if isinstance(error, RequestValidationError) else []
    problems = [Problem(_sentence(it), ".".join(map(str, it["loc"][1:]))) for it in found]
    return refusal(422, "; ".join(str(problem) for problem in problems), problems)


def _sentence(error: Mapping[str, Any]) -> str:
    if error["type"] == "extra_forbidden":
        return f"unknown {'parameter' if error['loc'][0] == 'query' else 'property'}: leave it out"
    return str(error["msg"])


async def _http_error(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    found = refusal(error.status_code, str(error.detail))
    found.headers.update(error.headers or {})
    return found


async def _bug(request: Request, error: Exception) -> Response:
    _LOG.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return refusal(500, "internal error: see the webserver's log")

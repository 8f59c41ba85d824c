"""The REST API as a client uses it, through restarts of the webserver."""

from __future__ import annotations

import threading
import time
from typing import Any

import httpx

PATIENCE = 300.0
"""Seconds for which a request is tried again: on a slow machine a webserver may take ten to start,
and be killed again so soon that it answers hardly anybody while harm is done.
"""
_PAUSE = 0.1
_YAML = {"Content-Type": "application/x-yaml"}


class Api:
    """Thread-safe. What ends in a refusal raises httpx.HTTPStatusError."""

    def __init__(self, url: str):
        self.url = url
        self._client = httpx.Client(base_url=f"{url}/api/v1/main", timeout=30)
        self._closing = threading.Event()

    def close(self) -> None:
        self._closing.set()
        self._client.close()

    def save_flow(self, source: str) -> dict[str, Any]:
        """Where an earlier try was answered by silence, the flow may exist: that is as good."""
        answer = self._again("POST", "/flows", content=source, headers=_YAML)
        if answer.status_code == 422 and "exists: update it by PUT" in answer.text:
            return {}
        return self._document(answer)

    def submit(self, namespace: str, flow_id: str, **inputs: str) -> str:
        """-> the id of an execution that was acknowledged."""
        files = {name: (None, value) for name, value in inputs.items()}
        path = f"/executions/{namespace}/{flow_id}"
        document = self._document(self._again("POST", path, files=files or None))
        return str(document["id"])

    def execution(self, execution_id: str) -> dict[str, Any]:
        return self._document(self._again("GET", f"/executions/{execution_id}"))

    def kill(self, execution_id: str) -> None:
        self._document(self._again("DELETE", f"/executions/{execution_id}/kill"))

    def logs(self, execution_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._again("GET", f"/logs/{execution_id}").json()
        return found

    def _again(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Until there is an answer that a client would not try again after."""
        begin = time.monotonic()
        met: dict[str, tuple[int, float]] = {}
        while True:
            try:
                answer = self._client.request(method, path, **request)
                if answer.status_code < 500:
                    return answer
                last = answer.text
            except httpx.TransportError as error:
                last = f"{type(error).__name__}: {error}"
            seconds = time.monotonic() - begin
            met[last] = met.get(last, (0, 0.0))[0] + 1, round(seconds, 1)
            if seconds > PATIENCE or self._closing.wait(_PAUSE):
                tries = "; ".join(
                    f"{times} times, last after {at} s: {it}" for it, (times, at) in met.items()
                )
                raise AssertionError(f"{method} {path} got no answer in {seconds:.0f} s: {tries}")

    def _document(self, answer: httpx.Response) -> dict[str, Any]:
        if answer.is_error:
            raise AssertionError(f"{answer.status_code} {answer.request.url}: {answer.text}")
        found: dict[str, Any] = answer.json()
        return found

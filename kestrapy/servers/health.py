"""A server's /health and /metrics over HTTP, in a thread of its own."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

Check = Callable[[], str | None]
"""Of a part of a server: None when it is well, else what is wrong."""


def health_report(checks: Mapping[str, Check]) -> tuple[int, dict[str, Any]]:
    """-> the HTTP status (200 or 503), and the document. A check that raises is not well."""
    wrong = {name: _ask(check) for name, check in checks.items()}
    parts = {name: {"status": "DOWN" if it else "UP"} for name, it in wrong.items()}
    for name, detail in wrong.items():
        if detail:
            parts[name]["detail"] = detail
    down = any(wrong.values())
    return 503 if down else 200, {"status": "DOWN" if down else "UP", "parts": parts}


def _ask(check: Check) -> str | None:
    try:
        return check()
    except Exception as error:  # whatever it is: the report says so
        return f"{type(error).__name__}: {error}"


class HealthServer:
    """Serves until ``close``. port: the one that it listens on."""

    def __init__(self, host: str, port: int, checks: Mapping[str, Check]):
        self._server = ThreadingHTTPServer((host, port), partial(_Handler, checks))
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="health", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def serve_health(host: str, port: int, checks: Mapping[str, Check]) -> HealthServer:
    """Listen at once. port 0: any free one. Raises OSError when the address is taken."""
    return HealthServer(host, port, checks)


class _Handler(BaseHTTPRequestHandler):
    timeout = 10

    def __init__(self, checks: Mapping[str, Check], *args: Any):
        self._checks = checks
        super().__init__(*args)

    def do_GET(self) -> None:
        match self.path.partition("?")[0]:
            case "/health":
                status, document = health_report(self._checks)
                self._answer(status, "application/json", json.dumps(document).encode())
            case "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest())
            case _:
                self._answer(404, "text/plain", b"not found: try /health or /metrics\n")

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Probes come each few seconds: nothing is logged of them."""

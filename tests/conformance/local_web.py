"""A server that stands in for the public hosts that flows of the corpus call."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

HOSTS = re.compile(r"https://(?:www\.google\.com|testpages\.eviltester\.com|raw\.github[\w.]+)")
SIGNED_IN = "Basic " + base64.b64encode(b"authorized:password001").decode()


class _Pages(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        refused = "basic-auth" in self.path and self.headers["Authorization"] != SIGNED_IN
        content = b"print('a page')\n"
        self.send_response(401 if refused else 200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Silent."""


@contextmanager
def local_web(path: Path) -> Iterator[str]:
    """The text of a flow that calls this server in the place of public hosts."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Pages)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield HOSTS.sub(f"http://127.0.0.1:{server.server_port}", path.read_text(encoding="utf-8"))
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

"""The small server that gives every other server its /health and /metrics."""

from __future__ import annotations

import httpx
import pytest

from kestrapy.servers.health import serve_health


def test_it_is_served_until_closed() -> None:
    wrong: list[str] = []
    server = serve_health("127.0.0.1", 0, {"log": lambda: wrong[0] if wrong else None})
    url = f"http://127.0.0.1:{server.port}"
    assert httpx.get(url + "/health").status_code == 200
    assert b"python_info" in httpx.get(url + "/metrics?x=1").content
    assert httpx.get(url + "/other").status_code == 404
    wrong.append("away")
    assert httpx.get(url + "/health").status_code == 503
    server.close()
    with pytest.raises(httpx.TransportError):
        httpx.get(url + "/health")

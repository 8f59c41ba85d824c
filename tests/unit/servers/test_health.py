"""The report that /health gives."""

from __future__ import annotations

from kestrapy.servers.health import health_report


def _raises() -> str | None:
    raise ValueError("no idea")


def test_a_server_is_as_well_as_its_worst_part() -> None:
    assert health_report({"log": lambda: None}) == (
        200,
        {"status": "UP", "parts": {"log": {"status": "UP"}}},
    )
    status, report = health_report({"log": lambda: None, "store": lambda: "away", "x": _raises})
    assert (status, report["status"]) == (503, "DOWN")
    assert report["parts"]["log"] == {"status": "UP"}
    assert report["parts"]["store"] == {"status": "DOWN", "detail": "away"}
    assert report["parts"]["x"]["detail"] == "ValueError: no idea"

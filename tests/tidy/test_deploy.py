"""What is deployed names commands and settings that exist, and has no more rights than it needs."""

from __future__ import annotations

from pathlib import Path

import yaml
from typer.main import get_command
from typer.testing import CliRunner

from kestrapy.cli.app import app
from kestrapy.config import load_settings

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVERS = {
    name: service
    for name, service in COMPOSE["services"].items()
    if "image" in service and service["image"] == "kestrapy"
}


def test_all_five_servers_are_deployed() -> None:
    deployed = {service["command"][1] for service in SERVERS.values()}
    assert deployed == {"executor", "scheduler", "indexer", "webserver", "worker"}


def test_every_command_exists() -> None:
    assert get_command(app).name == "kestrapy"
    for service in SERVERS.values():
        command = [*service["command"], "--help"]
        assert CliRunner().invoke(app, command).exit_code == 0, command


def test_the_settings_are_good_and_declare_the_groups_that_workers_serve() -> None:
    settings = load_settings(DEPLOY / "kestrapy.yaml", {})
    for service in SERVERS.values():
        if "--worker-group" in service["command"]:
            group = service["command"][service["command"].index("--worker-group") + 1]
            assert group in settings.group_keys


def test_servers_have_no_rights_that_they_do_not_need() -> None:
    for service in SERVERS.values():
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]
    last = (DEPLOY / "Dockerfile").read_text().rpartition("FROM")[2]
    assert "USER kestrapy" in last


def test_no_secret_is_written_down() -> None:
    for service in COMPOSE["services"].values():
        for name, value in service.get("environment", {}).items():
            if "PASSWORD" in name or "password" in str(value) or "://kestrapy:" in str(value):
                assert "${POSTGRES_PASSWORD" in str(value)

"""A real schema registry: Apicurio, from Maven Central, on the Java that comes in a wheel."""

from __future__ import annotations

import re
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen

import pytest
from jgo.maven import MavenContext

from kestrapy.adapters.kafka.distribution import java
from kestrapy.adapters.tether import spawn

VERSION = "3.3.3"
_START_SECONDS = 90.0


@pytest.fixture(scope="session")
def registry_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a registry's Confluent API. A machine that can't have one fails the test."""
    folder = tmp_path_factory.mktemp("apicurio")
    project = MavenContext().project("io.apicurio", "apicurio-registry-app")
    archive = project.at_version(VERSION).artifact("all", "tar.gz").resolve()
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    log = folder / "log"
    settings = {
        "http.host": "127.0.0.1",
        "http.port": "0",
        "management.host": "127.0.0.1",
        "management.port": "0",
    }
    argv = [str(java()), "-Xmx512m", "-XX:TieredStopAtLevel=1"]
    argv += [f"-Dquarkus.{name}={value}" for name, value in settings.items()]
    process = spawn([*argv, "-jar", str(folder / "quarkus-run.jar")], log=log)
    try:
        yield f"{_address(process, log)}/apis/ccompat/v7"
    finally:
        process.kill()
        process.wait()


def _address(process: Popen[bytes], log: Path) -> str:
    """Where it listens, once it says so."""
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if found := re.search(r"Listening on: (http://[\d.]+:\d+)", log.read_text()):
            return found[1]
        time.sleep(0.1)
    pytest.fail(f"Apicurio {VERSION} did not start:\n{log.read_text()[-2000:]}")

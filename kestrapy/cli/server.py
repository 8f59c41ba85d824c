"""``kestrapy server``: the servers, one process each."""

from __future__ import annotations

import logging
import os
import sys
from typing import Annotated

import typer

from kestrapy.cli.settings import ConfigOption, settings_of
from kestrapy.supervisor.channel import FD_VARIABLE

app = typer.Typer(help="Run servers until SIGTERM or Ctrl-C.", no_args_is_help=True)

LOG_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


def start_logging() -> None:
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, stream=sys.stderr)
    logging.getLogger("alembic").setLevel(logging.WARNING)


@app.command()
def standalone(config: ConfigOption = None) -> None:
    """All five servers, as processes under one parent that restarts them."""
    from kestrapy.assembly.standalone import run_standalone

    start_logging()
    raise typer.Exit(run_standalone(settings_of(config), config))


@app.command()
def executor(config: ConfigOption = None) -> None:
    """Moves executions forward. Run as many as you like: shards are spread over them."""
    from kestrapy.assembly.servers import run_executor

    start_logging()
    run_executor(settings_of(config))


@app.command()
def scheduler(config: ConfigOption = None) -> None:
    """Makes executions when triggers are due."""
    from kestrapy.assembly.servers import run_scheduler

    start_logging()
    run_scheduler(settings_of(config))


@app.command()
def indexer(config: ConfigOption = None) -> None:
    """Relays execution events, logs and metrics to the database."""
    from kestrapy.assembly.indexing import run_indexer

    start_logging()
    run_indexer(settings_of(config))


@app.command()
def webserver(config: ConfigOption = None) -> None:
    """The REST API."""
    from kestrapy.assembly.web import run_webserver

    start_logging()
    run_webserver(settings_of(config))


@app.command()
def worker(
    worker_group: Annotated[
        str | None, typer.Option("--worker-group", "-g", help="Group that it serves; `default`.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", "--thread", "-t", help="Task runs at once; 8.")
    ] = None,
    tags: Annotated[
        list[str] | None,
        typer.Option("--tag", help="Shown with it, beside its group's own; may be repeated."),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Runs the jobs of one worker group, under a supervisor of its own."""
    from kestrapy.assembly.servers import of_group, refuse_undeclared, run_worker

    settings = of_group(settings_of(config), worker_group, threads, tags)
    if FD_VARIABLE not in os.environ:
        # Before there is a supervisor, which would start the worker again and again.
        refuse_undeclared(settings)
        supervise(settings.worker.worker_group, settings.worker.termination_grace_period)
    start_logging()
    raise typer.Exit(run_worker(settings))


def supervise(group: str, grace: int) -> None:
    """Become the supervisor, which starts this very command again as its worker. grace: ms."""
    from kestrapy.adapters.system import SystemEntropy
    from kestrapy.assembly.servers import INSTANCE_VARIABLE

    os.environ.setdefault(INSTANCE_VARIABLE, f"{group}-{SystemEntropy().token()}")
    again = [sys.executable, "-m", "kestrapy", *sys.argv[1:]]
    keep = [sys.executable, "-m", "kestrapy.supervisor", "--grace", str(grace + SPARE), "--"]
    os.execv(sys.executable, keep + again)  # noqa: S606 - ourselves, without a shell


SPARE = 10_000
"""ms beyond the worker's own grace period, for it to hand back what did not end."""

"""``kestrapy run``: one flow in one process, on a log in memory."""

from __future__ import annotations

import logging
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from kestrapy.cli.settings import ConfigOption, settings_of


class OutputFormat(Enum):
    """How the result is shown."""

    TEXT = "text"
    JSON = "json"


def run(
    flow_file: Annotated[Path, typer.Argument(help="The flow, a YAML file.", metavar="FLOW.yaml")],
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", "-i", help="An input, as id=value; of a FILE input its path."),
    ] = None,
    flows: Annotated[
        Path | None, typer.Option("--flows", help="Folder of further flows to be there.")
    ] = None,
    schedule_date: Annotated[
        str | None,
        typer.Option(
            "--schedule-date",
            metavar="DATE",
            help="Wait, CREATED, until this ISO 8601 date with an offset, then start.",
        ),
    ] = None,
    config: ConfigOption = None,
    output: Annotated[
        OutputFormat, typer.Option("--output", "-o", help="text: live; json: one document.")
    ] = OutputFormat.TEXT,
) -> None:
    """Run one flow in this process, without Kafka: the same code on a log in memory.

    Task states and logs go to standard error while it runs. Exit code 0 for SUCCESS and WARNING, 1
    for any other end, 2 where the flow or its inputs are refused.
    """
    from kestrapy.cli.running import RunOptions, not_before_of, run_flow

    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(name)s: %(message)s")
    as_json = output is OutputFormat.JSON
    options = RunOptions(inputs or [], flows, not_before_of(schedule_date), as_json)
    raise typer.Exit(run_flow(flow_file, options, settings_of(config)))

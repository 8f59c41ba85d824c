"""``kestrapy demo``: an example on a real Kafka with all servers, from nothing to its report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Let the servers run afterwards, until Ctrl-C.")
    ] = False,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            "--data-dir", help="New folder for data and logs, kept; else a temporary one."
        ),
    ] = None,
    examples: Annotated[
        Path | None, typer.Option("--examples", help="The folder `examples` of a checkout.")
    ] = None,
) -> None:
    """See it work: a report on 10,000 rows, made by workers of three groups.

    Starts a Kafka (unless KESTRAPY_KAFKA_BOOTSTRAP_SERVERS names one) and all five servers, saves a
    flow by the REST API, runs it, and shows its task runs and the report. Nothing stays behind.
    """
    from kestrapy.cli.demonstration import find_examples, run_demo

    raise typer.Exit(run_demo(find_examples(examples), data_dir, keep))

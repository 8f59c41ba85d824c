"""``kestrapy broker``: a real Kafka for a laptop, from Python packages alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kestrapy.cli.settings import ConfigOption, settings_of


def broker(
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", help="Its folder; dataDir/broker by default.")
    ] = None,
    port: Annotated[int, typer.Option("--port", help="Port on 127.0.0.1; 0: a free one.")] = 9092,
    config: ConfigOption = None,
) -> None:
    """Run an embedded Kafka broker until Ctrl-C. Needs the extra `broker`: pip install
    'kestrapy-server[broker]'. For development: one node, no replication.
    """
    from kestrapy.adapters.kafka.broker import run_broker

    folder = data_dir or settings_of(config).home / "broker"
    run_broker(folder, port)

"""``kestrapy topics``: the topics of an installation."""

from __future__ import annotations

import typer
from rich.console import Console
from rich.table import Column, Table

from kestrapy.cli.settings import ConfigOption, settings_of
from kestrapy.wire.fitness import unfit

app = typer.Typer(help="Create and describe the topics.", no_args_is_help=True)


@app.command()
def create(config: ConfigOption = None) -> None:
    """Create the topics that are missing, those of all declared worker groups included."""
    from kestrapy.assembly.servers import ensure_topics, parts_of

    made = ensure_topics(parts_of(settings_of(config), "topics"))
    for name in made:
        print(name)
    print(f"{len(made)} created" if made else "all topics were there")


@app.command()
def describe(config: ConfigOption = None) -> None:
    """Show each topic, and what of it is unfit. Exit code 1 where something is."""
    from kestrapy.assembly.servers import TOPICS_TIMEOUT, parts_of

    parts = parts_of(settings_of(config), "topics")
    specs = parts.catalogue.specs(parts.groups)
    found = parts.log.topics().describe([spec.name for spec in specs], TOPICS_TIMEOUT)
    table = Table(
        Column("topic", no_wrap=True),
        "partitions",
        "replicas",
        "key",
        "public",
        "what",
        box=None,
    )
    wrong = []
    for spec in specs:
        topic, description = parts.catalogue.topic(spec.name), found.get(spec.name)
        wrong += unfit(spec, description)
        table.add_row(
            spec.name,
            str(description.partitions) if description else "missing",
            str(description.replication_factor) if description else "-",
            topic.key if topic else "",
            "yes" if topic and topic.public else "",
            topic.what if topic else "",
        )
    Console().print(table)
    for problem in wrong:
        print(problem)
    raise typer.Exit(1 if wrong else 0)

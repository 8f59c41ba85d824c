"""``kestrapy dead-letter``: records that could not be read or were refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from kestrapy.cli.settings import ConfigOption, settings_of
from kestrapy.machine.outputs import DeadLetter

if TYPE_CHECKING:
    from kestrapy.assembly.dead_letters import DeadLetters

app = typer.Typer(help="List, show and send again what was refused.", no_args_is_help=True)

NumberArgument = Annotated[int, typer.Argument(help="Its number, as `list` shows it.")]


def letters_of(config: ConfigOption) -> DeadLetters:
    from kestrapy.assembly.dead_letters import DeadLetters
    from kestrapy.assembly.servers import parts_of

    return DeadLetters(parts_of(settings_of(config), "dead-letter"))


@app.command("list")
def list_letters(
    config: ConfigOption = None,
    limit: Annotated[int, typer.Option(help="The newest so many.")] = 50,
) -> None:
    """The newest dead letters, oldest of them first."""
    table = Table(box=None)
    for name in ("number", "when", "from", "record", "redrives", "reason"):
        table.add_column(name, overflow="fold")
    for number, letter in letters_of(config).newest(limit):
        where = f"{letter.topic}/{letter.partition}/{letter.offset}"
        name = letter.record_name or "?"
        table.add_row(
            str(number), when(letter), where, name, str(letter.redrives), letter.reason[:200]
        )
    Console().print(table)


@app.command()
def show(number: NumberArgument, config: ConfigOption = None) -> None:
    """One dead letter, with the record as far as it can be read."""
    letters = letters_of(config)
    letter = letters.get(number)
    print(f"number:   {number}")
    print(f"when:     {when(letter)}")
    print(f"from:     {letter.topic} partition {letter.partition} offset {letter.offset}")
    print(f"record:   {letter.record_name or 'unknown'}")
    print(f"redrives: {letter.redrives}")
    print(f"reason:   {letter.reason}")
    print(f"key:      {letter.key!r}")
    print(f"content:  {letters.content(letter)}")


@app.command()
def redrive(number: NumberArgument, config: ConfigOption = None) -> None:
    """Send the record to its topic again, once its cause is mended."""
    letter = letters_of(config).redrive(number)
    print(f"sent to {letter.topic} again (redrive {letter.redrives + 1})")


def when(letter: DeadLetter) -> str:
    return f"{datetime.fromtimestamp(letter.at / 1000, UTC):%Y-%m-%d %H:%M:%S}Z"

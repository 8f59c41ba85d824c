"""``kestrapy execution``: tell executions to end, to pause, to go on; or leave them alone."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Annotated, Any

import typer

from kestrapy.cli.given import parse_inputs, store_files
from kestrapy.cli.settings import ConfigOption, settings_of
from kestrapy.errors import InputRefused, Problem, UserError
from kestrapy.machine.commands import Command
from kestrapy.model.flow import TENANT
from kestrapy.model.state import State
from kestrapy.ports.store import ExecutionSearch, StoredExecution
from kestrapy.servers import many
from kestrapy.servers.many import Many, Order, Outcome
from kestrapy.servers.restarts import Restarts, Revived

app = typer.Typer(
    help="Kill, pause, resume, restart and replay executions, or leave them alone; needs no"
    " webserver.",
    no_args_is_help=True,
)
CLIENT = "execution"
_NOTHING_DONE = 1

IdsArgument = Annotated[
    list[str] | None, typer.Argument(help="Their ids; none: all that the options find.")
]
NamespaceOption = Annotated[
    str, typer.Option("--namespace", help="Of this namespace, or one below it.")
]
FlowOption = Annotated[str, typer.Option("--flow", help="Of the flow with this id.")]
StateOption = Annotated[list[State] | None, typer.Option("--state", help="In any of these.")]
LabelOption = Annotated[
    list[str] | None, typer.Option("--label", metavar="KEY:VALUE", help="With all of these.")
]
StartedOption = Annotated[
    str,
    typer.Option(
        metavar="FROM/TO",
        help="Started then: ISO 8601 dates with an offset; either may be left out.",
    ),
]


@app.command()
def kill(
    ids: IdsArgument = None,
    namespace: NamespaceOption = "",
    flow: FlowOption = "",
    state: StateOption = None,
    label: LabelOption = None,
    started: StartedOption = "",
    config: ConfigOption = None,
) -> None:
    """End executions. What runs of them is killed, nothing more is started.

    Example: `kestrapy execution kill --namespace company.team --state RUNNING --state PAUSED`
    """
    search = search_of(namespace, flow, state, label, started)
    tell("killed", many.kill, ids, search, config)


@app.command()
def pause(
    ids: IdsArgument = None,
    namespace: NamespaceOption = "",
    flow: FlowOption = "",
    state: StateOption = None,
    label: LabelOption = None,
    started: StartedOption = "",
    config: ConfigOption = None,
) -> None:
    """Let nothing more of running executions start until they are resumed; what runs goes on."""
    search = search_of(namespace, flow, state, label, started)
    tell("paused", many.pause, ids, search, config)


@app.command()
def resume(
    ids: IdsArgument = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", "-i", help="An input, as id=value; of a FILE input its path."),
    ] = None,
    namespace: NamespaceOption = "",
    flow: FlowOption = "",
    state: StateOption = None,
    label: LabelOption = None,
    config: ConfigOption = None,
) -> None:
    """Let paused executions go on. --input: what the pause of one execution asks for; without it
    one that asks for something stays paused, and its log says so.

    Example: `kestrapy execution resume ID --input approved=true --input report=report.pdf`
    """
    search = search_of(namespace, flow, state, label, "")
    if not inputs:
        tell("resumed", many.resume, ids, search, config)
        return
    if len(ids or ()) != 1:
        raise UserError("--input is for one execution: say its id, and no other")
    resume_with(parse_inputs(inputs), ids, config)


def resume_with(given: dict[str, Any], ids: list[str] | None, config: ConfigOption) -> None:
    """Exit code 1 where it is refused."""
    from kestrapy.assembly.executions import opened_pauses

    with opened_pauses(settings_of(config), CLIENT) as (executions, pauses, blobs):

        def order(stored: StoredExecution) -> Iterable[Command]:
            asking = pauses.asking(stored)
            values = store_files(blobs, asking, stored.execution_id, dict(given))
            return [pauses.command(asking, stored, values)]

        ask("resumed", executions.whole(order), ids, ExecutionSearch(), executions)


RevisionOption = Annotated[
    int | None, typer.Option(min=1, help="Of the flow; left out: the one that each had.")
]


@app.command()
def restart(
    ids: IdsArgument = None,
    revision: RevisionOption = None,
    namespace: NamespaceOption = "",
    flow: FlowOption = "",
    state: StateOption = None,
    started: StartedOption = "",
    config: ConfigOption = None,
) -> None:
    """Run again what failed of ended executions, and what follows; with --revision as new ones.

    Example: `kestrapy execution restart --namespace company.team --state FAILED`
    """
    search = search_of(namespace, flow, state, None, started)
    revive("restarted", lambda by, it: by.restart(it, revision), ids, search, config)


@app.command()
def replay(
    ids: IdsArgument = None,
    revision: RevisionOption = None,
    task_run: Annotated[
        str, typer.Option("--task-run", metavar="ID", help="From this one on, of one execution.")
    ] = "",
    namespace: NamespaceOption = "",
    flow: FlowOption = "",
    state: StateOption = None,
    config: ConfigOption = None,
) -> None:
    """Do again, as new executions, what executions did; their ids are printed."""
    search = search_of(namespace, flow, state, None, "")
    if task_run and len(ids or ()) != 1:
        raise UserError("--task-run is of one execution: say its id, and no other")
    revive("replayed", lambda by, it: by.replay(it, task_run, revision), ids, search, config)


NameArgument = Annotated[
    str,
    typer.Argument(
        metavar="WHAT",
        help="execution/ID, flow/NAMESPACE/ID, namespace/NAME, or tenant/main.",
    ),
]


@app.command()
def ignore(what: NameArgument, config: ConfigOption = None) -> None:
    """Leave executions alone from now on: nothing of them starts. What runs goes on, and they may
    be killed. Those of a namespace below are not meant.
    """
    set_ignored(what, config, ignored=True)
    print(f"{what} is left alone: take that back by `kestrapy execution heed {what}`")


@app.command()
def heed(what: NameArgument, config: ConfigOption = None) -> None:
    """Take `ignore` back. Executions go on within a minute."""
    set_ignored(what, config, ignored=False)
    print(f"{what} is left alone no more")


@app.command()
def ignored(config: ConfigOption = None) -> None:
    """What is left alone."""
    from kestrapy.assembly.groups import opened_groups

    with opened_groups(settings_of(config), CLIENT, settled=False) as groups:
        for each in groups.settings.ignored():
            print(each.name)


def set_ignored(what: str, config: ConfigOption, *, ignored: bool) -> None:
    from kestrapy.assembly.groups import opened_groups

    check_name(what)
    with opened_groups(settings_of(config), CLIENT, settled=False) as groups:
        groups.declarations.ignore(what, ignored)


def check_name(what: str) -> None:
    """Raises UserError for what can't be left alone."""
    kind, _, name = what.partition("/")
    parts = {"execution": 1, "flow": 2, "namespace": 1, "tenant": 1}.get(kind, 0)
    if (
        not all(name.split("/"))
        or len(name.split("/")) != parts
        or (kind == "tenant" and name != TENANT)
    ):
        raise UserError(
            f"{what!r}: expected execution/ID, flow/NAMESPACE/ID, namespace/NAME or tenant/{TENANT}"
        )


def search_of(
    namespace: str,
    flow: str,
    states: list[State] | None,
    labels: list[str] | None,
    started: str,
) -> ExecutionSearch:
    """Raises InputRefused."""
    pairs = []
    for label in labels or ():
        key, colon, value = label.partition(":")
        if not (key and colon and value):
            raise InputRefused([Problem(f"--label {label!r}: expected key:value")])
        pairs.append((key, value))
    first, slash, last = started.partition("/")
    if started and not slash:
        raise InputRefused([Problem(f"--started {started!r}: expected FROM/TO")])
    return ExecutionSearch(
        namespace, flow, tuple(states or ()), tuple(pairs), epoch_ms(first), epoch_ms(last)
    )


def epoch_ms(date: str) -> int | None:
    """Raises InputRefused."""
    try:
        found = datetime.fromisoformat(date) if date else None
    except ValueError as error:
        raise InputRefused([Problem(f"--started: {error}")]) from None
    if found is not None and found.tzinfo is None:
        raise InputRefused([Problem(f"--started: {date} has no offset, such as Z")])
    return None if found is None else round(found.timestamp() * 1000)


def tell(
    done: str,
    order: Order,
    ids: list[str] | None,
    search: ExecutionSearch,
    config: ConfigOption,
) -> None:
    """Exit code 1 where all were refused. Raises UserError where it is not said which."""
    from kestrapy.assembly.executions import opened_executions

    require_some(ids, search)
    with opened_executions(settings_of(config), CLIENT) as executions:
        ask(done, order, ids, search, executions)


def revive(
    done: str,
    how: Callable[[Restarts, StoredExecution], Revived],
    ids: list[str] | None,
    search: ExecutionSearch,
    config: ConfigOption,
) -> None:
    """As ``tell``. Of those that go on under a new id, that is printed."""
    from kestrapy.assembly.executions import opened_restarts

    require_some(ids, search)
    with opened_restarts(settings_of(config), CLIENT) as (executions, restarts):

        def order(stored: StoredExecution) -> Iterable[Command]:
            revived = how(restarts, stored)
            if revived.execution_id != stored.execution_id:
                print(f"{stored.execution_id} goes on as {revived.execution_id}")
            return revived.records

        ask(done, executions.whole(order), ids, search, executions, restarts.new_id())


def require_some(ids: list[str] | None, search: ExecutionSearch) -> None:
    """Raises UserError where it is not said which."""
    everything = search == ExecutionSearch()
    if bool(ids) != everything:
        raise UserError("say which executions: their ids, or options such as --namespace")


def ask(
    done: str,
    order: Order,
    ids: list[str] | None,
    search: ExecutionSearch,
    executions: Many,
    newest_id: str = "",
) -> None:
    """Exit code 1 where all were refused."""
    if ids:
        steps: Iterable[Outcome] = [executions.by_ids(order, ids)]
    else:
        steps = executions.by_query(order, search, newest_id)
    *_, outcome = shown(done, steps)
    for execution_id, reason in outcome.refused.items():
        print(f"{execution_id}: {reason}", file=sys.stderr)
    if left := outcome.refused_count - len(outcome.refused):
        print(f"… and {left} more", file=sys.stderr)
    print(f"{outcome.count} will be {done}, {outcome.refused_count} refused")
    if outcome.refused_count and not outcome.count:
        raise typer.Exit(_NOTHING_DONE)


def shown(done: str, steps: Iterable[Outcome]) -> Iterable[Outcome]:
    """The same, with a line on standard error for how far it is, in a terminal."""
    for outcome in steps:
        if sys.stderr.isatty():
            far = f"{outcome.count} to be {done}, {outcome.refused_count} refused …"
            print(f"\r{far}", end="", file=sys.stderr, flush=True)
        yield outcome
    if sys.stderr.isatty():
        print(file=sys.stderr)

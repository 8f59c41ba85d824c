"""The demo: a Kafka, the servers, one execution and its report, and then nothing of it again."""

from __future__ import annotations

import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

import kestrapy
from kestrapy.adapters.kafka.provision import provide_kafka
from kestrapy.adapters.rest import RestClient
from kestrapy.adapters.system import SystemClock
from kestrapy.assembly.demo import demo_servers
from kestrapy.cli.progress import Progress, table_of
from kestrapy.cli.running import load
from kestrapy.errors import NotFound, OperatorError, UserError
from kestrapy.model.flow import Flow
from kestrapy.model.state import State
from kestrapy.servers.declarations import groups_named
from kestrapy.wire.kestra_json import Json

FLOW_FILE = "bike-report.yaml"
DATA_FILE = Path("data") / "bike-counts.csv"
FILE_INPUT = "counts"
REPORT = "report"
"""The output of the flow that is shown."""
PLAIN_WIDTH = 100
"""Columns of what is no terminal."""
INTERRUPTED = 130


def find_examples(given: Path | None) -> Path:
    """The folder with the demo's flow and data. Raises NotFound."""
    checkout = Path(kestrapy.__file__).parents[1]
    places = [given] if given else [Path("examples"), checkout / "examples"]
    for place in places:
        if (place / FLOW_FILE).is_file() and (place / DATA_FILE).is_file():
            return place
    raise NotFound(
        f"no {FLOW_FILE} and {DATA_FILE} in {' or '.join(map(str, places))}: the demo needs a"
        " checkout of kestrapy's repository; run it there, or name its folder by --examples"
    )


def run_demo(examples: Path, data_dir: Path | None, keep: bool) -> int:
    """-> exit code. Raises OperatorError where a part does not start, or the execution fails."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    # As Ctrl-C, so that all that was started is ended in good order.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _demonstrate(console, examples, data_dir, keep)
    except KeyboardInterrupt:
        console.print("Stopped.")
        return INTERRUPTED
    return 0


def _demonstrate(console: Console, examples: Path, data_dir: Path | None, keep: bool) -> None:
    flow, data = load(examples / FLOW_FILE, None), examples / DATA_FILE
    clock = SystemClock()
    began = clock.monotonic()
    with _working_folder(data_dir) as folder, _servers(console, flow, folder) as client:
        ready = clock.monotonic()
        client.save(flow.namespace, flow.id, flow.source)
        _say(console, f"Flow: {examples / FLOW_FILE}")
        execution_id = client.submit(flow.namespace, flow.id, {FILE_INPUT: data})
        _say(console, f"File: {data}, {data.stat().st_size:,} bytes uploaded\n")
        execution = _follow(console, clock, client, execution_id)
        ended = clock.monotonic()
        _show_result(console, client, execution)
        _say(
            console,
            f"{(ready - began) / 1000:.1f} s to start Kafka and the servers,"
            f" {(ended - ready) / 1000:.1f} s to save and run the flow.",
        )
        if keep:
            _linger(console, client, execution_id)
        _say(console, "Stopping the servers …")


@contextmanager
def _servers(console: Console, flow: Flow, folder: Path) -> Iterator[RestClient]:
    """Kafka and all that the flow needs, while the block runs. -> the webserver's API"""
    groups = groups_named(flow)
    _say(console, "Starting a Kafka (the first time, 44 MB are downloaded for it) …")
    with provide_kafka(folder / "kafka") as kafka:
        _say(console, kafka.description)
        _say(console, "Starting the servers …")
        with demo_servers(folder, kafka.bootstrap_servers, groups) as client:
            workers = ", ".join(["default", *groups])
            _say(console, f"Servers: scheduler, executor, indexer, workers of {workers}")
            _say(console, f"Webserver: {client.url}")
            yield client


@contextmanager
def _working_folder(given: Path | None) -> Iterator[Path]:
    """The folder that was given, which has to be new; or one that goes again, unless something
    failed: then the servers' logs are in it.
    """
    if given is not None:
        if given.exists() and any(given.iterdir()):
            raise UserError(f"--data-dir {given} is not empty: name a folder that does not exist")
        given.mkdir(parents=True, exist_ok=True)
        yield given
        return
    folder = Path(tempfile.mkdtemp(prefix="kestrapy-demo-"))
    try:
        yield folder
    except OperatorError as error:
        raise OperatorError(f"{error}\nData and logs are kept in {folder}") from error
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)


def _follow(console: Console, clock: SystemClock, client: RestClient, execution_id: str) -> Json:
    """Show the execution while it runs. -> how it ended"""
    execution: Json = {}
    with Progress(console, clock) as progress:
        for execution in client.follow(execution_id):
            progress.show(execution)
    return execution


def _show_result(console: Console, client: RestClient, execution: Json) -> None:
    """The report and the task runs. Raises OperatorError when the execution did not end well."""
    execution_id, state = execution["id"], execution["state"]["current"]
    if uri := execution["outputs"].get(REPORT):
        report = client.file(execution_id, uri).decode()
        if console.is_terminal:
            console.print(Markdown(report))
        else:
            _say(console, report.rstrip())
        console.print()
    console.print(table_of(execution))
    if state not in (State.SUCCESS, State.WARNING):
        lines = [f"{it['taskId']}: {it['message']}" for it in client.logs(execution_id, "WARN")]
        raise OperatorError("\n".join([f"execution {execution_id} ended as {state}", *lines]))


def _linger(console: Console, client: RestClient, execution_id: str) -> None:
    """Until Ctrl-C."""
    place = f"{client.url}/api/v1/main/executions/{execution_id}"
    try:
        _say(console, f"The servers go on, until Ctrl-C. Try: curl {place}")
        threading.Event().wait()
    except KeyboardInterrupt:
        console.print()


def _say(console: Console, line: str) -> None:
    console.print(line, markup=False, soft_wrap=True)

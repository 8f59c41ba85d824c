"""What a run of a task may use: the port ``TaskContext``, made for each run."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec

from kestrapy.errors import InvariantViolated, UserError
from kestrapy.language.expression import render_value
from kestrapy.language.task_spec import parse_task
from kestrapy.machine.outputs import ExecutionPurge, LogEntry, LogPurge
from kestrapy.model.flow import Task
from kestrapy.model.instants import iso_micros
from kestrapy.plugins.registry import REGISTRY, Runnable, runnable_of
from kestrapy.plugins.tasks.log import LEVELS
from kestrapy.ports.blobs import Blobs
from kestrapy.ports.cipher import Cipher
from kestrapy.ports.clock import Clock, Entropy
from kestrapy.ports.places import cache_folder, execution_folder
from kestrapy.ports.processes import Launcher, Process
from kestrapy.ports.secrets import Secrets
from kestrapy.ports.store import Queries
from kestrapy.ports.tasks import Files, TaskOutcome
from kestrapy.servers.worker.log_lines import LogLines
from kestrapy.servers.worker.perform import perform
from kestrapy.servers.worker.reach import Reach, reach_of_namespaces, reach_of_run
from kestrapy.servers.worker.revealed import (
    guard,
    longest_first,
    made_of,
    mask,
    parts_of,
    reveal,
    seal,
)
from kestrapy.servers.worker.task_sender import TaskSender
from kestrapy.servers.worker.world import Beyond, WorkerWorld


class JobTask(msgspec.Struct, frozen=True):
    """A job's task. variables: what its expressions may read. attempt: from 1. epoch: its fence.
    values: of the loops around it.
    """

    execution_id: str
    task_run_id: str
    epoch: int
    attempt: int
    namespace: str
    flow_id: str
    task: Task
    variables: dict[str, Any]
    values: tuple[str, ...] = ()


class Sinks(NamedTuple):
    """Where a run's logs, metrics and end are told; called from the run's own thread.

    on_log(level, message), on_metric(name, kind, value, tags), on_end() once there is an outcome.
    """

    on_log: Callable[[str, str], None]
    on_metric: Callable[[str, str, float, Mapping[str, str]], None]
    on_end: Callable[[], None]


def no_database() -> Queries:
    raise UserError("this worker has no database to ask")


class Tools(NamedTuple):
    """What all runs of a worker share. folder: where working directories are made.

    sleep: waits until the event is set or so many seconds have passed. -> whether it is set.
    cipher: None without a key. types: what runs a task; raises NotFound.
    secrets, keyed: as in ``world.Beyond``. queries: opens the database when it is first asked;
    raises UserError where there is none.
    """

    blobs: Blobs
    launcher: Launcher
    clock: Clock
    folder: Path
    entropy: Entropy
    lines: LogLines
    sender: TaskSender
    sleep: Callable[[threading.Event, float], bool] = threading.Event.wait
    cipher: Cipher | None = None
    types: Callable[[Task], Runnable] = runnable_of
    secrets: Secrets | None = None
    keyed: Callable[[bytes], Cipher] | None = None
    queries: Callable[[], Queries] = no_database


class RunContext:
    """One run's ``TaskContext``. ``end`` asks it to end, ``close`` removes what it made.

    folder: the working directory, where it is shared and somebody else's to remove.
    """

    def __init__(self, job: JobTask, sinks: Sinks, tools: Tools, folder: Path | None = None):
        self.execution_id = job.execution_id
        self.task_run_id = job.task_run_id
        self.task_id = job.task.id
        self.namespace = job.namespace
        self.flow_id = job.flow_id
        self.attempt = job.attempt
        self.epoch = job.epoch
        self._tools = tools
        self.blobs: Blobs = reach_of_run(
            tools.blobs, job.namespace, job.flow_id, job.execution_id, job.variables
        )
        self.shared: Blobs = reach_of_namespaces(tools.blobs)
        self._killable = _KillableLauncher(tools.launcher)
        self.launcher: Launcher = self._killable
        self._variables = job.variables
        beyond = Beyond(
            tools.secrets,
            tools.keyed,
            lambda: self.log_lines(job.execution_id),
            self._heard,
            self._made,
            lambda: self._hidden,
        )
        self._world = WorkerWorld(
            self.blobs, self.shared, job.namespace, tools.clock, tools.entropy, beyond
        )
        self._cipher = tools.cipher
        self._secrets: tuple[str, ...] = ()
        self._hidden: set[str] = set()
        self._sinks = sinks
        self._working_dir = folder
        self._shares = folder is not None
        self._cache = cache_folder(job.namespace, job.flow_id, job.task.id, job.values)
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._wakes: list[Callable[[], None]] = []
        level = job.task.log_level
        self._log_file = TemporaryFile() if job.task.log_to_file else None
        self._lowest = LEVELS.index(level) if level in LEVELS else 0

    @property
    def working_dir(self) -> Path:
        if self._working_dir is None:
            folder = self._tools.folder
            folder.mkdir(parents=True, exist_ok=True)
            made = tempfile.mkdtemp(prefix=f"{self.task_run_id}-{self.epoch}-", dir=folder)
            self._working_dir = Path(made).resolve()
        return self._working_dir

    def render(self, value: Any) -> Any:
        return render_value(value, self._variables, self._world)

    def render_with(self, value: Any, extra: Mapping[str, Any]) -> Any:
        return render_value(value, {**self._variables, **extra}, self._world)

    def log(self, level: str, message: str) -> None:
        if LEVELS.index(level) >= self._lowest:
            message = self.masked(message)
            self._sinks.on_log(level, message)
            if self._log_file is not None:
                line = f"{iso_micros(self.now())} {level} {message}\n"
                with self._lock:
                    self._log_file.write(line.encode())

    def keep_log(self) -> str:
        """-> the URI of the log's file; empty where there is to be none."""
        if self._log_file is None:
            return ""
        uri = self.output_uri("log.txt")
        with self._log_file as file:
            file.seek(0)
            self.blobs.put(uri, file)
        self._log_file = None
        return uri

    def reveal(self) -> None:
        """Open the secrets among the inputs, before anything is rendered. Raises UserError."""
        self._variables, found = reveal(self._variables, self._cipher, self._world)
        self._hide(found)

    def _heard(self, secret: str) -> None:
        """Nobody may read it in a log from now on."""
        if secret not in self._hidden:
            self._hide(parts_of(secret))

    def _made(self, texts: Collection[str]) -> None:
        """What was made of a secret is one, unless it shows the secret itself, which is known."""
        self._hide(made_of(self._secrets, texts))

    def _hide(self, texts: Iterable[str]) -> None:
        self._hidden.update(texts)
        if len(self._hidden) != len(self._secrets):
            self._secrets = longest_first(self._hidden)

    def sealed(self, text: str) -> Any:
        return text if self._cipher is None else seal(text, self._cipher)

    def guarded(self, outputs: dict[str, Any]) -> dict[str, Any]:
        """Outputs with nothing in the clear that holds a secret: sealed, or stars without a key."""
        if self._cipher is not None:
            return guard(outputs, self._secrets, self.sealed)
        hidden = []

        def hide(text: str) -> str:
            hidden.append(self.masked(text))
            return hidden[-1]

        found = guard(outputs, self._secrets, hide)
        if hidden:
            self.log("WARN", _STARS)
        return found

    def masked(self, text: str) -> str:
        """What people may read of a text."""
        return mask(text, self._secrets)

    def log_lines(self, execution_id: str) -> Iterator[LogEntry]:
        return self._tools.lines.of(execution_id, self._ending.is_set)

    @property
    def queries(self) -> Queries:
        return self._tools.queries()

    def purge_lines(self, purge: LogPurge) -> None:
        self._tools.sender.purge_lines(purge)

    def purge_executions(self, purges: Sequence[ExecutionPurge]) -> None:
        self._tools.sender.purge_executions(purges)

    def toggle_trigger(self, uid: str, disabled: bool) -> None:
        self._tools.sender.toggle(uid, disabled)

    def files_of(self, namespace: str, flow_id: str, execution_id: str) -> Files:
        folder = execution_folder(namespace, flow_id, execution_id)
        return Files(Reach(self._tools.blobs, (folder,)), folder)

    def metric(self, name: str, kind: str, value: float, tags: Mapping[str, str]) -> None:
        tags = {key: self.masked(text) for key, text in tags.items()}
        self._sinks.on_metric(self.masked(name), kind, value, tags)

    def output_uri(self, name: str) -> str:
        # With the epoch, so that a superseded one can't overwrite what was accepted.
        run = f"{self.task_id}/{self.task_run_id}/{self.epoch}"
        return f"{self.execution_folder}/tasks/{run}/{quote(name)}"

    def cache_uri(self, name: str) -> str:
        return f"{self._cache}/{quote(name, safe='')}"

    @property
    def execution_folder(self) -> str:
        return execution_folder(self.namespace, self.flow_id, self.execution_id)

    @contextmanager
    def on_end(self, wake: Callable[[], None]) -> Iterator[None]:
        with self._lock:
            self._wakes.append(wake)
            ending = self.ending
        try:
            if ending:
                wake()
            yield
        finally:
            with self._lock:  # and so never during a call of it
                self._wakes.remove(wake)

    def variable(self, *path: str) -> Any:
        value: Any = self._variables
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        return value

    def now(self) -> int:
        return self._tools.clock.wall()

    def wait(self, seconds: float) -> bool:
        return self._tools.sleep(self._ending, seconds)

    def run_task(self, spec: str) -> TaskOutcome:
        task = parse_task(spec, REGISTRY, self.task_id)
        return perform(task, self._tools.types(task), self)

    @property
    def ending(self) -> bool:
        return self._ending.is_set()

    def end(self, grace: float) -> None:
        """Wake it up, and end its processes within grace seconds. From any thread."""
        with self._lock:
            already = self.ending
            self._ending.set()
            for wake in [] if already else self._wakes:
                wake()
        self._killable.kill(grace)

    def close(self) -> None:
        if self._working_dir is not None and not self._shares:
            shutil.rmtree(self._working_dir, ignore_errors=True)


_STARS = (
    "the outputs hold a secret, and stars are put out instead of it: to keep it encrypted, set"
    " `encryption.secretKey` for this worker to that of the webserver"
)


class _KillableLauncher:
    """A ``Launcher`` that knows the run's processes, so that they end with the run."""

    def __init__(self, launcher: Launcher):
        self._launcher = launcher
        self._lock = threading.Lock()
        self._processes: list[Process] = []
        self._grace: float | None = None

    def spawn(
        self, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, name: str
    ) -> Process:
        process = self._launcher.spawn(argv, env=env, cwd=cwd, name=name)
        with self._lock:
            self._processes.append(process)
            grace = self._grace
        if grace is not None:  # it was killed while this started
            process.kill(grace)
        return process

    def renew(self, until: int) -> None:
        raise InvariantViolated("a task tried to renew its worker's lease")

    def kill(self, grace: float) -> None:
        with self._lock:
            self._grace = grace
            processes = list(self._processes)
        for process in processes:
            process.kill(grace)

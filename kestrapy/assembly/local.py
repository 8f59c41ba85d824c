"""One flow in one process: executor and workers as threads on a log in memory, with the same code
and records.
"""

from __future__ import annotations

import logging
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from kestrapy.adapters.aes import AesCipher, new_cipher
from kestrapy.adapters.blobs.local import LocalBlobs
from kestrapy.adapters.memory.log import MemoryLog
from kestrapy.adapters.process.launcher import serve_launcher
from kestrapy.adapters.secrets import EnvironmentSecrets
from kestrapy.adapters.system import SystemClock, SystemEntropy
from kestrapy.assembly.lookups import IndexedLog
from kestrapy.assembly.parts import (
    OwnerOptions,
    Parts,
    WorkerOptions,
    build_executor,
    build_worker,
)
from kestrapy.config import DEFAULT_GROUP
from kestrapy.errors import LogUnavailable
from kestrapy.machine.commands import (
    ExecutionSubmitted,
    FlowSaveRequested,
    KillRequested,
    SettingSaveRequested,
)
from kestrapy.machine.outputs import ExecutionEvent, FlowRevision, LogEntry
from kestrapy.model.flow import Flow
from kestrapy.model.ids import derive_execution_id
from kestrapy.model.registry import Registry
from kestrapy.model.worker_group import GROUP, GroupSettings, encode
from kestrapy.ports.log import Partition, Record
from kestrapy.servers.flow_catalogue import FlowCatalogue
from kestrapy.servers.loop import Ticking, run_until
from kestrapy.servers.worker.job_runner import TaskJobRunner
from kestrapy.servers.worker.log_lines import LogLines
from kestrapy.servers.worker.run_context import Tools
from kestrapy.servers.worker.task_sender import TaskSender
from kestrapy.wire.codec import Codec
from kestrapy.wire.topics import Catalogue

log = logging.getLogger(__name__)

SAVE_TIMEOUT = 10.0


class LocalCluster:
    """Servers for some worker groups in this process; nothing is kept when it is closed.

    slots: jobs at once in each group. folder: for internal storage and working directories; a
    temporary one where it is None.
    """

    def __init__(
        self,
        registry: Registry,
        groups: Iterable[GroupSettings],
        slots: int,
        variables: Mapping[str, object],
        folder: Path | None = None,
    ):
        self._temporary = None if folder else tempfile.TemporaryDirectory(prefix="kestrapy-")
        self.folder = folder or Path(self._temporary.name if self._temporary else ".")
        self.blobs = LocalBlobs(self.folder / "storage")
        self.cipher = new_cipher()
        """With a key of its own: nothing that it encrypts is kept."""
        clock = SystemClock()
        self.parts = Parts(
            log=MemoryLog(clock),
            codec=Codec(),
            catalogue=Catalogue(prefix="", shards=1, job_partitions=1),
            registry=registry,
            groups={it.key: it for it in (GroupSettings(DEFAULT_GROUP), *groups)},
            clock=clock,
            entropy=SystemEntropy(),
        )
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._checkpoints = ThreadPoolExecutor(1, "checkpoint")
        self._launcher = serve_launcher()
        self._slots = slots
        self._variables = dict(variables)
        self._flows = FlowCatalogue(self.parts.log, self.parts.codec, self.parts.catalogue)
        self._producer = self.parts.log.producer()
        self._indexed = IndexedLog(self.parts, self.folder / "store")

    def __enter__(self) -> Self:
        parts = self.parts
        parts.log.topics().create(parts.catalogue.specs(parts.groups), 5.0)
        for key, settings in parts.groups.items():
            self._send(SettingSaveRequested(GROUP, key, encode(settings)))
        self._run("executor", build_executor(parts, OwnerOptions(), self._checkpoints))
        folder, lines = self.folder / "work", LogLines(parts.log, parts.codec, parts.catalogue)
        clock, entropy = parts.clock, parts.entropy
        tools = Tools(
            self.blobs,
            self._launcher,
            clock,
            folder,
            entropy,
            lines,
            TaskSender(parts.log, parts.codec, parts.catalogue),
            cipher=self.cipher,
            secrets=EnvironmentSecrets(),
            keyed=AesCipher,
            queries=self._indexed,
        )
        runner = TaskJobRunner(tools, self._variables)
        for group in parts.groups:
            worker = build_worker(parts, WorkerOptions(group, self._slots), runner, self._launcher)
            self._run(f"worker {group}", worker)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(5.0)
        self._indexed.close()
        self._launcher.close()
        self._checkpoints.shutdown(wait=False, cancel_futures=True)
        if self._temporary is not None:
            self._temporary.cleanup()

    def _run(self, name: str, server: Ticking) -> None:
        def run() -> None:
            run_until(server, self.parts.clock, self._stop)

        thread = threading.Thread(target=run, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def save(self, flow: Flow) -> FlowRevision:
        """Raises LogUnavailable where no revision came back."""
        self._send(FlowSaveRequested(flow.namespace, flow.id, flow.source, flow.disabled))
        deadline = self.parts.clock.monotonic() + int(SAVE_TIMEOUT * 1000)
        while self.parts.clock.monotonic() < deadline:
            self._flows.poll(0.1)
            latest = self._flows.latest(flow.namespace, flow.id)
            if latest is not None and latest.source == flow.source:
                return latest
        raise LogUnavailable(f"flow {flow.namespace}.{flow.id} was not saved in {SAVE_TIMEOUT} s")

    def new_execution_id(self) -> str:
        token = self.parts.entropy.token()
        return derive_execution_id(0, self.parts.clock.wall(), token)

    def submit(
        self,
        execution_id: str,
        revision: FlowRevision,
        inputs: Mapping[str, Any],
        not_before: int = 0,
    ) -> None:
        """not_before: epoch ms at which it starts, 0: at once."""
        self._send(
            ExecutionSubmitted(
                execution_id,
                revision.namespace,
                revision.flow_id,
                revision.revision,
                msgspec.json.encode(inputs).decode(),
                not_before=not_before,
            )
        )

    def kill(self, execution_id: str) -> None:
        self._send(KillRequested(execution_id))

    def follow(self, execution_id: str) -> Iterator[ExecutionEvent | LogEntry]:
        """What happens to the execution, until its last event; log lines that came before it
        included.
        """
        topics = self.parts.catalogue
        reader = self.parts.log.reader()
        try:
            reader.assign({Partition(topics.execution_events, 0): 0, Partition(topics.logs, 0): 0})
            ended = False
            while not ended:
                for record in reader.poll(500, 0.2):
                    shown = self._shown(record, execution_id)
                    if shown is not None:
                        yield shown
                        ended = ended or _is_end(shown)
            for record in reader.poll(10_000, 0.05):
                shown = self._shown(record, execution_id)
                if shown is not None:
                    yield shown
        finally:
            reader.close()

    def _shown(self, record: Record, execution_id: str) -> ExecutionEvent | LogEntry | None:
        shown = self.parts.codec.decode(record).record
        is_told = isinstance(shown, ExecutionEvent | LogEntry)
        return shown if is_told and shown.execution_id == execution_id else None

    def _send(self, record: object) -> None:
        self._producer.send(self.parts.router.message(record))
        self._producer.flush(5.0)


def _is_end(shown: ExecutionEvent | LogEntry) -> bool:
    return (
        isinstance(shown, ExecutionEvent)
        and shown.execution is not None
        and shown.execution.state.is_terminal
    )

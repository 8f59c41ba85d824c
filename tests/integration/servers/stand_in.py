"""What stands in for the executor where only the webserver is tested: it answers at once.

A submitted execution is CREATED, then RUNNING with one task run. It ends when the test says so, or
at once where an input ``end`` is given; a kill ends it KILLED.
"""

from __future__ import annotations

import threading
from queue import Queue
from typing import Any

import msgspec

from kestrapy.machine import admission
from kestrapy.machine.commands import (
    ExecutionRestored,
    ExecutionSubmitted,
    FlowSaveRequested,
    ForceRun,
    KillRequested,
    PauseRequested,
    ResumeRequested,
    SettingChanged,
    SettingSaveRequested,
)
from kestrapy.machine.entities import Entity
from kestrapy.machine.outputs import (
    AttemptSnapshot,
    ExecutionEvent,
    ExecutionSnapshot,
    StateChange,
    TaskRunSnapshot,
)
from kestrapy.model.state import State
from kestrapy.ports.log import Log, Partition, Record
from kestrapy.servers.indexer import Indexer
from kestrapy.servers.router import Router


class StandIn:
    """Runs in a thread of its own, and the indexer with it, until ``close``."""

    def __init__(self, log: Log, router: Router, indexer: Indexer):
        self._router = router
        self._indexer = indexer
        self._reader = log.reader()
        self._producer = log.producer()
        topics = router.catalogue
        for topic in (topics.requests, topics.executions, topics.admission):
            self._reader.assign({Partition(topic, it): 0 for it in range(topics.shards)})
        self._flows: dict[str, Entity] = {}
        self.kills: list[KillRequested] = []
        self.submitted: dict[str, ExecutionSubmitted] = {}
        self._number = 0
        self.queues = False
        """Whether executions are queued, and stay so."""
        self._forced: Queue[str] = Queue()
        self.task_state = State.RUNNING
        """In which the one task run of each execution stands."""
        self.state = State.RUNNING
        """In which each execution stands until it ends."""
        self.paused: list[str] = []
        self.resumed: dict[str, Any] = {}
        self.restored: Queue[ExecutionRestored] = Queue()
        self._goes = threading.Event()
        self._goes.set()
        self._stands = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._closing = True
        self._goes.set()
        self._thread.join()
        self._indexer.close()

    def pause(self) -> None:
        """Answer nothing until ``resume``; returns when nothing is being answered any more."""
        self._goes.clear()
        self._stands.wait()

    def resume(self) -> None:
        self._stands.clear()
        self._goes.set()

    def send(self, record: Any) -> None:
        self._producer.send(self._router.message(record))

    def end(self, execution_id: str, state: State = State.SUCCESS) -> None:
        self._event(execution_id, *_UP_TO_RUNNING, state)

    def await_forced(self) -> str:
        """-> the id of the next execution that was let run beyond its limit."""
        return self._forced.get(timeout=10)

    def _run(self) -> None:
        while not self._closing:
            if not self._goes.is_set():
                self._stands.set()
                self._goes.wait()
            for record in self._reader.poll(100, 0.005):
                self._answer(record)
            self._indexer.tick(0)

    def _answer(self, record: Record) -> None:
        command = self._router.codec.decode(record).record
        match command:
            case FlowSaveRequested() | SettingSaveRequested():
                step = admission.step(self._flows, command, record.timestamp)
                self._flows.update({key: it for key, it in step.changes.items() if it is not None})
                for output in step.outputs:
                    if not isinstance(output, SettingChanged):  # every shard's; there is none
                        self.send(output)
            case ExecutionSubmitted():
                self.submitted[command.execution_id] = command
                self._event(command.execution_id, State.CREATED)
                if self.queues:
                    return self._event(command.execution_id, State.CREATED, State.QUEUED)
                self._task_run(command.execution_id)
                self._event(command.execution_id, *_UP_TO_RUNNING[:-1], self.state)
                if "end" in msgspec.json.decode(command.inputs):
                    self.end(command.execution_id)
            case PauseRequested():
                self.paused.append(command.execution_id)
            case ResumeRequested():
                self.resumed[command.execution_id] = msgspec.json.decode(command.inputs)
                self.end(command.execution_id)
            case ExecutionRestored():
                self.restored.put(command)
            case ForceRun():
                self._forced.put(command.execution_id)
            case KillRequested():
                self.kills.append(command)
                self.end(command.execution_id, State.KILLED)

    def _event(self, execution_id: str, *states: State) -> None:
        submitted = self.submitted[execution_id]
        snapshot = ExecutionSnapshot(
            state=states[-1],
            histories=[StateChange(state, 1000 + place) for place, state in enumerate(states)],
            inputs=submitted.inputs,
            outputs="{}",
            labels=submitted.labels,
            variables="{}",
            trigger=None,
            error="",
            schedule_date=submitted.not_before or None,
            waits_for="the executor of this test" if states[-1] is State.QUEUED else "",
        )
        self._send_event(submitted, execution=snapshot)

    def _task_run(self, execution_id: str) -> None:
        history = [StateChange(State.CREATED, 1000), StateChange(self.task_state, 1001)]
        snapshot = TaskRunSnapshot(
            id=f"{execution_id}-0",
            task_id="hello",
            parent_id="",
            value=None,
            iteration=-1,
            ordinal=0,
            state=self.task_state,
            histories=history,
            attempts=[AttemptSnapshot(1, "w1", history)],
            outputs="{}",
            error="",
            worker_group="default",
            worker_id="w1",
            epoch=1,
        )
        self._send_event(self.submitted[execution_id], task_run=snapshot)

    def _send_event(self, submitted: ExecutionSubmitted, **what: Any) -> None:
        self._number += 1
        event = ExecutionEvent(
            execution_id=submitted.execution_id,
            number=self._number,
            at=1000 + self._number,
            namespace=submitted.namespace,
            flow_id=submitted.flow_id,
            flow_revision=submitted.revision,
            **what,
        )
        self.send(event)


_UP_TO_RUNNING = (State.CREATED, State.RUNNING)

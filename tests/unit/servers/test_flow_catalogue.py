"""The flows that servers know, read from a log in memory."""

from __future__ import annotations

from typing import Any

import pytest

from kestrapy.adapters.memory.log import MemoryLog
from kestrapy.adapters.system import SystemClock
from kestrapy.errors import TopicUnfit
from kestrapy.machine.outputs import FlowRevision
from kestrapy.ports.log import Message
from kestrapy.servers.flow_catalogue import FlowCatalogue
from kestrapy.servers.router import Router
from kestrapy.wire.codec import Codec
from kestrapy.wire.topics import Catalogue

ROUTER = Router(Codec(), Catalogue("t.", shards=2))


def revision(flow_id: str, number: int, namespace: str = "n") -> FlowRevision:
    return FlowRevision(namespace, flow_id, number, f"source {number}", at=number)


class Bench:
    def __init__(self) -> None:
        self.log = MemoryLog(SystemClock())
        self.log.topics().create(ROUTER.catalogue.specs(), 5)
        self.producer = self.log.producer()
        self.flows = FlowCatalogue(self.log, ROUTER.codec, ROUTER.catalogue)

    def send(self, *records: Any) -> None:
        for record in records:
            self.producer.send(ROUTER.message(record))


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_revisions_are_kept_and_the_latest_known(bench: Bench) -> None:
    bench.send(revision("a", 2), revision("a", 1), revision("b", 1), revision("a", 10))
    bench.flows.catch_up(5)
    latest = bench.flows.latest("n", "a")
    assert latest is not None and latest.revision == 10
    found = bench.flows.get("n", "a", 2)
    assert found is not None and found.source == "source 2"
    assert bench.flows.get("n", "a", 3) is None
    assert bench.flows.latest("n", "c") is None
    assert [it.revision for it in bench.flows.revisions("n", "a")] == [1, 2, 10]
    assert [(it.flow_id, it.revision) for it in bench.flows.heads()] == [("a", 10), ("b", 1)]
    assert bench.flows.poll() == 0
    bench.flows.close()


def test_what_is_no_revision_is_passed(bench: Bench) -> None:
    topic = ROUTER.catalogue.flows
    bench.producer.send(Message(topic, b"junk", b"k"))
    bench.producer.send(Message(topic, None, b"k"))
    bench.send(revision("a", 1))
    bench.flows.catch_up(5)
    assert bench.flows.latest("n", "a") is not None
    bench.flows.close()


def test_a_missing_topic_is_named() -> None:
    log = MemoryLog(SystemClock())
    flows = FlowCatalogue(log, ROUTER.codec, ROUTER.catalogue)
    with pytest.raises(TopicUnfit, match=r"t\.flows"):
        flows.poll()
    log.topics().create(ROUTER.catalogue.specs(), 5)
    assert flows.poll() == 0


def test_a_thread_reads_on_and_wakes_who_waits(bench: Bench) -> None:
    bench.flows.start()
    assert not bench.flows.wait_for(lambda: bench.flows.latest("n", "a") is not None, 0.01)
    bench.send(revision("a", 1))
    assert bench.flows.wait_for(lambda: bench.flows.latest("n", "a") is not None, 10)
    bench.flows.close()

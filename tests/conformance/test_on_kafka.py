"""A sample of the suite on a real Kafka, in real time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from kestrapy.adapters.kafka.log import KafkaLog
from kestrapy.adapters.system import SystemClock
from kestrapy.language.flow import parse_flow
from kestrapy.plugins.registry import REGISTRY
from kestrapy.testing import FlowTest
from kestrapy.testing.clock import VirtualClock
from kestrapy.testing.servers import FlowTestServers, Wanted
from kestrapy.testing.stand_ins import with_stand_ins
from tests.conformance.corpus import ABSENT, CORE, Row, rows
from tests.conformance.differences import listed
from tests.conformance.play import FLOW_TEST
from tests.conformance.stand_ins import STAND_INS
from tests.conformance.suite import failure

SAMPLE = 12
LONGEST_ROUND = 10
"""ms."""
SILENCE = 20_000
"""ms without a word, after which nothing is expected any more."""
SLOW = ("sleep", "pause", "retry", "sla", "waitfor", "timeout", "duration")

pytestmark = [pytest.mark.external, pytest.mark.skipif(not rows(), reason=ABSENT)]


def sample() -> list[Row]:
    """Rows that pass and wait for nothing, spread over the table; each with flows of its own."""
    known, fixtures, found = listed(), set(), []
    for row in rows():
        text = row.path.read_text(encoding="utf-8").lower()
        slow = any(word in text for word in SLOW)
        if row.kind != CORE or row.steps != "run" or slow or row.key in known:
            continue
        if row.fixture not in fixtures:
            fixtures.add(row.fixture)
            found.append(row)
    return found[:: max(1, len(found) // SAMPLE)]


class RealTime(VirtualClock):
    """Moves as real time does, a little further each time it is told to move."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        super().__init__(self._clock.wall())
        self._began = self._clock.monotonic()

    def move(self, milliseconds: int) -> None:
        threading.Event().wait(min(milliseconds, LONGEST_ROUND) / 1000)
        super().move(self._clock.monotonic() - self._began - self.monotonic())


class KafkaServers(FlowTestServers):
    """Something is expected as long as the silence is short: a group that forms takes seconds."""

    _heard = 0

    def round(self, milliseconds: int) -> list[Any]:
        said = super().round(milliseconds)
        if said or not self._heard:
            self._heard = self.clock.monotonic()
        return said

    @property
    def works(self) -> bool:
        return self.clock.monotonic() - self._heard < SILENCE

    def close(self) -> None:
        """They serve the next row too."""

    def end(self) -> None:
        super().close()


@pytest.fixture(scope="module")
def servers(kafka: str) -> Iterator[KafkaServers]:
    log, clock = KafkaLog(kafka, "conformance"), RealTime()
    prefix = f"conformance{SystemClock().wall()}."
    wanted = Wanted(with_stand_ins(REGISTRY, STAND_INS), stand_ins=STAND_INS)
    servers = KafkaServers(wanted, clock, log, prefix)
    yield servers
    servers.end()
    topics = servers.parts.catalogue
    log.topics().delete([it.name for it in topics.specs(servers.parts.groups)], 10.0)


@pytest.fixture(autouse=True)
def played_on_kafka(servers: KafkaServers) -> Iterator[None]:
    class KafkaTest(FlowTest):
        def _start_servers(self, wanted: Wanted) -> FlowTestServers:
            return servers

        def settle(self) -> None:
            """What follows an end comes within a moment."""
            end = servers.clock.monotonic() + 300
            while servers.clock.monotonic() < end:
                self._look(LONGEST_ROUND)

    token = FLOW_TEST.set(KafkaTest)
    yield
    FLOW_TEST.reset(token)


def test_the_sample_has_rows_and_their_flows_are_all_different() -> None:
    registry = with_stand_ins(REGISTRY, STAND_INS)
    flows = [parse_flow(it.path.read_text(encoding="utf-8"), registry) for it in sample()]
    assert flows and len({(it.namespace, it.id) for it in flows}) == len(flows)


@pytest.mark.parametrize("row", sample(), ids=lambda row: row.key)
def test_a_row_of_the_sample_passes_on_kafka_too(row: Row) -> None:
    assert failure(row) is None

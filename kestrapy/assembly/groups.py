"""What is declared and who lives, for servers at their start and for commands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

from kestrapy.assembly.parts import Parts, board_of
from kestrapy.assembly.servers import TOPICS_TIMEOUT, parts_of
from kestrapy.config import Settings
from kestrapy.errors import LogUnavailable
from kestrapy.language.flow import parse_flow
from kestrapy.machine.outputs import Drain
from kestrapy.model.flow import Flow
from kestrapy.ports.log import Message, SendError
from kestrapy.servers.declarations import Declarations
from kestrapy.servers.flow_catalogue import FlowCatalogue
from kestrapy.servers.settings_catalogue import SettingsCatalogue
from kestrapy.servers.worker_board import WorkerBoard

CATCH_UP_TIMEOUT = 30.0
_POLL = 0.1


@dataclass(frozen=True)
class Groups:
    """settings, board: read up to now; settings goes on in a thread, board when it is polled."""

    parts: Parts
    settings: SettingsCatalogue
    board: WorkerBoard

    @cached_property
    def declarations(self) -> Declarations:
        return Declarations(self.parts.log, self.parts.router, self.settings, self.send)

    def flows(self) -> list[Flow]:
        """The latest revision of each flow, read now."""
        flows = FlowCatalogue(self.parts.log, self.parts.codec, self.parts.catalogue)
        try:
            flows.catch_up(CATCH_UP_TIMEOUT)
            return [parse_flow(it.source, self.parts.registry) for it in flows.heads()]
        finally:
            flows.close()

    def drain(self, worker_id: str, drained: bool) -> None:
        """Tell a worker to take no more jobs, or to take them again."""
        self.send(self.parts.router.message(Drain(worker_id, drained)))

    def send(self, message: Message) -> None:
        """Returns once the log has it. Raises LogUnavailable."""
        answers: list[SendError | None] = []
        producer = self.parts.log.producer()
        try:
            producer.send(message, answers.append)
            producer.flush(TOPICS_TIMEOUT)
        finally:
            producer.close()
        if answers != [None]:
            detail = answers[0].detail if answers and answers[0] else "no answer"
            raise LogUnavailable(f"{message.topic} did not take it: {detail}")


@contextmanager
def opened_groups(settings: Settings, client: str, *, settled: bool = True) -> Iterator[Groups]:
    """``seen_groups`` of an installation on Kafka."""
    with seen_groups(parts_of(settings, client), settings, settled=settled) as groups:
        yield groups


@contextmanager
def seen_groups(parts: Parts, settings: Settings, *, settled: bool) -> Iterator[Groups]:
    """Declared groups, those of the settings file among them, and the board for a command.

    settled: once it is known who lives.

    That takes about three heartbeat intervals where a declared group has no live worker, else a
    moment. Raises LogUnavailable, TopicUnfit.
    """
    catalogue = SettingsCatalogue(parts.log, parts.codec, parts.catalogue, parts.groups)
    board = board_of(parts, settings.worker.heartbeat_interval, settings.worker.lost_after)
    try:
        catalogue.catch_up(CATCH_UP_TIMEOUT)
        catalogue.start()
        _settle(parts, board, catalogue, enough=not settled)
        yield Groups(parts, catalogue, board)
    finally:
        board.close()
        catalogue.close()


def _settle(parts: Parts, board: WorkerBoard, settings: SettingsCatalogue, *, enough: bool) -> None:
    """enough: what was said in the last seconds is all that is wanted."""
    deadline = parts.clock.monotonic() + round(CATCH_UP_TIMEOUT * 1000)
    while not (board.is_settled or (board.is_caught_up and (enough or _all_live(board, settings)))):
        if parts.clock.monotonic() > deadline:
            raise LogUnavailable(f"workers could not be listened to in {CATCH_UP_TIMEOUT:g} s")
        board.poll(_POLL)


def _all_live(board: WorkerBoard, settings: SettingsCatalogue) -> bool:
    heard = board.groups()
    return all(key in heard and heard[key].workers for key in settings.groups())

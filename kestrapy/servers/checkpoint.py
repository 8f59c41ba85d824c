"""Checkpoints of a shard: what its stages keep, and how far they have come, in one transaction.

Writing one:

1. Close the outbox's generation; take the entities that changed and the stages' positions
(``Snapshot``). 2. Wait until every message of the generation was acknowledged: nobody would send it
again. 3. Write entities, tombstones and a header in one transaction, off the fold's thread.
4. Committed: done. Aborted or unknown: another may own the shard; restore, if it is still assigned.

Restoring, always in this order (else what another owner still writes would mix with what is read):

1. ``begin_epoch``: fence whoever used the transactional id before.
2. Resolve the end of the state partition.
3. Read it, committed records only, up to there; decode the survivors.
4. Seek every stage's topic to the header's offset.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from kestrapy.errors import LogUnavailable
from kestrapy.machine.entities import Entity
from kestrapy.machine.folds import decode_entity, encode_entity
from kestrapy.machine.stage import Position
from kestrapy.ports.clock import Clock
from kestrapy.ports.log import Log, Message, Outcome, Partition, Transactions

HEADER_KEY = b"header"
RESTORE_TIMEOUT = 30.0
COMMIT_TIMEOUT = 15.0
_READ_LIMIT = 2_000

_encode_header = msgspec.msgpack.Encoder().encode
_decode_header = msgspec.msgpack.Decoder(dict[str, Position]).decode


@dataclass(frozen=True)
class Snapshot:
    """What a checkpoint writes. changed: by stage and key, None for what is gone. positions: by
    stage.
    """

    changed: Mapping[str, Mapping[str, Entity | None]]
    positions: Mapping[str, Position]


@dataclass
class Restored:
    """What a checkpoint held: entities by stage and key, positions by stage."""

    states: dict[str, dict[str, Entity]]
    positions: dict[str, Position]


def state_messages(partition: Partition, snapshot: Snapshot) -> Iterable[Message]:
    """The records of a checkpoint; the header is the last."""
    topic, index = partition
    for stage, entities in snapshot.changed.items():
        for key, entity in entities.items():
            value = None if entity is None else encode_entity(entity)
            yield Message(topic, value, f"{stage}|{key}".encode(), index)
    yield Message(topic, _encode_header(dict(snapshot.positions)), HEADER_KEY, index)


class Checkpoints:
    """The checkpoints of one shard. Used by one thread at a time."""

    def __init__(self, log: Log, partition: Partition, transactional_id: str, clock: Clock):
        self._log = log
        self._partition = partition
        self._clock = clock
        self.transactions: Transactions = log.transactions(transactional_id)

    def write(
        self,
        snapshot: Snapshot,
        outputs: Iterable[Message] = (),
        timeout: float = COMMIT_TIMEOUT,
    ) -> Outcome:
        """outputs: what goes out in the same transaction, in the mode ``commit: per-batch``.

        timeout: seconds.
        """
        messages = [*outputs, *state_messages(self._partition, snapshot)]
        return self.transactions.commit(messages, timeout)

    def restore(self) -> Restored:
        """Raises LogUnavailable; then nothing is owned."""
        self.transactions.begin_epoch(RESTORE_TIMEOUT)
        reader = self._log.reader()
        try:
            end = reader.end_offset(self._partition, RESTORE_TIMEOUT)
            begin = reader.beginning_offset(self._partition, RESTORE_TIMEOUT)
            survivors: dict[bytes, bytes] = {}
            if begin < end:
                reader.assign({self._partition: begin})
                deadline = self._clock.monotonic() + int(RESTORE_TIMEOUT * 1000)
                while reader.position(self._partition) < end:
                    if self._clock.monotonic() > deadline:
                        raise LogUnavailable(
                            f"{self._partition.topic} could not be read to its end"
                        )
                    for record in reader.poll(_READ_LIMIT, 0.1):
                        key = record.key or b""
                        if record.value is None:
                            survivors.pop(key, None)
                        else:
                            survivors[key] = record.value
            return decode(survivors)
        finally:
            reader.close()

    def close(self) -> None:
        self.transactions.close()


def decode(survivors: Mapping[bytes, bytes]) -> Restored:
    """Entities and positions of the last values of a state partition's keys."""
    restored = Restored({}, {})
    for key, value in survivors.items():
        if key == HEADER_KEY:
            restored.positions = _decode_header(value)
            continue
        stage, _, name = key.decode().partition("|")
        restored.states.setdefault(stage, {})[name] = decode_entity(value)
    return restored

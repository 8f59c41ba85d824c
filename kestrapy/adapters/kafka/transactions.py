"""``ports.log.Transactions`` on Kafka.

librdkafka leaves a transaction's end open when the answer to its commit is late; only a new client
under the same id finds out, since that ends what was left open. So a client is used until the first
transaction that isn't committed, and ``begin_epoch`` makes the next one.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException

from kestrapy.adapters.kafka.configs import Cluster, logger
from kestrapy.adapters.kafka.failures import unavailable
from kestrapy.adapters.kafka.producer import produce
from kestrapy.errors import InvariantViolated
from kestrapy.ports.log import Message, Outcome

_ABORT_SECONDS = 2.0
"""How long an abort may take: it only spares the readers the wait for the next epoch."""


class KafkaTransactions:
    def __init__(self, cluster: Cluster, transactional_id: str):
        self._cluster = cluster
        self._id = transactional_id
        self._client: confluent_kafka.Producer | None = None

    def begin_epoch(self, timeout: float) -> None:
        self._drop()
        own = {"transactional.id": self._id}
        client = self._cluster.client(confluent_kafka.Producer, "transactions", own)
        try:
            client.init_transactions(timeout)
        except KafkaException as error:
            raise unavailable(f"begin an epoch of {self._id}", error) from error
        self._client = client

    def commit(self, messages: Iterable[Message], timeout: float) -> Outcome:
        """Raises InvariantViolated without an epoch, and what iterating over messages raises."""
        client = self._client
        if client is None:
            raise InvariantViolated(f"{self._id}: commit without an epoch: call begin_epoch first")
        deadline = self._cluster.clock.monotonic() + round(timeout * 1000)
        outcome = Outcome.ABORTED
        try:
            if self._append(client, messages, deadline):
                outcome = self._end(client, deadline)
            return outcome
        finally:
            if outcome is Outcome.ABORTED:
                self._abort(client)
            if outcome is not Outcome.COMMITTED:
                self._drop()

    def close(self) -> None:
        self._drop()

    def _append(
        self, client: confluent_kafka.Producer, messages: Iterable[Message], deadline: int
    ) -> bool:
        """-> whether all were acked. If not, nothing can have been committed."""
        errors: list[KafkaError] = []
        on_delivery = partial(_keep_error, errors)
        try:
            client.begin_transaction()
            for message in messages:
                self._produce(client, message, on_delivery, deadline)
            unsent = client.flush(self._left(deadline))
        except (KafkaException, TimeoutError, SystemError) as error:
            # SystemError: so a fatal error looks when it is met while on_delivery is called.
            logger.warning("transaction of %s: %s", self._id, error)
            return False
        if errors or unsent:
            why = errors[0].str() if errors else f"{unsent} messages were not acked in time"
            logger.warning("transaction of %s: %s", self._id, why)
        return unsent == 0 and not errors

    def _produce(
        self,
        client: confluent_kafka.Producer,
        message: Message,
        on_delivery: partial[None],
        deadline: int,
    ) -> None:
        while True:
            try:
                return produce(client, message, on_delivery)
            except BufferError:
                if not self._left(deadline):
                    raise TimeoutError("the producer's queue is full") from None
                client.poll(0.05)

    def _end(self, client: confluent_kafka.Producer, deadline: int) -> Outcome:
        """All of it is in the log. Whatever goes wrong now, the commit may have been heard."""
        try:
            client.commit_transaction(self._left(deadline))
        except KafkaException as error:
            logger.warning("commit of %s: %s", self._id, error.args[0].str())
            aborted = error.args[0].txn_requires_abort()
            return Outcome.ABORTED if aborted else Outcome.UNKNOWN
        return Outcome.COMMITTED

    def _abort(self, client: confluent_kafka.Producer) -> None:
        try:
            client.abort_transaction(_ABORT_SECONDS)
        except KafkaException as error:
            logger.info("abort of %s: %s", self._id, error.args[0].str())

    def _left(self, deadline: int) -> float:
        return max(0, deadline - self._cluster.clock.monotonic()) / 1000

    def _drop(self) -> None:
        if self._client is not None:
            self._client.purge()
            self._client = None


def _keep_error(errors: list[KafkaError], error: KafkaError | None, _: object) -> None:
    if error is not None:
        errors.append(error)

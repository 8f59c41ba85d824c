"""``ports.log.Member`` on Kafka: a consumer in a group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import confluent_kafka
from confluent_kafka import OFFSET_BEGINNING, OFFSET_INVALID, KafkaError, KafkaException

from kestrapy.adapters.kafka.configs import Cluster, Settings, logger
from kestrapy.adapters.kafka.failures import FATAL, MISSING, POLLED_LATE, POSITION_GONE, unavailable
from kestrapy.adapters.kafka.records import Raw, at, to_record
from kestrapy.errors import InvariantViolated, LogUnavailable, MemberBroken, TopicUnfit
from kestrapy.ports.log import Partition, RebalanceListener, Record

METADATA_SECONDS = 2.0

Places = list[confluent_kafka.TopicPartition]


class Seat(NamedTuple):
    """What a member is in its group. aside: the topic that it subscribes to when it steps aside."""

    group: str
    topics: tuple[str, ...]
    instance_id: str = ""
    aside: str = ""


class KafkaMember:
    """When the listener raises, ``poll`` does: the member must be closed then.

    librdkafka lets no static member leave its group. But a member that subscribes to another topic
    gives up its partitions in the next rebalance, and keeps its seat: that is how it steps aside.
    What it is given of that other topic is paused from the start, and none of the listener's
    business.
    """

    def __init__(self, cluster: Cluster, seat: Seat, listener: RebalanceListener):
        self._listener = listener
        self._seat = seat
        self._aside = self._settled = self._astray = self._finds_back = False
        self._owned: set[Partition] = set()
        self._given: dict[Partition, int] = {}
        self._gone: set[Partition] = set()
        self._paused = False
        self._unfit: dict[Partition, str] = {}
        self._broken = ""
        own: Settings = {"group.id": seat.group, "on_commit": _committed}
        if seat.instance_id:
            own["group.instance.id"] = seat.instance_id
        self._consumer = cluster.client(confluent_kafka.Consumer, "member", own)
        self._subscribe(*seat.topics)

    def poll(self, limit: int, timeout: float) -> list[Record]:
        self._complain()
        if self._finds_back:
            self._find_back()
        records: list[Record] = []
        for message in self._fetch(limit, timeout):
            if (error := message.error()) is not None:
                self._meet(message, error)
            elif Partition(message.topic(), message.partition()) in self._owned:
                records.append(to_record(message))
        if not records:
            self._complain()
        return records

    def pause(self) -> None:
        self._paused = True
        self._consumer.pause(self._places())

    def resume(self) -> None:
        self._paused = False
        self._consumer.resume(self._places())

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        places = [at(*item) for item in offsets.items() if item[0] in self._owned]
        if not places:
            return
        try:
            self._consumer.commit(offsets=places, asynchronous=True)
        except KafkaException as error:
            _committed(error.args[0], places)

    def step_aside(self) -> None:
        if not self._seat.aside:
            raise InvariantViolated(f"a member of {self._seat.group} has no topic to step aside to")
        self._know(self._seat.aside)
        self._aside, self._settled, self._astray = True, False, False
        self.pause()
        self._subscribe(self._seat.aside)

    def step_in(self) -> None:
        self._know(*self._seat.topics)
        self._aside = False
        self._subscribe(*self._seat.topics)
        self.resume()

    def is_aside(self) -> bool:
        return self._aside and self._settled

    def assignment(self) -> list[Partition]:
        return sorted(self._owned)

    def close(self) -> None:
        self._consumer.close()

    def _know(self, *topics: str) -> None:
        """Without a topic's metadata at hand librdkafka takes a change of subscription for a loss
        of what was assigned, and sometimes joins not again: the partitions stand still for good.
        """
        try:
            for topic in topics:
                self._consumer.list_topics(topic, METADATA_SECONDS)
        except KafkaException as error:
            raise unavailable(f"metadata of {', '.join(topics)}", error) from error

    def _subscribe(self, *topics: str) -> None:
        self._consumer.subscribe(
            list(topics),
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_lost,
        )

    def _fetch(self, limit: int, timeout: float) -> list[Raw]:
        """Like ``records.fetch``, less what belongs to a partition that goes meanwhile."""
        first: list[Raw] = self._consumer.consume(1, timeout)
        if not first or limit == 1:
            return first
        self._gone.clear()
        more: list[Raw] = self._consumer.consume(limit - 1, 0)
        if Partition(first[0].topic(), first[0].partition()) in self._gone:
            return more
        return first + more

    def _meet(self, message: Raw, error: KafkaError) -> None:
        """An event in place of a record. Those that someone has to know are raised by ``poll``."""
        if error.code() == POSITION_GONE:
            self._start_anew(Partition(message.topic(), message.partition()))
        elif error.code() == POLLED_LATE:
            logger.warning("polled too late, joining again: %s", error.str())
        elif error.code() in MISSING:
            logger.warning("waiting for %s: %s", message.topic(), error.str())
        else:
            # Not only fatal errors: after a committed offset could not be fetched, librdkafka
            # keeps the partition and reads nothing of it any more.
            self._broken = f"membership of {self._seat.group}: {error.str()}"
            if error.code() in FATAL:
                self._on_lost(self._consumer, self._places())

    def _complain(self) -> None:
        """Raise what ``_meet`` met, again and again."""
        if self._broken:
            raise MemberBroken(self._broken)
        for text in self._unfit.values():
            raise TopicUnfit(text)

    def _start_anew(self, partition: Partition) -> None:
        """Where nothing was committed, or that offset is gone, start at the first record.

        A place that the listener gave is different: nothing may be skipped there.
        """
        if partition not in self._owned:
            return
        if partition in self._given:
            self._unfit[partition] = (
                f"{partition.topic}[{partition.index}] has no offset {self._given[partition]}:"
                " its records were deleted, or the topic was made anew"
            )
            return
        # A seek is refused in this state.
        self._consumer.incremental_unassign([at(partition, OFFSET_INVALID)])
        self._assign([at(partition, OFFSET_BEGINNING)])

    def _on_assign(self, _: confluent_kafka.Consumer, places: Places) -> None:
        came = self._read_here(places)
        if came:
            given = self._listener.assigned(came)
            self._owned.update(came)
            self._given.update(given)
            self._assign([at(it, given.get(it, OFFSET_INVALID)) for it in came])
        others = [place for place in places if place.topic not in self._seat.topics]
        self._hold(others)
        self._settled = self._aside and not self._owned
        self._finds_back = not self._aside and bool(others or self._astray)

    def _on_revoke(self, consumer: confluent_kafka.Consumer, places: Places) -> None:
        if not places:
            return
        gone = self._read_here(places)
        try:
            if gone:
                self._listener.revoked(gone)
        finally:
            self._forget(gone)
            consumer.incremental_unassign(places)

    def _on_lost(self, consumer: confluent_kafka.Consumer, places: Places) -> None:
        gone = [partition for partition in _partitions(places) if partition in self._owned]
        if not gone:
            return
        self._forget(gone)
        try:
            self._listener.lost(gone)
        finally:
            consumer.incremental_unassign(places)

    def _assign(self, places: Places) -> None:
        self._consumer.incremental_assign(places)
        if self._paused:
            self._consumer.pause(places)
        else:  # librdkafka remembers a pause from when it had them last
            self._consumer.resume(places)

    def _find_back(self) -> None:
        """The process before this one ended aside. A static member that is back is given what it
        had, whatever it subscribes to now: only a change of subscription has the group share out.
        """
        topics = self._seat.topics if self._astray else (self._seat.aside,)
        try:
            self._know(*topics)
        except LogUnavailable as error:
            logger.warning("joining %s again: %s", self._seat.group, error)
            return  # the next poll tries again
        self._finds_back, self._astray = False, not self._astray
        self._subscribe(*topics)

    def _hold(self, places: Places) -> None:
        """Own these and read nothing of them."""
        if places:
            self._consumer.incremental_assign([at(it, 0) for it in _partitions(places)])
            self._consumer.pause(places)

    def _read_here(self, places: Places) -> list[Partition]:
        return [it for it in _partitions(places) if it.topic in self._seat.topics]

    def _forget(self, partitions: list[Partition]) -> None:
        self._owned.difference_update(partitions)
        self._gone.update(partitions)
        for partition in partitions:
            self._given.pop(partition, None)
            self._unfit.pop(partition, None)

    def _places(self) -> Places:
        return [at(partition, OFFSET_INVALID) for partition in self.assignment()]


def _partitions(places: Places) -> list[Partition]:
    return [Partition(place.topic, place.partition) for place in places]


def _committed(error: KafkaError | None, places: Places) -> None:
    """An offset that wasn't taken does no harm: another owner reads from the one before."""
    if error is not None:
        logger.info("offsets not committed: %s: %s", error.str(), places)

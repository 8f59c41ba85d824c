"""The contract of ``ports.log``, over every adapter: records, sending, reading, topics.

``test_log_groups`` and ``test_log_transactions`` have the rest.
"""

from __future__ import annotations

from threading import Thread

import pytest

from kestrapy.adapters.system import SystemClock
from kestrapy.errors import TopicUnfit
from kestrapy.ports.log import Message, Partition, SendError, SendFailure, TopicSpec
from kestrapy.wire.partitioner import partition_for
from tests.contract.log_bench import (
    POLL_SECONDS,
    SECONDS,
    Bench,
    gather,
    in_thread,
    values,
)

# Records and partitions


def test_a_partition_keeps_the_order_of_sending(bench: Bench) -> None:
    topic = bench.topic(2)
    sent = [b"%d" % number for number in range(500)]
    bench.append(topic, *sent, partition=1)
    records = gather(bench.reader({Partition(topic, 1): 0}), 500)
    assert values(records) == sent
    assert [record.offset for record in records] == list(range(500))
    assert {(record.topic, record.partition) for record in records} == {(topic, 1)}


def test_a_record_comes_as_it_was_sent(bench: Bench) -> None:
    topic = bench.topic()
    headers = (("traceparent", b"00-1"), ("schema", b""), ("schema", b"\xff"))
    bench.send(
        Message(topic, b"\x00\xff", key=b"k", headers=headers),
        Message(topic, None),
        Message(topic, b""),
    )
    records = gather(bench.reader({Partition(topic, 0): 0}), 3)
    assert [(it.key, it.value, it.headers) for it in records] == [
        (b"k", b"\x00\xff", headers),
        (None, None, ()),
        (None, b"", ()),
    ]


def test_a_record_has_the_time_of_its_append(bench: Bench) -> None:
    topic = bench.topic()
    now = SystemClock().wall()
    bench.append(topic, b"1", b"2")
    first, second = gather(bench.reader({Partition(topic, 0): 0}), 2)
    assert first.timestamp <= second.timestamp
    assert abs(first.timestamp - now) < 3_600_000  # it is an epoch time, by another clock
    assert (
        bench.log.topics().describe([topic], SECONDS)[topic].configs["message.timestamp.type"]
        == "LogAppendTime"
    )


def test_a_key_chooses_its_partition(bench: Bench) -> None:
    topic = bench.topic(7)
    keys = [b"key-%d" % number for number in range(40)] + [b"", "größe".encode()]
    bench.send(*(Message(topic, key, key=key) for key in keys))
    everywhere = {Partition(topic, index): 0 for index in range(7)}
    found = {record.key: record.partition for record in gather(bench.reader(everywhere), len(keys))}
    assert found == {key: partition_for(key, 7) for key in keys}


# Sending


def test_acks_come_in_poll_or_flush_one_for_each(bench: Bench) -> None:
    topic = bench.topic()
    producer = bench.producer()
    answers: list[SendError | None] = []
    producer.send(Message(topic, b"1"), answers.append)
    assert answers == []
    for _ in range(100_000):
        producer.poll()
        if answers:
            break
    producer.send(Message(topic, b"2"), answers.append)
    producer.send(Message(topic, b"3"))
    assert producer.flush(SECONDS) == 0
    producer.poll()
    assert answers == [None, None]
    assert values(gather(bench.reader({Partition(topic, 0): 0}), 3)) == [b"1", b"2", b"3"]


def test_many_threads_may_send(bench: Bench) -> None:
    topic = bench.topic()
    producer = bench.producer()
    answers: list[SendError | None] = []

    def work() -> None:
        for _ in range(200):
            producer.send(Message(topic, b"x"), answers.append)

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert producer.flush(SECONDS) == 0
    assert answers == [None] * 800
    gather(bench.reader({Partition(topic, 0): 0}), 800)


def test_a_missing_topic_fails_the_send(bench: Bench) -> None:
    (answer,) = bench.send(Message(bench.name(), b"x"))
    assert answer is not None
    assert answer.failure is SendFailure.MISSING_TOPIC


def test_a_missing_partition_fails_the_send(bench: Bench) -> None:
    topic = bench.topic(2)
    bench.append(topic, b"x")
    (answer,) = bench.send(Message(topic, b"x", partition=2))
    assert answer is not None
    assert answer.failure is SendFailure.MISSING_TOPIC


def test_too_large_a_record_for_its_topic_fails(bench: Bench) -> None:
    topic = bench.topic(max_message_bytes="4000")
    bench.append(topic, b"1")
    (answer,) = bench.send(Message(topic, b"x" * 5000))
    assert answer is not None
    assert answer.failure is SendFailure.TOO_LARGE
    bench.append(topic, b"2")
    assert values(gather(bench.reader({Partition(topic, 0): 0}), 2)) == [b"1", b"2"]


def test_too_large_a_record_for_any_topic_fails_alone(bench: Bench) -> None:
    topic = bench.topic()
    large = Message(topic, b"x" * 1_000_001)
    before, large_one, after = bench.send(Message(topic, b"1"), large, Message(topic, b"2"))
    assert large_one is not None
    assert large_one.failure is SendFailure.TOO_LARGE
    assert (before, after) == (None, None)
    assert values(gather(bench.reader({Partition(topic, 0): 0}), 2)) == [b"1", b"2"]


# Reading


def test_a_reader_knows_its_position_and_the_bounds(bench: Bench) -> None:
    place = Partition(bench.topic(), 0)
    bench.append(place.topic, b"0", b"1", b"2")
    reader = bench.reader({place: 1})
    assert (reader.beginning_offset(place, SECONDS), reader.end_offset(place, SECONDS)) == (0, 3)
    assert reader.position(place) == 1
    assert values(gather(reader, 2)) == [b"1", b"2"]
    assert reader.position(place) == 3


def test_a_time_of_append_is_found(bench: Bench) -> None:
    place = Partition(bench.topic(), 0)
    reader = bench.reader({place: 0})
    assert reader.offset_at(place, 1, SECONDS) == 0
    times: list[int] = []
    while len(set(times)) < 3:  # three appends in three milliseconds, however quick this is
        bench.append(place.topic, b"x")
        times.append(gather(reader, 1)[0].timestamp)
    for time in times:
        assert reader.offset_at(place, time, SECONDS) == times.index(time)
    assert reader.offset_at(place, times[0] - 1, SECONDS) == 0
    assert reader.offset_at(place, times[-1] + 1, SECONDS) == len(times)
    bench.backend.delete_before(place, 1)
    assert reader.offset_at(place, times[0] - 1, SECONDS) == 1


def test_a_poll_gives_no_more_than_its_limit(bench: Bench) -> None:
    place = Partition(bench.topic(), 0)
    bench.append(place.topic, *[b"x"] * 10)
    reader = bench.reader({place: 0})
    while reader.position(place) < 9:
        assert len(reader.poll(3, POLL_SECONDS)) <= 3


def test_a_reader_is_assigned_more_elsewhere_and_less(bench: Bench) -> None:
    topic = bench.topic(2)
    first, second = Partition(topic, 0), Partition(topic, 1)
    bench.append(topic, b"0", b"1", partition=0)
    bench.append(topic, b"a", b"b", partition=1)
    reader = bench.reader({first: 0})
    assert values(gather(reader, 2)) == [b"0", b"1"]
    reader.assign({second: 1})
    assert values(gather(reader, 1)) == [b"b"]
    reader.assign({first: 1})
    assert values(gather(reader, 1)) == [b"1"]
    reader.unassign([first])
    bench.append(topic, b"2", partition=0)
    bench.append(topic, b"c", partition=1)
    assert values(gather(reader, 1)) == [b"c"]
    assert reader.poll(10, POLL_SECONDS) == []


def test_a_poll_returns_as_soon_as_there_is_a_record(bench: Bench) -> None:
    place = Partition(bench.topic(), 0)
    reader = bench.reader({place: 0})
    assert reader.poll(10, POLL_SECONDS) == []
    result = in_thread(lambda: reader.poll(10, 10 * SECONDS))
    bench.append(place.topic, b"x")
    assert values(result()) == [b"x"]


def test_a_position_whose_records_were_deleted_is_unfit(bench: Bench) -> None:
    place = Partition(bench.topic(), 0)
    bench.append(place.topic, b"0", b"1", b"2")
    bench.backend.delete_before(place, 2)
    reader = bench.reader({place: 1})
    assert reader.beginning_offset(place, SECONDS) == 2
    with pytest.raises(TopicUnfit, match=place.topic):
        gather(reader, 1)
    reader.assign({place: 2})
    assert values(gather(reader, 1)) == [b"2"]


def test_a_position_beyond_the_end_is_unfit(bench: Bench) -> None:
    place = Partition(bench.topic(), 0)
    bench.append(place.topic, b"0")
    with pytest.raises(TopicUnfit, match=place.topic):
        gather(bench.reader({place: 7}), 1)


def test_a_missing_topic_is_unfit_to_be_read(bench: Bench) -> None:
    place = Partition(bench.name(), 0)
    with pytest.raises(TopicUnfit, match=place.topic):
        gather(bench.reader({place: 0}), 1)
    with pytest.raises(TopicUnfit, match=place.topic):
        bench.reader({}).end_offset(place, SECONDS)


def test_a_missing_partition_is_unfit_to_be_read(bench: Bench) -> None:
    place = Partition(bench.topic(2), 2)
    with pytest.raises(TopicUnfit, match=place.topic):
        gather(bench.reader({place: 0}), 1)


def test_a_topic_that_is_deleted_while_it_is_read_is_unfit(bench: Bench) -> None:
    place = Partition(bench.topic(), 0)
    bench.append(place.topic, b"0")
    reader = bench.reader({place: 0})
    gather(reader, 1)
    bench.log.topics().delete([place.topic], SECONDS)
    with pytest.raises(TopicUnfit, match=place.topic):
        gather(reader, 1)


# Topics


def test_topics_are_created_described_and_deleted(bench: Bench) -> None:
    topics = bench.log.topics()
    spec = TopicSpec(bench.name(), 3, {"cleanup.policy": "compact"})
    other = TopicSpec(bench.name(), 1, {})
    assert topics.create([spec], SECONDS) == [spec.name]
    assert topics.create([spec, other], SECONDS) == [other.name]
    assert topics.create([spec], SECONDS) == []
    found = topics.describe([spec.name, other.name, bench.name()], SECONDS)
    assert sorted(found) == sorted([spec.name, other.name])
    assert (found[spec.name].name, found[spec.name].partitions) == (spec.name, 3)
    assert found[spec.name].replication_factor >= 1
    assert found[spec.name].configs["cleanup.policy"] == "compact"
    topics.delete([spec.name], SECONDS)
    topics.delete([spec.name], SECONDS)
    assert sorted(topics.describe([spec.name, other.name], SECONDS)) == [other.name]
    assert topics.describe([], SECONDS) == {}

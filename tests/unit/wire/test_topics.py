"""The catalogue covers every record and sets topics up so that nothing is lost."""

from __future__ import annotations

import pytest

from kestrapy.errors import SettingsRefused
from kestrapy.machine.outputs import Job
from kestrapy.wire.topics import JOBS, TOPICS, Catalogue
from tests.unit.wire.samples import RECORDS

CATALOGUE = Catalogue("acme.", shards=3, job_partitions=5)
SPECS = {spec.name: spec for spec in CATALOGUE.specs(["default", "gpu", "gpu"])}
SHARDED = {
    *("requests", "executions", "admission", "triggers", "workers", "state", "scheduler-state"),
    *("execution-events", "logs", "metrics", "trigger-events"),
}


def test_every_record_has_a_topic() -> None:
    carried = {record for topic in (*TOPICS, JOBS) for record in topic.records}
    assert carried == set(RECORDS)


def test_public_topics_carry_public_records_for_others() -> None:
    assert {topic.name for topic in TOPICS if not topic.public} == {
        *("executions", "admission", "triggers", "state", "scheduler-state")
    }


def test_partitions_follow_the_settings() -> None:
    fixed = {"inbox": 4, "flows": 1, "settings": 1, "dead-letter": 1}
    expected = {f"acme.{name}": 3 for name in SHARDED}
    expected |= {f"acme.{name}": count for name, count in fixed.items()}
    expected |= {"acme.jobs.default": 5, "acme.jobs.gpu": 5}
    assert {name: spec.partitions for name, spec in SPECS.items()} == expected


def test_no_setting_loses_records() -> None:
    for name, spec in SPECS.items():
        assert spec.configs["message.timestamp.type"] == "LogAppendTime", name
        if spec.configs["cleanup.policy"] == "delete":
            assert spec.configs["retention.bytes"] == "-1", name
            assert int(spec.configs["retention.ms"]) >= 86_400_000, name
        else:
            assert not any(key.startswith("retention") for key in spec.configs), name


def test_what_is_restored_from_is_compacted_soon() -> None:
    for name in ("acme.state", "acme.scheduler-state"):
        assert SPECS[name].configs["cleanup.policy"] == "compact"
        assert SPECS[name].configs["segment.bytes"] == str(32 << 20)
        assert SPECS[name].configs["segment.ms"] == "60000"


def test_a_dead_letter_holds_the_largest_record() -> None:
    largest = max(int(spec.configs["max.message.bytes"]) for spec in SPECS.values())
    assert int(SPECS["acme.dead-letter"].configs["max.message.bytes"]) == largest
    assert int(SPECS["acme.requests"].configs["max.message.bytes"]) < largest


def test_a_group_that_is_named_twice_has_one_topic() -> None:
    assert len(CATALOGUE.specs(["default", "gpu", "gpu"])) == len(SPECS)


def test_names_lead_to_topics_and_groups() -> None:
    assert CATALOGUE.jobs("gpu") == "acme.jobs.gpu"
    assert CATALOGUE.group("acme.jobs.gpu") == "gpu"
    assert CATALOGUE.group("acme.logs") is None
    jobs, events = CATALOGUE.topic("acme.jobs.gpu"), CATALOGUE.topic(CATALOGUE.execution_events)
    assert jobs is not None
    assert jobs.records == (Job,)
    assert events is not None
    assert events.name == "execution-events"
    assert CATALOGUE.topic("other.logs") is None


def test_the_attributes_are_the_topics() -> None:
    named = {getattr(CATALOGUE, topic.name.replace("-", "_")) for topic in TOPICS}
    assert named == {f"acme.{topic.name}" for topic in TOPICS}


@pytest.mark.parametrize("group", ["", "a.b", "a b", "ä", "g" * 101, "gpu\n"])
def test_an_unfit_group_is_refused(group: str) -> None:
    with pytest.raises(SettingsRefused, match="worker group"):
        CATALOGUE.jobs(group)


@pytest.mark.parametrize("prefix", [".", ".a", "a/", "a b", "p" * 101])
def test_an_unfit_prefix_is_refused(prefix: str) -> None:
    with pytest.raises(SettingsRefused, match="topic prefix"):
        Catalogue(prefix)


def test_counts_start_at_one() -> None:
    for counts in ({"shards": 0}, {"job_partitions": -1}):
        with pytest.raises(SettingsRefused, match="at least 1"):
            Catalogue(**counts)  # type: ignore[arg-type]


def test_the_topic_of_a_group_that_shares_has_one_partition() -> None:
    catalogue = Catalogue("acme.", job_partitions=5, shared=["gpu"])
    partitions = {it.name: it.partitions for it in catalogue.specs(["default", "gpu"])}
    assert (partitions["acme.jobs.default"], partitions["acme.jobs.gpu"]) == (5, 1)

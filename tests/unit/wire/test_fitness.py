"""What of an existing topic would lose records."""

from __future__ import annotations

import pytest

from kestrapy.ports.log import TopicDescription, TopicSpec
from kestrapy.wire.fitness import unfit
from kestrapy.wire.topics import Catalogue

SPECS = {spec.name: spec for spec in Catalogue("").specs()}


def described(spec: TopicSpec, *, replicas: int = 1, **changed: str) -> TopicDescription:
    configs = dict(spec.configs) | {key.replace("_", "."): text for key, text in changed.items()}
    return TopicDescription(spec.name, spec.partitions, replicas, configs)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_a_topic_that_was_made_by_its_spec_is_fit(spec: TopicSpec) -> None:
    assert unfit(spec, described(spec)) == []


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("message_timestamp_type", "CreateTime"),
        ("cleanup_policy", "compact"),
        ("cleanup_policy", "compact,delete"),
        ("retention_bytes", "1073741824"),
        ("retention_ms", "3600000"),
        ("max_message_bytes", "1000"),
        ("unclean_leader_election_enable", "true"),
    ],
)
def test_what_loses_records_is_named_with_its_remedy(setting: str, value: str) -> None:
    spec = SPECS["executions"]
    (problem,) = unfit(spec, described(spec, **{setting: value}))
    assert problem.startswith(f"executions: {setting.replace('_', '.')} is {value}: set it to ")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("retention_ms", "-1"),
        ("retention_ms", "9999999999"),
        ("max_message_bytes", "9999999"),
        ("segment_ms", "1000"),
        ("min_insync_replicas", "1"),
    ],
)
def test_what_keeps_more_or_just_costs_is_the_operators_own(setting: str, value: str) -> None:
    spec = SPECS["executions"]
    assert unfit(spec, described(spec, **{setting: value})) == []


def test_three_replicas_need_two_in_sync() -> None:
    spec = SPECS["executions"]
    (problem,) = unfit(spec, described(spec, replicas=3, min_insync_replicas="1"))
    assert "min.insync.replicas is 1 with 3 replicas: set it to 2" in problem
    assert unfit(spec, described(spec, replicas=3, min_insync_replicas="2")) == []


def test_three_brokers_need_three_replicas() -> None:
    spec = SPECS["executions"]
    lonely = TopicDescription(spec.name, spec.partitions, 1, spec.configs, brokers=3)
    (problem,) = unfit(spec, lonely)
    assert "has 1 of 3 replicas on 3 brokers" in problem


def test_other_partitions_are_another_installation() -> None:
    spec = SPECS["executions"]
    found = TopicDescription("executions", 6, 1, spec.configs)
    (problem,) = unfit(spec, found)
    assert "has 6 partitions, the settings say 4" in problem


def test_a_missing_topic_is_to_be_made() -> None:
    (problem,) = unfit(SPECS["jobs.default"], None)
    assert problem == "jobs.default does not exist: create it with 16 partitions"

"""Whether an existing topic can carry the protocol: asked before a server starts."""

from __future__ import annotations

from kestrapy.ports.log import TopicDescription, TopicSpec

_REPLICAS_WITH_ONE_TO_SPARE = 3


def unfit(spec: TopicSpec, described: TopicDescription | None) -> list[str]:
    """What of a topic would lose records or break the protocol, a sentence each; empty: it is fit.

    described None: it does not exist. A setting that the description leaves out is not judged.
    Settings that only cost time or room (segments, ratios, compression) are the operator's own.
    """
    if described is None:
        return [f"{spec.name} does not exist: create it with {spec.partitions} partitions"]
    problems = [*_partitions(spec, described), *_settings(spec, described), *_safety(described)]
    return [f"{spec.name}: {problem}" for problem in problems]


def _partitions(spec: TopicSpec, described: TopicDescription) -> list[str]:
    if described.partitions == spec.partitions:
        return []
    return [
        f"has {described.partitions} partitions, the settings say {spec.partitions}: change the"
        " settings back, or make the topic anew while nothing runs"
    ]


def _settings(spec: TopicSpec, described: TopicDescription) -> list[str]:
    """The settings that decide what stays in the topic and when it was appended."""
    problems = []
    for name, unfit_value in (
        ("message.timestamp.type", _differs),
        ("cleanup.policy", _differs),
        ("retention.bytes", _less),
        ("retention.ms", _less),
        ("max.message.bytes", _less),
    ):
        wanted, found = spec.configs.get(name), described.configs.get(name)
        if wanted is not None and found is not None and unfit_value(found, wanted):
            problems.append(f"{name} is {found}: set it to {wanted}")
    return problems


def _safety(described: TopicDescription) -> list[str]:
    """What loses acknowledged records when a broker dies."""
    problems = []
    if described.configs.get("unclean.leader.election.enable", "false") == "true":
        problems.append("unclean.leader.election.enable is true: set it to false")
    replicated = described.replication_factor >= _REPLICAS_WITH_ONE_TO_SPARE
    if not replicated and described.brokers >= _REPLICAS_WITH_ONE_TO_SPARE:
        problems.append(
            f"has {described.replication_factor} of {_REPLICAS_WITH_ONE_TO_SPARE} replicas on"
            f" {described.brokers} brokers: reassign its partitions to three of them, or make it"
            " anew (kafka.replicationFactor: 3)"
        )
    if replicated and described.configs.get("min.insync.replicas", "2") in ("0", "1"):
        problems.append(
            f"min.insync.replicas is 1 with {described.replication_factor} replicas: set it to 2"
        )
    return problems


def _differs(found: str, wanted: str) -> bool:
    return {part.strip() for part in found.split(",")} != {wanted}


def _less(found: str, wanted: str) -> bool:
    """Whether found keeps less than wanted; -1 means without limit."""
    kept, needed = int(found), int(wanted)
    if kept < 0:
        return False
    return needed < 0 or kept < needed

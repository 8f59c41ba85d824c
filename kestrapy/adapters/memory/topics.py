"""``ports.log.Topics`` in memory."""

from __future__ import annotations

from collections.abc import Sequence

from kestrapy.adapters.memory.journal import Journal, TopicLog
from kestrapy.ports.log import TopicDescription, TopicSpec

_FIXED = {"message.timestamp.type": "LogAppendTime"}


class MemoryTopics:
    def __init__(self, journal: Journal):
        self._journal = journal

    def create(self, specs: Sequence[TopicSpec], timeout: float) -> list[str]:
        with self._journal.lock:
            fresh = [spec for spec in specs if spec.name not in self._journal.topics]
            for spec in fresh:
                self._journal.topics_made += 1
                self._journal.topics[spec.name] = TopicLog(spec, self._journal.topics_made)
            self._journal.topics_changed()
            return [spec.name for spec in fresh]

    def describe(self, names: Sequence[str], timeout: float) -> dict[str, TopicDescription]:
        with self._journal.lock:
            found = [self._journal.topics[name] for name in names if name in self._journal.topics]
        return {
            topic.spec.name: TopicDescription(
                topic.spec.name,
                topic.spec.partitions,
                1,
                {**topic.spec.configs, **_FIXED},
                str(topic.number),
            )
            for topic in found
        }

    def delete(self, names: Sequence[str], timeout: float) -> None:
        with self._journal.lock:
            for name in names:
                topic = self._journal.topics.pop(name, None)
                for partition in topic.partitions if topic else ():
                    partition.delete()
            self._journal.topics_changed(deleted=names)

"""Looks after the topics of declared groups: makes those that are missing, and knows their ids.

What stands in a topic that somebody deletes is gone; its jobs are published again where the id of
the topic has changed. Questions take a while and are asked in another thread.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import Executor, Future

from kestrapy.errors import OperatorError
from kestrapy.model.worker_group import GroupSettings
from kestrapy.ports.log import Topics
from kestrapy.servers.declarations import group_topic
from kestrapy.wire.topics import Catalogue

log = logging.getLogger(__name__)

LOOK_EVERY = 15_000
TIMEOUT = 10.0


class GroupTopics:
    """One process's. ids: by group, of what was seen last."""

    def __init__(self, topics: Topics, catalogue: Catalogue, threads: Executor):
        self.ids: Mapping[str, str] = {}
        self._topics = topics
        self._catalogue = catalogue
        self._threads = threads
        self._asked: Future[Mapping[str, str]] | None = None
        self._due = 0

    def turn(self, groups: Mapping[str, GroupSettings], now: int) -> None:
        """groups: the declared ones by key. now: monotonic ms. Never waits."""
        if self._asked is not None and self._asked.done():
            try:
                self.ids = self._asked.result()
            except OperatorError as error:
                log.warning("topics of worker groups can't be looked after: %s", error)
            self._asked = None
        if self._asked is None and now >= self._due:
            self._due = now + LOOK_EVERY
            self._asked = self._threads.submit(self._look, dict(groups))

    def _look(self, groups: Mapping[str, GroupSettings]) -> Mapping[str, str]:
        specs = {self._catalogue.jobs(it): it for it in sorted(groups)}
        wanted = [group_topic(self._catalogue, it) for _, it in sorted(groups.items())]
        for name in self._topics.create(wanted, TIMEOUT):
            log.warning("topic %s was missing, and was made", name)
        found = self._topics.describe(list(specs), TIMEOUT)
        return {specs[name]: description.id for name, description in found.items()}

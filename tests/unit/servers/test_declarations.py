"""What an executor saves of its settings file, and in which words a task run says why it waits."""

from __future__ import annotations

import msgspec
import pytest

from kestrapy.adapters.memory.log import MemoryLog
from kestrapy.adapters.system import SystemClock
from kestrapy.machine.commands import SettingSaveRequested
from kestrapy.machine.outputs import SettingRevision, TaskRunSnapshot
from kestrapy.model.state import State
from kestrapy.model.worker_group import GROUP, Fallback, GroupSettings, encode
from kestrapy.ports.log import TopicSpec
from kestrapy.servers.declarations import from_file, group_topic
from kestrapy.servers.group_documents import waiting_json
from kestrapy.servers.router import Router
from kestrapy.servers.settings_catalogue import SettingsCatalogue
from kestrapy.servers.worker_board import GroupLoad
from kestrapy.wire.codec import Codec
from kestrapy.wire.topics import Catalogue
from tests.samples import of_task_run

ROUTER = Router(Codec(), Catalogue("t.", shards=2))
DEFAULT = GroupSettings("default")
FILED = GroupSettings("gpu", min_workers=2, origin="file")


def saved(*groups: GroupSettings) -> SettingsCatalogue:
    log = MemoryLog(SystemClock())
    log.topics().create(ROUTER.catalogue.specs(), 5)
    producer = log.producer()
    for group in groups:
        revision = SettingRevision(GROUP, group.key, 1, encode(group), at=1)
        producer.send(ROUTER.message(revision))
    settings = SettingsCatalogue(log, ROUTER.codec, ROUTER.catalogue)
    settings.catch_up(5)
    return settings


def wanted(*groups: GroupSettings) -> list[SettingSaveRequested]:
    return [SettingSaveRequested(GROUP, it.key, encode(it)) for it in groups]


def test_what_the_file_declares_is_saved_once() -> None:
    written = {"default": DEFAULT, "gpu": FILED}
    assert from_file(written, saved()) == wanted(FILED)
    assert from_file(written, saved(FILED)) == []


def test_the_default_group_is_saved_where_the_file_names_it() -> None:
    default = GroupSettings("default", weights={"a": 2}, origin="file")
    assert from_file({"default": default}, saved()) == wanted(default)


def test_a_change_of_the_file_leaves_a_group_drained() -> None:
    drained = msgspec.structs.replace(FILED, drained=True)
    changed = msgspec.structs.replace(FILED, min_workers=3)
    expected = msgspec.structs.replace(changed, drained=True)
    assert from_file({"gpu": FILED}, saved(drained)) == []
    assert from_file({"gpu": changed}, saved(drained)) == wanted(expected)


def test_what_the_file_declares_no_more_is_left_to_others() -> None:
    freed = msgspec.structs.replace(FILED, origin="")
    assert from_file({"default": DEFAULT}, saved(FILED)) == wanted(freed)
    assert from_file({"default": DEFAULT}, saved(freed)) == []


def test_a_share_groups_topic_has_one_partition() -> None:
    def topic(group: GroupSettings) -> TopicSpec:
        return group_topic(ROUTER.catalogue, group)

    assert (topic(FILED).name, topic(FILED).partitions) == ("t.jobs.gpu", 16)
    assert topic(GroupSettings("gpu", dispatch="share")).partitions == 1


GPU = GroupSettings("gpu", fallback=Fallback("GROUP", "cpu"), fallback_after=90_000)
BUSY = GroupLoad("gpu", workers=2, slots=4, waiting=1, running=4)


@pytest.mark.parametrize(
    ("group", "load", "certain", "expected"),
    [
        (GPU, BUSY, False, "4 of 4 slots of gpu are taken, 1 job waits"),
        (GPU, None, True, "has no live worker; its jobs wait (fallback cpu after PT1M30S)"),
        (GPU, None, False, "is not known yet"),
        (None, BUSY, True, "declared no more"),
        (msgspec.structs.replace(GPU, drained=True), BUSY, True, "is drained"),
    ],
)
def test_why_a_task_run_waits(
    group: GroupSettings | None, load: GroupLoad | None, certain: bool, expected: str
) -> None:
    groups = {"gpu": group} if group else {}
    loads = {"gpu": load} if load else {}
    for state in (State.CREATED, State.SUBMITTED):
        found = waiting_json(run(state), groups, loads, certain=certain)
        assert found is not None and expected in found["reason"]
    assert waiting_json(run(State.RUNNING), groups, loads, certain=certain) is None
    assert waiting_json(run(State.CREATED, group=""), groups, loads, certain=certain) is None


def run(state: State, group: str = "gpu") -> TaskRunSnapshot:
    snapshot = of_task_run("e1", 1, 0, state).task_run
    assert snapshot is not None
    return msgspec.structs.replace(snapshot, worker_group=group)

"""What is declared, read from a log in memory."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pytest

from kestrapy.adapters.memory.log import MemoryLog
from kestrapy.adapters.system import SystemClock
from kestrapy.machine.outputs import SettingRevision
from kestrapy.model.worker_group import (
    GROUP,
    NAMESPACE,
    Declaration,
    GroupSettings,
    NamespaceSettings,
    WorkerGroupRef,
    encode,
)
from kestrapy.servers.router import Router
from kestrapy.servers.settings_catalogue import UNDECLARED, SettingsCatalogue
from kestrapy.wire.codec import Codec
from kestrapy.wire.topics import Catalogue

ROUTER = Router(Codec(), Catalogue("t.", shards=2))
GPU = GroupSettings(key="gpu", lanes={"urgent": 3})


class Bench:
    def __init__(self, file_groups: Mapping[str, GroupSettings] = MappingProxyType({})) -> None:
        log = MemoryLog(SystemClock())
        log.topics().create(ROUTER.catalogue.specs(), 5)
        self.producer = log.producer()
        self.settings = SettingsCatalogue(log, ROUTER.codec, ROUTER.catalogue, file_groups)

    def save(self, kind: str, name: str, revision: int, content: str | Declaration) -> None:
        text = content if isinstance(content, str) else encode(content)
        record = SettingRevision(kind, name, revision, text, at=revision)
        self.producer.send(ROUTER.message(record))
        self.settings.catch_up(5)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_the_default_group_is_always_there(bench: Bench) -> None:
    assert bench.settings.groups() == {"default": UNDECLARED}
    declared = GroupSettings(key="default", weights={"company": 2})
    bench.save(GROUP, "default", 1, declared)
    assert bench.settings.groups() == {"default": declared}
    bench.save(GROUP, "default", 2, "")
    assert bench.settings.groups() == {"default": UNDECLARED}


def test_a_group_of_the_settings_file_counts_until_the_topic_says_otherwise() -> None:
    written = GroupSettings(key="gpu", origin="file")
    bench = Bench({"default": GroupSettings(key="default"), "gpu": written})
    assert bench.settings.groups() == {"default": UNDECLARED, "gpu": written}
    assert bench.settings.groups()["default"] is UNDECLARED
    bench.save(GROUP, "cpu", 1, GroupSettings(key="cpu"))
    assert bench.settings.groups()["gpu"] == written
    bench.save(GROUP, "gpu", 1, "")
    assert "gpu" not in bench.settings.groups()


def test_a_group_is_as_its_latest_revision_says(bench: Bench) -> None:
    bench.save(GROUP, "gpu", 1, GPU)
    before = bench.settings.groups()
    assert before["gpu"] == GPU
    bench.save(GROUP, "gpu", 3, GroupSettings(key="gpu", drained=True))
    bench.save(GROUP, "gpu", 2, GPU)
    assert bench.settings.groups()["gpu"].drained
    assert before["gpu"] == GPU
    found = bench.settings.revision(GROUP, "gpu")
    assert found is not None and found.revision == 3


def test_a_deleted_group_is_gone_and_may_come_again(bench: Bench) -> None:
    bench.save(GROUP, "gpu", 1, GPU)
    bench.save(GROUP, "gpu", 2, "")
    assert "gpu" not in bench.settings.groups()
    found = bench.settings.revision(GROUP, "gpu")
    assert found is not None and found.content == ""
    bench.save(GROUP, "gpu", 3, GPU)
    assert bench.settings.groups()["gpu"] == GPU


def test_a_namespace_has_its_own_settings_only(bench: Bench) -> None:
    team = NamespaceSettings("company.team", WorkerGroupRef(key="gpu"))
    tenant = NamespaceSettings("", WorkerGroupRef(key="default"))
    bench.save(NAMESPACE, "company.team", 1, team)
    bench.save(NAMESPACE, "", 1, tenant)
    assert bench.settings.namespace("company.team") == team
    assert bench.settings.namespace("company.team.sub") is None
    assert bench.settings.namespace("") == tenant
    bench.save(NAMESPACE, "company.team", 2, "")
    assert bench.settings.namespaces() == {"": tenant}


@pytest.mark.parametrize(
    ("kind", "name", "content"),
    [
        (GROUP, "gpu", "{"),
        (GROUP, "gpu", '{"key":"gpu","typo":1}'),
        (GROUP, "gpu", encode(GroupSettings(key="other"))),
        (GROUP, "gpu", '{"key":"gpu","minWorkers":-1}'),
        ("colour", "gpu", encode(GPU)),
    ],
)
def test_what_can_not_be_read_leaves_what_was(
    bench: Bench, kind: str, name: str, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    bench.save(GROUP, "gpu", 1, GPU)
    bench.save(kind, name, 2, content)
    assert bench.settings.groups()["gpu"] == GPU
    assert f"setting {kind} 'gpu', revision 2" in caplog.text
    bench.save(GROUP, "gpu", 3, GroupSettings(key="gpu"))
    assert bench.settings.groups()["gpu"] == GroupSettings(key="gpu")

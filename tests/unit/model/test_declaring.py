"""What people write of worker groups becomes declarations, and is shown as they wrote it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kestrapy.config import WorkerGroup, load_settings
from kestrapy.model.declaring import declared_groups, group_settings, written_group
from kestrapy.model.worker_group import Fallback, GroupSettings

FULL = """
workerGroups:
- key: default
  weights: {company: 3}
- key: gpu
  description: with CUDA
  tags: [cuda, a100]
  minWorkers: 2
  dispatch: share
  lanes: {urgent: 4}
  weights: {company.team: 2}
  fallback: {group: default}
  fallbackAfter: PT30S
  namespaces: [company]
  maxResubmissions: 1
"""
GPU = GroupSettings(
    key="gpu",
    description="with CUDA",
    tags=("cuda", "a100"),
    min_workers=2,
    dispatch="share",
    lanes={"urgent": 4},
    weights={"company.team": 2},
    fallback=Fallback("GROUP", "default"),
    fallback_after=30_000,
    namespaces=("company",),
    max_resubmissions=1,
    origin="file",
)


def test_a_file_declares_groups_and_the_default_one(tmp_path: Path) -> None:
    file = tmp_path / "kestrapy.yaml"
    file.write_text(FULL)
    settings = load_settings(file, {})
    assert settings.group_keys == ("default", "gpu")
    assert declared_groups(settings) == {
        "default": GroupSettings("default", weights={"company": 3}, origin="file"),
        "gpu": GPU,
    }


def test_the_default_group_is_there_without_a_word() -> None:
    assert declared_groups(load_settings(None, {})) == {"default": GroupSettings("default")}


def test_what_is_left_out_is_as_in_a_declaration() -> None:
    assert group_settings(WorkerGroup(key="a")) == GroupSettings("a")


@pytest.mark.parametrize("fallback", ["WAIT", "FAIL", "CANCEL", {"group": "other"}])
def test_a_declaration_is_shown_as_it_was_written(fallback: Any) -> None:
    written = WorkerGroup(key="a", tags=("x",), lanes={"l": 2}, fallback=fallback)
    shown = written_group(group_settings(written))
    assert shown["fallback"] == fallback
    assert (shown["tags"], shown["lanes"]) == (("x",), {"l": 2})
    assert not {"drained", "origin"} & shown.keys()
    assert group_settings(WorkerGroup.model_validate(shown)) == group_settings(written)

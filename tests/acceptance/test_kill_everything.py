"""Every kind of server, and brokers, are killed again and again; every promise holds all the same.

What is asserted stands in ``chaos.judge``. KESTRAPY_TEST_SEED chooses who is killed when.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.acceptance import chaos
from tests.acceptance.brokers import KAFKA, Brokers
from tests.acceptance.cluster import Cluster

pytestmark = [pytest.mark.acceptance, pytest.mark.external, pytest.mark.timeout(360)]


def test_nothing_is_lost_doubled_or_left_behind(topic_prefix: str, tmp_path: Path) -> None:
    seed = int(os.environ.get("KESTRAPY_TEST_SEED", "2"))
    with (
        Brokers(tmp_path / "kafka") as brokers,
        Cluster(tmp_path, brokers.servers, topic_prefix, chaos.SETTINGS, KAFKA) as cluster,
    ):
        summary = chaos.run(cluster, brokers, chaos.Plan(seed))
        print(json.dumps(summary, indent=2))
        assert summary["problems"] == [], f"again by KESTRAPY_TEST_SEED={seed}"
        assert summary["epochs lost"] > 0, "no kill hit a running task: it proves too little"

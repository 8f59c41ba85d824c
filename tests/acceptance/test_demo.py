"""``kestrapy demo`` as a newcomer runs it, on a real Kafka."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from confluent_kafka.admin import AdminClient

from kestrapy.adapters.kafka.provision import BOOTSTRAP_SERVERS

ROOT = Path(__file__).parents[2]
DATA = ROOT / "examples" / "data" / "bike-counts.csv"
WET = 0.5
MARK = "MARK_OF_A_DEMO"
TIMEOUT_S = 240

pytestmark = [pytest.mark.acceptance, pytest.mark.external, pytest.mark.timeout(TIMEOUT_S + 30)]


class Demo(NamedTuple):
    """A demo that was started. folder: its data. mark: what all its processes inherit."""

    process: subprocess.Popen[str]
    folder: Path
    mark: str

    def processes(self) -> list[str]:
        """Command lines of all that it started and that still run, tasks included."""
        own = f"{MARK}={self.mark}", str(self.folder)
        return [
            command
            for environment, command in running()
            if own[0] in environment or own[1] in command
        ]


def running() -> Iterator[tuple[str, str]]:
    """Environment, and command line with working directory, of each process."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_text(errors="replace")
            command = (process / "cmdline").read_text(errors="replace").replace("\0", " ")
            yield environment, f"{command} in {(process / 'cwd').readlink()}"
        except OSError:
            continue  # it has ended meanwhile


def topics(servers: str) -> set[str]:
    """Those of all demos."""
    names = AdminClient({"bootstrap.servers": servers}).list_topics(timeout=10).topics
    return {name for name in names if name.startswith("demo-")}


def start(kafka: str, folder: Path, *options: str) -> Demo:
    mark = uuid.uuid4().hex
    # A setting of another installation must not matter.
    own = {BOOTSTRAP_SERVERS: kafka, MARK: mark, "KESTRAPY_SHARDS": "3"}
    process = subprocess.Popen(
        [sys.executable, "-m", "kestrapy", "demo", "--data-dir", str(folder), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        env=os.environ | own | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        cwd=folder.parent,
    )
    return Demo(process, folder, mark)


def read_to(demo: Demo, text: str) -> str:
    """What it prints, to the first line with this text."""
    assert demo.process.stdout is not None
    seen = ""
    for line in demo.process.stdout:
        seen += line
        if text in line:
            return seen
    raise AssertionError(f"{text!r} was not printed:\n{seen}")


def test_the_report_is_right_and_nothing_is_left(kafka: str, tmp_path: Path) -> None:
    before = topics(kafka)
    demo = start(kafka, tmp_path / "demo")
    shown, _ = demo.process.communicate(timeout=TIMEOUT_S)
    assert demo.process.returncode == 0, shown
    assert demo.processes() == []
    assert topics(kafka) == before

    check_report(shown)
    groups = dict(re.findall(r"^ +([-\w]+) +(\w+) +[0-9a-f]{16} +SUCCESS ", shown, re.MULTILINE))
    assert groups == {
        "split": "default",
        "north-1": "north",
        "north-2": "north",
        "south-1": "south",
        "south-2": "south",
        "merge": "default",
        "report": "default",
    }
    assert "south-1      RETRYING" in shown


def check_report(shown: str) -> None:
    """Compare the report's figures with what is counted here, in another way."""
    with DATA.open(newline="") as file:
        rows = [{**row, "bikes": int(row["bikes"])} for row in csv.DictReader(file)]
    days = len({str(row["hour"])[:10] for row in rows})
    total = sum(row["bikes"] for row in rows)
    assert f"{len(rows):,} hourly counts" in shown
    assert f"**{total:,} bicycles**" in shown

    counters: Counter[str] = Counter()
    hours: Counter[str] = Counter()
    for row in rows:
        counters[row["counter"]] += row["bikes"]
        hours[str(row["hour"])[11:]] += row["bikes"]
    assert re.findall(r"^\| (\w+) \| [\w ]+ \| ([\d,]+) \| ([\d,]+) \|$", shown, re.MULTILINE) == [
        (name, f"{count:,}", f"{count / days:,.0f}") for name, count in counters.most_common()
    ]
    assert re.findall(r"^(\d\d:00) .* ([\d,]+)$", shown, re.MULTILINE) == [
        (hour, f"{count:,}") for hour, count in sorted(hours.items())
    ]

    busiest = sorted(rows, key=lambda row: (-row["bikes"], row["hour"], row["counter"]))[:5]
    assert re.findall(r"^\d\. (\S+) (\S+), (\w+): ([\d,]+)$", shown, re.MULTILINE) == [
        (*str(row["hour"]).split("T"), row["counter"], f"{row['bikes']:,}") for row in busiest
    ]

    wet = [row["bikes"] for row in rows if float(row["rain"]) >= WET]
    dry = [row["bikes"] for row in rows if float(row["rain"]) < WET]
    assert f"A dry hour brings {sum(dry) / len(dry):.1f} bicycles" in shown
    assert f"mm or more) {sum(wet) / len(wet):.1f}:" in shown


@pytest.mark.parametrize(
    ("number", "text", "processes"),
    [(signal.SIGINT, "north-1      RUNNING", 10), (signal.SIGTERM, "Starting the servers", 1)],
)
def test_it_can_be_interrupted(
    kafka: str, tmp_path: Path, number: signal.Signals, text: str, processes: int
) -> None:
    before = topics(kafka)
    demo = start(kafka, tmp_path / "demo")
    read_to(demo, text)
    assert len(demo.processes()) >= processes
    demo.process.send_signal(number)
    shown, _ = demo.process.communicate(timeout=TIMEOUT_S)
    assert demo.process.returncode == 130, shown
    assert demo.processes() == []
    assert topics(kafka) == before


def test_with_keep_the_servers_go_on_until_ctrl_c(kafka: str, tmp_path: Path) -> None:
    demo = start(kafka, tmp_path / "demo", "--keep")
    shown = read_to(demo, "The servers go on")
    found = re.search(r"curl (\S+)", shown)
    assert found is not None
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(found[1]) as answer:
        assert json.load(answer)["state"]["current"] == "SUCCESS"
    demo.process.send_signal(signal.SIGINT)
    rest, _ = demo.process.communicate(timeout=TIMEOUT_S)
    assert demo.process.returncode == 0, rest
    assert demo.processes() == []


def test_a_failure_is_explained(kafka: str, tmp_path: Path) -> None:
    examples = tmp_path / "examples"
    (examples / "data").mkdir(parents=True)
    shutil.copy(ROOT / "examples" / "bike-report.yaml", examples)
    (examples / "data" / DATA.name).write_text("day,counter\n2025-04-28,park\n")
    demo = start(kafka, tmp_path / "demo", "--examples", str(examples))
    shown, _ = demo.process.communicate(timeout=TIMEOUT_S)
    assert demo.process.returncode == 1
    assert re.search(r"^error: execution \w+ ended as FAILED$", shown, re.MULTILINE), shown
    assert "KeyError: 'bikes'" in shown
    assert "tell: There is no report" in shown
    assert demo.processes() == []


def test_a_folder_that_is_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("of value")
    demo = start("127.0.0.1:1", tmp_path)
    shown, _ = demo.process.communicate(timeout=60)
    assert demo.process.returncode == 2
    assert "is not empty: name a folder" in shown


def test_without_the_examples_it_says_where_they_are(tmp_path: Path) -> None:
    demo = start("127.0.0.1:1", tmp_path / "demo", "--examples", str(tmp_path))
    shown, _ = demo.process.communicate(timeout=60)
    assert demo.process.returncode == 2
    assert "the demo needs a checkout" in shown

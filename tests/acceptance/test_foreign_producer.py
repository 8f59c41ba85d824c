"""A program without kestrapy's code asks for work by records; what is wrong with one is seen."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import confluent_kafka
import pytest

from kestrapy.machine.outputs import DeadLetter
from kestrapy.model.flow import RESERVED_NAMESPACE
from kestrapy.model.state import State
from tests.acceptance.cluster import BASIC, Cluster
from tests.acceptance.command_line import kestrapy
from tests.acceptance.evidence import Follower, read_topic

pytestmark = [pytest.mark.acceptance, pytest.mark.external]

EXAMPLE = Path(__file__).parents[2] / "examples" / "produce_job.py"
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
GARBAGE = b"\x00\x01this is no record"
FLOW = """\
id: {id}
namespace: acceptance
workerGroup: {{key: gpu}}
inputs: [{{id: name, type: STRING}}]
tasks: [{{id: greet, type: return, format: "hello {{{{ inputs.name }}}}"}}]
outputs: [{{id: said, type: STRING, value: "{{{{ outputs.greet.value }}}}"}}]
"""


class Producer:
    """The example, run as a program of its own."""

    def __init__(self, servers: str, topic: str):
        self._start = [sys.executable, str(EXAMPLE), servers, topic]
        self._servers, self._topic = servers, topic

    def send(self, name: str, fields: dict[str, object], traceparent: str = "") -> None:
        command = [*self._start, name, json.dumps(fields), traceparent]
        subprocess.run(command, check=True, timeout=30)

    def request(self, key: str, flow: str, name: str, traceparent: str = "") -> None:
        inputs = json.dumps({"name": name})
        fields = {"idempotencyKey": key, "namespace": "acceptance", "flow": flow}
        self.send("ExecutionRequested", {**fields, "inputs": inputs}, traceparent)

    def send_garbage(self, partition: int) -> None:
        producer = confluent_kafka.Producer({"bootstrap.servers": self._servers})
        producer.produce(self._topic, GARBAGE, partition=partition)
        assert producer.flush(30) == 0


def dead_letter(cluster: Cluster, *arguments: str) -> str:
    """What ``kestrapy dead-letter`` prints."""
    ended = kestrapy("dead-letter", *arguments, config=cluster.config_file)
    assert ended.code == 0, ended.error
    return ended.out


def said(follower: Follower, flow_id: str) -> list[str]:
    """The outputs of a flow's executions that ended well; of others their error."""
    events = [it for it in follower.last.values() if it.flow_id == flow_id and it.execution]
    return sorted(
        json.loads(it.execution.outputs)["said"]
        if it.execution.state is State.SUCCESS
        else it.execution.error
        for it in events
        if it.execution and it.execution.state.is_terminal
    )


def number_of(listed: str, reason: str) -> str:
    """The number of the dead letter whose line has this reason."""
    (line,) = [it for it in listed.splitlines() if reason in it]
    found = re.match(r"\s*(\d+)", line)
    assert found, line
    return found[1]


def test_records_of_a_program_of_ones_own(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    settings = {"workerGroups": [{"key": "gpu"}]}
    with Cluster(tmp_path, kafka, topic_prefix, settings) as cluster:
        cluster.start(*BASIC, "worker:gpu")
        cluster.await_ready()
        cluster.api.save_flow(FLOW.format(id="greeting"))
        parts = cluster.parts()
        producer = Producer(kafka, parts.catalogue.requests)
        for partition in range(parts.catalogue.shards):
            producer.send_garbage(partition)
        producer.request("k1", "greeting", "Ada", TRACEPARENT)
        producer.request("k1", "greeting", "Ada", TRACEPARENT)
        producer.request("k2", "greeting", "Grace")
        producer.request("k3", "unknown", "Edsger")
        job = {"workerGroup": "gpu", "taskType": "io.kestra.plugin.core.debug.Return"}
        texts = {"properties": '{"format": "{{ inputs.x }}"}', "inputs": '{"x": "alone"}'}
        producer.send("JobRequested", {"idempotencyKey": "j1", **job, **texts})
        with Follower(parts) as follower:
            follower.await_that(lambda: len(follower.ended) == 4, "four executions")
            assert said(follower, "greeting") == ["hello Ada", "hello Grace"]
            assert "there is no flow acceptance.unknown" in said(follower, "unknown")[0]
            (alone,) = [it for it in follower.seen if is_end_of_job(it)]
            assert alone.task_run and json.loads(alone.task_run.outputs) == {"value": "alone"}
            assert alone.task_run.worker_group == "gpu"

            traced = {
                it.envelope.traceparent for it in read_topic(parts, parts.catalogue.jobs("gpu"))
            }
            assert traced == {"", TRACEPARENT}

            check_letters(cluster)
            cluster.api.save_flow(FLOW.format(id="unknown"))
            number = number_of(dead_letter(cluster, "list"), "there is no flow")
            assert "again" in dead_letter(cluster, "redrive", number)
            follower.await_that(lambda: len(follower.ended) == 5, "the redriven one")
            assert "hello Edsger" in said(follower, "unknown")


def is_end_of_job(event: object) -> bool:
    run = getattr(event, "task_run", None)
    return (
        getattr(event, "namespace", "") == RESERVED_NAMESPACE
        and run is not None
        and run.state is State.SUCCESS
    )


def check_letters(cluster: Cluster) -> None:
    """Garbage as it was, the unknown flow with its reason; and nothing else."""
    parts = cluster.parts()
    letters: list[DeadLetter] = [
        it.content for it in read_topic(parts, parts.catalogue.dead_letter)
    ]
    garbage = [it for it in letters if it.value == GARBAGE]
    assert {it.partition for it in garbage} == set(range(parts.catalogue.shards))
    assert len(letters) == len(garbage) + 1
    listed = dead_letter(cluster, "list")
    assert len(listed.splitlines()) == len(letters) + 1
    shown = dead_letter(cluster, "show", number_of(listed, "there is no flow"))
    assert "acceptance.unknown" in shown
    assert "ExecutionRequested" in shown
    assert "k3" in shown

"""What a FlowTest does with executions that have ended."""

from __future__ import annotations

import pytest

from kestrapy.errors import Conflict, InputRefused
from kestrapy.testing import FlowTest

LOG = "io.kestra.plugin.core.log.Log"
RETURN = "io.kestra.plugin.core.debug.Return"
FLOW = f"""\
id: again
namespace: tests
labels: {{team: data}}
inputs:
  - {{id: who, type: STRING, defaults: you}}
tasks:
  - {{id: first, type: {RETURN}, format: "{{{{ inputs.who }}}}"}}
  - {{id: second, type: {RETURN}, format: "{{{{ outputs.first.value }}}}!"}}
outputs:
  - {{id: end, type: STRING, value: "{{{{ outputs.second.value }}}}"}}
"""


def test_a_restart_goes_on_from_what_failed() -> None:
    with FlowTest(FLOW) as test:
        test.result("second", state="FAILED", times=1)
        execution = test.run({"who": "me"})
        assert test.restart(execution) is execution and execution.state == "RESTARTED"
        test.run_until("SUCCESS")
        assert execution.outputs == {"end": "me!"}
        assert len(execution["first"].attempts) == 1 and len(execution["second"].attempts) == 2
        with pytest.raises(Conflict, match="nothing of execution"):
            test.restart(execution)


def test_a_replay_from_the_beginning_may_have_other_inputs() -> None:
    with FlowTest(FLOW) as test:
        first = test.run({"who": "me"})
        again = test.replay(first)
        test.run_until("SUCCESS", again)
        assert (again.outputs, again.snapshot.original_id) == ({"end": "me!"}, first.id)
        correlation = {"system.correlationId": first.id, "team": "data"}
        assert again.labels == {**correlation, "system.replay": "true"}
        assert first.labels == {**correlation, "system.replayed": "true"}
        other = test.replay(again, inputs={"who": "them"})
        test.run_until("SUCCESS", other)
        assert (other.outputs, other.snapshot.original_id) == ({"end": "them!"}, first.id)
        with pytest.raises(InputRefused):
            test.replay(first, inputs={"whom": "them"})


def test_a_replay_from_a_task_run_copies_what_came_before() -> None:
    with FlowTest(FLOW) as test:
        first = test.run()
        test.result("second", outputs={"value": "other"})
        again = test.replay(first, first["second"])
        assert [str(run.state) for run in again.task_runs] == ["SUCCESS", "RESTARTED"]
        test.run_until("SUCCESS", again)
        assert again["first"].outputs == {"value": "you"}
        assert again.outputs == {"end": "other"}
        with pytest.raises(Conflict, match="from the beginning"):
            test.replay(first, first["second"], inputs={"who": "them"})


def test_a_restart_on_another_revision() -> None:
    with FlowTest(FLOW) as test:
        test.result("second", state="FAILED", times=1)
        first = test.run()
        revision = test.save(FLOW.replace("first.value }}!", "first.value }}?"))
        again = test.restart(first, revision)
        test.run_until("SUCCESS", again)
        assert (again.revision, again.outputs) == (2, {"end": "you?"})
        assert first.state == "FAILED"


def test_a_paused_task_run_is_marked() -> None:
    source = f"""\
id: paused
namespace: tests
tasks:
  - {{id: wait, type: io.kestra.plugin.core.flow.Pause}}
  - {{id: then, type: {LOG}, message: hi}}
"""
    with FlowTest(source) as test:
        for state in ("SUCCESS", "FAILED", "CANCELLED"):
            execution = test.start()
            test.run_until("PAUSED", execution)
            test.mark(execution["wait"], state)
            test.run_until(state, execution)
            assert ("then" in execution) is (state == "SUCCESS")
        execution = test.start()
        test.run_until("PAUSED", execution)
        with pytest.raises(Conflict, match="can't become SKIPPED"):
            test.mark(execution["wait"], "SKIPPED")
        test.restart(execution)
        test.run_until("SUCCESS", execution)


def test_a_status_is_changed() -> None:
    with FlowTest(FLOW) as test:
        test.result("second", state="FAILED")
        execution = test.run()
        test.change_status("SUCCESS", execution)
        assert execution.states == ["CREATED", "RUNNING", "FAILED", "SUCCESS"]
        with pytest.raises(Conflict, match="can't become PAUSED"):
            test.change_status("PAUSED", execution)


LIMITED = f"""\
id: one
namespace: tests
concurrency: {{limit: 1}}
tasks:
  - {{id: pause, type: io.kestra.plugin.core.flow.Pause}}
  - {{id: first, type: {RETURN}, format: x}}
"""


def test_a_restarted_execution_waits_in_line_where_another_has_the_slot() -> None:
    with FlowTest(LIMITED) as test:
        test.result("first", state="FAILED", times=1)
        first = test.start()
        test.run_until("PAUSED", first)
        test.resume(execution=first)
        test.run_until("FAILED", first)
        second = test.start()
        test.run_until("PAUSED", second)
        test.restart(first)
        test.run_until("QUEUED", first)
        test.resume(execution=second)
        test.run_until("SUCCESS", first)
        assert second.state == "SUCCESS"
        assert first.states[-4:] == ["RESTARTED", "QUEUED", "RUNNING", "SUCCESS"]

"""FlowTest: flows on a clock that jumps, with tasks that run and tasks whose result is chosen."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from kestrapy.errors import FlowRefused, InputRefused, NotFound, UserError
from kestrapy.ports.tasks import TaskFailed
from kestrapy.testing import FlowTest, ObservedExecution, StandIn, Stuck

DOCS = Path(__file__).parents[3] / "docs" / "testing-flows.md"
DAY = 24 * 3_600_000


def flow(*tasks: str, head: str = "") -> str:
    listed = "\n".join(f"  - {task}" for task in tasks)
    return f"id: tested\nnamespace: tests\n{head}\ntasks:\n{listed}\n"


def ret(name: str, text: str = "1", more: str = "") -> str:
    return f'{{id: {name}, type: io.kestra.plugin.core.debug.Return, format: "{text}"{more}}}'


def sleep(name: str, duration: str, more: str = "") -> str:
    return f"{{id: {name}, type: io.kestra.plugin.core.flow.Sleep, duration: {duration}{more}}}"


def shell(name: str, command: str, more: str = "") -> str:
    kind = "io.kestra.plugin.scripts.shell.Commands"
    return f"{{id: {name}, type: {kind}, commands: ['{command}']{more}}}"


def test_it_shows_outputs_states_and_logs_of_what_ran() -> None:
    source = flow(
        ret("first", "1"),
        "{id: told, type: io.kestra.plugin.core.log.Log, message: 'got {{ outputs.first.value }}'}",
        head="outputs:\n  - {id: end, type: STRING, value: '{{ outputs.first.value }}'}",
    )
    with FlowTest(source) as test:
        execution = test.run(labels={"team": "a"})

    assert execution.states == ["CREATED", "RUNNING", "SUCCESS"]
    assert [run.task_id for run in execution.task_runs] == ["first", "told"]
    assert execution["first"].outputs == {"value": "1"}
    assert execution.messages("told") == ["got 1"]
    assert execution.outputs == {"end": "1"}
    assert execution.labels["team"] == "a"


def test_a_sleep_of_a_day_ends_a_day_later_by_the_clock() -> None:
    with FlowTest(flow(sleep("nap", "P1D"))) as test:
        execution = test.run()

    assert execution.ended is not None
    assert DAY <= execution.ended - execution.started < DAY + 2_000


def test_what_sleeps_in_parallel_sleeps_at_once() -> None:
    naps = ", ".join(sleep(f"nap{hours}", f"PT{hours}H") for hours in (3, 1, 2))
    source = flow(f"{{id: all, type: io.kestra.plugin.core.flow.Parallel, tasks: [{naps}]}}")
    with FlowTest(source) as test:
        execution = test.run()
        ends = {name: execution[f"nap{name}"].ended or 0 for name in (1, 2, 3)}

    assert ends[1] < ends[2] < ends[3]
    assert (execution.ended or 0) - execution.started < 3 * 3_600_000 + 2_000


def test_a_flowable_task_that_takes_too_long_is_ended_with_all_that_it_started() -> None:
    nap = sleep("nap", "PT1H")
    mend = ret("mend", "{{ taskrun.parentId }}")
    kind = "io.kestra.plugin.core.flow.Sequential"
    long = f"{{id: long, type: {kind}, timeout: PT10M, tasks: [{nap}], errors: [{mend}]}}"
    with FlowTest(flow(long, ret("next"))) as test:
        execution = test.run()

    assert 600_000 <= (execution.ended or 0) - execution.started < 600_000 + 2_000
    assert [(it.task_id, it.state) for it in execution.task_runs] == [
        ("long", "FAILED"),
        ("nap", "KILLED"),
        ("mend", "SUCCESS"),
    ]
    assert execution.messages("long") == ["Timeout: the task ran longer than 600000 ms"]


def test_results_hold_in_their_order_and_then_the_task_runs() -> None:
    source = flow(ret("it", "real", ", retry: {type: constant, interval: PT1H, maxAttempts: 5}"))
    with FlowTest(source) as test:
        test.result("it", state="FAILED", error="away", times=2)
        execution = test.run()

    assert [it.state for it in execution["it"].attempts] == ["FAILED", "FAILED", "SUCCESS"]
    assert execution["it"].outputs == {"value": "real"}
    assert (execution.ended or 0) - execution.started >= 2 * 3_600_000


def test_a_chosen_result_may_take_its_time_and_run_into_the_timeout() -> None:
    with FlowTest(flow(ret("slow", "x", ", timeout: PT1M"))) as test:
        test.result("slow", outputs={"value": "late"}, seconds=30, times=1)
        test.result("slow", seconds=90)
        first, second = test.run(), test.run()

    assert first["slow"].outputs == {"value": "late"}
    assert second.state == "FAILED"
    assert "Timeout" in second["slow"].error
    assert 60_000 <= (second.ended or 0) - second.started < 62_000


LIMITED = """\
id: limited
namespace: tests
inputs:
  - {id: most, type: DURATION, required: false}
tasks:
  - {id: first, type: io.kestra.plugin.core.flow.Sleep, duration: PT1H,
     timeout: "{{ inputs.most }}"}
  - id: dir
    type: io.kestra.plugin.core.flow.WorkingDirectory
    tasks:
      - {id: inside, type: io.kestra.plugin.core.flow.Sleep, duration: PT1H,
         timeout: "{{ inputs.most ?? 'PT10M' }}"}
"""


def test_a_timeout_may_be_an_expression() -> None:
    with FlowTest(LIMITED) as test:
        short, none = test.run(inputs={"most": "PT5M"}), test.run()
    with FlowTest(LIMITED.replace("{{ inputs.most }}", "{{ flow.id }}")) as test:
        bad = test.run()

    assert short["first"].error == "Timeout: the task ran longer than 300000 ms"
    assert (short.ended or 0) - short.started < 302_000
    assert none["first"].state == "SUCCESS"
    assert none["inside"].error == "Timeout: the task ran longer than 600000 ms"
    assert bad["first"].error.startswith("timeout: 'limited' is no duration: expected ISO-8601")


def test_where_no_worker_runs_a_task_its_timeout_is_a_duration() -> None:
    pause = "{id: wait, type: io.kestra.plugin.core.flow.Pause, timeout: '{{ inputs.most }}'}"
    with pytest.raises(FlowRefused, match="no worker renders an expression here"):
        FlowTest(flow(pause))


@pytest.mark.timeout(30)  # a clock that stands still meanwhile would take the 60 s
def test_a_real_process_runs_and_its_timeout_holds() -> None:
    with FlowTest(flow(shell("hi", "echo hi"), shell("long", "sleep 60", ", timeout: PT1S"))) as it:
        execution = it.run()

    assert execution.messages("hi") == ["hi"]
    assert execution["long"].state == "FAILED"
    assert "Timeout" in execution["long"].error


def test_time_passes_as_told_and_no_further() -> None:
    with FlowTest(flow(sleep("nap", "PT1H"), ret("after"))) as test:
        execution = test.start()
        before = test.now
        test.advance(1800)
        assert test.now - before == pytest.approx(1_800_000, abs=1_000)
        assert execution["nap"].state == "RUNNING"
        test.advance(1801)
        assert execution.state == "SUCCESS"


def test_a_pause_holds_back_what_follows_until_it_is_resumed() -> None:
    with FlowTest(flow(sleep("nap", "PT1H"), ret("after"))) as test:
        execution = test.start()
        test.run_until("RUNNING")
        test.pause()
        test.run_until("PAUSED")
        test.advance(7200)
        assert execution["nap"].state == "SUCCESS" and "after" not in execution
        test.resume(execution=execution)
        test.run_until("SUCCESS")
        assert execution["after"].state == "SUCCESS"


def test_a_kill_ends_what_sleeps() -> None:
    with FlowTest(flow(sleep("nap", "P1D"))) as test:
        execution = test.start()
        test.run_until("RUNNING")
        test.advance(60)
        test.kill()
        test.run_until("KILLED")

    assert execution["nap"].state == "KILLED"
    assert (execution.ended or 0) - execution.started < 120_000


def test_two_tests_of_one_flow_go_the_same_way() -> None:
    naps = ", ".join(sleep(f"nap{n}", "PT1M") for n in range(5))
    source = flow(f"{{id: all, type: io.kestra.plugin.core.flow.Parallel, tasks: [{naps}]}}")

    def once() -> list[object]:
        with FlowTest(source) as test:
            return [run.snapshot for run in test.run().task_runs]

    assert once() == once()


def test_a_new_revision_is_what_the_next_execution_runs() -> None:
    with FlowTest(flow(ret("it", "old"))) as test:
        assert test.run()["it"].outputs == {"value": "old"}
        assert test.save(flow(ret("it", "new"))) == 2
        assert test.save(flow(ret("it", "new"))) == 2
        assert test.run()["it"].outputs == {"value": "new"}


def test_a_stand_in_gets_rendered_properties_and_gives_outputs_or_fails() -> None:
    def upload(properties: dict[str, Any]) -> dict[str, Any]:
        if properties["to"] == "nowhere":
            raise TaskFailed("no such place", {"tried": 1})
        return {"key": properties["to"]}

    upload_type = "io.kestra.plugin.aws.s3.Upload"
    source = flow(
        ret("place", "{{ inputs.to }}"),
        f"{{id: it, type: {upload_type}, to: '{{{{ outputs.place.value }}}}'}}",
        ret("after", "{{ outputs.it.key }}"),
        head="inputs:\n  - {id: to, type: STRING}",
    )
    with FlowTest(source, stand_ins=[StandIn(upload_type, upload)]) as test:
        assert test.run({"to": "there"})["after"].outputs == {"value": "there"}
        failed = test.run({"to": "nowhere"})
        assert (failed.state, failed["it"].error) == ("FAILED", "no such place")
        assert failed["it"].outputs == {"tried": 1}
    with pytest.raises(FlowRefused, match="Upload"):
        FlowTest(source)
    ours = "io.kestra.plugin.core.log.Log"
    with pytest.raises(ValueError, match="needs no stand-in"):
        FlowTest(source, stand_ins=[StandIn(ours, upload)])


def test_a_file_is_given_as_a_path(tmp_path: Path) -> None:
    content = tmp_path / "figures.txt"
    content.write_text("1,2")
    source = flow(ret("it", "{{ inputs.file }}"), head="inputs:\n  - {id: file, type: FILE}")
    with FlowTest(source) as test:
        uri = test.run({"file": content})["it"].outputs["value"]
        with test.servers.blobs.open(uri) as stored:
            assert stored.read() == b"1,2"


def test_inputs_that_the_log_does_not_take_are_refused() -> None:
    source = flow(ret("it"), head="inputs:\n  - {id: text, type: STRING}")
    with FlowTest(source) as test, pytest.raises(UserError, match="too large"):
        test.run({"text": "x" * 5_000_000})


SCHEDULED = """
triggers:
  - {id: hourly, type: io.kestra.plugin.core.trigger.Schedule, cron: "0 * * * *"}
"""


def test_schedules_fire_at_their_dates_where_a_test_wants_them_to() -> None:
    source = flow(ret("it", "{{ trigger.date }}")) + SCHEDULED
    with FlowTest(source, triggers=True) as test:
        test.advance(3 * 3600)
        found = [it["it"].outputs["value"] for it in test.executions]
    assert [str(it)[:16] for it in found] == [f"2026-01-01T0{hour}:00" for hour in (1, 2, 3)]
    with FlowTest(source) as test:
        test.advance(3 * 3600)
        assert test.executions == []


def test_each_group_that_a_flow_names_has_a_worker() -> None:
    source = flow(ret("here"), ret("there", "1", ", workerGroup: {key: gpu}"))
    with FlowTest(source) as test:
        execution = test.run()
    assert [run.worker_group for run in execution.task_runs] == ["default", "gpu"]


def test_what_nobody_began_never_ends() -> None:
    with FlowTest(flow(ret("it"))) as test, pytest.raises(Stuck, match="nobody is ended"):
        test.run_until(None, ObservedExecution("nobody"))


def test_what_never_comes_is_said_with_how_far_it_came() -> None:
    with FlowTest(flow(ret("only"))) as test:
        test.run()
        with pytest.raises(Stuck, match=r"KILLED any more(.|\n)*<only SUCCESS>"):
            test.run_until("KILLED")


def test_mistakes_of_a_test_are_named() -> None:
    with pytest.raises(FlowRefused, match="nonsense"):
        FlowTest(flow("{id: it, type: nonsense}"))
    with pytest.raises(UserError, match="with"):
        FlowTest(flow(ret("it"))).run()
    group = f"{{id: all, type: io.kestra.plugin.core.flow.Sequential, tasks: [{ret('it')}]}}"
    with FlowTest(flow(group)) as test:
        with pytest.raises(NotFound, match="'other' is in none of the flows"):
            test.result("other")
        with pytest.raises(NotFound, match="'all' is moved by the executor"):
            test.result("all")
        with pytest.raises(ValueError, match="not KILLED"):
            test.result("it", state="KILLED")
        with pytest.raises(ValueError, match="goes with FAILED"):
            test.result("it", error="no")
        with pytest.raises(InputRefused, match="Unknown input"):
            test.run({"day": "x"})
        with pytest.raises(NotFound, match="no execution was started"):
            test.kill()
        with pytest.raises(NotFound, match="there are tested"):
            test.start(flow_id="other")
        execution = test.start()
        with pytest.raises(LookupError, match="has not begun"):
            _ = execution.state
        test.run_until("SUCCESS")
        with pytest.raises(LookupError, match="tasks reached: all, it"):
            _ = execution["nothing"]


def test_the_example_in_the_documentation_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(DOCS.parents[1])
    (code,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(code, str(DOCS), "exec"), names)
    ran = [it() for name, it in names.items() if name.startswith("test_") and callable(it)]
    assert len(ran) == 1


def test_executions_start_in_the_order_of_their_dates() -> None:
    with FlowTest(flow(ret("a"))) as test:
        late, early = test.start(in_seconds=3600), test.start(in_seconds=60)
        test.advance(1)
        assert (late.state, early.state) == ("CREATED", "CREATED")
        before = test.now
        test.run_until(None, late)
    assert early.ended is not None and early.ended < late.started + 3_600_000
    assert 3_590_000 < test.now - before < 3_610_000

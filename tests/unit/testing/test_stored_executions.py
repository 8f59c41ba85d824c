"""Tasks that ask for stored executions, in a flow test: they see all that happened until then."""

from __future__ import annotations

from kestrapy.testing import FlowTest

COUNTS = """\
id: counts
namespace: company.team
tasks:
  - id: counts
    type: io.kestra.plugin.core.execution.Count
    flows:
      - {namespace: company.team, flowId: other}
      - {namespace: company.team, flowId: counts}
    startDate: "{{ now() | dateAdd(-1, 'DAYS') }}"
    expression: "{{ count > 0 }}"
"""
OTHER = """\
id: other
namespace: company.team
inputs: [{id: fails, type: BOOLEAN}]
tasks:
  - {id: a, type: fail, condition: "{{ inputs.fails }}"}
"""


def test_executions_are_counted_as_of_now() -> None:
    with FlowTest(COUNTS, OTHER) as test:
        test.run({"fails": True}, flow_id="other")
        first = test.run()["counts"].outputs
        test.run({"fails": False}, flow_id="other")
        second = test.run()["counts"].outputs
        test.advance(2 * 24 * 3_600)
        late = test.run()["counts"].outputs
    flow = {"namespace": "company.team"}
    assert first["results"] == [
        flow | {"flowId": "other", "count": 1},
        flow | {"flowId": "counts", "count": 1},
    ]
    assert second["total"] == 4
    assert late["results"] == [flow | {"flowId": "counts", "count": 1}]


PURGE = """\
id: purge
namespace: system
tasks:
  - id: logs
    type: io.kestra.plugin.core.log.PurgeLogs
    namespace: company
    logLevels: [INFO]
    endDate: "{{ now() }}"
  - id: executions
    type: io.kestra.plugin.core.execution.PurgeExecutions
    namespace: company
    endDate: "{{ now() }}"
  - id: counts
    type: io.kestra.plugin.core.execution.Count
    namespaces: [company.team, system]
    startDate: "{{ now() | dateAdd(-1, 'DAYS') }}"
    expression: "{{ true }}"
"""
SAYS = """\
id: says
namespace: company.team
inputs: [{id: waits, type: BOOLEAN}]
tasks:
  - {id: a, type: log, message: [one, two]}
  - {id: b, type: log, message: three, level: WARN}
  - {id: file, type: io.kestra.plugin.core.storage.Write, content: x}
  - {id: c, type: pause, runIf: "{{ inputs.waits }}"}
"""


def test_what_has_ended_is_purged_and_what_waits_stays() -> None:
    with FlowTest(PURGE, SAYS) as test:
        test.run({"waits": False}, flow_id="says")
        waiting = test.start({"waits": True}, flow_id="says")
        test.run_until("PAUSED", waiting)
        test.advance(1)
        purge = test.run()
        test.resume(execution=waiting)
        test.run_until("SUCCESS", waiting)
    assert purge["logs"].outputs == {"count": 4}
    assert purge["executions"].outputs == {
        "executionsCount": 1,
        "logsCount": 1,
        "storagesCount": 1,
        "metricsCount": 0,
    }
    counts = {it["namespace"]: it["count"] for it in purge["counts"].outputs["results"]}
    assert counts == {"company.team": 1, "system": 1}


SCHEDULED = """\
id: hourly
namespace: company.team
tasks: [{id: a, type: log, message: hi}]
triggers: [{id: each, type: io.kestra.plugin.core.trigger.Schedule, cron: "@hourly"}]
"""
TOGGLE = """\
id: toggle
namespace: company.team
inputs: [{id: enabled, type: BOOLEAN}, {id: name, type: STRING, defaults: each}]
tasks:
  - id: toggle
    type: io.kestra.plugin.core.trigger.Toggle
    flowId: hourly
    trigger: "{{ inputs.name }}"
    enabled: "{{ inputs.enabled }}"
"""


def test_a_schedule_is_disabled_and_enabled() -> None:
    with FlowTest(TOGGLE, SCHEDULED, triggers=True) as test:
        test.advance(2 * 3_600)
        ran = len(test.of_flow("hourly"))
        assert ran == 2
        test.run({"enabled": False})
        test.save(SCHEDULED.replace("hi", "ho"))
        test.advance(3 * 3_600)
        assert len(test.of_flow("hourly")) == ran
        test.run({"enabled": True})
        test.advance(2 * 3_600)
        assert len(test.of_flow("hourly")) == ran + 2
        failed = test.run({"enabled": True, "name": "other"})
    assert "company.team.hourly has no trigger 'other'" in failed["toggle"].error

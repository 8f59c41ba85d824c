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

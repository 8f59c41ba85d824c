"""Tests of flows: in memory, on a clock that jumps to whatever is due next. See
``docs/testing-flows.md``.
"""

from kestrapy.testing.errors import Stuck
from kestrapy.testing.flow_test import FlowTest
from kestrapy.testing.observed import ObservedAttempt, ObservedExecution, ObservedTaskRun
from kestrapy.testing.stand_ins import StandIn, StandInTrigger

__all__ = [
    "FlowTest",
    "ObservedAttempt",
    "ObservedExecution",
    "ObservedTaskRun",
    "StandIn",
    "StandInTrigger",
    "Stuck",
]

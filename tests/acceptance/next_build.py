"""kestrapy's next build, for tests: it knows one version of the rules more than this one.

By its new rules every event of an execution itself carries a label. That stands for any change of
what a fold puts out: chains cover it, so two folds that differ in the version diverge at once.

    python -m tests.acceptance.next_build server executor
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from kestrapy.cli import main
from kestrapy.machine import stage
from kestrapy.machine.entities import Execution
from kestrapy.machine.outputs import ExecutionEvent
from kestrapy.machine.turn import Turn

MODULE = "tests.acceptance.next_build"
VERSION = stage.LOGIC_VERSION + 1
LABEL = {"rules": str(VERSION)}

_by_this_build = Turn._execution_event


def _by_the_next_build(self: Turn, execution: Execution) -> ExecutionEvent:
    event = _by_this_build(self, execution)
    if self.version < VERSION or event.execution is None:
        return event
    snapshot = replace(event.execution, labels=event.execution.labels | LABEL)
    return replace(event, execution=snapshot)


def install(put: Callable[[object, str, object], None] = setattr) -> None:
    """Make the running process one of the next build. put: pytest's, to take it back again."""
    put(stage, "LOGIC_VERSION", VERSION)
    put(stage, "KNOWN_LOGIC_VERSIONS", (*stage.KNOWN_LOGIC_VERSIONS, VERSION))
    put(Turn, "_execution_event", _by_the_next_build)


if __name__ == "__main__":
    install()
    main()

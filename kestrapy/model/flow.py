"""A flow as it was validated: frozen, with durations in milliseconds and no behaviour.

Names are Kestra's, in Python's spelling (``allowFailure`` → ``allow_failure``). What a task's type
adds to the core properties is in ``Task.properties``, as it was written: the worker renders it.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from kestrapy.model.inputs import Input as Input
from kestrapy.model.inputs import InputType
from kestrapy.model.state import State
from kestrapy.model.worker_group import WorkerGroupRef as WorkerGroupRef

TENANT = "main"
"""The one tenant that there is."""
RESERVED_NAMESPACE = "kestrapy.jobs"
"""Namespace of the one-task executions that a JobRequested becomes."""
SYSTEM_LABELS = "system."
"""What the keys of labels begin with that only kestrapy sets."""
CORRELATION_ID = "system.correlationId"
"""The label that executions have in common which belong together; whoever asks for one may set
it, and else it is the execution's own id.
"""


class Retry(msgspec.Struct, frozen=True, omit_defaults=True):
    """When a failed task run is tried again.

    type constant: every ``interval`` ms. exponential: ``interval`` × ``delay_factor`` ^ (attempt -
    1), at most ``max_interval``. random: between ``min_interval`` and ``max_interval``, seeded by
    the task run and attempt. max_attempts: attempts in all, 0 for no limit. max_duration: ms since
    the first attempt, 0 for no limit. behavior CREATE_NEW_EXECUTION: the whole execution is tried
    again, as another one; attempts are those of executions then.
    """

    type: Literal["constant", "exponential", "random"]
    interval: int = 0
    max_interval: int = 0
    min_interval: int = 0
    delay_factor: float = 2.0
    max_attempts: int = 0
    max_duration: int = 0
    warning_on_retry: bool = False
    behavior: Literal["RETRY_FAILED_TASK", "CREATE_NEW_EXECUTION"] = "RETRY_FAILED_TASK"


class TaskCache(msgspec.Struct, frozen=True, omit_defaults=True):
    """Outputs are kept for later runs with the same properties. ttl: ms; None: for ever."""

    ttl: int | None = None


class Task(msgspec.Struct, frozen=True, omit_defaults=True):
    """A task of a flow.

    type: the canonical type name (aliases are resolved).
    timeout: ms, None for none; kept by the worker, or by the executor where none runs it.
    timeout_template: an expression in its place, which the worker renders as it starts.
    run_if: an expression; empty: always. Where it gives false the task is skipped.
    tasks, errors, finally_: the children of a flowable task; empty for a runnable one.
    branches: further lists of children by name: then, else, ``cases.X``, defaults, onPause.
    on_resume: of a Pause, what it asks whoever resumes it.
    depends_on: of a Dag task, by child, those that must have ended before it.
    worker_group: where it shall run; None: as the flow, its namespace or the tenant say.
    on_worker_lost: whether it is handed out anew when its worker is lost; empty: RESUBMIT.
    concurrent: of a task that runs children at once, how many; 0 for no limit.
    properties: what the type adds, unrendered JSON values.
    task_cache: None where each run is its own. log_to_file: its log is a file too.
    """

    id: str
    type: str
    description: str = ""
    disabled: bool = False
    timeout: int | None = None
    retry: Retry | None = None
    allow_failure: bool = False
    allow_warning: bool = False
    log_level: str = ""
    worker_group: WorkerGroupRef | None = None
    on_worker_lost: Literal["", "RESUBMIT", "FAIL"] = ""
    tasks: tuple[Task, ...] = ()
    errors: tuple[Task, ...] = ()
    finally_: tuple[Task, ...] = ()
    concurrent: int = 0
    run_if: str = ""
    branches: dict[str, tuple[Task, ...]] = {}
    depends_on: dict[str, tuple[str, ...]] = {}
    on_resume: tuple[Input, ...] = ()
    properties: dict[str, Any] = {}
    task_cache: TaskCache | None = None
    log_to_file: bool = False
    timeout_template: str = ""

    def allowed(self, state: State) -> State:
        """What a run that ends so counts as: its failure or its warning may be allowed."""
        if state is State.FAILED and self.allow_failure:
            return State.SUCCESS if self.allow_warning else State.WARNING
        return State.SUCCESS if state is State.WARNING and self.allow_warning else state


class Output(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """An output of a flow, rendered when the execution ends."""

    id: str
    type: InputType
    value: Any
    description: str = ""
    display_name: str = ""
    required: bool = True


class Sla(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an execution has to keep to, and what becomes of one that does not.

    type MAX_DURATION: ``duration`` ms from its beginning. EXECUTION_ASSERTION: ``condition`` gives
    true whenever something of it has ended. labels: which it gets then, whatever the behavior.
    """

    id: str
    type: Literal["MAX_DURATION", "EXECUTION_ASSERTION"]
    behavior: Literal["FAIL", "CANCEL", "NONE"]
    duration: int = 0
    condition: str = ""
    labels: dict[str, str] = {}


class Check(msgspec.Struct, frozen=True, omit_defaults=True):
    """A condition that is asked before an execution runs, and what is said where it does not
    hold. behavior BLOCK_EXECUTION: there is to be no execution. FAIL_EXECUTION: it fails at once.
    CREATE_EXECUTION: it runs all the same.
    """

    condition: str
    message: str
    style: Literal["ERROR", "SUCCESS", "WARNING", "INFO"] = "INFO"
    behavior: Literal["BLOCK_EXECUTION", "FAIL_EXECUTION", "CREATE_EXECUTION"] = "BLOCK_EXECUTION"


class Concurrency(msgspec.Struct, frozen=True, omit_defaults=True):
    """How many executions of a flow may run at once, and what becomes of one more."""

    limit: int
    behavior: Literal["QUEUE", "CANCEL", "FAIL"] = "QUEUE"


class Condition(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a listener or a trigger asks. name: its key, among those of a MultipleCondition.
    conditions: those that it holds. properties: what the type adds.
    """

    type: str
    name: str = ""
    conditions: tuple[Condition, ...] = ()
    properties: dict[str, Any] = {}


class Listener(msgspec.Struct, frozen=True, omit_defaults=True):
    """Tasks that run once an execution has its last state, if all conditions hold."""

    tasks: tuple[Task, ...]
    conditions: tuple[Condition, ...] = ()


class Trigger(msgspec.Struct, frozen=True, omit_defaults=True):
    """A trigger of a flow.

    conditions: all of them have to hold. labels: of its executions, beside the flow's. stop_after:
    names of states of an execution after which it is disabled. fail_on_trigger_error: an evaluation
    that fails makes a failed execution. worker_group: where it is evaluated, if workers do that.
    properties: what the type adds, such as a Schedule's cron and timezone.
    """

    id: str
    type: str
    description: str = ""
    disabled: bool = False
    allow_concurrent: bool = False
    inputs: dict[str, Any] = {}
    properties: dict[str, Any] = {}
    conditions: tuple[Condition, ...] = ()
    labels: dict[str, str] = {}
    log_level: str = ""
    log_to_file: bool = False
    stop_after: tuple[str, ...] = ()
    fail_on_trigger_error: bool = False
    worker_group: WorkerGroupRef | None = None


class Flow(msgspec.Struct, frozen=True, omit_defaults=True):
    """A flow's revision. revision: 1 and up; 0 before it is saved. source: the YAML as it was
    written. after_execution: tasks that run once the execution has its last state, after those of
    listeners. retry: of tasks that have none, nor are in a task that has one.
    """

    id: str
    namespace: str
    tasks: tuple[Task, ...]
    revision: int = 0
    description: str = ""
    disabled: bool = False
    labels: dict[str, str] = {}
    variables: dict[str, Any] = {}
    inputs: tuple[Input, ...] = ()
    outputs: tuple[Output, ...] = ()
    errors: tuple[Task, ...] = ()
    finally_: tuple[Task, ...] = ()
    after_execution: tuple[Task, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    worker_group: WorkerGroupRef | None = None
    source: str = ""
    listeners: tuple[Listener, ...] = ()
    retry: Retry | None = None
    concurrency: Concurrency | None = None
    sla: tuple[Sla, ...] = ()
    checks: tuple[Check, ...] = ()

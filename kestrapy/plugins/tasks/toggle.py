"""Toggle has a trigger make executions, or none."""

from __future__ import annotations

from kestrapy.machine.admission import trigger_uid
from kestrapy.plugins.properties import Expression, Properties, Text
from kestrapy.ports.tasks import TaskContext, TaskFailed, TaskOutcome


class ToggleProperties(Properties):
    """namespace, flowId: of the flow that has the trigger, the own by default. trigger: its id.
    enabled: whether it makes executions from now on, false by default.
    """

    namespace: Text | None = None
    flow_id: Text | None = None
    trigger: Text
    enabled: bool | Expression = False


class ToggleTask:
    """``io.kestra.plugin.core.trigger.Toggle``. It holds for later revisions of the flow too. Dates
    that come while a schedule is disabled are not made up.
    """

    def run(self, properties: ToggleProperties, context: TaskContext) -> TaskOutcome:
        namespace = properties.namespace or context.namespace
        flow_id = properties.flow_id or context.flow_id
        uid = trigger_uid(namespace, flow_id, properties.trigger)
        if context.queries.trigger(uid) is None:
            raise TaskFailed(
                f"the flow {namespace}.{flow_id} has no trigger {properties.trigger!r}: name one"
                " that it was saved with"
            )
        context.toggle_trigger(uid, disabled=not properties.enabled)
        return TaskOutcome()

"""Every exception of kestrapy, in one tree that says who must act.

::

    KestrapyError
    ├── UserError                 the author of a flow, an input or a request mends it
    │   ├── FlowRefused           a flow that can't be saved: each problem with its place
    │   ├── InputRefused          an execution that can't start: a missing or wrong input
    │   ├── ExpressionError       a template that can't be parsed or rendered
    │   ├── RoutingProblem        a task that no worker group may run, or none that is declared
    │   ├── DeclarationRefused    a worker group or a default that can't be declared so
    │   ├── Conflict              what is asked for does not fit the state of what it is about
    │   └── NotFound              what a request names does not exist
    ├── OperatorError             whoever runs the servers mends it
    │   ├── SettingsRefused       a configuration that can't be used
    │   ├── LogUnavailable        the log did not answer within its deadline
    │   │   └── MemberBroken      a group's member can't go on: it has to be made anew
    │   ├── StorageUnavailable    the internal storage did not answer, or refused
    │   ├── SchemaRegistryFailed  the schema registry did not answer, or refused a schema of ours
    │   ├── ProducerDead          this process has to be started anew; nothing is lost
    │   ├── TopicUnfit            a topic is missing, or has a setting that would lose records
    │   └── UnknownLogicVersion   this build does not know the rules that are in force in a shard
    ├── RecordRefused             whoever produced a record: it goes to the dead-letter topic
    └── InvariantViolated         a bug of kestrapy; please report it
"""

from __future__ import annotations

from dataclasses import dataclass


class KestrapyError(Exception):
    """Root of all errors of kestrapy."""


class UserError(KestrapyError):
    """The author of a flow or of a request has to change it."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a text.

    line, column: 1-based; 0 where the text has no such place.
    path: where in the document, such as ``tasks[0].retry.interval``.
    message: what is wrong, with the value and the remedy.
    """

    message: str
    path: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class FlowRefused(UserError):
    """A flow that can't be saved or run. ``problems`` is never empty."""

    def __init__(self, problems: list[Problem]):
        self.problems = problems
        super().__init__("; ".join(str(problem) for problem in problems))


class InputRefused(UserError):
    """The inputs of an execution don't fit its flow. ``problems`` is never empty."""

    def __init__(self, problems: list[Problem]):
        self.problems = problems
        super().__init__("; ".join(problem.message for problem in problems))


class DeclarationRefused(UserError):
    """A worker group, or a namespace's default, can't be declared so. ``problems`` is never
    empty.
    """

    def __init__(self, problems: list[Problem]):
        self.problems = problems
        super().__init__("; ".join(str(problem) for problem in problems))


class Conflict(UserError):
    """What is asked for does not fit the state of what it is about."""


class ExpressionError(UserError):
    """A template that can't be parsed or rendered; the text names the expression and its line."""


class RoutingProblem(UserError):
    """No worker group may run the task: the text says who named which, and the remedy."""


class NotFound(UserError):
    """Nothing of that name exists."""


class OperatorError(KestrapyError):
    """Whoever runs kestrapy's servers has to act."""


class SettingsRefused(OperatorError):
    """A setting is missing, unknown or out of range; the text names it and what is expected."""


class LogUnavailable(OperatorError):
    """The log did not answer before a deadline; it is tried again, nothing is lost."""


class MemberBroken(LogUnavailable):
    """A member of a consumer group can't go on: close it, and join anew after a while.

    Another member has its instance id, be it only its own former self, whose joining went through
    though the answer was lost; or its partitions were given to it, and where to begin was not.
    """


class StorageUnavailable(OperatorError):
    """The internal storage did not answer, or refused; the text names the file and why."""


class SchemaRegistryFailed(OperatorError):
    """The schema registry did not answer, or refused a schema of ours; the text says which."""


class ProducerDead(OperatorError):
    """A client of the log gave up for good: the process ends, and its parent starts it anew."""


class TopicUnfit(OperatorError):
    """A topic is missing, or has a setting under which records would be lost."""


class UnknownLogicVersion(OperatorError):
    """The log was folded by rules that this build does not have: run a newer build on the shard."""

    def __init__(self, version: int, known: tuple[int, ...]):
        self.version, self.known = version, known
        super().__init__(
            f"logic version {version} is in force, this build knows {', '.join(map(str, known))}:"
            " run a build that knows it"
        )


class RecordRefused(KestrapyError):
    """A record that can't be decoded or folded; it goes to the dead letter with this reason."""


class InvariantViolated(KestrapyError):
    """A rule that always holds does not: a bug of kestrapy. Nothing was written."""

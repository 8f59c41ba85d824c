"""Storage that people query, filled from topics by the indexer. Adapter: ``adapters.sql``.

The contract, held by ``tests/contract/test_store.py`` over every database:

* A batch is written as a whole or not at all: its rows, and the positions that they end at.
* A batch that doesn't begin where its partition's stored position stands changes nothing, so that
  an indexer which lost a partition unknowingly can neither double rows nor set a position back.
* A record that is there already, or is older than what is there, changes nothing.
* What is to be purged stands in the database with the position that passes it, so that nobody
  forgets it, and is deleted a few rows at a time. An execution that was purged stays so: what comes
  of it later is not taken in.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, Protocol, TypeVar

from kestrapy.errors import KestrapyError, OperatorError
from kestrapy.machine.outputs import (
    ExecutionEvent,
    ExecutionPurge,
    ExecutionSnapshot,
    FlowRevision,
    LogEntry,
    LogPurge,
    MetricEntry,
    TaskRunSnapshot,
    TriggerEvent,
)
from kestrapy.ports.log import Partition

Purge = LogPurge | ExecutionPurge
Row = ExecutionEvent | LogEntry | MetricEntry | FlowRevision | TriggerEvent | Purge


class StoreUnavailable(OperatorError):
    """The database did not answer; it is tried again, nothing is lost."""


class RowsRefused(KestrapyError):
    """The database answered, and won't take these rows; it is no use to try again."""


class PositionMoved(KestrapyError):
    """Another indexer has written since: read the positions anew."""


@dataclass(frozen=True)
class Advance:
    """A partition's stored position: where it stands (None: nowhere yet), and where it goes."""

    partition: Partition
    stands: int | None
    goes: int


class IndexWriter(Protocol):
    """What the indexer writes. Used by one thread."""

    def positions(self, partitions: Collection[Partition]) -> dict[Partition, int]:
        """The offsets to be read next, of those that were ever written. Raises StoreUnavailable."""

    def write(self, rows: Sequence[Row], advances: Sequence[Advance]) -> int:
        """Rows and positions, in one transaction.

        -> how many executions *diverged*: an event came again under its number with another chain.
        Raises StoreUnavailable, PositionMoved, RowsRefused; nothing was written then.
        """

    def purge(self, most: int, now: int) -> bool:
        """Delete about so many rows, at most, of what is to be purged. now: epoch ms.

        -> whether there may be more to delete. Raises StoreUnavailable.
        """

    def close(self) -> None: ...


@dataclass(frozen=True)
class StoredExecution:
    """An execution as of its event ``number``. task_runs: by ordinal; those that a restart has
    taken out are left out. count: ordinals that were given so far, theirs included.
    """

    execution_id: str
    namespace: str
    flow_id: str
    flow_revision: int
    number: int
    snapshot: ExecutionSnapshot
    task_runs: tuple[TaskRunSnapshot, ...] = ()
    count: int = 0


@dataclass(frozen=True)
class Order:
    """Sorted by a field that the search knows: see ``adapters.sql.queries``."""

    field: str
    descending: bool = False


@dataclass(frozen=True)
class ExecutionSearch:
    """namespace: itself and those below it. states: any of them. labels: all of them.

    start, end: epoch ms; executions that started from start up to, not including, end.
    size, page: page is 1-based.
    """

    namespace: str = ""
    flow_id: str = ""
    states: Sequence[str] = ()
    labels: Sequence[tuple[str, str]] = ()
    start: int | None = None
    end: int | None = None
    order: Order = Order("startDate", descending=True)
    size: int = 10
    page: int = 1


@dataclass(frozen=True)
class CountSearch:
    """Executions of these flows (namespace and id), and of all flows of these namespaces, without
    those below them. states: any of them, or all. start, end: epoch ms; those that started at start
    or later, and have ended at end or before.
    """

    flows: Sequence[tuple[str, str]] = ()
    namespaces: Sequence[str] = ()
    states: Sequence[str] = ()
    start: int | None = None
    end: int | None = None


class FlowCount(NamedTuple):
    """How many executions of a flow there are."""

    namespace: str
    flow_id: str
    executions: int


@dataclass(frozen=True)
class EndedSearch:
    """Executions that have ended. namespace: itself and those below it; with a flow id only itself.
    states: any of them, or all. start, end: epoch ms; that started at start or later, and ended
    before end.
    """

    end: int
    start: int | None = None
    namespace: str = ""
    flow_id: str = ""
    states: Sequence[str] = ()


class Amounts(NamedTuple):
    """What there is of some executions."""

    lines: int
    metrics: int


@dataclass(frozen=True)
class LogSearch:
    """Lines, oldest first. levels: any of them, or all. text: a part of the line. Epoch ms."""

    execution_id: str = ""
    task_run_id: str = ""
    task_id: str = ""
    namespace: str = ""
    flow_id: str = ""
    levels: Collection[str] = ()
    text: str = ""
    start: int | None = None
    end: int | None = None
    size: int = 10
    page: int = 1


@dataclass(frozen=True)
class TriggerSearch:
    """Triggers that were not deleted, by namespace, flow and id. text: a part of the uid."""

    namespace: str = ""
    flow_id: str = ""
    text: str = ""
    size: int = 10
    page: int = 1


T = TypeVar("T")


@dataclass(frozen=True)
class Page(Generic[T]):
    """A page of what a search found. total: of all pages."""

    results: list[T] = field(default_factory=list)
    total: int = 0


class Queries(Protocol):
    """What the webserver asks, and tasks. Thread-safe. Each raises StoreUnavailable."""

    def execution(self, execution_id: str, number: int | None = None) -> StoredExecution | None:
        """With its task runs; as it was after the event ``number``, or as it is."""

    def newest_number(self, execution_id: str) -> int | None:
        """Number of the execution's newest event: what changes when anything of it changes."""

    def events(self, execution_id: str, above: int, size: int) -> list[ExecutionEvent]:
        """The first ``size`` events whose number is above ``above``."""

    def executions(self, search: ExecutionSearch) -> Page[StoredExecution]:
        """Raises ValueError for an order by a field that can't be sorted by."""

    def heads(self, search: ExecutionSearch, above: str, size: int) -> list[StoredExecution]:
        """Executions without their task runs, by id: the first ``size`` above this id. Pages and
        order of the search don't count.
        """

    def heads_of(self, ids: Sequence[str]) -> list[StoredExecution]:
        """Those of these ids that there are, without their task runs."""

    def counts(self, search: CountSearch) -> list[FlowCount]:
        """By namespace and flow; flows without such executions are left out."""

    def ended(self, search: EndedSearch, above: str, size: int) -> list[StoredExecution]:
        """By id, without their task runs: the first ``size`` above this id."""

    def amounts(self, ids: Sequence[str]) -> Amounts: ...

    def lines_to_purge(self, purge: LogPurge) -> int:
        """How many lines of all shards a purge would delete now."""

    def logs(self, search: LogSearch) -> Page[LogEntry]: ...

    def log_lines(self, search: LogSearch) -> Iterable[LogEntry]:
        """All lines, whatever their number, read as they are taken; size and page don't count."""

    def metrics(self, execution_id: str, size: int, page: int) -> Page[MetricEntry]: ...

    def triggers(self, search: TriggerSearch) -> Page[TriggerEvent]: ...

    def trigger(self, uid: str) -> TriggerEvent | None:
        """None where it was never there, or was deleted."""

    def ping(self) -> None:
        """Returns when the database answers."""

    def close(self) -> None: ...

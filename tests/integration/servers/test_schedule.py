"""A schedule makes one execution for each of its dates, whoever schedules it how often."""

from __future__ import annotations

import json
from collections import Counter

import msgspec
import pytest

from kestrapy.machine.commands import ExecutionSubmitted, TriggerDefinition
from kestrapy.model.ids import time_of
from kestrapy.model.instants import iso_date
from kestrapy.model.state import State
from tests.small_cluster import START, Runner, SmallCluster

MINUTE = 60_000
SECOND = 1_000
EACH_MINUTE = TriggerDefinition(
    "each-minute", "io.kestra.plugin.core.trigger.Schedule", properties='{"cron": "* * * * *"}'
)
CONCURRENT = msgspec.structs.replace(EACH_MINUTE, allow_concurrent=True)
DATES = [START + minute * MINUTE for minute in range(1, 6)]


def cluster_of(*schedulers: str, trigger: TriggerDefinition = EACH_MINUTE) -> SmallCluster:
    """With an executor, a worker, and schedulers that own all shards each, at the same time."""
    made = SmallCluster()
    made.executor()
    made.worker(Runner())
    for group in schedulers:
        made.scheduler(group)
    made.save(triggers=[trigger])
    return made


def pass_time(cluster: SmallCluster, until: int) -> None:
    """Second by second. until: epoch ms."""
    while cluster.clock.wall() < until:
        cluster.tick(step=SECOND)


def await_executions(cluster: SmallCluster, count: int) -> dict[str, State]:
    cluster.until(lambda: len(cluster.ends()) >= count)
    cluster.tick(50)
    return dict(cluster.ends())


def dates_of(cluster: SmallCluster) -> Counter[int]:
    """Of the executions that came to be, by what their trigger tells them."""
    variables = {
        it.execution_id: json.loads(it.execution.trigger)["variables"]
        for it in cluster.events()
        if it.execution is not None and it.execution.trigger is not None
    }
    assert all(it["date"] == iso_date(time_of(key)) for key, it in variables.items())
    return Counter(time_of(it) for it in variables)


def test_a_date_makes_one_execution() -> None:
    cluster = cluster_of("a")
    pass_time(cluster, DATES[-1])
    ends = await_executions(cluster, len(DATES))
    assert set(ends.values()) == {State.SUCCESS}
    assert dates_of(cluster) == Counter(DATES)


def test_the_ids_are_derived() -> None:
    """Of the trigger and the date: another installation gives the same ones."""
    first, second = cluster_of("a"), cluster_of("b")
    second.tick(37, step=7)
    for cluster in (first, second):
        pass_time(cluster, DATES[-1])
    assert await_executions(first, len(DATES)) == await_executions(second, len(DATES))


def test_two_schedulers_of_one_log_make_one_execution() -> None:
    cluster = cluster_of("a", "b")
    pass_time(cluster, DATES[-1])
    ends = await_executions(cluster, len(DATES))
    requests = cluster.parts.catalogue.requests
    asked = Counter(
        it.execution_id for it in cluster.records(requests) if isinstance(it, ExecutionSubmitted)
    )
    assert set(asked.values()) == {2}, "both have to have asked, or this proves nothing"
    assert asked.keys() == ends.keys()
    assert dates_of(cluster) == Counter(DATES)


@pytest.mark.parametrize("alive", [0, 30, 61, 125])
def test_a_killed_scheduler_is_replaced_and_no_date_is_missed(alive: int) -> None:
    """alive: seconds after which it is killed; the next one comes when all dates are past.

    Where executions may not run at the same time, some of those dates are left out instead.
    """
    cluster = cluster_of(trigger=CONCURRENT)
    first = cluster.scheduler("a")
    pass_time(cluster, START + alive * SECOND)
    cluster.remove(first)
    pass_time(cluster, DATES[-1])
    cluster.scheduler("b")
    await_executions(cluster, len(DATES))
    made = dates_of(cluster)
    assert {date: made[date] for date in DATES} == dict.fromkeys(DATES, 1)

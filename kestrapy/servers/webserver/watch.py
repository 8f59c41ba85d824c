"""Waiting for what the indexer writes, without holding a thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from starlette.concurrency import run_in_threadpool

from kestrapy.ports.store import Queries, StoredExecution

_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.25

Gone = Callable[[], Awaitable[bool]]
"""Whether the client has left."""


async def follow(
    queries: Queries, execution_id: str, gone: Gone
) -> AsyncGenerator[StoredExecution | None, None]:
    """The execution as it is stored, each time that something of it is new; None in between.

    Ends after its terminal state, or when the client has left. Raises StoreUnavailable.
    """
    seen: int | None = None
    pause = _FIRST_PAUSE
    while not await gone():
        newest = await run_in_threadpool(queries.newest_number, execution_id)
        if newest != seen:
            seen, pause = newest, _FIRST_PAUSE
            found = await run_in_threadpool(queries.execution, execution_id)
            if found is not None:
                yield found
                if found.snapshot.state.is_terminal:
                    return
        yield None
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


async def wait_until(
    queries: Queries,
    execution_id: str,
    holds: Callable[[StoredExecution], bool],
    timeout: float,
    gone: Gone,
) -> StoredExecution | None:
    """-> the execution once it holds, or as it is after timeout seconds, which may be None."""
    found: StoredExecution | None = None
    try:
        async with (
            asyncio.timeout(timeout),
            aclosing(follow(queries, execution_id, gone)) as news,
        ):
            async for new in news:
                found = new or found
                if new is not None and holds(new):
                    break
    except TimeoutError:
        pass
    return found


async def wait_for_news(
    queries: Queries, execution_id: str, above: int, timeout: float, gone: Gone
) -> StoredExecution | None:
    """-> the execution once it has an event of a higher number, one that had ended too; None where
    that does not come within timeout seconds.
    """
    pause = _FIRST_PAUSE
    try:
        async with asyncio.timeout(timeout):
            while not await gone():
                newest = await run_in_threadpool(queries.newest_number, execution_id)
                if newest is not None and newest > above:
                    return await run_in_threadpool(queries.execution, execution_id)
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, _LONGEST_PAUSE)
    except TimeoutError:
        pass
    return None

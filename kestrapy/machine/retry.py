"""When a failed task run is tried again."""

from __future__ import annotations

from kestrapy.model.flow import Retry
from kestrapy.model.ids import digest


def retry_delay(retry: Retry, failures: int, elapsed: int, seed: str) -> int | None:
    """ms until the next attempt, None when there is none.

    failures: attempts that failed so far, 1 and up. elapsed: ms since the first attempt began.
    seed: of a random delay, so that every fold of the log draws the same one.
    """
    if retry.max_attempts and failures >= retry.max_attempts:
        return None
    delay = _delay(retry, failures, seed)
    if retry.max_duration and elapsed + delay > retry.max_duration:
        return None
    return delay


def _delay(retry: Retry, failures: int, seed: str) -> int:
    if retry.type == "constant":
        return retry.interval
    if retry.type == "random":
        span = retry.max_interval - retry.min_interval
        return retry.min_interval + digest(seed, failures, bits=64) % (span + 1)
    grown = retry.interval
    for _ in range(failures - 1):
        longer = grown * retry.delay_factor  # may be infinite
        if longer >= retry.max_interval:
            return retry.max_interval
        grown = int(longer)
    return min(grown, retry.max_interval)

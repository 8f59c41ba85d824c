"""``python -m tests.conformance``: play the corpus and print the summary.

``--list`` writes the rows that fail into ``docs/known-differences.md``. ``--trace KEY…`` prints a
hash of all that the executions of these rows put out. Words: only rows whose key has one of them.
"""

from __future__ import annotations

import argparse
import logging
import sys

from tests.conformance.corpus import ABSENT, rows
from tests.conformance.differences import by_hand, rewrite
from tests.conformance.suite import failure, summary
from tests.conformance.trace import trace_of


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("words", nargs="*", help="parts of rows' keys; none: all rows")
    parser.add_argument("--list", action="store_true", help="rewrite the list of what is missing")
    parser.add_argument("--trace", action="store_true", help="print hashes instead")
    parser.add_argument("--quiet", action="store_true", help="the summary only")
    options = parser.parse_args()
    if not (everything := rows()):
        sys.exit(ABSENT)
    logging.disable(logging.CRITICAL)
    chosen = [
        row for row in everything if not options.words or any(it in row.key for it in options.words)
    ]
    if options.trace:
        for row in chosen:
            print(row.key, trace_of(row))
        return 0
    failures = {row: failure(row) for row in chosen}
    failed = {row: why for row, why in failures.items() if why is not None}
    if not options.quiet:
        for row, why in failed.items():
            print(f"{row.key}\n    {why}")
    print(summary(failures))
    if options.list and not options.words:
        known = by_hand()
        rewrite({row: why for row, why in failed.items() if row.key not in known})
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""All that the executions of a row put out, as a hash: the same in each process."""

from __future__ import annotations

import hashlib
from unittest.mock import patch

from kestrapy.testing import servers
from tests.conformance.corpus import Row
from tests.conformance.suite import failure


def trace_of(row: Row) -> str:
    """Of all records of all topics, in the order of the log, and of what became of the row."""
    digest = hashlib.sha256()
    said = servers.FlowTestServers.round

    def heard(self: servers.FlowTestServers, milliseconds: int) -> list[object]:
        records = said(self, milliseconds)
        for record in records:
            digest.update(repr(record).encode())
        return records

    with patch.object(servers.FlowTestServers, "round", heard):
        digest.update(str(failure(row)).encode())
    return digest.hexdigest()

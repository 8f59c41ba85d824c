"""Where in internal storage things are kept: folders, as ``kestra:///`` URIs without a last slash.

A namespace's own folders begin with an underscore, which no flow's id does.
"""

from __future__ import annotations

from kestrapy.ports.blobs import SCHEME


def execution_folder(namespace: str, flow_id: str, execution_id: str) -> str:
    """Of an execution: its inputs, and what its tasks put out."""
    return f"{_folder(namespace)}/{flow_id}/executions/{execution_id}"


def namespace_files(namespace: str) -> str:
    """Of a namespace's files."""
    return f"{_folder(namespace)}/_files"


def namespace_pairs(namespace: str) -> str:
    """Of a namespace's key-value pairs."""
    return f"{_folder(namespace)}/_kv"


def namespace_states(namespace: str) -> str:
    """Of what the tasks ``state.*`` keep."""
    return f"{_folder(namespace)}/_states"


def _folder(namespace: str) -> str:
    return f"{SCHEME}/{namespace.replace('.', '/')}"

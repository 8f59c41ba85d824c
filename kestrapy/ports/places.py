"""Where in internal storage things are kept: folders, as ``kestra:///`` URIs without a last slash.

What belongs to a namespace is apart from all executions: no namespace begins with an underscore.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from hashlib import blake2b
from urllib.parse import quote

from kestrapy.errors import UserError
from kestrapy.model.flow import Flow
from kestrapy.model.inputs import Input
from kestrapy.ports.blobs import SCHEME

FILES = f"{SCHEME}/_files"
PAIRS = f"{SCHEME}/_kv"
STATES = f"{SCHEME}/_states"
CACHES = f"{SCHEME}/_caches"

_UNSAFE = re.compile(r"[^\w.-]+")
_NAMESPACE = re.compile(r"[a-z0-9][a-z0-9._-]{0,149}")


def execution_folder(namespace: str, flow_id: str, execution_id: str) -> str:
    """Of an execution: its inputs, and what its tasks put out."""
    return f"{SCHEME}/{namespace.replace('.', '/')}/{flow_id}/executions/{execution_id}"


def input_uri(flow: Flow, execution_id: str, declared: Input, filename: str) -> str:
    """Of the file that an execution is given under a name.

    The name keeps letters, digits, dots and dashes; without an extension it gets the input's.
    """
    # A name that is only dots would be another folder.
    name = _UNSAFE.sub("_", filename).lstrip(".") or "file"
    if "." not in name:
        name += declared.extension
    folder = execution_folder(flow.namespace, flow.id, execution_id)
    return f"{folder}/inputs/{declared.id}/{quote(name)}"


def namespace_files(namespace: str) -> str:
    """Of a namespace's files. Raises UserError for what is no namespace, as those below do."""
    return f"{FILES}/{_checked(namespace)}"


def namespace_pairs(namespace: str) -> str:
    """Of a namespace's key-value pairs."""
    return f"{PAIRS}/{_checked(namespace)}"


def namespace_states(namespace: str) -> str:
    """Of what the tasks ``state.*`` keep for a namespace and its flows."""
    return f"{STATES}/{_checked(namespace)}"


def namespace_caches(namespace: str) -> str:
    """Of what its flows' tasks keep for later executions."""
    return f"{CACHES}/{_checked(namespace)}"


def cache_folder(namespace: str, flow_id: str, task_id: str, values: Sequence[str]) -> str:
    """Of what a task keeps for later executions. values: of the loops around it."""
    folder = f"{CACHES}/{namespace}/{flow_id}/{quote(task_id, safe='')}"
    if not values:
        return folder
    return f"{folder}/{blake2b(json.dumps(list(values)).encode(), digest_size=12).hexdigest()}"


def _checked(namespace: str) -> str:
    if not _NAMESPACE.fullmatch(namespace):
        raise UserError(f"{namespace[:80]!r} is no namespace, such as company.team")
    return namespace

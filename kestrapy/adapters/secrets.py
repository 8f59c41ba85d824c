"""The port ``Secrets`` over a worker's own environment, as Kestra's open-source edition has it."""

from __future__ import annotations

import binascii
import os
from base64 import b64decode
from collections.abc import Mapping

from kestrapy.errors import UserError


class EnvironmentSecrets:
    """``SECRET_MY_KEY``, in Base64, is the secret ``MY_KEY`` of all namespaces; its case does not
    matter. prefix: of the variables' names. environment: the process' own by default.
    """

    def __init__(self, prefix: str = "SECRET_", environment: Mapping[str, str] | None = None):
        self._prefix = prefix
        self._environment = os.environ if environment is None else environment

    def find(self, key: str, namespace: str) -> str | None:
        name = f"{self._prefix}{key.upper()}"
        encoded = self._environment.get(name)
        if encoded is None:
            return None
        try:
            return b64decode("".join(encoded.split()), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise UserError(
                f"the worker's environment variable {name} is no text in Base64: encode the secret"
            ) from None

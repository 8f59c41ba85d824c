"""A schema registry with Confluent's API (Confluent, Apicurio, Redpanda, Karapace).

Subjects follow RecordNameStrategy: ``io.kestrapy.Result``. A topic here carries several records,
because their order matters, and a record stands on several topics; under a subject per topic, the
registry would compare records that have nothing to do with each other.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, NoReturn

from kestrapy.errors import RecordRefused, SchemaRegistryFailed, SettingsRefused
from kestrapy.wire.schemas import NAMESPACE, Schema, parse

if TYPE_CHECKING:
    from confluent_kafka.schema_registry import SchemaRegistryClient

_NOT_FOUND = 404
_EXTRA = "pip install 'kestrapy-server[registry]'"


class SchemaRegistry:
    """A registry at a URL; ``https://user:password@host`` is a login by HTTP's basic scheme.

    timeout: seconds for one request, which is tried three times. Nothing is asked until a method is
    called. Raises SettingsRefused where the URL or the optional extra is missing.
    """

    def __init__(self, url: str, timeout: float = 5.0):
        self._place, self._client = _connect(url, timeout)

    def register(self, schema: Schema) -> int:
        """Register as the newest version of its subject, unless it is there. -> its id.

        Raises SchemaRegistryFailed: no answer, or not compatible with the versions before.
        """
        from confluent_kafka.schema_registry import Schema as Registered

        subject = f"{NAMESPACE}.{schema.name}"
        try:
            return self._client.register_schema(subject, Registered(_sent(schema.text), "AVRO"))
        except Exception as cause:
            self._fail(f"did not register {subject}", cause)

    def schema(self, schema_id: int) -> Schema:
        """The schema of an id; it never changes, so keep it.

        Raises RecordRefused for one that is unknown or no Avro record by itself,
        SchemaRegistryFailed.
        """
        from confluent_kafka.schema_registry import SchemaRegistryError

        try:
            found = self._client.get_schema(schema_id)
        except SchemaRegistryError as cause:
            if cause.http_status_code == _NOT_FOUND:
                raise RecordRefused(f"{self._place} knows no schema {schema_id}") from cause
            self._fail(f"did not give schema {schema_id}", cause)
        except Exception as cause:
            self._fail(f"did not give schema {schema_id}", cause)
        if found.schema_type not in (None, "AVRO") or found.references or not found.schema_str:
            raise RecordRefused(f"schema {schema_id} is not Avro in one piece: write it so")
        try:
            return parse(found.schema_str)
        except Exception as cause:
            raise RecordRefused(f"schema {schema_id} can't be parsed: {cause}") from cause

    def _fail(self, what: str, cause: Exception) -> NoReturn:
        raise SchemaRegistryFailed(
            f"{self._place} {what}: {cause or type(cause).__name__}"
        ) from cause


def _sent(text: str) -> str:
    """The same schema in other characters: Apicurio 3.3 refuses a default that reads ``"{}"``."""
    return text.replace('"{}"', r'"\u007b}"')


def _connect(url: str, timeout: float) -> tuple[str, SchemaRegistryClient]:
    # Here and not at the top: its libraries are an extra, and cost a quarter of a second.
    try:
        # authlib warns its users' users of what httpx will become: nothing that one can act on.
        with warnings.catch_warnings(record=True):
            from confluent_kafka.schema_registry import SchemaRegistryClient
    except ImportError as cause:
        raise SettingsRefused(f"a schema registry needs the extra: {_EXTRA} ({cause})") from cause
    scheme, _, rest = url.partition("://")
    login, _, host = rest.rpartition("@")
    if not host or scheme not in ("http", "https"):
        raise SettingsRefused("kafka.schemaRegistryUrl: expected http:// or https:// and a host")
    place = f"{scheme}://{host}"
    settings: dict[str, object] = {"url": place, "timeout": timeout, "max.retries": 2}
    if login:
        settings["basic.auth.user.info"] = login
    return f"the schema registry {place}", SchemaRegistryClient(settings)

"""Settings: what one may set, with unit, default and limits. ``load_settings`` reads them.

A YAML file has the keys in camelCase; the environment wins over it: ``KESTRAPY_WEBSERVER__PORT`` is
``webserver.port``. Durations are ISO 8601 (``PT25S``) or a number of milliseconds, and whole
milliseconds inside. What is secret is a ``SecretStr``, which prints as stars.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from kestrapy.config_sources import LEVEL, PREFIX, FileSource, VariablesSource, refusal

DEFAULT_GROUP = "default"
GROUP_KEY = r"[a-zA-Z0-9_-]{1,100}"
TOPIC_PREFIX = r"([a-zA-Z0-9_-][a-zA-Z0-9._-]{0,99})?"
"""Patterns of what becomes part of a topic's name."""

KEY_BYTES = 32
"""Of AES with 256 bits."""
BROKER_FAILOVER_MS = 9_000
"""How long a broker's death goes unnoticed: a heartbeat may take so long, and the worker live."""

_TIMEDELTA = TypeAdapter(timedelta)
_SOURCES = "_sources"
"""The argument by which ``load_settings`` hands over its sources; no setting has that name."""


def _milliseconds(value: object) -> object:
    if isinstance(value, str) and value.upper().lstrip("+-").startswith("P"):
        return _TIMEDELTA.validate_python(value) // timedelta(milliseconds=1)
    return value


Milliseconds = Annotated[int, BeforeValidator(_milliseconds), Field(gt=0)]
Port = Annotated[int, Field(ge=0, le=65_535)]
Weight = Annotated[int, Field(ge=1, le=1_000)]


class Section(BaseModel):
    """A part of the settings; unknown keys are refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        validate_default=True,
    )


class Kafka(Section):
    """The log, where servers meet."""

    bootstrap_servers: str = Field(
        "localhost:9092", min_length=1, description="Brokers to begin with, `host:port,host:port`."
    )
    topic_prefix: str = Field(
        "kestrapy.", pattern=f"^{TOPIC_PREFIX}$", description="What all topics' names begin with."
    )
    replication_factor: int = Field(
        -1,
        ge=-1,
        le=32_767,
        description="Replicas of topics that are made; -1: three on three brokers or more, else the"
        " brokers' own.",
    )
    schema_registry_url: SecretStr | None = Field(
        None, description="Schema registry with Confluent's API; may have `user:password@`."
    )
    librdkafka: dict[str, SecretStr] = Field(
        {}, description="Settings of librdkafka for all clients, such as `security.protocol`."
    )


def _fallback(value: object) -> object:
    """What people write, ``FAIL`` or ``{group: other}``, as a declaration has it."""
    match value:
        case "WAIT" | "FAIL" | "CANCEL":
            return {"behavior": value}
        case {"group": str(key), **rest} if rest in ({}, {"behavior": "GROUP"}):
            if re.fullmatch(GROUP_KEY, key):
                return {"behavior": "GROUP", "group": key}
        case {"behavior": "WAIT" | "FAIL" | "CANCEL", **rest} if not rest:
            return value
    raise ValueError("expected WAIT, FAIL, CANCEL or {group: KEY}, KEY that of another group")


class WorkerGroup(Section):
    """A named pool of workers, as it is declared."""

    key: str = Field(pattern=f"^{GROUP_KEY}$", description="Its key, part of its topic's name.")
    description: str = Field("", description="What it is for.")
    tags: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (), description="What `workerSelector` may find it by."
    )
    min_workers: int = Field(0, ge=0, description="How many live workers are expected.")
    dispatch: Literal["consumer", "share"] = Field(
        "consumer",
        description="How jobs reach workers: by a consumer group, or by a share group (Kafka 4.2"
        " or later; its topic has one partition).",
    )
    lanes: dict[Annotated[str, Field(pattern=f"^{GROUP_KEY}$")], Weight] = Field(
        {}, description="Weights of lanes beside `default`, whose own is 1 unless it is given."
    )
    weights: dict[str, Weight] = Field(
        {}, description="Weights of namespaces and of those below them; 1 for others."
    )
    fallback: Annotated[Any, BeforeValidator(_fallback)] = Field(
        "WAIT",
        description="Of jobs while no worker lives: `WAIT`, `FAIL`, `CANCEL` or `{group: KEY}`.",
    )
    fallback_after: Annotated[int, BeforeValidator(_milliseconds), Field(ge=0)] = Field(
        60_000, description="Without a live worker until the fallback; a duration."
    )
    namespaces: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (), description="Those that may use it, with those below them; empty: all."
    )
    max_resubmissions: int = Field(
        5, ge=0, description="How often a job whose worker was lost is handed out anew."
    )

    @model_validator(mode="after")
    def _another_falls_back(self) -> Self:
        if self.fallback.get("group") == self.key:
            raise ValueError(f"fallback: {self.key!r} can't stand in for itself")
        return self


class Executor(Section):
    """What executors, and schedulers alike, do with the log."""

    commit: Literal["log", "per-batch"] = Field(
        "log",
        description="`log`: outputs at once, checkpoints behind; `per-batch`: one transaction.",
    )
    checkpoint_interval: Milliseconds = Field(
        500, le=5_000, description="Between two checkpoints of a shard."
    )


class Worker(Section):
    """What workers do, and when one counts as lost. The times must be the same on all servers."""

    worker_group: str = Field(
        DEFAULT_GROUP, pattern=f"^{GROUP_KEY}$", description="Key of the group that it serves."
    )
    tags: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (), description="Shown with it, beside its group's own."
    )
    threads: int = Field(8, ge=1, le=1_000, description="Task runs at once.")
    termination_grace_period: Milliseconds = Field(
        300_000, description="For running tasks to end by themselves when the worker is stopped."
    )
    heartbeat_interval: Milliseconds = Field(1_000, description="Between two heartbeats.")
    lease: Milliseconds = Field(
        25_000, description="From an acknowledged heartbeat until the worker ends its tasks."
    )
    end_tasks: Milliseconds = Field(
        2_000, description="What ending all tasks may take when the lease is over."
    )
    lost_after: Milliseconds = Field(
        30_000, description="Without a heartbeat until its jobs are given to others."
    )

    @model_validator(mode="after")
    def _no_two_owners(self) -> Self:
        """Two clocks may differ by one in a hundred, each."""
        if self.lease * 101 + self.end_tasks * 100 >= self.lost_after * 99:
            raise ValueError(
                f"lease {self.lease} ms × 1.01 + endTasks {self.end_tasks} ms has to be less than"
                f" lostAfter {self.lost_after} ms × 0.99, or two workers would run one job:"
                " raise lostAfter"
            )
        if self.lease <= BROKER_FAILOVER_MS:
            raise ValueError(
                f"lease {self.lease} ms has to be more than a broker's failover,"
                f" {BROKER_FAILOVER_MS} ms, or each one would end all tasks: raise lease"
            )
        if self.heartbeat_interval * 3 > self.lease:
            raise ValueError(
                f"heartbeatInterval {self.heartbeat_interval} ms has to fit three times into"
                f" lease {self.lease} ms: lower heartbeatInterval"
            )
        return self


class Indexer(Section):
    """Relays events, logs and metrics to the store."""

    batch_size: int = Field(
        500, ge=1, le=10_000, description="Records in one transaction of the store, at most."
    )


class Store(Section):
    """The database that people query."""

    url: SecretStr | None = Field(
        None,
        description="`sqlite:////path/file.db` or `postgresql+psycopg://user:password@host/name`;"
        " unset: `kestrapy.db` in `dataDir`. Workers need it for tasks that count, purge or"
        " toggle.",
    )


class LocalStorage(Section):
    """Files of executions, in a folder."""

    base_path: Path | None = Field(None, description="The folder; unset: `storage` in `dataDir`.")


class S3Storage(Section):
    """Files of executions, in a bucket; credentials as AWS's clients look for them."""

    bucket: str = Field("", description="The bucket, which has to exist.")
    prefix: str = Field("", description="What all keys begin with: a folder's name, or nothing.")
    endpoint: str | None = Field(
        None, pattern="^https?://[^@]+$", description="URL of what is not AWS, such as MinIO."
    )
    region: str | None = Field(None, min_length=1, description="The bucket's region.")


class Storage(Section):
    """Where files of executions, namespaces' files and pairs are kept."""

    type: Literal["local", "s3"] = Field(
        "local", description="`local`: in a folder that servers share; `s3`: in a bucket."
    )
    local: LocalStorage = LocalStorage()
    s3: S3Storage = S3Storage()

    @model_validator(mode="after")
    def _bucket_is_named(self) -> Self:
        if self.type == "s3" and not self.s3.bucket:
            raise ValueError("type s3 needs s3.bucket: name the bucket")
        return self


def _key(value: object) -> object:
    """Settings are validated again, as a worker's are with its options: then it is one already."""
    if value is None:
        return None
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    try:
        fits = isinstance(text, str) and len(b64decode(text, validate=True)) == KEY_BYTES
    except binascii.Error:
        fits = False
    if not fits:
        raise ValueError(f"expected {KEY_BYTES} random bytes in Base64 (openssl rand -base64 32)")
    return value


class Encryption(Section):
    """Of secrets that are typed in. Webservers and workers need the same key."""

    secret_key: Annotated[SecretStr | None, BeforeValidator(_key)] = Field(
        None,
        validate_default=False,
        description=f"{KEY_BYTES} random bytes in Base64; unset: no SECRET input can be given.",
    )


class SecretStore(Section):
    """Of secrets that flows name by `secret('KEY')`: environment variables of each worker."""

    prefix: str = Field(
        "SECRET_",
        min_length=1,
        description="What their names begin with; then the key in capitals. Values: Base64.",
    )


class Webserver(Section):
    """The REST API."""

    host: str = Field("127.0.0.1", min_length=1, description="Address that it listens on.")
    port: Port = Field(8080, description="Port; 0: a free one.")


class Endpoints(Section):
    """`/health` and `/metrics` of the servers that have no API; 0: a free port, which they log."""

    host: str = Field("127.0.0.1", min_length=1, description="Address that they listen on.")
    executor: Port = Field(0, description="Port of an executor.")
    scheduler: Port = Field(0, description="Port of a scheduler.")
    worker: Port = Field(0, description="Port of a worker.")
    indexer: Port = Field(0, description="Port of an indexer.")


class Settings(Section, BaseSettings):
    """All settings of an installation. Servers that share topics need the same ones."""

    # Keys of the file are case-sensitive; VariablesSource is not.
    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter=LEVEL, case_sensitive=True
    )

    data_dir: Path = Field(Path("~/.kestrapy"), description="Folder for what this machine keeps.")
    shards: int = Field(
        4, ge=1, le=1_000, description="Parts that executions are spread over; fixed for good."
    )
    job_partitions: int = Field(
        16, ge=1, le=1_000, description="Partitions of each group's topic; fixed once it exists."
    )
    worker_groups: tuple[WorkerGroup, ...] = Field(
        (), description="Groups that are declared here; `default` is there in any case."
    )
    kafka: Kafka = Kafka()
    executor: Executor = Executor()
    worker: Worker = Worker()
    indexer: Indexer = Indexer()
    store: Store = Store()
    storage: Storage = Storage()
    encryption: Encryption = Encryption()
    secrets: SecretStore = SecretStore()
    webserver: Webserver = Webserver()
    endpoints: Endpoints = Endpoints()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Those of ``load_settings``, the first wins; else arguments; never ``os.environ``."""
        sources: tuple[PydanticBaseSettingsSource, ...] | None = init_settings().pop(_SOURCES, None)
        return sources or (init_settings,)

    @model_validator(mode="after")
    def _groups_are_apart(self) -> Self:
        keys = [group.key for group in self.worker_groups]
        if twice := {key for key in keys if keys.count(key) > 1}:
            raise ValueError(f"workerGroups: {sorted(twice)[0]!r} stands there more than once")
        return self

    @property
    def group_keys(self) -> tuple[str, ...]:
        """Keys of the worker groups that are declared here, the default one first in any case."""
        return tuple(dict.fromkeys((DEFAULT_GROUP, *(it.key for it in self.worker_groups))))

    @property
    def shared_groups(self) -> frozenset[str]:
        """Keys of the groups whose jobs go by share groups."""
        return frozenset(it.key for it in self.worker_groups if it.dispatch == "share")

    @property
    def home(self) -> Path:
        """``data_dir`` as an absolute path, ``~`` resolved. Not made here."""
        return self.data_dir.expanduser().absolute()

    @property
    def store_url(self) -> str:
        """URL of the database; it may hold a password."""
        url = self.store.url
        return url.get_secret_value() if url else f"sqlite:///{self.home / 'kestrapy.db'}"

    @property
    def encryption_key(self) -> bytes | None:
        """The key itself; None where there is none."""
        key = self.encryption.secret_key
        return b64decode(key.get_secret_value()) if key else None

    @property
    def storage_path(self) -> Path:
        """Folder of executions' files, absolute. Not made here."""
        path = self.storage.local.base_path
        return path.expanduser().absolute() if path else self.home / "storage"

    @property
    def registry_url(self) -> str | None:
        """URL of the schema registry; it may hold a password."""
        url = self.kafka.schema_registry_url
        return url.get_secret_value() if url else None

    @property
    def librdkafka(self) -> dict[str, str]:
        """Settings of all Kafka clients, in the clear."""
        return {name: value.get_secret_value() for name, value in self.kafka.librdkafka.items()}


def load_settings(file: Path | None, env: Mapping[str, str]) -> Settings:
    """The settings of a YAML file, if any, and of the environment, which wins.

    Raises SettingsRefused: each thing that is wrong, a line each, with file and line or variable.
    """
    variables, content = VariablesSource(Settings, env), FileSource(Settings, file)
    try:
        return Settings.model_validate({_SOURCES: (variables, content)})
    except ValidationError as error:
        # Without its cause, whose text shows values that may be secret.
        raise refusal(Settings, content.places | variables.places, error) from None

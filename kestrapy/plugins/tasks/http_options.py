"""How an HTTP request is made: the property ``options``, as settings of the client."""

from __future__ import annotations

import ssl
from functools import lru_cache
from typing import Annotated, Any, Literal, Self, get_args

import certifi
import httpx
from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from kestrapy.language.expression import has_expression
from kestrapy.plugins.properties import (
    Charset,
    Duration,
    Expression,
    Properties,
    Text,
    from_json,
    parse_duration,
)
from kestrapy.plugins.tasks.http_logs import Logged
from kestrapy.ports.tasks import TaskFailed

CONNECT_TIMEOUT = "PT30S"
READ_TIMEOUT = "PT5M"


Logs = Annotated[
    list[Logged | Expression] | Expression,
    BeforeValidator(from_json),
    WithJsonSchema({"type": "array", "items": {"enum": list(get_args(Logged))}}),
]


class Auth(Properties):
    """type: BASIC or DIGEST with username and password, BEARER with token."""

    type: Literal["BASIC", "DIGEST", "BEARER"] | Expression
    username: Text = ""
    password: Text = Field(default="", repr=False)
    token: Text = Field(default="", repr=False)

    @model_validator(mode="after")
    def check_parts(self) -> Self:
        given = self.model_fields_set - {"type"}
        wanted = {"token"} if self.type == "BEARER" else {"username", "password"}
        if not has_expression(self.type) and given != wanted:
            raise ValueError(f"auth of type {self.type} has {' and '.join(sorted(wanted))}")
        return self

    def authorize(self, request: httpx.Request) -> httpx.Request:
        request.headers["Authorization"] = f"Bearer {self.token}"
        return request

    def client_auth(self) -> Any:
        match self.type:
            case "BASIC":
                return httpx.BasicAuth(self.username, self.password)
            case "DIGEST":
                return httpx.DigestAuth(self.username, self.password)
            case _:
                return self.authorize


class Timeouts(Properties):
    """connectTimeout: PT30S by default. readIdleTimeout: between two pieces of an answer, PT5M."""

    connect_timeout: Duration | None = None
    read_idle_timeout: Duration | None = None


class Proxy(Properties):
    """type: HTTP (the default) or DIRECT, which is none. address, port, username, password."""

    type: Literal["HTTP", "DIRECT"] | Expression = "HTTP"
    address: Text = ""
    port: int | Expression | None = None
    username: Text = ""
    password: Text = Field(default="", repr=False)

    def client_proxy(self) -> httpx.Proxy | None:
        if self.type == "DIRECT":
            return None
        if not self.address or self.port is None:
            raise TaskFailed("options.proxy: address and port are required")
        auth = (self.username, self.password) if self.username else None
        return httpx.Proxy(f"http://{self.address}:{self.port}", auth=auth)


class Ssl(Properties):
    """insecureTrustAllCertificates: whether certificates are not checked, false by default."""

    insecure_trust_all_certificates: bool | Expression = False


class Options(Properties):
    """auth. timeout. proxy: none by default, whatever the worker's environment says. ssl.

    followRedirects: true by default. allowFailed: whether codes from 400 on are no failure, false
    by default. allowedResponseCodes: the only ones that are none. maxContentLength: bytes of an
    answer. defaultCharset: of texts, UTF-8 by default. logs: what is logged: REQUEST_HEADERS and
    RESPONSE_HEADERS at DEBUG, REQUEST_BODY and RESPONSE_BODY at TRACE, the first 64 KiB; secrets
    and credentials are stars. Older ways: connectTimeout, readTimeout, readIdleTimeout;
    basicAuthUser and basicAuthPassword.
    """

    auth: Auth | None = None
    timeout: Timeouts = Timeouts()
    proxy: Proxy | None = None
    ssl: Ssl = Ssl()
    follow_redirects: bool | Expression = True
    allow_failed: bool | Expression = False
    allowed_response_codes: Annotated[
        list[int | Expression] | Expression | None, BeforeValidator(from_json)
    ] = None
    max_content_length: int | Expression | None = None
    default_charset: Charset = "UTF-8"
    logs: Logs | None = None
    connect_timeout: Duration | None = None
    read_timeout: Duration | None = None
    read_idle_timeout: Duration | None = None
    basic_auth_user: Text | None = None
    basic_auth_password: Text | None = Field(default=None, repr=False)

    def client_settings(self) -> dict[str, Any]:
        """What ``httpx.AsyncClient`` is made with. Raises TaskFailed."""
        connect = self.timeout.connect_timeout or self.connect_timeout or CONNECT_TIMEOUT
        read = self.timeout.read_idle_timeout or self.read_timeout or self.read_idle_timeout
        seconds = parse_duration(read or READ_TIMEOUT) / 1000
        return {
            "auth": self._auth(),
            "timeout": httpx.Timeout(seconds, connect=parse_duration(connect) / 1000),
            "proxy": self.proxy.client_proxy() if self.proxy else None,
            "verify": not self.ssl.insecure_trust_all_certificates and _trusted(),
            "follow_redirects": bool(self.follow_redirects),
            "trust_env": False,  # else the worker's own proxy and passwords would serve its tasks
        }

    def _auth(self) -> Any:
        if self.auth is not None:
            return self.auth.client_auth()
        if self.basic_auth_user is not None:
            return httpx.BasicAuth(self.basic_auth_user, self.basic_auth_password or "")
        return None

    def is_failure(self, code: int) -> bool:
        if self.allowed_response_codes is not None:
            return code not in self.allowed_response_codes
        return code >= 400 and not self.allow_failed


@lru_cache(maxsize=1)
def _trusted() -> ssl.SSLContext:
    """The machine's certificates, and those that certifi brings."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context

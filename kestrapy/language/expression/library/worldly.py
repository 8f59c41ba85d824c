"""Functions that read the world: time, chance, files, secrets, and what else a worker has."""

from __future__ import annotations

import re
import string
from datetime import UTC, datetime
from typing import Any

from kestrapy.language.expression.calls import (
    Unfit,
    as_integer,
    as_map,
    as_text,
    as_text_or_none,
    functions,
)
from kestrapy.language.expression.library.dates import written
from kestrapy.language.expression.scope import OUTPUT_LIMIT, Scope

_KSUID_EPOCH = 1_400_000_000
_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_NANO_ALPHABET = "_-" + string.digits + string.ascii_lowercase + string.ascii_uppercase


def now(
    scope: Scope,
    format_: Any = None,
    time_zone: Any = None,
    existing_format: Any = None,
    locale: Any = None,
) -> str:
    instant = datetime.fromtimestamp(scope.world("now").now() / 1000, UTC)
    return written(instant, as_text_or_none(format_), time_zone, as_text_or_none(locale))


def uuid_(scope: Scope) -> str:
    """Of version 4, which is chance but for two digits."""
    digits = scope.world("uuid").random(16).hex()
    variant = "89ab"[int(digits[16], 16) % 4]
    parts = (digits[:8], digits[8:12], f"4{digits[13:16]}", variant + digits[17:20], digits[20:])
    return "-".join(parts)


def id_(scope: Scope) -> str:
    """22 letters and digits of base 62."""
    return _base62(int.from_bytes(scope.world("id").random(16)), 22)


def ksuid(scope: Scope) -> str:
    """27 characters that sort by time: seconds, then chance."""
    world = scope.world("ksuid")
    seconds = world.now() // 1000 - _KSUID_EPOCH
    return _base62(seconds << 128 | int.from_bytes(world.random(16)), 27)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_BASE62[digit])
    return "".join(reversed(digits))


def nano_id(scope: Scope, length: Any = 21, alphabet: Any = None) -> str:
    letters = _NANO_ALPHABET if alphabet is None else as_text(alphabet)
    size = as_integer(length)
    if not 1 <= size <= 10_000 or not 1 <= len(letters) <= 256:
        raise Unfit("needs a length of 1 to 10,000, and an alphabet of 1 to 256 characters")
    chance = scope.world("nanoId").random(4 * size)
    numbers = (int.from_bytes(chance[at : at + 4]) for at in range(0, 4 * size, 4))
    return "".join(letters[number % len(letters)] for number in numbers)


def random_int(scope: Scope, lower: Any, upper: Any) -> int:
    """From lower up to upper, which is left out, unless both are the same."""
    least, above = as_integer(lower), as_integer(upper)
    if least > above:
        raise Unfit(f"needs a lower bound below the upper one, not {least} and {above}")
    if least == above:
        return least
    return least + int.from_bytes(scope.world("randomInt").random(16)) % (above - least)


def random_port(scope: Scope) -> int:
    return scope.world("randomPort").port()


def read(scope: Scope, path: Any, namespace: Any = None) -> str:
    """A file's text."""
    return scope.world("read").read(_address(scope, "read", path, namespace), OUTPUT_LIMIT)


def file_uri(scope: Scope, path: Any, namespace: Any = None) -> str:
    return scope.world("fileURI").file_uri(as_text(path), as_text_or_none(namespace))


def file_size(scope: Scope, path: Any, namespace: Any = None) -> int:
    return scope.world("fileSize").file_size(_address(scope, "fileSize", path, namespace))


def file_exists(scope: Scope, path: Any, namespace: Any = None) -> bool:
    return scope.world("fileExists").file_exists(_address(scope, "fileExists", path, namespace))


def is_file_empty(scope: Scope, path: Any, namespace: Any = None) -> bool:
    where = _address(scope, "isFileEmpty", path, namespace)
    return scope.world("isFileEmpty").file_size(where) == 0


def _address(scope: Scope, name: str, path: Any, namespace: Any) -> str:
    """A URI as it is; the path of a namespace file becomes one."""
    text = as_text(path)
    if re.match(r"[a-z][a-z0-9+.-]*://", text):
        return text
    return scope.world(name).file_uri(text, as_text_or_none(namespace))


def secret(scope: Scope, key: Any, namespace: Any = None, subkey: Any = None) -> str:
    found = scope.world("secret").secret(
        as_text(key), as_text_or_none(namespace), as_text_or_none(subkey)
    )
    scope.secrets_read += 1
    return found


def kv(scope: Scope, key: Any, namespace: Any = None, error_on_missing: Any = True) -> Any:
    must = error_on_missing is not False
    return scope.world("kv").kv(as_text(key), as_text_or_none(namespace), must)


def http(  # noqa: PLR0913 - Kestra's arguments
    scope: Scope,
    uri: Any,
    method: Any = None,
    query: Any = None,
    body: Any = None,
    content_type: Any = None,
    headers: Any = None,
    options: Any = None,
    accept: Any = None,
) -> Any:
    given = {
        "uri": as_text(uri),
        "method": as_text_or_none(method),
        "query": None if query is None else dict(as_map(query)),
        "body": body,
        "contentType": as_text_or_none(content_type),
        "headers": None if headers is None else dict(as_map(headers)),
        "options": None if options is None else dict(as_map(options)),
        "accept": as_text_or_none(accept),
    }
    return scope.world("http").http({key: it for key, it in given.items() if it is not None})


def error_logs(scope: Scope) -> list[dict[str, Any]]:
    return scope.world("errorLogs").error_logs()


def encrypt(scope: Scope, key: Any, plaintext: Any) -> str:
    return scope.world("encrypt").encrypt(as_text(key), as_text(plaintext))


def decrypt(scope: Scope, key: Any, encrypted: Any) -> str:
    found = scope.world("decrypt").decrypt(as_text(key), as_text(encrypted))
    scope.secrets_read += 1
    return found


FUNCTIONS = (
    *functions(
        {
            "encrypt": encrypt,
            "errorLogs": error_logs,
            "fileExists": file_exists,
            "fileSize": file_size,
            "fileURI": file_uri,
            "http": http,
            "isFileEmpty": is_file_empty,
            "kv": kv,
            "randomPort": random_port,
            "read": read,
        },
        needs_world=True,
        hides_arguments=True,
    ),
    *functions({"decrypt": decrypt, "secret": secret}, needs_world=True),
    *functions(
        {
            "id": id_,
            "ksuid": ksuid,
            "nanoId": nano_id,
            "now": now,
            "randomInt": random_int,
            "uuid": uuid_,
        },
        needs_world=True,
        decidable=True,
    ),
)

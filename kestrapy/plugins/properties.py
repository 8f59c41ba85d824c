"""What the models of all types' properties share.

A model is used twice: on a flow's text when it is saved, where a value may still be an expression,
and on the rendered values when the task runs (``validate_rendered``), where none may be left. What
a model's JSON Schema says is of the former; its ``$comment`` tells people what to write.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

from kestrapy.errors import UserError
from kestrapy.language.durations import to_ms
from kestrapy.language.expression import has_expression
from kestrapy.language.model_schema import TEMPLATE
from kestrapy.language.temporals import epoch_ms

_RENDERED = {"rendered": True}


class Properties(BaseModel):
    """Base of all: frozen, camelCase in YAML, unknown properties refused.

    late: the properties, by their names in YAML, that the task renders itself while it runs.
    """

    late: ClassVar[frozenset[str]] = frozenset()
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)


P = TypeVar("P", bound=BaseModel)


def validate_rendered(model: type[P], values: Mapping[str, Any]) -> P:
    """The properties of one run. One that became null, which does not fit it, is as if it were not
    there, where it may be left out. Raises UserError, which names each property that doesn't fit.
    """
    try:
        return model.model_validate(values, context=_RENDERED)
    except ValidationError as error:
        unfit = {it["loc"][0] for it in error.errors(include_url=False) if it["loc"]}
        needed = {it.alias or name for name, it in model.model_fields.items() if it.is_required()}
        gone = {name for name in unfit - needed if values.get(str(name), "") is None}
        if gone:
            left = {name: it for name, it in values.items() if name not in gone}
            return validate_rendered(model, left)
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        raise UserError("; ".join(_sentence(it["loc"], it["msg"]) for it in problems)) from None


def _sentence(place: tuple[int | str, ...], message: str) -> str:
    path = ".".join(str(it) for it in place if not str(it).startswith("function-"))
    return f"{path}: {message.removeprefix('Value error, ')}" if path else message


def to_text(value: Any) -> str:
    """A value as a template prints it: maps and lists as JSON, null as nothing."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def is_true(value: Any) -> bool:
    """Kestra's truth: false, "false", 0, "" and null are false."""
    return value not in (False, None, 0, "", "false", "0", "-0")


def parse_duration(text: str) -> int:
    """Milliseconds of an ISO-8601 duration such as PT1M30S. Raises ValueError."""
    return to_ms(text)


def _check_expression(text: str, info: ValidationInfo) -> str:
    if info.context == _RENDERED or not has_expression(text):
        raise ValueError(f"{text[:80]!r} does not fit here")
    return text


def _check_template(text: str) -> str:
    if not has_expression(text):
        raise ValueError(f"{text[:80]!r} does not fit here")
    return text


def _check_duration(text: str, info: ValidationInfo) -> str:
    if info.context == _RENDERED or not has_expression(text):
        parse_duration(text)
    return text


def _check_instant(text: str, info: ValidationInfo) -> str:
    if info.context == _RENDERED or not has_expression(text):
        try:
            epoch_ms(text)
        except ValueError:
            raise ValueError(f"{text!r} is no instant, such as 2030-01-31T09:00:00Z") from None
    return text


def _check_charset(text: str) -> str:
    try:
        has_expression(text) or codecs.lookup(text)
    except LookupError:
        raise ValueError(f"{text!r} is no charset, such as UTF-8") from None
    return text


def from_json(value: Any) -> Any:
    """A JSON text, as a template gives it where a list or map is wanted; anything else as it is."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("[", "{") or has_expression(value):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


Text = Annotated[str, BeforeValidator(to_text), WithJsonSchema({"$comment": "text"})]
"""A string; other values are written as a template prints them."""

Charset = Annotated[Text, AfterValidator(_check_charset)]
"""A name of an encoding that Python knows, or a template of one."""

Expression = Annotated[str, AfterValidator(_check_expression), WithJsonSchema(dict(TEMPLATE))]
"""A template that gives the value when the task runs."""

Template = Annotated[str, AfterValidator(_check_template), WithJsonSchema(dict(TEMPLATE))]
"""An expression that stands in a property of ``late``, and gives the value when it is rendered."""

Duration = Annotated[
    str,
    AfterValidator(_check_duration),
    WithJsonSchema({"type": "string", "$comment": "duration"}),
]
"""An ISO-8601 duration, or a template of one."""

Instant = Annotated[
    Text,
    AfterValidator(_check_instant),
    WithJsonSchema({"type": "string", "$comment": "instant"}),
]
"""An ISO-8601 date with time and offset, or a template of one."""

TextList = Annotated[
    list[Text] | Expression,
    BeforeValidator(from_json),
    WithJsonSchema({"type": ["array", "string"], "$comment": "list of text"}),
]
"""A list of strings, or a template of one (rendered: always a list)."""

TextMap = Annotated[
    dict[str, Text] | Expression,
    BeforeValidator(from_json),
    WithJsonSchema({"type": ["object", "string"], "$comment": "map of text"}),
]
"""A map of strings, or a template of one (rendered: always a map)."""

"""JSON Schemas of the models of types' properties, as they may be written in a flow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema

from kestrapy.language.property_docs import descriptions
from kestrapy.language.recording import Schema

TEMPLATE: Schema = {"type": "string", "pattern": r"\{\{|\{%|\{#"}
"""A text with an expression; it fits a property of any type."""
_WRAPPED = ("description", "default", "title")


class _Generator(GenerateJsonSchema):
    """Describes what models take, not what they make of it: a validator that comes first may take
    anything.
    """

    def function_before_schema(self, schema: Any) -> JsonSchemaValue:
        return self._taken(schema)

    def function_wrap_schema(self, schema: Any) -> JsonSchemaValue:
        return self._taken(schema)

    def function_plain_schema(self, schema: Any) -> JsonSchemaValue:
        return self._taken(schema)

    def _taken(self, schema: Any) -> JsonSchemaValue:
        if taken := schema.get("json_schema_input_schema"):
            return self.generate_inner(taken)
        inner = schema.get("schema", {})
        return self.generate_inner(inner) if inner.get("type") == "model" else {}

    def int_schema(self, schema: Any) -> JsonSchemaValue:
        return {**super().int_schema(schema), "type": ["integer", "string"]}

    def float_schema(self, schema: Any) -> JsonSchemaValue:
        return {**super().float_schema(schema), "type": ["number", "string"]}

    def bool_schema(self, schema: Any) -> JsonSchemaValue:
        return {"type": ["boolean", "string", "number"]}


def model_schemas(
    models: Iterable[type[BaseModel]],
) -> tuple[dict[type[BaseModel], Schema], dict[str, Schema]]:
    """-> the schema of each model, and the definitions that these refer to as ``#/$defs/…``."""
    wanted = list(dict.fromkeys(models))
    found, made = models_json_schema(
        [(it, "validation") for it in wanted],
        by_alias=True,
        ref_template="#/$defs/{model}",
        schema_generator=_Generator,
    )
    definitions: dict[str, Schema] = made.get("$defs", {})
    schemas: dict[type[BaseModel], Schema] = {}
    for model in wanted:
        schema: Schema = found[model, "validation"]
        named = schema.get("$ref", "").rpartition("/")[2]
        schemas[model] = _described(_templated(definitions.get(named, schema)), model)
    return schemas, {name: _templated(it) for name, it in definitions.items()}


def _described(schema: Schema, model: type[BaseModel]) -> Schema:
    """With the models' words on its properties; without those that it knows only to refuse them."""
    said = descriptions(model)
    properties: dict[str, Schema] = {}
    for name, field in model.model_fields.items():
        if not field.exclude:
            written = field.alias or name
            properties[written] = dict(schema["properties"][written])
            if said[name]:
                properties[written]["description"] = said[name]
    return {**schema, "properties": properties}


def _templated(schema: Any) -> Any:
    """The same, where each value within may also be a template."""
    if not isinstance(schema, dict):
        return schema
    made = dict(schema)
    made.pop("title", None)
    if "properties" in made:
        made["properties"] = {
            name: _or_template(_templated(it)) for name, it in made["properties"].items()
        }
    for name in ("items", "additionalProperties"):
        if isinstance(made.get(name), dict):
            made[name] = _or_template(_templated(made[name]))
    for name in ("anyOf", "oneOf", "allOf", "prefixItems"):
        if name in made:
            made[name] = [_templated(it) for it in made[name]]
    return made


def _or_template(schema: Schema) -> Schema:
    if not schema.keys() - set(_WRAPPED):
        return schema
    kept = {name: schema[name] for name in _WRAPPED if name in schema}
    inner = {name: it for name, it in schema.items() if name not in _WRAPPED}
    options = inner["anyOf"] if inner.keys() == {"anyOf"} else [inner]
    return {"anyOf": [*options, TEMPLATE], **kept}

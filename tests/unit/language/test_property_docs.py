"""What is told of a type's properties, read from its model."""

from __future__ import annotations

from pydantic import BaseModel, Field
from pydantic.alias_generators import to_camel

from kestrapy.language.property_docs import descriptions, summary


class Base(BaseModel, alias_generator=to_camel):
    """What some share.

    first_one: told by the base.
    """

    first_one: int = 0
    silent: int = 0


class Model(Base):
    """Does things: two of them.

    low, highEnd: bounds, as in
    low: high. described: never shown.
    """

    low: int
    high_end: int
    described: int = Field(description="By  itself.")


def test_a_docstring_is_divided_by_the_names_in_it() -> None:
    assert summary(Model) == "Does things: two of them."
    assert descriptions(Model) == {
        "first_one": "told by the base.",
        "silent": "",
        "low": "high.",
        "high_end": "bounds, as in",
        "described": "By itself.",
    }


def test_without_a_docstring_nothing_is_told() -> None:
    class Bare(BaseModel):
        x: int

    assert (summary(Bare), descriptions(Bare)) == ("", {"x": ""})

"""What executions of rows are started with: the column ``inputs``, read."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

PEOPLE = {
    "people": [
        {"first": "Mustafa", "last": "Tarek"},
        {"first": "Ahmed", "last": "Tarek"},
    ]
}
_FILE = re.compile(r"(?:(empty) )?FILE(?: of)?(?: (\d+) lines)?(?: \([^)]*\))?")


class Unread(Exception):
    """A cell of the table that nothing here can read."""


@dataclass(frozen=True)
class Given:
    inputs: dict[str, Any] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)


def given_of(cell: str) -> list[Given]:
    """One for each execution that the cell speaks of, at least one. Raises Unread."""
    if not cell:
        return [Given()]
    if cell.startswith("InputsTest.inputs"):
        return [Given(_of_inputs_test(cell.removeprefix("InputsTest.inputs").strip()))]
    text, _, labelled = cell.partition(" + label")
    return [
        Given(_inputs(alternative), _labels(labelled.removeprefix("s")))
        for alternative in re.split(r"(?<=\}) / (?=\{)", text)
    ]


def _inputs(text: str) -> dict[str, Any]:
    paths: list[Path] = []

    def placed(match: re.Match[str]) -> str:
        paths.append(lines_file(0 if match[1] else int(match[2] or 102)))
        return json.dumps(f"path {len(paths) - 1}")

    try:
        inputs = json.loads(_FILE.sub(placed, text))
    except json.JSONDecodeError as error:
        raise Unread(f"inputs {text!r}: {error}") from error
    for name, value in inputs.items():
        if isinstance(value, str) and value.startswith("path "):
            inputs[name] = paths[int(value.removeprefix("path "))]
    return dict(inputs)


def _labels(text: str) -> dict[str, str]:
    if not text.strip():  # the table says only that there is one, as in the row before
        return {}
    return dict(pair.strip().split("=", 1) for pair in text.split(","))  # type: ignore[misc]


def lines_file(count: int) -> Path:
    """A file of so many lines: each its number, padded on the left to 20 characters."""
    path = Path(mkdtemp(prefix="conformance-")) / "lines.txt"
    path.write_text("".join(f"{number:>20}\n" for number in range(count)))
    return path


def inputs_test() -> dict[str, Any]:
    """What Kestra's InputsTest gives."""
    file = Path(mkdtemp(prefix="conformance-")) / "application-test.yml"
    file.write_text("kestra:\n  test: true\n")
    return {
        "string": "myString",
        "enum": "ENUM_VALUE",
        "int": "42",
        "float": "42.42",
        "bool": "false",
        "instant": "2019-10-06T18:27:49Z",
        "date": "2019-10-06",
        "time": "18:27:49",
        "duration": "PT5M6S",
        "file": file,
        "uri": "https://www.google.com",
        "nested.string": "a string",
        "nested.more.int": "123",
        "nested.bool": "true",
        "validatedString": "A123",
        "validatedInt": "12",
        "validatedDate": "2023-01-02",
        "validatedDateTime": "2023-01-01T00:00:10Z",
        "validatedDuration": "PT15S",
        "validatedFloat": "0.42",
        "validatedTime": "11:27:49",
        "secret": "secret",
        "array": "[1, 2, 3]",
        "json1": '{"a": "b"}',
        "json2": json.dumps(PEOPLE),
        "yaml1": "some: property\nalist:\n- of\n- values",
        "yaml2": json.dumps(PEOPLE),
    }


def _of_inputs_test(change: str) -> dict[str, Any]:
    inputs = inputs_test()
    if not change or change.startswith("(see"):
        return inputs
    if match := re.fullmatch(r"without (\w+)", change):
        del inputs[match[1]]
    elif match := re.fullmatch(r"with (\w+) = (\d+)( KiB of| x) a", change):
        count = int(match[2]) * (1024 if "KiB" in match[3] else 1)
        inputs[match[1]] = "a" * count
    elif match := re.fullmatch(r"with (\w+)=(\S+)", change):
        inputs[match[1]] = match[2]
    else:
        raise Unread(f"inputs: InputsTest.inputs {change}")
    return inputs

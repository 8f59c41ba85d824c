"""A flow with an input of each type, what may be given as texts, and what becomes of it."""

from __future__ import annotations

from typing import Any

SOURCE = r"""
id: all-inputs
namespace: company.team
inputs:
  - {id: string, type: STRING, validator: "[a-z ]+"}
  - {id: int, type: INT, min: 10, max: 20}
  - {id: float, type: FLOAT}
  - {id: bool, type: BOOL}
  - {id: boolean, type: BOOLEAN, required: false}
  - {id: datetime, type: DATETIME, after: "2019-01-01T00:00:00Z"}
  - {id: date, type: DATE, before: 2019-12-31}
  - {id: time, type: TIME}
  - {id: duration, type: DURATION, max: PT1H}
  - {id: nested.file, type: FILE, allowedFileExtensions: [.csv], extension: .csv}
  - {id: json, type: JSON}
  - {id: yaml, type: YAML}
  - {id: uri, type: URI}
  - {id: email, type: EMAIL}
  - {id: nested.secret, type: SECRET, validator: "[a-z]{4}"}
  - {id: array, type: ARRAY, itemType: INT}
  - {id: enum, type: ENUM, values: [ONE, TWO]}
  - {id: select, type: SELECT, expression: '{{ ["A", inputs.string] }}', autoSelectFirst: true}
  - {id: multiselect, type: MULTISELECT, options: [A, B]}
  - id: more
    type: STRING
    dependsOn: {inputs: [bool], condition: "{{ inputs.bool }}"}
tasks:
  - {id: shown, type: return, format: "{{ inputs.nested.secret }} {{ inputs.duration }}"}
  - {id: logged, type: log, message: "the secret is {{ inputs.nested.secret }}"}
"""
TEXTS = {
    "string": "a string",
    "int": "12",
    "float": "42.42",
    "bool": "false",
    "datetime": "2019-10-06T20:27:49+02:00",
    "date": "2019-10-06",
    "time": "18:27:49",
    "duration": "PT306S",
    "json": '{"a": "b"}',
    "yaml": "some: property\nalist: [of, values]",
    "uri": "https://www.google.com",
    "email": "me@example.org",
    "nested.secret": "hush",
    "array": "[1, 2, 3]",
    "enum": "TWO",
    "multiselect": '["B"]',
    "more": "of it",
}
"""Files are given otherwise."""
VALUES: dict[str, Any] = {
    "string": "a string",
    "int": 12,
    "float": 42.42,
    "bool": False,
    "boolean": None,
    "datetime": "2019-10-06T18:27:49Z",
    "date": "2019-10-06",
    "time": "18:27:49",
    "duration": "PT5M6S",
    "json": {"a": "b"},
    "yaml": {"some": "property", "alist": ["of", "values"]},
    "uri": "https://www.google.com",
    "email": "me@example.org",
    "array": [1, 2, 3],
    "enum": "TWO",
    "select": "A",
    "multiselect": ["B"],
    "more": None,
}
"""Without what is nested: the file, and the secret, which is another text each time."""

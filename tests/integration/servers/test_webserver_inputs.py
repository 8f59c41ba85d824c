"""Inputs of every type over REST: a form's texts and files, and secrets, which nobody stores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from kestrapy.adapters.aes import new_cipher
from kestrapy.model.inputs import ENCRYPTED
from kestrapy.plugins.pairs import Pair, Pairs
from kestrapy.ports.log import Partition
from tests.input_samples import SOURCE, TEXTS, VALUES
from tests.integration.servers.web_site import Site

CIPHER = new_cipher()
FILE = {"nested.file": ("data", b"a,b\n")}


@pytest.fixture(params=[True, False], ids=["key", "no key"])
def site(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    site = Site(tmp_path, CIPHER if request.param else None)
    yield site
    site.close()


with_key = pytest.mark.parametrize("site", [True], indirect=True)
without_key = pytest.mark.parametrize("site", [False], indirect=True)


def save(site: Site) -> None:
    kind = {"content-type": "application/x-yaml"}
    url = f"{site.url}/api/v1/main/flows"
    saved = httpx.post(url, content=SOURCE, headers=kind, timeout=30)
    assert saved.status_code == 200, saved.text


def start(site: Site, texts: dict[str, str]) -> httpx.Response:
    url = f"{site.url}/api/v1/main/executions/company.team/all-inputs"
    return httpx.post(url, data=texts, files=FILE, timeout=30)


def records(site: Site) -> list[bytes]:
    """All that was requested of executors."""
    reader = site.log.reader()
    topic = site.router.catalogue.requests
    reader.assign({Partition(topic, shard): 0 for shard in range(2)})
    try:
        return [record.value or b"" for record in reader.poll(100, 0)]
    finally:
        reader.close()


@with_key
def test_an_input_of_each_type(site: Site) -> None:
    save(site)
    answer = start(site, TEXTS)
    assert answer.status_code == 200, answer.text
    (request,) = records(site)
    assert b"a string" in request and b"hush" not in request
    assert "hush" not in answer.text


@with_key
def test_what_is_answered_first_is_typed(site: Site) -> None:
    save(site)
    site.executor.pause()  # so that the webserver's own word is what it answers
    started: dict[str, Any] = start(site, TEXTS).json()
    site.executor.resume()
    nested = started["inputs"].pop("nested")
    assert started["inputs"] == VALUES
    folder = f"kestra:///company/team/all-inputs/executions/{started['id']}/inputs/nested.file"
    assert nested["file"] == f"{folder}/data.csv"
    assert nested["secret"]["type"] == ENCRYPTED
    assert CIPHER.decrypt(nested["secret"]["value"]) == "hush"


@with_key
def test_what_does_not_fit_is_told_of_each(site: Site) -> None:
    save(site)
    answer = start(site, {**TEXTS, "int": "21", "uri": "justastring", "array": '["s1"]'})
    assert answer.status_code == 422
    for cause in (
        "Invalid value for input `int`. Cause: it must be less than `20`",
        "Invalid value for input `uri`. Cause: Invalid URI format.",
        "Unable to parse array element as `INT` on `s1`",
    ):
        assert cause in answer.text
    assert records(site) == []


@without_key
def test_without_a_key_no_secret_is_taken(site: Site) -> None:
    save(site)
    answer = start(site, TEXTS)
    assert answer.status_code == 422
    assert "input `nested.secret`" in answer.text
    assert "set `encryption.secretKey`" in answer.text
    assert "hush" not in answer.text
    assert records(site) == []


@without_key
def test_defaults_are_read_from_pairs_where_the_execution_is_asked_for(site: Site) -> None:
    source = """
id: reading
namespace: company.team
inputs:
  - {id: greeting, type: STRING, defaults: "{{ kv('greeting') }}"}
  - {id: at, type: DATETIME, defaults: "{{ now() }}"}
tasks: [{id: a, type: io.kestra.plugin.core.debug.Return, format: "{{ inputs.greeting }}"}]
"""
    url, kind = f"{site.url}/api/v1/main", {"content-type": "application/x-yaml"}
    assert httpx.post(f"{url}/flows", content=source, headers=kind, timeout=30).is_success
    ask = f"{url}/executions/company.team/reading"
    missing = httpx.post(ask, timeout=30)
    assert missing.status_code == 422 and "The key 'greeting' does not exist" in missing.text
    Pairs(site.blobs, "company", 0).put("greeting", Pair("hello", "STRING"))
    answer = httpx.post(ask, timeout=30)
    assert answer.status_code == 200, answer.text
    assert answer.json()["inputs"]["greeting"] == "hello"
    (request,) = records(site)
    assert b"hello" in request

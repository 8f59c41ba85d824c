"""The cipher: what it seals it opens, and nothing else."""

from __future__ import annotations

from base64 import b64decode, b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kestrapy.adapters.aes import AesCipher, new_cipher
from kestrapy.ports.cipher import SecretUnreadable

CIPHER = AesCipher(bytes(range(32)))


@given(st.text())
def test_what_is_sealed_is_opened(text: str) -> None:
    assert CIPHER.decrypt(CIPHER.encrypt(text)) == text


def test_the_same_text_is_never_sealed_alike() -> None:
    assert len({CIPHER.encrypt("hush") for _ in range(100)}) == 100


def test_the_layout_is_nonce_text_and_tag() -> None:
    """What plain AES-256-GCM makes with this key and the nonce 00 01 … 0b."""
    sealed = "AAECAwQFBgcICQoLL3elcypbS/ljCpXAWUktmrZVIDQ="
    assert CIPHER.decrypt(sealed) == "hush"


@pytest.mark.parametrize(
    "sealed",
    ["", "no base64!", "AAAA", CIPHER.encrypt("hush")[:-4] + "AAA="],
    ids=["empty", "no base64", "too short", "another end"],
)
def test_what_was_changed_is_refused(sealed: str) -> None:
    with pytest.raises(SecretUnreadable, match=r"encryption\.secretKey"):
        CIPHER.decrypt(sealed)


def test_each_byte_counts_and_so_does_the_key() -> None:
    raw = b64decode(CIPHER.encrypt("hush"))
    for index in range(len(raw)):
        changed = bytes([*raw[:index], raw[index] ^ 1, *raw[index + 1 :]])
        with pytest.raises(SecretUnreadable):
            CIPHER.decrypt(b64encode(changed).decode())
    with pytest.raises(SecretUnreadable):
        new_cipher().decrypt(CIPHER.encrypt("hush"))

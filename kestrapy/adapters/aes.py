"""The ``Cipher`` by AES-GCM, as Kestra writes it: Base64 of nonce, encrypted text and tag."""

from __future__ import annotations

import binascii
import secrets
from base64 import b64decode, b64encode
from collections.abc import Callable
from functools import partial

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kestrapy.ports.cipher import SecretUnreadable

_NONCE_BYTES = 12


class AesCipher:
    """key: 32 bytes. nonce: gives 12 bytes, never the same ones again with this key."""

    def __init__(self, key: bytes, nonce: Callable[[], bytes] | None = None):
        self._gcm = AESGCM(key)
        self._nonce = nonce or partial(secrets.token_bytes, _NONCE_BYTES)

    def encrypt(self, text: str) -> str:
        nonce = self._nonce()
        return b64encode(nonce + self._gcm.encrypt(nonce, text.encode(), None)).decode()

    def decrypt(self, sealed: str) -> str:
        try:
            raw = b64decode(sealed, validate=True)
            return self._gcm.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], None).decode()
        except (binascii.Error, InvalidTag, ValueError) as error:
            raise SecretUnreadable(
                "a secret can't be decrypted: it was changed, or encrypted with another key than"
                " this server's `encryption.secretKey`"
            ) from error


def new_cipher() -> AesCipher:
    """With a key of its own, for what no other process reads."""
    return AesCipher(AESGCM.generate_key(256))

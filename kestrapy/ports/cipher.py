"""What keeps secrets from being read where they are stored: each text encrypted by itself."""

from __future__ import annotations

from typing import Protocol

from kestrapy.errors import UserError


class SecretUnreadable(UserError):
    """An encrypted text that this key does not open, or that was changed; it is not shown."""


class Cipher(Protocol):
    """One key. Both may be called from any thread."""

    def encrypt(self, text: str) -> str:
        """Printable, and another one each time."""

    def decrypt(self, sealed: str) -> str:
        """The text that ``encrypt`` was given. Raises SecretUnreadable."""

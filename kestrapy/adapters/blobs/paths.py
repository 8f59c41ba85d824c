"""The names in a URI of internal storage, which all adapters read alike."""

from __future__ import annotations

from urllib.parse import unquote

from kestrapy.errors import UserError
from kestrapy.ports.blobs import SCHEME


def names_in(uri: str) -> list[str]:
    """Folders and file of a URI, decoded. Raises UserError for what leads, or could lead, out."""
    if not uri.startswith(f"{SCHEME}/"):
        raise UserError(f"{uri!r} is no URI of the internal storage: it starts with {SCHEME}/")
    names = unquote(uri[len(SCHEME) + 1 :]).split("/")
    if {"", ".", ".."} & set(names) or "\0" in "".join(names):
        raise UserError(f"{uri!r} is no URI of a file: give names between single slashes, no '..'")
    return names

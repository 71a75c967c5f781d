"""Files of a stack's folder that a platform names, each with its digest: another content needs another digest."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

from isthmus.core.digests import sha256_of
from isthmus.core.errors import FieldError

FilePath = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$")]


def check_stack_file(file: str, digest: str, text: str | None) -> None:
    """Raise `FieldError` for a file outside the stack's folder, and for a text of another digest.

    `text`: what is in the file; None before it is read.
    """
    if ".." in file.split("/"):
        raise FieldError(
            f"`{file}` is outside the stack's folder", "file", fix="Move the file into that folder"
        )
    if text is None:
        return
    actual = sha256_of(text)
    if actual != digest:
        fix = f"Review what changed in the file; if it is intended, set digest: {actual}"
        raise FieldError(
            f"the digest of `{file}` is not the stated one: the file has changed", "digest", fix=fix
        )

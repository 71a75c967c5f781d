"""SHA-256 digests in the form that files and records name them: `sha256:` and 64 hexadecimal digits."""

from __future__ import annotations

import hashlib


def sha256_of(content: bytes | str) -> str:
    """The digest of bytes, or of a text in UTF-8."""
    return "sha256:" + hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()

"""Encrypts transit data: AES-256-GCM under a key of its own for each thing, derived from the key of class and site.

Everything is bound to its name (owner, file and place in it), so that nothing in the database can take another's
place.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from edge.config import ConfigError

_KEY = re.compile(r"[0-9a-fA-F]{64}")
_NONCE = 12


class Unreadable(Exception):
    """The content was altered, or encrypted under a key that is no longer there."""


class Cipher:
    """The keys of one class and site. Raises ConfigError."""

    def __init__(self, path: Path, data_class: str, site: str) -> None:
        try:
            lines = path.read_text(encoding="ascii").split()
        except (OSError, UnicodeDecodeError):
            raise ConfigError(f"file_store.key: {path} cannot be read.") from None
        if not lines or not all(_KEY.fullmatch(line) for line in lines):
            raise ConfigError(
                f"file_store.key: {path} does not hold 64 hexadecimal digits on each line (`openssl rand -hex 32`)."
            )
        self._keys = [bytes.fromhex(line) for line in lines]
        self._scope = f"isthmus transit 1\0{data_class}\0{site}"

    def encrypt(self, name: str, plain: bytes) -> bytes:
        """The encrypted content of this name."""
        nonce = secrets.token_bytes(_NONCE)
        return nonce + AESGCM(self._derived(self._keys[0], name)).encrypt(nonce, plain, name.encode())

    def decrypt(self, name: str, data: bytes) -> bytes:
        """The content of this name. Raises Unreadable."""
        for key in self._keys:
            try:
                return AESGCM(self._derived(key, name)).decrypt(data[:_NONCE], data[_NONCE:], name.encode())
            except (InvalidTag, ValueError):
                continue
        raise Unreadable(name.partition("\0")[0])

    def digest(self, name: str, data: bytes) -> bytes:
        """A keyed digest, which reveals nothing without the key."""
        return hmac.digest(self._derived(self._keys[0], name), data, hashlib.sha256)

    def _derived(self, key: bytes, name: str) -> bytes:
        return hmac.digest(key, f"{self._scope}\0{name}".encode(), hashlib.sha256)

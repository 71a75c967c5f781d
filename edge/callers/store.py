"""What a store of keys answers, whichever it is: a file of digests, or PostgreSQL."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Protocol


class CallersUnreadable(Exception):
    """Who may call is not known now: nobody is let in."""


@dataclass(frozen=True)
class Key:
    """What is known of a key that somebody showed. Never the key itself."""

    id: str
    """The first twelve digits of its digest: enough to name it, useless to guess it."""
    workload: str
    data_class: str
    revoked: bool = False
    left_s: float | None = None
    """Seconds until it ends, when it was looked up; none: it does not end by itself."""


class KeyStore(Protocol):
    """Where a key's workload is looked up."""

    async def find(self, key: str) -> Key | None:
        """The key as the store knows it, or None; raises CallersUnreadable."""
        ...

    async def problem(self) -> str | None:
        """Why nobody can be let in, or None."""
        ...


def digest_of(key: str) -> bytes:
    """SHA-256, plain: a key is 32 random bytes, which no list of words holds."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def id_of(digest: bytes) -> str:
    """By which people name a key."""
    return digest.hex()[:12]

"""The interface of key stores (a file of digests, or PostgreSQL), and how keys are hashed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from edge.config.gateway import Allowance


class CallersUnreadable(Exception):
    """The key store cannot be read, so nobody is let in."""


@dataclass(frozen=True)
class Key:
    """A known key: its id, workload and class. It does not hold the key itself."""

    id: str
    """First twelve digits of the digest, which name the key but do not reveal it."""
    workload: str
    data_class: str
    revoked: bool = False
    left_s: float | None = None
    """Seconds until the key expires, at look-up. None: it does not expire."""
    models: frozenset[str] | None = None
    """Names of the models that it may use, of those of its workload. None: all."""
    allowance: Allowance | None = None
    """Its own limits, beside those of its workload. None: it has none."""
    counted_as: str = ""
    """Id of the key whose counts it goes on with. Empty: its own."""
    evaluates: bool = False
    """Whether it is for evaluations: may ask a canary by name, is never held, and counts as no usage."""


class KeyEnds(NamedTuple):
    """Seconds until keys of a workload end, infinite for keys without an end."""

    first: float | None
    """Of the valid key that ends first. None: no key is valid."""
    last: float
    """Of the key that ends last. Negative: all have expired."""


class KeyStore(Protocol):
    """A store that knows the workload of each key."""

    async def find(self, key: str) -> Key | None:
        """The key as the store knows it, or None. Raises CallersUnreadable."""
        ...

    async def find_id(self, key_id: str) -> Key | None:
        """The key of this id, or None. Raises CallersUnreadable."""
        ...

    async def ends(self, data_class: str) -> dict[str, KeyEnds]:
        """When the keys of each workload end that is called by keys. Raises CallersUnreadable."""
        ...

    async def problem(self) -> str | None:
        """Why the store cannot be used, or None."""
        ...


def digest_of(key: str) -> bytes:
    """SHA-256 of a key. No salt is needed, because a key is 32 random bytes."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def id_of(digest: bytes) -> str:
    """The id by which people name a key."""
    return digest.hex()[:12]

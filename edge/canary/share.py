"""Who gets a workload's canary: a person, or else a conversation, always gets the same version."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

from edge.openai_api import dump

_WHOLE = 1 << 64


class Share:
    """Assigns a share of people and conversations to the canary, by a keyed hash.

    Who is in a smaller share is in each larger one too, so nobody changes back and forth while a release grows. Without
    the key nobody can tell who is in it, or choose to be.
    """

    def __init__(self, percent: float, key: bytes, release: str) -> None:
        """`percent`: of people and conversations. `release`: another one chooses others."""
        self._below = round(percent / 100 * _WHOLE)
        self._key = hmac.digest(key, f"isthmus canary 1\n{release}".encode(), hashlib.sha256)

    def has(self, unit: bytes) -> bool:
        """Whether the canary serves this unit: a person or a conversation."""
        digest = hmac.digest(self._key, unit, hashlib.sha256)
        return int.from_bytes(digest[:8], "big") < self._below


def unit_of(person: str, payload: Mapping[str, Any]) -> bytes:
    """What stays together: the person of a token, or else the conversation, which its beginning tells apart.

    The beginning of a conversation is everything before the first answer, so each of its turns has the same one.
    `person`: empty without a person's token. `payload`: the request's fields.
    """
    if person:
        return b"person\n" + person.encode()
    messages = payload.get("messages")
    if not isinstance(messages, list):
        return b"request\n" + dump({key: payload.get(key) for key in ("prompt", "input", "query")})
    beginning: list[Any] = []
    for message in messages:
        if isinstance(message, dict) and message.get("role") == "assistant":
            break
        beginning.append(message)
    return b"conversation\n" + dump(beginning)

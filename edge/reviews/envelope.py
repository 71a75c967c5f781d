"""The encrypted parts of a held answer in the database, under the content keys of its subject.

Each line is bound to its role: the answer, a correction or a note. So no line can take another's place.
"""

from __future__ import annotations

import hashlib
import hmac
import zlib
from datetime import UTC, datetime
from typing import Any

from edge.audit.content import decrypt, encrypt, key_name
from edge.audit.keys import Keys, read_key
from edge.audit.records import Broken, parse
from edge.config import ConfigError, HeldKeys
from edge.reviews.votes import Votes


class Erased(Exception):
    """The key of the answer was destroyed, so nobody can read it."""


class Envelopes:
    """Encrypts and decrypts the lines. It reads and writes key files, so call it in a thread. Raises ConfigError."""

    def __init__(self, settings: HeldKeys, key: str) -> None:
        try:
            wrapping_key = read_key(settings.wrapping_key)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"{key}.wrapping_key: {settings.wrapping_key} cannot be used: {error}."
            ) from None
        self._keys = self.keys = Keys(settings.keys, wrapping_key)
        self.votes = Votes(wrapping_key)
        self.folder = settings.keys
        self._wrapping_key = wrapping_key

    def derived_key(self, purpose: bytes) -> bytes:
        """A key for another purpose, from the wrapping key."""
        return hmac.digest(self._wrapping_key, purpose, hashlib.sha256)

    def first(
        self,
        held_id: str,
        subject: str,
        days: int,
        request: dict[str, Any],
        answer: bytes,
        about: dict[str, Any] | None = None,
    ) -> bytes:
        """Encrypt a held answer. Raises OSError, or ValueError for invalid keys.

        `days`: lifetime of the key. `about`: what the gateway noted of the answer, for reviewers.
        """
        day, key = datetime.now(UTC).date().isoformat(), key_name(subject, days)
        return encrypt(self._keys, key, day, held_id, request, answer, cut=False, about=about)

    def beside(self, line: bytes, name: str, text: bytes) -> bytes:
        """Encrypt another line under the key of `line`. Raises Erased, OSError, ValueError."""
        envelope = parse(line)
        if self._keys.find(envelope["key"], envelope["day"]) is None:
            raise Erased
        return encrypt(self._keys, envelope["key"], envelope["day"], name, {}, text, cut=False)

    def alike(
        self, line: bytes, name: str, request: dict[str, Any], answer: bytes, about: dict[str, Any]
    ) -> bytes:
        """Encrypt another held answer under the key of `line`. Raises Erased, OSError, ValueError."""
        envelope = parse(line)
        if self._keys.find(envelope["key"], envelope["day"]) is None:
            raise Erased
        return encrypt(
            self._keys, envelope["key"], envelope["day"], name, request, answer, cut=False, about=about
        )

    def open(self, line: bytes, name: str) -> dict[str, Any]:
        """Decrypt the line with this name.

        Returns `asked`, `answer` and, where the gateway noted anything, `about`. Raises Erased, OSError; ValueError if
        it was altered.
        """
        try:
            if parse(line)["id"] != name:
                raise ValueError("it is another answer's")
            exchange = decrypt(self._keys, line)
        except (
            ValueError,
            KeyError,
            TypeError,
            Broken,
            zlib.error,
        ) as error:  # whatever replaced it
            raise ValueError(f"it was altered: {type(error).__name__}") from None
        if exchange is None:
            raise Erased
        return exchange


def correction_name(held_id: str) -> str:
    """The name to which a correction is bound. If there are several, the votes tell which one is approved."""
    return f"{held_id}.correction"


def note_name(held_id: str, version: int) -> str:
    """The name to which the note of an act is bound."""
    return f"{held_id}.note.{version}"

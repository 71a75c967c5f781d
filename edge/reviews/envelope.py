"""What of a held answer lies in the database: lines of `edge.audit.content`, under the content keys of its subject.

A line is bound to what it is: the answer itself, a correction, a note. So no line can stand in another's place.
"""

from __future__ import annotations

import zlib
from datetime import UTC, datetime
from typing import Any

from edge.audit.content import Hmacs, decrypt, encrypt, key_name
from edge.audit.keys import Keys, read_key
from edge.audit.records import Broken, parse
from edge.config import ConfigError, HeldKeys
from edge.reviews.votes import Votes


class Erased(Exception):
    """Its key was destroyed: nobody can read it any more."""


def subject_of(hmacs: Hmacs, request: dict[str, Any], held_id: str) -> str:
    """Whose keys encrypt it: the user whom the request names, else the request itself."""
    user = request.get("user")
    return hmacs.subject(user) if isinstance(user, str) else f"r-{held_id}"


class Envelopes:
    """Makes and opens the lines. Reads and writes key files, so it is called in a thread. Raises ConfigError."""

    def __init__(self, settings: HeldKeys, key: str) -> None:
        try:
            wrapping_key = read_key(settings.wrapping_key)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"{key}.wrapping_key: {settings.wrapping_key} cannot be used: {error}."
            ) from None
        self._keys, self.votes = Keys(settings.keys, wrapping_key), Votes(wrapping_key)
        self.folder = settings.keys

    def first(self, held_id: str, subject: str, days: int, request: dict[str, Any], answer: bytes) -> bytes:
        """The line of a held answer. Raises OSError, or ValueError of the keys."""
        day = datetime.now(UTC).date().isoformat()
        return encrypt(self._keys, key_name(subject, days), day, held_id, request, answer, cut=False)

    def beside(self, line: bytes, name: str, text: bytes) -> bytes:
        """Another line under the same key. Raises Erased, OSError, ValueError."""
        envelope = parse(line)
        if self._keys.find(envelope["key"], envelope["day"]) is None:
            raise Erased
        return encrypt(self._keys, envelope["key"], envelope["day"], name, {}, text, cut=False)

    def open(self, line: bytes, name: str) -> dict[str, Any]:
        """`asked` and `answer` of the line of that name. Raises Erased, OSError; ValueError on what was altered."""
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
        ) as error:  # whatever was put in its place
            raise ValueError(f"it was altered: {type(error).__name__}") from None
        if exchange is None:
            raise Erased
        return exchange


def correction_name(held_id: str) -> str:
    """By which a correction's line is bound to its place. Which of several is meant, the votes say."""
    return f"{held_id}.correction"


def note_name(held_id: str, version: int) -> str:
    """By which the note on an act is."""
    return f"{held_id}.note.{version}"

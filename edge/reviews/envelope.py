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


def subject_of(hmacs: Hmacs, asked: dict[str, Any], held: str) -> str:
    """Whose keys encrypt it: the user whom the request names, else the request itself."""
    user = asked.get("user")
    return hmacs.subject(user) if isinstance(user, str) else f"r-{held}"


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

    def first(self, held: str, subject: str, days: int, asked: dict[str, Any], answer: bytes) -> bytes:
        """The line of a held answer. Raises OSError, or ValueError of the keys."""
        day = datetime.now(UTC).date().isoformat()
        return encrypt(self._keys, key_name(subject, days), day, held, asked, answer, cut=False)

    def beside(self, line: bytes, name: str, text: bytes) -> bytes:
        """Another line under the same key. Raises Erased, OSError, ValueError."""
        kept = parse(line)
        if self._keys.find(kept["key"], kept["day"]) is None:
            raise Erased
        return encrypt(self._keys, kept["key"], kept["day"], name, {}, text, cut=False)

    def open(self, line: bytes, name: str) -> dict[str, Any]:
        """`asked` and `answer` of the line of that name. Raises Erased, OSError; ValueError on what was altered."""
        try:
            if parse(line)["id"] != name:
                raise ValueError("it is another answer's")
            said = decrypt(self._keys, line)
        except (
            ValueError,
            KeyError,
            TypeError,
            Broken,
            zlib.error,
        ) as error:  # whatever was put in its place
            raise ValueError(f"it was altered: {type(error).__name__}") from None
        if said is None:
            raise Erased
        return said


def correction_name(held: str) -> str:
    """By which a correction's line is bound to its place. Which of several is meant, the votes say."""
    return f"{held}.correction"


def note_name(held: str, version: int) -> str:
    """By which the note on an act is."""
    return f"{held}.note.{version}"

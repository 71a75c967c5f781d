"""An approval, sealed under a key that the database never sees.

Whoever writes in the database could call an answer approved. A gateway gives nothing out on that word: it counts the
votes of different people that bear this seal, each for the very ciphertext that it is about to open.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import NamedTuple

from edge.audit.records import canonical, digest


class Vote(NamedTuple):
    """As the database holds it."""

    edition: int
    by: str
    sealed: bytes


class Votes:
    """Under the key that wraps the content keys, so that who can open an answer can check who approved it."""

    def __init__(self, wrapping_key: bytes) -> None:
        self._key = hmac.digest(wrapping_key, b"isthmus review vote 1", hashlib.sha256)

    def seal(self, held_id: str, edition: int, by: str, line: bytes) -> bytes:
        """One person's approval of one ciphertext."""
        vote = canonical({"held": held_id, "edition": edition, "by": by, "sha256": digest(line)})
        return hmac.digest(self._key, vote, hashlib.sha256)

    def good(self, held_id: str, edition: int, line: bytes, votes: Iterable[Vote]) -> set[str]:
        """Who has approved this ciphertext in this edition."""
        return {
            vote.by
            for vote in votes
            if vote.edition == edition
            and hmac.compare_digest(vote.sealed, self.seal(held_id, edition, vote.by, line))
        }

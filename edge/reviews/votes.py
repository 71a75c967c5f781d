"""Approvals, sealed under a key that the database does not have.

Someone with write access to the database could mark an answer as approved. So a gateway does not trust the state: it
counts the votes of different people with a valid seal for exactly the ciphertext that it opens.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import NamedTuple

from edge.audit.records import canonical, digest


class Vote(NamedTuple):
    """A vote in the database."""

    edition: int
    by: str
    sealed: bytes


class Votes:
    """Seals and verifies votes.

    The key derives from the wrapping key, so every process that can open an answer can verify.
    """

    def __init__(self, wrapping_key: bytes) -> None:
        self._key = hmac.digest(wrapping_key, b"isthmus review vote 1", hashlib.sha256)

    def seal(self, held_id: str, edition: int, by: str, line: bytes) -> bytes:
        """Seal a person's approval of a ciphertext."""
        vote = canonical({"held": held_id, "edition": edition, "by": by, "sha256": digest(line)})
        return hmac.digest(self._key, vote, hashlib.sha256)

    def good(self, held_id: str, edition: int, line: bytes, votes: Iterable[Vote]) -> set[str]:
        """Return the people who have approved this ciphertext in this edition."""
        return {
            vote.by
            for vote in votes
            if vote.edition == edition
            and hmac.compare_digest(vote.sealed, self.seal(held_id, edition, vote.by, line))
        }

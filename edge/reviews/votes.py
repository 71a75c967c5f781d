"""Approvals, sealed under a key that the database does not have.

Someone with write access to the database could mark an answer as approved. So a gateway does not trust the state: it
counts the votes of different people with a valid seal for exactly the ciphertext that it opens.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import Any, NamedTuple

from edge.audit.records import canonical, digest


def planted_name(held_id: str) -> str:
    """The name under which votes on a planted answer are sealed. Gateways count votes on `held_id` alone."""
    return f"{held_id}.planted"


class Vote(NamedTuple):
    """A vote in the database."""

    edition: int
    by: str
    sealed: bytes


VOTES = """
       ARRAY(SELECT v.by FROM isthmus.review_votes v WHERE (v.id, v.edition) = (h.id, h.edition) ORDER BY v.by) AS by,
       ARRAY(SELECT v.sealed FROM isthmus.review_votes v WHERE (v.id, v.edition) = (h.id, h.edition) ORDER BY v.by)
           AS sealed
"""
"""Columns of a query of `isthmus.held h` for `votes_of`, which also needs its edition."""


def votes_of(row: Any) -> list[Vote]:
    """The votes on a held answer in its edition."""
    return [Vote(row["edition"], by, sealed) for by, sealed in zip(row["by"], row["sealed"], strict=True)]


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

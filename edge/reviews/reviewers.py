"""Who decides: people by keys of their own or by their certificates, never an application's."""

from __future__ import annotations

import re
from dataclasses import dataclass

from starlette.requests import Request

from edge.callers.store import digest_of
from edge.config import DataClass, ReviewsConfig
from edge.database import Database, DatabaseDown
from edge.openai_api import Refusal

PREFIX = "isr_"
SHAPE = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")
"""32 bytes in base64url, as a caller's key (`isk_`) and never taken for one."""
_FIND = """
SELECT id, reviewer, class, workloads, senior, revoked_at IS NOT NULL AS revoked,
       coalesce(not_after <= clock_timestamp(), false) AS expired
FROM isthmus.reviewer_keys WHERE digest = $1
"""


@dataclass(frozen=True)
class Person:
    """Who looks at answers, and at whose."""

    name: str
    identity: str
    """`key:` and the key's id, or `certificate:` and the name: for records, no secret."""
    workloads: list[str] | None
    """None: all of the class."""
    senior: bool
    """Whether this person decides what was escalated."""

    def may(self, workload: str) -> bool:
        return self.workloads is None or workload in self.workloads


class Reviewers:
    """Of one class. Keys are looked up each time: people are few, and a revoked key decides nothing more."""

    def __init__(self, config: ReviewsConfig, database: Database) -> None:
        self._class: DataClass = config.data_class
        self._database = database
        self._by_client = {
            reviewer.client if "://" in reviewer.client else reviewer.client.lower(): reviewer
            for reviewer in config.reviewers
        }

    async def person(self, request: Request) -> Person:
        """Whose request this is. Raises Refusal 401, 403 or 503."""
        values = request.headers.getlist("authorization")
        if not values:
            return self._by_certificate(getattr(request.state, "client_names", frozenset()))
        scheme, _, key = values[0].partition(" ") if len(values) == 1 else ("", "", "")
        key = key.strip()
        if scheme.lower() != "bearer" or not SHAPE.fullmatch(key):
            raise _unknown()
        try:
            rows = await self._database.fetch(_FIND, digest_of(key))
        except DatabaseDown:
            raise unavailable() from None
        if not rows:
            raise _unknown()
        row = rows[0]
        if row["revoked"] or row["expired"]:
            code = "revoked_api_key" if row["revoked"] else "expired_api_key"
            raise Refusal(401, code, f"The key {row['id']} is not good any more; ask for a new one.")
        if row["class"] != self._class:
            raise Refusal(
                403, "wrong_class", f"Here is class {self._class}; the key {row['id']} is of another."
            )
        return Person(row["reviewer"], f"key:{row['id']}", row["workloads"], row["senior"])

    def _by_certificate(self, client_names: frozenset[str]) -> Person:
        client_and_reviewer = {
            self._by_client[name].name: (name, self._by_client[name])
            for name in client_names
            if name in self._by_client
        }
        if len(client_and_reviewer) != 1:
            raise _unknown()
        ((client, reviewer),) = client_and_reviewer.values()
        return Person(reviewer.name, f"certificate:{client}", reviewer.workloads, reviewer.senior)


def unavailable() -> Refusal:
    """The database does not answer: nothing was decided, or nobody knows whether it was."""
    return Refusal(
        503, "reviews_unavailable", "Nothing can be decided now; look at the answer again in a moment."
    )


def _unknown() -> Refusal:
    return Refusal(401, "invalid_api_key", "Send a reviewer's key as Authorization: Bearer isr_….")

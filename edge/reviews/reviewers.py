"""Identifies reviewers by their own keys or certificates. Applications' keys are not accepted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import Request

from edge.callers.store import digest_of
from edge.config import DataClass, ReviewsConfig
from edge.config.desk import BOARD_ROLES, SEEING_ROLES, Role
from edge.database import Database, DatabaseDown
from edge.openai_api import Refusal

PREFIX = "isr_"
SHAPE = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")
"""32 bytes in base64url. The prefix differs from that of callers' keys (`isk_`)."""
_FIND = """
SELECT id, reviewer, class, workloads, senior, revoked_at IS NOT NULL AS revoked,
       coalesce(not_after <= clock_timestamp(), false) AS expired
FROM isthmus.reviewer_keys WHERE digest = $1
"""
BOARD_SCOPE = "class = $1 AND site = $2 AND ($3 OR domain = ANY ($4) OR workload = ANY ($5))"
"""SQL condition on the answers of a class, a site and `Person.board_scope()`."""


@dataclass(frozen=True)
class Scope:
    """Answers for which a person has a role: of some workloads, of some domains, or all of the class."""

    role: Role
    workloads: frozenset[str] | None = None
    domains: frozenset[str] | None = None
    team: str = ""
    """The person's groups of the sign-on that have this role. Empty: a key or a certificate has it."""

    @property
    def is_everything(self) -> bool:
        """Whether it holds all answers of the class."""
        return self.workloads is None and self.domains is None

    def holds(self, workload: str, domain: str | None) -> bool:
        """Whether an answer of this workload and domain is in it."""
        return self.is_everything or workload in (self.workloads or ()) or domain in (self.domains or ())


@dataclass(frozen=True)
class Person:
    """A reviewer, an auditor or an owner, and the answers for which this person has a role."""

    name: str
    identity: str
    """`key:` and the key's id, `certificate:` and the name, or `person:` and a pseudonym: for records, no secret."""
    scopes: tuple[Scope, ...]

    def may_see(self, workload: str, domain: str | None) -> bool:
        """Whether this person may read where an answer stands, and its acts."""
        return not self._roles(workload, domain).isdisjoint(SEEING_ROLES)

    def may_decide(self, workload: str, domain: str | None) -> bool:
        """Whether this person may read an answer's content and decide on it."""
        return not self._roles(workload, domain).isdisjoint(("reviewer", "senior"))

    def team_of(self, workload: str, domain: str | None) -> str:
        """The group of reviewers as which this person decides on an answer: the first that the desk's settings name.
        Empty for a key or a certificate.
        """
        return next(
            (
                scope.team
                for scope in self.scopes
                if scope.role in ("reviewer", "senior") and scope.holds(workload, domain)
            ),
            "",
        )

    def board_scope(self) -> tuple[bool, list[str], list[str]]:
        """Of which answers this person reads figures: of all, or of these domains or workloads."""
        scopes = [scope for scope in self.scopes if scope.role in BOARD_ROLES]
        return (
            any(scope.is_everything for scope in scopes),
            sorted({name for scope in scopes for name in scope.domains or ()}),
            sorted({name for scope in scopes for name in scope.workloads or ()}),
        )

    @property
    def reads_board(self) -> bool:
        """Whether this person may read the figures of some answers."""
        return any(scope.role in BOARD_ROLES for scope in self.scopes)

    @property
    def reads_board_only(self) -> bool:
        """Whether this person reads figures and nothing else: no list, no item, no stop."""
        return all(scope.role == "owner" for scope in self.scopes)

    def is_senior(self, workload: str, domain: str | None) -> bool:
        """Whether this person may decide an escalated answer."""
        return "senior" in self._roles(workload, domain)

    def _roles(self, workload: str, domain: str | None) -> set[Role]:
        return {scope.role for scope in self.scopes if scope.holds(workload, domain)}


def scope_of(workloads: Sequence[str] | None, *, senior: bool) -> Scope:
    """The scope of a key or a certificate. `workloads` None: all workloads of the class."""
    return Scope("senior" if senior else "reviewer", None if workloads is None else frozenset(workloads))


class Reviewers:
    """The reviewers of one class. Keys are looked up for each request, so that a revoked key has no effect."""

    def __init__(self, config: ReviewsConfig, database: Database) -> None:
        self._class: DataClass = config.data_class
        self._database = database
        self._by_client = {
            reviewer.client if "://" in reviewer.client else reviewer.client.lower(): reviewer
            for reviewer in config.reviewers
        }

    async def person(self, request: Request) -> Person:
        """The reviewer who sent a request. Raises Refusal 401, 403 or 503."""
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
            raise Refusal(401, code, f"The key {row['id']} is revoked or expired. Ask for a new one.")
        if row["class"] != self._class:
            raise Refusal(
                403,
                "wrong_class",
                f"This service reviews class {self._class}, but the key {row['id']} is for another class.",
            )
        scope = scope_of(row["workloads"], senior=row["senior"])
        return Person(row["reviewer"], f"key:{row['id']}", (scope,))

    def _by_certificate(self, client_names: frozenset[str]) -> Person:
        client_and_reviewer = {
            self._by_client[name].name: (name, self._by_client[name])
            for name in client_names
            if name in self._by_client
        }
        if len(client_and_reviewer) != 1:
            raise _unknown()
        ((client, reviewer),) = client_and_reviewer.values()
        scope = scope_of(reviewer.workloads, senior=reviewer.senior)
        return Person(reviewer.name, f"certificate:{client}", (scope,))


def unavailable() -> Refusal:
    """The error if the database does not answer, so that it is unknown whether an act happened."""
    return Refusal(
        503,
        "reviews_unavailable",
        "The database does not answer now. Read the answer again in a moment, and decide then.",
    )


def _unknown() -> Refusal:
    return Refusal(401, "invalid_api_key", "Send a reviewer's key as Authorization: Bearer isr_….")

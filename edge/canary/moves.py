"""Moves of releases in PostgreSQL, as a gateway reads them: only signed ones in their order count."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from edge.canary.move import Move
from edge.canary.stops import CanaryName
from edge.database import Database

_READ = """
SELECT class, site, workload, model, release, number, act, from_percent, to_percent, steps, by, reason,
    signed, signature, approved_by, approval
FROM isthmus.release_moves WHERE (class, site) = ($1, $2) AND release = ANY ($3::text[]) ORDER BY number
"""
_FOLLOW = """
INSERT INTO isthmus.release_following (class, site, workload, number, copy, gateway)
VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING
"""
_RULE = "SELECT isthmus.release_rule($1, $2, $3, $4, $5, $6, $7::timestamptz[], $8::timestamptz[])"
_MOST_VERIFIED = 1000


@dataclass
class Release:
    """What the moves of one release say."""

    last: Move | None = None
    """The last move that counts."""
    signature: str = ""
    """Of the last move."""
    approved_by: str = ""
    """Who approved the last move. Empty: nobody."""
    approval: str = ""
    """Their signature."""
    invalid: dict[int, str] = field(default_factory=dict[int, str])
    """Number → why this move does not count."""

    def take(
        self, move: Move, signature: str, problem: str, *, approved_by: str = "", approval: str = ""
    ) -> None:
        """Take the next move of the release. `problem`: why it is not what a person signed; empty: it is."""
        if problem := problem or move.problem_after(self.last):
            self.invalid[move.number] = problem
        else:
            self.last, self.signature = move, signature
            self.approved_by, self.approval = approved_by, approval

    def percent(self, steps: Sequence[float]) -> float:
        """The share in force. 0 if it was not reached by the gateway's own steps, each of them."""
        if self.last is None:
            return 0.0
        share = self.last.to_percent
        reached = [step for step in self.last.steps if step <= share]
        return share if share in steps and reached == [step for step in steps if step <= share] else 0.0


@dataclass(frozen=True)
class ReleaseRules:
    """Whose moves count at a gateway, and when."""

    releasers: Sequence[str]
    """Public keys of those who may move releases."""
    two_people: frozenset[str] = frozenset()
    """Workloads of which each move needs a second person."""
    freezes: Sequence[tuple[datetime, datetime]] = ()
    """Times in which no release moves on, each from its begin to before its end."""


class ReleaseMoves:
    """The moves of one class and site."""

    def __init__(
        self, database: Database, data_class: str, site: str, gateway: str, rules: ReleaseRules
    ) -> None:
        """`gateway`: its name."""
        self._database, self._place = database, (data_class, site)
        self._gateway, self._copy, self._rules = gateway, uuid.uuid4(), rules
        self._verified: dict[tuple[str, str, str, str], str] = {}
        self._stated: set[CanaryName] = set()
        """Releases of which this copy has stated the rules."""

    async def read(self, canaries: Sequence[CanaryName]) -> Mapping[CanaryName, Release]:
        """What the moves say of each of these canaries. Raises DatabaseDown."""
        for name in canaries:
            if name not in self._stated:
                await self._state(name)
                self._stated.add(name)
        releases = {name: Release() for name in canaries}
        names = sorted({name.release for name in canaries})
        for row in await self._database.fetch(_READ, *self._place, names):
            release = releases.get(CanaryName(row["workload"], row["model"], row["release"]))
            if release is None:
                continue
            move = Move.from_row(row)
            approval = row["approval"]
            problem = self._problem(move, row["signed"], row["signature"], approval)
            approved_by = row["approved_by"]
            release.take(move, row["signature"], problem, approved_by=approved_by, approval=approval)
        return releases

    async def _state(self, name: CanaryName) -> None:
        """Tell the database the rules of a release, which its function enforces."""
        begins = [begin for begin, _ in self._rules.freezes]
        ends = [end for _, end in self._rules.freezes]
        needs_two = name.workload in self._rules.two_people
        await self._database.fetch(_RULE, *self._place, *name, needs_two, begins, ends)

    async def confirm(self, move: Move) -> None:
        """Note that this copy follows a move. Raises DatabaseDown."""
        await self._database.fetch(
            _FOLLOW, *self._place, move.workload, move.number, self._copy, self._gateway
        )

    def _problem(self, move: Move, signed: str, signature: str, approval: str) -> str:
        key = (move.text(), signed, signature, approval)
        if key not in self._verified:
            if len(self._verified) >= _MOST_VERIFIED:
                self._verified.clear()
            needs_two = move.workload in self._rules.two_people
            self._verified[key] = move.people_problem(
                signed, signature, approval, self._rules.releasers, needs_two=needs_two
            )
        return self._verified[key]

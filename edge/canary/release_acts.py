"""What people do to releases in PostgreSQL: move one, and read where it stands. A function of the database enforces the
order of moves (`edge.database.release_moves`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from edge.canary.move import Act, Move, following_step
from edge.canary.stops import CanaryName
from edge.openai_api import Refusal

_MOVE = "SELECT * FROM isthmus.release_move($1, $2)"
_PROPOSE = "SELECT * FROM isthmus.release_propose($1, $2)"
_APPROVE = "SELECT * FROM isthmus.release_approve($1, $2)"
_PROPOSAL = """
SELECT at, signed, signature, at < clock_timestamp() - interval '1 day' AS expired
FROM isthmus.release_proposals WHERE (class, site, workload) = ($1, $2, $3)
"""
_MOVES = """
SELECT m.*, ARRAY(
    SELECT f.gateway FROM isthmus.release_following f
    WHERE (f.class, f.site, f.workload, f.number) = (m.class, m.site, m.workload, m.number) ORDER BY f.at
) AS following
FROM isthmus.release_moves m WHERE (class, site, workload) = ($1, $2, $3) ORDER BY number
"""
_STOPS = """
SELECT model, release, gateway, answered, failed, stopped_at FROM isthmus.canary_stops
WHERE (class, site, workload) = ($1, $2, $3)
"""
_UNDER_WAY = "SELECT isthmus.release_under_way($1, $2, $3)"
_USER = "SELECT session_user::text"
MOVED_MEANWHILE = "moved_meanwhile"
ABORTED, NEEDS_APPROVAL = "aborted", "needs_approval"
"""Outcomes of the database's function: somebody moved meanwhile, the release is aborted already, a move needs two
people."""
_REFUSALS = {
    "another_person": "The move names another person than the database's user.",
    MOVED_MEANWHILE: "Somebody else moved a release of this workload meanwhile. Look at its status, then try again.",
    ABORTED: "The release was aborted before. It comes back under another name only.",
    "stopped": "The release is stopped, because its canary failed. It comes back under another name only.",
    "started_before": "The release was started before. Move it with `next`.",
    "under_way": "Another release of this workload is under way. Abort it first, or bring it to 100 %.",
    "not_started": "The release was not started.",
    "other_steps": "The release was started with other steps. Restore them, or abort it and start another release.",
    "complete": "The release has reached its last step.",
    "wrong_step": "The move does not lead to the following step.",
    "frozen": "No release moves on now: the platform states a freeze. An abort is possible.",
    NEEDS_APPROVAL: "A move of this workload needs two people: one proposes it, another one approves it.",
    "not_proposed": "Nobody proposed this move.",
    "same_person": "You proposed this move yourself. Another person approves it.",
    "proposal_old": "The move was proposed more than a day ago. Propose it again.",
}


@dataclass(frozen=True)
class Made:
    """A move in the database."""

    move: Move
    signed: str
    signature: str
    at: datetime
    following: list[str]
    """Gateways of the copies that said they follow it, the first one first."""
    approved_by: str = ""
    """Database user of the second person. Empty: nobody approved it."""
    approval: str = ""
    """Their signature."""


@dataclass(frozen=True)
class Proposal:
    """A move that waits for the approval of another person."""

    move: Move
    signature: str
    at: datetime
    expired: bool
    """Whether it is more than a day old, so that the database refuses an approval."""


@dataclass(frozen=True)
class Stopped:
    """A stop of a release for good, by a gateway or by an abort."""

    at: datetime
    gateway: str
    """The gateway whose copy stopped it; of an abort, the person."""
    answered: int
    failed: int


@dataclass(frozen=True)
class Moves:
    """All moves of a workload's releases at one class and site, as a person sees them."""

    place: tuple[str, str]
    workload: str
    user: str
    """The database's user, who reads."""
    made: list[Made]
    stops: dict[tuple[str, str], Stopped]
    """By model and release."""
    under_way: str | None
    """The release that is under way."""
    proposal: Proposal | None = None
    """The move that waits for an approval, unless another one was made meanwhile."""

    def of(self, name: CanaryName) -> list[Made]:
        """The moves of one release."""
        return [
            made for made in self.made if (made.move.model, made.move.release) == (name.model, name.release)
        ]

    def following(self, name: CanaryName, act: Act, steps: Sequence[float], reason: str) -> Move:
        """The move that an act would make now. Whether it is in order, the database decides."""
        made = self.of(name)
        percent = made[-1].move.to_percent if made else 0.0
        target = 0.0 if act == "abort" else following_step(steps, percent if act == "next" else 0.0)
        return Move(
            *self.place,
            workload=name.workload,
            model=name.model,
            release=name.release,
            number=self.made[-1].move.number + 1 if self.made else 1,
            act=act,
            from_percent=0.0 if act == "start" else percent,
            to_percent=percent if target is None else target,
            steps=tuple(steps),
            by=self.user,
            reason=reason,
        )


async def read(connection: Any, place: tuple[str, str], workload: str) -> Moves:
    """Where the releases of a workload stand. `place`: class and site."""
    rows = await connection.fetch(_MOVES, *place, workload)
    stops = await connection.fetch(_STOPS, *place, workload)
    return Moves(
        place,
        workload,
        await connection.fetchval(_USER),
        [
            Made(
                Move.from_row(row),
                row["signed"],
                row["signature"],
                row["at"],
                list(row["following"]),
                row["approved_by"],
                row["approval"],
            )
            for row in rows
        ],
        {
            (row["model"], row["release"]): Stopped(
                row["stopped_at"], row["gateway"], row["answered"], row["failed"]
            )
            for row in stops
        },
        await connection.fetchval(_UNDER_WAY, *place, workload),
        _waiting(await connection.fetch(_PROPOSAL, *place, workload), rows[-1]["number"] if rows else 0),
    )


def _waiting(rows: Sequence[Any], last: int) -> Proposal | None:
    """The move that waits. `last`: number of the last move that was made.

    The database stores any JSON that leads to the following step. A text that is not exactly a move cannot be approved
    so that it counts, and must not keep others from reading and aborting the release: it is as if nobody proposed it.
    """
    for row in rows:
        try:
            move = Move.from_text(row["signed"])
            is_move = move.text() == row["signed"]
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            continue
        if is_move and move.number == last + 1:
            return Proposal(move, row["signature"], row["at"], row["expired"])
    return None


async def make(connection: Any, move: Move, signature: str) -> None:
    """Make a move. Raises Refusal 409 with the outcome of the database as its code."""
    _require("moved", await connection.fetchval(_MOVE, move.text(), signature))


async def propose(connection: Any, move: Move, signature: str) -> None:
    """Propose a move that another person approves. Replaces the workload's last proposal. Raises Refusal 409."""
    _require("proposed", await connection.fetchval(_PROPOSE, move.text(), signature))


async def approve(connection: Any, move: Move, approval: str) -> None:
    """Make a move that another person has proposed. Raises Refusal 409."""
    _require("moved", await connection.fetchval(_APPROVE, move.text(), approval))


def _require(wanted: str, outcome: str) -> None:
    if outcome != wanted:
        raise Refusal(409, outcome, _REFUSALS[outcome])

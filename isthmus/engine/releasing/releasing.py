"""Moves a release in the database of each gateway, as the person's own database user, and reads where it stands."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

from edge import ssh_signatures
from edge.canary import release_acts
from edge.canary.move import APPROVAL, NAMESPACE, Act, Move
from edge.canary.moves import Release
from edge.canary.release_acts import Made, Moves, Proposal, Stopped
from edge.canary.stops import CanaryName
from edge.config import ConfigError
from edge.config.database import read_database_settings
from edge.database import Database, DatabaseDown
from edge.openai_api import Refusal
from isthmus.core.errors import EnvironmentFault, InputError, IsthmusError, Refused, join
from isthmus.engine.releasing import judged
from isthmus.engine.releasing.judged import Judgement
from isthmus.engine.releasing.stated import StatedRelease

FOLLOWED_S = 6.0
"""Seconds to wait until a gateway says that it follows a move. Each does within 5 s."""
LOOK_S = 0.2
TRIES = 3
"""Tries of an abort while others move releases of the workload."""
T = TypeVar("T")


@dataclass(frozen=True)
class Wish:
    """What a person wants to do to a release."""

    act: Act | Literal["approve"]
    """`approve`: make the move that another person has proposed."""
    reason: str
    signing_key: bytes
    """Content of the file of an Ed25519 private key."""
    release: str | None = None
    """Another release than the platform's: it can only be aborted."""
    early: bool = False
    """For `next`: although the outcomes do not say enough yet."""


@dataclass(frozen=True)
class Standing:
    """Where a release stands at one gateway."""

    name: CanaryName
    percent: float
    """The share in force."""
    steps: tuple[float, ...]
    moves: list[Made]
    invalid: dict[int, str]
    """Number of a move → why it does not count."""
    stopped: Stopped | None
    """Absent: neither a gateway nor a person stopped it for good."""
    under_way: str | None
    """The workload's release that is under way, which may be another one."""
    judgement: Judgement | None = None
    """What the outcomes say; None: of another release than the platform's."""
    proposal: Proposal | None = None
    """A move that waits for the approval of another person, or waited until it expired. None: also if it is stopped."""

    @property
    def state(self) -> str:
        """`not started`, `under way`, `complete`, `aborted` or `stopped`."""
        if self.moves and self.moves[-1].move.act == "abort":
            return "aborted"
        if self.stopped is not None:
            return "stopped"
        if not self.moves:
            return "not started"
        return "complete" if self.percent == 100 else "under way"

    @property
    def following(self) -> list[str]:
        """Gateways of copies that say they follow the last move."""
        return sorted(set(self.moves[-1].following)) if self.moves else []


@dataclass(frozen=True)
class AtGateway:
    """What came of it at one gateway."""

    release: StatedRelease
    moved: bool
    """Whether the act changed something. False: the release was aborted before, or only its status was asked."""
    standing: Standing | None
    error: IsthmusError | None
    """Why nothing was done."""


def move_everywhere(
    releases: Sequence[StatedRelease], files: Callable[[StatedRelease], Path], wish: Wish
) -> list[AtGateway]:
    """Move the release at each gateway, side by side. One that fails does not keep the others from it.

    `files`: the person's access to a gateway's database.
    """

    def move(release: StatedRelease) -> tuple[bool, Standing]:
        async def work(database: Database) -> tuple[bool, Standing]:
            is_moved, standing = await _move(database, release, wish)
            return is_moved, await _judged(database, release, standing)

        return _in_database(files(release), work)

    return _everywhere(releases, move)


def status_everywhere(
    releases: Sequence[StatedRelease], files: Callable[[StatedRelease], Path], other: str | None
) -> list[AtGateway]:
    """Where the release stands at each gateway. `other`: another release than the platform's."""

    def look(release: StatedRelease) -> tuple[bool, Standing]:
        async def work(database: Database) -> Standing:
            return await _judged(database, release, await _standing(database, release, other))

        return False, _in_database(files(release), work)

    return _everywhere(releases, look)


def joined(results: Sequence[AtGateway]) -> IsthmusError | None:
    """The error of all gateways at which something failed, or None."""
    errors = [result.error for result in results if result.error is not None]
    for result in results:
        standing = result.standing
        if standing is None or standing.name != result.release.name:
            continue  # no gateway serves another release than the platform's
        if result.moved and not standing.following:
            errors.append(
                EnvironmentFault(
                    "the move is stored, but no copy of the gateway has said that it follows",
                    where=result.release.where,
                    fix="Check that its pods run and reach the database. A copy without it sends the candidate nothing",
                )
            )
    return join(errors) if errors else None


def _everywhere(
    releases: Sequence[StatedRelease], work: Callable[[StatedRelease], tuple[bool, Standing]]
) -> list[AtGateway]:
    def at(release: StatedRelease) -> AtGateway:
        try:
            return AtGateway(release, *work(release), None)
        except IsthmusError as error:
            return AtGateway(release, False, None, error)

    with ThreadPoolExecutor(len(releases)) as pool:
        return list(pool.map(at, releases))


def _in_database(file: Path, work: Callable[[Database], Awaitable[T]]) -> T:
    """Work in a database. Raises `InputError`, `Refused` or `EnvironmentFault`."""

    async def once() -> T:
        database = Database(read_database_settings(file))
        try:
            return await work(database)
        finally:
            await database.close()

    try:
        return asyncio.run(once())
    except ConfigError as error:
        raise InputError(str(error), where=str(file)) from None
    except DatabaseDown as error:
        raise _fault(file, str(error)) from None


def _fault(file: Path, name: str) -> IsthmusError:
    if name == "InsufficientPrivilegeError":
        return Refused(
            "your database user may not move releases",
            where=str(file),
            fix="Ask for `python -m edge.keys --database FILE migrate --operators-user USER` (docs/release.md)",
        )
    if name in ("UndefinedTableError", "UndefinedFunctionError", "InvalidSchemaNameError"):
        return EnvironmentFault(
            "the database has no tables of releases",
            where=str(file),
            fix="Run `python -m edge.keys migrate` with the users of gateways and operators (docs/migrations.md)",
        )
    return EnvironmentFault(
        f"the database does not answer ({name})", where=str(file), fix="Check its address and your password"
    )


async def _move(database: Database, release: StatedRelease, wish: Wish) -> tuple[bool, Standing]:
    """Make a move, and wait until a copy of the gateway follows it."""
    for _ in range(TRIES):
        moves = await _read(database, release)
        name = _allowed_name(moves, release, wish)
        proposal = _proposal(moves, release) if wish.act == "approve" else None
        move = proposal.move if proposal is not None else _own_move(moves, release, wish, name)
        if move.act == "next":
            judgement = await judged.judge(database, release, move.from_percent, moves.of(release.name))
            judged.check(judgement, release, early=wish.early)
        signature = _signed(move, release, wish, proposal)
        is_proposed = proposal is None and release.two_people and move.act != "abort"
        act = release_acts.approve if proposal else release_acts.propose if is_proposed else release_acts.make
        try:
            await database.transaction(lambda connection: act(connection, move, signature))  # noqa: B023
        except Refusal as refusal:
            if wish.act == "abort" and refusal.code == release_acts.MOVED_MEANWHILE:
                continue
            if wish.act == "abort" and refusal.code == release_acts.ABORTED:
                return False, await _standing(database, release, wish.release)
            raise _refused(refusal, release, moves) from None
        if is_proposed:
            return False, await _standing(database, release, wish.release)
        return True, await _followed(database, release, wish.release)
    raise Refused("others move releases of this workload now", where=release.where, fix="Try again")


def _allowed_name(moves: Moves, release: StatedRelease, wish: Wish) -> CanaryName:
    """The release that a person wants to move. Raises `InputError` if it is another one than the platform's."""
    name = _named(moves, release, wish.release)
    if name != release.name and wish.act != "abort":
        raise InputError(
            f"the platform states release {release.name.release}, not {name.release}",
            where="--release",
            fix="Leave it out. Another release than the platform's can only be aborted",
        )
    return name


def _own_move(moves: Moves, release: StatedRelease, wish: Wish, name: CanaryName) -> Move:
    """The move that a person wants, as they sign it."""
    made = moves.of(name)
    steps = made[0].move.steps if made and name != release.name else release.steps
    assert wish.act != "approve", "whoever approves has a proposal"
    return moves.following(name, wish.act, steps, wish.reason)


def _proposal(moves: Moves, release: StatedRelease) -> Proposal:
    """The move that another person has proposed. Raises `Refused` if there is none, or if it would not count."""
    proposal = _proposal_of(moves, release.name)
    if proposal is None:
        raise Refused(
            "nobody proposed a move, or another one was made since",
            where=release.where,
            fix="Propose it with `start` or `next`",
        )
    move = proposal.move
    if problem := move.signing_problem(move.text(), proposal.signature, release.releasers):
        raise Refused(
            f"the move that {move.by} proposed would not count: {problem}",
            where=release.where,
            fix="Let somebody propose it whose key is in `releasers`",
        )
    return proposal


def _named(moves: Moves, release: StatedRelease, other: str | None) -> CanaryName:
    """The release that a person names. Raises `InputError` if nobody knows it."""
    if other is None or other == release.name.release:
        return release.name
    known = sorted({made.move.release for made in moves.made} | {release.name.release})
    if other not in known:
        raise InputError(
            f"there is no release `{other}` of {release.name.workload}",
            where="--release",
            fix=f"Choose one of: {', '.join(known)}",
        )
    return release.name._replace(release=other)


def _signed(move: Move, release: StatedRelease, wish: Wish, proposal: Proposal | None) -> str:
    """The person's signature. `proposal`: what it approves; None: it is a move of their own.

    Raises `InputError` if the key cannot sign, and `Refused` if it may not.
    """
    try:
        public_key = ssh_signatures.public_key_of(wish.signing_key)
        signature = ssh_signatures.sign(
            move.text(), APPROVAL if proposal is not None else NAMESPACE, wish.signing_key
        )
    except ssh_signatures.BadSignature as error:
        raise InputError(
            str(error), where="--signing-key", fix="Make one with `ssh-keygen -t ed25519 -N '' -f FILE`"
        ) from None
    if public_key not in [" ".join(key.split(" ")[:2]) for key in release.releasers]:
        raise Refused(
            "this key may not move releases here, so gateways would ignore the move",
            where=release.where,
            fix=f"Add `{public_key} NAME` to the gateway's `releasers`, and run `isthmus up`",
        )
    if proposal is not None and (
        problem := move.approval_problem(proposal.signature, signature, release.releasers)
    ):
        raise Refused(
            f"your approval would not count: {problem}",
            where=release.where,
            fix="Let another person approve it, with a key of their own in `releasers`",
        )
    return signature


def _refused(refusal: Refusal, release: StatedRelease, moves: Moves) -> Refused:
    """The error for a person whose move the database refuses."""
    fixes = {
        "aborted": "Give the release a new name in the overrides, and run `isthmus up`",
        "stopped": "Look at `status`, give the release a new name in the overrides, and run `isthmus up`",
        "started_before": "Move it with `next`",
        "under_way": f"Abort it first: `abort --release {moves.under_way}`",
        "not_started": "Move it with `start`",
        "other_steps": "Restore the steps that `status` shows, or abort it and start another release",
        "frozen": "Wait for its end (`release_freezes` of the gateway), or `abort`",
        "needs_approval": "This release was stated with two people, and the database keeps that. Restore "
        "`impact: high` and approve it, or abort it and start it under another name",
        "same_person": "Let another person run `approve`",
        "proposal_old": "Propose it again with `start` or `next`",
        "complete": "Make the candidate the workload's endpoint (docs/release.md), or `abort`",
    }
    return Refused(refusal.message, where=release.where, fix=fixes.get(refusal.code, "Look at `status`"))


async def _followed(database: Database, release: StatedRelease, other: str | None) -> Standing:
    """Where a release stands as soon as a copy follows its last move, or after `FOLLOWED_S`."""
    end = time.monotonic() + FOLLOWED_S
    while not (standing := await _standing(database, release, other)).following:
        if time.monotonic() > end or standing.name != release.name:
            break  # no gateway serves another release than the platform's
        await asyncio.sleep(LOOK_S)
    return standing


async def _read(database: Database, release: StatedRelease) -> Moves:
    return await database.transaction(
        lambda connection: release_acts.read(connection, release.place, release.name.workload)
    )


async def _standing(database: Database, release: StatedRelease, other: str | None) -> Standing:
    moves = await _read(database, release)
    name = _named(moves, release, other)
    made, counted = moves.of(name), Release()
    for entry in made:
        problem = entry.move.people_problem(
            entry.signed, entry.signature, entry.approval, release.releasers, needs_two=release.two_people
        )
        counted.take(entry.move, entry.signature, problem)
    stopped = moves.stops.get((name.model, name.release))
    is_stated = name == release.name
    return Standing(
        name,
        counted.percent(release.steps) if stopped is None and is_stated else 0.0,
        release.steps if is_stated else made[0].move.steps if made else (),
        made,
        counted.invalid,
        stopped,
        moves.under_way,
        proposal=_proposal_of(moves, name) if stopped is None else None,
    )


def _proposal_of(moves: Moves, name: CanaryName) -> Proposal | None:
    """The proposed move of one release."""
    proposal = moves.proposal
    if proposal is None or (proposal.move.model, proposal.move.release) != (name.model, name.release):
        return None
    return proposal


async def _judged(database: Database, release: StatedRelease, standing: Standing) -> Standing:
    """The standing with what the outcomes say, which may be many rows: read once, when it stands still."""
    if standing.name != release.name:
        return standing
    judgement = await judged.judge(database, release, standing.percent, standing.moves)
    return replace(standing, judgement=judgement)

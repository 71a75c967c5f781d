"""Decides for each request whether the canary serves it, and stops a canary that fails.

With a database, a stop is written there first and for good, and every copy of the gateway reads it each second. A copy
whose reading is older than `FRESH_S` sends the canary nothing. Without a database each copy stops for itself, until it
is started again.

The share of a canary with `steps` is that of the last move of its release, which is read with the stops.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge.audit.auditor import Auditor
from edge.audit.log import Unrecorded
from edge.canary.judge import Judge
from edge.canary.move import Move
from edge.canary.moves import Release, ReleaseMoves
from edge.canary.share import Share, unit_of
from edge.canary.stops import CanaryName, CanaryStops
from edge.database import DatabaseDown
from edge.exchange import Exchange
from edge.journal import write_line
from edge.metrics import Metrics
from edge.openai_api import Refusal
from edge.retried import Retried

if TYPE_CHECKING:
    from edge.config.routes import Canary
    from edge.routing.route import RoutedModel

LOOK_S = 1.0
"""Seconds between two readings."""
FRESH_S = 4.0
"""Age in seconds, of the last reading, above which the canary gets nothing."""
FAILURES = frozenset(("bad_gateway", "model_unavailable", "stream_cut", "stream_failed", "timeout"))
"""Codes of requests that the model, or its server, failed."""


class _Watched:
    """One canary."""

    def __init__(self, name: CanaryName, canary: Canary, key: bytes) -> None:
        self.name, self.judge, self.steps = name, Judge(), canary.steps
        self.percent, self._key = canary.percent, key
        self.share = Share(canary.percent, key, name.release)
        self.move: Move | None = None
        """The last move that counts."""
        self.invalid: set[int] = set()
        """Numbers of moves that do not count."""

    def set_percent(self, percent: float) -> None:
        """Take another share into force."""
        self.percent, self.share = percent, Share(percent, self._key, self.name.release)


@dataclass
class _Followed:
    """A move that this copy follows, and what has not been told of it yet."""

    move: Move
    release: Release
    percent: float
    """The share that this copy has taken into force."""
    confirmed: bool = False


class CanaryWatch:
    """The canaries of one gateway."""

    def __init__(
        self,
        models: list[RoutedModel],
        key: bytes,
        stops: CanaryStops | None,
        moves: ReleaseMoves | None,
        metrics: Metrics,
        auditor: Auditor | None,
    ) -> None:
        """`key`: the same in every copy, so that all of them choose the same people. `moves`: with `stops`."""
        self._stops, self._moves, self._metrics, self._auditor = stops, moves, metrics, auditor
        self._canaries = {
            id(model): _watched(model, key) for model in models if model.route.canary is not None
        }
        self._stopped: set[CanaryName] = set()
        self._read_at = float("-inf")
        self._untold = Retried(self._tell, DatabaseDown, Unrecorded)
        self._followed = Retried(self._tell_move, DatabaseDown, Unrecorded)
        for canary in self._canaries.values():
            metrics.note_canary(canary.name.workload, canary.name.model, is_stopped=False)
            self._note_percent(canary)

    def takes(
        self, model: RoutedModel, exchange: Exchange, payload: Mapping[str, Any], *, wanted: bool
    ) -> bool:
        """Whether the canary serves the request. From then on the request's end counts.

        `wanted`: whether an evaluation asks for the canary, which may be stopped or have no share. Raises Refusal 404
        if there is none.
        """
        canary = self._canaries.get(id(model))
        if exchange.evaluates:  # it says itself what it asks, and its requests say nothing of the traffic
            if wanted and canary is None:
                raise Refusal(404, "no_canary", "This model has no canary.")
            return wanted
        if canary is None or canary.name in self._stopped:
            return False
        taken = self.is_informed and canary.share.has(unit_of(exchange.person, payload))
        exchange.end_notes.append(lambda: self._note(canary, exchange, taken))
        return taken

    def is_stopped(self, model: RoutedModel) -> bool:
        """Whether a model's canary is stopped, as far as is known. Also true without a canary."""
        canary = self._canaries.get(id(model))
        return canary is None or canary.name in self._stopped

    @property
    def is_informed(self) -> bool:
        """Whether it is known for sure now which canaries are stopped."""
        return self._stops is None or time.monotonic() - self._read_at <= FRESH_S

    def has_share(self, model: RoutedModel) -> bool:
        """Whether a model has a canary that callers reach: with a share, and not stopped as far as is known."""
        canary = self._canaries.get(id(model))
        return canary is not None and canary.percent > 0 and canary.name not in self._stopped

    def share_of(self, model: RoutedModel) -> float:
        """Percentage of people whom a model's canary serves now, as far as is known. 0 without a canary."""
        canary = self._canaries.get(id(model))
        return canary.percent if canary is not None and self.has_share(model) else 0.0

    @property
    def background(self) -> list[Any]:
        """Loops that a gateway runs."""
        if not self._canaries:
            return []
        return [
            *([] if self._stops is None else [self.watching]),
            self._untold.working,
            self._followed.working,
        ]

    async def watching(self) -> None:
        """Read which canaries are stopped, and which share the others have, in a loop."""
        while True:
            with contextlib.suppress(DatabaseDown):
                await self._read()
            for canary in self._canaries.values():
                self._note_percent(canary)
            await asyncio.sleep(LOOK_S)

    async def _read(self) -> None:
        assert self._stops is not None, "whoever reads looked"
        began = time.monotonic()  # before the query, whose answer may take a while
        moved = [canary for canary in self._canaries.values() if canary.steps]
        releases = await self._moves.read([canary.name for canary in moved]) if self._moves and moved else {}
        stopped = await self._stops.read()
        self._read_at = began
        for canary in moved:
            self._follow(canary, releases.get(canary.name, Release()))
        for canary in self._canaries.values():
            if canary.name in stopped and canary.name not in self._stopped:
                self._stop(canary, "another copy stopped it")

    def _follow(self, canary: _Watched, release: Release) -> None:
        """Take into force what the moves of a canary's release say."""
        for number, problem in release.invalid.items():
            if number not in canary.invalid:
                write_line("release_move_invalid", **canary.name._asdict(), number=number, why=problem)
        canary.invalid = set(release.invalid)
        self._metrics.note_invalid_moves(canary.name.workload, canary.name.model, len(canary.invalid))
        move, percent = release.last, release.percent(canary.steps)
        if percent != canary.percent:
            canary.set_percent(percent)
        if move == canary.move:
            return
        canary.move = move
        if move is None:
            write_line("release_without_moves", **canary.name._asdict())
            return
        fields = {"act": move.act, "percent": percent, "number": move.number, "by": move.by}
        write_line("release_moved", **canary.name._asdict(), **fields, reason=move.reason)
        self._followed.add(_Followed(move, release, percent))
        if move.act == "abort" and canary.name not in self._stopped:
            self._stop(canary, "a person aborted the release", failed=False)

    def _note_percent(self, canary: _Watched) -> None:
        is_served = self.is_informed and canary.name not in self._stopped
        self._metrics.note_canary_percent(
            canary.name.workload, canary.name.model, canary.percent if is_served else 0
        )

    def _note(self, canary: _Watched, exchange: Exchange, taken: bool) -> None:
        """Take the end of a request that the canary or the version in use has served."""
        failed = exchange.code in FAILURES or bool(exchange.fallback)
        if canary.name in self._stopped or not (failed or exchange.code == "ok"):
            return
        if not taken:
            canary.judge.note_in_use(failed=failed)
        elif canary.judge.note_canary(failed=failed):
            self._stop(canary, "it fails too often")
            self._untold.add(canary)

    def _stop(self, canary: _Watched, why: str, *, failed: bool = True) -> None:
        self._stopped.add(canary.name)
        self._metrics.note_canary(canary.name.workload, canary.name.model, is_stopped=failed)
        write_line(
            "canary_stopped",
            **canary.name._asdict(),
            why=why,
            answered=canary.judge.answered,
            failed=canary.judge.failed,
        )

    async def _tell(self, canary: _Watched) -> None:
        """Write and record a stop. Raises DatabaseDown or Unrecorded."""
        name, judge = canary.name, canary.judge
        if self._stops is not None:
            await self._stops.write(name, judge.answered, judge.failed)
        if self._auditor is not None:
            counts = {"answered": judge.answered, "failed": judge.failed}
            await self._auditor.canary_stop({**name._asdict(), **counts})

    async def _tell_move(self, followed: _Followed) -> None:
        """Confirm and record that this copy follows a move. Raises DatabaseDown or Unrecorded."""
        move = followed.move
        assert self._moves is not None, "there is a move"
        if not followed.confirmed:
            await self._moves.confirm(move)
            followed.confirmed = True
        if self._auditor is not None:
            await self._auditor.release_move(
                {
                    **{"workload": move.workload, "model": move.model, "release": move.release},
                    **{"number": move.number, "act": move.act, "percent": followed.percent},
                    **{"by": move.by, "reason": move.reason, "signed": move.text()},
                    "signature": followed.release.signature,
                    **(
                        {"approved_by": followed.release.approved_by, "approval": followed.release.approval}
                        if followed.release.approval
                        else {}
                    ),
                }
            )


def _watched(model: RoutedModel, key: bytes) -> _Watched:
    route = model.route
    assert route.canary is not None, "whoever asks looked"
    canary = route.canary
    release = canary.release or f"{canary.server_name} {canary.model}"
    return _Watched(CanaryName(route.workload, route.called, release), canary, key)

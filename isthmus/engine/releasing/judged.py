"""Judges a release by the outcomes in the gateway's database, before a person moves it on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING

from edge.canary import answer_judge, outcomes
from edge.canary.move import following_step
from edge.canary.rubric import digest_of
from isthmus.core.errors import Refused
from isthmus.releases import METRICS, Decision, Need, need
from isthmus.releases import outcomes as releases
from isthmus.releases.judging import WIDE_PERCENT, describe
from isthmus.releases.needs import LONGEST_DAYS

if TYPE_CHECKING:
    from edge.canary.answer_judge import JudgedDay
    from edge.canary.release_acts import Made
    from edge.database import Database
    from isthmus.contracts.platform.model.serving import AnswerJudge
    from isthmus.engine.releasing.stated import StatedRelease

MARGIN = 100 * METRICS["judged"].margin
MOST_UNGRADED = 0.2
"""Part of a day's answers without a grade above which `status` says that the judge fails."""


@dataclass(frozen=True)
class Judgement:
    """What the outcomes say of a release, and what its next step needs."""

    reading: releases.Reading
    next_percent: float | None
    """The following step; None: there is none."""
    decision: Decision | None
    """On the following step. None: there is none, or the release was not started."""
    deciding_percent: float
    """The step at which the quality has to be shown: the last one before a wide step."""
    need: Need | None
    """What that step needs; None: no day without a move has requests."""
    judge: AnswerJudge | None = None
    """Who judges answers, as the platform states; None: nobody."""
    judged_days: Sequence[JudgedDay] = ()
    """What was judged so far, by day and rubric."""

    def lines(self) -> Iterator[str]:
        """For people: what is known of each metric, what the next step waits for, and how long that takes."""
        yield from (describe(finding) for finding in self.reading.findings)
        if self.decision is not None and self.decision.action != "continue":
            yield f"{self.decision.action} before {self.next_percent:g} %: {'; '.join(self.decision.reasons)}"
        elif self.decision is not None:
            yield f"nothing speaks against {self.next_percent:g} %"
        yield from self._judging()
        yield self._needed()

    def _judging(self) -> Iterator[str]:
        """Who judges answers, and how that goes."""
        if self.judge is None:
            return
        rubric = digest_of(self.judge.rubric)
        limit = f"at most {self.judge.per_day:,} answers a day by rubric {rubric[7:19]}"
        if not self.judged_days:
            yield f"{self.judge.workload} judges {limit}; it has judged none yet"
            return
        last = max(entry.day for entry in self.judged_days)
        entries = [entry for entry in self.judged_days if entry.day == last]
        asked, failed, ungraded = (
            sum(getattr(entry, name) for entry in entries) for name in ("asked", "failed", "ungraded")
        )
        counts = f"on {last} {asked - failed - ungraded:,} of {asked:,} got a grade"
        yield f"{self.judge.workload} judges {limit}; {counts}, {failed:,} no answer, {ungraded:,} no readable grade"
        if failed + ungraded > asked * MOST_UNGRADED:
            yield (
                f"THE JUDGE {self.judge.workload} FAILS, and a step to {WIDE_PERCENT:g} % or more needs its grades. "
                "Look at its endpoint, and at the metric isthmus_judged_answers_total"
            )
        if len({entry.rubric for entry in self.judged_days}) > 1:
            yield "several rubrics judged this release, and their scores are added up: give the next one a new name"

    def _needed(self) -> str:
        traffic, at = self.reading.traffic, f"at {self.deciding_percent:g} %"
        if self.need is None or traffic is None:
            return "no requests yet on a day without a move, so it is not known how long a step takes"
        asked = f"{traffic.people:,} people or conversations ask {traffic.requests:,.0f} times a day"
        if not traffic.judged and self.judge is not None:
            return f"{asked}; no answer is judged yet, so it is not known how long a step takes"
        if not traffic.judged:
            return f"{asked}; no answers are judged, so only the evaluation says how good they are"
        if self.need.days is not None:
            return (
                f"{asked}: about {self.need.days} days {at} decide about a loss of {MARGIN:g} points, with "
                f"{self.need.answers:,} judged answers (an estimate)"
            )
        return (
            f"{asked}: {LONGEST_DAYS} days {at} show a loss of {100 * self.need.loss_shown:.1f} points, not of "
            f"{MARGIN:g} (an estimate). Compare both versions by an evaluation and by a shadow (docs/release.md)"
        )


async def judge(
    database: Database, release: StatedRelease, percent: float, made: Sequence[Made]
) -> Judgement:
    """Read and judge the outcomes. `percent`: the share in force. `made`: the moves so far. Raises DatabaseDown."""
    name = release.name
    rows = await outcomes.read(database, release.place, name.workload, name.model, name.release)
    judged_days = await answer_judge.read_days(database, release.place, name) if release.judge else []
    reading = releases.read(rows, {entry.at.astimezone(UTC).date() for entry in made})
    following = following_step(release.steps, percent)
    narrow = [step for step in release.steps if step < WIDE_PERCENT]
    deciding = narrow[-1] if narrow else release.steps[0]
    return Judgement(
        reading,
        following,
        reading.decide(following, is_judged=release.judge is not None)
        if percent and following is not None
        else None,
        deciding,
        need(reading.traffic, deciding) if reading.traffic is not None else None,
        release.judge,
        judged_days,
    )


def check(judgement: Judgement, release: StatedRelease, *, early: bool) -> None:
    """Raise `Refused` if the outcomes speak against the next step, or do not say enough yet and it is not `early`."""
    decision = judgement.decision
    if decision is None or decision.action == "continue":
        return
    why = "; ".join(decision.reasons)
    if decision.action == "abort":
        raise Refused(
            f"the candidate is worse, so the release does not go on: {why}",
            where=release.where,
            fix="Take it back with `abort`",
        )
    if not early:
        raise Refused(
            f"not enough is known for the step to {judgement.next_percent:g} %: {why}",
            where=release.where,
            fix="Wait, and look at `status`. If you accept this, add `--early` and a `--reason`",
        )

"""Reads from audit records which answers people judged, and how.

Sealed records are kept for years and hold no content, so they outlive the held answers themselves. An outcome has
the workload, the model with its digest, the score with its raw measure, and why people see the answer. Records of
kind `review` have the acts of people. Names of people are dropped as soon as a record is read.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

from edge.confidence.calibration import Calibration
from edge.reviews.trigger import BY_SCORE, SAMPLED

WORDS = ("right", "partly", "wrong", "harmful")
"""Reviewers' words for an answer, the best first."""
_BY_SCORE_OR_SAMPLED = frozenset([SAMPLED, *BY_SCORE])
_DECISIONS = ("approve", "correct", "reject", "escalate")


@dataclass(frozen=True)
class Period:
    """A workload's answers from `begin` on and before `end` count. Verdicts on them may be later."""

    workload: str
    begin: datetime
    end: datetime

    @property
    def days(self) -> float:
        return (self.end - self.begin).total_seconds() / 86400

    def covers(self, time: datetime) -> bool:
        return self.begin <= time < self.end


class Answered(NamedTuple):
    """An answer in the records."""

    id: str
    time: datetime
    model: str
    digest: str | None
    kind: str | None
    """None: it has no score."""
    log_measure: float | None
    """Natural logarithm of the lowest raw measure. None: no score, or a record of an earlier release."""
    why: tuple[str, ...]
    """Why people see the answer. Empty: they do not."""

    @property
    def is_sampled(self) -> bool:
        return SAMPLED in self.why

    @property
    def is_held_otherwise(self) -> bool:
        """Whether something else than a score holds it, so that no threshold matters to it."""
        return not _BY_SCORE_OR_SAMPLED.issuperset(self.why)


@dataclass(frozen=True)
class Verdict:
    """What people decided on an answer."""

    word: str
    """`approved`, `corrected`, `rejected`, or a word of WORDS."""
    minutes: float | None
    """Time that people had it between claim and decision, all of them together."""

    @property
    def is_right(self) -> bool:
        """Whether it was right as the model wrote it. A corrected or partly right answer was not."""
        return self.word in ("approved", "right")


@dataclass
class _Acts:
    """The acts on one answer."""

    by_version: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    """An act that a crash prevented has the version of the act after it, which is later."""
    words: dict[str, tuple[str, str]] = field(default_factory=dict)
    """By digest of the reviewer's identity: time and word of a judgement before a decision."""

    def add(self, record: Mapping[str, Any]) -> None:
        person = hashlib.sha256(str(record["who"].get("identity")).encode()).hexdigest()
        act = {key: record[key] for key in ("time", "act", "state", "reason")} | {"person": person}
        if record["act"] == "judge":
            self.words[person] = max(self.words.get(person, ("", "")), (record["time"], record["reason"]))
        elif record["act"] != "give":
            before = self.by_version.get(record["version"])
            if before is None or before["time"] <= act["time"]:
                self.by_version[record["version"]] = act

    def verdict(self) -> Verdict | None:
        """None if nobody has decided and nobody has said a word."""
        acts = [self.by_version[version] for version in sorted(self.by_version)]
        decisions = [act for act in acts if act["act"] in ("approve", "correct", "reject")]
        words = [word for _, word in self.words.values() if word in WORDS]
        words += [act["reason"] for act in decisions if act["reason"] in WORDS]
        is_final = bool(decisions) and decisions[-1]["state"] in ("approved", "rejected")
        worst = max(words, key=WORDS.index, default=None)
        if is_final and decisions[-1]["state"] == "rejected":
            word = worst if worst not in (None, "right") else "rejected"
        elif any(act["act"] == "correct" for act in decisions):
            word = "corrected"
        elif worst is not None:
            word = worst
        elif is_final:
            word = "approved"
        else:
            return None
        return Verdict(word, self._minutes())

    def _minutes(self) -> float | None:
        """Time between each claim and the decision that ended it. None if no such pair is on record."""
        minutes = []
        for version, act in self.by_version.items():
            claim = self.by_version.get(version - 1)
            if (
                act["act"] in _DECISIONS
                and claim is not None
                and claim["act"] == "claim"
                and claim["person"] == act["person"]
            ):
                minutes.append((_time(act["time"]) - _time(claim["time"])).total_seconds() / 60)
        return math.fsum(minutes) if minutes and min(minutes) >= 0 else None


@dataclass(frozen=True)
class ReviewedAnswers:
    """Answers of a workload, and the verdicts on them; the oldest first."""

    answers: list[Answered]
    verdicts: Mapping[str, Verdict]
    thumbs: Mapping[str, int]
    """Feedback by rating, `up` and `down`."""

    @cached_property
    def sample(self) -> list[tuple[Answered, Verdict]]:
        """Judged answers of the random sample."""
        return [
            (answer, self.verdicts[answer.id])
            for answer in self.answers
            if answer.is_sampled and answer.id in self.verdicts
        ]


@dataclass
class ReviewRecords:
    """Collects records of a workload in any order: records of different writers are not sorted by time."""

    period: Period
    _answers: dict[str, Answered] = field(default_factory=dict)
    _acts: dict[str, _Acts] = field(default_factory=dict)
    _thumbs: dict[str, tuple[str, str]] = field(default_factory=dict)

    def add(self, record: Mapping[str, Any]) -> None:
        """Add a record, sealed or not. Other workloads' records are left out."""
        if record["kind"] not in ("outcome", "review", "feedback"):
            return
        if record["who"].get("workload") != self.period.workload:
            return
        if record["kind"] == "review":
            self._acts.setdefault(record["id"], _Acts()).add(record)
        elif record["kind"] == "feedback":
            thumb = (record["time"], record["rating"])
            self._thumbs[record["id"]] = max(self._thumbs.get(record["id"], ("", "")), thumb)
        elif (answer := self._answered(record)) is not None:
            self._answers[answer.id] = answer

    def _answered(self, record: Mapping[str, Any]) -> Answered | None:
        """The answer of an outcome. None: it failed, is of another time, or nobody scores the workload's answers."""
        confidence, ran, held = record.get("confidence"), record["ran"], record.get("held") or {}
        time = _time(record["time"])
        if confidence is None or not ran or not record["ended_well"] or not self.period.covers(time):
            return None
        return Answered(
            record["id"],
            time,
            str(ran.get("model")),
            ran.get("digest"),
            confidence.get("kind"),
            _measure(confidence.get("log_measure")),
            tuple(held.get("why", ())) if held.get("kept") else (),
        )

    def of(self, calibration: Calibration) -> ReviewedAnswers:
        """The answers of the calibration's weights and kind. Answers without a score are of any kind."""
        return self._reviewed(
            answer
            for answer in self._answers.values()
            if (answer.model, answer.digest) == (calibration.model, calibration.model_digest)
            and answer.kind in (None, calibration.kind)
        )

    def of_all_models(self) -> ReviewedAnswers:
        """The answers of the workload, whichever model wrote them."""
        return self._reviewed(self._answers.values())

    def _reviewed(self, chosen: Iterable[Answered]) -> ReviewedAnswers:
        answers = sorted(chosen, key=lambda answer: (answer.time, answer.id))
        ids = {answer.id for answer in answers}
        verdicts = {
            answer_id: verdict
            for answer_id in sorted(ids & self._acts.keys())
            if (verdict := self._acts[answer_id].verdict()) is not None
        }
        thumbs = Counter(rating for answer_id, (_, rating) in self._thumbs.items() if answer_id in ids)
        return ReviewedAnswers(answers, verdicts, thumbs)


def _measure(value: Any) -> float | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number else None


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)

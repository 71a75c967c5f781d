"""Audit records of answers and of people's decisions, with a known share of right answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

from edge.confidence.calibration import Calibration, Curve
from isthmus.calibration.review_calibration import InUse, Renewal, Wanted, renew
from isthmus.calibration.reviewed_answers import Period, ReviewRecords
from scripts.judged_answers import measure
from tests.edge.confidence.making import DIGEST, calibration

WORKLOAD, MODEL = "claims", "example/model-8b"
BEGIN = datetime(2026, 11, 26, tzinfo=UTC)
IN_USE_DIGEST = "sha256:" + "c" * 64
Truth = Callable[[float, float], float]
"""The probability that an answer is right, by its measure and by the share of the period that has passed."""


def honest(measured: float, _: float) -> float:
    return measured


def in_use(below: float | None = 0.6, max_error: float | None = 0.3, **more: Any) -> InUse:
    """A calibration whose scores are the measures themselves, and its threshold."""
    threshold = None
    if below is not None and max_error is not None:
        tested = {"confidence": 0.95, "error_at_most": max_error, "accepted": 900, "wrong": 20}
        threshold = {"below": below, "max_error": max_error, **tested}
    content = calibration(MODEL, threshold=threshold, **more)
    return InUse(Calibration.model_validate(content), IN_USE_DIGEST, below)


def record(kind: str, name: str, at: datetime, **fields: Any) -> dict[str, Any]:
    """A record. `fields` replace those of an ordinary one."""
    common = {
        "kind": kind,
        "id": name,
        "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "class": "confidential",
        "site": "fra1",
        "gateway": "gw-0",
        "who": {"workload": WORKLOAD, "team": "", "identity": "key:1"},
    }
    return {**common, **fields}


def outcome(
    name: str, at: datetime, log_measure: float | None, why: tuple[str, ...] = (), **more: Any
) -> dict[str, Any]:
    """The outcome of an answer."""
    scored: dict[str, Any] = {"score": None, "why": "no log-probabilities"}
    if log_measure is not None:
        score = Curve(a=1, b=1, c=0, highest=-1e-9).score(log_measure)
        scored = {
            "score": score,
            "calibration": IN_USE_DIGEST,
            "kind": "text",
            "log_measure": round(log_measure, 6),
        }
    held = {"why": list(why), "sha256": "0" * 64, "kept": True, "delivered": "sampled" in why}
    fields = {
        "ran": {
            "target": "onprem-vllm",
            "server": "m.svc",
            "url": "https://m.svc:8443",
            "model": MODEL,
            "digest": DIGEST,
        },
        "attempts": 1,
        "status": 200,
        "code": "ok",
        "ended_well": True,
        "tokens": {"prompt": 7, "completion": 5},
        "usd": None,
        "verdicts": [],
        "content": None,
        "confidence": scored,
        "held": held if why else None,
    }
    return record("outcome", name, at, **{**fields, **more})


def act(
    name: str,
    at: datetime,
    act: str,
    version: int,
    *,
    state: str = "held",
    reason: str = "",
    by: str = "anna",
) -> dict[str, Any]:
    """An act of a person on a held answer."""
    who = {"workload": WORKLOAD, "reviewer": f"{by}@bank.example", "identity": f"person:{by}"}
    return record(
        "review", name, at, who=who, act=act, version=version, state=state, reason=reason, sha256="0" * 64
    )


def decided(name: str, at: datetime, right: bool, minutes: float = 3) -> list[dict[str, Any]]:
    """A reviewer claims a delivered answer, and says after some minutes whether it is right."""
    word, done, state = ("right", "approve", "approved") if right else ("wrong", "reject", "rejected")
    return [
        act(name, at, "claim", 1),
        act(name, at + timedelta(minutes=minutes), done, 2, state=state, reason=word),
    ]


def answers(
    seed: object, count: int, *, truth: Truth = honest, sampled: float = 0.5, days: float = 30
) -> Iterator[dict[str, Any]]:
    """Records of answers, of which people judge a random share. They also judge low scores that were not drawn."""
    random = Random(str(seed))
    for number in range(count):
        passed = number / count
        at, measured = BEGIN + timedelta(days=days * passed), measure(random)
        name, right = f"{random.getrandbits(128):032x}", random.random() < truth(measured, passed)
        why = tuple(
            reason
            for reason, is_reason in (("low-score", measured < 0.4), ("sampled", random.random() < sampled))
            if is_reason
        )
        yield outcome(name, at, math.log(measured), why)
        if why:
            yield from decided(name, at, right, random.uniform(1, 9))


def period(days: float = 30) -> Period:
    return Period(WORKLOAD, BEGIN, BEGIN + timedelta(days=days))


def renewed(records: Iterator[dict[str, Any]] | list[dict[str, Any]], used: InUse, **wanted: Any) -> Renewal:
    """Renew a calibration from records, as the command does."""
    collected = ReviewRecords(period())
    for audit_record in records:
        collected.add(audit_record)
    return renew(collected.of(used.calibration), used, Wanted(date(2026, 12, 26), **wanted), period())

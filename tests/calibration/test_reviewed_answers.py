"""Verdicts on answers, from audit records: what counts as right, and which answers belong to the random sample."""

from __future__ import annotations

import json
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.calibration.reviewed_answers import ReviewedAnswers, ReviewRecords
from tests.calibration.review_records import (
    BEGIN,
    act,
    answers,
    decided,
    in_use,
    outcome,
    period,
    record,
    renewed,
)

LATER = BEGIN + timedelta(minutes=1)


def collected(*records: dict[str, Any]) -> ReviewedAnswers:
    gathered = ReviewRecords(period())
    for audit_record in records:
        gathered.add(audit_record)
    return gathered.of(in_use().calibration)


def step(name: str, version: int, state: str = "held", reason: str = "", by: str = "anna", s: float = 0):
    return act("a", LATER + timedelta(seconds=s), name, version, state=state, reason=reason, by=by)


@pytest.mark.parametrize(
    ("acts", "word", "is_right"),
    [
        ([step("claim", 1), step("approve", 2, "approved")], "approved", True),
        ([step("approve", 2, "approved", "right")], "right", True),
        ([step("reject", 2, "rejected", "partly")], "partly", False),
        ([step("reject", 2, "rejected", "wrong-amount")], "rejected", False),
        ([step("correct", 2, "approved", "wrong-amount")], "corrected", False),
        ([step("correct", 2), step("approve", 4, "approved", by="bert")], "corrected", False),
        ([step("judge", 1, reason="right"), step("approve", 2, "approved")], "right", True),
        ([step("judge", 1, reason="partly"), step("approve", 2, "approved")], "partly", False),
        ([step("judge", 1, reason="right"), step("reject", 2, "rejected", "tone")], "rejected", False),
        ([step("judge", 1, reason="harmful"), step("expire", 2, "expired")], "harmful", False),
    ],
)
def test_an_answer_is_right_if_it_was_approved_unchanged_and_nobody_says_otherwise(
    acts: list[dict[str, Any]], word: str, is_right: bool
):
    verdict = collected(outcome("a", BEGIN, -0.1, ("sampled",)), *acts).verdicts["a"]
    assert (verdict.word, verdict.is_right) == (word, is_right)


@pytest.mark.parametrize(
    "acts",
    [
        [],
        [step("claim", 1)],
        [step("approve", 2)],
        [step("escalate", 1, "escalated", "deadline"), step("expire", 2, "expired", "deadline")],
    ],
)
def test_an_answer_without_a_decision_has_no_verdict(acts: list[dict[str, Any]]):
    assert collected(outcome("a", BEGIN, -0.1, ("sampled",)), *acts).verdicts == {}


def test_an_act_that_a_crash_prevented_gives_way_to_the_act_with_its_version():
    prevented, real = step("approve", 2, "approved"), step("reject", 2, "rejected", "tone", s=5)
    for acts in ([prevented, real], [real, prevented]):
        verdict = collected(outcome("a", BEGIN, -0.1, ("sampled",)), *acts).verdicts["a"]
        assert verdict.word == "rejected"


def test_minutes_are_those_between_claim_and_decision_of_the_same_person():
    acts = [
        *(step("claim", 1, s=0), step("release", 2, s=600), step("claim", 3, s=1000)),
        *(step("approve", 4, s=1060), step("claim", 5, by="bert", s=2000)),
        step("approve", 6, "approved", by="bert", s=2180),
    ]
    assert collected(outcome("a", BEGIN, -0.1, ("sampled",)), *acts).verdicts["a"].minutes == 4
    other = [step("claim", 1), step("approve", 2, "approved", by="bert", s=60)]
    assert collected(outcome("a", BEGIN, -0.1, ("sampled",)), *other).verdicts["a"].minutes is None


def test_only_answers_of_the_same_weights_kind_workload_and_time_count():
    strangers = [
        outcome("a", BEGIN, -0.1, ran={"model": "other", "digest": None}),
        outcome("b", BEGIN, -0.1, confidence={"score": 0.9, "kind": "fields", "log_measure": -0.1}),
        outcome("c", BEGIN, -0.1, who={"workload": "other"}),
        outcome("d", BEGIN - timedelta(seconds=1), -0.1),
        outcome("e", period().end, -0.1),
        outcome("f", BEGIN, -0.1, ended_well=False),
        outcome("g", BEGIN, -0.1, confidence=None),
    ]
    assert [answer.id for answer in collected(*strangers, outcome("z", BEGIN, -0.1)).answers] == ["z"]


def test_records_of_a_release_without_the_raw_measure_are_told_and_fit_no_curve():
    old = [
        outcome(f"{n:032x}", BEGIN, -0.1, ("sampled",), confidence={"score": 0.9, "calibration": "sha256:0"})
        for n in range(3)
    ]
    report = renewed(
        [*old, *(one for n in range(3) for one in decided(f"{n:032x}", LATER, True))], in_use()
    ).report
    assert (report.judgements.judged, report.judgements.without_measure) == (3, 3)


def test_the_last_thumb_counts_and_none_of_another_workload():
    def thumb(name: str, rating: str, s: int, **more: Any) -> dict[str, Any]:
        return record("feedback", name, LATER + timedelta(seconds=s), rating=rating, reason="", **more)

    thumbs = [thumb("a", "up", 5), thumb("a", "down", 0), thumb("b", "down", 0, who={"workload": "x"})]
    read = collected(outcome("a", BEGIN, -0.1), outcome("b", BEGIN, -0.1), *thumbs)
    assert dict(read.thumbs) == {"up": 1}


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), order=st.randoms(use_true_random=False))
def test_the_order_of_records_changes_nothing(seed: int, order: Random):
    records = list(answers(seed, 300, sampled=1))
    shuffled = [*records]
    order.shuffle(shuffled)
    first, second = (renewed(some, in_use(), below=0.7).report for some in (records, shuffled))
    assert first == second
    assert "bank.example" not in json.dumps(vars(first), default=vars), "a report names no person"

"""What people do on the desk's pages, as `isthmus calibrate --from-reviews` reads it from the record."""

from __future__ import annotations

from dataclasses import replace

import pytest

from isthmus.calibration.reviewed_answers import ReviewRecords, Verdict
from tests.calibration.review_records import BEGIN, in_use, outcome, period
from tests.edge.desk.desks import Desk

pytestmark = pytest.mark.service


def verdict_on(desk: Desk, held_id: str, workload: str) -> Verdict | None:
    """The verdict on an answer, from its records."""
    records = ReviewRecords(replace(period(), workload=workload))
    records.add(outcome(held_id, BEGIN, -0.1, ("sampled",), who={"workload": workload}))
    for record in desk.site.records("review", held_id):
        records.add(record)
    return records.of(in_use().calibration).verdicts.get(held_id)


@pytest.mark.parametrize(
    ("word", "is_right"), [("right", True), ("partly", False), ("wrong", False), ("harmful", False)]
)
def test_a_word_on_a_delivered_answer_is_its_verdict(desk: Desk, word: str, is_right: bool):
    anna = desk.visitor("anna", "payments")
    held_id = desk.put("letters", delivered=True, why=["sampled"])
    page, path = anna.claim(held_id), f"/items/{held_id}/judge"
    assert anna.post(path, {**anna.fields(page, path), "judgement": word}).status_code == 303
    verdict = verdict_on(desk, held_id, "letters")
    assert verdict is not None
    assert (verdict.word, verdict.is_right) == (word, is_right)
    assert verdict.minutes is not None
    assert 0 <= verdict.minutes < 1


def test_a_word_before_the_decision_counts_beside_it(desk: Desk):
    kim = desk.visitor("kim", "kyc")
    held_id = desk.put("kyc", domain="kyc", approvers=1)
    page, path = kim.claim(held_id), f"/items/{held_id}/judge"
    kim.post(path, {**kim.fields(page, path), "judgement": "partly"})
    early = verdict_on(desk, held_id, "kyc")
    assert early is not None
    assert (early.word, early.minutes) == ("partly", None)
    assert kim.decide(held_id, "approve", kim.get(f"/items/{held_id}").text).status_code == 303
    verdict = verdict_on(desk, held_id, "kyc")
    assert verdict is not None
    assert (verdict.word, verdict.is_right) == ("partly", False)
    assert verdict.minutes is not None


def test_a_held_answer_is_right_when_the_last_approval_is_given(desk: Desk):
    held_id = desk.put("credit")
    assert desk.visitor("anna", "payments").decide(held_id, "approve").status_code == 303
    assert verdict_on(desk, held_id, "credit") is None
    assert desk.visitor("bert", "payments").decide(held_id, "approve").status_code == 303
    verdict = verdict_on(desk, held_id, "credit")
    assert verdict is not None
    assert (verdict.word, verdict.is_right) == ("approved", True)

"""A calibration renewed from decisions: the random sample alone counts, and drift is told where there is some."""

from __future__ import annotations

import html
import math
from datetime import timedelta
from typing import Any

import pytest

from edge.intervals import wilson
from isthmus.calibration.review_calibration import InUse
from isthmus.core.errors import InputError, Refused
from isthmus.reports.review_calibration_metrics import metrics
from isthmus.reports.review_calibration_page import page
from isthmus.reports.review_calibration_text import drift_reasons, lines, sections
from tests.calibration.review_records import BEGIN, answers, decided, honest, in_use, outcome, renewed

FALSE_ALARMS_OF_200 = 10
"""The stated rate: at most 5 of 100 runs."""


def worse(measured: float, passed: float) -> float:
    """A model that is wrong more often in the second half of the period."""
    return measured if passed < 0.5 else 0.8 * measured


def significant(seed: object, truth: Any, count: int = 2000) -> bool | None:
    # Where the rate is exactly the promised one, chance alone must not raise it either.
    return renewed(answers(seed, count, truth=truth), in_use(0.6, 0.149)).report.drift.significant


def test_the_sample_alone_counts_whatever_else_people_judged():
    sample = list(answers(1, 3000, sampled=0.5))
    few = [outcome(f"{n:032x}", BEGIN, math.log(0.2), ("low-score",)) for n in range(500)]
    few += [record for n in range(500) for record in decided(f"{n:032x}", BEGIN + timedelta(hours=1), False)]
    plain, selected = renewed(sample, in_use()).report, renewed([*sample, *few], in_use()).report
    assert plain.acceptance == selected.acceptance
    assert plain.drift == selected.drift
    assert plain.reliability == selected.reliability
    assert selected.judgements.others["low-score"] == plain.judgements.others["low-score"] + 500


@pytest.mark.parametrize(("judged", "is_known"), [(99, False), (100, True)])
def test_acceptance_is_not_known_below_100_judgements(judged: int, is_known: bool):
    acceptance = renewed(answers(1, judged, sampled=1), in_use()).report.acceptance
    assert (acceptance is not None) == is_known
    if acceptance is not None:
        right = round(acceptance.value * 100)
        assert (acceptance.low, acceptance.high) == wilson(right, 100)
        assert acceptance.judged == 100


def test_drift_is_not_known_below_100_newer_judgements():
    report = renewed(answers(1, 199, sampled=1, truth=lambda *_: 0.0), in_use(0.0, 0.01)).report
    assert (report.drift.judged, report.drift.significant) == (100, True)
    report = renewed(answers(1, 198, sampled=1, truth=lambda *_: 0.0), in_use(0.0, 0.01)).report
    assert (report.drift.judged, report.drift.significant) == (99, None)
    assert report.drift.error is None


def test_a_model_that_gets_worse_drifts_and_one_that_stays_does_not():
    for seed in range(2):
        assert significant(seed, worse, 4000), seed
        assert not significant(seed, honest), seed


@pytest.mark.soak
def test_over_200_runs_false_alarms_keep_the_stated_rate():
    alarms = sum(bool(significant(f"soak {seed}", honest)) for seed in range(200))
    missed = sum(not significant(f"soak {seed}", worse, 4000) for seed in range(200))
    print(f"false alarms: {alarms} of 200; missed: {missed} of 200")
    assert alarms <= FALSE_ALARMS_OF_200
    assert missed <= FALSE_ALARMS_OF_200


def test_scores_that_miss_drift_without_any_threshold():
    off = list(answers(4, 2000, sampled=1, truth=lambda measured, _: 0.8 * measured))
    drift = renewed(off, in_use(None)).report.drift
    assert (drift.significant, drift.error) == (True, None)
    assert drift_reasons(drift)[0].startswith("the scores miss the share of right answers by 0.1")
    assert renewed(answers(4, 2000, sampled=1), in_use(None)).report.drift.significant is False


def test_a_threshold_below_the_calibrations_own_was_promised_no_rate():
    records = list(answers(2, 1000, sampled=1))
    tested = in_use(0.6, 0.02)
    assert renewed(records, tested).report.drift.significant is True
    lower = InUse(tested.calibration, tested.digest, 0.5)
    drift = renewed(records, lower).report.drift
    assert (drift.max_error, drift.significant) == (None, False)
    assert drift.error is not None


def test_metrics_leave_out_what_is_not_known():
    known = metrics(renewed(answers(1, 400, sampled=1), in_use()).report)
    assert 'isthmus_calibration_drift{workload="claims"' in known
    unknown = metrics(renewed(answers(1, 60, sampled=1), in_use()).report)
    assert "isthmus_calibration_drift" not in unknown
    assert "isthmus_calibration_acceptance_ratio" not in unknown
    assert "isthmus_calibration_judged" in unknown


def test_a_new_curve_is_fitted_to_the_older_half_and_tested_on_the_newer_one():
    records = list(answers(3, 4000, sampled=1, truth=lambda measured, _: measured**2))
    renewal = renewed(records, in_use(), max_error=0.3)
    calibrated, report = renewal.calibration, renewal.report
    assert calibrated is not None
    assert report.reliability is not None
    assert (calibrated.answers, calibrated.kept_aside) == (4000, 2000)
    for share in (0.5, 0.7, 0.9):
        assert calibrated.curve.score(math.log(share)) == pytest.approx(share**2, abs=0.05)
    assert report.threshold is not None
    assert report.threshold.error_at_most <= 0.3
    newer = [record for record in records if record["kind"] == "outcome"][2000:]
    passing = [
        record["id"]
        for record in newer
        if calibrated.curve.score(record["confidence"]["log_measure"]) >= report.threshold.below
    ]
    assert len(passing) == report.threshold.accepted
    assert report.effect is not None
    assert report.effect.new.below == report.threshold.below
    assert renewed(records, in_use(), max_error=0.3).calibration == calibrated
    text = "\n".join(lines(report))
    for row in report.reliability.bins:
        assert f"score {row.score:.2f}" in text
    assert f"below {report.threshold.below:g}" in text
    assert text.count("judgements") > len(report.reliability.bins)
    assert all(
        html.escape(value) in page(report) for section in sections(report) for _, value in section.rows
    )


def test_too_few_judgements_give_a_report_and_no_calibration():
    renewal = renewed(answers(3, 400, sampled=1), in_use(), max_error=0.3)
    assert renewal.calibration is None
    assert isinstance(renewal.refusal, InputError)
    assert renewal.report.not_renewed == str(renewal.refusal)
    assert renewal.report.acceptance is not None


def test_a_rate_that_no_threshold_keeps_gives_no_calibration():
    renewal = renewed(answers(3, 3000, sampled=1), in_use(), max_error=0.0001)
    assert renewal.calibration is None
    assert isinstance(renewal.refusal, Refused)
    assert renewal.report.effect is None


def structured(seed: int, count: int) -> list[dict[str, Any]]:
    records = list(answers(seed, count, sampled=1))
    for record in records:
        if record["kind"] == "outcome":
            record["confidence"]["kind"] = "fields"
    return records


def test_of_structured_answers_the_threshold_is_renewed_and_the_curve_stays():
    used = in_use(kind="fields")
    renewal = renewed(structured(1, 1000), used, max_error=0.25)
    assert renewal.calibration is not None
    assert renewal.calibration.curve == used.calibration.curve
    assert renewal.calibration.threshold is not None
    assert renewal.calibration.threshold.below == (
        renewal.report.threshold and renewal.report.threshold.below
    )
    assert renewal.report.reliability is None
    assert renewal.report.drift.calibration_error is None
    assert "does not judge each field" in str(renewed(structured(1, 1000), used).refusal)

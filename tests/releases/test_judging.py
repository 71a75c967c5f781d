"""Continue, wait or abort: from the findings of each metric."""

from __future__ import annotations

import math

import numpy as np
import pytest

from isthmus.releases import METRICS, Day, Decision, Finding, Trial, decide

PEOPLE = 800


def a_day(old: float, new: float, count: int = 100) -> Day:
    """Half of the people have the candidate; each version has this share of events, with a little noise by person."""
    half = PEOPLE // 2
    noise = np.tile([-0.01, 0.01], half // 2)
    counts = np.full(half, float(count))
    nothing = np.zeros(half)
    return Day(
        np.append(counts, nothing),
        np.append(count * (old + noise), nothing),
        np.append(nothing, counts),
        np.append(nothing, count * (new + noise)),
    )


def found(name: str, old: float, new: float) -> Finding:
    trial = Trial(METRICS[name], PEOPLE)
    trial.add(a_day(old, new))
    return trial.finding


ALL_AS_GOOD = [
    found("judged", 0.9, 0.9),
    found("failed", 0.02, 0.02),
    found("guard_refused", 0.03, 0.03),
    found("latency", 1.0, 1.0),
]


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("judged", 0.9, 0.86),
        ("failed", 0.02, 0.05),
        ("guard_refused", 0.03, 0.06),
        ("latency", 1.0, 1.4),
        ("score", 0.8, 0.75),
    ],
)
def test_a_loss_of_any_metric_aborts(name: str, old: float, new: float):
    decision = decide([*ALL_AS_GOOD, found(name, old, new)], 10_000, 1.0)
    assert decision.action == "abort"
    assert "the candidate is worse" in decision.reasons[0]


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [("judged", 0.86, 0.9), ("failed", 0.04, 0.02), ("latency", 1.4, 1.0)],
)
def test_a_better_candidate_is_as_good(name: str, old: float, new: float):
    assert found(name, old, new).verdict == "as-good"


def test_a_candidate_that_is_as_good_in_all_metrics_continues():
    assert decide(ALL_AS_GOOD, 10_000, 25.0) == Decision("continue", (), tuple(ALL_AS_GOOD))


def test_a_narrow_step_needs_requests_and_no_proof():
    assert decide([], 200, 5.0).action == "continue"
    waiting = decide([], 199, 5.0)
    assert (waiting.action, waiting.reasons) == (
        "wait",
        ("the candidate answered 199 requests of at least 200 on days after its last step",),
    )


def test_a_wide_step_waits_for_each_metric_and_says_which():
    decision = decide(ALL_AS_GOOD[1:], 10_000, 25.0)
    assert (decision.action, decision.reasons) == (
        "wait",
        ("judged answers: no answers of both versions yet",),
    )


def test_confidence_scores_hold_nothing_back_where_a_workload_has_none():
    assert "score" not in {finding.metric for finding in ALL_AS_GOOD}
    assert decide(ALL_AS_GOOD, 10_000, 100.0).action == "continue"


def test_nothing_is_concluded_from_a_few_people():
    trial = Trial(METRICS["failed"], 58)
    half = np.repeat([1.0, 0.0], 29)
    trial.add(Day(1000 * half, 0 * half, 1000 * (1 - half), 900 * (1 - half)))
    assert trial.finding.verdict == "open"
    sentence = decide([*ALL_AS_GOOD, trial.finding], 29_000, 25.0).reasons[0]
    assert sentence == (
        "failures: not known yet, 29 people or conversations of at least 30 had each version, 29000 answers"
    )


def test_what_was_found_as_good_stays_so_until_it_turns_worse():
    trial = Trial(METRICS["judged"], PEOPLE)
    trial.add(a_day(0.9, 0.9))
    assert trial.finding.verdict == "as-good"
    trial.add(a_day(0.9, 0.885))
    assert trial.finding.verdict == "as-good"
    trial.add(a_day(0.9, 0.875))
    trial.add(a_day(0.9, 0.875))
    assert trial.finding.verdict == "open", "it loses half of the margin now"
    for _ in range(20):
        trial.add(a_day(0.9, 0.8))
    assert trial.finding.verdict == "worse"
    trial.add(a_day(0.9, 0.99, count=100_000))
    assert trial.finding.verdict == "worse"


def test_a_latency_is_said_as_a_factor():
    sentence = decide([found("latency", 1.0, 1.4)], 10_000, 5.0).reasons[0]
    assert sentence.startswith("latency: the candidate is worse, 1.40 times as long (1.")
    assert sentence.endswith("limit 1.25, 40000 answers")


def test_false_alarms_add_up_to_five_percent():
    assert math.fsum(metric.false_alarm for metric in METRICS.values()) == pytest.approx(0.05)


def test_a_wide_step_does_not_wait_for_judged_answers_where_none_are_judged():
    assert decide(ALL_AS_GOOD[1:], 10_000, 25.0, is_judged=False).action == "continue"
    assert decide(ALL_AS_GOOD[2:], 10_000, 25.0, is_judged=False).action == "wait"

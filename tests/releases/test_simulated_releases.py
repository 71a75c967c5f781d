"""Simulated releases end as promised: all metrics, looks and steps together, with traffic that comes by person."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge.intervals import wilson
from tests.releases.simulated import LARGE, SHADOWED, End, Scenario, ends, summary

WORSE = 0.87
"""Share of right answers of a worse candidate. The version in use has 0.90."""
FEW, MANY = 40, 2000
SCENARIOS = {"8,000 people": LARGE, "2,000 people with a shadow": SHADOWED}


def share(found: list[End], is_one: str) -> tuple[int, str]:
    """How many ended so, and a line with the interval."""
    count = sum(end.outcome == is_one for end in found)
    low, high = wilson(count, len(found))
    return count, f"{is_one} {count / len(found):.3f} ({low:.3f} to {high:.3f})"


@pytest.mark.parametrize("scenario", [LARGE, SHADOWED], ids=["alone", "shadow"])
def test_an_equal_candidate_gets_through(scenario: Scenario):
    outcomes = summary(ends(scenario, FEW, with_detector=False))
    assert outcomes.get("aborted", 0) <= 0.1
    assert outcomes["done"] >= 0.85


@pytest.mark.parametrize("scenario", [LARGE, SHADOWED], ids=["alone", "shadow"])
def test_a_candidate_that_is_3_points_worse_stops_before_a_quarter(scenario: Scenario):
    found = ends(replace(scenario, candidate_right=WORSE), FEW, with_detector=False)
    assert sum(end.percent >= 25 for end in found) <= 0.1 * FEW


def test_a_slow_candidate_and_one_that_fails_twice_as_often_are_stopped():
    for worse in (replace(LARGE, slower=1.4), replace(LARGE, candidate_failed=0.04)):
        found = ends(worse, 20)
        assert sum(end.outcome == "aborted" for end in found) >= 19


@pytest.mark.soak
@pytest.mark.timeout(2 * 3600)
@pytest.mark.parametrize("name", SCENARIOS)
def test_2000_equal_candidates(name: str):
    found = ends(SCENARIOS[name], MANY)
    (aborted, line), (done, other) = share(found, "aborted"), share(found, "done")
    judged = sorted(end.judged for end in found if end.outcome == "done")
    print(f"\n{name}: {line}, {other}; nine in ten within {judged[int(0.9 * len(judged))]} judged answers")
    assert aborted <= 0.05 * MANY
    assert done >= 0.90 * MANY


@pytest.mark.soak
@pytest.mark.timeout(2 * 3600)
@pytest.mark.parametrize("name", SCENARIOS)
def test_2000_candidates_that_are_3_points_worse(name: str):
    found = ends(replace(SCENARIOS[name], candidate_right=WORSE), MANY)
    before = sum(end.percent < 25 for end in found)
    low, high = wilson(before, MANY)
    print(f"\n{name}: stopped before 25 % {before / MANY:.3f} ({low:.3f} to {high:.3f})")
    assert before >= 0.95 * MANY

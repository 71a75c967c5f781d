"""Outcomes of gateways become findings."""

from __future__ import annotations

import random
from datetime import date, timedelta

import pytest

from edge.canary.outcomes import OutcomeRow, Sums, Variant
from isthmus.releases.outcomes import read

FIRST = date(2026, 12, 1)


def rows(variant: Variant, people: range, days: range, **values: float) -> list[OutcomeRow]:
    """The same sums for each person and day, with a little noise in the judged score."""
    noise = random.Random(variant)
    found: list[OutcomeRow] = []
    for number in people:
        for day in days:
            sums = Sums(**values)  # pyright: ignore[reportArgumentType]
            sums.judged_score = max(0.0, min(sums.judged, sums.judged_score + noise.choice((-0.2, 0.2))))
            sums.latency_ms = round(sums.latency_ms * noise.uniform(0.9, 1.1))
            found.append(OutcomeRow(variant, number.to_bytes(8, "big"), FIRST + timedelta(days=day), sums))
    return found


GOOD = {"requests": 10, "latency_ms": 20_000, "judged": 10, "judged_score": 9.0}


def verdicts(found: list[OutcomeRow]) -> dict[str, str]:
    return {finding.metric: finding.verdict for finding in read(found).findings}


def test_an_equal_candidate_is_as_good_in_everything_that_it_has():
    found = rows("in-use", range(300), range(9), **GOOD) + rows("canary", range(300, 600), range(9), **GOOD)
    assert verdicts(found) == {
        "judged": "as-good",
        "failed": "as-good",
        "guard_refused": "as-good",
        "latency": "as-good",
    }
    assert read(found).decide(25).action == "continue"


@pytest.mark.parametrize(
    ("change", "metric"),
    [
        ({"judged_score": 8.0}, "judged"),
        ({"failed": 1, "latency_ms": 18_000}, "failed"),
        ({"guard_refused": 1, "latency_ms": 18_000}, "guard_refused"),
        ({"latency_ms": 40_000}, "latency"),
    ],
)
def test_a_worse_candidate_is_found_by_the_metric_in_which_it_is_worse(change: dict[str, float], metric: str):
    found = rows("in-use", range(300), range(9), **GOOD)
    found += rows("canary", range(300, 600), range(9), **{**GOOD, **change})
    assert [name for name, verdict in verdicts(found).items() if verdict == "worse"] == [metric]
    assert read(found).decide(5).action == "abort"


def test_a_shadow_counts_by_its_judged_answers_alone():
    found = rows("in-use", range(300), range(9), **GOOD)
    found += rows("shadow", range(300), range(9), **{**GOOD, "latency_ms": 90_000, "failed": 5})
    reading = read(found)
    assert verdicts(found) == {"judged": "as-good"}
    assert reading.requests == 0
    assert reading.decide(5).action == "wait"


def test_a_wide_step_waits_for_a_judge_that_the_platform_states():
    unjudged = {**GOOD, "judged": 0, "judged_score": 0.0}
    found = rows("in-use", range(300), range(9), **unjudged)
    found += rows("canary", range(300, 600), range(9), **unjudged)
    assert read(found).decide(25).action == "continue"
    decision = read(found).decide(25, is_judged=True)
    assert (decision.action, decision.reasons) == (
        "wait",
        ("judged answers: no answers of both versions yet",),
    )
    assert read(found).decide(5, is_judged=True).action == "continue"


def test_the_order_of_rows_does_not_matter():
    found = rows("in-use", range(60), range(5), **GOOD) + rows("canary", range(60, 99), range(2, 5), **GOOD)
    mixed = random.Random(7).sample(found, len(found))
    assert read(mixed) == read(found)


def test_traffic_is_that_of_the_days_before_the_candidate():
    found = rows("in-use", range(100), range(4), **GOOD)
    found += rows("canary", range(100, 110), range(4, 9), **{**GOOD, "requests": 999})
    traffic = read(found).traffic
    assert traffic is not None
    assert (traffic.requests, traffic.people, traffic.judged, traffic.before) == (1000, 100, 1.0, 40)
    assert traffic.rate == pytest.approx(0.9, abs=0.01)
    assert traffic.uneven == pytest.approx(1.0)


def test_without_outcomes_nothing_is_known():
    reading = read([])
    assert (reading.findings, reading.requests, reading.traffic, reading.first_day) == ((), 0, None, None)
    assert reading.decide(5).action == "wait"


def test_days_on_which_the_share_changed_are_left_out():
    found = rows("in-use", range(300), range(5), **GOOD) + rows("canary", range(300, 600), range(5), **GOOD)
    bad = rows("canary", range(300, 600), range(2, 3), **{**GOOD, "failed": 9})
    moved = {FIRST + timedelta(days=2)}
    assert (
        read(found + bad, moved).findings
        == read([row for row in found if row.day not in moved], moved).findings
    )
    assert read(found, moved).requests == 2 * 300 * 10, "of the days after the move"


def test_a_few_people_without_failures_do_not_show_that_none_fails():
    few = rows("in-use", range(300), range(9), **GOOD) + rows("canary", range(300, 360), range(9), **GOOD)
    assert verdicts(few)["failed"] == "open"

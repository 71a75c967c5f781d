"""Scale, fix or stop: by the criteria alone, and not known yet where the evidence leaves several answers open."""

from __future__ import annotations

import itertools

import pytest

from isthmus.contracts.reports.value import Range, ValueFigure
from isthmus.contracts.requirements.value import MEASURES, Pilot
from isthmus.value.pilot import exit_of

PILOT = Pilot.model_validate(
    {
        "agreed_by": "committee",
        "agreed_on": "2026-08-20",
        "min_days": 28,
        "scale": [
            {"measure": "acceptance", "at_least": 0.8},
            {"measure": "payback_months", "at_most": 18},
        ],
        "stop": [{"measure": "acceptance", "at_most": 0.5}, {"measure": "adoption", "at_most": 0.1}],
    }
)


def figures(**ranges: tuple[float | None, float | None] | None) -> dict[str, ValueFigure]:
    return {
        name: ValueFigure(
            measure=name,
            label=name,
            unit="",
            range=None
            if (ends := ranges.get(name)) is None
            else Range(point=ends[0], low=ends[0], high=ends[1]),
            why_not_known=None if ranges.get(name) else "nobody judged",
            target=None,
        )
        for name in MEASURES
    }


GOOD, OPEN, POOR, BAD = (0.85, 0.9), (0.75, 0.85), (0.6, 0.7), (0.3, 0.4)
USED, UNUSED = (0.3, 0.5), (0.01, 0.05)


@pytest.mark.parametrize(
    ("acceptance", "payback", "adoption", "answer", "possible"),
    [
        (GOOD, (3, 9), USED, "scale", ["scale"]),
        (POOR, (3, 9), USED, "fix", ["fix"]),
        (GOOD, (20, None), USED, "fix", ["fix"]),
        (GOOD, (None, None), USED, "fix", ["fix"]),
        (BAD, (3, 9), USED, "stop", ["stop"]),
        (GOOD, (3, 9), UNUSED, "stop", ["stop"]),
        (OPEN, (3, 9), USED, "not known yet", ["scale", "fix"]),
        (OPEN, (20, 30), USED, "fix", ["fix"]),
        ((0.4, 0.6), (3, 9), USED, "not known yet", ["fix", "stop"]),
        (GOOD, (9, 20), USED, "not known yet", ["scale", "fix"]),
        (GOOD, (3, 9), None, "not known yet", ["scale", "stop"]),
        (None, None, None, "not known yet", ["scale", "fix", "stop"]),
    ],
)
def test_the_answer_follows_from_the_criteria(acceptance, payback, adoption, answer, possible):
    found = exit_of(PILOT, 60, figures(acceptance=acceptance, payback_months=payback, adoption=adoption))
    assert (found.answer, found.possible) == (answer, possible)
    assert found.because


def test_before_the_agreed_days_nothing_is_decided():
    found = exit_of(PILOT, 27, figures(acceptance=GOOD, payback_months=(3, 9), adoption=USED))
    assert found.answer == "not known yet"
    assert found.because == ["the usage has 27 days, and at least 28 were agreed before anything is decided"]


def test_every_open_criterion_is_named_with_its_reason():
    found = exit_of(PILOT, 60, figures(acceptance=OPEN, payback_months=(3, 9)))
    assert found.because == [
        (
            "the scale criterion is open: accepted share of answers: 75 % to 85 %, and only a part of that is at least "
            "80 %"
        ),
        "the stop criterion is open: adoption: not known, because nobody judged; the limit is at most 10 %",
    ]


def test_narrower_ranges_never_turn_a_known_answer_into_another():
    """What is decided from a wide range stays, whichever narrower range the next weeks bring."""
    ends = (0.3, 0.5, 0.55, 0.8, 0.9)
    for low, high in itertools.combinations(ends, 2):
        wide = exit_of(PILOT, 60, figures(acceptance=(low, high), payback_months=(3, 9), adoption=USED))
        for point in (end for end in ends if low <= end <= high):
            narrow = exit_of(
                PILOT, 60, figures(acceptance=(point, point), payback_months=(3, 9), adoption=USED)
            )
            assert narrow.answer in wide.possible

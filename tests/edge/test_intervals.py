"""Agreement of two people, from counts."""

from __future__ import annotations

import pytest

from edge.intervals import cohens_kappa, wilson


def test_kappa_is_that_of_a_published_example():
    # Two readers grade 50 proposals yes or no (en.wikipedia.org/wiki/Cohen's_kappa, "Simple example").
    pairs = {("yes", "yes"): 20, ("yes", "no"): 5, ("no", "yes"): 10, ("no", "no"): 15}
    assert cohens_kappa(pairs) == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("pairs", "kappa"),
    [
        ({("a", "a"): 5, ("b", "b"): 5, ("c", "c"): 1}, 1.0),
        ({("a", "b"): 5, ("b", "a"): 5}, -1.0),
        ({("a", "a"): 25, ("a", "b"): 25, ("b", "a"): 25, ("b", "b"): 25}, 0.0),
        ({("a", "a"): 40}, None),
        ({}, None),
    ],
)
def test_kappa_is_one_for_full_agreement_and_zero_for_chance(
    pairs: dict[tuple[str, str], int], kappa: float | None
):
    assert cohens_kappa(pairs) == kappa


def test_wilsons_interval_holds_the_share_and_stays_within_one():
    low, high = wilson(18, 20)
    assert (round(low, 3), round(high, 3)) == (0.699, 0.972)
    assert wilson(20, 20)[1] == 1.0

"""The smallest number that suffices is found in few tries."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from isthmus.planning.sizing.searches import first_that_passes


@given(st.integers(0, 40), st.integers(0, 45))
def test_the_first_number_of_replicas_that_suffices_is_found(count: int, first: int) -> None:
    tried: list[int] = []

    def passes(place: int) -> bool:
        tried.append(place)
        return place >= first

    assert first_that_passes(count, passes) == (first if first < count else None)
    assert len(tried) <= 12

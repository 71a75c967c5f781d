"""Figures of fewer than five people are hidden, also from subtraction."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from edge.reviews.small_groups import LEAST_PEOPLE, hide_small_groups

GROUPS = st.dictionaries(
    st.sampled_from("abcdef"), st.sets(st.integers(0, 14), max_size=12), min_size=1, max_size=6
)


def people(*numbers: int) -> dict[str, list[str]]:
    """Groups of so many people each, who are in one group only."""
    return {chr(97 + at): [f"{at}-{one}" for one in range(count)] for at, count in enumerate(numbers)}


def test_a_group_of_five_is_shown_and_one_of_four_is_not():
    assert hide_small_groups(people(5)).groups == ["a"]
    assert hide_small_groups(people(4)).groups == []


def test_a_hidden_group_hides_another_so_that_a_total_does_not_reveal_it():
    shown = hide_small_groups(people(9, 6, 2))
    assert (shown.groups, shown.together, shown.hidden) == (["a"], ["b", "c"], [])


def test_hidden_groups_of_five_together_are_shown_together():
    shown = hide_small_groups(people(8, 3, 3))
    assert (shown.groups, shown.together) == (["a"], ["b", "c"])


def test_few_people_are_shown_nowhere():
    assert hide_small_groups(people(2, 2)).hidden == ["a", "b"]


def test_one_person_in_several_groups_counts_once():
    same = {"a": ["x", "y", "z"], "b": ["x", "y", "z"]}
    assert hide_small_groups(same).together == []


@given(GROUPS)
def test_what_is_shown_or_left_over_is_of_five_people_or_of_nobody(groups: Mapping[str, set[int]]):
    shown = hide_small_groups(groups)
    assert sorted([*shown.groups, *shown.together, *shown.hidden]) == sorted(groups)
    for name in shown.groups:
        assert len(groups[name]) >= LEAST_PEOPLE
    left = {person for name in groups if name not in shown.groups for person in groups[name]}
    everybody = {person for group in groups.values() for person in group}
    assert len(left) >= LEAST_PEOPLE or not left or not shown.groups
    assert not shown.together or len(left) >= LEAST_PEOPLE
    assert shown.groups or shown.together or len(everybody) < LEAST_PEOPLE or shown.hidden

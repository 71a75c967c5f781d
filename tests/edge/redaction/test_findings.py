"""What overlaps is hidden as one, whatever one rule thought of a part of it."""

from __future__ import annotations

from edge.redaction import Finding, merge_overlapping


def one(start: int, end: int, entity: str = "A", score: float = 0.5) -> Finding:
    return Finding(start, end, entity, score, "r")


def test_what_overlaps_becomes_one_that_covers_all():
    assert merge_overlapping([one(0, 9, "A", 1), one(5, 20, "B", 0.5)]) == (one(0, 20, "A", 1),)
    assert merge_overlapping([one(0, 20), one(5, 9)]) == (one(0, 20),)
    assert merge_overlapping([one(0, 6), one(4, 12), one(10, 15)]) == (one(0, 15),)


def test_its_name_is_the_surests_and_among_those_the_longests():
    assert [each.entity for each in merge_overlapping([one(0, 20, "A", 0.5), one(5, 9, "B", 1)])] == ["B"]
    assert [each.entity for each in merge_overlapping([one(0, 4, "A", 1), one(2, 9, "B", 1)])] == ["B"]


def test_what_only_touches_stays_two():
    assert merge_overlapping([one(4, 9, "B"), one(0, 4, "A")]) == (one(0, 4, "A"), one(4, 9, "B"))

"""Overlapping findings are merged and hidden as one."""

from __future__ import annotations

from edge.redaction import Finding, merge_overlapping


def make_finding(start: int, end: int, entity: str = "A", score: float = 0.5) -> Finding:
    return Finding(start, end, entity, score, "r")


def test_overlapping_findings_are_merged_into_one_that_covers_all():
    assert merge_overlapping([make_finding(0, 9, "A", 1), make_finding(5, 20, "B", 0.5)]) == (
        make_finding(0, 20, "A", 1),
    )
    assert merge_overlapping([make_finding(0, 20), make_finding(5, 9)]) == (make_finding(0, 20),)
    assert merge_overlapping([make_finding(0, 6), make_finding(4, 12), make_finding(10, 15)]) == (
        make_finding(0, 15),
    )


def test_a_merged_finding_has_the_entity_of_the_surest_and_then_longest_part():
    assert [
        finding.entity
        for finding in merge_overlapping([make_finding(0, 20, "A", 0.5), make_finding(5, 9, "B", 1)])
    ] == ["B"]
    assert [
        finding.entity
        for finding in merge_overlapping([make_finding(0, 4, "A", 1), make_finding(2, 9, "B", 1)])
    ] == ["B"]


def test_adjacent_findings_stay_separate():
    assert merge_overlapping([make_finding(4, 9, "B"), make_finding(0, 4, "A")]) == (
        make_finding(0, 4, "A"),
        make_finding(4, 9, "B"),
    )

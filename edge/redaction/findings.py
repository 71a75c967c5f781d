"""What was found in a text: where, of what entity, by which rule."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Finding:
    """A span of a text, in characters, `end` exclusive. Entities bear Presidio's names where it has one."""

    start: int
    end: int
    entity: str
    score: float
    """1: a checksum or a format of its own says so; 0.85: a model does, or words around it; 0.5: the form alone."""
    rule: str


@dataclass(frozen=True)
class Detection:
    """All that is to be hidden of a text: spans in order, none over another."""

    findings: tuple[Finding, ...]
    languages: tuple[str, ...]
    """In which it is written, as far as could be told."""
    patterns_only: tuple[str, ...]
    """Those of its languages whose names no trusted model looks for."""
    undecided: int | None = None
    """From which character on a match of a pattern of words may be in progress; None: it was not looked for."""


def merge_overlapping(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Spans that overlap become one that covers them all, under the name of the surest and longest of them.

    Never the shorter of two alone: what one rule saw is hidden, whatever another rule thought of a part of it.
    """
    merged: list[tuple[Finding, int, int]] = []
    for finding in sorted(findings):
        if merged and finding.start < merged[-1][2]:
            best, start, end = merged[-1]
            if (finding.score, finding.end - finding.start) > (best.score, best.end - best.start):
                best = finding
            merged[-1] = (best, start, max(end, finding.end))
        else:
            merged.append((finding, finding.start, finding.end))
    return tuple(Finding(start, end, best.entity, best.score, best.rule) for best, start, end in merged)

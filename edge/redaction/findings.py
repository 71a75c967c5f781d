"""Findings: the spans of a text that a rule recognised as an entity."""

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
    """1: a checksum or a unique format; 0.85: a model, or words around the match; 0.5: the pattern alone."""
    rule: str


@dataclass(frozen=True)
class Detection:
    """The findings of a text, in order and without overlap."""

    findings: tuple[Finding, ...]
    languages: tuple[str, ...]
    """Languages of the text, as far as they were recognised."""
    patterns_only: tuple[str, ...]
    """Languages of the text that have no trusted model for names."""
    undecided: int | None = None
    """Character from which a match of a word pattern may be incomplete. None: not determined."""


def merge_overlapping(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Merge overlapping findings into one that covers them all, with the entity of the best score and length.

    The merged span covers both findings, so that everything that any rule found is hidden.
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

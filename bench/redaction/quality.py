"""Measures detection on labelled sentences: recall with its interval, precision, and sentences that leak."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from bench.redaction.corpus import Sentence

Find = Callable[[str, str], Iterable[tuple[int, int, str]]]
"""Gives the spans of a text, from the text and its language."""


@dataclass
class Quality:
    """Counts by the entity of the label. Findings are counted by the entity that the detector reports."""

    labels: Counter[str] = field(default_factory=Counter)
    hidden: Counter[str] = field(default_factory=Counter)
    hidden_by_name: Counter[str] = field(default_factory=Counter)
    """Labels that a finding with the same entity touches."""
    findings: Counter[str] = field(default_factory=Counter)
    correct: Counter[str] = field(default_factory=Counter)
    """Findings that touch a label."""
    sentences: int = 0
    leaking: int = 0
    leaking_numbers: int = 0
    missed: list[tuple[str, str]] = field(default_factory=list)
    false_alarms: list[tuple[str, str]] = field(default_factory=list)


def measure(corpus: Iterable[Sentence], find: Find, numbers: Iterable[str] = ()) -> Quality:
    """Compare findings with labels. A label counts as hidden if all its letters and digits are hidden: half an IBAN
    is a leak."""
    quality, checked = Quality(), {*numbers}
    for sentence in corpus:
        spans = list(find(sentence.text, sentence.language))
        hidden = {position for start, end, _ in spans for position in range(start, end)}
        missed = []
        for start, end, entity in sentence.spans:
            quality.labels[entity] += 1
            to_hide = _positions_to_hide(sentence.text[start:end])
            if all(position + start in hidden for position in to_hide):
                quality.hidden[entity] += 1
                quality.hidden_by_name[entity] += any(
                    name == entity and s < end and e > start for s, e, name in spans
                )
            else:
                missed.append(entity)
                quality.missed.append((entity, sentence.text))
        for start, end, name in spans:
            quality.findings[name] += 1
            if any(s < end and e > start for s, e, _ in sentence.spans):
                quality.correct[name] += 1
            else:
                quality.false_alarms.append((name, sentence.text[start:end] + " | " + sentence.text))
        quality.sentences += 1
        quality.leaking += bool(missed)
        quality.leaking_numbers += any(entity in checked for entity in missed)
    return quality


def _positions_to_hide(value: str) -> list[int]:
    """Positions of the characters that must be hidden. In a database URL that is only the password."""
    start = 0
    if "://" in value:
        start, end = value.index(":", value.index("://") + 3) + 1, value.index("@")
        return list(range(start, end))
    return [position for position, character in enumerate(value) if character.isalnum()]


def wilson(hits: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson)."""
    if not total:
        return 0.0, 1.0
    p = hits / total
    middle = p + z * z / (2 * total)
    half = z * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)

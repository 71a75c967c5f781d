"""What the detector finds of the labelled sentences: recall with its interval, precision, sentences that leak."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from bench.redaction.corpus import Sentence

Find = Callable[[str, str], Iterable[tuple[int, int, str]]]
"""A text and its language in, spans out."""


@dataclass
class Quality:
    """Counts, by entity of the labels; of false alarms by what was said."""

    there: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    named: Counter[str] = field(default_factory=Counter)
    """Found, and under the label's own name."""
    said: Counter[str] = field(default_factory=Counter)
    true: Counter[str] = field(default_factory=Counter)
    """Of `said`, spans that touch a label."""
    sentences: int = 0
    leaking: int = 0
    leaking_numbers: int = 0
    missed: list[tuple[str, str]] = field(default_factory=list)
    false: list[tuple[str, str]] = field(default_factory=list)


def measure(corpus: Iterable[Sentence], find: Find, numbers: Iterable[str] = ()) -> Quality:
    """A label counts as found when every letter and digit of it is hidden: half an IBAN is a leak."""
    quality, exact = Quality(), {*numbers}
    for one in corpus:
        spans = list(find(one.text, one.language))
        hidden = {at for start, end, _ in spans for at in range(start, end)}
        missed = []
        for start, end, entity in one.spans:
            quality.there[entity] += 1
            needed = _part(one.text[start:end])
            if all(at + start in hidden for at in needed):
                quality.found[entity] += 1
                quality.named[entity] += any(name == entity and s < end and e > start for s, e, name in spans)
            else:
                missed.append(entity)
                quality.missed.append((entity, one.text))
        for start, end, name in spans:
            quality.said[name] += 1
            if any(s < end and e > start for s, e, _ in one.spans):
                quality.true[name] += 1
            else:
                quality.false.append((name, one.text[start:end] + " | " + one.text))
        quality.sentences += 1
        quality.leaking += bool(missed)
        quality.leaking_numbers += any(entity in exact for entity in missed)
    return quality


def _part(value: str) -> list[int]:
    """What must be hidden. Of an address of a database, the password alone."""
    start = 0
    if "://" in value:
        start, end = value.index(":", value.index("://") + 3) + 1, value.index("@")
        return list(range(start, end))
    return [at for at, each in enumerate(value) if each.isalnum()]


def wilson(found: int, there: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson)."""
    if not there:
        return 0.0, 1.0
    p = found / there
    middle = p + z * z / (2 * there)
    half = z * math.sqrt(p * (1 - p) / there + z * z / (4 * there * there))
    scale = 1 + z * z / there
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)

"""Finds cases that repeat another case, or that a model was trained on."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from isthmus.evaluation.cases import Case

WORDS = 8
"""Words of a shingle. Texts with fewer words are compared as a whole."""
SIMILAR = 0.8
"""Share of a case's shingles that another case has, from which it repeats it."""
TRAINED = 0.5
"""Share of a case's shingles that the training data have, from which the model may know it."""
_WORD = re.compile(r"\w+|[^\w\s]")
"""A word, or one sign: `3 + 4` and `3 - 4` differ."""


@dataclass(frozen=True)
class Duplicate:
    """A case that does not count."""

    case: str
    reason: Literal["repeats", "trained"]
    """`repeats`: an earlier case asks nearly the same. `trained`: the training data have its text."""
    of: str | None
    """The earlier case; None for training data."""
    share: float
    """Share of its shingles that are there."""


def shingles(text: str) -> frozenset[str]:
    """All runs of eight words, in lower case."""
    words = _WORD.findall(text.casefold())
    if len(words) <= WORDS:
        return frozenset([" ".join(words)]) if words else frozenset()
    return frozenset(" ".join(words[at : at + WORDS]) for at in range(len(words) - WORDS + 1))


def find_duplicates(cases: Sequence[Case], training: Iterable[str]) -> list[Duplicate]:
    """The cases that repeat an earlier one or are in the training data, in the order of the cases.

    A case repeats another one if it asks the same words, or if it has the same right answer and their shingles are
    similar by Jaccard's index: cases may share a long instruction. A case is in the training data by the share of its
    own shingles that they have.
    """
    trained = frozenset(shingle for text in training for shingle in shingles(text))
    holders: dict[str, list[int]] = defaultdict(list)
    sets: list[frozenset[str]] = []
    found: list[Duplicate] = []
    for number, case in enumerate(cases):
        own = shingles(case.text)
        counts: dict[int, int] = defaultdict(int)
        for shingle in own:
            for holder in holders[shingle]:
                counts[holder] += 1
        sets.append(own)
        alike = [
            (share, -at)
            for at, count in counts.items()
            if (share := count / len(own | sets[at])) == 1
            or (share >= SIMILAR and _right(cases[at]) == _right(case))
        ]
        inside = len(own & trained) / len(own) if own else 0.0
        if alike:
            share, at = max(alike)
            found.append(Duplicate(case.id, "repeats", cases[-at].id, share))
        elif inside >= TRAINED:
            found.append(Duplicate(case.id, "trained", None, inside))
        for shingle in own:
            holders[shingle].append(number)
    return found


def _right(case: Case) -> tuple[object, ...]:
    return case.expected, case.refuse, case.call

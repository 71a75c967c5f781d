"""Differences of two texts by words, for a reviewer who corrects."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

MOST_PARTS = 3000
"""Words or lines of a text that are compared. The comparison takes time with their product."""
_WORDS = re.compile(r"\w+|\s+|[^\w\s]")
_LINES = re.compile(r"[^\n]*\n|[^\n]+")


class Part(NamedTuple):
    """A part of the two texts."""

    kind: Literal["same", "removed", "added"]
    text: str


def differences(before: str, after: str) -> list[Part] | None:
    """The parts of two texts in order: by words, or by lines where there are many. None: too long to compare."""
    for pattern in (_WORDS, _LINES):
        old, new = pattern.findall(before), pattern.findall(after)
        if max(len(old), len(new)) <= MOST_PARTS:
            return _compare(old, new)
    return None


def _compare(old: list[str], new: list[str]) -> list[Part]:
    parts: list[Part] = []
    for tag, old_from, old_to, new_from, new_to in SequenceMatcher(
        None, old, new, autojunk=False
    ).get_opcodes():
        removed, added = "".join(old[old_from:old_to]), "".join(new[new_from:new_to])
        if tag == "equal":
            parts.append(Part("same", removed))
            continue
        parts += [Part("removed", removed)] if removed else []
        parts += [Part("added", added)] if added else []
    return parts

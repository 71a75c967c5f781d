"""The ids of held answers, and the normal form in which names of people are compared."""

from __future__ import annotations

import re
import unicodedata

ID = re.compile(r"[0-9a-f]{32}")
"""The id of a held answer, which is the id of its request."""
_UNSEEN = frozenset("\u115f\u1160\u17b4\u17b5\u3164\uffa0")
"""Characters of category letter that are invisible."""


def fold(name: str) -> str:
    """Return a name without differences that people do not see: case, accents, width, spaces, invisible characters.

    Names with the same result count as one person, who may not decide on answers to their own requests. Folding too
    much makes another person decide; folding too little would let people approve their own.
    """
    letters = unicodedata.normalize("NFKD", name).casefold()
    return "".join(
        letter
        for letter in unicodedata.normalize("NFKD", letters)
        if unicodedata.category(letter)[0] not in "CMZ" and letter not in _UNSEEN
    )

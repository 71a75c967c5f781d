"""How held answers and people are named: an answer's id, and the one form in which a person's names are compared."""

from __future__ import annotations

import re
import unicodedata

ID = re.compile(r"[0-9a-f]{32}")
"""Of a held answer: its request's."""
_UNSEEN = frozenset("\u115f\u1160\u17b4\u17b5\u3164\uffa0")
"""Letters by their category, and nobody sees them."""


def fold(name: str) -> str:
    """The name without what people do not see or do not tell apart: case, accents, width, spaces, invisible signs.

    Names that fold alike count as one person, who then does not decide upon answers to their own requests. Folding
    too much makes another person decide; folding too little would let people approve their own.
    """
    letters = unicodedata.normalize("NFKD", name).casefold()
    return "".join(
        letter
        for letter in unicodedata.normalize("NFKD", letters)
        if unicodedata.category(letter)[0] not in "CMZ" and letter not in _UNSEEN
    )

"""Texts in pieces, as pages show them: words that the model was unsure of, invisible characters, citations."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

MOST_TEXT = 400_000
"""Characters of one text that are shown."""
_HIDDEN = re.compile(
    "[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\u0000-\u0008\u000b-\u001f\u007f]"
)
"""Characters that nobody sees, or that change the order in which text is read."""


@dataclass(frozen=True)
class Piece:
    """A piece of a text as it is shown."""

    text: str
    percent: int | None = None
    """Probability that the model gave it, where that is low."""
    is_hidden: bool = False
    """An invisible character, shown by its number."""
    cites: int | None = None
    """The source that it cites; 0: one that is not there."""


def text_pieces(text: str, unsure: list[Any] | None = None) -> list[Piece]:
    """A text in pieces: its unsure parts are marked, and characters that nobody sees are shown."""
    shown, cut = text[:MOST_TEXT], text[MOST_TEXT:]
    pieces: list[Piece] = []
    at = 0
    for begin, end, probability in unsure or []:
        if not at <= begin < end <= len(shown):
            continue
        pieces += _visible(shown[at:begin], None)
        pieces += _visible(shown[begin:end], round(100 * probability))
        at = end
    pieces += _visible(shown[at:], None)
    return [*pieces, Piece("…")] if cut else pieces


def _visible(text: str, percent: int | None) -> list[Piece]:
    pieces: list[Piece] = []
    at = 0
    for match in _HIDDEN.finditer(text):
        pieces += [Piece(text[at : match.start()], percent)] if match.start() > at else []
        pieces.append(Piece(f"U+{ord(match[0]):04X}", is_hidden=True))
        at = match.end()
    return [*pieces, Piece(text[at:], percent)] if at < len(text) else pieces

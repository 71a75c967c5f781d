"""Sources that an application gave with its request, and where an answer cites them: `[1]`, or `[1, 3]`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from edge.desk.pieces import Piece, text_pieces

_CITED = re.compile(r"\[(\d{1,3}(?:\s*,\s*\d{1,3})*)\]")


@dataclass(frozen=True)
class Source:
    """A source as the page of an item quotes it."""

    number: int
    title: str
    url: str
    """Where it is: https://, shown as a link and never loaded. Empty: the application states none."""
    pieces: list[Piece]


def sources_of(about: Mapping[str, Any]) -> list[Source]:
    """The sources that were kept with an answer, numbered from 1."""
    return [
        Source(number, str(source["title"]), _https(source.get("url")), text_pieces(str(source["text"])))
        for number, source in enumerate(about.get("sources", []), 1)
    ]


def missing_sources(texts: Iterable[Any], count: int) -> list[int]:
    """Numbers that these texts cite and that none of the `count` sources has."""
    cited = {
        number
        for text in texts
        if isinstance(text, str)
        for match in _CITED.finditer(text)
        for number in _numbers(match)
    }
    return sorted(number for number in cited if not 1 <= number <= count)


def mark_citations(pieces: Sequence[Piece], count: int) -> list[Piece]:
    """The pieces of an answer, with the places at which it cites a source."""
    marked: list[Piece] = []
    for piece in pieces:
        at = 0
        for match in [] if piece.is_hidden else _CITED.finditer(piece.text):
            if match.start() > at:
                marked.append(replace(piece, text=piece.text[at : match.start()]))
            numbers = _numbers(match)
            is_there = all(1 <= number <= count for number in numbers)
            marked.append(replace(piece, text=match[0], cites=numbers[0] if is_there else 0))
            at = match.end()
        if at < len(piece.text):
            marked.append(replace(piece, text=piece.text[at:]))
    return marked


def _numbers(match: re.Match[str]) -> list[int]:
    return [int(number) for number in match[1].split(",")]


def _https(url: object) -> str:
    return url if isinstance(url, str) and url.startswith("https://") else ""

"""A recogniser: a pattern, what must stand beside it, and a check of what it found.

Patterns run in RE2 over UTF-8, whose time grows with the text's length whatever the pattern: nobody's prompt, and no
pattern of an organisation's own, can make the detector work for minutes. RE2 looks neither back nor ahead, so what
stands beside a match is looked at here.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from edge.redaction.checksums import Check

Sort = Literal["token", "groups", "free"]
"""What a match is made of, for a stream to know how much to hold back: one token without a space; groups without
lower-case letters; anything up to `width`."""
CONTEXT = 60
"""Characters before a match in which a word may say what it is."""


class TooSlow(Exception):
    """The time for a text is over, and it was not looked through."""


class BadPattern(ValueError):
    """A pattern that cannot be used; why."""


@dataclass(frozen=True)
class Recogniser:
    """One rule. A match counts when it stands alone, its check holds, and words are near where they must be."""

    entity: str
    name: str
    pattern: str
    sort: Sort = "groups"
    check: Check | None = None
    """Of the match's text; what it refuses is no finding."""
    context: tuple[str, ...] = ()
    """Words, in lower case."""
    needs_context: bool = False
    jurisdictions: frozenset[str] = frozenset()
    """Whose number it is; empty: everybody's."""
    score: float = 0.5
    group: int = 0
    """What of the match is hidden."""
    alone: bool = True
    """Whether no letter or digit may stand right beside it."""

    @cached_property
    def compiled(self) -> Any:
        """The pattern as RE2 has it; raises BadPattern."""
        import re2

        options = re2.Options()
        options.log_errors = False
        try:
            return re2.compile(self.pattern.encode(), options=options)
        except re2.error as error:
            raise BadPattern(str(error.args[0] if error.args else error)[:200]) from None

    @cached_property
    def width(self) -> int:
        """The most characters that a match can have; raises BadPattern where there is no such number."""
        widest = _widest(self.pattern)
        if widest is None or widest > MAX_WIDTH:
            raise BadPattern(
                f"a match could be longer than {MAX_WIDTH} characters: bound it, as in [a-z]{{1,40}}"
            )
        return widest

    def spans(self, text: Text) -> Iterator[tuple[int, int, float]]:
        """Where it is found, in characters of the original text, and how sure. Raises TooSlow."""
        at = 0
        while (match := self.compiled.search(text.raw, at)) is not None:
            text.tick()
            start, end = match.span(self.group)
            for last in self._ends(text, start, end):
                if (score := self._score(text, start, last)) is not None:
                    yield text.index(start), text.index(last), score
                    at = max(match.end() if last == end else last, at + 1)
                    break
            else:
                # Not past it: the true number may begin within what only looked like one.
                at = text.next_start(match.start()) if self.alone else text.after(match.start())
            if at >= len(text.raw):
                return

    def _ends(self, text: Text, start: int, end: int) -> Iterator[int]:
        """The match's end, and with a check those of shorter ones: patterns are greedy, and take on the next word."""
        if end <= start or (self.alone and text.joined_before(start)):
            return
        if not (self.alone and text.joined_after(end)):
            yield end
        if self.check is None or self.group:
            return
        for last in range(end - 1, start + 1, -1):
            if text.raw[last] in b" -" and self.compiled.fullmatch(text.raw[start:last]):
                yield last

    def _score(self, text: Text, start: int, end: int) -> float | None:
        if self.check is not None and not self.check(text.raw[start:end].decode()):
            return None
        if not self.context:
            return self.score
        near = text.before(start)
        if any(word in near for word in self.context):
            return max(self.score, 0.85)
        return None if self.needs_context else self.score


MAX_WIDTH = 512


def _widest(pattern: str) -> int | None:
    """The longest match by Python's own reading of the pattern: the syntax is the same but for classes of Unicode."""
    from re import _parser  # type: ignore[attr-defined]

    try:
        readable = re.sub(r"\\[pP](\{\w+\}|\w)", r"\\w", pattern)
        return int(_parser.parse(readable).getwidth()[1])
    except (re.error, OverflowError, RecursionError):
        return None


class Text:
    """A text as patterns read it: UTF-8, with the many spaces, dashes and digits of Unicode made plain."""

    def __init__(self, text: str, until: float = float("inf")) -> None:
        self._until, self._ticks = until, 0
        self.clean, self._map = plain(text)
        self.raw = self.clean.encode("utf-8", "replace")
        self._ascii = len(self.raw) == len(self.clean)
        self._counted = [0]
        """Characters before each `_STRIDE` bytes, as far as anybody asked: counted from the beginning for each match,
        a long text would take the square of its length."""

    def index(self, byte: int) -> int:
        """The character of the original text that a byte belongs to."""
        at = byte if self._ascii else self._characters(byte)
        return at if self._map is None else self._map[at]

    def _characters(self, byte: int) -> int:
        while len(self._counted) <= byte // _STRIDE:
            begin = (len(self._counted) - 1) * _STRIDE
            self._counted.append(self._counted[-1] + _begun(self.raw[begin : begin + _STRIDE]))
        begin = byte // _STRIDE * _STRIDE
        return self._counted[byte // _STRIDE] + _begun(self.raw[begin:byte])

    def after(self, byte: int) -> int:
        """The byte at which the next character begins."""
        byte += 1
        while byte < len(self.raw) and self.raw[byte] & 0xC0 == 0x80:
            byte += 1
        return byte

    def before(self, byte: int) -> str:
        """The words before a byte, in lower case."""
        return self.raw[max(0, byte - CONTEXT) : byte].decode("utf-8", "ignore").lower()

    def joined_before(self, byte: int) -> bool:
        """Whether a letter or a digit stands right before."""
        return self.raw[max(0, byte - 4) : byte].decode("utf-8", "ignore")[-1:].isalnum()

    def joined_after(self, byte: int) -> bool:
        """Whether a letter or a digit begins here."""
        return self.raw[byte : byte + 4].decode("utf-8", "ignore")[:1].isalnum()

    def next_start(self, byte: int) -> int:
        """Where the next word begins: nothing that must stand alone begins within one."""
        byte = self.after(byte)
        while byte < len(self.raw) and self.joined_before(byte):
            byte = self.after(byte)
        return byte

    def tick(self) -> None:
        """Raise TooSlow when the time for this text is over."""
        self._ticks += 1
        if self._ticks & 63 == 0 and time.monotonic() > self._until:
            raise TooSlow


_STRIDE = 4096
_CONTINUES = bytes(range(0x80, 0xC0))


def _begun(raw: bytes) -> int:
    """How many characters begin in a piece of UTF-8."""
    return len(raw.translate(None, _CONTINUES))


_SPACES = dict.fromkeys(
    map(
        ord,
        "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000\t",
    ),
    " ",
)
_DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"), "-")
_WIDE = {0xFF01 + at: chr(0x21 + at) for at in range(0x5E)} | {0x2024: ".", 0x2019: "'"}
_PLAIN = _SPACES | _DASHES | _WIDE
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")


def plain(text: str) -> tuple[str, list[int] | None]:
    """The text with look-alikes made plain, one for one; what nobody sees is left out, and then a map leads back."""
    if text.isascii():
        return text.replace("\t", " "), None
    same = text.translate(_PLAIN)
    if _UNSEEN.search(same) is None:
        return same, None
    kept = [(each, at) for at, each in enumerate(same) if _UNSEEN.match(each) is None]
    return "".join(each for each, _ in kept), [*(at for _, at in kept), len(text)]

"""Recognisers: a pattern, conditions on the text around a match, and a check of the match.

Patterns run in RE2 over UTF-8. Its time grows linearly with the text, whatever the pattern. So neither a prompt nor
an organisation's own pattern can keep the detector busy for minutes. RE2 has no look-around, so the text around a
match is checked here. The work for one match is limited by the pattern's width, not by the text.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from edge.redaction.checksums import Check
from edge.redaction.normalise import Form, forms
from edge.redaction.prefixes import beginnings

Sort = Literal["token", "groups", "free"]
"""Form of the matches, which decides how much a stream holds back. `token`: one token without a space. `groups`:
groups without lower-case letters. `free`: anything up to `width`."""
CONTEXT = 60
"""Characters before a match that are searched for context words."""


class TooSlow(Exception):
    """The time limit of a text is over, so the text was not completely checked."""


class BadPattern(ValueError):
    """A pattern cannot be used. The message gives the reason."""


@dataclass(frozen=True)
class Recogniser:
    """One rule. A match counts if it stands alone, its check passes, and the required context words are near."""

    entity: str
    name: str
    pattern: str
    sort: Sort = "groups"
    check: Check | None = None
    """Check of the match's text. A match that fails is not a finding."""
    context: tuple[str, ...] = ()
    """Context words before a match, in lower case. `*` at an end of a word matches the rest of it: `tele*`,
    `*nummer`."""
    against: tuple[str, ...] = ()
    """Words that mean another kind of number. They apply if they are nearer to the match than any word of
    `context`."""
    after: tuple[str, ...] = ()
    """Context words directly after a match."""
    needs_context: bool = False
    jurisdictions: frozenset[str] = frozenset()
    """Jurisdictions that issue the number. Empty: all."""
    score: float = 0.5
    group: int = 0
    """Group of the pattern that is hidden. 0: the whole match."""
    alone: bool = True
    """Whether the match must not touch a letter or digit."""
    shorten: Callable[[str], str] | None = None
    """Returns the beginning of a match that counts. Empty: the match does not count."""
    counts_between: Callable[[str, str, str], bool] | None = None
    """Called with the text before a match, the match, and the text after it. Returns whether the match counts.
    Replaces the condition of `alone`."""

    @cached_property
    def compiled(self) -> Any:
        """The pattern, compiled by RE2. Raises BadPattern."""
        import re2

        options = re2.Options()
        options.log_errors = False
        try:
            return re2.compile(self.pattern.encode(), options=options)
        except re2.error as error:
            raise BadPattern(str(error.args[0] if error.args else error)[:200]) from None

    def make_ready(self) -> None:
        """Compile everything now, not in the first request. RE2 compiles a part of it at first use."""
        _ = self.width, self.narrow, self._words
        text = Text("Ready: Mr. Müller, 12.03.2024, tel. 4711")
        list(self.spans(text))
        if self.sort == "free":
            self.undecided(text)

    @cached_property
    def width(self) -> int:
        """Maximum length of a match in characters. Raises BadPattern if there is no maximum."""
        widest = _widest(self.pattern)
        if widest is None or widest > MAX_WIDTH:
            raise BadPattern(
                f"a match could be longer than {MAX_WIDTH} characters: bound it, as in [a-z]{{1,40}}"
            )
        return widest

    @cached_property
    def _beginnings(self) -> Any:
        """The compiled pattern of the beginnings of matches at a text's end. None: it cannot be built."""
        import re2

        options = re2.Options()
        options.log_errors = False
        options.max_mem = (
            1 << 22
        )  # for each pattern in each worker; patterns that need more hold back `width` characters
        written = beginnings(self.pattern)
        try:
            return None if written is None else re2.compile(rf"(?:{written})\z".encode(), options=options)
        except re2.error:
            return None

    def undecided(self, text: Text) -> int:
        """Position in the original text from which a match may be incomplete, because later text could continue it."""
        raw = text.raw
        start = text.begin_of_last(self.width + 2)
        if self._beginnings is not None:
            match = self._beginnings.search(raw, start)
            start = match.start() if match else len(raw)
        return text.position(start)

    @cached_property
    def narrow(self) -> int:
        """Minimum length of a match in characters."""
        narrowest = _widths(self.pattern)
        return max(1, narrowest[0]) if narrowest else 1

    @cached_property
    def _words(self) -> tuple[re.Pattern[str] | None, re.Pattern[str] | None, re.Pattern[str] | None]:
        return _phrases(self.context), _phrases(self.against), _phrases(self.after)

    def spans(self, text: Text) -> Iterator[tuple[int, int, float]]:
        """Begin, end and score of each finding, in characters of the original text. Raises TooSlow."""
        at = 0
        while (match := text.search(self.compiled, at)) is not None:
            start, end = match.span(self.group)
            for last in self._ends(text, start, end):
                if (score := self._score(text, start, last)) is not None:
                    first, behind = text.span(start, last)
                    yield first, behind, score
                    at = max(match.end() if last == end else last, at + 1)
                    break
            else:
                # Do not skip the whole match: a valid number may begin inside it.
                if self.counts_between is not None:
                    at = text.next_possible_start(match.start())
                else:
                    at = text.next_start(match.start()) if self.alone else text.after(match.start())
            if at >= len(text.raw):
                return

    def _ends(self, text: Text, start: int, end: int) -> Iterator[int]:
        """The end of the match, then the ends of shorter matches. Patterns are greedy and may include the next
        word.

        Only groups of characters have shorter matches, and only if a check may reject the longest match or the
        longest match ends within a word (`+49 30 901820. 20000 euros`).
        """
        if end <= start or (self.alone and self.counts_between is None and text.joined_before(start)):
            return
        if self.shorten is not None:
            if shortened := self.shorten(text.raw[start:end].decode()):
                yield start + len(shortened.encode())
            return
        ends_within_word = self.alone and text.joined_after(end)
        if not ends_within_word or self.counts_between is not None:
            yield end
        if self.group or self.sort != "groups" or not (self.check or ends_within_word):
            return
        for last in range(end - 1, start + self.narrow - 1, -1):
            if (
                text.ends_group(last)
                and not (self.alone and text.joined_after(last))
                and text.fits(self.compiled, start, last)
            ):
                yield last

    def _score(self, text: Text, start: int, end: int) -> float | None:
        near = self._near(text, start, end) if self.context else True
        if not near and (self.needs_context or self._labelled(text, start)):
            return None
        if self.counts_between is not None and not self.counts_between(*text.around(start, end)):
            return None
        if self.check is not None and not self.check(text.raw[start:end].decode()):
            return None
        return max(self.score, 0.85) if self.context and near else self.score

    def _near(self, text: Text, start: int, end: int) -> bool:
        """Whether a context word is near the match."""
        context_pattern, against_pattern, after_pattern = self._words
        before = text.before(start)
        context_end = (
            max((match.end() for match in context_pattern.finditer(before)), default=-1)
            if context_pattern
            else -1
        )
        if context_end >= 0 and not (against_pattern and against_pattern.search(before, context_end)):
            return True
        return after_pattern is not None and after_pattern.match(text.behind(end)) is not None

    def _labelled(self, text: Text, start: int) -> bool:
        """Whether the words directly before a match mean another kind of number: `invoice no. 0123456789`."""
        against = self._words[1]
        if against is None:
            return False
        before = _LABEL_ENDS.sub("", text.before(start))
        return any(match.end() == len(before) for match in against.finditer(before))


MAX_WIDTH = 512


def _widest(pattern: str) -> int | None:
    widths = _widths(pattern)
    return None if widths is None else widths[1]


def _widths(pattern: str) -> tuple[int, int] | None:
    """Minimum and maximum length of a match, by Python's parser. Its syntax is the same except for Unicode classes."""
    from re import _parser  # type: ignore[attr-defined]

    try:
        readable = re.sub(r"\\[pP](\{\w+\}|\w)", r"\\w", pattern)
        shortest, longest = _parser.parse(readable).getwidth()
        return int(shortest), int(longest)
    except (re.error, OverflowError, RecursionError):
        return None


_LABEL_ENDS = re.compile(
    r"(?:[\s.:#=\"'(_-]|(?<![^\W_])(?:no|nr|num|number|nummer|numero|numéro|número|id|is))+$"
)
_PLACEHOLDER = re.compile(r"<[a-z][a-z0-9_]{1,50}>")
_LONGEST_PLACEHOLDER = 54


def _phrases(words: tuple[str, ...]) -> re.Pattern[str] | None:
    """A pattern that matches any of the words, as a whole word."""
    if not words:
        return None
    patterns = []
    for word in sorted(words, key=len, reverse=True):
        stem = re.escape(word.strip("*")).replace("\\ ", r"\s{1,3}")
        left = r"\w*" if word.startswith("*") else ""
        right = r"\w*" if word.endswith("*") else ""
        patterns.append(f"{left}{stem}{right}")
    return re.compile(rf"(?<![^\W_])(?:{'|'.join(patterns)})(?![^\W_])")


class Text:
    """A normal form of a text in UTF-8, which patterns read."""

    def __init__(self, text: str | Form, until: float = float("inf")) -> None:
        self._until, self._ticks = until, 0
        self.form = forms(text)[0] if isinstance(text, str) else text
        self.raw = self.form.text.encode("utf-8", "replace")
        self._ascii = len(self.raw) == len(self.form.text)
        self._counted = [0]
        """Number of characters before each block of `_STRIDE` bytes, computed when needed. Counting from the
        beginning for each match would take quadratic time."""
        self.steps = 0
        """Number of bytes that were read, to measure how the work grows with the text."""

    def search(self, pattern: Any, at: int) -> Any:
        """The first match of the pattern from byte `at` on. Raises TooSlow."""
        self.tick()
        match = pattern.search(self.raw, at)
        self.steps += (match.end() if match else len(self.raw)) - at
        return match

    def fits(self, pattern: Any, start: int, end: int) -> bool:
        """Whether the pattern matches all bytes from `start` to `end`. Raises TooSlow."""
        self.tick()
        self.steps += end - start
        return pattern.fullmatch(self.raw[start:end]) is not None

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The span of these bytes in the original text, in characters."""
        if self._ascii:
            return self.form.span(start, end)
        return self.form.span(self._characters(start), self._characters(end))

    def position(self, byte: int) -> int:
        """The position of this byte in the original text, in characters."""
        return self.form.position(byte if self._ascii else self._characters(byte))

    def _characters(self, byte: int) -> int:
        while len(self._counted) <= byte // _STRIDE:
            begin = (len(self._counted) - 1) * _STRIDE
            self._counted.append(self._counted[-1] + _count_characters(self.raw[begin : begin + _STRIDE]))
        begin = byte // _STRIDE * _STRIDE
        return self._counted[byte // _STRIDE] + _count_characters(self.raw[begin:byte])

    def begin_of_last(self, characters: int) -> int:
        """The byte at which the last `characters` characters begin."""
        return len(self.raw) - len(self.form.text[-characters:].encode("utf-8", "replace"))

    def after(self, byte: int) -> int:
        """The byte at which the next character begins."""
        byte += 1
        while byte < len(self.raw) and self.raw[byte] & 0xC0 == 0x80:
            byte += 1
        return byte

    def before(self, byte: int) -> str:
        """The text before a byte, in lower case. Placeholders become spaces, because they are not context words."""
        max_bytes = CONTEXT + _LONGEST_PLACEHOLDER
        text = self.raw[max(0, byte - max_bytes) : byte].decode("utf-8", "ignore").lower()
        return _PLACEHOLDER.sub(lambda match: " " * len(match.group()), text)[-CONTEXT:]

    def behind(self, byte: int) -> str:
        """The text after a byte, in lower case, without separators at its beginning."""
        return self.raw[byte : byte + BEHIND].decode("utf-8", "ignore").lower().lstrip(" \t-([:")

    def ends_group(self, byte: int) -> bool:
        """Whether a group of letters and digits ends at this byte."""
        return self.raw[byte - 1] in _ALPHANUMERIC and self.raw[byte] not in _ALPHANUMERIC

    def joined_before(self, byte: int) -> bool:
        """Whether a letter or digit is directly before this byte."""
        return self.raw[max(0, byte - 4) : byte].decode("utf-8", "ignore")[-1:].isalnum()

    def joined_after(self, byte: int) -> bool:
        """Whether a letter or digit begins at this byte."""
        return self.raw[byte : byte + 4].decode("utf-8", "ignore")[:1].isalnum()

    def around(self, start: int, end: int) -> tuple[str, str, str]:
        """The text before a match, the match itself, and the text after it."""
        before, after = self.raw[max(0, start - AROUND) : start], self.raw[end : end + AROUND]
        return before.decode("utf-8", "ignore"), self.raw[start:end].decode(), after.decode("utf-8", "ignore")

    def next_possible_start(self, byte: int) -> int:
        """The next character, or the end of the digits at it, because no number begins within the digits of
        another.
        """
        byte = self.after(byte)
        digits = _DIGITS.match(self.raw, byte) if self.raw[byte - 1] in b"0123456789" else None
        return digits.end() if digits else byte

    def next_start(self, byte: int) -> int:
        """The begin of the next word, because a match that must stand alone cannot begin within a word."""
        byte = self.after(byte)
        while byte < len(self.raw) and self.joined_before(byte):
            match = _WORD.match(self.raw, byte)
            byte = match.end() if match else self.after(byte)
        return byte

    def tick(self) -> None:
        """Raise TooSlow if the time limit of this text is over."""
        self._ticks += 1
        if self._ticks & 63 == 0 and time.monotonic() > self._until:
            raise TooSlow


BEHIND = 24
"""Bytes after a match that are searched for context words."""
AROUND = 64
"""Bytes before and after a match that `counts_between` gets."""
_DIGITS, _WORD = re.compile(rb"[0-9]+"), re.compile(rb"[0-9A-Za-z]+")
_ALPHANUMERIC = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_STRIDE = 4096
_CONTINUES = bytes(range(0x80, 0xC0))


def _count_characters(raw: bytes) -> int:
    """Number of characters that begin in a piece of UTF-8."""
    return len(raw.translate(None, _CONTINUES))

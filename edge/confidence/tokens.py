"""The tokens of an answer with their log-probabilities, and the tokens of a part of its text."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from edge.confidence.json_values import Span

MAX_TOKENS = 262_144
"""Maximum number of tokens in one answer, more than models generate."""


class NoTokens(ValueError):
    """The log-probabilities are missing, invalid, or belong to another text."""


@dataclass
class Tokens:
    """Tokens from a model server's `logprobs.content`, whole or chunk by chunk."""

    written: bytearray = field(default_factory=bytearray)
    ends: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)

    def take(self, logprobs: Any) -> None:
        """Add tokens of a choice's `logprobs`. Raises NoTokens."""
        content = logprobs.get("content") if isinstance(logprobs, dict) else None
        if not isinstance(content, list):
            raise NoTokens("there are no log-probabilities")
        if len(self.ends) + len(content) > MAX_TOKENS:
            raise NoTokens("there are too many tokens")
        for token in content:
            self._add(token)

    def _add(self, entry: Any) -> None:
        logprob: Any = entry.get("logprob") if isinstance(entry, dict) else None
        if type(logprob) not in (int, float) or not math.isfinite(logprob) or logprob > 1e-6:
            raise NoTokens("a log-probability is none")
        written: Any = entry.get("bytes")
        token: Any = entry.get("token")
        try:
            # A token may be half a character, so its bytes are used if the server sends them.
            self.written += bytes(written) if isinstance(written, list) else str.encode(token)
        except (TypeError, ValueError):
            raise NoTokens("a token has no text") from None
        self.ends.append(len(self.written))
        self.logprobs.append(min(float(logprob), 0.0))

    def place(self, text: str, before: int | None = None) -> int:
        """The byte at which the last occurrence of `text` begins. Raises NoTokens if there is none.

        The last one counts, because a model's reasoning and the text around a tool call come first and may contain
        the same words.
        """
        at = self.written.rfind(text.encode(), 0, len(self.written) if before is None else before)
        if at < 0 or not text:
            raise NoTokens("the log-probabilities are of another text")
        return at

    def of(self, start: int, end: int) -> list[float]:
        """The log-probabilities of the tokens that contain a byte from `start` to before `end`. Raises NoTokens."""
        first = bisect_right(self.ends, start)
        logprobs = self.logprobs[first : bisect_left(self.ends, end) + 1]
        if not logprobs:
            raise NoTokens("a part of the text has no token")
        return logprobs

    def unsure(self, text: str, below: float, most: int) -> list[tuple[int, int, float]]:
        """The parts of a text whose tokens have a probability below `below`, at most `most` of them. Raises NoTokens.

        Each is its begin and end in characters, and the probability. A part has whole characters.
        """
        at, encoded, limit = self.place(text), text.encode(), math.log(below)
        parts: list[tuple[int, int, float]] = []
        characters = known = 0
        begin, end = bisect_right(self.ends, at), bisect_left(self.ends, at + len(encoded)) + 1
        for number in range(begin, min(end, len(self.ends))):
            if self.logprobs[number] >= limit:
                continue
            first = _character_start(encoded, max(self.ends[number - 1] - at if number else 0, known))
            last = min(self.ends[number] - at, len(encoded))
            while last < len(encoded) and encoded[last] & 0xC0 == 0x80:
                last += 1
            if first < known or last <= first:
                continue
            start = characters + len(encoded[known:first].decode())
            characters, known = start + len(encoded[first:last].decode()), last
            parts.append((start, characters, round(math.exp(self.logprobs[number]), 3)))
            if len(parts) == most:
                break
        return parts


def _character_start(encoded: bytes, at: int) -> int:
    """The first byte of the character that has this byte."""
    while 0 < at < len(encoded) and encoded[at] & 0xC0 == 0x80:
        at -= 1
    return at


def byte_spans(text: str, spans: Sequence[Span]) -> list[Span]:
    """Convert spans of characters into spans of UTF-8 bytes."""
    if text.isascii():
        return list(spans)
    sums = [0, *accumulate(len(character.encode()) for character in text)]
    return [(sums[start], sums[end]) for start, end in spans]

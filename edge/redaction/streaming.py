"""Buffers a text that comes in pieces, and holds back what a later piece could make part of an entity.

Lengths are those of the text's normal forms (`normalise.py`): characters that nobody sees, or percent-encoding, make no
match longer. What is let go is what would be let go of the whole text, however it is cut: a match is whole in the
window, and replaced, or begins in what is held. How much that is depends on what is looked for:

- keys and addresses are one token: the last one is held until a space ends it;
- numbers come in groups: held is the row of tokens at the end that could be groups, words of four letters among them;
- patterns of words (an organisation's own, names after a title) are held where the detector says that a match may be
  in progress (`Detection.undecided`), and never by more than their greatest width;
- names that a model finds are held by the line, since its language is told by the whole line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from edge.redaction.findings import Finding
from edge.redaction.normalise import MARKS, Form, forms
from edge.redaction.redact import hide
from edge.redaction.secrets import PRIVATE_KEY_BEGINS

BEFORE = 128
"""Characters, in their normal form, of what was let go that are shown again: words that say what comes."""
MAX_HELD = 64 * 1024
"""Characters that may be held; a line or a key that is longer is nobody's."""
LINE = 2_000
_TOKEN = re.compile(r"\S+")
_BEGUN = re.compile(r"<(?:[A-Z][A-Z0-9_]{0,50})?")
"""What a placeholder may begin with."""
_FIRST_LINE = 80
"""Characters of a private key's first line, which is several tokens."""


class TooLong(Exception):
    """More text would have to be held back than is allowed."""


@dataclass(frozen=True)
class Reach:
    """How far matches of the searched entities can reach."""

    widest: int
    """Characters of the longest match of any pattern."""
    words: int = 0
    """Of the longest match of a pattern of words; 0: none is looked for."""
    groups: bool = True
    """Whether a match can be of several tokens that are no words."""
    lines: bool = False
    """Whether a model looks at whole lines."""


class StreamBuffer:
    """The buffer of one text."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._before = self._pending = ""

    def add(self, piece: str) -> None:
        """Add a piece. Raises TooLong."""
        self._pending += piece
        if len(self._pending) > MAX_HELD:
            raise TooLong

    @property
    def waiting(self) -> bool:
        """Whether text is held."""
        return bool(self._pending)

    @property
    def window(self) -> str:
        """The text to pass to the detector before the next `release`."""
        return self._before + self._pending

    def ready(self) -> bool:
        """Whether a detection now could release text. If not, wait for the next piece."""
        return self._cut(len(self.window)) > 0

    def release(
        self, findings: Sequence[Finding], *, last: bool = False, undecided: int | None = None
    ) -> str:
        """The released text, with the findings in `window` hidden. With `last`, everything is released.

        `undecided` is the detection's: where in `window` a match of words may be in progress.
        """
        begin = len(self._before)
        cut = begin + (len(self._pending) if last else self._cut(undecided))
        for finding in reversed(findings):
            # Not decided yet, or not whole: from its first character on it waits.
            if finding.start < cut < finding.end or (finding.end == cut and not last):
                cut = max(begin, finding.start)
        window = self.window
        released = [
            Finding(
                max(finding.start, begin) - begin,
                min(finding.end, cut) - begin,
                finding.entity,
                finding.score,
                finding.rule,
            )
            for finding in findings
            if finding.end > begin and finding.start < cut
        ]
        text = hide(window[begin:cut], released)
        self._before, self._pending = _context_tail(window[:cut]), window[cut:]
        return text

    def _cut(self, undecided: int | None) -> int:
        """How much of what is held no later piece can change. `undecided` of the window; None: it is not known."""
        read = forms(self._pending)
        cut = min(form.position(self._decided(form.text)) for form in read)
        if self._reach.words:
            word_position = min(
                form.position(max(0, len(form.text) - self._reach.words - 2)) for form in read
            )
            cut = min(cut, max(word_position, 0 if undecided is None else undecided - len(self._before)))
        return max(0, cut)

    def _decided(self, text: str) -> int:
        """The same of one form, but for patterns of words."""
        reach, length = self._reach, len(text)
        cut = max(_row_start(text, reach.groups), length - reach.widest - 2)
        if (key := text.rfind(PRIVATE_KEY_BEGINS)) >= 0 and length - key < _FIRST_LINE:
            cut = min(cut, key)
        if reach.lines:
            ended = text.rfind("\n") + 1
            if not ended and length > LINE:
                ended = text.rfind(" ", 0, LINE) + 1
            cut = min(cut, ended)
        return max(0, cut)


def _context_tail(released: str) -> str:
    """The end of what was let go that is shown again."""
    end = released[-MAX_HELD:]
    return end[min(_tail(form) for form in forms(end)) :]


def _tail(form: Form) -> int:
    return form.position(max(0, len(form.text) - BEFORE))


def _row_start(text: str, groups: bool) -> int:
    """Where the last token begins, and with `groups` the row of tokens before it that could be of one number."""
    begin = len(text)
    for token in reversed(list(_TOKEN.finditer(text))):
        if token.end() < len(text) and not (groups and _could_be_group(token.group())):
            break
        begin = token.start()
    return begin


_MARKS = re.compile(MARKS)
_PARTING = "\"'[](){},;+.:<>/"
"""What parts groups, or stands around the row of them."""


def _could_be_group(token: str) -> bool:
    token = _MARKS.sub("", token).strip(_PARTING)
    return len(token) <= 4 or any(map(str.isdigit, token)) or not any(map(str.islower, token))


class PlaceholderBuffer:
    """Re-cuts a text that comes in pieces, so that no piece ends within a placeholder."""

    def __init__(self) -> None:
        self._pending = ""

    def add(self, piece: str, *, last: bool = False) -> str:
        """The text in which placeholders are complete and can be replaced."""
        text = self._pending + piece
        opened = text.rfind("<")
        may_be_placeholder = not last and opened >= 0 and _BEGUN.fullmatch(text, opened) is not None
        cut = opened if may_be_placeholder else len(text)
        self._pending = text[cut:]
        return text[:cut]

"""Buffers a text that arrives in pieces, and holds back text that a later piece could make part of an entity.

Lengths are those of the text's normal forms (`normalise.py`), so invisible characters and percent-encoding do not
make a match longer. The released text does not depend on how the text is cut: a match is either complete in the
window and replaced, or begins in the held part. How much is held depends on the entities:

- keys and addresses are one token: the last token is held until a space ends it;
- numbers come in groups: the last tokens are held if they could be groups, including words of up to four letters;
- patterns of words (an organisation's own, names after a title) are held where the detector reports that a match
  may be incomplete (`Detection.undecided`), but never longer than their maximum width;
- names that a model finds are held until the line ends, because the whole line decides its language.
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
"""Characters of released text, in their normal form, that the detector sees again as context."""
MAX_HELD = 64 * 1024
"""Maximum number of held characters. No real line or key is longer."""
LINE = 2_000
_TOKEN = re.compile(r"\S+")
_BEGUN = re.compile(r"<(?:[A-Z][A-Z0-9_]{0,50})?")
"""The possible beginnings of a placeholder."""
_FIRST_LINE = 80
"""Characters of a private key's first line, which consists of several tokens."""


class TooLong(Exception):
    """More text would have to be held back than is allowed."""


@dataclass(frozen=True)
class Reach:
    """How far matches of the searched entities can reach."""

    widest: int
    """Maximum length of a match of any pattern, in characters."""
    words: int = 0
    """Maximum length of a match of word patterns, in characters. 0: no word patterns are searched."""
    groups: bool = True
    """Whether a match can consist of several tokens that are not words."""
    lines: bool = False
    """Whether a model reads whole lines."""


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
        """Whether text is held back."""
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

        `undecided`: position in `window` from which a match of word patterns may be incomplete, from the detection.
        """
        begin = len(self._before)
        cut = begin + (len(self._pending) if last else self._cut(undecided))
        for finding in reversed(findings):
            # A finding that is undecided or incomplete is held back from its first character on.
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
        """Number of held characters that no later piece can change. `undecided`: position in the window, or None if
        unknown.
        """
        read = forms(self._pending)
        cut = min(form.position(self._decided(form.text)) for form in read)
        if self._reach.words:
            word_position = min(
                form.position(max(0, len(form.text) - self._reach.words - 2)) for form in read
            )
            cut = min(cut, max(word_position, 0 if undecided is None else undecided - len(self._before)))
        return max(0, cut)

    def _decided(self, text: str) -> int:
        """The same for one form, without word patterns."""
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
    """The end of the released text, which the detector sees again."""
    end = released[-MAX_HELD:]
    return end[min(_tail(form) for form in forms(end)) :]


def _tail(form: Form) -> int:
    return form.position(max(0, len(form.text) - BEFORE))


def _row_start(text: str, groups: bool) -> int:
    """Begin of the last token or, with `groups`, of the last tokens that could belong to one number."""
    begin = len(text)
    for token in reversed(list(_TOKEN.finditer(text))):
        if token.end() < len(text) and not (groups and _could_be_group(token.group())):
            break
        begin = token.start()
    return begin


_MARKS = re.compile(MARKS)
_PARTING = "\"'[](){},;+.:<>/"
"""Characters between groups of a number, or around them."""


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

"""Builds the pattern of all beginnings of a pattern's matches, to see whether a stream may end within a match.

RE2 has no partial matching. But the beginnings of the matches of a bounded pattern form a bounded pattern too: for
`ab` it matches the beginnings of `a`, and `a` followed by the beginnings of `b`. Patterns that Python's parser
cannot read give None.
"""

from __future__ import annotations

import re
from typing import Any

_CLASS = re.compile(r"\\[pP](?:\{\^?\w+\}|\w)")
_CLASS_STAND_INS = 0xF0000
"""Private-use code points that replace Unicode classes, which Python's parser does not know."""


def beginnings(pattern: str) -> str | None:
    """A pattern in RE2 syntax for all beginnings of matches of `pattern`, from the empty text to the whole match.
    None: not possible.
    """
    from re import _constants, _parser  # type: ignore[attr-defined]

    classes: list[str] = []

    def put(match: re.Match[str]) -> str:
        classes.append(match.group())
        return chr(_CLASS_STAND_INS + len(classes) - 1)

    try:
        parsed = _parser.parse(_CLASS.sub(put, pattern))
        written = _Writer(classes, _constants).beginnings(parsed)
    except (re.error, OverflowError, RecursionError, _CannotWrite):
        return None
    flags = "".join(letter for letter, bit in _FLAGS if parsed.state.flags & bit)
    return f"(?{flags}:{written})" if flags else written


_FLAGS = (("i", re.IGNORECASE), ("s", re.DOTALL), ("m", re.MULTILINE))


class _CannotWrite(Exception):
    pass


class _Writer:
    """Writes the parse tree of Python's parser in RE2 syntax."""

    def __init__(self, classes: list[str], constants: Any) -> None:
        self._classes, self._c = classes, constants

    def beginnings(self, items: Any) -> str:
        """The pattern of all beginnings of a sequence: the beginnings of the first part, or the whole part followed
        by the beginnings of the rest.
        """
        written = ""
        for item in reversed(list(items)):
            begun = self._begin(item)
            written = f"(?:{self._whole(item)}(?:{written})|{begun})" if written else begun
        return written

    def _row(self, items: Any) -> str:
        return "".join(map(self._whole, items))

    def _begin(self, item: Any) -> str:
        kind, value = item
        c = self._c
        if kind in (c.MAX_REPEAT, c.MIN_REPEAT):
            _, maximum, inner = value
            begun = self.beginnings(inner)
            if maximum is c.MAXREPEAT:
                raise _CannotWrite
            return f"(?:{self._row(inner)}){{0,{maximum - 1}}}(?:{begun})" if maximum > 1 else f"(?:{begun})"
        if kind is c.SUBPATTERN:
            return self._flagged(value, self.beginnings(value[-1]))
        if kind is c.BRANCH:
            return f"(?:{'|'.join(self.beginnings(branch) for branch in value[1])})"
        if kind is c.AT:
            return ""
        return f"(?:{self._whole(item)})?"

    def _whole(self, item: Any) -> str:
        kind, value = item
        c = self._c
        if kind is c.LITERAL:
            return self._literal(value)
        if kind is c.NOT_LITERAL:
            return f"[^{self._literal(value)}]"
        if kind is c.ANY:
            return "."
        if kind is c.IN:
            return self._set(value)
        if kind in (c.MAX_REPEAT, c.MIN_REPEAT):
            minimum, maximum, inner = value
            if maximum is c.MAXREPEAT:
                raise _CannotWrite
            return f"(?:{self._row(inner)}){{{minimum},{maximum}}}{'?' if kind is c.MIN_REPEAT else ''}"
        if kind is c.SUBPATTERN:
            return self._flagged(value, self._row(value[-1]))
        if kind is c.BRANCH:
            return f"(?:{'|'.join(map(self._row, value[1]))})"
        if kind is c.AT and (sign := _PLACES.get(str(value))) is not None:
            return sign
        raise _CannotWrite

    def _flagged(self, value: Any, inner: str) -> str:
        _, add, remove, _ = value
        on = "".join(letter for letter, bit in _FLAGS if add & bit)
        off = "".join(letter for letter, bit in _FLAGS if remove & bit)
        return f"(?{on}{'-' + off if off else ''}:{inner})"

    def _literal(self, code: int) -> str:
        if code >= _CLASS_STAND_INS and code - _CLASS_STAND_INS < len(self._classes):
            return self._classes[code - _CLASS_STAND_INS]
        return f"\\x{{{code:x}}}"

    def _set(self, items: Any) -> str:
        members, negated, c = "", "", self._c
        for kind, value in items:
            if kind is c.NEGATE:
                negated = "^"
            elif kind is c.LITERAL:
                members += self._literal(value)
            elif kind is c.RANGE:
                members += f"\\x{{{value[0]:x}}}-\\x{{{value[1]:x}}}"
            elif kind is c.CATEGORY and (sign := _CATEGORIES.get(str(value))) is not None:
                members += sign
            else:
                raise _CannotWrite
        return f"[{negated}{members}]"


_CATEGORIES = {
    "CATEGORY_DIGIT": r"\d",
    "CATEGORY_NOT_DIGIT": r"\D",
    "CATEGORY_SPACE": r"\s",
    "CATEGORY_NOT_SPACE": r"\S",
    "CATEGORY_WORD": r"\w",
    "CATEGORY_NOT_WORD": r"\W",
}
_PLACES = {
    "AT_BEGINNING": "^",
    "AT_BEGINNING_STRING": r"\A",
    "AT_BOUNDARY": r"\b",
    "AT_NON_BOUNDARY": r"\B",
    "AT_END": "$",
    "AT_END_STRING": r"\z",
}

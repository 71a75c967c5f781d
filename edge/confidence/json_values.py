"""Where the values of a JSON text stand in it: what an answer says, without the braces, keys and quotes around it."""

from __future__ import annotations

import re
from json.decoder import scanstring  # type: ignore[attr-defined]

Span = tuple[int, int]
MOST_DEPTH = 64
_BLANK = re.compile(r"[ \t\r\n]*")
_BARE = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null", re.ASCII)


class NoLeaves(ValueError):
    """The text is no JSON, or two of its values bear the same name."""


def leaves(text: str) -> dict[str, Span]:
    """Each value by its JSON pointer (RFC 6901): first character and the one after the last.

    A string's span is what stands between its quotes. What is empty (`""`, `{}`, `[]`) says something all the same:
    its span is its two signs. Raises NoLeaves.
    """
    found: dict[str, Span] = {}
    try:
        end = _blank(text, _value(text, _blank(text, 0), "", found, 0))
    except (IndexError, ValueError) as error:
        raise NoLeaves("it is no JSON") from error
    if end != len(text):
        raise NoLeaves("something follows the JSON")
    return found


def _value(text: str, at: int, pointer: str, found: dict[str, Span], depth: int) -> int:
    if depth > MOST_DEPTH:
        raise NoLeaves("it is nested too deep")
    opening = text[at]
    if opening in "{[":
        return _several(text, at, pointer, found, depth)
    if opening == '"':
        _, end = scanstring(text, at + 1, True)
        found[pointer] = (at + 1, end - 1) if end - at > 2 else (at, end)
        return end
    bare = _BARE.match(text, at)
    if bare is None:
        raise NoLeaves("it is no JSON")
    found[pointer] = bare.span()
    return bare.end()


def _several(text: str, start: int, pointer: str, found: dict[str, Span], depth: int) -> int:
    """An object or a list; the position after it."""
    named, closing = text[start] == "{", "}" if text[start] == "{" else "]"
    at, number = _blank(text, start + 1), 0
    if text[at] == closing:
        found[pointer] = (start, at + 1)
        return at + 1
    seen: set[str] = set()
    while True:
        name = str(number)
        if named:
            if text[at] != '"':
                raise NoLeaves("a key is no string")
            name, at = scanstring(text, at + 1, True)
            if name in seen:
                # Readers differ in which of the two they take: neither score could be said to be the field's.
                raise NoLeaves("a key stands twice in an object")
            seen.add(name)
            at = _past(text, _blank(text, at), ":")
        inner = f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"
        at = _blank(text, _value(text, _blank(text, at), inner, found, depth + 1))
        if text[at] == closing:
            return at + 1
        at, number = _blank(text, _past(text, at, ",")), number + 1


def _past(text: str, at: int, sign: str) -> int:
    if text[at] != sign:
        raise NoLeaves(f"{sign!r} is missing")
    return at + 1


def _blank(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    return match.end() if match else at

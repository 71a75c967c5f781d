"""Finds the positions of values in a JSON text, without braces, keys and quotes."""

from __future__ import annotations

import re
from json.decoder import scanstring  # type: ignore[attr-defined]

Span = tuple[int, int]
MAX_DEPTH = 64
_BLANK = re.compile(r"[ \t\r\n]*")
_BARE = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null", re.ASCII)


class NotJson(ValueError):
    """The text is not JSON, or an object has a duplicate key."""


def leaf_spans(text: str) -> dict[str, Span]:
    """The span (begin, end) of each value by its JSON pointer (RFC 6901). Raises NotJson.

    The span of a string is the text between its quotes. The span of an empty value (`""`, `{}`, `[]`) is its two signs.
    """
    spans: dict[str, Span] = {}
    try:
        end = _skip_blanks(text, _value(text, _skip_blanks(text, 0), "", spans, 0))
    except (IndexError, ValueError) as error:
        raise NotJson("it is no JSON") from error
    if end != len(text):
        raise NotJson("something follows the JSON")
    return spans


def _value(text: str, at: int, pointer: str, spans: dict[str, Span], depth: int) -> int:
    if depth > MAX_DEPTH:
        raise NotJson("it is nested too deep")
    opening = text[at]
    if opening in "{[":
        return _container(text, at, pointer, spans, depth)
    if opening == '"':
        _, end = scanstring(text, at + 1, True)
        spans[pointer] = (at + 1, end - 1) if end - at > 2 else (at, end)
        return end
    bare = _BARE.match(text, at)
    if bare is None:
        raise NotJson("it is no JSON")
    spans[pointer] = bare.span()
    return bare.end()


def _container(text: str, start: int, pointer: str, spans: dict[str, Span], depth: int) -> int:
    """Read an object or a list. Returns the position after it."""
    is_object, closing = text[start] == "{", "}" if text[start] == "{" else "]"
    at, number = _skip_blanks(text, start + 1), 0
    if text[at] == closing:
        spans[pointer] = (start, at + 1)
        return at + 1
    keys: set[str] = set()
    while True:
        name = str(number)
        if is_object:
            if text[at] != '"':
                raise NotJson("a key is no string")
            name, at = scanstring(text, at + 1, True)
            if name in keys:
                # Parsers differ in which value they take, so neither score would be the field's.
                raise NotJson("a key stands twice in an object")
            keys.add(name)
            at = _skip_sign(text, _skip_blanks(text, at), ":")
        inner = f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"
        at = _skip_blanks(text, _value(text, _skip_blanks(text, at), inner, spans, depth + 1))
        if text[at] == closing:
            return at + 1
        at, number = _skip_blanks(text, _skip_sign(text, at, ",")), number + 1


def _skip_sign(text: str, at: int, sign: str) -> int:
    if text[at] != sign:
        raise NotJson(f"{sign!r} is missing")
    return at + 1


def _skip_blanks(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    return match.end() if match else at

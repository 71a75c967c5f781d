"""Text files: plain text and Markdown, JSON, JSON lines.

JSON is rewritten in place: only strings and numbers with findings change. All other bytes stay, including spaces, the
order of keys and duplicate keys.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from edge.sanitising.document import Document
from edge.sanitising.refusal import Refused

_ENCRYPTED = (
    b"-----BEGIN PGP MESSAGE",
    b"-----BEGIN AGE ENCRYPTED",
    b"age-encryption.org/",
    b"Salted__",
    b"$ANSIBLE_VAULT",
)
_BOM = "\ufeff"
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|[{}\[\]:,]')
_LONG, _CODE, _LONGEST = 6, 3, 30
"""Numbers are searched from `_LONG` digits on, direct values of fields from `_CODE` digits on, up to `_LONGEST` digits.
"""


def decoded(data: bytes) -> str:
    """Decode the text. Raises Refused with the line."""
    if data.startswith(_ENCRYPTED):
        raise Refused("it is encrypted", fix="Decrypt it first")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Refused(f"byte {error.start} is not UTF-8", line=line, fix="Save it as UTF-8") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise Refused("it holds NUL, as no text does", line=line, fix="Save it as UTF-8 text")
    return text


class TextForm:
    """A text, which is one document."""

    untouched: tuple[str, ...] = ()

    def __init__(self, data: bytes) -> None:
        self._data = data

    def documents(self) -> Iterator[Document]:
        """Yield the documents to redact, in order. Raises Refused."""
        yield Document((("", decoded(self._data)),))

    def back(self, texts: Sequence[str]) -> bytes:
        """Return the output for the next document, given its redacted texts."""
        return texts[0].encode()

    def end(self) -> bytes:
        """Return the end of the output."""
        return b""


@dataclass(frozen=True)
class _Spot:
    start: int
    end: int
    field: str
    text: str


class JsonForm:
    """A JSON file, which is one document. With `lines`, each line is a document."""

    untouched: tuple[str, ...] = ()

    def __init__(self, data: bytes, *, lines: bool = False) -> None:
        self._data, self._lines = data, lines
        self._pending: deque[tuple[str, list[_Spot]]] = deque()
        self._known: set[str] = set()

    def documents(self) -> Iterator[Document]:
        text = decoded(self._data)
        # Split at line feeds only: other Unicode line ends may be inside a string.
        texts = [f"{line}\n" for line in text.split("\n")] if self._lines else [text]
        if self._lines:
            texts[-1] = texts[-1][:-1]
        for number, part in enumerate(texts, 1):
            yield self._document(part, number)

    def _document(self, part: str, number: int) -> Document:
        body = part.removeprefix(_BOM)
        if not body.strip() and self._lines:
            self._pending.append((part, []))
            return Document()
        _check(body.rstrip("\r\n"), number if self._lines else None)
        spots, names = _spots(part)
        for spot in spots:
            if not spot.text.isascii() and not _is_encodable(spot.text):
                raise Refused(
                    "a string holds half a character", line=part.count("\n", 0, spot.start) + number
                )
        new = tuple(name for name in dict.fromkeys(names) if name not in self._known)
        self._known.update(new)
        self._pending.append((part, spots))
        return Document(tuple((spot.field, spot.text) for spot in spots), new)

    def back(self, texts: Sequence[str]) -> bytes:
        part, spots = self._pending.popleft()
        pieces, at = [], 0
        for spot, text in zip(spots, texts, strict=True):
            if text != spot.text:
                plain = part[spot.start : spot.end].isascii()
                pieces += [part[at : spot.start], json.dumps(text, ensure_ascii=plain)]
                at = spot.end
        return "".join([*pieces, part[at:]]).encode()

    def end(self) -> bytes:
        return b""


def _check(text: str, line: int | None) -> None:
    """Raise Refused with the line if the text is not JSON. The message never quotes the text."""

    def no_number(name: str) -> None:
        raise ValueError(f"{name} is no number of JSON")

    try:
        json.loads(text, parse_constant=no_number, parse_int=str, parse_float=str)
    except json.JSONDecodeError as error:
        where = line or error.lineno
        raise Refused(
            f"it is no JSON: {error.msg}, column {error.colno}", line=where, fix=_FIX_LINE
        ) from None
    except ValueError as error:
        raise Refused(f"it is no JSON: {error}", line=line, fix=_FIX_LINE) from None
    except RecursionError:
        raise Refused("it is nested too deeply to be read", line=line, fix="Flatten it") from None


_FIX_LINE = "Mend the line, or leave the file out"


def _spots(text: str) -> tuple[list[_Spot], list[str]]:
    """Return the values of valid JSON that are searched, and the names of its fields, in order."""
    spots: list[_Spot] = []
    names: list[str] = []
    fields, objects = [""], [False]
    """For each level: the field of the current value, and whether it is an object."""
    naming = False
    for token in _TOKEN.finditer(text):
        token_text = token.group()
        first = token_text[0]
        if first in "{[":
            objects.append(first == "{")
            fields.append(fields[-1])
            naming = first == "{"
        elif first in "}]":
            objects.pop()
            fields.pop()
        elif first == ",":
            naming = objects[-1]
        elif first == ":":
            naming = False
        elif first == '"':
            value = json.loads(token_text)
            if naming:
                fields[-1] = value
                names.append(value)
            elif any(map(str.isalnum, value)):
                spots.append(_Spot(*token.span(), fields[-1], value))
        elif (number := _number(token_text, direct=objects[-1])) is not None:
            spots.append(_Spot(*token.span(), fields[-1], number))
    return spots, names


def _number(token: str, *, direct: bool) -> str | None:
    """Return the digits of a whole number that could identify a person; None for other numbers."""
    number = token.lstrip("-")
    if not number.isdigit():
        try:
            exact = Decimal(number)
        except InvalidOperation:  # an exponent that Decimal cannot represent
            return None
        if exact.adjusted() > _LONGEST or exact != exact.to_integral_value():
            return None
        number = str(int(exact))
    return number if len(number) >= (_CODE if direct else _LONG) else None


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

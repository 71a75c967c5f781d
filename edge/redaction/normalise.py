"""Normal forms of a text for detection, with the exact position of every character in the original.

People and programs write the same number in many ways: full-width or Arabic-Indic digits, invisible characters
between the digits, percent-encoding. Recognisers read a normal form (`Form`). Their findings are hidden in the
original, and the rest of the original stays unchanged.

- Unicode NFKC, which also converts full-width, mathematical, superscript and circled forms;
- digits of any script become ASCII digits, dashes `-`, spaces and tabs a space, middle dots and bullets `·`;
- format characters, variation selectors, tags, fillers and control characters are removed.

Further forms have encodings decoded. Formatting between two groups of a number (`<br>`, an escaped line break)
becomes a line break.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

_DEFAULT_IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Default_Ignorable_Code_Point of Unicode's DerivedCoreProperties. Category Cf contains the others."""
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f]")
MARKS = (
    r"(?:(?:\\{1,2}[nrt]|</?(?i:br|td|th|tr|p|b|i|li|em|span|div|strong|code) ?/?>)\s{0,8}){1,8}"
    r"|[\"'],\s{2,24}[\"']"
)
"""Escaped line breaks, HTML tags without attributes, and separators of list elements in indented JSON."""
_ENCODED = re.compile(
    r"(?P<percent>(?:%[0-9A-Fa-f]{2})+)|&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z]{2,24});"
    rf"|(?P<marks>{MARKS})"
)
"""Percent-encoding, an HTML character reference, or formatting between two groups of a number."""
_MAY_BE_ENCODED = re.compile(r"[%&<\\]|[\"'],\s")
_NESTED = 3
"""Maximum number of nested encodings that are decoded."""
_TAGS = {0xE0000 + code: code for code in range(0x20, 0x7F)}
"""Unicode's tag characters. They are invisible on screens, but a language model reads them as the ASCII that they
encode."""
_TAG = re.compile("[\U000e0020-\U000e007e]")
_DASHES = frozenset("\u2043\u2212\u02d7\u2796")
_DOTS = frozenset("\u2022\u2027\u2219\u22c5\u30fb\u25cf\u25e6\u2024\u0387")
_STOPS = frozenset("\u3002\uff61\u06d4")
_BREAKS = frozenset("\x85\u2028\u2029\x0b\x0c")
_QUOTES = frozenset("\u2018\u2019\u201b\u02bc\u00b4\u02b9\u2032")
"""Apostrophes in names. NFKC would convert U+00B4 into a space and an accent."""


@dataclass(frozen=True)
class Form:
    """A normal form. In the original, its character `i` begins at `starts[i]` and ends at `ends[i]`.

    Without `starts` and `ends`, every character has the same position in the original.
    """

    text: str
    starts: Sequence[int] | None = None
    ends: Sequence[int] | None = None

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The span in the original that corresponds to a span of this form. `end` is exclusive and above `start`."""
        if self.starts is None or self.ends is None:
            return start, end
        return self.starts[start], self.ends[end - 1]

    def position(self, at: int) -> int:
        """The position in the original that corresponds to position `at` of this form."""
        if self.starts is None or self.ends is None:
            return at
        if at < len(self.starts):
            return self.starts[at]
        return self.ends[-1] if self.ends else 0


def forms(text: str) -> list[Form]:
    """The normal forms of a text: always one, and further ones for other possible readings.

    The second one has percent-encoding, HTML character references and formatting between groups decoded. The third
    one is without superscripts, which may belong to a number or mark a footnote after it. The fourth one has the
    ASCII that tag characters encode.
    """
    decoded = _decode(text)
    normal_forms = [_normalise(text)]
    if decoded is not None:
        normal_forms.append(_within(decoded, _normalise(decoded.text)))
    if not text.isascii() and (raised := {character for character in set(text) if _is_raised(character)}):
        normal_forms.append(_normalise(text.translate(dict.fromkeys(map(ord, raised), " "))))
    if not text.isascii() and _TAG.search(text):
        normal_forms.append(_normalise(text.translate(_TAGS)))
    return normal_forms


def _normalise(text: str) -> Form:
    if text.isascii() and _CONTROLS.search(text) is None:
        return Form(text.translate(_ASCII))
    characters = set(text)
    marks = "".join(sorted(c for c in characters if unicodedata.category(c)[0] == "M" and not _ignorable(c)))
    dropped = "".join(sorted(filter(_ignorable, characters)))
    uneven = "".join(
        sorted(c for c in characters if c not in marks and c not in dropped and len(_single(c)) != 1)
    )
    if not (marks or dropped or uneven):
        return Form(text.translate(_TABLE))
    pieces: list[str] = []
    starts: list[int] = []
    ends: list[int] = []

    def copy(begin: int, end: int) -> None:
        pieces.append(text[begin:end].translate(_TABLE))
        starts.extend(range(begin, end))
        ends.extend(range(begin + 1, end + 1))

    def put(begin: int, end: int, clean: str) -> None:
        pieces.append(clean)
        starts.extend([begin] * len(clean))
        ends.extend([end] * len(clean))

    at = 0
    for match in _pattern(marks + dropped, uneven).finditer(text):
        begin, end = match.span()
        if match.lastgroup == "uneven":
            copy(at, begin)
            put(begin, end, _single(match.group()))
        elif run := match.group().rstrip(dropped):
            # Accents belong to the character before them, unless that one expands to several characters.
            base = begin - 1 if begin > at else begin
            copy(at, base)
            put(base, begin + len(run), _compose(text[base : begin + len(run)]))
        else:
            copy(at, begin)
        at = end
    copy(at, len(text))
    return Form("".join(pieces), starts, ends)


def _pattern(joined: str, uneven: str) -> re.Pattern[str]:
    alternatives = [f"(?P<joined>[{re.escape(joined)}]+)"] if joined else []
    if uneven:
        alternatives.append(f"(?P<uneven>[{re.escape(uneven)}])")
    return re.compile("|".join(alternatives))


def _compose(text: str) -> str:
    """A character with its accents. Accents on an ASCII character are removed if they do not form a letter."""
    clean = unicodedata.normalize("NFKC", "".join(c for c in text if not _ignorable(c)))
    characters = [
        c for at, c in enumerate(clean) if unicodedata.category(c)[0] != "M" or not clean[:at].isascii()
    ]
    return "".join(characters).translate(_TABLE)


@cache
def _ignorable(character: str) -> bool:
    return (
        _DEFAULT_IGNORABLE.match(character) is not None
        or unicodedata.category(character) == "Cf"
        or _CONTROLS.match(character) is not None
        or (unicodedata.category(character) == "Cc" and character not in "\t\n\r\x0b\x0c\x85")
    )


@cache
def _is_raised(character: str) -> bool:
    """Whether a character is a digit only by its compatibility form: a superscript, a subscript, a circled digit."""
    return (
        not character.isascii()
        and unicodedata.decimal(character, None) is None
        and unicodedata.digit(character, None) is not None
    )


@cache
def _single(character: str) -> str:
    """The replacement of a single character."""
    if character.isascii():
        return " " if character == "\t" else "\n" if character in _BREAKS else character
    if (digit := unicodedata.digit(character, None)) is not None:
        return str(digit)
    if character in _QUOTES:
        return "'"
    if character in _BREAKS:
        return "\n"
    if character in _STOPS:
        return "."
    if character in _DOTS:
        return "." if character == "\u2024" else "\u00b7"
    if character in _DASHES or unicodedata.category(character) == "Pd":
        return "-"
    if unicodedata.category(character) == "Zs":
        return " "
    clean = unicodedata.normalize("NFKC", character)
    if clean == character or any(unicodedata.category(c)[0] == "M" for c in clean[1:] if clean[0] == " "):
        return character
    return "".join(_single(c) if c != character else c for c in clean)


class _Table(dict[int, str]):
    """A translation table for `str.translate` that computes entries when they are first needed."""

    def __missing__(self, code: int) -> str:
        replacement = self[code] = _single(chr(code))
        return replacement


_TABLE = _Table()
_ASCII = {ord("\t"): " ", 0x0B: "\n", 0x0C: "\n"}


def _decode(text: str) -> Form | None:
    """The text with percent-encoding, character references and formatting between groups decoded. None: nothing to
    decode.
    """
    if _MAY_BE_ENCODED.search(text) is None:
        return None
    form: Form | None = None
    for _ in range(_NESTED):
        once = _decode_once(text if form is None else form.text)
        if once is None:
            break
        form = once if form is None else _within(form, once)
    return form


def _decode_once(text: str) -> Form | None:
    pieces: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    at = 0
    for match in _ENCODED.finditer(text):
        for character, begin, end in _decoded_characters(match):
            pieces.append(text[at:begin])
            starts.extend(range(at, begin))
            ends.extend(range(at + 1, begin + 1))
            pieces.append(character)
            starts.extend([begin] * len(character))
            ends.extend([end] * len(character))
            at = end
    if not at:
        return None
    pieces.append(text[at:])
    starts.extend(range(at, len(text)))
    ends.extend(range(at + 1, len(text) + 1))
    return Form("".join(pieces), starts, ends)


def _decoded_characters(match: re.Match[str]) -> Iterator[tuple[str, int, int]]:
    """The characters that a match of `_ENCODED` encodes, with their spans."""
    if match.group("percent"):
        yield from _characters(match.group(), match.start())
    elif match.group("marks"):
        if _between_groups(match):
            yield (", " if "," in match.group() else "\n"), match.start(), match.end()
    elif (character := html.unescape(match.group())) not in ("", match.group()):
        yield character, match.start(), match.end()


def _between_groups(match: re.Match[str]) -> bool:
    """Whether letters or digits are on both sides of the match, and at least one of them is a digit."""
    text, (start, end) = match.string, match.span()
    before, behind = text[max(0, start - 8) : start].rstrip()[-1:], text[end : end + 1]
    return before.isalnum() and behind.isalnum() and (before.isdigit() or behind.isdigit())


def _characters(encoded: str, begin: int) -> Iterator[tuple[str, int, int]]:
    """The characters that a run of percent-encoded bytes encodes, with their spans. Bytes that are not UTF-8 are
    skipped.
    """
    raw = bytes.fromhex(encoded.replace("%", ""))
    at = 0
    while at < len(raw):
        size = _size(raw[at])
        try:
            yield raw[at : at + size].decode(), begin + 3 * at, begin + 3 * (at + size)
            at += size
        except UnicodeDecodeError:
            at += 1


def _size(lead: int) -> int:
    return 1 if lead < 0xC0 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4


def _within(outer: Form, inner: Form) -> Form:
    """The form `inner` of the text of `outer`, with positions in the original of `outer`."""
    if outer.starts is None or outer.ends is None:
        return inner
    if inner.starts is None or inner.ends is None:
        return Form(inner.text, outer.starts, outer.ends)
    return Form(
        inner.text,
        [outer.starts[at] for at in inner.starts],
        [outer.ends[at - 1] for at in inner.ends],
    )

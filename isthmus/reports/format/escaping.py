"""Escapes untrusted values for Markdown and HTML, and makes invisible characters visible."""

from __future__ import annotations

import html
import json
import re
import unicodedata
from collections.abc import Iterable
from typing import Any

_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp"})
"""Unicode categories of characters that are invisible or change the direction of text."""
_TICKS = re.compile(r"`+")


def visible(text: str) -> str:
    """Return one line, with invisible and direction-changing characters as their number: `\\u202e`."""
    return "".join(
        character if unicodedata.category(character) not in _HIDDEN_CATEGORIES else _code_point(character)
        for character in text
    )


def _code_point(character: str) -> str:
    escape = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(character)
    number = ord(character)
    return escape or (f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}")


def shown(value: Any, longest: int = 300) -> str:
    """Return a value as JSON, cut at `longest` characters."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    return cut(visible(text), longest)


def cut(text: str, longest: int) -> str:
    """Return at most `longest` characters of a text, with its length if it was cut."""
    if len(text) <= longest:
        return text
    return f"{text[:longest].rstrip()}… ({len(text):,} characters)"


def code(text: str, longest: int = 200) -> str:
    """Return text as a Markdown code span, in which no link, mention, reference, entity or tag is read."""
    inside = cut(visible(text), longest).strip() or " "
    ticks = "`" * (1 + max((len(tick_run) for tick_run in _TICKS.findall(inside)), default=0))
    padded = f" {inside} " if inside[0] in "` " or inside[-1] in "` " else inside
    return f"{ticks}{padded}{ticks}"


def row(cells: Iterable[str]) -> str:
    """Return a table row. Markdown splits cells before it reads code spans, so `|` is escaped as `\\|`."""
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def fence(lines: list[str], language: str = "") -> str:
    """Return lines as a fenced Markdown block that none of them can end."""
    longest = max((len(tick_run) for line in lines for tick_run in _TICKS.findall(line)), default=0)
    ticks = "`" * max(3, longest + 1)
    return "\n".join([f"{ticks}{language}", *lines, ticks])


def html_code(text: str, longest: int = 200) -> str:
    """Return text as HTML `<code>`, in which GitHub reads no Markdown and no mention."""
    inside = html.escape(cut(visible(text), longest))
    for sign in "@#`*_[]!~|\\:":
        inside = (
            inside.replace(sign, f"&#{ord(sign)};") if sign != "#" else re.sub(r"(?<!&)#", "&#35;", inside)
        )
    return f"<code>{inside}</code>"

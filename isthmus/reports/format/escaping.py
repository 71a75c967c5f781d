"""A value that may come from anybody, written where markup is read: it stays text, and what hides in it is seen."""

from __future__ import annotations

import html
import json
import re
import unicodedata
from collections.abc import Iterable
from typing import Any

_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp"})
"""Unicode's categories of what shows nothing, or turns round what stands beside it."""
_TICKS = re.compile(r"`+")


def visible(text: str) -> str:
    """One line, with every character that hides or turns others as its number: `\\u202e`."""
    return "".join(
        character if unicodedata.category(character) not in _HIDDEN_CATEGORIES else _code_point(character)
        for character in text
    )


def _code_point(character: str) -> str:
    escape = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(character)
    number = ord(character)
    return escape or (f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}")


def shown(value: Any, longest: int = 300) -> str:
    """A value as JSON has it, cut where it is long; nothing stands for what is not there."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    return cut(visible(text), longest)


def cut(text: str, longest: int) -> str:
    """At most so much of a text, and how long it is."""
    if len(text) <= longest:
        return text
    return f"{text[:longest].rstrip()}… ({len(text):,} characters)"


def code(text: str, longest: int = 200) -> str:
    """Text as a code span of Markdown: in it no link, mention, reference, entity or tag is read."""
    inside = cut(visible(text), longest).strip() or " "
    ticks = "`" * (1 + max((len(tick_run) for tick_run in _TICKS.findall(inside)), default=0))
    padded = f" {inside} " if inside[0] in "` " or inside[-1] in "` " else inside
    return f"{ticks}{padded}{ticks}"


def row(cells: Iterable[str]) -> str:
    """A table's row: cells are cut out before code spans are read, and `\\|` is the one escape in those."""
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def fence(lines: list[str], language: str = "") -> str:
    """Lines as a fenced block of Markdown that nothing in them can end."""
    longest = max((len(tick_run) for line in lines for tick_run in _TICKS.findall(line)), default=0)
    ticks = "`" * max(3, longest + 1)
    return "\n".join([f"{ticks}{language}", *lines, ticks])


def html_code(text: str, longest: int = 200) -> str:
    """Text as `<code>` within a line of HTML, where Markdown is not read and GitHub looks for no mention."""
    inside = html.escape(cut(visible(text), longest))
    for sign in "@#`*_[]!~|\\:":
        inside = (
            inside.replace(sign, f"&#{ord(sign)};") if sign != "#" else re.sub(r"(?<!&)#", "&#35;", inside)
        )
    return f"<code>{inside}</code>"

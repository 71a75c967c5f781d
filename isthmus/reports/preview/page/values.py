"""Formats property values for the page of a preview: invisible characters are shown, long values cut, secrets hidden.

Values come from resources, so they are untrusted text. Jinja2 escapes them. This module spells out characters that a
reader could not see or that change the direction of text.
"""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass
from typing import Any

from isthmus.contracts.reports.preview import PropertyChange

LONGEST = 600
"""Characters of one value."""
MOST_LINES = 80
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u115f\u1160\u180b-\u180e\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufdd0-\ufdef\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\ufffe\uffff\U000e0000-\U000e0fff]"
)
"""Control and format characters (also those that change the direction of text), fillers, variation selectors, lone
surrogates and noncharacters. Tab and newline are kept."""


def _spelt(match: re.Match[str]) -> str:
    number_of = ord(match[0])
    return f"\\u{number_of:04x}" if number_of <= 0xFFFF else f"\\U{number_of:08x}"


def visible(text: str) -> str:
    """Return the text with each invisible character as its number: `\\u202e`."""
    return _INVISIBLE.sub(_spelt, text)


def cut(text: str, longest: int = LONGEST) -> str:
    """Return at most `longest` characters, and the length of the text if it was cut."""
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text):,} characters in total)"


def worded(value: Any) -> str:
    """Return a value as JSON on one line, so that `"2"` differs from `2`; a text of several lines unchanged."""
    if isinstance(value, str) and "\n" in value:
        return value
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)


@dataclass(frozen=True)
class Line:
    """One line of a difference. `sign`: `-`, `+`, a blank, or `@` for lines that are left out."""

    sign: str
    text: str


def lines(change: PropertyChange) -> list[Line]:
    """Return the old and the new value as lines, at most `MOST_LINES` and a note. A secret's value is not shown."""
    if change.secret:
        return [Line("@", "A secret: its value is not shown.")]
    old, new = _spread(change.old, change.new), _spread(change.new, change.old)
    if len(old) <= 1 and len(new) <= 1:
        return [
            Line(sign, cut(text)) for sign, texts in (("-", old), ("+", new)) for text in texts or ["not set"]
        ]
    # Comparing long lists would take too long.
    if max(len(old), len(new)) > 600:
        differences = [*(f"-{line}" for line in old), *(f"+{line}" for line in new)]
    else:
        differences = list(difflib.unified_diff(old, new, n=2, lineterm=""))[3:]
    shown = [
        Line(line[0], cut(line[1:])) if line[0] in "-+ " else Line("@", "…")
        for line in differences[:MOST_LINES]
    ]
    if len(differences) > MOST_LINES:
        shown.append(Line("@", f"… {len(differences) - MOST_LINES:,} further lines are in the JSON"))
    return shown or [Line("@", "No difference is listed.")]


def _spread(value: Any, compared_with: Any) -> list[str]:
    """Return a value as lines: one line if both values are short."""
    if value is None:
        return []
    if isinstance(value, str):
        return value.split("\n") if "\n" in value or _long(compared_with) else [worded(value)]
    if _long(value) or _long(compared_with):
        return json.dumps(value, ensure_ascii=False, sort_keys=True, indent=2, default=str).split("\n")
    return [worded(value)]


def _long(value: Any) -> bool:
    return (isinstance(value, str) and "\n" in value) or (
        isinstance(value, dict | list) and len(worded(value)) > 80
    )

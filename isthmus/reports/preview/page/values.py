"""What a preview's values look like on a page: nothing invisible, nothing endless, nothing secret.

A value comes from a resource, so it is untrusted text. Jinja2 escapes it; here what a reader could not see, or
would see in another order than it stands, is spelt out, and what is long is cut and says so.
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
"""Controls, format characters (among them those that turn the direction of what follows), fillers, selectors of a
variant, lone surrogates, and what no document may hold. Tab and newline stay."""


def _spelt(match: re.Match[str]) -> str:
    number_of = ord(match[0])
    return f"\\u{number_of:04x}" if number_of <= 0xFFFF else f"\\U{number_of:08x}"


def visible(text: str) -> str:
    """The text with every invisible character spelt out: `\\u202e`."""
    return _INVISIBLE.sub(_spelt, text)


def cut(text: str, longest: int = LONGEST) -> str:
    """At most so many characters, and how many there were."""
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text):,} characters in all)"


def worded(value: Any) -> str:
    """A value on one line, as JSON, so that `"2"` is not `2`; a text of several lines as it is."""
    if isinstance(value, str) and "\n" in value:
        return value
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)


@dataclass(frozen=True)
class Line:
    """One line of a difference: `-`, `+`, a blank, or `@` where something is left out."""

    sign: str
    text: str


def lines(change: PropertyChange) -> list[Line]:
    """What was and what will be; of a secret only that it changes. At most `MOST_LINES` and one that says so."""
    if change.secret:
        return [Line("@", "A secret: its value is not shown.")]
    old, new = _spread(change.old, change.new), _spread(change.new, change.old)
    if len(old) <= 1 and len(new) <= 1:
        return [
            Line(sign, cut(text)) for sign, texts in (("-", old), ("+", new)) for text in texts or ["not set"]
        ]
    # Long lists are not compared: it would take long, and nobody reads them here.
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
    """A value in lines: one, if it and what it is compared with are short."""
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

"""What all HTML pages share: the template environment, the style, and the characters that no page may hold.

Templates lie in `isthmus/reports`. Autoescape is on, so texts of users' files never become markup.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parents[1]
_FORBIDDEN = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\u202a-\u202e\u2066-\u2069]"
)
"""Characters that XML 1.0 forbids, and controls that could make a text look like another one."""


def environment() -> Environment:
    """Return an environment for the templates of pages. A caller adds its filters and globals."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def without_forbidden_characters(text: str) -> str:
    """Replace characters that XML forbids or that change the direction of text."""
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)

"""Renders the desk's pages: Jinja templates that escape every value, and headers that let nothing else in."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response

from edge.config.desk import Language
from edge.desk.texts import TEXTS

FOLDER = Path(__file__).parent
HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    # Not `no-referrer`: with that, browsers send forms with `Origin: null`.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
LANGUAGE = "isthmus-desk-language"
"""Cookie with the language that a person chose."""
LANGUAGES: tuple[Language, ...] = get_args(Language)
SCRIPT, STYLE = (FOLDER / "static" / name for name in ("desk.js", "desk.css"))


def language_of(request: Request) -> Language:
    """The language of a page: as chosen in this request, as chosen before, or as the browser prefers."""
    for wanted in (request.query_params.get("lang"), request.cookies.get(LANGUAGE)):
        for language in LANGUAGES:
            if wanted == language:
                return language
    best: tuple[float, Language] = (0.0, "en")
    for part in request.headers.get("accept-language", "")[:400].split(","):
        name, _, weight = part.strip().partition(";q=")
        try:
            quality = float(weight or 1)
        except ValueError:
            continue
        for language in LANGUAGES:
            if name.lower().split("-")[0] == language and quality > best[0]:
                best = quality, language
    return best[1]


class Pages:
    """The templates with their texts."""

    def __init__(self) -> None:
        self._templates = Environment(
            loader=FileSystemLoader(FOLDER / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def response(
        self, name: str, language: Language, values: Mapping[str, Any], status: int = 200
    ) -> Response:
        """A page. `values`: what its template names."""
        translate = _translator(language)
        text = self._templates.get_template(name).render(
            {
                "t": translate,
                "language": language,
                "moment": lambda at: _moment(at, language),
                "duration": lambda seconds: _duration(seconds, language),
                **values,
            }
        )
        # An answer may hold half of a surrogate pair, which UTF-8 cannot encode.
        return Response(
            text.encode("utf-8", "replace"), status, HEADERS, media_type="text/html; charset=utf-8"
        )


def text_of(language: Language, key: str, **values: Any) -> str:
    """A text of the catalogue in a language."""
    return TEXTS[key][LANGUAGES.index(language)].format(**values)


def known_text(language: Language, kind: str, word: str) -> str:
    """The catalogue's text for a word such as a state, or the word itself if there is none."""
    key = f"{kind}.{word}"
    return text_of(language, key) if key in TEXTS else word


def _translator(language: Language) -> Callable[..., str]:
    def translate(key: str, word: str | None = None, **values: Any) -> str:
        return text_of(language, key, **values) if word is None else known_text(language, key, word)

    return translate


def _duration(seconds: float | None, language: Language) -> str:
    """A span of time in minutes, hours or days. None: a dash."""
    if seconds is None:
        return "–"
    for key, length, until in (("minutes", 60, 5400), ("hours", 3600, 172800), ("days", 86400, math.inf)):
        if seconds < until:
            return text_of(
                language, f"duration.{key}", number=f"{seconds / length:.{0 if length == 60 else 1}f}"
            )
    raise AssertionError("every span is shorter than the last")


def _moment(at: datetime, language: Language) -> str:
    at = at.astimezone(UTC)
    month = text_of(language, "months").split()[at.month - 1]
    return text_of(language, "moment", day=at.day, month=month, year=at.year, time=f"{at:%H:%M}")

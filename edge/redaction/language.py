"""Recognises the language of each line of a text with py3langid, whose model is part of its package."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

MIN_LETTERS = 25
"""A line with fewer letters has the language of the line before it."""
MIN_PROBABILITY = 0.5


def lines_with_language(text: str, declared: str) -> Iterator[tuple[int, str, str]]:
    """Position, text and language of each line. Unclear lines have the language of the line before, or `declared`."""
    at, language = 0, declared
    for line in text.splitlines(keepends=True):
        if sum(map(str.isalpha, line)) >= MIN_LETTERS:
            code, probability = _identifier().classify(line)
            if probability >= MIN_PROBABILITY:
                language = str(code)
        yield at, line, language
        at += len(line)


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def load_model() -> None:
    """Load the model before the first text."""
    _identifier()

"""In which language each line of a text is written. py3langid, whose model comes in its package."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

MIN_LETTERS = 25
"""A line with fewer is of the language of the line before."""
MIN_PROBABILITY = 0.5


def lines_with_language(text: str, declared: str) -> Iterator[tuple[int, str, str]]:
    """Each line with where it begins and its language; what cannot be told is the line's before, or the declared."""
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
    """Load the model now rather than at the first text."""
    _identifier()

"""What of a look for drift stops a pipeline: `--fail-on`, in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from isthmus.contracts.reports.drift import Drift
from isthmus.reports.drift import wording as words
from isthmus.reports.preview import thresholds as preview_thresholds

WORDS = ("drift", "critical", "high", "medium", "gone", "foreign", "undecided")
DEFAULT = ("drift", "undecided")
_ALLOWED = f"{', '.join(WORDS[:-1])} and {WORDS[-1]}"


def parse(asked: Iterable[str]) -> list[str]:
    """The words, each once; `InputError` for one that there is not."""
    return list(dict.fromkeys(preview_thresholds.known(word, WORDS, _ALLOWED) for word in asked))


def met(drifts: Sequence[Drift], asked: Iterable[str]) -> list[str]:
    """Why it stops, a clause each."""
    return [why for word in asked if (why := _met(drifts, word))]


def _met(drifts: Sequence[Drift], word: str) -> str:
    alike = [words.as_preview(each) for each in drifts]
    if word == "undecided":
        return preview_thresholds.undecided(alike)
    found = [one for each in drifts for one in each.unasked]
    if word in ("gone", "foreign"):
        number = sum(each.what == word for each in found)
        return f"{number} {words.SAID[word]}" if number else ""
    if word == "drift":
        parts = [f"{len(found)} not as they were left"] if found else []
        return ", ".join([*parts, *filter(None, [preview_thresholds.grave(alike, "low")])])
    number = sum(each.severity in preview_thresholds.above(word) for each in found)
    parts = (
        [f"{number} drifts of severity {word}{' or above' if word != 'critical' else ''}"] if number else []
    )
    return ", ".join([*parts, *filter(None, [preview_thresholds.grave(alike, word)])])

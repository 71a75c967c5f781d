"""Thresholds of `isthmus drift --fail-on` that fail a pipeline."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from isthmus.contracts.reports.drift import Drift
from isthmus.reports.drift import wording as words
from isthmus.reports.format.numbers import counted
from isthmus.reports.preview import thresholds as preview_thresholds

WORDS = ("drift", "critical", "high", "medium", "gone", "foreign", "undecided")
DEFAULT = ("drift", "undecided")
_ALLOWED = f"{', '.join(WORDS[:-1])} and {WORDS[-1]}"


def parse(values: Iterable[str]) -> list[str]:
    """Return the distinct words of `--fail-on`. Raises `InputError` for an unknown word."""
    return list(dict.fromkeys(preview_thresholds.check_word(value, WORDS, _ALLOWED) for value in values))


def reasons_to_fail(drifts: Sequence[Drift], words: Iterable[str]) -> list[str]:
    """Return a clause for each threshold that is met."""
    return [reason for word in words if (reason := _reason_to_fail(drifts, word))]


def _reason_to_fail(drifts: Sequence[Drift], word: str) -> str:
    previews = [words.as_preview(drift) for drift in drifts]
    if word == "undecided":
        return preview_thresholds.describe_undecided(previews)
    unexpected = [drifted for drift in drifts for drifted in drift.unasked]
    if word in ("gone", "foreign"):
        number = sum(drifted.what == word for drifted in unexpected)
        return counted(number, f"{words.LABELS[word]} resource") if number else ""
    if word == "drift":
        clauses = [counted(len(unexpected), "drifted resource")] if unexpected else []
        return ", ".join([*clauses, *filter(None, [preview_thresholds.describe_grave(previews, "low")])])
    number = sum(drifted.severity in preview_thresholds.severities_from(word) for drifted in unexpected)
    clauses = (
        [
            f"{counted(number, 'drifted resource')} of severity {word}{' or above' if word != 'critical' else ''}"
        ]
        if number
        else []
    )
    return ", ".join([*clauses, *filter(None, [preview_thresholds.describe_grave(previews, word)])])

"""Thresholds of `isthmus preview --fail-on` that fail a pipeline."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from isthmus.contracts.reports.findings import SEVERITIES, Severity
from isthmus.contracts.reports.preview import Preview
from isthmus.core.errors import InputError
from isthmus.core.validation_errors import did_you_mean
from isthmus.reports.format.numbers import counted
from isthmus.reports.preview import wording as words

WORDS = ("critical", "high", "medium", "replace", "delete-stateful", "undecided")
DEFAULT = ("critical", "high", "undecided")
_COST = re.compile(r"cost>(\d+(?:\.\d+)?)%?")
_ALLOWED = f"{', '.join(WORDS[:-1])}, cost>10% (any number) and {WORDS[-1]}"


@dataclass(frozen=True)
class Threshold:
    """A threshold of `--fail-on`."""

    word: str
    percent: float = 0.0
    """Allowed rise of the cost, for `cost`."""


def parse(values: Iterable[str]) -> list[Threshold]:
    """Return the thresholds. Raises `InputError` for an unknown word."""
    thresholds = []
    for value in values:
        cost = _COST.fullmatch(value.replace(" ", ""))
        if cost:
            thresholds.append(Threshold("cost", float(cost[1])))
        else:
            thresholds.append(Threshold(check_word(value, WORDS, _ALLOWED)))
    return thresholds


def check_word(word: str, allowed_words: Sequence[str], description: str) -> str:
    """Return a word of `--fail-on`. Raises `InputError` that lists the allowed words."""
    if word not in allowed_words:
        raise InputError(
            f"`{word}` is not a threshold",
            where="--fail-on",
            fix=f"{did_you_mean(word, allowed_words)} Choose from: {description}".strip(),
        )
    return word


def reasons_to_fail(previews: Sequence[Preview], thresholds: Iterable[Threshold]) -> list[str]:
    """Return a clause for each threshold that is met. A severity includes more severe ones."""
    return [
        reason for threshold in dict.fromkeys(thresholds) if (reason := _reason_to_fail(previews, threshold))
    ]


def _reason_to_fail(previews: Sequence[Preview], threshold: Threshold) -> str:
    if threshold.word == "cost":
        return _describe_cost(previews, threshold.percent)
    if threshold.word == "undecided":
        return describe_undecided(previews)
    if threshold.word in ("replace", "delete-stateful"):
        return _describe_changes(previews, threshold.word)
    return describe_grave(previews, threshold.word)


def describe_undecided(previews: Sequence[Preview]) -> str:
    """Return a clause about undecided findings and data paths; empty if there are none."""
    findings = [
        finding
        for finding in words.unsilenced_findings(words.unique_findings(previews))
        if finding.verdict == "undecided"
    ]
    number = len(findings) + len(_path_ids(previews, "undecided"))
    unknown = [preview.stack for preview in previews if preview.data_paths.after is None]
    unread = f"the data paths of {', '.join(unknown)} could not be determined" if unknown else ""
    undecided = counted(number, "undecided finding or data path", "undecided findings and data paths")
    return undecided if number else unread


def severities_from(severity: str) -> tuple[Severity, ...]:
    """Return a severity and the more severe ones."""
    return SEVERITIES[: SEVERITIES.index(severity) + 1]  # type: ignore[arg-type]


def describe_grave(previews: Sequence[Preview], severity: str) -> str:
    """Return a clause about findings of a severity or above, and refused data paths."""
    levels = severities_from(severity)
    findings = [
        finding
        for finding in words.unsilenced_findings(words.unique_findings(previews))
        if finding.severity in levels and finding.verdict == "violated"
    ]
    refused = len(_path_ids(previews, "refused"))
    clauses = (
        [
            f"{counted(len(findings), 'finding')} of severity {severity}{' or above' if len(levels) > 1 else ''}"
        ]
        if findings
        else []
    )
    return ", ".join([*clauses, counted(refused, "refused data path")] if refused else clauses)


def _path_ids(previews: Sequence[Preview], verdict: str) -> set[str]:
    return {
        path.id for preview in previews for path in preview.data_paths.after or [] if path.verdict == verdict
    }


def _describe_changes(previews: Sequence[Preview], word: str) -> str:
    changes = [change for preview in previews for change in preview.changes]
    if word == "replace":
        number = sum(change.op == "replace" or bool(change.may_replace) for change in changes)
        return f"{counted(number, 'resource')} replaced or possibly replaced" if number else ""
    number = sum(
        change.stateful and (change.op in ("delete", "replace") or bool(change.may_replace))
        for change in changes
    )
    return f"{counted(number, 'resource')} with state deleted or (possibly) replaced" if number else ""


def _describe_cost(previews: Sequence[Preview], percent: float) -> str:
    """Return a clause if the sum over all stacks rises by more than `percent`, or is unknown."""
    deltas = [words.cost_delta(costs) for _, costs in words.costs_of(previews)]
    if any(delta.usd is None for delta in deltas):
        return "the cost change is unknown"
    before = sum(delta.before or 0 for delta in deltas)
    total = words.Delta(before, before + sum(delta.usd or 0 for delta in deltas))
    if total.percent is None:
        return "the cost rises from zero"
    return f"the cost rises by {total.percent:.1f} %" if total.percent > percent else ""

"""What of a preview stops a pipeline: `--fail-on`, in words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from isthmus.contracts.reports.findings import SEVERITIES, Severity
from isthmus.contracts.reports.preview import Preview
from isthmus.core.errors import InputError
from isthmus.core.validation_errors import did_you_mean
from isthmus.reports.preview import wording as words

WORDS = ("critical", "high", "medium", "replace", "delete-stateful", "undecided")
DEFAULT = ("critical", "high", "undecided")
_COST = re.compile(r"cost>(\d+(?:\.\d+)?)%?")
_ALLOWED = f"{', '.join(WORDS[:-1])}, cost>10% (any number) and {WORDS[-1]}"


@dataclass(frozen=True)
class Threshold:
    """One word of `--fail-on`."""

    word: str
    percent: float = 0.0
    """Of `cost`."""


def parse(asked: Iterable[str]) -> list[Threshold]:
    """The thresholds; `InputError` for a word that there is not."""
    found = []
    for word in asked:
        cost = _COST.fullmatch(word.replace(" ", ""))
        if cost:
            found.append(Threshold("cost", float(cost[1])))
        else:
            found.append(Threshold(known(word, WORDS, _ALLOWED)))
    return found


def known(word: str, words: Sequence[str], allowed: str) -> str:
    """A word of `--fail-on`; `InputError` naming those that there are."""
    if word not in words:
        raise InputError(
            f"`{word}` is nothing to fail on",
            where="--fail-on",
            fix=f"{did_you_mean(word, words)} There are: {allowed}".strip(),
        )
    return word


def met(previews: Sequence[Preview], thresholds: Iterable[Threshold]) -> list[str]:
    """Why it stops, a clause each; a severity stands for those above it, too."""
    return [why for each in dict.fromkeys(thresholds) if (why := _met(previews, each))]


def _met(previews: Sequence[Preview], of: Threshold) -> str:
    if of.word == "cost":
        return _of_cost(previews, of.percent)
    if of.word == "undecided":
        return undecided(previews)
    if of.word in ("replace", "delete-stateful"):
        return _of_changes(previews, of.word)
    return grave(previews, of.word)


def undecided(previews: Sequence[Preview]) -> str:
    """What cannot be decided, in a clause."""
    findings = [
        each for each in words.counting(words.unique_findings(previews)) if each.verdict == "undecided"
    ]
    number = len(findings) + len(_paths(previews, "undecided"))
    lost = [each.stack for each in previews if each.data_paths.after is None]
    unread = f"where the data of {', '.join(lost)} may go was not found out" if lost else ""
    return f"{number} cannot be decided" if number else unread


def above(word: str) -> tuple[Severity, ...]:
    """A severity, and those that are graver."""
    return SEVERITIES[: SEVERITIES.index(word) + 1]  # type: ignore[arg-type]


def grave(previews: Sequence[Preview], word: str) -> str:
    """Findings of a severity or above, and refused data paths, in a clause."""
    levels = above(word)
    found = [
        each
        for each in words.counting(words.unique_findings(previews))
        if each.severity in levels and each.verdict == "violated"
    ]
    refused = len(_paths(previews, "refused"))
    parts = [f"{len(found)} of severity {word}{' or above' if len(levels) > 1 else ''}"] if found else []
    return ", ".join([*parts, f"{refused} refused data paths"] if refused else parts)


def _paths(previews: Sequence[Preview], verdict: str) -> set[str]:
    return {each.id for one in previews for each in one.data_paths.after or [] if each.verdict == verdict}


def _of_changes(previews: Sequence[Preview], word: str) -> str:
    changes = [each for one in previews for each in one.changes]
    if word == "replace":
        number = sum(each.op == "replace" or bool(each.may_replace) for each in changes)
        return f"{number} replaced, or it may be" if number else ""
    number = sum(
        each.stateful and (each.op in ("delete", "replace") or bool(each.may_replace)) for each in changes
    )
    return f"{number} with state deleted or replaced, or it may be" if number else ""


def _of_cost(previews: Sequence[Preview], percent: float) -> str:
    """By the sum over all stacks; what is not known has not been shown to be less."""
    told = [words.delta(costs) for _, costs in words.costs_of(previews)]
    if any(each.usd is None for each in told):
        return "how much more it costs is not known"
    before = sum(each.before or 0 for each in told)
    whole = words.Delta(before, before + sum(each.usd or 0 for each in told))
    if whole.percent is None:
        return "it costs something, and cost nothing before"
    return f"it costs {whole.percent:.1f} % more" if whole.percent > percent else ""

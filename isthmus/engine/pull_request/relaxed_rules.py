"""What a change does to the rules that judge it: silences, rules off or taken away, figures, their own code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from isthmus.contracts.policy_settings import Figures, Settings
from isthmus.contracts.reports.findings import SEVERITIES, Severity, Silence
from isthmus.contracts.reports.preview import RuleChange
from policies.release.change import ITSELF, UNJUDGED

_NAMED = 5
"""Files named of those that changed; the rest is counted."""


def of_settings(before: Settings, after: Settings, today: date) -> Iterator[RuleChange]:
    """What differs between two commits' `policies.yaml` and `isthmus:policies`."""
    yield from _off(before, after)
    yield from _silences(before.silences, after.silences, today)
    yield from _figures(before.figures, after.figures)


def of_rules(before: Mapping[str, Severity], after: Mapping[str, Severity]) -> Iterator[RuleChange]:
    """What rules two commits' packs have, and how severe each is."""
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old != new:
            lower = new is None or (old is not None and SEVERITIES.index(new) > SEVERITIES.index(old))
            yield RuleChange(kind="rule", what=name, old=old or "", new=new or "", loosens=lower)


def of_code(files: Sequence[str], *, judged: bool) -> Iterator[RuleChange]:
    """Files of the code that judges. `judged`: whether the base's own rules could be held to the change too.

    What a changed rule lets through nobody can tell from its text, so it is said to loosen.
    """
    if files:
        more = f" and {len(files) - _NAMED} more" if len(files) > _NAMED else ""
        told = ", ".join(files[:_NAMED]) + more
        yield RuleChange(kind="rule", what=ITSELF if judged else UNJUDGED, old="", new=told, loosens=True)


def _off(before: Settings, after: Settings) -> Iterator[RuleChange]:
    was, will = (
        {each.rule: f"off, by {each.owner}: {each.reason}" for each in side.off} for side in (before, after)
    )
    for rule in sorted({*was, *will}):
        if was.get(rule) != will.get(rule):
            loosens = rule not in was
            yield RuleChange(
                kind="rule", what=rule, old=was.get(rule, "on"), new=will.get(rule, "on"), loosens=loosens
            )


def _silences(before: Sequence[Silence], after: Sequence[Silence], today: date) -> Iterator[RuleChange]:
    """By rule and pattern. One that is past silences nothing; another owner or reason silences the same."""
    was, will = _latest(before), _latest(after)
    for key in sorted({*was, *will}):
        old, new = was.get(key), will.get(key)
        if old != new:
            longer = new is not None and new.until >= today and (old is None or new.until > old.until)
            told = [
                f"until {each.until} by {each.owner}: {each.reason}" if each else "" for each in (old, new)
            ]
            yield RuleChange(
                kind="silence", what=f"{key[0]} of {key[1]}", old=told[0], new=told[1], loosens=longer
            )


def _latest(silences: Sequence[Silence]) -> dict[tuple[str, str], Silence]:
    """Of several for the same, the one that holds longest."""
    return {(each.policy, each.resource): each for each in sorted(silences, key=lambda one: one.until)}


def _figures(before: Figures, after: Figures) -> Iterator[RuleChange]:
    for key, old in before.model_dump().items():
        new: Any = getattr(after, key)
        if old == new:
            continue
        if key == "registries":
            # None named: an image may come from anywhere.
            loosens = bool(old) and (not new or bool(set(new) - set(old)))
        else:
            loosens = new > old if key.endswith("_max") else new < old
        told = [", ".join(each) or "any" if isinstance(each, list) else str(each) for each in (old, new)]
        yield RuleChange(kind="rule", what=f"figure {key}", old=told[0], new=told[1], loosens=loosens)

"""What a change does to the rules that judge it: silences, rules off or taken away, figures, their own code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from isthmus.contracts.policy_settings import Figures, Settings
from isthmus.contracts.reports.findings import SEVERITIES, Severity, Silence
from isthmus.contracts.reports.preview import RuleChange
from policies.release.change import ITSELF, UNJUDGED

_MAX_FILES_LISTED = 5
"""Files named of those that changed; the rest is counted."""


def settings_changes(before: Settings, after: Settings, today: date) -> Iterator[RuleChange]:
    """What differs between two commits' `policies.yaml` and `isthmus:policies`."""
    yield from _off_changes(before, after)
    yield from _silence_changes(before.silences, after.silences, today)
    yield from _figure_changes(before.figures, after.figures)


def rule_changes(before: Mapping[str, Severity], after: Mapping[str, Severity]) -> Iterator[RuleChange]:
    """What rules two commits' packs have, and how severe each is."""
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old != new:
            loosens = new is None or (old is not None and SEVERITIES.index(new) > SEVERITIES.index(old))
            yield RuleChange(kind="rule", what=name, old=old or "", new=new or "", loosens=loosens)


def code_changes(files: Sequence[str], *, judged: bool) -> Iterator[RuleChange]:
    """Files of the code that judges. `judged`: whether the base's own rules could be held to the change too.

    What a changed rule lets through nobody can tell from its text, so it is said to loosen.
    """
    if files:
        more = f" and {len(files) - _MAX_FILES_LISTED} more" if len(files) > _MAX_FILES_LISTED else ""
        listed_files = ", ".join(files[:_MAX_FILES_LISTED]) + more
        yield RuleChange(
            kind="rule", what=ITSELF if judged else UNJUDGED, old="", new=listed_files, loosens=True
        )


def _off_changes(before: Settings, after: Settings) -> Iterator[RuleChange]:
    old_off, new_off = (
        {rule_off.rule: f"off, by {rule_off.owner}: {rule_off.reason}" for rule_off in settings.off}
        for settings in (before, after)
    )
    for rule in sorted({*old_off, *new_off}):
        if old_off.get(rule) != new_off.get(rule):
            loosens = rule not in old_off
            yield RuleChange(
                kind="rule",
                what=rule,
                old=old_off.get(rule, "on"),
                new=new_off.get(rule, "on"),
                loosens=loosens,
            )


def _silence_changes(
    before: Sequence[Silence], after: Sequence[Silence], today: date
) -> Iterator[RuleChange]:
    """By rule and pattern. One that is past silences nothing; another owner or reason silences the same."""
    old_silences, new_silences = _latest(before), _latest(after)
    for key in sorted({*old_silences, *new_silences}):
        old, new = old_silences.get(key), new_silences.get(key)
        if old != new:
            loosens = new is not None and new.until >= today and (old is None or new.until > old.until)
            texts = [
                f"until {silence.until} by {silence.owner}: {silence.reason}" if silence else ""
                for silence in (old, new)
            ]
            yield RuleChange(
                kind="silence", what=f"{key[0]} of {key[1]}", old=texts[0], new=texts[1], loosens=loosens
            )


def _latest(silences: Sequence[Silence]) -> dict[tuple[str, str], Silence]:
    """Of several for the same, the one that holds longest."""
    return {
        (silence.policy, silence.resource): silence
        for silence in sorted(silences, key=lambda silence: silence.until)
    }


def _figure_changes(before: Figures, after: Figures) -> Iterator[RuleChange]:
    for key, old in before.model_dump().items():
        new: Any = getattr(after, key)
        if old == new:
            continue
        if key == "registries":
            # None named: an image may come from anywhere.
            loosens = bool(old) and (not new or bool(set(new) - set(old)))
        else:
            loosens = new > old if key.endswith("_max") else new < old
        texts = [", ".join(value) or "any" if isinstance(value, list) else str(value) for value in (old, new)]
        yield RuleChange(kind="rule", what=f"figure {key}", old=texts[0], new=texts[1], loosens=loosens)

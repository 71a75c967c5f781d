"""Finds changes of policy rules between two commits: silences, disabled or removed rules, limits, rule code."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from isthmus.contracts.policy_settings import Figures, Settings
from isthmus.contracts.reports.findings import SEVERITIES, Severity, Silence
from isthmus.contracts.reports.preview import RuleChange
from isthmus.contracts.trust import Trust
from isthmus.engine.pull_request.approvable import Approvals, short_digest
from isthmus.engine.pull_request.making_code import COMPONENTS, changed_files, making_files
from policies.release.change import ITSELF, UNJUDGED

_MAX_FILES_LISTED = 5
"""Number of changed files that are listed; further ones are counted."""
_PROJECT_FILE = "Pulumi.yaml"
_ABOUT_THE_PROJECT = frozenset({"author", "description", "license", "website"})
"""Keys of `Pulumi.yaml` that decide about nothing."""
_OWN_CODE = "own.py"
_MAKING_CODE = "code that makes the resources"


def settings_changes(before: Settings, after: Settings, today: date) -> Iterator[RuleChange]:
    """Changes between two commits' `policies.yaml` and `isthmus:policies`."""
    yield from _off_changes(before, after)
    yield from _silence_changes(before.silences, after.silences, today)
    yield from _figure_changes(before.figures, after.figures)


def rule_changes(before: Mapping[str, Severity], after: Mapping[str, Severity]) -> Iterator[RuleChange]:
    """Changes of rules and their severity between two commits' policy packs."""
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old != new:
            loosens = new is None or (old is not None and SEVERITIES.index(new) > SEVERITIES.index(old))
            yield RuleChange(kind="rule", what=name, old=old or "", new=new or "", loosens=loosens)


def code_changes(files: Sequence[str], *, judged: bool) -> Iterator[RuleChange]:
    """A change of the judging code. `judged`: whether the base's own rules were also evaluated.

    The effect of changed rule code is unknown, so it counts as loosening.
    """
    if files:
        yield RuleChange(
            kind="rule", what=ITSELF if judged else UNJUDGED, old="", new=_listed(files), loosens=True
        )


def program_changes(before: Path, after: Path, trust: Trust, today: date) -> Iterator[RuleChange]:
    """Changes of what makes the resources: `Pulumi.yaml`, the program, components, what they import and which packages
    there are, which loosen; and the organisation's own code, which is shown, because the rules judge what it makes.

    `before`, `after`: the project's folder in each commit. `trust`: the base commit's; it can approve code by its
    digest.
    """
    old_project, new_project = (_project_settings(root) for root in (before, after))
    for key in sorted({*old_project, *new_project} - _ABOUT_THE_PROJECT):
        old, new = (_text(project.get(key)) for project in (old_project, new_project))
        if old != new:
            yield RuleChange(kind="rule", what=f"{_PROJECT_FILE}: {key}", old=old, new=new, loosens=True)
    old_main, new_main = (str(project.get("main") or ".") for project in (old_project, new_project))
    old_files, new_files = making_files(before, old_main), making_files(after, new_main)
    if not all((root / COMPONENTS).is_dir() for root in (before, after)):
        # A project without components of its own uses those of the Isthmus that judges.
        for files in (old_files, new_files):
            files.content = {
                name: text for name, text in files.content.items() if name.partition("/")[0] != COMPONENTS
            }
    changed = changed_files(before, old_files, after, new_files)
    own_code = (Path(new_main) / _OWN_CODE).as_posix()
    # Another new file runs only if a file that changes too imports it.
    own = [
        name
        for name in changed
        if name == own_code or (name not in old_files.content and name not in new_files.run)
    ]
    if own:
        yield RuleChange(kind="rule", what="the program", old="", new=_listed(own), loosens=False)
    code = [(name, new_files.content.get(name)) for name in changed if name not in own]
    if code:
        digest = short_digest(repr(code).encode())
        new = f"{digest} ({_listed([name for name, _ in code])})"
        yield Approvals(trust, today).change(_MAKING_CODE, "another digest", new, f"{_MAKING_CODE}: {digest}")


def _listed(files: Sequence[str]) -> str:
    more = f" and {len(files) - _MAX_FILES_LISTED} more" if len(files) > _MAX_FILES_LISTED else ""
    return ", ".join(files[:_MAX_FILES_LISTED]) + more


def _project_settings(root: Path) -> dict[str, Any]:
    """`Pulumi.yaml` as a map; a file that cannot be read is one entry with its text."""
    try:
        text = (root / _PROJECT_FILE).read_text("utf-8")
    except (OSError, ValueError):
        return {}
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError:
        return {"text": text}
    return {str(key): value for key, value in data.items()} if isinstance(data, dict) else {"text": text}


def _text(value: Any) -> str:
    return (
        ""
        if value is None
        else value
        if isinstance(value, str)
        else json.dumps(value, sort_keys=True, default=str)
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
    """Changes of silences, by rule and pattern. Only a longer, unexpired silence loosens; owner and reason do not."""
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
    """Rule and pattern → the silence that ends last."""
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
            # An empty list leaves the platform's registries, which a list replaces.
            loosens = bool(set(new) - set(old)) or (bool(old) and not new)
        else:
            loosens = new > old if key.endswith("_max") else new < old
        texts = [", ".join(value) or "any" if isinstance(value, list) else str(value) for value in (old, new)]
        yield RuleChange(kind="rule", what=f"figure {key}", old=texts[0], new=texts[1], loosens=loosens)

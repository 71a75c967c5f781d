"""A look for drift as SARIF 2.1.0: what nobody asked for, beside the findings and ways of data that it brought."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from isthmus.contracts.reports.drift import Drift, Drifted, What
from isthmus.reports.drift import wording as words
from isthmus.reports.format.escaping import visible
from isthmus.reports.preview import sarif as shared
from isthmus.reports.preview import wording as preview_wording

_RULES: dict[What, tuple[str, str]] = {
    "gone": (
        "What the stack made is there",
        "Run `isthmus up`, which makes it anew; find out who took it away",
    ),
    "changed": (
        "What the stack set stands as it set it",
        "Run `isthmus up`, or write the change into the stack",
    ),
    "added": (
        "Nobody sets on the stack's resources what it did not say",
        "Take it away: `isthmus up` leaves alone what it does not set",
    ),
    "foreign": (
        "In the stack's namespaces, networks and under its tags there is nothing of others",
        "Take it away, or build it by the stack",
    ),
}


def log(drifts: Sequence[Drift], files: Mapping[str, str]) -> str:
    """The log, JSON. `files`: the source file of each stack, from the repository's root."""
    more = [
        (_rule(each.what), _result(drift.stack, each, files.get(drift.stack, "")))
        for drift in drifts
        for each in drift.unasked
    ]
    alike = [words.as_preview(each) for each in drifts]
    return shared.log(alike, files, tool="isthmus drift", more=more, notes=_notes(drifts))


def _rule(what: What) -> dict[str, Any]:
    title, fix = _RULES[what]
    return {
        "id": f"drift/{what}",
        "name": f"Drift{what.capitalize()}",
        "shortDescription": {"text": title},
        "fullDescription": {"text": f"{title}: the state says one thing, and the world another"},
        "help": {"text": fix},
        "defaultConfiguration": {"level": "warning"},
        "properties": {"tags": ["drift"]},
    }


def _result(stack: str, of: Drifted, file: str) -> dict[str, Any]:
    paths = ", ".join(visible(each.path) for each in of.properties[:10])
    who = f" {words.who(of)}" if words.who(of) else ""
    said = f"{words.SAID[of.what]} {words.named(of)}: {of.why}{who}{f' ({paths})' if paths else ''}"
    return {
        "ruleId": f"drift/{of.what}",
        "level": shared.LEVELS[of.severity],
        "message": {"text": visible(said)},
        "locations": [shared.location(file, of.name, of.urn)],
        "partialFingerprints": {
            "isthmus/v1": shared.fingerprint(
                f"drift/{of.what}",
                stack,
                of.urn,
                preview_wording.kind(of),
                *(each.path for each in of.properties),
            )
        },
        "properties": {
            "stack": stack,
            "severity": of.severity,
            "security-severity": shared.SCORES[of.severity],
        },
    }


def _notes(drifts: Sequence[Drift]) -> list[str]:
    return [
        f"{drift.stack}: not looked at: {each.what} ({each.where}): {each.why}"
        for drift in drifts
        for each in drift.unseen
    ]

"""Drift as SARIF 2.1.0: unexpected changes, with the findings and data paths that they cause."""

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
    """Return the log as JSON. `files`: the source file of each stack, relative to the repository's root."""
    more = [
        (_rule(drifted.what), _result(drift.stack, drifted, files.get(drift.stack, "")))
        for drift in drifts
        for drifted in drift.unasked
    ]
    previews = [words.as_preview(drift) for drift in drifts]
    return shared.log(previews, files, tool="isthmus drift", more=more, notes=_notes(drifts))


def _rule(kind: What) -> dict[str, Any]:
    title, fix = _RULES[kind]
    return {
        "id": f"drift/{kind}",
        "name": f"Drift{kind.capitalize()}",
        "shortDescription": {"text": title},
        "fullDescription": {"text": f"{title}: the state says one thing, and the world another"},
        "help": {"text": fix},
        "defaultConfiguration": {"level": "warning"},
        "properties": {"tags": ["drift"]},
    }


def _result(stack: str, drifted: Drifted, file: str) -> dict[str, Any]:
    paths = ", ".join(visible(property_change.path) for property_change in drifted.properties[:10])
    author = f" {words.describe_author(drifted)}" if words.describe_author(drifted) else ""
    changed = f" ({paths})" if paths else ""
    message = (
        f"{words.LABELS[drifted.what]} {words.describe_resource(drifted)}: {drifted.why}{author}{changed}"
    )
    return {
        "ruleId": f"drift/{drifted.what}",
        "level": shared.LEVELS[drifted.severity],
        "message": {"text": visible(message)},
        "locations": [shared.location(file, drifted.name, drifted.urn)],
        "partialFingerprints": {
            "isthmus/v1": shared.fingerprint(
                f"drift/{drifted.what}",
                stack,
                drifted.urn,
                preview_wording.resource_type(drifted),
                *(property_change.path for property_change in drifted.properties),
            )
        },
        "properties": {
            "stack": stack,
            "severity": drifted.severity,
            "security-severity": shared.SCORES[drifted.severity],
        },
    }


def _notes(drifts: Sequence[Drift]) -> list[str]:
    return [
        f"{drift.stack}: not looked at: {unseen.what} ({unseen.where}): {unseen.why}"
        for drift in drifts
        for unseen in drift.unseen
    ]

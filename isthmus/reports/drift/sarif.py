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
        "Every resource of the stack exists",
        "Run `isthmus up` to create it again, and find out who deleted it",
    ),
    "changed": (
        "Every property that the stack sets has its value",
        "Run `isthmus up` to restore the value, or add the change to the stack",
    ),
    "added": (
        "The stack's resources have only properties that the stack sets",
        "Remove the property by hand: `isthmus up` does not change properties that the stack does not set",
    ),
    "foreign": (
        "The stack's namespaces, networks and tags contain no foreign resources",
        "Delete the resource, or add it to the stack",
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
        "fullDescription": {"text": f"{title}. The state and the live resources differ."},
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
        f"{drift.stack}: not checked: {unseen.what} ({unseen.where}): {unseen.why}"
        for drift in drifts
        for unseen in drift.unseen
    ]

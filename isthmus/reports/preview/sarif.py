"""Findings of previews as SARIF 2.1.0, for code scanning that shows them beside the source."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from isthmus import __version__
from isthmus.contracts.reports.findings import Finding, Severity
from isthmus.contracts.reports.preview import DataPath, Preview
from isthmus.reports.format.escaping import visible
from isthmus.reports.preview import wording as words

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
LEVELS: dict[Severity, str] = {"critical": "error", "high": "error", "medium": "warning", "low": "note"}
SCORES: dict[Severity, str] = {"critical": "9.5", "high": "8.0", "medium": "5.0", "low": "2.0"}
"""`security-severity`. GitHub derives its levels from these ranges."""
_PATHS = "data-path/where-data-may-go"


def log(
    previews: Sequence[Preview],
    files: Mapping[str, str],
    *,
    tool: str = "isthmus preview",
    more: Sequence[tuple[dict[str, Any], dict[str, Any]]] = (),
    notes: Sequence[str] = (),
) -> str:
    """Return the log as JSON.

    `files`: the source file of each stack, relative to the repository's root. `more`: further pairs of a rule and its
    result. `notes`: messages about what was not checked.
    """
    results = [result for _, result in more]
    rules = {rule["id"]: rule for rule, _ in more}
    for finding in words.unique_findings(previews):
        rules.setdefault(finding.policy, _rule(finding))
        results.append(_result(finding, files.get(finding.stack or _stack_of(previews, finding), "")))
    paths = {
        path.id: (preview.stack, path) for preview in previews for path in preview.data_paths.after or []
    }
    not_allowed = [paths[key] for key in sorted(paths) if paths[key][1].verdict != "allowed"]
    if not_allowed:
        rules[_PATHS] = _paths_rule()
    results += [_path_result(stack, path, files.get(stack, "")) for stack, path in not_allowed]
    ids = sorted(rules)
    for result in results:
        result["ruleIndex"] = ids.index(result["ruleId"])
    document = {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": tool,
                        "version": __version__,
                        "rules": [rules[rule_id] for rule_id in ids],
                    }
                },
                "invocations": [_invocation(previews, notes)],
                "results": results,
                "columnKind": "unicodeCodePoints",
            }
        ],
    }
    return json.dumps(document, indent=2) + "\n"


def _stack_of(previews: Sequence[Preview], finding: Finding) -> str:
    return next((preview.stack for preview in previews if finding in preview.policy), "")


def _rule(finding: Finding) -> dict[str, Any]:
    supports = [f"{control.framework} {control.version} {control.id}" for control in finding.supports]
    return {
        "id": finding.policy,
        "name": "".join(part.capitalize() for part in finding.policy.replace("/", "-").split("-")),
        "shortDescription": {"text": visible(finding.title)},
        "fullDescription": {"text": visible(finding.why)},
        "help": {"text": visible(finding.fix)},
        "defaultConfiguration": {"level": LEVELS[finding.severity]},
        "properties": {"security-severity": SCORES[finding.severity], "tags": ["security", *supports]},
    }


def _paths_rule() -> dict[str, Any]:
    return {
        "id": _PATHS,
        "name": "WhereDataMayGo",
        "shortDescription": {"text": "Data goes only where its class may go"},
        "fullDescription": {"text": "A path that is refused or undecided must not carry data"},
        "help": {
            "text": "Place the workload where its class may run, or revert the change that opened the path"
        },
        "defaultConfiguration": {"level": "error"},
        "properties": {"security-severity": SCORES["critical"], "tags": ["security"]},
    }


def _result(finding: Finding, file: str) -> dict[str, Any]:
    undecided = "Undecided: " if finding.verdict == "undecided" else ""
    result = {
        "ruleId": finding.policy,
        "level": LEVELS[finding.severity],
        "message": {"text": f"{undecided}{visible(finding.message)} Fix: {visible(finding.fix)}"},
        "locations": [location(file, finding.resource, finding.urn)],
        "partialFingerprints": {
            "isthmus/v1": fingerprint(
                finding.policy, finding.stack, finding.urn or finding.resource, finding.message
            )
        },
        "properties": {"stack": finding.stack, "severity": finding.severity, "verdict": finding.verdict},
    }
    if finding.silenced is not None:
        justification = f"{finding.silenced.owner}, until {finding.silenced.until}: {finding.silenced.reason}"
        result["suppressions"] = [
            {"kind": "external", "status": "accepted", "justification": visible(justification)}
        ]
    return result


def _path_result(stack: str, path: DataPath, file: str) -> dict[str, Any]:
    route = " -> ".join(f"{hop.kind} {visible(hop.name)}" for hop in path.hops)
    state = "is refused" if path.verdict == "refused" else "is undecided"
    return {
        "ruleId": _PATHS,
        "level": "error",
        "message": {"text": f"The path of {path.class_} data {state}: {route}. {visible(path.why)}".strip()},
        "locations": [location(file, path.workload or path.id, "")],
        "partialFingerprints": {"isthmus/v1": fingerprint(_PATHS, stack, path.id, path.verdict)},
        "properties": {"stack": stack, "severity": "critical", "verdict": path.verdict},
    }


def location(file: str, name: str, urn: str) -> dict[str, Any]:
    """Return a location: the first line of a file, and a resource's name and URN."""
    location: dict[str, Any] = {}
    if file:
        location["physicalLocation"] = {"artifactLocation": {"uri": _uri(file)}, "region": {"startLine": 1}}
    if name or urn:
        logical = {"kind": "resource"} | ({"name": visible(name)} if name else {})
        location["logicalLocations"] = [logical | ({"fullyQualifiedName": visible(urn)} if urn else {})]
    return location


def _uri(file: str) -> str:
    from urllib.parse import quote

    return quote(file)


def fingerprint(*parts: str) -> str:
    """Return the fingerprint by which code scanning recognises a result."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _invocation(previews: Sequence[Preview], extra_notes: Sequence[str]) -> dict[str, Any]:
    """Return the invocation. A failed or partial preview is not a successful run."""
    notes = [
        {
            "level": diagnostic.severity,
            "message": {"text": f"{preview.stack}: {visible(diagnostic.message)}"},
        }
        for preview in previews
        for diagnostic in preview.diagnostics
    ]
    notes += [{"level": "warning", "message": {"text": visible(note)}} for note in extra_notes]
    is_complete = all(preview.status == "complete" for preview in previews)
    return {"executionSuccessful": is_complete} | ({"toolExecutionNotifications": notes} if notes else {})

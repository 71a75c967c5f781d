"""Findings of previews as SARIF 2.1.0, for a code scanning that shows them beside the source."""

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
"""`security-severity`, by whose ranges GitHub names them again."""
_PATHS = "data-path/where-data-may-go"


def log(
    previews: Sequence[Preview],
    files: Mapping[str, str],
    *,
    tool: str = "isthmus preview",
    more: Sequence[tuple[dict[str, Any], dict[str, Any]]] = (),
    notes: Sequence[str] = (),
) -> str:
    """The log, JSON. `files`: the source file of each stack, from the repository's root; `more`: rules, each with a
    result; `notes`: what was not looked at."""
    results = [each for _, each in more]
    rules = {each["id"]: each for each, _ in more}
    for each in words.unique_findings(previews):
        rules.setdefault(each.policy, _rule(each))
        results.append(_result(each, files.get(each.stack or _of(previews, each), "")))
    paths = {each.id: (one.stack, each) for one in previews for each in one.data_paths.after or []}
    open_ = [paths[key] for key in sorted(paths) if paths[key][1].verdict != "allowed"]
    if open_:
        rules[_PATHS] = _rule_of_paths()
    results += [_path(stack, each, files.get(stack, "")) for stack, each in open_]
    ids = sorted(rules)
    for each in results:
        each["ruleIndex"] = ids.index(each["ruleId"])
    whole = {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": tool,
                        "version": __version__,
                        "rules": [rules[each] for each in ids],
                    }
                },
                "invocations": [_invocation(previews, notes)],
                "results": results,
                "columnKind": "unicodeCodePoints",
            }
        ],
    }
    return json.dumps(whole, indent=2) + "\n"


def _of(previews: Sequence[Preview], finding: Finding) -> str:
    return next((each.stack for each in previews if finding in each.policy), "")


def _rule(of: Finding) -> dict[str, Any]:
    supports = [f"{each.framework} {each.version} {each.id}" for each in of.supports]
    return {
        "id": of.policy,
        "name": "".join(part.capitalize() for part in of.policy.replace("/", "-").split("-")),
        "shortDescription": {"text": visible(of.title)},
        "fullDescription": {"text": visible(of.why)},
        "help": {"text": visible(of.fix)},
        "defaultConfiguration": {"level": LEVELS[of.severity]},
        "properties": {"security-severity": SCORES[of.severity], "tags": ["security", *supports]},
    }


def _rule_of_paths() -> dict[str, Any]:
    return {
        "id": _PATHS,
        "name": "WhereDataMayGo",
        "shortDescription": {"text": "Data goes only where its class may go"},
        "fullDescription": {
            "text": "A path that is refused, or cannot be decided, is none that data may take"
        },
        "help": {"text": "Place the workload where its class may run, or take back what opened the path"},
        "defaultConfiguration": {"level": "error"},
        "properties": {"security-severity": SCORES["critical"], "tags": ["security"]},
    }


def _result(of: Finding, file: str) -> dict[str, Any]:
    undecided = "Cannot be decided: " if of.verdict == "undecided" else ""
    made = {
        "ruleId": of.policy,
        "level": LEVELS[of.severity],
        "message": {"text": f"{undecided}{visible(of.message)} Fix: {visible(of.fix)}"},
        "locations": [location(file, of.resource, of.urn)],
        "partialFingerprints": {
            "isthmus/v1": fingerprint(of.policy, of.stack, of.urn or of.resource, of.message)
        },
        "properties": {"stack": of.stack, "severity": of.severity, "verdict": of.verdict},
    }
    if of.silenced is not None:
        told = f"{of.silenced.owner}, until {of.silenced.until}: {of.silenced.reason}"
        made["suppressions"] = [{"kind": "external", "status": "accepted", "justification": visible(told)}]
    return made


def _path(stack: str, of: DataPath, file: str) -> dict[str, Any]:
    way = " -> ".join(f"{each.kind} {visible(each.name)}" for each in of.hops)
    state = "is refused" if of.verdict == "refused" else "cannot be decided"
    return {
        "ruleId": _PATHS,
        "level": "error",
        "message": {"text": f"The way of {of.class_} data {state}: {way}. {visible(of.why)}".strip()},
        "locations": [location(file, of.workload or of.id, "")],
        "partialFingerprints": {"isthmus/v1": fingerprint(_PATHS, stack, of.id, of.verdict)},
        "properties": {"stack": stack, "severity": "critical", "verdict": of.verdict},
    }


def location(file: str, name: str, urn: str) -> dict[str, Any]:
    """At a file's first line; a resource's name and URN beside it."""
    made: dict[str, Any] = {}
    if file:
        made["physicalLocation"] = {"artifactLocation": {"uri": _uri(file)}, "region": {"startLine": 1}}
    if name or urn:
        logical = {"kind": "resource"} | ({"name": visible(name)} if name else {})
        made["logicalLocations"] = [logical | ({"fullyQualifiedName": visible(urn)} if urn else {})]
    return made


def _uri(file: str) -> str:
    from urllib.parse import quote

    return quote(file)


def fingerprint(*parts: str) -> str:
    """What a result is known by the next time."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _invocation(previews: Sequence[Preview], more: Sequence[str]) -> dict[str, Any]:
    """A preview that failed, or was seen in part, is no run without findings."""
    notes = [
        {
            "level": each.severity,
            "message": {"text": f"{preview.stack}: {visible(each.message)}"},
        }
        for preview in previews
        for each in preview.diagnostics
    ]
    notes += [{"level": "warning", "message": {"text": visible(each)}} for each in more]
    whole = all(each.status == "complete" for each in previews)
    return {"executionSuccessful": whole} | ({"toolExecutionNotifications": notes} if notes else {})

"""Answers of `isthmus drift`, made up: one of each kind, and one with markup in every place that a value comes to."""

from __future__ import annotations

from typing import Any

from isthmus.contracts.reports.drift import Drift, Drifted, Unseen
from isthmus.contracts.reports.findings import Finding
from isthmus.contracts.reports.preview import DataPath, DataPaths, Diagnostic, Hop, PropertyChange
from tests.reports.previews import EVIL

STACK = "bank-dev"
URN = f"urn:pulumi:{STACK}::isthmus::kubernetes:apps/v1:Deployment::server"


def drifted(kind: Any = "changed", **more: Any) -> Drifted:
    property_changes = [PropertyChange(path="spec.replicas", old=2, new=3)]
    ops = {"gone": "delete", "foreign": "create"}
    return Drifted(
        **{
            "urn": URN,
            "op": ops.get(kind, "update"),
            "what": kind,
            "type": "kubernetes:apps/v1:Deployment",
            "name": "server",
            "where": "fra1, namespace isthmus-restricted",
            "severity": "high",
            "by": ["kubectl-edit"],
            "since": "2026-11-26T15:00:00Z",
            "why": "what we set is different",
            "properties": [] if kind == "gone" else property_changes,
            **more,
        }
    )


def drift(*drifts: Drifted, **more: Any) -> Drift:
    unasked = [drift for drift in drifts if not drift.expected]
    counts = {
        kind: sum(drift.what == kind for drift in unasked) for kind in ("gone", "changed", "foreign", "added")
    }
    return Drift(
        **{
            "stack": STACK,
            "status": "complete",
            "resources": 182,
            "drifts": list(drifts),
            "summary": {kind: number for kind, number in counts.items() if number},
            "expected": len(drifts) - len(unasked),
            "data_paths": DataPaths(before=[], after=[]),
            **more,
        }
    )


def path(verdict: Any = "refused", name: str = "0.0.0.0/0", **more: Any) -> DataPath:
    hop = Hop(kind="network", name=name)
    return DataPath(
        **{"id": f"restricted > {name}", "class": "restricted", "hops": [hop], "verdict": verdict, **more}
    )


EXPECTED = drifted(expected="ScaledObject server scales it by its load, from 1 to 4")
UNSEEN = Unseen(what="secrets", where="fra1, namespace isthmus-restricted", why="403: secrets is forbidden")
FINDING = Finding(policy="a/b", title="t", severity="high", message="m", why="w", fix="f")


def hostile(text: str = EVIL) -> Drift:
    """The same text in every place that a value can come to."""
    names: dict[str, Any] = dict.fromkeys(("urn", "type", "name", "component", "where", "since", "why"), text)
    property_changes = [PropertyChange(path=text, old=text, new={text: text})]
    return drift(
        drifted(**names, by=[text], properties=property_changes),
        drifted(**names, by=[text], properties=property_changes, expected=text),
        stack=text,
        status="partial",
        data_paths=DataPaths(before=[], after=[path(name=text, why=text, workload=text)]),
        unseen=[Unseen(what=text, where=text, why=text)],
        diagnostics=[Diagnostic(severity="error", message=text)],
        policy=[
            Finding(policy=text, title=text, severity="high", message=text, why=text, fix=text, resource=text)
        ],
    )

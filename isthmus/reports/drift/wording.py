"""Wording that all drift reports share: verdict, counts, labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from isthmus.contracts.reports.drift import KINDS_OF_DRIFT, Drift, Drifted
from isthmus.contracts.reports.preview import DataPath, DataPaths, Preview
from isthmus.reports.preview import wording as preview_wording

Verdict = Literal["FAILED", "REFUSED", "DRIFT", "PARTIAL", "NO DRIFT"]
"""Most severe first. PARTIAL: no drift was found, but some resources could not be checked."""
VERDICTS: tuple[Verdict, ...] = ("FAILED", "REFUSED", "DRIFT", "PARTIAL", "NO DRIFT")
LABELS = {
    "gone": "gone",
    "changed": "changed",
    "added": "added to",
    "foreign": "foreign",
}


def verdict(drift: Drift) -> Verdict:
    """Return the verdict. REFUSED: a data path is refused, or a critical finding is new."""
    opened = newly_open_paths(drift.data_paths)
    if any(path.verdict == "refused" for path in opened) or any(
        finding.severity == "critical" and finding.verdict == "violated"
        for finding in preview_wording.unsilenced_findings(drift.policy)
    ):
        return "REFUSED"
    if drift.status == "failed":
        return "FAILED"
    if drift.unasked or preview_wording.unsilenced_findings(drift.policy) or opened:
        return "DRIFT"
    return "PARTIAL" if drift.status == "partial" else "NO DRIFT"


def worst(drifts: Iterable[Drift]) -> Verdict:
    """Return the most severe verdict."""
    verdicts: list[Verdict] = [verdict(drift) for drift in drifts]
    return min(verdicts, key=VERDICTS.index) if verdicts else "NO DRIFT"


def newly_open_paths(paths: DataPaths) -> list[DataPath]:
    """Return the data paths that are new, or whose verdict changed."""
    before = {_path_key(path) for path in paths.before or []}
    return [path for path in paths.after or [] if _path_key(path) not in before]


def counts(drifts: Sequence[Drift]) -> str:
    """`1 gone, 2 changed, 1 foreign, 1 expected by the platform`."""
    clauses = []
    for kind in KINDS_OF_DRIFT:
        number = sum(drift.summary.get(kind, 0) for drift in drifts)
        if number:
            clauses.append(f"{number:,} {LABELS[kind]}")
    expected = sum(drift.expected for drift in drifts)
    if expected:
        clauses.append(f"{expected:,} expected by the platform")
    if any(drift.status == "failed" for drift in drifts):
        clauses.append("the rest unknown" if clauses else "drift unknown")
    if any(drift.unseen for drift in drifts):
        clauses.append(f"{sum(len(drift.unseen) for drift in drifts):,} not checked")
    resource_count = sum(drift.resources for drift in drifts)
    return ", ".join(clauses or [f"{resource_count:,} resources without drift"])


def as_preview(drift: Drift) -> Preview:
    """Return the drift as a preview, for the reports that both share. Unchanged data paths are left out."""
    paths = drift.data_paths
    before, after = ({_path_key(path) for path in side or []} for side in (paths.before, paths.after))
    unchanged = before & after
    return Preview(
        stack=drift.stack,
        status=drift.status,
        data_paths=DataPaths(
            before=[path for path in paths.before if _path_key(path) not in unchanged]
            if paths.before is not None
            else None,
            after=[path for path in paths.after if _path_key(path) not in unchanged]
            if paths.after is not None
            else None,
        ),
        policy=drift.policy,
        diagnostics=drift.diagnostics,
    )


def _path_key(path: DataPath) -> tuple[str, str, str]:
    return path.id, path.workload, path.verdict


def describe_author(drifted: Drifted) -> str:
    """`by kubectl-edit, 2026-11-26T15:00:00Z`; empty if unknown."""
    managers = f"by {', '.join(drifted.by)}" if drifted.by else ""
    return ", ".join(part for part in (managers, drifted.since) if part)


def describe_resource(drifted: Drifted) -> str:
    """`Deployment bank-server of bank`, with its place."""
    owner = f" of {drifted.component}" if drifted.component else ""
    place = f" ({drifted.where})" if drifted.where else ""
    return f"{preview_wording.resource_type(drifted)} {drifted.name}{owner}{place}"

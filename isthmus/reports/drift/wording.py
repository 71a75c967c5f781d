"""What a look for drift amounts to, in words that every report of it has alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from isthmus.contracts.reports.drift import WHATS, Drift, Drifted
from isthmus.contracts.reports.preview import DataPath, DataPaths, Preview
from isthmus.reports.preview import wording as preview_wording

Verdict = Literal["FAILED", "REFUSED", "DRIFT", "PARTIAL", "NO DRIFT"]
"""In the order of what can hurt. PARTIAL: none was found, and not all could be looked at."""
VERDICTS: tuple[Verdict, ...] = ("FAILED", "REFUSED", "DRIFT", "PARTIAL", "NO DRIFT")
LABELS = {
    "gone": "gone",
    "changed": "changed",
    "added": "added to",
    "foreign": "not ours",
}


def verdict(drift: Drift) -> Verdict:
    """The one word. Refused: data may go where it must not, or a critical finding has come."""
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
    """Of several."""
    verdicts: list[Verdict] = [verdict(drift) for drift in drifts]
    return min(verdicts, key=VERDICTS.index) if verdicts else "NO DRIFT"


def newly_open_paths(paths: DataPaths) -> list[DataPath]:
    """The ways that data may take now and might not before, and those of which the answer is another now."""
    before = {_path_key(path) for path in paths.before or []}
    return [path for path in paths.after or [] if _path_key(path) not in before]


def counts(drifts: Sequence[Drift]) -> str:
    """`1 gone, 2 changed, 1 not ours, 1 asked for by the platform`."""
    clauses = []
    for kind in WHATS:
        number = sum(drift.summary.get(kind, 0) for drift in drifts)
        if number:
            clauses.append(f"{number:,} {LABELS[kind]}")
    expected = sum(drift.expected for drift in drifts)
    if expected:
        clauses.append(f"{expected:,} asked for by the platform")
    if any(drift.status == "failed" for drift in drifts):
        clauses.append("the rest not known" if clauses else "drift not known")
    if any(drift.unseen for drift in drifts):
        clauses.append(f"{sum(len(drift.unseen) for drift in drifts):,} not looked at")
    resource_count = sum(drift.resources for drift in drifts)
    return ", ".join(clauses or [f"{resource_count:,} resources stand as they were left"])


def as_preview(drift: Drift) -> Preview:
    """The parts that drift and a preview have alike, for the reports that both share.

    Ways of data that stand as they did are left out: what is to be said of those, a preview says.
    """
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
    """`by kubectl-edit, 2026-11-26T15:00:00Z`; empty where nobody says."""
    managers = f"by {', '.join(drifted.by)}" if drifted.by else ""
    return ", ".join(part for part in (managers, drifted.since) if part)


def describe_resource(drifted: Drifted) -> str:
    """`Deployment bank-server of bank`, and where it stands."""
    owner = f" of {drifted.component}" if drifted.component else ""
    place = f" ({drifted.where})" if drifted.where else ""
    return f"{preview_wording.resource_type(drifted)} {drifted.name}{owner}{place}"

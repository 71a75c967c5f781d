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
SAID = {
    "gone": "gone",
    "changed": "changed",
    "added": "added to",
    "foreign": "not ours",
}


def verdict(drift: Drift) -> Verdict:
    """The one word. Refused: data may go where it must not, or a critical finding has come."""
    worse = opened(drift.data_paths)
    if any(each.verdict == "refused" for each in worse) or any(
        each.severity == "critical" and each.verdict == "violated"
        for each in preview_wording.counting(drift.policy)
    ):
        return "REFUSED"
    if drift.status == "failed":
        return "FAILED"
    if drift.unasked or preview_wording.counting(drift.policy) or worse:
        return "DRIFT"
    return "PARTIAL" if drift.status == "partial" else "NO DRIFT"


def worst(drifts: Iterable[Drift]) -> Verdict:
    """Of several."""
    found: list[Verdict] = [verdict(each) for each in drifts]
    return min(found, key=VERDICTS.index) if found else "NO DRIFT"


def opened(paths: DataPaths) -> list[DataPath]:
    """The ways that data may take now and might not before, and those of which the answer is another now."""
    before = {_way(each) for each in paths.before or []}
    return [each for each in paths.after or [] if _way(each) not in before]


def counts(drifts: Sequence[Drift]) -> str:
    """`1 gone, 2 changed, 1 not ours, 1 asked for by the platform`."""
    parts = []
    for what in WHATS:
        number = sum(each.summary.get(what, 0) for each in drifts)
        if number:
            parts.append(f"{number:,} {SAID[what]}")
    asked = sum(each.expected for each in drifts)
    if asked:
        parts.append(f"{asked:,} asked for by the platform")
    if any(each.status == "failed" for each in drifts):
        parts.append("the rest not known" if parts else "drift not known")
    if any(each.unseen for each in drifts):
        parts.append(f"{sum(len(each.unseen) for each in drifts):,} not looked at")
    looked = sum(each.resources for each in drifts)
    return ", ".join(parts or [f"{looked:,} resources stand as they were left"])


def as_preview(drift: Drift) -> Preview:
    """The parts that drift and a preview have alike, for the reports that both share.

    Ways of data that stand as they did are left out: what is to be said of those, a preview says.
    """
    paths = drift.data_paths
    before, after = ({_way(each) for each in side or []} for side in (paths.before, paths.after))
    both = before & after
    return Preview(
        stack=drift.stack,
        status=drift.status,
        data_paths=DataPaths(
            before=[each for each in paths.before if _way(each) not in both]
            if paths.before is not None
            else None,
            after=[each for each in paths.after if _way(each) not in both]
            if paths.after is not None
            else None,
        ),
        policy=drift.policy,
        diagnostics=drift.diagnostics,
    )


def _way(path: DataPath) -> tuple[str, str, str]:
    return path.id, path.workload, path.verdict


def who(one: Drifted) -> str:
    """`by kubectl-edit, 2026-11-26T15:00:00Z`; empty where nobody says."""
    by = f"by {', '.join(one.by)}" if one.by else ""
    return ", ".join(each for each in (by, one.since) if each)


def named(one: Drifted) -> str:
    """`Deployment bank-server of bank`, and where it stands."""
    whose = f" of {one.component}" if one.component else ""
    place = f" ({one.where})" if one.where else ""
    return f"{preview_wording.kind(one)} {one.name}{whose}{place}"

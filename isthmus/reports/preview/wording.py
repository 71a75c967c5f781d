"""Wording that all preview reports share: verdict, counts, cost, data paths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from isthmus.contracts.evaluation_result import Measured
from isthmus.contracts.reports.candidates import Candidate, Scores
from isthmus.contracts.reports.findings import SEVERITIES, Finding
from isthmus.contracts.reports.preview import OPS, Change, Cost, Costs, DataPath, Preview

Verdict = Literal["FAILED", "REFUSED", "PARTIAL", "CHANGES", "UNCHANGED"]
"""Most severe first."""
VERDICTS: tuple[Verdict, ...] = ("FAILED", "REFUSED", "PARTIAL", "CHANGES", "UNCHANGED")


def verdict(preview: Preview) -> Verdict:
    """Return the verdict. REFUSED: a data path is refused, or a critical finding is not silenced."""
    if refused_paths(preview) or any(
        finding.severity == "critical" and finding.verdict == "violated"
        for finding in unsilenced_findings(preview.policy)
    ):
        return "REFUSED"
    if preview.status == "failed":
        return "FAILED"
    if preview.status == "partial":
        return "PARTIAL"
    return "CHANGES" if preview.changes or preview.rules or changed_paths([preview]) else "UNCHANGED"


def worst(previews: Iterable[Preview]) -> Verdict:
    """Return the most severe verdict."""
    verdicts: list[Verdict] = [verdict(preview) for preview in previews]
    return min(verdicts, key=VERDICTS.index) if verdicts else "UNCHANGED"


def changes_line(previews: Sequence[Preview]) -> str:
    """`1 to delete, 2 to replace (1 holds state), 120 unchanged`."""
    total: Counter[str] = Counter()
    for preview in previews:
        total.update(preview.summary)
    stateful = Counter(change.op for preview in previews for change in preview.changes if change.stateful)
    clauses = []
    for op in OPS:
        if not total[op]:
            continue
        if op == "same":
            clauses.append(f"{total[op]:,} unchanged")
            continue
        states = stateful[op] if op in ("delete", "replace") else 0
        holds = f" ({states:,} {'holds' if states == 1 else 'hold'} state)" if states else ""
        clauses.append(f"{total[op]:,} to {op}{holds}")
    if any(preview.status == "failed" for preview in previews):
        clauses.append("the rest unknown" if clauses else "changes unknown")
    return ", ".join(clauses) or "no resources"


def unsilenced_findings(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings that are not silenced."""
    return [finding for finding in findings if finding.silenced is None]


def findings_line(previews: Sequence[Preview]) -> str:
    """`2 findings (1 critical, 1 high), 1 undecided, 3 silenced`."""
    all_findings = unique_findings(previews)
    violated = [finding for finding in unsilenced_findings(all_findings) if finding.verdict == "violated"]
    undecided = [finding for finding in unsilenced_findings(all_findings) if finding.verdict == "undecided"]
    silenced = len(all_findings) - len(violated) - len(undecided)
    by_severity = Counter(finding.severity for finding in violated)
    listed = ", ".join(f"{by_severity[level]} {level}" for level in SEVERITIES if by_severity[level])
    clauses = [
        f"{len(violated)} {'finding' if len(violated) == 1 else 'findings'} ({listed})"
        if violated
        else "no findings"
    ]
    if not all_findings and all(preview.status == "failed" for preview in previews):
        return "findings unknown"
    clauses += [f"{len(undecided)} undecided"] if undecided else []
    return ", ".join([*clauses, f"{silenced} silenced"] if silenced else clauses)


def data_paths_line(previews: Sequence[Preview]) -> str:
    """`1 refused data path`; empty if all are allowed."""
    clauses = []
    for verdict in ("refused", "undecided"):
        ids = {
            path.id
            for preview in previews
            for path in preview.data_paths.after or []
            if path.verdict == verdict
        }
        if ids:
            clauses.append(f"{len(ids)} {verdict} data {'path' if len(ids) == 1 else 'paths'}")
    return ", ".join(clauses)


def unique_findings(previews: Sequence[Preview]) -> list[Finding]:
    """Return the findings, most severe first. A finding about a whole estate, reported by each stack, counts once."""
    by_key = {}
    for preview in previews:
        for finding in preview.policy:
            key = (
                finding.policy,
                finding.urn,
                finding.resource,
                finding.message,
                finding.verdict,
                finding.silenced is None,
            )
            by_key.setdefault(key, finding)
    return sorted(
        by_key.values(),
        key=lambda finding: (
            finding.silenced is not None,
            SEVERITIES.index(finding.severity),
            finding.verdict,
            finding.policy,
            finding.urn,
            finding.message,
        ),
    )


@dataclass(frozen=True)
class Delta:
    """Monthly cost before and after; None: unknown."""

    before: float | None
    after: float | None

    @property
    def usd(self) -> float | None:
        return None if self.before is None or self.after is None else round(self.after - self.before, 2)

    @property
    def percent(self) -> float | None:
        """Change in per cent of the cost before; None if that is unknown or zero."""
        if self.usd is None or self.before is None:
            return None
        if self.before == 0:
            return 0.0 if self.usd == 0 else None
        return 100 * self.usd / self.before


def cost_delta(costs: Costs) -> Delta:
    return Delta(_monthly_usd(costs.before), _monthly_usd(costs.after))


def _monthly_usd(cost: Cost | None) -> float | None:
    return cost.monthly_usd if cost is not None else None


def costs_of(previews: Sequence[Preview]) -> list[tuple[str, Costs]]:
    """Return the costs by stacks. The layers of an estate share one plan, which counts once."""
    by_cost: dict[str, tuple[list[str], Costs]] = {}
    for preview in previews:
        key = preview.cost.model_dump_json()
        by_cost.setdefault(key, ([], preview.cost))[0].append(preview.stack)
    return [(", ".join(stacks), costs) for stacks, costs in by_cost.values()]


def cost_line(previews: Sequence[Preview]) -> str:
    """`USD 28,521 a month, +999 (+3.6 %)`, or that the cost is unknown."""
    deltas = [cost_delta(costs) for _, costs in costs_of(previews)]
    if not deltas or any(delta.after is None for delta in deltas):
        return "cost unknown"
    after = sum(delta.after or 0 for delta in deltas)
    text = f"USD {after:,.0f} a month"
    if any(delta.before is None for delta in deltas):
        return f"{text} (before: unknown)"
    total = Delta(sum(delta.before or 0 for delta in deltas), after)
    return f"{text}, {cost_change(total)}"


def cost_change(difference: Delta) -> str:
    """`+999 (+3.6 %)`, or `unchanged`."""
    if difference.usd is None:
        return "unknown"
    if difference.usd == 0:
        return "unchanged"
    percent = f" ({difference.percent:+.1f} %)" if difference.percent is not None else ""
    return (
        f"{difference.usd:+,.0f}{percent}" if abs(difference.usd) >= 1 else f"{difference.usd:+,.2f}{percent}"
    )


def commit_line(previews: Sequence[Preview], format_id: Callable[[str], str] = str) -> str:
    """`commit 2804418` or `commit 2804418 against 49ed4f9`; empty outside a repository."""
    for preview in previews:
        if preview.commit:
            dirty = " with uncommitted changes" if preview.commit.endswith("-dirty") else ""
            against = f" against {format_id(preview.base[:12])}" if preview.base else ""
            return f"commit {format_id(preview.commit.removesuffix('-dirty')[:12])}{dirty}{against}"
    return ""


def dangerous_changes(preview: Preview) -> list[Change]:
    """Return the changes that delete, replace or may replace a resource; those that hold state first."""
    dangerous = [
        change for change in preview.changes if change.op in ("delete", "replace") or change.may_replace
    ]
    return sorted(dangerous, key=lambda change: (not change.stateful, OPS.index(change.op), change.urn))


def replacement_reasons(change: Change) -> str:
    """Return the properties that cause the (possible) replacement."""
    return ", ".join(change.replaces_because or change.may_replace)


@dataclass(frozen=True)
class ChangedPath:
    """A data path that changes, or that is not allowed."""

    what: Literal["added", "removed", "changed", "existing"]
    before: DataPath | None
    after: DataPath | None

    @property
    def path(self) -> DataPath:
        path = self.after or self.before
        assert path is not None, "a changed path has a before or an after"
        return path


def changed_paths(previews: Sequence[Preview]) -> list[ChangedPath]:
    """Return data paths that are added, removed or get another verdict, and existing ones that are not allowed.

    Refused ones come first.
    """
    changed: dict[tuple[str, str], ChangedPath] = {}
    for preview in previews:
        paths = preview.data_paths
        paths_before = {path.id: path for path in paths.before or []}
        for path in paths.after or []:
            old = paths_before.get(path.id)
            is_not_allowed = path.verdict != "allowed"
            if old is None and (paths.before is not None or is_not_allowed):
                changed.setdefault((path.id, "after"), ChangedPath("added", None, path))
            elif old is not None and old.verdict != path.verdict:
                changed.setdefault((path.id, "after"), ChangedPath("changed", old, path))
            elif old is not None and is_not_allowed:
                changed.setdefault((path.id, "after"), ChangedPath("existing", old, path))
        if paths.after is not None:
            ids_after = {path.id for path in paths.after}
            for path in paths.before or []:
                if path.id not in ids_after:
                    changed.setdefault((path.id, "before"), ChangedPath("removed", path, None))
    rank = {"refused": 0, "undecided": 1, "allowed": 2}
    return sorted(
        changed.values(),
        key=lambda changed_path: (
            changed_path.after is None,
            rank[changed_path.path.verdict],
            changed_path.path.id,
            changed_path.what,
        ),
    )


def refused_paths(preview: Preview) -> list[DataPath]:
    """Return the refused data paths after the change."""
    return [path for path in preview.data_paths.after or [] if path.verdict == "refused"]


def resource_type(change: Change) -> str:
    """`Deployment`."""
    return change.type.rsplit(":", 1)[-1]


def effect_word(change: Change) -> str:
    """`replace`, `may replace`."""
    return "may replace" if change.may_replace and change.op == "update" else change.op


def state_loss(change: Change) -> str:
    """Return whether state is lost with the resource, in words."""
    if not change.stateful:
        return "no"
    return "yes; the old resource is retained" if change.retained else "yes"


def unique_candidates(previews: Sequence[Preview]) -> list[Candidate]:
    """Return the candidates, once each: those that lack something first."""
    candidates = {
        candidate.model_dump_json(): candidate for preview in previews for candidate in preview.candidates
    }
    return sorted(candidates.values(), key=lambda candidate: (not candidate.missing, candidate.workload))


def candidate_verdict(candidate: Candidate) -> str:
    """Return the gate's verdict in a word or two."""
    if candidate.missing:
        return "held back"
    return "may answer people" if candidate.takes_requests else "evaluations only"


def span(measured: Measured) -> str:
    """Return a value with its 95 % interval."""
    return f"{measured.value:.3f} ({measured.low:.3f} to {measured.high:.3f})"


def loss_text(scores: Scores) -> str:
    """Return the largest possible loss of a task, and how much is allowed."""
    if scores.loss is None:
        return "not compared"
    return f"{span(scores.loss)} in {scores.loss_task}, {scores.max_loss:g} allowed"


def latency_text(scores: Scores) -> str:
    """Return the latencies of the slowest task."""
    return f"p50 {scores.seconds_p50:.2f} s, p95 {scores.seconds_p95:.2f} s"


def case_cost(scores: Scores) -> str:
    """Return the cost of a case."""
    return "no price" if scores.usd_per_case is None else f"USD {scores.usd_per_case:.5f}"

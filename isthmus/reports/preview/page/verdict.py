"""The verdict of a preview: a sentence, figures, and the points that a reviewer must check."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from isthmus.contracts.reports.preview import OPS, Preview
from isthmus.reports.format.numbers import counted
from isthmus.reports.preview.data_paths import compare_paths
from isthmus.reports.preview.page.totals import money
from isthmus.reports.preview.wording import unsilenced_findings

OP_SIGNS: dict[str, str] = {
    "delete": "−",
    "replace": "±",
    "update": "~",
    "create": "+",
    "import": "→",
    "read": "·",
    "same": "=",
}
Kind = Literal["failed", "partial", "refused", "look", "changes", "unchanged"]


@dataclass(frozen=True)
class Verdict:
    kind: Kind
    word: str
    """Failed, Partial, Unchanged, …"""
    sentence: str
    facts: list[str]
    against: list[str]
    """Points that a reviewer must check, the most dangerous first."""


def operations(preview: Preview) -> dict[str, int]:
    """Number of changes by operation, without `same`: from the summary, or counted if it is empty."""
    by_op = {op: n for op, n in preview.summary.items() if op != "same" and n}
    return by_op or dict(Counter(change.op for change in preview.changes if change.op != "same"))


def verdict(preview: Preview) -> Verdict:
    """Return the verdict. An incomplete preview is never called unchanged."""
    against = _against(preview)
    counts_by_op = operations(preview)
    paths = compare_paths(preview.data_paths)
    errors = any(diagnostic.severity == "error" for diagnostic in preview.diagnostics)
    critical = any(finding.severity == "critical" for finding in unsilenced_findings(preview.policy))
    moved = any(path.mark != "same" for path in paths)
    if preview.status == "failed":
        kind, sentence = (
            "failed",
            "The preview failed. This page is incomplete. Do not approve the change.",
        )
    elif preview.status == "partial" or errors:
        kind, sentence = (
            "partial",
            "The preview is incomplete. Resources that are missing here may change too.",
        )
    elif critical or any(path.mark == "refused" for path in paths):
        kind, sentence = "refused", "The preview is complete. This change must not be made as it is."
    elif not counts_by_op and not preview.changes and not preview.rules and not moved:
        kind, sentence = "unchanged", "The preview is complete. Nothing changes."
        if against:
            sentence += " The existing state has these problems:"
    elif against:
        kind, sentence = "look", "The preview is complete. Review these points:"
    else:
        kind = "changes"
        sentence = (
            "The preview is complete. Nothing is deleted or replaced, there are no findings, and every data path is "
            "allowed."
        )
    label = "changes" if kind == "look" else kind
    return Verdict(kind, label.capitalize(), sentence, _facts(preview, counts_by_op), against)


def _facts(preview: Preview, counts_by_op: dict[str, int]) -> list[str]:
    facts = [f"{counts_by_op[op]:,} to {op}" for op in OPS if op in counts_by_op] or ["no changes"]
    if same := preview.summary.get("same"):
        facts.append(f"{same:,} unchanged")
    before, after = preview.cost.before, preview.cost.after
    if before and after and before.monthly_usd is not None and after.monthly_usd is not None:
        delta = after.monthly_usd - before.monthly_usd
        facts.append("cost unchanged" if delta == 0 else f"{money(delta)} a month")
    else:
        facts.append("cost change unknown")
    findings = unsilenced_findings(preview.policy)
    facts.append(counted(len(findings), "finding") if findings else "no findings")
    return facts


def _against(preview: Preview) -> list[str]:
    concerns: list[str] = []
    if errors := sum(diagnostic.severity == "error" for diagnostic in preview.diagnostics):
        concerns.append(counted(errors, "error") + " from the engine or a provider")
    if loose := sum(rule.loosens for rule in preview.rules):
        concerns.append(f"{counted(loose, 'rule or class', 'rules or classes')} loosened by this change")
    if lost := sum(change.stateful for change in preview.changes if change.op == "delete"):
        concerns.append(f"{counted(lost, 'resource')} with state deleted")
    if lost := sum(change.stateful for change in preview.changes if change.op == "replace"):
        concerns.append(f"{counted(lost, 'resource')} with state replaced")
    if may := sum(bool(change.may_replace) for change in preview.changes):
        concerns.append(f"{counted(may, 'resource')} possibly replaced; the engine has not checked this")
    stateless = sum(not change.stateful for change in preview.changes if change.op in ("delete", "replace"))
    if stateless:
        concerns.append(f"{counted(stateless, 'resource')} without state deleted or replaced")
    paths = compare_paths(preview.data_paths)
    for mark, description in (
        ("refused", "refused"),
        ("undecided", "undecided, which does not count as allowed"),
        ("allowed", "newly allowed"),
    ):
        if number_of := sum(path.mark == mark for path in paths):
            concerns.append(f"{counted(number_of, 'data path')} {description}")
    if preview.data_paths.after is None and preview.status != "failed":
        concerns.append("data paths could not be determined")
    findings = unsilenced_findings(preview.policy)
    for severity in ("critical", "high", "medium", "low"):
        if number_of := sum(
            finding.verdict == "violated" and finding.severity == severity for finding in findings
        ):
            concerns.append(counted(number_of, f"{severity} finding"))
    if number_of := sum(finding.verdict == "undecided" for finding in findings):
        concerns.append(f"{counted(number_of, 'finding')} undecided, which does not count as passed")
    return concerns

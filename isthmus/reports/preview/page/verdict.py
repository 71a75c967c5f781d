"""The verdict of a preview in a line, and what stands against it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from isthmus.contracts.reports.preview import OPS, Preview
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
    """What a reviewer must not overlook, the worst first."""


def counts(number_of: int, singular: str, plural: str = "") -> str:
    return f"{number_of:,} {singular if number_of == 1 else plural or f'{singular}s'}"


def operations(preview: Preview) -> dict[str, int]:
    """Changes by operation, `same` left out: what the summary says, else what is listed."""
    by_op = {op: n for op, n in preview.summary.items() if op != "same" and n}
    return by_op or dict(Counter(change.op for change in preview.changes if change.op != "same"))


def verdict(preview: Preview) -> Verdict:
    """A preview that is not whole is never called unchanged, whatever else it says."""
    against = _against(preview)
    counts_by_op = operations(preview)
    paths = compare_paths(preview.data_paths)
    errors = any(diagnostic.severity == "error" for diagnostic in preview.diagnostics)
    critical = any(finding.severity == "critical" for finding in unsilenced_findings(preview.policy))
    moved = any(path.mark != "same" for path in paths)
    if preview.status == "failed":
        kind, sentence = (
            "failed",
            "The preview failed. What follows is not all of it; nothing of it may be approved.",
        )
    elif preview.status == "partial" or errors:
        kind, sentence = "partial", "The preview is not whole. What is missing here may change all the same."
    elif critical or any(path.mark == "refused" for path in paths):
        kind, sentence = "refused", "The preview is whole, and this change may not be made as it is."
    elif not counts_by_op and not preview.changes and not preview.rules and not moved:
        kind, sentence = "unchanged", "The preview is whole, and nothing would change."
        if against:
            sentence += " Of what stands there is this to say:"
    elif against:
        kind, sentence = "look", "The preview is whole. This needs a look:"
    else:
        kind = "changes"
        sentence = (
            "The preview is whole: nothing destroyed or replaced, no finding, no path refused or undecided."
        )
    label = "changes" if kind == "look" else kind
    return Verdict(kind, label.capitalize(), sentence, _facts(preview, counts_by_op), against)


def _facts(preview: Preview, counts_by_op: dict[str, int]) -> list[str]:
    facts = [f"{counts_by_op[op]:,} to {op}" for op in OPS if op in counts_by_op] or ["no change"]
    if same := preview.summary.get("same"):
        facts.append(f"{same:,} stay the same")
    before, after = preview.cost.before, preview.cost.after
    if before and after and before.monthly_usd is not None and after.monthly_usd is not None:
        delta = after.monthly_usd - before.monthly_usd
        facts.append("the same cost" if delta == 0 else f"{money(delta)} a month")
    else:
        facts.append("cost before and after not known")
    counted = unsilenced_findings(preview.policy)
    facts.append(counts(len(counted), "finding") if counted else "no finding")
    return facts


def _against(preview: Preview) -> list[str]:
    concerns: list[str] = []
    if errors := sum(diagnostic.severity == "error" for diagnostic in preview.diagnostics):
        concerns.append(counts(errors, "error") + " of the engine or a provider")
    if loose := sum(rule.loosens for rule in preview.rules):
        concerns.append(f"{counts(loose, 'rule or class', 'rules or classes')} loosened by this change")
    if lost := sum(change.stateful for change in preview.changes if change.op == "delete"):
        concerns.append(f"{counts(lost, 'resource')} that {_hold(lost)} state destroyed")
    if lost := sum(change.stateful for change in preview.changes if change.op == "replace"):
        concerns.append(f"{counts(lost, 'resource')} that {_hold(lost)} state replaced")
    if may := sum(bool(change.may_replace) for change in preview.changes):
        concerns.append(f"{counts(may, 'resource')} that may be replaced, which no engine has looked at")
    stateless = sum(not change.stateful for change in preview.changes if change.op in ("delete", "replace"))
    if stateless:
        concerns.append(f"{counts(stateless, 'resource')} without state destroyed or replaced")
    paths = compare_paths(preview.data_paths)
    for mark, description in (
        ("refused", "refused"),
        ("undecided", "undecided, which is no pass"),
        ("allowed", "allowed that was not before"),
    ):
        if number_of := sum(path.mark == mark for path in paths):
            concerns.append(f"{counts(number_of, 'data path')} {description}")
    if preview.data_paths.after is None and preview.status != "failed":
        concerns.append("data paths could not be found out")
    counted = unsilenced_findings(preview.policy)
    for severity in ("critical", "high", "medium", "low"):
        if number_of := sum(
            finding.verdict == "violated" and finding.severity == severity for finding in counted
        ):
            concerns.append(counts(number_of, f"{severity} finding"))
    if number_of := sum(finding.verdict == "undecided" for finding in counted):
        concerns.append(f"{counts(number_of, 'finding')} undecided, which is no pass")
    return concerns


def _hold(number_of: int) -> str:
    return "holds" if number_of == 1 else "hold"

"""The verdict of a preview in a line, and what stands against it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from isthmus.contracts.reports.preview import OPS, Preview
from isthmus.reports.preview.data_paths import ways
from isthmus.reports.preview.page.totals import money
from isthmus.reports.preview.wording import counting

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


def counts(number_of: int, one: str, many: str = "") -> str:
    return f"{number_of:,} {one if number_of == 1 else many or f'{one}s'}"


def operations(preview: Preview) -> dict[str, int]:
    """Changes by operation, `same` left out: what the summary says, else what is listed."""
    found = {op: n for op, n in preview.summary.items() if op != "same" and n}
    return found or dict(Counter(each.op for each in preview.changes if each.op != "same"))


def verdict(preview: Preview) -> Verdict:
    """A preview that is not whole is never called unchanged, whatever else it says."""
    against = _against(preview)
    done = operations(preview)
    found = ways(preview.data_paths)
    errors = any(each.severity == "error" for each in preview.diagnostics)
    critical = any(each.severity == "critical" for each in counting(preview.policy))
    moved = any(way.mark != "same" for way in found)
    if preview.status == "failed":
        kind, sentence = (
            "failed",
            "The preview failed. What follows is not all of it; nothing of it may be approved.",
        )
    elif preview.status == "partial" or errors:
        kind, sentence = "partial", "The preview is not whole. What is missing here may change all the same."
    elif critical or any(way.mark == "refused" for way in found):
        kind, sentence = "refused", "The preview is whole, and this change may not be made as it is."
    elif not done and not preview.changes and not preview.rules and not moved:
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
    word = "changes" if kind == "look" else kind
    return Verdict(kind, word.capitalize(), sentence, _facts(preview, done), against)


def _facts(preview: Preview, done: dict[str, int]) -> list[str]:
    told = [f"{done[op]:,} to {op}" for op in OPS if op in done] or ["no change"]
    if same := preview.summary.get("same"):
        told.append(f"{same:,} stay the same")
    before, after = preview.cost.before, preview.cost.after
    if before and after and before.monthly_usd is not None and after.monthly_usd is not None:
        delta = after.monthly_usd - before.monthly_usd
        told.append("the same cost" if delta == 0 else f"{money(delta)} a month")
    else:
        told.append("cost before and after not known")
    counted = counting(preview.policy)
    told.append(counts(len(counted), "finding") if counted else "no finding")
    return told


def _against(preview: Preview) -> list[str]:
    told: list[str] = []
    if errors := sum(each.severity == "error" for each in preview.diagnostics):
        told.append(counts(errors, "error") + " of the engine or a provider")
    if loose := sum(each.loosens for each in preview.rules):
        told.append(f"{counts(loose, 'rule or class', 'rules or classes')} loosened by this change")
    if lost := sum(each.stateful for each in preview.changes if each.op == "delete"):
        told.append(f"{counts(lost, 'resource')} that {_hold(lost)} state destroyed")
    if lost := sum(each.stateful for each in preview.changes if each.op == "replace"):
        told.append(f"{counts(lost, 'resource')} that {_hold(lost)} state replaced")
    if may := sum(bool(each.may_replace) for each in preview.changes):
        told.append(f"{counts(may, 'resource')} that may be replaced, which no engine has looked at")
    rest = sum(not each.stateful for each in preview.changes if each.op in ("delete", "replace"))
    if rest:
        told.append(f"{counts(rest, 'resource')} without state destroyed or replaced")
    found = ways(preview.data_paths)
    for mark, words in (
        ("refused", "refused"),
        ("undecided", "undecided, which is no pass"),
        ("allowed", "allowed that was not before"),
    ):
        if number_of := sum(way.mark == mark for way in found):
            told.append(f"{counts(number_of, 'data path')} {words}")
    if preview.data_paths.after is None and preview.status != "failed":
        told.append("data paths could not be found out")
    counted = counting(preview.policy)
    for severity in ("critical", "high", "medium", "low"):
        if number_of := sum(each.verdict == "violated" and each.severity == severity for each in counted):
            told.append(counts(number_of, f"{severity} finding"))
    if number_of := sum(each.verdict == "undecided" for each in counted):
        told.append(f"{counts(number_of, 'finding')} undecided, which is no pass")
    return told


def _hold(number_of: int) -> str:
    return "holds" if number_of == 1 else "hold"

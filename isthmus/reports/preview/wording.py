"""What a preview amounts to, in words that every report of it has alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from isthmus.contracts.reports.findings import SEVERITIES, Finding
from isthmus.contracts.reports.preview import OPS, Change, Cost, Costs, DataPath, Preview

Verdict = Literal["FAILED", "REFUSED", "PARTIAL", "CHANGES", "UNCHANGED"]
"""In the order of what can hurt."""
VERDICTS: tuple[Verdict, ...] = ("FAILED", "REFUSED", "PARTIAL", "CHANGES", "UNCHANGED")


def verdict(preview: Preview) -> Verdict:
    """The one word. Refused: data would go where it must not, or a critical finding stands that nobody answers for."""
    if refused(preview) or any(
        each.severity == "critical" and each.verdict == "violated" for each in counting(preview.policy)
    ):
        return "REFUSED"
    if preview.status == "failed":
        return "FAILED"
    if preview.status == "partial":
        return "PARTIAL"
    return "CHANGES" if preview.changes or preview.rules or moved([preview]) else "UNCHANGED"


def worst(previews: Iterable[Preview]) -> Verdict:
    """Of several."""
    found: list[Verdict] = [verdict(each) for each in previews]
    return min(found, key=VERDICTS.index) if found else "UNCHANGED"


def counts(previews: Sequence[Preview]) -> str:
    """`1 to delete, 2 to replace (1 holds state), 120 unchanged`."""
    total: Counter[str] = Counter()
    for each in previews:
        total.update(each.summary)
    held = Counter(each.op for one in previews for each in one.changes if each.stateful)
    parts = []
    for op in OPS:
        if not total[op]:
            continue
        if op == "same":
            parts.append(f"{total[op]:,} unchanged")
            continue
        states = held[op] if op in ("delete", "replace") else 0
        holds = f" ({states:,} {'holds' if states == 1 else 'hold'} state)" if states else ""
        parts.append(f"{total[op]:,} to {op}{holds}")
    if any(each.status == "failed" for each in previews):
        parts.append("the rest not known" if parts else "changes not known")
    return ", ".join(parts) or "no resources"


def counting(findings: Iterable[Finding]) -> list[Finding]:
    """Those that nobody answers for."""
    return [each for each in findings if each.silenced is None]


def findings(previews: Sequence[Preview]) -> str:
    """`2 findings (1 critical, 1 high), 1 undecided, 3 silenced`."""
    every = unique_findings(previews)
    found = [each for each in counting(every) if each.verdict == "violated"]
    open_ = [each for each in counting(every) if each.verdict == "undecided"]
    silent = len(every) - len(found) - len(open_)
    by = Counter(each.severity for each in found)
    listed = ", ".join(f"{by[level]} {level}" for level in SEVERITIES if by[level])
    parts = [
        f"{len(found)} {'finding' if len(found) == 1 else 'findings'} ({listed})" if found else "no findings"
    ]
    if not every and all(each.status == "failed" for each in previews):
        return "findings not known"
    parts += [f"{len(open_)} undecided"] if open_ else []
    return ", ".join([*parts, f"{silent} silenced"] if silent else parts)


def ways(previews: Sequence[Preview]) -> str:
    """`1 refused data path`; empty where all are allowed."""
    told = []
    for word in ("refused", "undecided"):
        found = {each.id for one in previews for each in one.data_paths.after or [] if each.verdict == word}
        if found:
            told.append(f"{len(found)} {word} data {'path' if len(found) == 1 else 'paths'}")
    return ", ".join(told)


def unique_findings(previews: Sequence[Preview]) -> list[Finding]:
    """Worst first; one of a whole estate is told by each of its stacks, and is one."""
    seen = {}
    for preview in previews:
        for each in preview.policy:
            key = (each.policy, each.urn, each.resource, each.message, each.verdict, each.silenced is None)
            seen.setdefault(key, each)
    return sorted(
        seen.values(),
        key=lambda each: (
            each.silenced is not None,
            SEVERITIES.index(each.severity),
            each.verdict,
            each.policy,
            each.urn,
            each.message,
        ),
    )


@dataclass(frozen=True)
class Delta:
    """A month's cost before and after; None: nobody knows."""

    before: float | None
    after: float | None

    @property
    def usd(self) -> float | None:
        return None if self.before is None or self.after is None else round(self.after - self.before, 2)

    @property
    def percent(self) -> float | None:
        """Of what it was; None where that is not known, or nothing came from nothing."""
        if self.usd is None or self.before is None:
            return None
        if self.before == 0:
            return 0.0 if self.usd == 0 else None
        return 100 * self.usd / self.before


def delta(costs: Costs) -> Delta:
    return Delta(_known(costs.before), _known(costs.after))


def _known(cost: Cost | None) -> float | None:
    return cost.monthly_usd if cost is not None else None


def costs_of(previews: Sequence[Preview]) -> list[tuple[str, Costs]]:
    """Costs by the stacks that they are of: the layers of an estate share one plan, which counts once."""
    found: dict[str, tuple[list[str], Costs]] = {}
    for each in previews:
        key = each.cost.model_dump_json()
        found.setdefault(key, ([], each.cost))[0].append(each.stack)
    return [(", ".join(stacks), costs) for stacks, costs in found.values()]


def cost(previews: Sequence[Preview]) -> str:
    """`USD 28,521 a month, +999 (+3.6 %)`; what is not known is said not to be."""
    told = [delta(each) for _, each in costs_of(previews)]
    if not told or any(each.after is None for each in told):
        return "cost not known"
    after = sum(each.after or 0 for each in told)
    text = f"USD {after:,.0f} a month"
    if any(each.before is None for each in told):
        return f"{text} (before: not known)"
    whole = Delta(sum(each.before or 0 for each in told), after)
    return f"{text}, {change(whole)}"


def change(of: Delta) -> str:
    """`+999 (+3.6 %)`, or `as before`."""
    if of.usd is None:
        return "not known"
    if of.usd == 0:
        return "as before"
    percent = f" ({of.percent:+.1f} %)" if of.percent is not None else ""
    return f"{of.usd:+,.0f}{percent}" if abs(of.usd) >= 1 else f"{of.usd:+,.2f}{percent}"


def commit(previews: Sequence[Preview], spelt: Callable[[str], str] = str) -> str:
    """`commit 2804418` or `commit 2804418 against 49ed4f9`; empty outside a repository."""
    for each in previews:
        if each.commit:
            dirty = " with changes that are not committed" if each.commit.endswith("-dirty") else ""
            against = f" against {spelt(each.base[:12])}" if each.base else ""
            return f"commit {spelt(each.commit.removesuffix('-dirty')[:12])}{dirty}{against}"
    return ""


def dangerous(preview: Preview) -> list[Change]:
    """What goes, or is made anew, or may be; what holds state first."""
    found = [each for each in preview.changes if each.op in ("delete", "replace") or each.may_replace]
    return sorted(found, key=lambda each: (not each.stateful, OPS.index(each.op), each.urn))


def because(each: Change) -> str:
    """Why it is made anew or may be, as a list of properties."""
    return ", ".join(each.replaces_because or each.may_replace)


@dataclass(frozen=True)
class Moved:
    """A data path that is not what it was."""

    what: Literal["added", "removed", "changed", "stands"]
    before: DataPath | None
    after: DataPath | None

    @property
    def path(self) -> DataPath:
        found = self.after or self.before
        assert found is not None, "one of the two is there"
        return found


def moved(previews: Sequence[Preview]) -> list[Moved]:
    """Paths that come, go or get another verdict, refused ones first; and those that are not allowed and stand."""
    found: dict[tuple[str, str], Moved] = {}
    for preview in previews:
        paths = preview.data_paths
        was = {each.id: each for each in paths.before or []}
        for each in paths.after or []:
            old = was.get(each.id)
            open_ = each.verdict != "allowed"
            if old is None and (paths.before is not None or open_):
                found.setdefault((each.id, "after"), Moved("added", None, each))
            elif old is not None and old.verdict != each.verdict:
                found.setdefault((each.id, "after"), Moved("changed", old, each))
            elif old is not None and open_:
                found.setdefault((each.id, "after"), Moved("stands", old, each))
        if paths.after is not None:
            will = {each.id for each in paths.after}
            for each in paths.before or []:
                if each.id not in will:
                    found.setdefault((each.id, "before"), Moved("removed", each, None))
    rank = {"refused": 0, "undecided": 1, "allowed": 2}
    return sorted(
        found.values(),
        key=lambda each: (each.after is None, rank[each.path.verdict], each.path.id, each.what),
    )


def refused(preview: Preview) -> list[DataPath]:
    """Paths that may not be, after the change."""
    return [each for each in preview.data_paths.after or [] if each.verdict == "refused"]


def kind(each: Change) -> str:
    """`Deployment`."""
    return each.type.rsplit(":", 1)[-1]


def effect(each: Change) -> str:
    """`replace`, `may replace`."""
    return "may replace" if each.may_replace and each.op == "update" else each.op


def holds(each: Change) -> str:
    """Whether state is lost with it."""
    if not each.stateful:
        return "no"
    return "yes; the old one stays" if each.retained else "yes"

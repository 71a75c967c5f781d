"""The open part of a preview's comment: rules, what goes or is made anew, data paths, findings, cost, capacity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from isthmus.contracts.reports.findings import Finding
from isthmus.contracts.reports.preview import Capacities, DataPath, PoolCapacity, Preview
from isthmus.reports.format.escaping import code, row
from isthmus.reports.preview import wording as words


@dataclass
class Section:
    """A heading, its rows, and the part of the comment that it may take (per cent)."""

    title: str
    share: int
    rows: list[str]
    head: list[str] = field(default_factory=list)
    """A table's first two lines."""

    def text(self, room: int, where: str) -> str:
        """As many rows as there is room for, and how many there are besides; nothing where there are none."""
        if not self.rows:
            return ""
        top = [f"### {self.title}", "", *self.head]
        tail = len(where) + 40
        kept: list[str] = []
        left = room - sum(len(each) + 1 for each in top)
        for each in self.rows:
            more = 0 if len(kept) + 1 == len(self.rows) else tail
            if len(each) + 1 > left - more:
                break
            kept.append(each)
            left -= len(each) + 1
        lost = len(self.rows) - len(kept)
        end = ["", f"and {lost:,} more: {where}"] if lost else []
        return "\n".join([*top, *kept, *end])


def sections(previews: Sequence[Preview]) -> list[Section]:
    """In the order of what can hurt."""
    return [_rules(previews), _dangerous(previews), paths(previews), policy(previews), *_figures(previews)]


def table(title: str, share: int, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Section:
    """A section of rows under columns."""
    head = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    return Section(title, share, [row(each) for each in rows], head)


def _rules(previews: Sequence[Preview]) -> Section:
    found = {each.model_dump_json(): each for one in previews for each in one.rules}
    listed = sorted(found.values(), key=lambda each: (not each.loosens, each.kind, each.what))
    rows = [
        [
            "**looser**" if each.loosens else "stricter or the same",
            each.kind,
            code(each.what),
            code(each.old) if each.old else "none",
            code(each.new) if each.new else "none",
        ]
        for each in listed
    ]
    return table("Rules and classes that change", 10, ["", "what", "of", "before", "after"], rows)


def _dangerous(previews: Sequence[Preview]) -> Section:
    several = len(previews) > 1
    rows = []
    for preview in previews:
        for each in words.dangerous(preview):
            why = ", ".join(code(path) for path in (each.replaces_because or each.may_replace)[:5])
            also = len(each.replaces_because or each.may_replace) - 5
            why += f" and {also} more" if also > 0 else ""
            loses = "**yes**" + words.holds(each).removeprefix("yes") if each.stateful else "no"
            cells = [words.effect(each), f"{code(words.kind(each))} {code(each.name)}", why or "-", loses]
            rows.append([code(preview.stack), *cells] if several else cells)
    columns = ["", "resource", "because of", "holds state"]
    return table("Deleted or replaced", 20, ["stack", *columns] if several else columns, rows)


def paths(previews: Sequence[Preview]) -> Section:
    """The ways of data that are not as they were."""
    rows = []
    for each in words.moved(previews):
        was = each.before.verdict if each.before else "none"
        now = each.after.verdict if each.after else "gone"
        state = now if each.what in ("added", "stands") else f"{was} → {now}"
        loud = f"**{state}**" if each.after is not None and each.after.verdict != "allowed" else state
        why = f": {code(each.path.why, 300)}" if each.path.why else ""
        rows.append(f"- {each.what}, {loud} ({each.path.class_}): {drawn(each.path)}{why}")
    unknown = [each for each in previews if each.data_paths.after is None and each.status != "failed"]
    rows += [f"- {code(each.stack)}: where its data may go was not found out" for each in unknown]
    return Section("Data paths that change", 12, rows)


def drawn(path: DataPath) -> str:
    """The way as a line: `kyc` → `confidential-gateway` at `fra1` → …"""
    return " → ".join(
        f"{each.kind} {code(each.name)}" + (f" at {code(each.where)}" if each.where else "")
        for each in path.hops
    )


def policy(previews: Sequence[Preview]) -> Section:
    """What the policies find, the worst first."""
    rows = [_finding(each) for each in words.unique_findings(previews)]
    return table("Policy findings", 20, ["severity", "finding", "resource", "supports", "fix"], rows)


def _finding(each: Finding) -> list[str]:
    loud = f"**{each.severity}**" if each.severity in ("critical", "high") else each.severity
    level = f"{loud}, cannot be decided" if each.verdict == "undecided" else loud
    if each.silenced is not None:
        by = each.silenced
        level = f"silenced until {by.until} by {code(by.owner)}: {code(by.reason)} ({each.severity})"
    supports = ", ".join(code(f"{one.framework} {one.version} {one.id}") for one in each.supports)
    told = f"{code(each.policy)} {code(each.message, 400)}"
    return [
        level,
        told,
        code(each.resource) if each.resource else "the stack",
        supports or "-",
        code(each.fix, 300),
    ]


def _figures(previews: Sequence[Preview]) -> list[Section]:
    rows: list[list[str]] = []
    for stacks, costs in words.costs_of(previews):
        if costs.before is None and costs.after is None:
            continue
        of = words.delta(costs)
        whose = f" of {', '.join(code(each) for each in stacks.split(', '))}" if len(previews) > 1 else ""
        rows.append([f"**USD a month{whose}**", _usd(of.before), _usd(of.after), words.change(of), ""])
        was = {each.what: each for each in (costs.before.items if costs.before else [])}
        will = {each.what: each for each in (costs.after.items if costs.after else [])}
        for what in sorted({*was, *will}):
            one, other = was.get(what), will.get(what)
            both = words.Delta(
                one.monthly_usd if one else (0.0 if costs.before else None),
                other.monthly_usd if other else (0.0 if costs.after else None),
            )
            if both.usd == 0:
                continue
            item = other or one
            evidence = f"{item.evidence or 'no evidence'} {item.as_of}".strip() if item else ""
            rows.append([code(what), _usd(both.before), _usd(both.after), words.change(both), code(evidence)])
    cost = table("Cost", 8, ["", "before", "after", "change", "evidence"], rows)
    gpus = [each for one in _capacities(previews) for each in _pools(one)]
    columns = ["pool", "GPUs", "reserved", "used before", "used after"]
    return [cost, table("GPU capacity", 5, columns, gpus)]


def _usd(value: float | None) -> str:
    return "not known" if value is None else f"{value:,.2f}"


def _capacities(previews: Sequence[Preview]) -> list[Capacities]:
    return list({each.capacity.model_dump_json(): each.capacity for each in previews}.values())


def _pools(of: Capacities) -> list[list[str]]:
    was = {(each.site, each.pool): each for each in of.before or []}
    will = {(each.site, each.pool): each for each in of.after or []}
    rows = []
    for key in sorted({*was, *will}):
        one, other = was.get(key), will.get(key)
        if one == other and other is not None and not other.used:
            continue
        there = [
            _number(each.gpus) if each is not None else "none" if known else "not known"
            for each, known in ((one, of.before is not None), (other, of.after is not None))
        ]
        gpus = there[1] if there[0] == there[1] else f"{there[0]} → {there[1]}"
        before, after = _used(one, of.before), _used(other, of.after)
        rows.append([code(key[1]), gpus, str((other or one or _NONE).reserved), before, after])
    return rows


_NONE = PoolCapacity(site="none", pool="none", gpus=0)


def _number(value: float | None) -> str:
    return "not known" if value is None else f"{value:g}"


def _used(pool: PoolCapacity | None, known: list[PoolCapacity] | None) -> str:
    if known is None:
        return "not known"
    return f"{pool.used:g}" if pool is not None else "0"

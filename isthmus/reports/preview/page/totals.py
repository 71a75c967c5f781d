"""Sums on the page of a preview: changes by component, cost and GPUs before and after."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from isthmus.contracts.reports.preview import (
    OPS,
    Capacities,
    Change,
    Cost,
    CostItem,
    Costs,
    PoolCapacity,
    Preview,
)
from isthmus.reports.format.numbers import number, usd
from isthmus.reports.preview.data_paths import compare_paths
from isthmus.reports.preview.wording import dangerous_changes, unsilenced_findings


@dataclass(frozen=True)
class Group:
    """The changes of one component, the worst first."""

    component: str
    changes: list[Change]

    @property
    def counts(self) -> list[tuple[str, int]]:
        by_op = Counter(change.op for change in self.changes)
        return [(op, by_op[op]) for op in OPS if by_op[op]]

    @property
    def only_noise(self) -> bool:
        return all(
            change.op == "update"
            and change.properties
            and all(property_change.noise for property_change in change.properties)
            for change in self.changes
        )


def groups(preview: Preview) -> list[Group]:
    """Return the changes by component: the most dangerous first, components with only noise last."""
    by_component: dict[str, list[Change]] = {}
    for change in preview.changes:
        if change.op != "same":
            by_component.setdefault(change.component, []).append(change)
    unsorted = [
        Group(name, sorted(changes, key=lambda change: (OPS.index(change.op), change.urn)))
        for name, changes in by_component.items()
    ]
    return sorted(
        unsorted,
        key=lambda group: (
            group.only_noise,
            OPS.index(group.changes[0].op),
            not group.component,
            group.component,
        ),
    )


def money(delta: float) -> str:
    """A difference with its sign: `+USD 1,200`, `−USD 80`."""
    if delta == 0:
        return "no difference"
    return f"{'+' if delta > 0 else '−'}{usd(abs(delta))}"


@dataclass(frozen=True)
class CostRow:
    what: str
    before: float | None
    after: float | None
    item: CostItem
    """Source of the figure: the item after the change, otherwise the one before."""

    @property
    def delta(self) -> float:
        return (self.after or 0) - (self.before or 0)


def cost_rows(costs: Costs) -> list[CostRow]:
    """Return the cost items before and after, the largest difference first."""
    before, after = _items(costs.before), _items(costs.after)
    rows = []
    for item_name in {**after, **before}:
        item_before, item_after = before.get(item_name), after.get(item_name)
        item = item_after or item_before
        assert item is not None
        rows.append(
            CostRow(
                item_name,
                item_before and item_before.monthly_usd,
                item_after and item_after.monthly_usd,
                item,
            )
        )
    return sorted(rows, key=lambda cost_row: (-abs(cost_row.delta), -(cost_row.after or 0), cost_row.what))


def _items(cost: Cost | None) -> dict[str, CostItem]:
    """Return the items by name. Items with the same name are added up."""
    by_name: dict[str, CostItem] = {}
    for item in cost.items if cost else []:
        previous = by_name.get(item.what)
        total = item.monthly_usd + (previous.monthly_usd if previous else 0)
        by_name[item.what] = item.model_copy(update={"monthly_usd": total}) if previous else item
    return by_name


@dataclass(frozen=True)
class CapacityRow:
    site: str
    pool: str
    before: PoolCapacity | None
    after: PoolCapacity | None

    @property
    def over(self) -> bool:
        """Whether more GPUs are used or reserved than the pool has."""
        pool = self.after
        return pool is not None and pool.gpus is not None and max(pool.used, pool.reserved) > pool.gpus


def capacity_rows(capacities: Capacities) -> list[CapacityRow]:
    before = {(pool.site, pool.pool): pool for pool in capacities.before or []}
    after = {(pool.site, pool.pool): pool for pool in capacities.after or []}
    return [CapacityRow(*key, before.get(key), after.get(key)) for key in sorted({**before, **after})]


@dataclass(frozen=True)
class Tile:
    """A figure at the top of the page, with a link to its section."""

    section: str
    figure: str
    words: str
    state: str
    """CSS class: `bad`, `open` or `calm`. The words say the same, for readers who do not see colours."""


def tiles(preview: Preview) -> list[Tile]:
    """Return the tiles at the top of the page."""
    hurts = dangerous_changes(preview)
    lost = sum(change.stateful for change in hurts)
    changed_paths = [path for path in compare_paths(preview.data_paths) if path.mark != "same"]
    refused, undecided = (
        sum(path.mark == mark for path in changed_paths) for mark in ("refused", "undecided")
    )
    findings = unsilenced_findings(preview.policy)
    severe = sum(finding.severity in ("critical", "high") for finding in findings)
    loose = sum(rule.loosens for rule in preview.rules)
    paths_known = preview.data_paths.after is not None
    return [
        Tile(
            "rules",
            str(len(preview.rules)),
            f"rules and classes changed, {loose} loosened",
            "bad" if loose else "calm",
        ),
        Tile(
            "hurts",
            str(len(hurts)),
            f"deleted or replaced, {lost} with state",
            "bad" if lost else "open" if hurts else "calm",
        ),
        Tile(
            "paths",
            str(len(changed_paths)) if paths_known else "?",
            f"data paths to review, {refused} refused, {undecided} undecided"
            if paths_known
            else "data paths unknown",
            "bad" if refused else "open" if undecided or not paths_known else "calm",
        ),
        Tile(
            "findings",
            str(len(findings)),
            f"findings, {severe} critical or high",
            "bad" if severe else "open" if findings else "calm",
        ),
        Tile("cost", *_cost(preview.cost), "calm"),
        Tile(
            "capacity",
            *_gpus(preview.capacity),
            "bad" if any(r.over for r in capacity_rows(preview.capacity)) else "calm",
        ),
    ]


def _cost(costs: Costs) -> tuple[str, str]:
    before = costs.before.monthly_usd if costs.before else None
    after = costs.after.monthly_usd if costs.after else None
    if before is not None and after is not None:
        return money(after - before) if after != before else "±0", f"a month, {usd(after)} after the change"
    return ("?", "cost unknown") if after is None else (usd(after), "a month; cost before unknown")


def _gpus(capacities: Capacities) -> tuple[str, str]:
    if capacities.after is None:
        return "?", "GPU capacity unknown"
    counts = [pool.gpus for pool in capacities.after if pool.gpus is not None]
    total = f"{sum(counts):,}" if len(counts) == len(capacities.after) else "an unknown number of"
    used = sum(pool.used for pool in capacities.after)
    if capacities.before is None:
        return number(used), f"of {total} GPUs used; use before unknown"
    delta = used - sum(pool.used for pool in capacities.before)
    sign = "±0" if delta == 0 else f"{'+' if delta > 0 else '−'}{number(abs(delta))}"
    return sign, f"GPUs used, {number(used)} of {total} after the change"

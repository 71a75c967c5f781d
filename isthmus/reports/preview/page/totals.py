"""What is added up on a preview's page: changes by component, cost and GPUs before and after."""

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
from isthmus.reports.preview.data_paths import ways
from isthmus.reports.preview.wording import counting, dangerous


@dataclass(frozen=True)
class Group:
    """The changes of one component, the worst first."""

    component: str
    changes: list[Change]

    @property
    def counts(self) -> list[tuple[str, int]]:
        found = Counter(each.op for each in self.changes)
        return [(op, found[op]) for op in OPS if found[op]]

    @property
    def only_noise(self) -> bool:
        return all(
            each.op == "update" and each.properties and all(one.noise for one in each.properties)
            for each in self.changes
        )


def groups(preview: Preview) -> list[Group]:
    """By component, the one with the worst change first, what only follows from something else last."""
    found: dict[str, list[Change]] = {}
    for change in preview.changes:
        if change.op != "same":
            found.setdefault(change.component, []).append(change)
    made = [
        Group(name, sorted(changes, key=lambda each: (OPS.index(each.op), each.urn)))
        for name, changes in found.items()
    ]
    return sorted(
        made,
        key=lambda each: (each.only_noise, OPS.index(each.changes[0].op), not each.component, each.component),
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
    """Where the figure is from: the one after, else the one before."""

    @property
    def delta(self) -> float:
        return (self.after or 0) - (self.before or 0)


def cost_rows(costs: Costs) -> list[CostRow]:
    """Cost drivers of before and after, what differs most first."""
    before, after = _items(costs.before), _items(costs.after)
    rows = []
    for what in {**after, **before}:
        was, is_ = before.get(what), after.get(what)
        item = is_ or was
        assert item is not None
        rows.append(CostRow(what, was and was.monthly_usd, is_ and is_.monthly_usd, item))
    return sorted(rows, key=lambda each: (-abs(each.delta), -(each.after or 0), each.what))


def _items(cost: Cost | None) -> dict[str, CostItem]:
    """By what they are of; of a name that comes twice the sums."""
    found: dict[str, CostItem] = {}
    for item in cost.items if cost else []:
        was = found.get(item.what)
        total = item.monthly_usd + (was.monthly_usd if was else 0)
        found[item.what] = item.model_copy(update={"monthly_usd": total}) if was else item
    return found


@dataclass(frozen=True)
class CapacityRow:
    site: str
    pool: str
    before: PoolCapacity | None
    after: PoolCapacity | None

    @property
    def over(self) -> bool:
        """More is used or reserved than there is."""
        pool = self.after
        return pool is not None and pool.gpus is not None and max(pool.used, pool.reserved) > pool.gpus


def capacity_rows(capacities: Capacities) -> list[CapacityRow]:
    before = {(each.site, each.pool): each for each in capacities.before or []}
    after = {(each.site, each.pool): each for each in capacities.after or []}
    return [CapacityRow(*key, before.get(key), after.get(key)) for key in sorted({**before, **after})]


@dataclass(frozen=True)
class Tile:
    """A figure at the top, and the section that it is of."""

    section: str
    figure: str
    words: str
    state: str
    """`bad`, `open`, `calm`: told by its words too."""


def tiles(preview: Preview) -> list[Tile]:
    """What a reviewer wants to know first, each a link to its section."""
    hurts = dangerous(preview)
    lost = sum(each.stateful for each in hurts)
    found = [way for way in ways(preview.data_paths) if way.mark != "same"]
    refused, undecided = (sum(way.mark == mark for way in found) for mark in ("refused", "undecided"))
    counted = counting(preview.policy)
    severe = sum(each.severity in ("critical", "high") for each in counted)
    loose = sum(each.loosens for each in preview.rules)
    known = preview.data_paths.after is not None
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
            f"destroyed or replaced, {lost} with state",
            "bad" if lost else "open" if hurts else "calm",
        ),
        Tile(
            "paths",
            str(len(found)) if known else "?",
            f"data paths to look at, {refused} refused, {undecided} undecided"
            if known
            else "data paths not known",
            "bad" if refused else "open" if undecided or not known else "calm",
        ),
        Tile(
            "findings",
            str(len(counted)),
            f"findings, {severe} critical or high",
            "bad" if severe else "open" if counted else "calm",
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
        return money(after - before) if after != before else "±0", f"a month, {usd(after)} then"
    return ("?", "cost not known") if after is None else (usd(after), "a month; before is not known")


def _gpus(capacities: Capacities) -> tuple[str, str]:
    if capacities.after is None:
        return "?", "GPU capacity not known"
    known = [each.gpus for each in capacities.after if each.gpus is not None]
    there = f"{sum(known):,}" if len(known) == len(capacities.after) else "an unknown number of"
    used = sum(each.used for each in capacities.after)
    if capacities.before is None:
        return number(used), f"of {there} GPUs used; before is not known"
    delta = used - sum(each.used for each in capacities.before)
    sign = "±0" if delta == 0 else f"{'+' if delta > 0 else '−'}{number(abs(delta))}"
    return sign, f"GPUs used, {number(used)} of {there} then"

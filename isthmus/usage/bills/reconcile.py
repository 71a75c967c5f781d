"""Compares the usage of a month with the bill for it, and divides the cost among teams."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from isthmus.contracts.plan.document import Plan
from isthmus.contracts.reports.reconciliation import (
    CATEGORIES,
    AllocationKey,
    Amount,
    Category,
    CategorySum,
    Converted,
    Difference,
    FixedCost,
    PoolHours,
    ProfileSum,
    Reconciliation,
    State,
    TokenSum,
    Unmatched,
)
from isthmus.contracts.reports.usage import UsageDay
from isthmus.core.cents import CENT, rounded_parts, to_cents
from isthmus.usage import on_prem
from isthmus.usage.bills.allocation import Costs, allocate
from isthmus.usage.bills.lines import Bill
from isthmus.usage.bills.matching import EVALUATIONS, Cell, Matched, match
from isthmus.usage.bills.profiles import Owner, Profiles, profile_arn
from isthmus.usage.bills.token_kinds import KINDS, TokenKind
from isthmus.usage.prices import Use

TOLERANCE = Decimal("0.005")
_SHOWN = 20
"""Unmatched resources that a report lists."""
_HOURS = Decimal("0.01")
_SECONDS_OF_AN_HOUR = 3600


@dataclass(frozen=True)
class Rate:
    """An exchange rate: USD for one unit of a currency, on a day."""

    usd: Decimal
    as_of: date


@dataclass(frozen=True, kw_only=True)
class Options:
    """Choices of a reconciliation."""

    tolerance: Decimal = TOLERANCE
    key: AllocationKey = "tokens"
    """What shared cost is divided by."""
    rates: Mapping[str, Rate] = field(default_factory=dict)
    """Exchange rates by currency."""


def reconcile(
    bill: Bill,
    days: Sequence[UsageDay],
    plan: Plan,
    profiles: Profiles,
    owner: Owner,
    month: date,
    options: Options | None = None,
    evaluations: Sequence[UsageDay] = (),
) -> Reconciliation:
    """Compare the usage of a month with its bill.

    Args:
        bill: the lines of the month's billing period.
        days: sums of the ledger.
        plan: the stack's plan, with the cost basis of its GPUs.
        profiles: the stack's application inference profiles.
        owner: how the stack's resources are tagged in AWS.
        month: first day of the month.
        options: tolerance, key of allocation, exchange rates.
        evaluations: sums of the ledger for evaluations, which the bill has too.
    """
    options = options or Options()
    days = [*days, *(day.model_copy(update={"team": EVALUATIONS}) for day in evaluations)]
    days = [day for day in days if (day.day.year, day.day.month) == (month.year, month.month)]
    matched = match(bill.lines, days, profiles, owner, month)
    categories = _categories(matched)
    totals = _totals(categories)
    differences = _differences(matched, options.tolerance)
    pools = on_prem.pool_uses(plan, days, month)
    fixed = rounded_parts(on_prem.fixed_costs(plan))
    usd: dict[Category, Decimal] = {
        entry.category: entry.amount for entry in categories if entry.currency == "USD"
    }
    return Reconciliation(
        stack=owner.stack.rpartition("/")[2],
        month=f"{month:%Y-%m}",
        reconciled=bool(profiles.uses) and not differences,
        tolerance=options.tolerance,
        bill_format=bill.format,
        discounts=bill.discounts,
        bill_lines=sum(line.lines for line in bill.lines),
        totals=totals,
        categories=categories,
        converted=_converted(totals, options.rates),
        profiles=_profile_sums(matched, profiles, options.tolerance),
        differences=differences,
        unmatched=_unmatched(matched, profiles),
        pools=[_pool(use) for use in pools],
        fixed=[FixedCost(what=what, usd=amount) for what, amount in fixed.items()],
        allocation=allocate(Costs(usd, matched, pools, fixed), days, options.key),
        notes=[*_notes(matched, profiles, pools, categories), *_gpu_notes(plan, days)],
    )


def _categories(matched: Matched) -> list[CategorySum]:
    sums: list[CategorySum] = []
    for currency in sorted({currency for currency, _ in matched.amounts}, key=_dollars_first):
        exact: dict[Category, Decimal] = {
            category: matched.amounts[currency, category]
            for category in CATEGORIES
            if (currency, category) in matched.amounts
        }
        for category, amount in rounded_parts(exact).items():
            lines = matched.line_counts[currency, category]
            sums.append(CategorySum(category=category, currency=currency, amount=amount, lines=lines))
    return sums


def _totals(categories: Iterable[CategorySum]) -> list[Amount]:
    totals: dict[str, Decimal] = defaultdict(Decimal)
    for entry in categories:
        totals[entry.currency] += entry.amount
    return _amounts(totals)


def _amounts(by_currency: Mapping[str, Decimal]) -> list[Amount]:
    names = sorted(by_currency, key=_dollars_first)
    return [Amount(currency=name, amount=to_cents(by_currency[name])) for name in names]


def _dollars_first(currency: str) -> tuple[bool, str]:
    return currency != "USD", currency


def _converted(totals: Iterable[Amount], rates: Mapping[str, Rate]) -> list[Converted]:
    return [
        Converted(
            currency=total.currency,
            amount=total.amount,
            usd_for_one=rates[total.currency].usd,
            as_of=rates[total.currency].as_of,
            usd=to_cents(total.amount * rates[total.currency].usd),
        )
        for total in totals
        if total.currency in rates
    ]


def _state(bill: Decimal, ledger: Decimal, tolerance: Decimal) -> State:
    if abs(bill - ledger) <= tolerance * max(bill, ledger):
        return "matched"
    if not ledger:
        return "only in the bill"
    return "differs" if bill else "only in the ledger"


def _differences(matched: Matched, tolerance: Decimal) -> list[Difference]:
    differences = []
    for cell in sorted(matched.bill.keys() | matched.ledger.keys()):
        bill, ledger = matched.bill.get(cell, Decimal(0)), matched.ledger.get(cell, Decimal(0))
        state = _state(bill, ledger, tolerance)
        if state != "matched":
            differences.append(
                Difference(
                    day=cell.day,
                    endpoint=cell.use.endpoint,
                    workload=cell.use.workload,
                    kind=cell.kind,
                    bill=_whole(bill),
                    ledger=ledger,
                    state=state,
                )
            )
    return differences


def _whole(tokens: Decimal) -> Decimal:
    return tokens.to_integral_value()


def _profile_sums(matched: Matched, profiles: Profiles, tolerance: Decimal) -> list[ProfileSum]:
    cells: dict[Use, list[Cell]] = defaultdict(list)
    for cell in matched.bill.keys() | matched.ledger.keys():
        cells[cell.use].append(cell)
    sums = []
    for use in sorted(profiles.all_uses()):
        arns = sorted(arn for arn, of in profiles.uses.items() if of == use)
        if not arns and not cells[use]:
            continue
        differing = {
            cell.day
            for cell in cells[use]
            if _state(matched.bill.get(cell, Decimal(0)), matched.ledger.get(cell, Decimal(0)), tolerance)
            != "matched"
        }
        all_days = {cell.day for cell in cells[use]}
        costs: dict[str, Decimal] = defaultdict(Decimal)
        for (cell, currency), cost in matched.costs.items():
            if cell.use == use:
                costs[currency] += cost
        reductions = {name: amount for (of, name), amount in matched.reductions.items() if of == use}
        sums.append(
            ProfileSum(
                endpoint=use.endpoint,
                workload=use.workload,
                profiles=arns,
                known_by=[profiles.known_by[arn] for arn in arns],
                days=len(all_days),
                days_matched=len(all_days - differing),
                tokens=_token_sums(cells[use], matched),
                cost=_amounts(costs),
                reductions=_amounts(reductions),
            )
        )
    return sums


def _token_sums(cells: Iterable[Cell], matched: Matched) -> list[TokenSum]:
    cells = list(cells)

    def total(counts: Mapping[Cell, Decimal], kind: TokenKind) -> Decimal:
        return sum((counts.get(cell, Decimal(0)) for cell in cells if cell.kind == kind), Decimal(0))

    return [
        TokenSum(
            kind=kind,
            bill=_whole(total(matched.bill, kind)),
            ledger=total(matched.ledger, kind),
            evaluations=total(matched.evaluations, kind),
        )
        for kind in KINDS
    ]


def _unmatched(matched: Matched, profiles: Profiles) -> list[Unmatched]:
    largest = sorted(matched.unmatched.items(), key=lambda entry: (-abs(entry[1]), entry[0]))
    return [
        Unmatched(
            category=category,
            resource=resource,
            usage_type=usage_type,
            currency=currency,
            amount=to_cents(amount),
            reason=profiles.unclear.get(profile_arn(resource), ""),
        )
        for (resource, usage_type, category, currency), amount in largest[:_SHOWN]
        if to_cents(abs(amount)) >= CENT
    ]


def _pool(use: on_prem.PoolUse) -> PoolHours:
    used = to_cents(use.used_usd)
    total = to_cents(use.cost.usd)
    gpu_hours, used_hours = use.gpu_hours.quantize(_HOURS), use.used_hours.quantize(_HOURS)
    return PoolHours(
        site=use.pool.site,
        gpu=use.pool.gpu,
        gpus=use.cost.gpus,
        gpu_hours=gpu_hours,
        used_hours=used_hours,
        idle_hours=gpu_hours - used_hours,
        usd=total,
        used_usd=used,
        idle_usd=total - used,
        spare_gpus=use.cost.spare_gpus,
        spare_usd=to_cents(use.cost.spare_usd),
    )


def _notes(
    matched: Matched, profiles: Profiles, pools: Iterable[on_prem.PoolUse], categories: Iterable[CategorySum]
) -> list[str]:
    notes = [f"{arn}: {why}, so it is not compared." for arn, why in sorted(profiles.unclear.items())]
    if not profiles.uses:
        notes.append(
            "No profile of the stack is known. Give --profiles, or run where the stack's state can be read."
        )
    notes += [
        f"{use.pool.site}, {use.pool.gpu}: the ledger has more GPU-hours than the plan's {use.cost.gpus} GPUs have."
        for use in pools
        if use.used_hours > use.gpu_hours
    ]
    others = sorted({entry.currency for entry in categories} - {"USD"})
    if others:
        notes.append(
            f"Amounts in {', '.join(others)} are shown in their own currency and allocated to no team."
        )
    return notes


def _gpu_notes(plan: Plan, days: Iterable[UsageDay]) -> list[str]:
    """Names GPU time that belongs to no pool of the plan."""
    known = {endpoint.id for endpoint in plan.endpoints}
    hours: dict[str, float] = defaultdict(float)
    for day in days:
        if day.gpu_seconds and day.endpoint not in known:
            hours[day.endpoint or "no endpoint"] += day.gpu_seconds / _SECONDS_OF_AN_HOUR
    return [
        f"{amount:,.2f} GPU-hours are in no pool: the plan has no endpoint `{name}`."
        for name, amount in sorted(hours.items())
    ]

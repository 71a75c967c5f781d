"""Sorts the lines of a bill into categories, and compares their tokens with the ledger's by profile and day."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from isthmus.contracts.reports.reconciliation import Category
from isthmus.contracts.reports.usage import UsageDay
from isthmus.core.errors import InputError
from isthmus.usage.bills.lines import BillLine
from isthmus.usage.bills.profiles import Owner, Profiles, profile_arn
from isthmus.usage.bills.token_kinds import KINDS, TokenKind, token_count, token_kind
from isthmus.usage.prices import Use

EVALUATIONS = "evaluations of models"
"""Stands for the team in days of evaluations. No team has spaces in its name."""
_DAY_HOURS = 24
_REDUCTIONS: Mapping[str, Category] = {
    "discount": "discounts",
    "credit": "credits",
    "refund": "refunds",
    "adjustment": "adjustments",
    "tax": "tax",
    "fee": "fees",
    "other": "other charges",
}
_NAMED = ("discount", "credit", "refund", "adjustment")
"""Charges that can belong to one profile."""
_SHOWN: tuple[Category, ...] = (
    "late lines",
    "not comparable",
    "other resources of the stack",
    "Bedrock outside the stack",
    "others in the account",
)
"""Usage that is not compared."""


@dataclass(frozen=True, order=True)
class Cell:
    """What is compared: the tokens of one kind, of a workload at an endpoint, on a day."""

    use: Use
    day: date
    kind: TokenKind


@dataclass
class Matched:
    """The sorted bill. Every line is in exactly one category."""

    amounts: dict[tuple[str, Category], Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    """By currency and category."""
    line_counts: dict[tuple[str, Category], int] = field(default_factory=lambda: defaultdict(int))
    bill: dict[Cell, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    """Tokens of the bill."""
    ledger: dict[Cell, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    """Tokens of the ledger, with those of evaluations."""
    evaluations: dict[Cell, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    """The part of `ledger` that evaluations used."""
    costs: dict[tuple[Cell, str], Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    """Cost of the bill's tokens, by currency."""
    reductions: dict[tuple[Use, str], Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    """Discounts, credits and refunds that name a profile of the stack, by currency."""
    unmatched: dict[tuple[str, str, Category, str], Decimal] = field(
        default_factory=lambda: defaultdict(Decimal)
    )
    """Usage that is not compared, by resource, usage type, category and currency."""


def match(
    lines: Sequence[BillLine], days: Iterable[UsageDay], profiles: Profiles, owner: Owner, month: date
) -> Matched:
    """Sort the lines of a bill, and gather the tokens of both sides.

    Args:
        lines: lines of one billing period.
        days: sums of the ledger; other months are left out.
        profiles: the profiles of the stack.
        owner: how its resources are tagged.
        month: first day of the month.

    Raises `InputError` if tokens are billed by the month, which says nothing about days.
    """
    matched = Matched()
    used = _ledger(days, profiles.all_uses(), month, matched)
    resources = owner.resources(lines)
    for line in lines:
        use = profiles.uses.get(profile_arn(line.resource))
        if line.charge != "usage":
            category = _REDUCTIONS[line.charge]
            if use is not None and line.charge in _NAMED:
                matched.reductions[use, line.currency] += line.cost
        elif use is not None:
            category = _own_category(line, use, month, used, matched)
        else:
            category = _foreign_category(line, owner.owns(line) or line.resource in resources)
        if category in _SHOWN:
            matched.unmatched[line.resource, line.usage_type, category, line.currency] += line.cost
        matched.amounts[line.currency, category] += line.cost
        matched.line_counts[line.currency, category] += line.lines
    return matched


def _ledger(days: Iterable[UsageDay], uses: set[Use], month: date, matched: Matched) -> set[tuple[Use, date]]:
    used: set[tuple[Use, date]] = set()
    for day in days:
        use = Use(day.endpoint or "", day.workload)
        if use not in uses or (day.day.year, day.day.month) != (month.year, month.month):
            continue
        used.add((use, day.day))
        amounts = (day.prompt_tokens - day.cached_tokens, day.cached_tokens, day.completion_tokens)
        for kind, tokens in zip(KINDS, amounts, strict=True):
            matched.ledger[Cell(use, day.day, kind)] += tokens
            if day.team == EVALUATIONS:
                matched.evaluations[Cell(use, day.day, kind)] += tokens
    return used


def _foreign_category(line: BillLine, is_tagged: bool) -> Category:
    if is_tagged:
        return "not comparable" if profile_arn(line.resource) else "other resources of the stack"
    # A Marketplace model has a product code of its own. Its usage type counts tokens.
    counts_tokens = token_kind(line.usage_type) is not None
    is_bedrock = "bedrock" in line.product.lower() or ":bedrock:" in line.resource or counts_tokens
    return "Bedrock outside the stack" if is_bedrock else "others in the account"


def _own_category(
    line: BillLine, use: Use, month: date, used: set[tuple[Use, date]], matched: Matched
) -> Category:
    if line.corrects or (line.day.year, line.day.month) != (month.year, month.month):
        return "late lines"
    count = token_count(line)
    if count is None:
        return "not comparable"
    if line.hours > _DAY_HOURS:
        raise InputError(
            f"a line covers {line.hours} hours, so its tokens belong to no single day",
            where=f"{line.resource} {line.usage_type}",
            fix="Create the export with the time granularity daily or hourly",
        )
    cell = Cell(use, line.day, count.kind)
    matched.bill[cell] += count.tokens
    matched.costs[cell, line.currency] += line.cost
    return "matched usage" if (use, line.day) in used else "usage that the ledger lacks"

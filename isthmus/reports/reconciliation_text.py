"""Writes a reconciliation of usage and bill as text and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

from isthmus.reports.format.escaping import visible

if TYPE_CHECKING:
    from isthmus.contracts.reports.reconciliation import Amount, ProfileSum, Reconciliation

_SHOWN = 15
"""Differences that the text lists."""


def money(amount: Decimal) -> str:
    """Format an amount to the cent: `28,932.79`."""
    return f"{amount:,.2f}"


def amounts(parts: Iterable[Amount]) -> str:
    """Format amounts of several currencies: `USD 12.30, EUR 4.00`."""
    return ", ".join(f"{part.currency} {money(part.amount)}" for part in parts) or "–"


def token_difference(bill: Decimal, ledger: Decimal) -> str:
    """The difference of the bill to the ledger, in per cent of the larger one."""
    largest = max(bill, ledger)
    return f"{(bill - ledger) / largest * 100:+.2f} %" if largest else "–"


def verdict(report: Reconciliation) -> str:
    """The result in a sentence."""
    tolerance = f"{report.tolerance * 100:f}".rstrip("0").rstrip(".")
    if not any(profile.profiles for profile in report.profiles):
        return "Nothing was compared: no profile of the stack is known."
    if report.reconciled:
        return f"Reconciled: all tokens of every profile and day agree within {tolerance} %."
    days = len({(entry.endpoint, entry.workload, entry.day) for entry in report.differences})
    return f"Not reconciled: tokens of {days} profile-day{'s' if days != 1 else ''} differ by more than {tolerance} %."


def reconciliation_lines(report: Reconciliation) -> list[str]:
    """The report as lines of text."""
    lines = [
        f"Usage and bill of {report.stack}, {report.month}",
        verdict(report),
        f"Bill: {report.bill_format}, {report.bill_lines:,} lines, {amounts(report.totals)}.",
        f"Discounts of the bill: {_DISCOUNTS[report.discounts]}.",
        "",
        *_categories(report),
        *_profiles(report),
        *_differences(report),
        *_unmatched(report),
        *_on_prem(report),
        *_allocation(report),
    ]
    if report.notes:
        lines += ["Notes", *(f"  {note}" for note in report.notes), ""]
    return [visible(line) for line in lines[: -1 if lines[-1] == "" else None]]


_DISCOUNTS = {
    "lines": "lines of their own",
    "net cost": "the difference of net and gross cost",
    "in the cost": "part of each cost",
}


def _categories(report: Reconciliation) -> Iterator[str]:
    yield f"{'What the bill charges for':<34}{'lines':>9}{'amount':>18}"
    for entry in report.categories:
        yield f"  {entry.category:<32}{entry.lines:>9,}{entry.currency:>5} {money(entry.amount):>12}"
    for total in report.totals:
        yield f"  {'total':<41}{total.currency:>5} {money(total.amount):>12}"
    for entry in report.converted:
        yield (
            f"  {entry.currency} {money(entry.amount)} are USD {money(entry.usd)} at {entry.usd_for_one} USD "
            f"({entry.as_of}); in no sum"
        )
    yield ""


def _profiles(report: Reconciliation) -> Iterator[str]:
    for profile in report.profiles:
        yield f"{profile.workload} at {profile.endpoint}: {profile.days_matched} of {profile.days} days agree"
        yield f"  known by {known_by(profile)}; cost {amounts(profile.cost)}; reductions {amounts(profile.reductions)}"
        for tokens in profile.tokens:
            difference = token_difference(tokens.bill, tokens.ledger)
            part = f", {tokens.evaluations:,} of evaluations" if tokens.evaluations else ""
            yield (
                f"  {tokens.kind:<8}{tokens.bill:>18,} billed{tokens.ledger:>18,} in the ledger{difference:>11}{part}"
            )
        yield ""


def known_by(profile: ProfileSum) -> str:
    """How the profiles of a workload are known, e.g. `state` or `file, tags`."""
    return ", ".join(sorted(set(profile.known_by))) or "nothing: the bill has no profile"


def _differences(report: Reconciliation) -> Iterator[str]:
    if not report.differences:
        return
    yield "Tokens that differ"
    for entry in report.differences[:_SHOWN]:
        yield (
            f"  {entry.day} {entry.workload} at {entry.endpoint}, {entry.kind}: {entry.bill:,} billed, "
            f"{entry.ledger:,} in the ledger ({entry.state})"
        )
    if len(report.differences) > _SHOWN:
        yield f"  and {len(report.differences) - _SHOWN:,} more (--format json has all)"
    yield ""


def _unmatched(report: Reconciliation) -> Iterator[str]:
    if not report.unmatched:
        return
    yield "Usage that is not compared, the largest amounts"
    for entry in report.unmatched:
        yield f"  {entry.currency} {money(entry.amount):>12}  {entry.category}: {entry.usage_type} {entry.resource}"
        if entry.reason:
            yield f"  {'':16}  {entry.reason}"
    yield ""


def _on_prem(report: Reconciliation) -> Iterator[str]:
    if not report.pools and not report.fixed:
        return
    yield "On-prem, at the cost basis of the plan (USD)"
    for pool in report.pools:
        if pool.gpus:
            yield (
                f"  {pool.site}, {pool.gpu}: {pool.used_hours:,} of {pool.gpu_hours:,} GPU-hours used, "
                f"{money(pool.used_usd)}; idle {pool.idle_hours:,}, {money(pool.idle_usd)}"
            )
        if pool.spare_gpus:
            yield f"  {pool.site}, {pool.gpu}: {pool.spare_gpus} GPUs without an endpoint, {money(pool.spare_usd)}"
    for entry in report.fixed:
        yield f"  {entry.what}: {money(entry.usd)}"
    yield ""


def _allocation(report: Reconciliation) -> Iterator[str]:
    allocation = report.allocation
    if allocation is None:
        return
    yield f"Cost by team (USD; shared cost {money(allocation.shared_usd)} by {KEYS[allocation.key]})"
    yield f"  {'':<30}{'tokens':>12}{'GPU-hours':>12}{'shared':>12}{'total':>13}"
    for team in allocation.teams:
        parts = (team.tokens_usd, team.gpu_usd, team.shared_usd)
        yield (
            f"  {team.team:<30}" + "".join(f"{money(part):>12}" for part in parts) + f"{money(team.usd):>13}"
        )
    if allocation.evaluations_usd:
        yield f"  {'evaluations of models':<66}{money(allocation.evaluations_usd):>13}"
    yield f"  {'no team can be found':<66}{money(allocation.not_allocated_usd):>13}"
    yield f"  {'the account, not the stack':<66}{money(allocation.account_usd):>13}"
    yield f"  {'total of bill (USD) and on-prem':<66}{money(allocation.usd):>13}"
    yield ""


NO_TEAM = "(no team)"
"""Callers whose key or token names no team."""
KEYS = {"tokens": "tokens", "gpu-seconds": "GPU-seconds", "evenly": "equal parts"}


def reconciliation_csv(report: Reconciliation) -> str:
    """The report as one table of quantities and amounts, each with its unit or currency."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["part", "name", "detail", "day", "quantity", "unit", "amount", "currency"])
    for row in _rows(report):
        writer.writerow([_safe(cell) for cell in row])
    return text.getvalue()


def _rows(report: Reconciliation) -> Iterator[tuple[object, ...]]:
    for entry in report.categories:
        yield "category", entry.category, "", "", entry.lines, "lines", entry.amount, entry.currency
    for total in report.totals:
        yield "total", "bill", "", "", "", "", total.amount, total.currency
    for profile in report.profiles:
        name = f"{profile.workload} at {profile.endpoint}"
        for tokens in profile.tokens:
            yield "tokens billed", name, tokens.kind, "", tokens.bill, "tokens", "", ""
            yield "tokens in the ledger", name, tokens.kind, "", tokens.ledger, "tokens", "", ""
            if tokens.evaluations:
                yield "tokens of evaluations", name, tokens.kind, "", tokens.evaluations, "tokens", "", ""
        for part, costs in (("cost of tokens", profile.cost), ("reductions", profile.reductions)):
            for cost in costs:
                yield part, name, "", "", "", "", cost.amount, cost.currency
    for entry in report.differences:
        name = f"{entry.workload} at {entry.endpoint}"
        yield (
            "difference",
            name,
            f"{entry.kind}, {entry.state}",
            entry.day,
            entry.bill - entry.ledger,
            "tokens",
            "",
            "",
        )
    for pool in report.pools:
        name = f"{pool.site}, {pool.gpu}"
        yield "GPU-hours used", name, "", "", pool.used_hours, "hours", pool.used_usd, "USD"
        yield "GPU-hours idle", name, "", "", pool.idle_hours, "hours", pool.idle_usd, "USD"
        yield "GPUs without an endpoint", name, "", "", pool.spare_gpus, "GPUs", pool.spare_usd, "USD"
    for entry in report.fixed:
        yield "fixed cost", entry.what, "", "", "", "", entry.usd, "USD"
    if report.allocation is not None:
        for team in report.allocation.teams:
            for detail, amount in (
                ("tokens", team.tokens_usd),
                ("GPU-hours", team.gpu_usd),
                ("shared", team.shared_usd),
            ):
                yield "team", team.team or NO_TEAM, detail, "", "", "", amount, "USD"
        yield "evaluations", "", "", "", "", "", report.allocation.evaluations_usd, "USD"
        yield "no team", "", "", "", "", "", report.allocation.not_allocated_usd, "USD"
        yield "account", "", "", "", "", "", report.allocation.account_usd, "USD"


def _safe(cell: object) -> object:
    """A text that a spreadsheet would take for a formula gets an apostrophe; numbers stay."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell

"""The simulated month against its bill: tokens, categories, totals and time."""

from __future__ import annotations

import time
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from isthmus.contracts.reports.reconciliation import Reconciliation
from isthmus.core.cents import to_cents
from isthmus.usage.bills.profiles import Owner, find_profiles
from isthmus.usage.bills.reading import read_bill
from isthmus.usage.bills.reconcile import Options, Rate, reconcile
from isthmus.usage.prices import Use
from tests.blueprints import bank
from tests.usage.bills.simulated_month import PLATFORM, PROFILES, Month

NOVEMBER = date(2026, 11, 1)
OWNER = Owner(PLATFORM, "isthmus/bank-dev")
_, PLAN = bank.requirements_and_plan()
STATED = {PROFILES[2].arn: Use(PROFILES[2].endpoint, PROFILES[2].workload)}
"""The plan no longer has the third profile's workload, so a file names it."""


def compare(file: Path, month: Month, options: Options | None = None) -> Reconciliation:
    bill = read_bill([file], NOVEMBER)
    profiles = find_profiles(PLAN, bill.lines, OWNER, stated=STATED)
    return reconcile(bill, month.days, PLAN, profiles, OWNER, NOVEMBER, options)


def amounts(report: Reconciliation, currency: str = "USD") -> dict[str, Decimal]:
    return {entry.category: entry.amount for entry in report.categories if entry.currency == currency}


@pytest.mark.parametrize("form", ["cur.parquet", "cur.csv.gz", "focus.parquet", "focus.csv.gz"])
def test_tokens_match_for_every_profile_and_day_and_the_bill_adds_up(
    form: str, bills: dict[str, Path], month: Month
):
    started = time.process_time()
    report = compare(bills[form], month)
    seconds = time.process_time() - started
    assert report.reconciled
    assert report.differences == []
    assert [(profile.days_matched, profile.days) for profile in report.profiles] == [(30, 30)] * 3
    assert {total.currency: total.amount for total in report.totals} == {
        "USD": to_cents(month.total_usd),
        "EUR": month.euros,
    }
    assert sum(amounts(report).values()) == to_cents(month.total_usd)
    assert seconds < 2, f"{seconds:.1f} s of processor time"


def test_every_token_that_aws_counted_is_found(bills: dict[str, Path], month: Month):
    report = compare(bills["cur.parquet"], month)
    for profile in report.profiles:
        for tokens in profile.tokens:
            counted = sum(
                amount
                for (endpoint, _, kind), amount in month.tokens.items()
                if (endpoint, kind) == (profile.endpoint, tokens.kind)
            )
            assert tokens.bill == counted


def test_the_categories_are_what_the_generator_made(bills: dict[str, Path], month: Month):
    found = amounts(compare(bills["cur.parquet"], month))
    sorts = {
        "matched usage": "profiles",
        "late lines": "late",
        "not comparable": "not understood",
        "other resources of the stack": "stack",
        "Bedrock outside the stack": "bedrock of others",
        "others in the account": "foreign",
        "discounts": "discount",
        "credits": "credit",
        "refunds": "refund",
        "tax": "tax",
        "fees": "fee",
    }
    assert set(found) == set(sorts)
    for category, sort in sorts.items():
        assert abs(found[category] - month.truth[sort]) <= Decimal("0.01"), category


def test_tags_that_are_active_since_the_middle_of_the_month_name_the_profile_for_all_of_it(
    bills: dict[str, Path], month: Month
):
    report = compare(bills["cur.parquet"], month)
    assert {profile.endpoint: profile.known_by for profile in report.profiles} == {
        "internal-claude-haiku-4-5": ["tags"],
        "public-nova-lite": ["tags"],
        "internal-gpt-oss-120b-1-0": ["file"],
    }


def test_another_currency_is_converted_only_at_a_stated_rate_and_is_in_no_sum(
    bills: dict[str, Path], month: Month
):
    assert compare(bills["cur.parquet"], month).converted == []
    rates = {"EUR": Rate(Decimal("1.08"), date(2026, 11, 30))}
    report = compare(bills["cur.parquet"], month, Options(rates=rates))
    [converted] = report.converted
    assert (converted.currency, converted.amount, converted.usd) == (
        "EUR",
        Decimal("88.80"),
        Decimal("95.90"),
    )
    assert amounts(report, "EUR") == {"others in the account": Decimal("88.80")}


def test_tokens_beyond_the_tolerance_are_named_with_profile_day_and_kind(
    bills: dict[str, Path], month: Month
):
    days = [
        day.model_copy(update={"prompt_tokens": int(day.prompt_tokens * 1.01)})
        if (day.workload, day.day.day) == ("campaign-copy", 12)
        else day
        for day in month.days
    ]
    report = compare(bills["cur.parquet"], Month(days, month.lines))
    assert not report.reconciled
    [difference] = report.differences
    assert (difference.day, difference.workload, difference.kind) == (
        date(2026, 11, 12),
        "campaign-copy",
        "input",
    )
    assert difference.state == "differs"


def test_a_day_that_one_side_lacks_is_a_difference(bills: dict[str, Path], month: Month):
    days = [day for day in month.days if (day.workload, day.day.day) != ("policy-assistant", 5)]
    report = compare(bills["cur.parquet"], Month(days, month.lines))
    assert {(entry.day.day, entry.state) for entry in report.differences} == {(5, "only in the bill")}
    assert amounts(report)["usage that the ledger lacks"] > 0


@pytest.mark.parametrize("key", ["tokens", "gpu-seconds", "evenly"])
def test_teams_and_the_rest_add_up_to_bill_and_on_prem(key: str, bills: dict[str, Path], month: Month):
    report = compare(bills["cur.parquet"], month, Options(key=key))  # type: ignore[arg-type]
    allocation = report.allocation
    assert allocation is not None
    on_prem = sum(pool.usd + pool.spare_usd for pool in report.pools) + sum(
        entry.usd for entry in report.fixed
    )
    assert allocation.usd == to_cents(month.total_usd) + on_prem
    teams = sum(team.usd for team in allocation.teams)
    assert teams + allocation.not_allocated_usd + allocation.account_usd == allocation.usd
    assert sum(team.shared_usd for team in allocation.teams) == allocation.shared_usd
    assert sum(team.gpu_usd for team in allocation.teams) == sum(pool.used_usd for pool in report.pools)
    found = amounts(report)
    assert allocation.not_allocated_usd == found["late lines"] + found["not comparable"]


def test_used_and_idle_gpu_hours_are_apart_and_add_up(bills: dict[str, Path], month: Month):
    report = compare(bills["cur.parquet"], month)
    [pool] = [pool for pool in report.pools if pool.gpus]
    used = sum(day.gpu_seconds for day in month.days) / 3600
    assert abs(float(pool.used_hours) - used) < 0.01
    assert pool.gpu_hours == 10 * 30 * 24
    assert pool.used_hours + pool.idle_hours == pool.gpu_hours
    assert pool.used_usd + pool.idle_usd == pool.usd
    assert pool.used_usd == to_cents(pool.usd * Decimal(str(used)) / 7200)
    assert pool.spare_gpus == 6


def test_gpu_time_at_an_endpoint_that_the_plan_lacks_is_named(bills: dict[str, Path], month: Month):
    moved = [
        day.model_copy(update={"endpoint": "router"}) if day.endpoint == "restricted-qwen3-32b" else day
        for day in month.days
    ]
    report = compare(bills["cur.parquet"], Month(moved, month.lines))
    assert "554.15 GPU-hours are in no pool: the plan has no endpoint `router`." in report.notes

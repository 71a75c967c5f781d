"""The export as FOCUS 1.2: rules of the specification, sums, people, Parquet."""

from __future__ import annotations

import csv
import io
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from isthmus.contracts.reports.usage import UsageDay
from isthmus.usage.bills.reading import read_bill
from isthmus.usage.focus import COLUMNS, Charged, charges, csv_text, write_parquet
from tests.blueprints import bank
from tests.usage.bills.simulated_month import Month, make_month
from tests.usage.focus_rules import RULES, violations

_, PLAN = bank.requirements_and_plan()
CHARGED = Charged("bank", "bank-dev")


@pytest.fixture(scope="module")
def month() -> Month:
    return make_month()


def rows_of(days: list[UsageDay]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(csv_text(charges(days, PLAN, CHARGED)))))


def day(**fields: Any) -> UsageDay:
    given: dict[str, Any] = {
        "day": date(2026, 11, 5), "sensitivity": "public", "site": "frankfurt", "team": "marketing",
        "workload": "campaign-copy", "model": "copy-model", "endpoint": "public-nova-lite", "requests": 10, "failed": 0,
        "unfinished": 0, "prompt_tokens": 1_000_000, "cached_tokens": 0, "completion_tokens": 2_000_000,
        "gpu_seconds": 0.0, "cost_usd": Decimal("0.702"), "unpriced": 0,
    }  # fmt: skip
    return UsageDay(**{**given, **fields})


def test_every_row_keeps_the_rules_of_the_specification(month: Month):
    rows = rows_of(month.days)
    assert len(rows) > 400
    assert {problem for row in rows for problem in violations(row)} == set()
    assert set(RULES) <= set(rows[0])


def test_the_check_of_the_rules_finds_what_is_wrong():
    [row, *_] = rows_of([day()])
    wrong = {
        "BilledCost": "USD 3",
        "ChargeCategory": "Use",
        "ServiceName": "",
        "Tags": '{"a": {}}',
        "ListCost": "9",
    }
    assert len(violations({**row, **wrong})) == len(wrong)
    assert violations({**row, "team": "x"}) == ["team is not of FOCUS and does not begin with x_"]


def test_the_costs_are_those_of_the_ledger(month: Month):
    rows = rows_of(month.days)
    exported, ledger = (
        sum(Decimal(row["BilledCost"]) for row in rows),
        sum(day.cost_usd for day in month.days),
    )
    assert abs(exported - ledger) < Decimal("0.001")
    assert sum(Decimal(row["x_Requests"]) for row in rows) == sum(day.requests for day in month.days)


def test_prompts_and_answers_have_rows_of_their_own_at_the_prices_of_the_plan():
    first, second = rows_of([day()])
    assert (first["SkuMeter"], first["ListUnitPrice"], first["PricingQuantity"]) == (
        "Input tokens",
        "0.078",
        "1",
    )
    assert (second["SkuMeter"], second["ListUnitPrice"], second["PricingQuantity"]) == (
        "Output tokens",
        "0.312",
        "2",
    )


def test_cached_tokens_have_a_row_at_their_price():
    rows = rows_of([day(cached_tokens=400_000, cost_usd=Decimal("0.6786"))])
    assert [(row["SkuMeter"], row["PricingQuantity"], row["ListUnitPrice"]) for row in rows] == [
        ("Input tokens", "0.6", "0.078"),
        ("Cached input tokens", "0.4", "0.0195"),
        ("Output tokens", "2", "0.312"),
    ]
    full_price = rows_of([day(cached_tokens=400_000, full_price_cached_tokens=400_000)])
    assert [row["SkuMeter"] for row in full_price] == ["Input tokens", "Output tokens"]


def test_a_cost_that_the_plan_does_not_explain_has_one_row_at_the_mean_price():
    [row] = rows_of([day(cost_usd=Decimal("0.9"))])
    assert (row["SkuMeter"], row["PricingQuantity"], row["BilledCost"]) == ("Tokens", "3", "0.900000000")


def test_gpu_time_is_charged_by_the_hour():
    [row] = rows_of([day(endpoint="restricted-qwen3-32b", gpu_seconds=7200.0, cost_usd=Decimal("2.74"))])
    assert (row["ConsumedQuantity"], row["ConsumedUnit"], row["ListUnitPrice"]) == (
        "2.000000",
        "GPU Hours",
        "1.370000000",
    )


def test_people_are_left_out_and_their_sums_are_together():
    people = [day(person="a1"), day(person="b2"), day()]
    rows = rows_of(people)
    assert len(rows) == 2
    assert sum(Decimal(row["BilledCost"]) for row in rows) == Decimal("0.702") * 3
    assert "a1" not in csv_text(charges(people, PLAN, CHARGED))


def test_a_sum_without_usage_has_no_row_and_unpriced_requests_are_counted():
    assert rows_of([day(endpoint=None, prompt_tokens=0, completion_tokens=0, cost_usd=Decimal(0))]) == []
    [row] = rows_of([day(cost_usd=Decimal(0), unpriced=10)])
    assert (row["BilledCost"], row["x_UnpricedRequests"]) == ("0.000000000", "10")


def test_usage_without_a_team_belongs_to_no_sub_account():
    rows = rows_of([day(team="")])
    assert {(row["SubAccountId"], row["SubAccountName"], row["SubAccountType"]) for row in rows} == {
        ("", "", "")
    }
    assert [violations(row) for row in rows] == [[], []]


def test_our_own_export_is_a_bill_with_the_same_total(month: Month, tmp_path: Path):
    rows = charges(month.days, PLAN, CHARGED)
    (tmp_path / "usage.csv").write_text(csv_text(rows))
    bill = read_bill([tmp_path / "usage.csv"])
    assert (bill.format, sum(entry.lines for entry in bill.lines)) == ("FOCUS", len(rows))
    total = sum((row["BilledCost"] for row in rows), Decimal(0))
    assert abs(sum((entry.cost for entry in bill.lines), Decimal(0)) - total) < Decimal("0.000001")


def test_parquet_has_the_same_rows_with_types(month: Month, tmp_path: Path):
    import pyarrow.parquet as pq

    rows = charges(month.days, PLAN, CHARGED)
    write_parquet(rows, tmp_path / "focus.parquet")
    table = pq.read_table(tmp_path / "focus.parquet")
    assert table.column_names == list(COLUMNS)
    assert table["BilledCost"].to_pylist() == [row["BilledCost"] for row in rows]
    assert table["ChargePeriodStart"][0].as_py() == datetime(2026, 11, 1)
    assert table["CommitmentDiscountId"].null_count == len(rows)

"""A small bill written by hand from AWS's documentation, without sight of the matcher, and what each line must become.

Sources, read on 2026-12-01: AWS Data Exports User Guide, "Line item columns" (types of lines: discounts, credits,
refunds, taxes, fees, savings plans, which do not apply to Bedrock) and "Tags Column"; Amazon Bedrock User Guide,
"Understanding your Amazon Bedrock Cost and Usage Report data" (kinds of tokens, service tiers, cross-region).
"""

from __future__ import annotations

import csv
import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from isthmus.contracts.reports.reconciliation import Reconciliation
from isthmus.contracts.reports.usage import UsageDay
from isthmus.usage.bills.profiles import Owner, find_profiles
from isthmus.usage.bills.reading import read_bill
from isthmus.usage.bills.reconcile import reconcile
from tests.blueprints import bank

NOVEMBER, DAY = date(2026, 11, 1), date(2026, 11, 12)
ACCOUNT = "210987654321"
ARN = f"arn:aws:bedrock:eu-central-1:{ACCOUNT}:application-inference-profile/k3x9haikuasst"
HAIKU = "internal-claude-haiku-4-5"
TAGS = {
    "resourceTags/isthmus-platform": "bank",
    "resourceTags/isthmus.dev/workload": "policy-assistant",
    "resourceTags/isthmus.dev/class": "internal",
    "accountTag/team": "shared",
    "iamPrincipal/isthmus-platform": "another",
}
EUC1 = "EUC1-Claude4.5Haiku"


def line(type_: str, usage_type: str, amount: str, cost: str, **more: Any) -> dict[str, Any]:
    fields = {
        "bill_billing_period_start_date": "2026-11-01T00:00:00.000Z",
        "line_item_usage_start_date": "2026-11-12T00:00:00.000Z",
        "line_item_usage_end_date": "2026-11-13T00:00:00.000Z",
        "line_item_line_item_type": type_,
        "line_item_usage_account_id": ACCOUNT,
        "line_item_product_code": "AmazonBedrock",
        "line_item_usage_type": usage_type,
        "line_item_usage_amount": amount,
        "line_item_unblended_cost": cost,
        "line_item_net_unblended_cost": "",
        "line_item_currency_code": "USD",
        "line_item_resource_id": "",
        "line_item_line_item_description": "",
        "pricing_unit": "1K tokens",
        "tags": "{}",
    }
    return {**fields, **more}


PROFILE = {"line_item_resource_id": ARN, "tags": json.dumps(TAGS)}
UNTAGGED = {"line_item_resource_id": ARN}
FIRST_OF_MONTH = {
    "line_item_usage_start_date": "2026-11-01T00:00:00.000Z",
    "line_item_usage_end_date": "2026-12-01T00:00:00.000Z",
}
WHOLE_ACCOUNT: dict[str, Any] = {"line_item_product_code": "", "pricing_unit": "", **FIRST_OF_MONTH}

LINES = {
    "matched usage": [
        line("Usage", f"{EUC1}-input-tokens", "2000", "2.2000000000", **PROFILE),
        line("Usage", f"{EUC1}-input-tokens-cross-region-global", "500", "0.5000000000", **PROFILE),
        line("Usage", f"{EUC1}-cache-write-input-token-count", "100", "0.1375000000", **UNTAGGED),
        line("Usage", f"{EUC1}-cache-read-input-token-count", "900", "0.0990000000", **UNTAGGED),
        line("Usage", f"{EUC1}-output-tokens-batch", "40", "0.1100000000", **PROFILE),
        line("Usage", f"{EUC1}-output-tokens", "260", "1.4300000000", **PROFILE),
    ],
    "discounts": [
        # Lines of discounts repeat the usage type, the resource and the amount of the usage that they reduce.
        line("EdpDiscount", f"{EUC1}-input-tokens", "2000", "-0.1980000000", **PROFILE),
        line("PrivateRateDiscount", f"{EUC1}-output-tokens", "260", "-0.1430000000", **PROFILE),
        line("BundledDiscount", "EUC1-DataTransfer-Out-Bytes", "1", "-0.0100000000", pricing_unit="GB"),
        line("SppDiscount", "EUC1-VpcEndpoint-Hours", "24", "-0.0200000000", pricing_unit="Hrs"),
    ],
    "credits": [
        line("Credit", f"{EUC1}-output-tokens", "0", "-0.5000000000", **PROFILE),
        line("Credit", "", "0", "-1.0000000000", **WHOLE_ACCOUNT),
    ],
    "refunds": [line("Refund", f"{EUC1}-input-tokens", "100", "-0.1100000000", **PROFILE)],
    "tax": [
        line("Tax", "", "1", "0.7300000000", **FIRST_OF_MONTH),
        line("Tax", "", "1", "0.0400000000", line_item_product_code="awskms", **FIRST_OF_MONTH),
    ],
    "fees": [
        line("Fee", "Premium Support", "1", "29.0000000000", **WHOLE_ACCOUNT),
        line("SavingsPlanRecurringFee", "ComputeSP:1yrNoUpfront", "720", "7.2000000000", **WHOLE_ACCOUNT),
        line("RIFee", "EUC1-HeavyUsage:db.t4g.small", "720", "3.0000000000", **WHOLE_ACCOUNT),
    ],
    "Bedrock outside the stack": [
        line("Usage", "EUC1-NovaLite-input-tokens", "70", "0.0054600000", line_item_resource_id="x"),
        line("Usage", "EUC1-Guardrail-ContentPolicyUnitsConsumed", "10", "1.5000000000", pricing_unit="1K TextUnits"),
    ],
    "others in the account": [
        line("Usage", "EUC1-BoxUsage:t3.small", "24", "0.5760000000",
             line_item_product_code="AmazonEC2", pricing_unit="Hrs"),
        line("SavingsPlanCoveredUsage", "EUC1-BoxUsage:m7i.large", "24", "2.8000000000",
             line_item_product_code="AmazonEC2", pricing_unit="Hrs"),
    ],
}  # fmt: skip
LINES["discounts"].append(
    line("SavingsPlanNegation", "EUC1-BoxUsage:m7i.large", "24", "-2.8000000000",
         line_item_product_code="AmazonEC2", pricing_unit="Hrs")
)  # fmt: skip


def used() -> UsageDay:
    """The ledger's day: 3.5 million tokens of prompts, 0.9 of them cached, and 0.3 of answers."""
    return UsageDay(
        day=DAY, sensitivity="internal", site="fra1", team="hr", workload="policy-assistant",
        model="policy-assistant", endpoint=HAIKU, requests=1000, failed=0, unfinished=0,
        prompt_tokens=3_500_000, cached_tokens=900_000, completion_tokens=300_000, gpu_seconds=0,
        cost_usd=Decimal("5.50"), unpriced=0,
    )  # fmt: skip


@pytest.fixture
def report(tmp_path: Path) -> Reconciliation:
    file = tmp_path / "bill.csv"
    rows = [row for lines in LINES.values() for row in lines]
    with file.open("w", newline="") as text:
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    bill = read_bill([file], NOVEMBER)
    _, plan = bank.requirements_and_plan()
    owner = Owner("bank", "isthmus/bank-dev")
    profiles = find_profiles(plan, bill.lines, owner, stated={})
    return reconcile(bill, [used()], plan, profiles, owner, NOVEMBER)


def test_the_tokens_of_all_tiers_kinds_and_routes_match_the_ledger(report: Reconciliation):
    (profile,) = report.profiles
    assert (profile.endpoint, profile.workload, profile.known_by) == (HAIKU, "policy-assistant", ["tags"])
    tokens = {entry.kind: (entry.bill, entry.ledger) for entry in profile.tokens}
    assert tokens == {
        "input": (Decimal(2_600_000), Decimal(2_600_000)),
        "cached": (Decimal(900_000), Decimal(900_000)),
        "output": (Decimal(300_000), Decimal(300_000)),
    }, "amounts in lines of discounts, credits and refunds are not tokens"
    assert report.differences == []
    assert report.reconciled


def test_each_line_is_in_the_category_that_aws_documents(report: Reconciliation):
    found = {entry.category: (entry.amount, entry.lines) for entry in report.categories}
    expected = {
        category: (sum(Decimal(row["line_item_unblended_cost"]) for row in rows), len(rows))
        for category, rows in LINES.items()
    }
    assert found.keys() == expected.keys()
    for category, (amount, lines) in expected.items():
        assert found[category][1] == lines, category
        assert abs(found[category][0] - amount) <= Decimal("0.01"), category


def test_the_bill_adds_up_to_the_cent(report: Reconciliation):
    costs = [Decimal(row["line_item_unblended_cost"]) for rows in LINES.values() for row in rows]
    exact = sum(costs, Decimal(0))
    (total,) = report.totals
    assert total.amount == exact.quantize(Decimal("0.01"))
    assert sum(entry.amount for entry in report.categories) == total.amount


def test_reductions_that_name_the_profile_are_shown_with_it(report: Reconciliation):
    (profile,) = report.profiles
    (reduction,) = profile.reductions
    assert reduction.amount == Decimal("-0.95"), (
        "agreement -0.198, private rate -0.143, credit -0.5, refund -0.11"
    )

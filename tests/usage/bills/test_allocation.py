"""Dividing a month's cost among teams, in figures that can be checked by hand."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from isthmus.contracts.reports.reconciliation import Allocation, AllocationKey
from isthmus.contracts.reports.usage import UsageDay
from isthmus.reports.reconciliation_page import page
from isthmus.reports.reconciliation_text import reconciliation_lines
from isthmus.usage.bills.lines import Bill, BillLine
from isthmus.usage.bills.profiles import Owner, Profiles
from isthmus.usage.bills.reconcile import Options, reconcile
from tests.blueprints import bank
from tests.usage.bills.test_matching import ARN, USE, line

_, BANK = bank.requirements_and_plan()
PLAN = BANK.model_copy(update={"cost_items": []})
"""Without on-prem cost."""


def used(team: str, **fields: Any) -> UsageDay:
    given: dict[str, Any] = {
        "day": date(2026, 11, 5), "sensitivity": "public", "site": "frankfurt", "team": team, "workload": USE.workload,
        "model": "copy-model", "endpoint": USE.endpoint, "requests": 1, "failed": 0, "unfinished": 0,
        "prompt_tokens": 0, "cached_tokens": 0, "completion_tokens": 0, "gpu_seconds": 0.0, "cost_usd": Decimal(0),
        "unpriced": 0,
    }  # fmt: skip
    return UsageDay(**{**given, **fields})


TEAMS = [
    used("a", prompt_tokens=3_000, gpu_seconds=10.0),
    used("b", prompt_tokens=1_000, completion_tokens=4_000),
]


def allocate(lines: list[BillLine], key: AllocationKey = "tokens") -> Allocation:
    owner, profiles = Owner("bank", "isthmus/bank-dev"), Profiles({ARN: USE}, {ARN: "state"}, {})
    bill = Bill("CUR 2.0", "lines", (), tuple(lines))
    report = reconcile(bill, TEAMS, PLAN, profiles, owner, date(2026, 11, 1), Options(key=key))
    assert report.allocation is not None
    return report.allocation


def tokens_usd(allocation: Allocation) -> dict[str, Decimal]:
    return {team.team: team.tokens_usd for team in allocation.teams}


INPUT = line(quantity=Decimal(4), cost=Decimal("8.00"))
OUTPUT = line(usage_type="EUC1-NovaLite-output-tokens", quantity=Decimal(4), cost=Decimal("2.00"))


def test_the_cost_of_each_kind_follows_the_tokens_of_that_kind():
    assert tokens_usd(allocate([INPUT, OUTPUT])) == {"a": Decimal("6.00"), "b": Decimal("4.00")}


def test_a_discount_that_names_a_profile_follows_its_tokens():
    discount = line(charge="discount", charge_type="EdpDiscount", cost=Decimal("-1.00"))
    allocation = allocate([INPUT, OUTPUT, discount])
    assert tokens_usd(allocation) == {"a": Decimal("5.40"), "b": Decimal("3.60")}
    assert allocation.account_usd == 0


def test_a_discount_of_the_account_follows_nobody():
    discount = line(charge="discount", charge_type="EdpDiscount", cost=Decimal("-1.00"), resource="")
    allocation = allocate([INPUT, OUTPUT, discount])
    assert tokens_usd(allocation) == {"a": Decimal("6.00"), "b": Decimal("4.00")}
    assert allocation.account_usd == Decimal("-1.00")


def test_tokens_of_a_kind_that_the_ledger_lacks_belong_to_no_team():
    cached = line(usage_type="EUC1-NovaLite-cache-read-input-token-count", cost=Decimal("0.30"))
    allocation = allocate([INPUT, cached])
    assert tokens_usd(allocation) == {"a": Decimal("6.00"), "b": Decimal("2.00")}
    assert (allocation.not_allocated_usd, allocation.account_usd) == (Decimal("0.30"), 0)


def test_evaluations_make_the_bill_agree_and_pay_their_tokens_and_no_shared_cost():
    owner, profiles = Owner("bank", "isthmus/bank-dev"), Profiles({ARN: USE}, {ARN: "state"}, {})
    endpoint = line(
        product="AmazonVPC", usage_type="EUC1-VpcEndpoint-Hours", resource="vpce-1", cost=Decimal("8.00"),
        tags={"isthmus_platform": "bank"},
    )  # fmt: skip
    billed = line(quantity=Decimal(8), cost=Decimal("16.00"))
    bill = Bill("CUR 2.0", "lines", (), (billed, OUTPUT, endpoint))
    evaluations = [used("", prompt_tokens=4_000)]
    for also, agree in (((), False), (evaluations, True)):
        report = reconcile(bill, TEAMS, PLAN, profiles, owner, date(2026, 11, 1), Options(), also)
        assert report.reconciled is agree
    [tokens] = [tokens for tokens in report.profiles[0].tokens if tokens.kind == "input"]
    assert (tokens.bill, tokens.ledger, tokens.evaluations) == (8_000, 8_000, 4_000)
    allocation = report.allocation
    assert allocation is not None
    assert [(team.team, team.tokens_usd, team.shared_usd) for team in allocation.teams] == [
        ("a", Decimal("6.00"), Decimal("3.00")),
        ("b", Decimal("4.00"), Decimal("5.00")),
    ]
    assert (allocation.evaluations_usd, allocation.usd) == (Decimal("8.00"), Decimal("26.00"))
    assert (allocation.not_allocated_usd, allocation.account_usd) == (0, 0)
    text = "\n".join(reconciliation_lines(report))
    assert "4,000 of evaluations" in text
    assert " ".join(next(row for row in text.splitlines() if "evaluations of models" in row).split()) == (
        "evaluations of models 8.00"
    )
    assert "4,000 of evaluations" in page(report)


def test_shared_cost_is_divided_by_the_stated_key():
    endpoint = line(
        product="AmazonVPC", usage_type="EUC1-VpcEndpoint-Hours", resource="vpce-1", cost=Decimal("8.00"),
        tags={"isthmus_platform": "bank"},
    )  # fmt: skip
    parts = {
        key: [team.shared_usd for team in allocate([endpoint], key).teams]
        for key in ("tokens", "gpu-seconds", "evenly")
    }
    assert parts == {
        "tokens": [Decimal("3.00"), Decimal("5.00")],
        "gpu-seconds": [Decimal("8.00"), Decimal("0.00")],
        "evenly": [Decimal("4.00"), Decimal("4.00")],
    }


def test_lines_of_others_in_the_account_are_nobodys():
    allocation = allocate([INPUT, line(product="AmazonEC2", resource="i-1", cost=Decimal("99.00"))])
    assert (allocation.account_usd, allocation.usd) == (Decimal("99.00"), Decimal("107.00"))

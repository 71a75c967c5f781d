"""Sorting the lines of any bill: each is in one category, and the categories add up."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.core.cents import to_cents
from isthmus.core.errors import InputError
from isthmus.usage.bills.lines import Bill, BillLine, Charge
from isthmus.usage.bills.matching import match
from isthmus.usage.bills.profiles import Owner, Profiles
from isthmus.usage.bills.reconcile import reconcile
from isthmus.usage.bills.token_kinds import token_count
from isthmus.usage.prices import Use
from tests.blueprints import bank
from tests.usage.bills.simulated_month import FOREIGN_PROFILE, PROFILES, Month

NOVEMBER = date(2026, 11, 1)
OWNER = Owner("bank", "isthmus/bank-dev")
_, PLAN = bank.requirements_and_plan()
USE = Use("public-nova-lite", "campaign-copy")
ARN = PROFILES[1].arn
PROFILES_KNOWN = Profiles({ARN: USE}, {ARN: "state"}, {})


def line(**fields: Any) -> BillLine:
    given: dict[str, Any] = {
        "period": NOVEMBER,
        "day": date(2026, 11, 5),
        "charge": "usage",
        "charge_type": "Usage",
        "corrects": False,
        "account": "111122223333",
        "product": "AmazonBedrock",
        "usage_type": "EUC1-NovaLite-input-tokens",
        "unit": "1K tokens",
        "description": "",
        "resource": ARN,
        "tags": {},
        "currency": "USD",
        "quantity": Decimal(10),
        "cost": Decimal("0.78"),
        "hours": 24,
        "lines": 1,
    }
    return BillLine(**{**given, **fields})


lines = st.builds(
    line,
    day=st.sampled_from([date(2026, 10, 31), date(2026, 11, 1), date(2026, 11, 20), date(2026, 12, 1)]),
    charge=st.sampled_from(get_args(Charge)),
    corrects=st.booleans(),
    product=st.sampled_from(["AmazonBedrock", "AmazonEC2", "6fjyx4example", ""]),
    usage_type=st.sampled_from(["EUC1-NovaLite-input-tokens", "EUC1-X-output-tokens-batch", "BoxUsage", ""]),
    unit=st.sampled_from(["1K tokens", "Units", "Hrs", ""]),
    resource=st.sampled_from([ARN, FOREIGN_PROFILE, "i-0abc", ""]),
    tags=st.sampled_from([{}, {"isthmus_platform": "bank"}, {"isthmus_stack": "isthmus/other"}]),
    currency=st.sampled_from(["USD", "EUR"]),
    quantity=st.decimals(0, 10**6, places=10),
    cost=st.decimals(-10_000, 10_000, places=10),
)


@given(st.lists(lines, max_size=40), st.integers(0, 40))
def test_the_categories_of_any_bill_add_up_to_its_total(all_lines: list[BillLine], count: int):
    days = _days()[:count]
    matched = match(all_lines, days, PROFILES_KNOWN, OWNER, NOVEMBER)
    for currency in ("USD", "EUR"):
        total = sum((entry.cost for entry in all_lines if entry.currency == currency), Decimal(0))
        sums = [amount for (name, _), amount in matched.amounts.items() if name == currency]
        assert sum(sums, Decimal(0)) == total
    assert sum(matched.line_counts.values()) == len(all_lines)
    report = reconcile(
        Bill("CUR 2.0", "lines", (), tuple(all_lines)), days, PLAN, PROFILES_KNOWN, OWNER, NOVEMBER
    )
    for total in report.totals:
        exact = sum((entry.cost for entry in all_lines if entry.currency == total.currency), Decimal(0))
        assert total.amount == to_cents(exact)
    if report.allocation is not None:
        parts = sum((team.usd for team in report.allocation.teams), Decimal(0))
        parts += report.allocation.not_allocated_usd + report.allocation.account_usd
        assert parts == report.allocation.usd


_MADE: list[Month] = []


def _days() -> list[Any]:
    from tests.usage.bills.simulated_month import make_month

    if not _MADE:
        _MADE.append(make_month())
    return [day for day in _MADE[0].days if day.workload == "campaign-copy"]


def category(entry: BillLine, profiles: Profiles = PROFILES_KNOWN) -> str:
    [(_, found)] = match([entry], _days(), profiles, OWNER, NOVEMBER).amounts
    return found


def test_usage_of_another_month_is_late():
    assert category(line(day=date(2026, 10, 31))) == "late lines"
    assert category(line(corrects=True)) == "late lines"


def test_a_tagged_profile_of_an_unclear_workload_is_not_shared_among_teams():
    tagged = line(resource=FOREIGN_PROFILE, tags={"isthmus_platform": "bank"})
    assert category(tagged) == "not comparable"


def test_a_profile_is_known_in_both_forms_of_its_arn():
    other_form = ARN.replace("application-inference-profile", "inference-profile")
    assert category(line(resource=other_form)) == "matched usage"
    assert (
        category(line(resource=other_form.replace("eu-central-1", "eu-west-1")))
        == "Bedrock outside the stack"
    )


def test_tokens_of_a_marketplace_model_without_a_profile_are_bedrock_outside_the_stack():
    claude = line(product="6fjyx4example", usage_type="EUC1-MP:EUC1_InputTokenCount-Units", resource="")
    assert category(claude) == "Bedrock outside the stack"


def test_the_stack_tag_of_another_stack_decides_over_the_platform_tag():
    tags = {"isthmus_platform": "bank", "isthmus_stack": "isthmus/x"}
    other = line(resource="vpce-1", product="AmazonVPC", usage_type="EUC1-VpcEndpoint-Hours", tags=tags)
    assert category(other) == "others in the account"


def test_tokens_that_are_billed_by_the_month_are_refused():
    with pytest.raises(InputError, match=r"covers 720 hours.*time granularity daily or hourly"):
        match([line(hours=720)], [], PROFILES_KNOWN, OWNER, NOVEMBER)


@pytest.mark.parametrize(
    ("usage_type", "unit", "description", "kind", "tokens"),
    [
        ("USE1-Claude4.6Sonnet-input-tokens", "1K tokens", "", "input", 10_000),
        ("USE1-Claude4.6Sonnet-output-tokens", "1K tokens", "", "output", 10_000),
        ("USW2-Claude4.5Sonnet-cache-write-input-token-count", "1K tokens", "", "input", 10_000),
        ("USW2-Claude4.6Sonnet-cache-read-input-token-count", "1K tokens", "", "cached", 10_000),
        ("USE1-Nova2.0Lite-input-tokens-cross-region-global", "1M tokens", "", "input", 10_000_000),
        (
            "USW2-anthropic.claude-opus-4-8-mantle-cache-write-tokens-standard",
            "1K tokens",
            "",
            "input",
            10_000,
        ),
        (
            "USE1-MP:USE1_InputTokenCount-Units",
            "Units",
            "…|us-east-1|Million Input Tokens",
            "input",
            10_000_000,
        ),
        (
            "USE1-MP:USE1_CacheReadInputTokenCount_Global-Units",
            "Units",
            "…|Million Cache Read",
            "cached",
            10_000_000,
        ),
        ("USE1-MP:USE1_output_tokens_standard-Units", "Units", "…|thousand Output Tokens", "output", 10_000),
    ],
)
def test_usage_types_of_aws_are_read(usage_type: str, unit: str, description: str, kind: str, tokens: int):
    count = token_count(line(usage_type=usage_type, unit=unit, description=description))
    assert count is not None
    assert (count.kind, count.tokens) == (kind, tokens)


@pytest.mark.parametrize(
    ("usage_type", "unit", "description"),
    [
        ("USE1-MP:USE1_InputTokenCount-Units", "Units", "Tokens"),  # a unit of unknown size
        ("EUC1-NovaLite-input-image-count", "image", ""),
        ("USE1-MP:USE1_Reserved_1Month_InputTPM_Geo", "1M TPM Hour", ""),
        ("EUC1-Guardrail-ContentPolicyUnitsConsumed", "TextUnits", ""),
    ],
)
def test_what_is_not_a_known_number_of_tokens_is_not_guessed(usage_type: str, unit: str, description: str):
    assert token_count(line(usage_type=usage_type, unit=unit, description=description)) is None

"""A plan's need of Bedrock quotas, and the refusal of a plan if a site states a smaller quota."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.contracts.plan import bedrock_quotas
from isthmus.contracts.plan.document import Plan
from isthmus.core import yaml_documents, yaml_files
from isthmus.core.errors import Refused
from tests.contracts.bank import HAIKU, NOVA, REQUIREMENTS, check, plan_data, requirements

TOKENS = "Cross-Region InvokeModel tokens per minute for Anthropic Claude Haiku 4.5"


def needs() -> dict[tuple[str, str], int]:
    plan = yaml_files.parse(Plan, yaml_documents.Document(plan_data(), "plan"))
    needed = bedrock_quotas.quota_needs(plan, requirements())
    return {(need.model, need.kind): need.amount for need in needed}


def with_quota(name: str, amount: float) -> str:
    return REQUIREMENTS.replace(
        "    allow: [bedrock", f'    quotas: {{"{name}": {amount}}}\n    allow: [bedrock'
    )


def test_the_needed_quota_is_the_peak_minute_with_headroom_and_weighted_output_tokens():
    # 6 requests a second, 30 % headroom; 3500 tokens of prompt, 350 of answer that count five times.
    assert needs()[HAIKU, "requests"] == 468
    assert needs()[HAIKU, "tokens"] == 468 * (3500 + 5 * 350)
    assert bedrock_quotas.output_factor(NOVA) == 1


def test_a_plan_that_needs_more_than_the_quota_is_refused_with_both_figures():
    with pytest.raises(Refused) as caught:
        check(plan_data(), requirements(with_quota(TOKENS, 400000)))
    assert "needs 2,457,000 tokens a minute" in str(caught.value)
    assert f"the quota `{TOKENS}` is 400,000" in str(caught.value)
    assert "endpoints[internal-haiku]" in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [TOKENS, TOKENS.lower(), "Cross-region model inference tokens per minute for Anthropic Claude Haiku 4.5"],
)
def test_a_quota_may_be_stated_by_either_of_its_names_in_any_case(name: str):
    with pytest.raises(Refused):
        check(plan_data(), requirements(with_quota(name, 1)))


def test_a_sufficient_quota_and_a_quota_of_another_model_are_accepted():
    check(plan_data(), requirements(with_quota(TOKENS, 2457000)))
    check(
        plan_data(),
        requirements(with_quota("On-demand InvokeModel tokens per minute for Amazon Nova Pro", 1)),
    )


def test_a_model_without_a_known_quota_name_has_no_quota():
    assert bedrock_quotas.quota_names("meta.llama-9", "tokens", crossing=True) == ()


@given(st.floats(1, 5_000_000))
def test_a_plan_is_refused_exactly_if_its_need_exceeds_the_quota(amount: float):
    with_amount = requirements(with_quota(TOKENS, amount))
    if amount < 2457000:
        with pytest.raises(Refused):
            check(plan_data(), with_amount)
    else:
        check(plan_data(), with_amount)

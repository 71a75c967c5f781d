"""The rule about stated budgets, where a team's budget counts the same workload as another budget."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.contracts.platform.model.aws.account import Budget
from isthmus.contracts.platform.model.platform import Gateway, Platform, Site
from isthmus.contracts.platform.model.teams import Team
from isthmus.engine.render.recorder import Resource
from tests.policies.cases_stated import GATEWAY, GOVERNS, WORD
from tests.policies.making import findings_of, platform_with, resource_of

VALUE = "user:isthmus.dev/workload$chat"


def budget(name: str, usd: int, values: list[str], **tags: str) -> Resource:
    filters = [{"name": "TagKeyValue", "values": values}]
    inputs = {"name": name, "limitAmount": str(usd), "costFilters": filters, "tags": tags}
    return resource_of("aws:budgets/budget:Budget", name, inputs)


def platform() -> Platform:
    """The team hr may spend 900 USD, and of that its workload `chat` 100."""
    workloads: Any = [
        workload.model_copy(update={"team": "hr" if workload.name == "chat" else None})
        for workload in GATEWAY.workloads
    ]
    gateway: Gateway = GATEWAY.model_copy(update={"workloads": workloads})
    site = Site(name="frankfurt", kind="aws", jurisdiction="de", region="eu-central-1")
    own = Budget(name="chat", site="frankfurt", scope="workload", of="chat", monthly_usd=100)
    return platform_with(
        sites=[site], endpoints=WORD.endpoints, gateways=[gateway], identities=WORD.identities,
        budgets=[own], teams=[Team.model_validate({"name": "hr", "budget": {"usd_per_month": 900}})],
    )  # fmt: skip


OF_WORKLOAD = budget("chat", 100, [VALUE], **{"isthmus.dev/workload": "chat"})
OF_TEAM = budget("team-hr", 900, [VALUE], **{"isthmus.dev/team": "hr"})


def problems(*resources: Resource) -> list[str]:
    found = findings_of("cost/budgets-stated", GOVERNS, *resources, platform=platform())
    return [finding.message for finding in found]


def test_two_budgets_of_one_workload_are_told_apart_by_the_tag_of_the_team():
    assert problems(OF_WORKLOAD, OF_TEAM) == []


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ([OF_WORKLOAD], "the stack does not create the stated budget team-hr of 900 USD"),
        ([OF_TEAM], "the stack does not create the stated budget chat of 100 USD"),
        (
            [OF_WORKLOAD, budget("team-hr", 901, [VALUE], **{"isthmus.dev/team": "hr"})],
            "team-hr allows 901 USD a month; the platform states 900",
        ),
    ],
)
def test_a_budget_that_is_missing_or_larger_is_found(resources: list[Resource], message: str):
    (problem,) = problems(*resources)
    assert message in problem

"""Budgets by tag, who hears of them, and what is denied when one is used up."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components import Budgets
from components.aws.account import mapping as budget_mapping
from components.aws.account.budget_action import CALLS, deny_policy
from components.aws.account.budgets import TAG_KEYS
from components.aws.common.names import aws_name
from isthmus.contracts.platform.checked import CheckedPlatform
from isthmus.core.errors import InputError
from tests.components.conftest import ACCOUNT, Engine
from tests.components.platforms import bank

CLASS: dict[str, Any] = {
    "name": "internal",
    "scope": "class",
    "of": "internal",
    "monthly_usd": 4000,
    "alert_pct": [100, 80],
    "action": "none",
}
TOPIC = "arn:aws:sns/topic:::b-alerts"


def budgets(engine: Engine, *settings: dict[str, Any], **more: Any) -> None:
    arguments = {
        "name": "frankfurt",
        "platform": "bank",
        "budgets": [{**CLASS, **budget} for budget in settings],
        "notify": ["llm-cost@bank.example"],
        "tags": {"owner": "llm"},
    }
    engine.deploy(Budgets, "b", {**arguments, **more})


def statement(engine: Engine, kind: str, name: str, key: str = "policy", at: int = 0) -> dict[str, Any]:
    return json.loads(engine.only(kind, name).inputs[key])["Statement"][at]


@pytest.mark.parametrize(
    ("scope", "subject", "value"),
    [
        ("class", "internal", "user:isthmus.dev/class$internal"),
        ("workload", "policy-assistant", "user:isthmus.dev/workload$policy-assistant"),
        ("platform", "bank", "user:isthmus-platform$bank"),
    ],
)
def test_a_budget_counts_what_bears_its_tag(engine: Engine, scope: str, subject: str, value: str) -> None:
    budgets(engine, {"scope": scope, "of": subject, "name": subject})
    budget = engine.only("Budget").inputs
    assert budget["costFilters"] == [{"name": "TagKeyValue", "values": [value]}]
    assert (budget["budgetType"], budget["timeUnit"], budget["limitUnit"]) == ("COST", "MONTHLY", "USD")
    assert budget["limitAmount"] == "4000"
    assert budget["accountId"] == ACCOUNT


TEAM = {"scope": "team", "of": "hr", "name": "team-hr", "workloads": ["policy-assistant", "letters"]}


def test_a_teams_budget_counts_all_its_workloads_and_tells_its_owner(engine: Engine) -> None:
    budgets(engine, {**TEAM, "notify": ["hr@bank.example"]})
    budget = engine.only("Budget").inputs
    values = ["user:isthmus.dev/workload$policy-assistant", "user:isthmus.dev/workload$letters"]
    assert budget["costFilters"] == [{"name": "TagKeyValue", "values": values}]
    assert budget["tags"] == {"owner": "llm", "isthmus.dev/team": "hr"}
    for alert in budget["notifications"]:
        assert alert["subscriberEmailAddresses"] == ["hr@bank.example"]
    assert engine.only("CostAllocationTag").inputs["tagKey"] == "isthmus.dev/workload"


@pytest.mark.parametrize("wrong", [{"workloads": []}, {"scope": "class"}])
def test_a_teams_budget_and_no_other_lists_workloads(engine: Engine, wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="a team's budget counts its workloads, and no other budget does"):
        budgets(engine, {**TEAM, **wrong})


def test_alerts_are_of_actual_spend_and_one_of_forecast_spend(engine: Engine) -> None:
    budgets(engine, {})
    alerts = engine.only("Budget").inputs["notifications"]
    assert [(alert["notificationType"], alert["threshold"]) for alert in alerts] == [
        ("ACTUAL", 80),
        ("ACTUAL", 100),
        ("FORECASTED", 100),
    ]
    for alert in alerts:
        assert (alert["thresholdType"], alert["comparisonOperator"]) == ("PERCENTAGE", "GREATER_THAN")
        assert alert["subscriberEmailAddresses"] == ["llm-cost@bank.example"]
        assert alert["subscriberSnsTopicArns"] == [TOPIC]
    assert engine.outputs["topic_arn"] == TOPIC


def test_the_tags_that_budgets_count_by_are_activated_and_stay_so(engine: Engine) -> None:
    budgets(
        engine, {}, {"name": "campaign-copy", "scope": "workload", "of": "campaign-copy"}, anomaly_usd=100
    )
    tags = engine.all("CostAllocationTag")
    keys = ["isthmus-platform", "isthmus.dev/class", "isthmus.dev/workload"]
    assert sorted(tag.inputs["tagKey"] for tag in tags) == keys
    assert {tag.inputs["status"] for tag in tags} == {"Active"}
    assert all(tag.retained for tag in tags), "other stacks of the account count by them too"
    assert engine.outputs["retained"] == [f"cost-allocation tag {key}" for key in keys]


@pytest.mark.parametrize("mode", ["existing", "off"])
def test_tags_that_others_activate_are_left_alone(engine: Engine, mode: str) -> None:
    budgets(engine, {}, cost_tags=mode)
    assert not engine.all("CostAllocationTag")
    assert engine.outputs["retained"] == []


def test_names_of_budgets_are_unique_and_the_same_at_every_run(engine: Engine) -> None:
    settings = [{"name": "internal-" + "x" * 60 + str(at), "of": str(at)} for at in range(2)]
    budgets(engine, *settings)
    names = {budget.inputs["name"] for budget in engine.all("Budget")}
    again = Engine()
    budgets(again, *settings)
    assert names == {budget.inputs["name"] for budget in again.all("Budget")}
    assert len(names) == 2
    assert all(len(name) <= 100 for name in names)


def test_a_budget_that_only_alerts_denies_nothing(engine: Engine) -> None:
    budgets(engine, {})
    assert not engine.all("BudgetAction") + engine.all("Role") + engine.all("Policy")


def denied(engine: Engine, **more: Any) -> None:
    budgets(engine, {"action": "deny", "role_name": "internal-role", **more})


def test_a_used_up_budget_denies_its_role_every_call_of_a_model(engine: Engine) -> None:
    denied(engine)
    action = engine.only("BudgetAction").inputs
    assert (action["actionType"], action["approvalModel"]) == ("APPLY_IAM_POLICY", "AUTOMATIC")
    assert action["notificationType"] == "ACTUAL"
    assert action["actionThreshold"] == {"actionThresholdType": "PERCENTAGE", "actionThresholdValue": 100}
    assert action["budgetName"] == engine.only("Budget").inputs["name"]
    assert action["executionRoleArn"] == "arn:aws:iam/role:::b-internal-role"
    assert action["definition"]["iamActionDefinition"] == {
        "policyArn": "arn:aws:iam/policy:::b-internal-deny",
        "roles": ["internal-role"],
    }
    assert action["subscribers"] == [
        {"address": "llm-cost@bank.example", "subscriptionType": "EMAIL"},
        {"address": TOPIC, "subscriptionType": "SNS"},
    ]
    assert "b-internal-role-policy" in engine.only("BudgetAction").depends_on


def test_a_used_up_budget_denies_every_paid_call(engine: Engine) -> None:
    denied(engine)
    deny = statement(engine, "Policy", "b-internal-deny")
    assert (deny["Effect"], deny["Resource"]) == ("Deny", "*")
    assert {"bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"} <= set(deny["Action"])
    assert not [call for call in CALLS if "*" in call]
    assert json.loads(engine.only("Policy", "b-internal-deny").inputs["policy"]) == deny_policy()


def test_budgets_may_attach_that_policy_to_that_role_and_nothing_else(engine: Engine) -> None:
    denied(engine)
    role = f"arn:aws:iam::{ACCOUNT}:role/internal-role"
    written = engine.only("RolePolicy", "b-internal-role-policy")
    assert written.inputs["name"] == aws_name("b-internal-role-policy", 128)
    attaches = statement(engine, "RolePolicy", "b-internal-role-policy")
    assert attaches["Action"] == ["iam:AttachRolePolicy", "iam:DetachRolePolicy"]
    assert attaches["Resource"] == [role]
    assert attaches["Condition"] == {"ArnEquals": {"iam:PolicyARN": "arn:aws:iam/policy:::b-internal-deny"}}
    boundary = json.loads(engine.only("Policy", "b-internal-boundary").inputs["policy"])["Statement"]
    assert boundary[0] == attaches
    assert {"Sid": "NoIam", "Effect": "Deny", "Action": ["iam:*"], "NotResource": [role]} in boundary


def test_the_role_trusts_this_accounts_budget_and_is_bounded(engine: Engine) -> None:
    denied(engine)
    role = engine.only("Role")
    assert role.inputs["permissionsBoundary"] == "arn:aws:iam/policy:::b-internal-boundary"
    trust = statement(engine, "Role", role.name, "assumeRolePolicy")
    assert trust["Principal"] == {"Service": "budgets.amazonaws.com"}
    name = engine.only("Budget").inputs["name"]
    assert trust["Condition"] == {
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
        "ArnLike": {"aws:SourceArn": f"arn:aws:budgets::{ACCOUNT}:budget/{name}*"},
    }


def test_a_given_boundary_replaces_the_default(engine: Engine) -> None:
    budgets(engine, {"action": "deny", "role_name": "r"}, permissions_boundary="arn:aws:iam::1:policy/edge")
    assert engine.only("Role").inputs["permissionsBoundary"] == "arn:aws:iam::1:policy/edge"
    assert [policy.name for policy in engine.all("Policy")] == ["b-internal-deny"]


def test_several_roles_of_a_class_are_denied_together(engine: Engine) -> None:
    denied(engine, role_names=["second-role"])
    action = engine.only("BudgetAction").inputs["definition"]["iamActionDefinition"]
    assert action["roles"] == ["internal-role", "second-role"]
    attaches = statement(engine, "RolePolicy", "b-internal-role-policy")
    assert [arn.rpartition("/")[2] for arn in attaches["Resource"]] == ["internal-role", "second-role"]


def test_a_class_is_denied_by_every_identity_of_it_at_the_site() -> None:
    data = bank()
    data["identities"].append({**data["identities"][0], "name": "internal-second"})
    platform = CheckedPlatform.model_validate(data)
    roles = {identity.name: f"{identity.name}-role" for identity in platform.identities}
    arguments = budget_mapping.budgets_args(platform, platform.sites[1], roles)
    assert arguments is not None
    denied = {budget["name"]: budget.get("role_names") for budget in arguments["budgets"]}
    assert denied["internal-frankfurt"] == ["internal-bedrock-role", "internal-second-role"]
    assert denied["public-frankfurt"] == ["public-bedrock-role"]


def test_each_budget_denies_by_a_policy_of_its_own(engine: Engine) -> None:
    workload = {"name": "copy", "scope": "workload", "of": "copy", "action": "deny", "role_name": "r"}
    budgets(engine, {"action": "deny", "role_name": "r"}, workload)
    arns = {
        budget_action.inputs["definition"]["iamActionDefinition"]["policyArn"]
        for budget_action in engine.all("BudgetAction")
    }
    assert len(arns) == 2, "lifting one would lift the other"


def test_unusual_spend_is_reported_at_once_and_daily(engine: Engine) -> None:
    budgets(engine, anomaly_usd=250)
    monitor = engine.only("AnomalyMonitor").inputs
    assert monitor["monitorType"] == "CUSTOM", "an account has one of all services, often already"
    assert json.loads(monitor["monitorSpecification"]) == {
        **dict.fromkeys(("And", "CostCategories", "Dimensions", "Not", "Or")),
        "Tags": {"Key": "isthmus-platform", "MatchOptions": None, "Values": ["bank"]},
    }, "without the members that are null the provider sees a change, and makes another monitor"
    at_once = engine.only("AnomalySubscription", "b-at-once").inputs
    daily = engine.only("AnomalySubscription", "b-daily").inputs
    assert (at_once["frequency"], at_once["subscribers"]) == (
        "IMMEDIATE",
        [{"type": "SNS", "address": TOPIC}],
    )
    assert daily["frequency"] == "DAILY"
    assert daily["subscribers"] == [{"type": "EMAIL", "address": "llm-cost@bank.example"}]
    for subscription in (at_once, daily):
        limit = subscription["thresholdExpression"]["dimension"]
        assert limit["key"] == "ANOMALY_TOTAL_IMPACT_ABSOLUTE"
        assert limit["values"] == ["250"]


def test_a_member_account_receives_the_findings_of_its_own_monitor(engine: Engine) -> None:
    own_monitor = f"arn:aws:ce::{ACCOUNT}:anomalymonitor/0a1b2c3d-0000-4000-8000-000000000000"
    budgets(engine, anomaly_usd=250, anomaly_monitor=own_monitor)
    assert not engine.all("AnomalyMonitor"), "AWS makes monitors of tags in management accounts only"
    assert [subscription.inputs["monitorArnLists"] for subscription in engine.all("AnomalySubscription")] == [
        [own_monitor],
        [own_monitor],
    ]


def test_another_platform_has_a_monitor_of_another_name(engine: Engine) -> None:
    budgets(engine, anomaly_usd=250)
    budgets(engine, anomaly_usd=250, platform="insurer")
    first, second = (monitor.inputs["name"] for monitor in engine.all("AnomalyMonitor"))
    assert first != second, "the new one is made while the old one still has its name"


def test_without_an_amount_unusual_spend_is_not_watched(engine: Engine) -> None:
    budgets(engine, {})
    assert not engine.all("AnomalyMonitor") + engine.all("AnomalySubscription")


def test_nothing_asked_for_makes_nothing(engine: Engine) -> None:
    budgets(engine, notify=[])
    assert not engine.made
    assert engine.outputs == {"topic_arn": "", "retained": []}


def test_only_cost_services_of_this_account_publish_to_the_topic(engine: Engine) -> None:
    budgets(engine, {})
    for kind, name in (("TopicPolicy", "b-alerts-policy"), ("Key", "b-alerts-key")):
        statements = json.loads(engine.only(kind, name).inputs["policy"])["Statement"]
        services = {
            statement["Principal"]["Service"]: statement
            for statement in statements
            if "Service" in statement["Principal"]
        }
        assert set(services) == {"budgets.amazonaws.com", "costalerts.amazonaws.com"}
        for statement in services.values():
            assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": ACCOUNT}, statement["Sid"]
    assert engine.only("Topic").inputs["kmsMasterKeyId"] == "arn:aws:kms/key:::b-alerts-key"


def test_every_taggable_resource_is_tagged(engine: Engine) -> None:
    budgets(engine, {"action": "deny", "role_name": "r"}, anomaly_usd=100)
    bare = {"TopicPolicy", "RolePolicy", "CostAllocationTag"}
    for resource in engine.made:
        if resource.kind not in bare:
            assert resource.inputs.get("tags", {}).get("owner") == "llm", resource.name
    for kind in ("Budget", "BudgetAction", "Role"):
        assert engine.only(kind).inputs["tags"]["isthmus.dev/class"] == "internal"


def test_an_account_that_is_named_takes_the_place_of_the_providers(engine: Engine) -> None:
    budgets(engine, {}, account="210987654321")
    assert engine.only("Budget").inputs["accountId"] == "210987654321"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"monthly_usd": 0}, "budget of 0 USD"),
        ({"monthly_usd": -5.0}, "budget of -5.0 USD"),
        ({"monthly_usd": float("nan")}, "budget of nan USD"),
        ({"monthly_usd": 0.001}, "budget of 0.001 USD"),
        ({"monthly_usd": 1e16}, "too large"),
        ({"scope": "person"}, "'person' is not known"),
        ({"action": "stop"}, "'stop' is not known"),
        ({"action": "deny"}, "needs a role"),
        ({"alert_pct": [80, 80]}, "80, 80 %"),
        ({"alert_pct": [0]}, "0 %"),
        ({"alert_pct": list(range(1, 11))}, "are not possible"),
    ],
)
def test_an_impossible_budget_is_refused_with_its_fix(
    engine: Engine, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message) as refused:
        budgets(engine, settings)
    assert refused.value.fix
    assert refused.value.where.startswith("budgets.frankfurt.internal")
    assert not engine.made


def test_budgets_without_recipients_are_refused(engine: Engine) -> None:
    with pytest.raises(InputError, match="nobody would be told that a budget is used up"):
        budgets(engine, {}, notify=[])


def test_two_budgets_of_one_name_are_refused(engine: Engine) -> None:
    with pytest.raises(InputError, match="two budgets"):
        budgets(engine, {}, {"of": "public"})


@pytest.mark.parametrize("usd", [0, -1, 0.004, float("nan")])
def test_an_amount_of_unusual_spend_that_is_none_is_refused(engine: Engine, usd: float) -> None:
    with pytest.raises(InputError, match="USD is not positive"):
        budgets(engine, anomaly_usd=usd)


@given(st.floats(min_value=0.01, max_value=1e9), st.sampled_from(sorted(TAG_KEYS)))
def test_any_amount_is_given_to_the_cent(usd: float, scope: str) -> None:
    engine = Engine()
    workloads = {"workloads": ["claims"]} if scope == "team" else {}
    budgets(engine, {"monthly_usd": usd, "scope": scope, **workloads})
    text = engine.only("Budget").inputs["limitAmount"]
    assert abs(float(text) - usd) <= 0.0051
    assert "e" not in text.lower()
    assert "e" not in text.lower(), f"{text} is no amount to AWS"

"""Trail, alarms and budgets with the stack's own provider, through the sandbox's plugin."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.aws_sandbox.stack import Stack, endpoint, kinds

pytestmark = pytest.mark.sandbox

ACCOUNT = "123456789012"


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with endpoint() as url:
        new_stack = Stack(tmp_path, url)
        yield new_stack
        new_stack.stack.destroy()


def account(days: int = 400, monthly_usd: float = 4000) -> None:
    """A site's store with a trail, an identity's role, and a budget that denies it."""
    import pulumi
    from pulumi_aws.iam import Role

    from components.aws.account.budgets import Budgets
    from components.aws.records.trail import AuditTrail
    from isthmus.contracts.platform.model.platform import Site
    from stacks import providers

    site = Site(name="frankfurt", kind="aws", jurisdiction="de", region="eu-central-1")
    provider = providers.aws(site, {"isthmus-platform": "bank"}, sandbox=True)
    opts = pulumi.ResourceOptions(providers=[provider])
    trail = AuditTrail(
        "bank-frankfurt",
        {
            "name": "frankfurt",
            "site": "frankfurt",
            "mode": "manage",
            "region": "eu-central-1",
            "retention_days": days,
            "trail": {
                "mode": "manage",
                "organization": False,
                "retention_days": days,
                "notify": ["soc@bank.example"],
            },
        },
        opts,
    )
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": ACCOUNT}}]}
    trust["Statement"][0]["Action"] = "sts:AssumeRole"
    role = Role(
        "internal", assume_role_policy=json.dumps(trust), opts=pulumi.ResourceOptions(provider=provider)
    )
    money = Budgets(
        "bank-money",
        {
            "name": "frankfurt",
            "platform": "bank",
            "budgets": [
                {
                    "name": "internal",
                    "scope": "class",
                    "of": "internal",
                    "monthly_usd": monthly_usd,
                    "alert_pct": [80, 100],
                    "action": "deny",
                    "role_name": role.name,
                },
                {
                    "name": "policy-assistant",
                    "scope": "workload",
                    "of": "policy-assistant",
                    "monthly_usd": 99.5,
                    "alert_pct": [50],
                    "action": "none",
                },
                {
                    "name": "team-hr",
                    "scope": "team",
                    "of": "hr",
                    "workloads": ["policy-assistant", "letters"],
                    "monthly_usd": 120,
                    "alert_pct": [80],
                    "action": "none",
                    "notify": ["hr@bank.example"],
                },
            ],
            "anomaly_usd": 100,
            "notify": ["llm-cost@bank.example"],
        },
        opts,
    )
    for name in ("bucket", "trail_arn", "log_group", "alarm_topic", "retained"):
        pulumi.export(name, getattr(trail, name))
    pulumi.export("cost_topic", money.topic_arn)
    pulumi.export("cost_retained", money.retained)
    pulumi.export("role", role.name)


def settled(stack: Stack) -> None:
    """A refresh and a preview find nothing to change."""
    actual = stack.stack.preview(refresh=True, expect_no_changes=True)
    assert set(kinds(actual.change_summary)) == {"same"}


def left(stack: Stack) -> dict[str, list[str]]:
    """What the account holds, by kind."""
    kms, states = stack.boto("kms"), {}
    for key in kms.list_keys()["Keys"]:
        answer = kms.describe_key(KeyId=key["KeyArn"])["KeyMetadata"]
        if answer["KeyState"] == "Enabled" and answer["KeyManager"] == "CUSTOMER":
            states[key["KeyArn"]] = answer["Description"]
    return {
        "keys": sorted(states),
        "buckets": [bucket["Name"] for bucket in stack.boto("s3").list_buckets()["Buckets"]],
        "log groups": [
            log_group["logGroupName"] for log_group in stack.boto("logs").describe_log_groups()["logGroups"]
        ],
        "trails": [trail["Name"] for trail in stack.boto("cloudtrail").list_trails()["Trails"]],
        "topics": [topic["TopicArn"] for topic in stack.boto("sns").list_topics()["Topics"]],
        "rules": [rule["Name"] for rule in stack.boto("events").list_rules()["Rules"]],
        "alarms": [
            metric_alarm["AlarmName"]
            for metric_alarm in stack.boto("cloudwatch").describe_alarms()["MetricAlarms"]
        ],
        "filters": [
            filter["filterName"] for filter in stack.boto("logs").describe_metric_filters()["metricFilters"]
        ],
        "roles": [role["RoleName"] for role in stack.boto("iam").list_roles()["Roles"]],
        "policies": [
            policy["PolicyName"] for policy in stack.boto("iam").list_policies(Scope="Local")["Policies"]
        ],
        "budgets": [
            budget["BudgetName"]
            for budget in stack.boto("budgets").describe_budgets(AccountId=ACCOUNT).get("Budgets", [])
        ],
        "monitors": [
            monitor["MonitorArn"] for monitor in stack.boto("ce").get_anomaly_monitors()["AnomalyMonitors"]
        ],
    }


def test_trail_and_budgets_go_up_are_mended_changed_and_leave_what_they_name(stack: Stack) -> None:
    stack.own(account)
    stack.up()
    before = stack.outputs()
    settled(stack)
    assert_recording(stack, before)
    assert_budgets(stack, before)

    # Somebody switches the trail off, narrows it, and takes a rule's target away.
    cloudtrail, events = stack.boto("cloudtrail"), stack.boto("events")
    cloudtrail.stop_logging(Name=before["trail_arn"])
    narrow = [{"FieldSelectors": [{"Field": "eventCategory", "Equals": ["Management"]}]}]
    cloudtrail.put_event_selectors(TrailName=before["trail_arn"], AdvancedEventSelectors=narrow)
    rule = next(rule["Name"] for rule in events.list_rules()["Rules"] if "-trail-" in rule["Name"])
    events.disable_rule(Name=rule)
    actual = stack.stack.preview(refresh=True)
    assert kinds(actual.change_summary)["update"] == 2, "the trail and the rule"
    stack.stack.up(refresh=True)
    assert_recording(stack, before)
    assert events.describe_rule(Name=rule)["State"] == "ENABLED"
    settled(stack)

    stack.own(lambda: account(days=800, monthly_usd=4500))
    summary = stack.up().summary.resource_changes
    assert kinds(summary)["update"] == 6, "lock, lifecycle, log group, budget, and the two components"
    assert not {"replace", "create", "delete"} & set(kinds(summary))
    assert stack.outputs() == before
    group = next(iter(stack.boto("logs").describe_log_groups()["logGroups"]))
    assert group["retentionInDays"] == 1096, "the next longer period that CloudWatch Logs knows"
    settled(stack)

    stack.stack.destroy()
    after = left(stack)
    retained = [before["bucket"], before["log_group"]]
    assert [*after.pop("buckets"), *after.pop("log groups")] == retained
    assert after.pop("keys") == sorted(arn for arn in before["retained"] if ":kms:" in arn)
    assert {kind for kind, names in after.items() if names} == set(), after
    tags = stack.boto("ce").list_cost_allocation_tags(Status="Active")["CostAllocationTags"]
    assert {f"cost-allocation tag {tag['TagKey']}" for tag in tags} >= set(before["cost_retained"])


def assert_recording(stack: Stack, outputs: dict[str, Any]) -> None:
    cloudtrail = stack.boto("cloudtrail")
    assert cloudtrail.get_trail_status(Name=outputs["trail_arn"])["IsLogging"] is True
    trail = cloudtrail.get_trail(Name=outputs["trail_arn"])["Trail"]
    assert trail["IsMultiRegionTrail"] is trail["LogFileValidationEnabled"] is True
    assert trail["IncludeGlobalServiceEvents"] is True
    assert (trail["S3BucketName"], trail["S3KeyPrefix"]) == (outputs["bucket"], "cloudtrail")
    assert trail["KmsKeyId"] == outputs["retained"][1]
    selectors = cloudtrail.get_event_selectors(TrailName=outputs["trail_arn"])["AdvancedEventSelectors"]
    assert len(selectors) == 14
    policy = json.loads(stack.boto("s3").get_bucket_policy(Bucket=outputs["bucket"])["Policy"])
    delivers = next(statement for statement in policy["Statement"] if statement["Sid"] == "TrailDelivers")
    assert delivers["Condition"]["StringEquals"]["aws:SourceArn"] == outputs["trail_arn"]
    key = json.loads(
        stack.boto("kms").get_key_policy(KeyId=outputs["retained"][1], PolicyName="default")["Policy"]
    )
    seals = next(statement for statement in key["Statement"] if statement["Sid"] == "SealTheTrail")
    assert seals["Condition"]["StringEquals"]["aws:SourceArn"] == outputs["trail_arn"], (
        "the trail could not write: the name in its policies is not the one it got"
    )
    alarms = stack.boto("cloudwatch").describe_alarms()["MetricAlarms"]
    assert [alarm["AlarmActions"] for alarm in alarms] == [[outputs["alarm_topic"]]] * 2
    output = stack.boto("sns").list_subscriptions_by_topic(TopicArn=outputs["alarm_topic"])["Subscriptions"]
    assert [endpoint["Endpoint"] for endpoint in output] == ["soc@bank.example"]
    tags = cloudtrail.list_tags(ResourceIdList=[outputs["trail_arn"]])["ResourceTagList"][0]["TagsList"]
    assert {"Key": "isthmus-platform", "Value": "bank"} in tags


def assert_budgets(stack: Stack, outputs: dict[str, Any]) -> None:
    budgets = stack.boto("budgets")
    answer = {
        budget["BudgetName"]: budget for budget in budgets.describe_budgets(AccountId=ACCOUNT)["Budgets"]
    }
    assert len(answer) == 3
    team = next(budget for name, budget in answer.items() if name.startswith("bank-money-team-hr"))
    values = {"user:isthmus.dev/workload$policy-assistant", "user:isthmus.dev/workload$letters"}
    assert set(team["CostFilters"]["TagKeyValue"]) == values
    forecast = {"NotificationType": "FORECASTED", "ComparisonOperator": "GREATER_THAN", "Threshold": 100}
    told = budgets.describe_subscribers_for_notification(
        AccountId=ACCOUNT, BudgetName=team["BudgetName"], Notification=forecast
    )["Subscribers"]
    assert {"SubscriptionType": "EMAIL", "Address": "hr@bank.example"} in told
    name = next(alert for alert in answer if alert.startswith("bank-money-internal"))
    assert answer[name]["CostFilters"] == {"TagKeyValue": ["user:isthmus.dev/class$internal"]}
    assert float(answer[name]["BudgetLimit"]["Amount"]) == 4000
    alerts = budgets.describe_notifications_for_budget(AccountId=ACCOUNT, BudgetName=name)["Notifications"]
    assert sorted(
        (notification["NotificationType"], notification["Threshold"]) for notification in alerts
    ) == [
        ("ACTUAL", 80),
        ("ACTUAL", 100),
        ("FORECASTED", 100),
    ]
    (action,) = budgets.describe_budget_actions_for_budget(AccountId=ACCOUNT, BudgetName=name)["Actions"]
    assert action["ApprovalModel"] == "AUTOMATIC"
    assert action["Definition"]["IamActionDefinition"]["Roles"] == [outputs["role"]]
    role = action["ExecutionRoleArn"].rpartition("/")[2]
    assert "PermissionsBoundary" in stack.boto("iam").get_role(RoleName=role)["Role"]
    monitors = stack.boto("ce").get_anomaly_monitors()["AnomalyMonitors"]
    assert [value["MonitorSpecification"]["Tags"]["Values"] for value in monitors] == [["bank"]]


def watched() -> None:
    """Alarms on a model and on a gateway's service."""
    import pulumi

    from components.aws.observability.serving_alarms import ServingAlarms
    from isthmus.contracts.platform.model.platform import Site
    from stacks import providers

    site = Site(name="frankfurt", kind="aws", jurisdiction="de", region="eu-central-1")
    alarms = ServingAlarms(
        "bank-frankfurt-serving",
        {
            "name": "frankfurt",
            "region": "eu-central-1",
            "notify": ["llm@bank.example"],
            "profiles": [
                {
                    "name": "haiku--assistant",
                    "profile": f"arn:aws:bedrock:eu-central-1:{ACCOUNT}:application-inference-profile/82ey7vcct4m3",
                }
            ],
            "services": [{"name": "internal-edge", "service": "internal/internal-edge"}],
        },
        pulumi.ResourceOptions(providers=[providers.aws(site, {"isthmus-platform": "bank"}, sandbox=True)]),
    )
    pulumi.export("topic", alarms.topic_arn)


def test_alarms_on_serving_go_up_are_mended_and_leave_nothing(stack: Stack) -> None:
    stack.own(watched)
    stack.up()
    topic = stack.outputs()["topic"]
    settled(stack)
    cloudwatch = stack.boto("cloudwatch")
    alarms = {alarm["AlarmName"]: alarm for alarm in cloudwatch.describe_alarms()["MetricAlarms"]}
    assert [alarm["AlarmActions"] for alarm in alarms.values()] == [[topic]] * 4
    (throttled,) = [alarm for name, alarm in alarms.items() if "-ModelThrottled-" in name]
    assert throttled["Dimensions"] == [{"Name": "ModelId", "Value": "82ey7vcct4m3"}]
    subscriptions = stack.boto("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert [subscription["Endpoint"] for subscription in subscriptions] == ["llm@bank.example"]

    cloudwatch.disable_alarm_actions(AlarmNames=[throttled["AlarmName"]])
    stack.stack.up(refresh=True)
    (mended,) = cloudwatch.describe_alarms(AlarmNames=[throttled["AlarmName"]])["MetricAlarms"]
    assert mended["ActionsEnabled"] is True

    stack.stack.destroy()
    assert {kind for kind, names in left(stack).items() if names} == set()

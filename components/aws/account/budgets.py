"""Monthly budgets by cost-allocation tag, alerts on unusual spend, and the denial at 100 %."""

import json
from typing import Any, NotRequired, TypedDict

import pulumi

from components.aws.account.budget_action import Alerts, BudgetDenial
from components.aws.common.names import aws_name
from components.aws.common.topic import Publisher, check_emails, sealed_topic
from components.base.argument_checks import MODES, check_choice
from isthmus.contracts.platform.model.aws.account import TAG_KEYS, TEAM_TAG
from isthmus.core.errors import InputError

ACTIONS = ("none", "deny")
ALERTS = 9
"""Maximum alerts of actual spend, in addition to the one of forecast spend. A budget has at most ten (Budgets
quotas, as of knowledge, not checked)."""
MAX_USD = 1e9
"""Larger amounts in USD are treated as typing errors."""
NOBODY = "nobody would be told that a budget is used up"
BUDGET_NAME = 100
"""Maximum length of a budget's name (API reference, as of knowledge, not checked)."""


class BudgetSettings(TypedDict):
    """A monthly budget for resources with a tag."""

    name: str
    """Name of the budget, unique in the component."""
    scope: str
    """Scope: `platform`, `class`, `workload` or `team`."""
    of: str
    """Name of the platform, class, workload or team. It is the value of the tag, except for a team."""
    workloads: NotRequired[list[str]]
    """`team`: names of its workloads, whose tags are counted."""
    notify: NotRequired[list[str]]
    """E-mail addresses that get its alerts. Absent: those of the component."""
    monthly_usd: float
    """Budget in USD per month."""
    alert_pct: list[int]
    """Alerts of actual spend, in percent. An alert of forecast spend at 100 % is added."""
    action: str
    """`none`, or `deny`: at 100 % of actual spend, the roles may call no model until a person lifts the denial."""
    role_name: NotRequired[pulumi.Input[str]]
    """`deny`: name of the role."""
    role_names: NotRequired[list[pulumi.Input[str]]]
    """`deny`: names of further roles, if several serve the budget's scope."""
    hosted: NotRequired[bool]
    """`deny`: whether calls of SageMaker endpoints are denied too (default false)."""


class BudgetsArgs(TypedDict):
    """Budgets of an AWS account."""

    name: str
    """Name of the site or account."""
    account: NotRequired[str]
    """Id of the account. Absent: the provider's."""
    budgets: list[BudgetSettings]
    """The budgets."""
    platform: str
    """Name of the platform: value of the tag `isthmus-platform`, by which unusual spend is detected."""
    anomaly_usd: NotRequired[float]
    """Minimum impact in USD of unusual spend for an alert. Absent: no detection."""
    anomaly_monitor: NotRequired[str]
    """ARN of the account's own monitor, whose findings are sent. Absent: one for the platform's tag is created."""
    notify: list[str]
    """E-mail addresses that get alerts."""
    cost_tags: NotRequired[str]
    """`manage` (default): the cost-allocation tags are activated here. `existing`: they are active. `off`."""
    permissions_boundary: NotRequired[pulumi.Input[str]]
    """ARN of the permissions boundary of the role with which AWS Budgets denies. Absent: one is created."""
    tags: NotRequired[dict[str, str]]
    """Tags of the created resources."""


class Budgets(pulumi.ComponentResource):
    """A budget for each entry with its alerts and its denial, and a monitor of unusual spend.

    AWS Budgets and Cost Explorer are global: their calls go to one endpoint of the partition, whatever the
    provider's region. Cost-allocation tags stay active after a destroy.
    """

    topic_arn: pulumi.Output[str]
    """ARN of the topic of the alerts, for pagers and chats. Empty if none is created."""
    retained: pulumi.Output[list[str]]
    """Resources that a destroy retains: the activation of cost-allocation tags."""

    def __init__(self, name: str, args: BudgetsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("isthmus:index:Budgets", name, dict(args), opts)
        where = f"budgets.{args['name']}"
        anomaly_usd = args.get("anomaly_usd")
        if anomaly_usd is not None and not 0 < round(float(anomaly_usd), 2) <= MAX_USD:
            raise InputError(
                f"unusual spend of {anomaly_usd} USD is {'too large' if anomaly_usd > MAX_USD else 'not positive'}",
                where=f"{where}.anomaly_usd",
                fix="Set anomaly_usd to an amount above 0, or remove it",
            )
        managed = check_choice(args.get("cost_tags", "manage"), MODES, f"{where}.cost_tags")
        _check_all(args["budgets"], where)
        self.topic_arn = pulumi.Output.from_input("")
        self.retained = pulumi.Output.from_input([])
        if args["budgets"] or anomaly_usd is not None:
            emails = check_emails(args["notify"], where, NOBODY)
            self._make(name, args, emails, managed == "manage")
        self.register_outputs({"topic_arn": self.topic_arn, "retained": self.retained})

    def _make(self, name: str, args: BudgetsArgs, emails: list[str], activate: bool) -> None:
        from pulumi_aws import get_caller_identity_output

        identity = get_caller_identity_output(opts=pulumi.InvokeOutputOptions(parent=self))
        account: pulumi.Input[str] = args.get("account") or identity.account_id
        partition = identity.arn.apply(lambda arn: arn.split(":")[1])
        tags = args.get("tags", {})
        topic = sealed_topic(
            f"{name}-alerts",
            "Isthmus cost",
            _publishers(account, partition),
            account=account,
            partition=partition,
            tags=tags,
            parent=self,
        )
        if activate:
            self._activate(name, args)
        alerts = Alerts(topic, emails)
        for settings in args["budgets"]:
            self._budget(name, settings, args, account, partition, alerts)
        if args.get("anomaly_usd") is not None:
            _anomalies(name, args, alerts, pulumi.ResourceOptions(parent=self))
        self.topic_arn = topic.arn

    def _activate(self, name: str, args: BudgetsArgs) -> None:
        """Activate the cost-allocation tags. They affect the whole account, so a destroy leaves them active."""
        from pulumi_aws.costexplorer import CostAllocationTag

        tag_keys = {TAG_KEYS[budget["scope"]] for budget in args["budgets"]}
        if args.get("anomaly_usd") is not None:
            tag_keys.add(TAG_KEYS["platform"])
        for key in sorted(tag_keys):
            CostAllocationTag(
                f"{name}-{key.rpartition('/')[2]}-tag",
                tag_key=key,
                status="Active",
                opts=pulumi.ResourceOptions(parent=self, retain_on_delete=True),
            )
        self.retained = pulumi.Output.from_input([f"cost-allocation tag {key}" for key in sorted(tag_keys)])

    def _budget(
        self,
        name: str,
        settings: BudgetSettings,
        args: BudgetsArgs,
        account: pulumi.Input[str],
        partition: pulumi.Output[str],
        alerts: Alerts,
    ) -> None:
        """Create a budget, its alerts and its denial."""
        from pulumi_aws.budgets import Budget

        tags = dict(args.get("tags", {}))
        if settings["scope"] != "platform":
            tags[TEAM_TAG if settings["scope"] == "team" else TAG_KEYS[settings["scope"]]] = settings["of"]
        budget_name = f"{name}-{settings['name']}"
        if "notify" in settings:
            alerts = Alerts(alerts.topic, check_emails(settings["notify"], f"budgets.{budget_name}", NOBODY))
        actual = [_notification("ACTUAL", share, alerts) for share in sorted(settings["alert_pct"])]
        budget = Budget(
            budget_name,
            name=aws_name(budget_name, BUDGET_NAME),
            account_id=account,
            budget_type="COST",
            limit_amount=_amount_text(settings["monthly_usd"]),
            limit_unit="USD",
            time_unit="MONTHLY",
            cost_filters=[{"name": "TagKeyValue", "values": _filter_values(settings)}],
            notifications=[*actual, _notification("FORECASTED", 100, alerts)],
            tags=tags,
            # AWS Budgets tests the topic when it gets the budget.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[alerts.topic.ready]),
        )
        if settings["action"] == "deny":
            denial = BudgetDenial(budget_name, budget, account, partition, alerts, tags, self)
            denial.create(
                _roles(settings), args.get("permissions_boundary"), hosted=settings.get("hosted", False)
            )


def _filter_values(settings: BudgetSettings) -> list[str]:
    """Tags that the budget counts. AWS Budgets adds up what has any of them."""
    values = settings.get("workloads", []) if settings["scope"] == "team" else [settings["of"]]
    return [f"user:{TAG_KEYS[settings['scope']]}${value}" for value in values]


def _notification(kind: str, share: int, alerts: Alerts) -> Any:
    """An alert by e-mail directly, which needs no confirmed subscription, and to the topic."""
    return {
        "comparison_operator": "GREATER_THAN",
        "notification_type": kind,
        "threshold": share,
        "threshold_type": "PERCENTAGE",
        "subscriber_email_addresses": alerts.emails,
        "subscriber_sns_topic_arns": [alerts.topic.arn],
    }


def _publishers(account: pulumi.Input[str], partition: pulumi.Output[str]) -> list[Publisher]:
    """The services that publish to the topic. Source: AWS Cost Management User Guide, "Creating an Amazon SNS topic
    for budget notifications" and "… for anomaly notifications" (read 2026-11-25).
    """
    this_account = {"StringEquals": {"aws:SourceAccount": account}}
    any_budget = pulumi.Output.format("arn:{}:budgets::{}:*", partition, account)
    return [
        Publisher(
            "Budgets",
            "budgets.amazonaws.com",
            publishing={**this_account, "ArnLike": {"aws:SourceArn": any_budget}},
            sealing=this_account,
        ),
        Publisher("Anomalies", "costalerts.amazonaws.com", publishing=this_account, sealing=this_account),
    ]


def _anomalies(name: str, args: BudgetsArgs, alerts: Alerts, child: pulumi.ResourceOptions) -> None:
    """A monitor for the platform's tag, or the account's own one. An account has at most one monitor of all
    services, which AWS often creates, so that kind is not created here. Alerts go to the topic at once and by
    e-mail daily, the only combinations that AWS supports.
    """
    from pulumi_aws.costexplorer import AnomalyMonitor, AnomalySubscription

    monitor: pulumi.Input[str] | None = args.get("anomaly_monitor")
    if monitor is None:
        monitor = AnomalyMonitor(
            f"{name}-monitor",
            # The filter of a monitor is immutable. Another platform gets another monitor with another name.
            name=aws_name(f"{name}-monitor", BUDGET_NAME, args["platform"]),
            monitor_type="CUSTOM",
            monitor_specification=json.dumps(_monitor_filter(args["platform"])),
            tags=args.get("tags", {}),
            opts=child,
        ).arn
    subscriptions: dict[str, tuple[str, list[Any]]] = {
        "at-once": ("IMMEDIATE", [{"type": "SNS", "address": alerts.topic.arn}]),
        "daily": ("DAILY", [{"type": "EMAIL", "address": address} for address in alerts.emails]),
    }
    for suffix, (frequency, subscribers) in subscriptions.items():
        AnomalySubscription(
            f"{name}-{suffix}",
            name=aws_name(f"{name}-{suffix}", BUDGET_NAME),
            frequency=frequency,
            monitor_arn_lists=[monitor],
            subscribers=subscribers,
            threshold_expression={
                "dimension": {
                    "key": "ANOMALY_TOTAL_IMPACT_ABSOLUTE",
                    "match_options": ["GREATER_THAN_OR_EQUAL"],
                    "values": [_amount_text(args.get("anomaly_usd", 0))],
                }
            },
            tags=args.get("tags", {}),
            opts=pulumi.ResourceOptions(parent=child.parent, depends_on=[alerts.topic.ready]),
        )


def _monitor_filter(platform: str) -> dict[str, Any]:
    """The filter of a monitor in the form in which the provider reads it back, with all members. Otherwise each
    `up` would replace the monitor. The key is the tag's own name without `user:`, as in pulumi-aws's example.
    """
    empty_members = dict.fromkeys(("And", "CostCategories", "Dimensions", "Not", "Or"))
    return {
        **empty_members,
        "Tags": {"Key": TAG_KEYS["platform"], "MatchOptions": None, "Values": [platform]},
    }


def _amount_text(usd: float) -> str:
    """The amount with cents; whole dollars without cents (as in pulumi-aws's examples), and never as 1e+16."""
    return f"{float(usd):.2f}".removesuffix(".00")


def _roles(settings: BudgetSettings) -> list[pulumi.Input[str]]:
    role_name = settings.get("role_name")
    return ([role_name] if role_name else []) + list(settings.get("role_names", []))


def _check_all(budgets: list[BudgetSettings], where: str) -> None:
    names: set[str] = set()
    for budget in budgets:
        place = f"{where}.{budget['name']}"
        if budget["name"] in names:
            raise InputError(
                "two budgets have the same name", where=place, fix="Give each budget its own name"
            )
        names.add(budget["name"])
        _check(budget, place)


def _check(settings: BudgetSettings, where: str) -> None:
    check_choice(settings["scope"], tuple(TAG_KEYS), f"{where}.scope")
    check_choice(settings["action"], ACTIONS, f"{where}.action")
    if (settings["scope"] == "team") != bool(settings.get("workloads")):
        raise InputError(
            "a team's budget counts its workloads, and no other budget does",
            where=f"{where}.workloads",
            fix="Set scope to `team` and list its workloads, or remove `workloads`",
        )
    usd = settings["monthly_usd"]
    if not 0 < round(float(usd), 2) <= MAX_USD:
        raise InputError(
            f"a budget of {usd} USD is {'too large' if usd > MAX_USD else 'not a positive amount'}",
            where=f"{where}.monthly_usd",
            fix="Set monthly_usd above 0 and at most 1,000,000,000",
        )
    shares = settings["alert_pct"]
    if (
        len(set(shares)) < len(shares)
        or len(shares) > ALERTS
        or not all(1 <= share <= 1000 for share in shares)
    ):
        raise InputError(
            f"alerts at {', '.join(map(str, shares))} % are not possible",
            where=f"{where}.alert_pct",
            fix=f"Set alert_pct to at most {ALERTS} different percentages between 1 and 1000",
        )
    if settings["action"] == "deny" and not _roles(settings):
        raise InputError(
            "a denial needs a role to deny",
            where=f"{where}.action",
            fix="Set the role of the identity (`role_name`), or set action to `none`",
        )

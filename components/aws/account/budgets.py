"""Monthly budgets by cost-allocation tag, alerts on unusual spend, and a denial when a budget is used up."""

import json
from typing import Any, NotRequired, TypedDict

import pulumi

from components.aws.account.budget_action import denial
from components.aws.common.names import aws_name
from components.aws.common.topic import Publisher, Topic, addresses, sealed_topic
from components.base.argument_checks import MODES, one_of
from isthmus.contracts.platform.model.aws.account import TAG_KEYS
from isthmus.core.errors import InputError

ACTIONS = ("none", "deny")
ALERTS = 9
"""Alerts of actual spend, beside the one of forecast spend: a budget takes ten (Budgets quotas, as of knowledge,
not checked)."""
MOST = 1e9
"""USD: beyond, an amount is a slip of the hand."""
BUDGET_NAME = 100
"""Characters of a budget's name (API reference, as of knowledge, not checked)."""


class BudgetSettings(TypedDict):
    """A monthly budget over what bears a tag."""

    name: str
    """Name of the budget, unique in the component."""
    scope: str
    """`platform`, `class` or `workload`."""
    of: str
    """The platform's, class's or workload's name: the value of the tag."""
    monthly_usd: float
    """USD a month."""
    alert_pct: list[int]
    """Alerts of actual spend, in percent; one of forecast spend at 100 % comes with them."""
    action: str
    """`none`, or `deny`: at 100 % of actual spend the roles may call no model until someone lifts it."""
    role_name: NotRequired[pulumi.Input[str]]
    """`deny`: name of the role."""
    role_names: NotRequired[list[pulumi.Input[str]]]
    """`deny`: names of further roles, where more than one serves what the budget is for."""
    hosted: NotRequired[bool]
    """`deny`: calls of endpoints on SageMaker too (default false)."""


class BudgetsArgs(TypedDict):
    """Budgets of an AWS account."""

    name: str
    """Name of the site or account."""
    account: NotRequired[str]
    """Id of the account; absent, the provider's."""
    budgets: list[BudgetSettings]
    """The budgets."""
    platform: str
    """Name of the platform: value of the tag `isthmus-platform`, by which unusual spend is watched."""
    anomaly_usd: NotRequired[float]
    """Alert on unusual spend with a total impact of at least so much, USD; absent, it is not watched."""
    anomaly_monitor: NotRequired[str]
    """ARN of the account's own monitor, whose findings are told; absent, one of the platform's tag is made."""
    notify: list[str]
    """E-mail addresses told of alerts."""
    cost_tags: NotRequired[str]
    """`manage` (default): the cost-allocation tags are activated. `existing`: by someone else. `off`: not."""
    permissions_boundary: NotRequired[pulumi.Input[str]]
    """ARN of the policy that bounds the role by which AWS Budgets denies; absent, one is made beside it."""
    tags: NotRequired[dict[str, str]]
    """Tags of what is made."""


class Budgets(pulumi.ComponentResource):
    """A budget for each entry, its alerts and its denial, and a monitor of unusual spend.

    AWS Budgets and Cost Explorer are global: their calls go to one endpoint of the partition, whatever the
    provider's region. Cost-allocation tags stay active when the stack is destroyed.
    """

    topic_arn: pulumi.Output[str]
    """ARN of the topic that alerts go to, for pagers and chats; empty where nothing is made."""
    retained: pulumi.Output[list[str]]
    """What is left on purpose when the stack is destroyed: the activation of cost-allocation tags."""

    def __init__(self, name: str, args: BudgetsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("isthmus:index:Budgets", name, dict(args), opts)
        where = f"budgets.{args['name']}"
        watched = args.get("anomaly_usd")
        if watched is not None and not 0 < round(float(watched), 2) <= MOST:
            raise InputError(
                f"unusual spend of {watched} USD is {'too much' if watched > MOST else 'none'}",
                where=f"{where}.anomaly_usd",
                fix="Name an amount, or leave it out",
            )
        managed = one_of(args.get("cost_tags", "manage"), MODES, f"{where}.cost_tags")
        _check_all(args["budgets"], where)
        self.topic_arn = pulumi.Output.from_input("")
        self.retained = pulumi.Output.from_input([])
        if args["budgets"] or watched is not None:
            told = addresses(args["notify"], where, "nobody would hear that a budget is used up")
            self._make(name, args, told, managed == "manage")
        self.register_outputs({"topic_arn": self.topic_arn, "retained": self.retained})

    def _make(self, name: str, args: BudgetsArgs, told: list[str], activate: bool) -> None:
        from pulumi_aws import get_caller_identity_output

        identity = get_caller_identity_output(opts=pulumi.InvokeOutputOptions(parent=self))
        account: pulumi.Input[str] = args.get("account") or identity.account_id
        of = identity.arn.apply(lambda arn: arn.split(":")[1])
        tags = args.get("tags", {})
        topic = sealed_topic(
            f"{name}-alerts",
            "Isthmus cost",
            _publishers(account, of),
            account=account,
            partition=of,
            tags=tags,
            parent=self,
        )
        if activate:
            self._activate(name, args)
        for each in args["budgets"]:
            self._budget(name, each, args, account, of, topic, told)
        if args.get("anomaly_usd") is not None:
            _anomalies(name, args, topic, told, pulumi.ResourceOptions(parent=self))
        self.topic_arn = topic.arn

    def _activate(self, name: str, args: BudgetsArgs) -> None:
        """Tags count in bills only once they are activated, which concerns the whole account and so outlives us."""
        from pulumi_aws.costexplorer import CostAllocationTag

        used = {TAG_KEYS[each["scope"]] for each in args["budgets"]}
        if args.get("anomaly_usd") is not None:
            used.add(TAG_KEYS["platform"])
        for key in sorted(used):
            CostAllocationTag(
                f"{name}-{key.rpartition('/')[2]}-tag",
                tag_key=key,
                status="Active",
                opts=pulumi.ResourceOptions(parent=self, retain_on_delete=True),
            )
        self.retained = pulumi.Output.from_input([f"cost-allocation tag {key}" for key in sorted(used)])

    def _budget(
        self,
        name: str,
        settings: BudgetSettings,
        args: BudgetsArgs,
        account: pulumi.Input[str],
        partition: pulumi.Output[str],
        topic: Topic,
        told: list[str],
    ) -> None:
        from pulumi_aws.budgets import Budget

        key, tags = TAG_KEYS[settings["scope"]], dict(args.get("tags", {}))
        if settings["scope"] != "platform":
            tags[key] = settings["of"]
        at = f"{name}-{settings['name']}"
        actual = [_notification("ACTUAL", share, topic, told) for share in sorted(settings["alert_pct"])]
        budget = Budget(
            at,
            name=aws_name(at, BUDGET_NAME),
            account_id=account,
            budget_type="COST",
            limit_amount=_plain(settings["monthly_usd"]),
            limit_unit="USD",
            time_unit="MONTHLY",
            cost_filters=[{"name": "TagKeyValue", "values": [f"user:{key}${settings['of']}"]}],
            notifications=[*actual, _notification("FORECASTED", 100, topic, told)],
            tags=tags,
            # AWS Budgets tries the topic when it is told of it.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[topic.ready]),
        )
        if settings["action"] == "deny":
            denial(
                at,
                budget,
                _roles(settings),
                account=account,
                partition=partition,
                boundary=args.get("permissions_boundary"),
                topic=topic.arn,
                told=told,
                tags=tags,
                parent=self,
                hosted=settings.get("hosted", False),
            )


def _notification(kind: str, share: int, topic: Topic, told: list[str]) -> Any:
    """By e-mail directly, which needs no confirmation of a subscription, and to the topic."""
    return {
        "comparison_operator": "GREATER_THAN",
        "notification_type": kind,
        "threshold": share,
        "threshold_type": "PERCENTAGE",
        "subscriber_email_addresses": told,
        "subscriber_sns_topic_arns": [topic.arn],
    }


def _publishers(account: pulumi.Input[str], partition: pulumi.Output[str]) -> list[Publisher]:
    """Source: AWS Cost Management User Guide, "Creating an Amazon SNS topic for budget notifications" and "… for
    anomaly notifications" (read 2026-11-25)."""
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


def _anomalies(
    name: str, args: BudgetsArgs, topic: Topic, told: list[str], child: pulumi.ResourceOptions
) -> None:
    """A monitor of what bears the platform's tag, or the account's own. An account has one monitor of all services at
    most, often made by AWS already, so none is made. At once to the topic, daily by e-mail: AWS pairs them so."""
    from pulumi_aws.costexplorer import AnomalyMonitor, AnomalySubscription

    monitor: pulumi.Input[str] | None = args.get("anomaly_monitor")
    if monitor is None:
        monitor = AnomalyMonitor(
            f"{name}-monitor",
            # What it counts by cannot be changed: another platform is another monitor, with another name.
            name=aws_name(f"{name}-monitor", BUDGET_NAME, args["platform"]),
            monitor_type="CUSTOM",
            monitor_specification=json.dumps(_counted(args["platform"])),
            tags=args.get("tags", {}),
            opts=child,
        ).arn
    ways: dict[str, tuple[str, list[Any]]] = {
        "at-once": ("IMMEDIATE", [{"type": "SNS", "address": topic.arn}]),
        "daily": ("DAILY", [{"type": "EMAIL", "address": address} for address in told]),
    }
    for suffix, (frequency, subscribers) in ways.items():
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
                    "values": [_plain(args.get("anomaly_usd", 0))],
                }
            },
            tags=args.get("tags", {}),
            opts=pulumi.ResourceOptions(parent=child.parent, depends_on=[topic.ready]),
        )


def _counted(platform: str) -> dict[str, Any]:
    """What a monitor counts, as the provider reads it back: with every member that it knows, or each up would make
    another monitor. The key is the tag's own, without `user:`, as pulumi-aws's example has it."""
    nothing = dict.fromkeys(("And", "CostCategories", "Dimensions", "Not", "Or"))
    return {**nothing, "Tags": {"Key": TAG_KEYS["platform"], "MatchOptions": None, "Values": [platform]}}


def _plain(usd: float) -> str:
    """To the cent, whole dollars without cents (as pulumi-aws's examples have them), and never as 1e+16."""
    return f"{float(usd):.2f}".removesuffix(".00")


def _roles(settings: BudgetSettings) -> list[pulumi.Input[str]]:
    one = settings.get("role_name")
    return ([one] if one else []) + list(settings.get("role_names", []))


def _check_all(budgets: list[BudgetSettings], where: str) -> None:
    seen: set[str] = set()
    for each in budgets:
        place = f"{where}.{each['name']}"
        if each["name"] in seen:
            raise InputError("two budgets bear this name", where=place, fix="Name each for itself")
        seen.add(each["name"])
        _check(each, place)


def _check(settings: BudgetSettings, where: str) -> None:
    one_of(settings["scope"], tuple(TAG_KEYS), f"{where}.scope")
    one_of(settings["action"], ACTIONS, f"{where}.action")
    usd = settings["monthly_usd"]
    if not 0 < round(float(usd), 2) <= MOST:
        raise InputError(
            f"a budget of {usd} USD is {'too much' if usd > MOST else 'none'}",
            where=f"{where}.monthly_usd",
            fix="Name an amount above 0, of at most a thousand million",
        )
    shares = settings["alert_pct"]
    if (
        len(set(shares)) < len(shares)
        or len(shares) > ALERTS
        or not all(1 <= share <= 1000 for share in shares)
    ):
        raise InputError(
            f"alerts at {', '.join(map(str, shares))} % cannot be made",
            where=f"{where}.alert_pct",
            fix=f"Name up to {ALERTS} different shares between 1 and 1000",
        )
    if settings["action"] == "deny" and not _roles(settings):
        raise InputError(
            "a denial needs a role to deny",
            where=f"{where}.action",
            fix="Name the role of the identity (`role_name`), or say `none`",
        )

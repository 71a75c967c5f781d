"""Limits DNS in a VPC to an allow-list (Route 53 Resolver DNS Firewall) and logs the queries.

A question to the VPC's resolver passes no security group and no network firewall, and the resolver carries it to
whoever owns the zone: data could leave spelled as names (Amazon Route 53 developer guide, "Using DNS Firewall to filter
outbound DNS traffic", read 2026-11).
"""

import re
from collections.abc import Sequence

import pulumi

from components.aws.common.log_group import sealed_log_group
from components.aws.common.names import aws_name
from isthmus.contracts.platform.model.aws.account import DNS_PATTERN
from isthmus.core.errors import InputError

ANY_NAME = "*."
"""Every name. AWS ends each name of a list with a dot and gives it back so; pulumi-aws sees a difference without it."""
ASSOCIATION_PRIORITY = 101
"""The first that AWS takes. An organisation's own rule groups by AWS Firewall Manager come before and after."""
_PATTERN = re.compile(DNS_PATTERN)


def check_names(names: Sequence[str], where: str) -> list[str]:
    """The names in their order, each once. Raises `InputError` for what is neither a whole name nor `*.` and a zone."""
    for index, name in enumerate(names):
        if not _PATTERN.fullmatch(name):
            raise InputError(
                f"'{name}' is neither a whole DNS name nor a zone with `*.` before it",
                where=f"{where}.{index}",
                fix="Write host.zone.example, or *.zone.example with at least two labels",
            )
    if not names:
        raise InputError("no DNS name may be resolved", where=where, fix="Add the names that are needed")
    return list(dict.fromkeys(names))


def create(
    name: str,
    *,
    vpc: pulumi.Input[str],
    names: Sequence[str],
    region: str,
    account: pulumi.Input[str],
    log_days: int,
    kms_key: pulumi.Input[str] | None,
    tags: dict[str, str],
    parent: pulumi.Resource,
    where: str,
) -> list[pulumi.Output[str]]:
    """The firewall and the log of a VPC. Given back: ARNs of what stays when the stack is destroyed.

    `names`: as `check_names` gives them. `where`: of the network among the settings, for messages.
    """
    child = pulumi.ResourceOptions(parent=parent)
    _firewall(name, vpc, names, tags, child)
    return _query_log(name, vpc, region, account, log_days, kms_key, tags, child, where)


def _firewall(
    name: str,
    vpc: pulumi.Input[str],
    names: Sequence[str],
    tags: dict[str, str],
    child: pulumi.ResourceOptions,
) -> None:
    from pulumi_aws import route53

    group = route53.ResolverFirewallRuleGroup(
        f"{name}-dns", name=aws_name(f"{name}-dns", 64), tags=tags, opts=child
    )
    rules: list[pulumi.Resource] = []
    # The order is the priorities': the block answers whatever the list before it does not hold.
    for label, domains, settings in (
        (
            "needed",
            [f"{domain}." for domain in sorted(names)],
            {
                "action": "ALLOW",
                "priority": 100,
                # Names of AWS lead on to others by CNAME, which AWS changes. Data leaves by the question, and the
                # question is for a name of the list (AWS News Blog, 2024-04-30, "Stop the CNAME chain struggle").
                "firewall_domain_redirection_action": "TRUST_REDIRECTION_DOMAIN",
            },
        ),
        (
            "others",
            [ANY_NAME],
            # "It does not exist" lets a resolver with a search list go on to the next name.
            {"action": "BLOCK", "priority": 200, "block_response": "NXDOMAIN"},
        ),
    ):
        domain_list = route53.ResolverFirewallDomainList(
            f"{name}-dns-{label}",
            name=aws_name(f"{name}-dns-{label}", 64),
            domains=domains,
            tags=tags,
            opts=child,
        )
        rules.append(
            route53.ResolverFirewallRule(
                f"{name}-dns-{label}",
                name=aws_name(f"{name}-dns-{label}", 64),
                firewall_rule_group_id=group.id,
                firewall_domain_list_id=domain_list.id,
                opts=child,
                **settings,
            )
        )
    # Without an answer from the firewall there is none from the resolver.
    firewall_config = route53.ResolverFirewallConfig(
        f"{name}-dns", resource_id=vpc, firewall_fail_open="DISABLED", opts=child
    )
    route53.ResolverFirewallRuleGroupAssociation(
        f"{name}-dns",
        name=aws_name(f"{name}-dns", 64),
        firewall_rule_group_id=group.id,
        vpc_id=vpc,
        priority=ASSOCIATION_PRIORITY,
        # Protected, it could not be taken away with the stack either. Who may change it, IAM says.
        mutation_protection="DISABLED",
        tags=tags,
        opts=pulumi.ResourceOptions.merge(
            child, pulumi.ResourceOptions(depends_on=[*rules, firewall_config])
        ),
    )


def _query_log(
    name: str,
    vpc: pulumi.Input[str],
    region: str,
    account: pulumi.Input[str],
    days: int,
    kms_key: pulumi.Input[str] | None,
    tags: dict[str, str],
    child: pulumi.ResourceOptions,
    where: str,
) -> list[pulumi.Output[str]]:
    from pulumi_aws import route53

    log = sealed_log_group(
        f"{name}-queries",
        # Below this prefix one statement of the account's log policy serves all groups; others have one each, and
        # that policy is short (CloudWatch Logs user guide, "Enable logging from AWS services").
        f"/aws/vendedlogs/isthmus/{name}/queries-",
        region=region,
        account=account,
        days=days,
        where=f"{where}.query_log_days",
        tags=tags,
        opts=pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(retain_on_delete=True)),
        kms_key=kms_key,
    )
    config = route53.ResolverQueryLogConfig(
        f"{name}-queries",
        name=aws_name(f"{name}-queries", 64),
        destination_arn=log.arn,
        tags=tags,
        opts=child,
    )
    route53.ResolverQueryLogConfigAssociation(
        f"{name}-queries", resolver_query_log_config_id=config.id, resource_id=vpc, opts=child
    )
    return log.made

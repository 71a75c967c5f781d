"""Limits DNS in a VPC to an allow-list (Route 53 Resolver DNS Firewall), and logs the queries.

Security groups and network firewalls do not apply to queries to the VPC's resolver, which forwards them to the
owner of the zone. So data could leave in names (Amazon Route 53 developer guide, "Using DNS Firewall to filter
outbound DNS traffic", read 2026-11).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from components.aws.common.log_group import LogGroupOptions, create_log_group
from components.aws.common.names import aws_name
from isthmus.contracts.platform.model.aws.account import DNS_PATTERN
from isthmus.core.errors import InputError

ANY_NAME = "*."
"""Every name. AWS appends a dot to each name of a list and returns it so. Without the dot pulumi-aws sees a
difference."""
ASSOCIATION_PRIORITY = 101
"""The lowest priority that AWS accepts. Rule groups of AWS Firewall Manager come before and after."""
_PATTERN = re.compile(DNS_PATTERN)


@dataclass(frozen=True)
class DnsRule:
    """A rule of the firewall: the action for queries of these names."""

    label: str
    domains: list[str]
    settings: dict[str, Any]
    """Arguments of the rule: action, priority and their options."""


@dataclass(frozen=True)
class FirewallOptions:
    """Common options of one firewall's resources."""

    name: str
    vpc: pulumi.Input[str]
    tags: dict[str, str]
    child: pulumi.ResourceOptions


def check_names(names: Sequence[str], where: str) -> list[str]:
    """The names in their order, without duplicates. Raises `InputError` unless each is a full name, or `*.` and a
    zone.
    """
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
    log_days: int,
    log_options: LogGroupOptions,
    where: str,
    parent: pulumi.Resource,
) -> list[pulumi.Output[str]]:
    """Create the firewall and the query log of a VPC. Returns the ARNs of the resources that a destroy retains.

    `names`: from `check_names`. `log_options`: of the log; its tags are also used for the firewall. `where`: path
    of the network in the settings, for messages.
    """
    options = FirewallOptions(name, vpc, log_options.tags, pulumi.ResourceOptions(parent=parent))
    _create_firewall(options, _rules(names))
    return _create_query_log(options, log_days, f"{where}.query_log_days", log_options)


def _rules(names: Sequence[str]) -> list[DnsRule]:
    """Allow the names and block all others. Rules apply in the order of their priorities."""
    return [
        DnsRule(
            "needed",
            [f"{domain}." for domain in sorted(names)],
            {
                "action": "ALLOW",
                "priority": 100,
                # AWS's names refer to others by CNAME, which AWS can change. Data can leave in the query only, and
                # its name must be on the list (AWS News Blog, 2024-04-30, "Stop the CNAME chain struggle").
                "firewall_domain_redirection_action": "TRUST_REDIRECTION_DOMAIN",
            },
        ),
        DnsRule(
            "others",
            [ANY_NAME],
            # NXDOMAIN lets a resolver with a search list try the next name.
            {"action": "BLOCK", "priority": 200, "block_response": "NXDOMAIN"},
        ),
    ]


def _create_firewall(options: FirewallOptions, rules: list[DnsRule]) -> None:
    """Create the rule group, and associate it with the VPC when all of its rules exist."""
    from pulumi_aws import route53

    name = options.name
    group = route53.ResolverFirewallRuleGroup(
        f"{name}-dns", name=aws_name(f"{name}-dns", 64), tags=options.tags, opts=options.child
    )
    dependencies = [_create_rule(options, group.id, rule) for rule in rules]
    # If the firewall does not answer, the resolver does not either.
    firewall_config = route53.ResolverFirewallConfig(
        f"{name}-dns", resource_id=options.vpc, firewall_fail_open="DISABLED", opts=options.child
    )
    route53.ResolverFirewallRuleGroupAssociation(
        f"{name}-dns",
        name=aws_name(f"{name}-dns", 64),
        firewall_rule_group_id=group.id,
        vpc_id=options.vpc,
        priority=ASSOCIATION_PRIORITY,
        # With protection, the stack could not be destroyed. IAM decides who may change it.
        mutation_protection="DISABLED",
        tags=options.tags,
        opts=pulumi.ResourceOptions.merge(
            options.child, pulumi.ResourceOptions(depends_on=[*dependencies, firewall_config])
        ),
    )


def _create_rule(options: FirewallOptions, group: pulumi.Output[str], rule: DnsRule) -> pulumi.Resource:
    """Create a rule in the group, and the list of its names."""
    from pulumi_aws import route53

    name = f"{options.name}-dns-{rule.label}"
    domain_list = route53.ResolverFirewallDomainList(
        name, name=aws_name(name, 64), domains=rule.domains, tags=options.tags, opts=options.child
    )
    return route53.ResolverFirewallRule(
        name,
        name=aws_name(name, 64),
        firewall_rule_group_id=group,
        firewall_domain_list_id=domain_list.id,
        opts=options.child,
        **rule.settings,
    )


def _create_query_log(
    options: FirewallOptions, days: int, where: str, log_options: LogGroupOptions
) -> list[pulumi.Output[str]]:
    """Log the VPC's DNS queries. Returns the ARNs of the log group and of a key made for it."""
    from pulumi_aws import route53

    name = f"{options.name}-queries"
    # One statement of the account's log policy covers all groups with this prefix. Other groups would need one
    # each, and the policy's size is limited (CloudWatch Logs user guide, "Enable logging from AWS services").
    prefix = f"/aws/vendedlogs/isthmus/{options.name}/queries-"
    log = create_log_group(name, prefix, days, where, log_options)
    config = route53.ResolverQueryLogConfig(
        name,
        name=aws_name(name, 64),
        destination_arn=log.arn,
        tags=options.tags,
        opts=options.child,
    )
    route53.ResolverQueryLogConfigAssociation(
        name, resolver_query_log_config_id=config.id, resource_id=options.vpc, opts=options.child
    )
    return log.made

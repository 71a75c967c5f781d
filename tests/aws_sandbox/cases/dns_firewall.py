"""Cases of Route 53 Resolver DNS Firewall and of query logs."""

from __future__ import annotations

from typing import Any

from tests.aws_sandbox.cases.case import Case, Inputs, changed, found
from tests.aws_sandbox.cases.link import vpc
from tests.aws_sandbox.driver import World


def _id(inputs: Inputs) -> str:
    return inputs["arn"].rsplit("/", 1)[-1]


def make_list(world: World, *domains: str) -> str:
    resolver = world.boto("route53resolver")
    domain_list = resolver.create_firewall_domain_list(
        CreatorRequestId=world.name("token"), Name=world.name("names")
    )
    id = domain_list["FirewallDomainList"]["Id"]
    if domains:
        resolver.update_firewall_domains(FirewallDomainListId=id, Operation="ADD", Domains=list(domains))
    return id


def make_group(world: World) -> str:
    group = world.boto("route53resolver").create_firewall_rule_group(
        CreatorRequestId=world.name("token"), Name=world.name("group")
    )
    return group["FirewallRuleGroup"]["Id"]


def _list_inputs(world: World) -> Inputs:
    return {
        "name": world.name("names"),
        "domains": ["s3.eu-central-1.amazonaws.com.", "*.fra1.bank.example."],
        "tags": {"class": "confidential"},
    }


def _list_behind(world: World, inputs: Inputs) -> str:
    world.boto("route53resolver").update_firewall_domains(
        FirewallDomainListId=_id(inputs), Operation="ADD", Domains=["*.attacker.example"]
    )
    return "domains"


def _list_left(world: World, inputs: Inputs) -> bool:
    listed = world.boto("route53resolver").list_firewall_domain_lists()["FirewallDomainLists"]
    return any(summary["Arn"] == inputs["arn"] for summary in listed)


def _group_inputs(world: World) -> Inputs:
    return {"name": world.name("group"), "tags": {"class": "confidential"}}


def _group_behind(world: World, inputs: Inputs) -> str:
    world.boto("route53resolver").delete_firewall_rule_group(FirewallRuleGroupId=_id(inputs))
    return ""


def _group_left(world: World, inputs: Inputs) -> bool:
    listed = world.boto("route53resolver").list_firewall_rule_groups()["FirewallRuleGroups"]
    return any(summary["Arn"] == inputs["arn"] for summary in listed)


def _rule_inputs(world: World) -> Inputs:
    return {
        "name": world.name("rule"),
        "action": "BLOCK",
        "blockResponse": "NXDOMAIN",
        "firewallDomainListId": make_list(world, "*."),
        "firewallRuleGroupId": make_group(world),
        "firewallDomainRedirectionAction": "INSPECT_REDIRECTION_DOMAIN",
        "priority": 200,
    }


def _pair(inputs: Inputs) -> dict[str, Any]:
    names = ("firewallRuleGroupId", "firewallDomainListId")
    return {name[0].upper() + name[1:]: inputs[name] for name in names}


def _rule_behind(world: World, inputs: Inputs) -> str:
    world.boto("route53resolver").update_firewall_rule(**_pair(inputs), BlockResponse="NODATA")
    return "blockResponse"


def _rule_left(world: World, inputs: Inputs) -> bool:
    listed = found(
        lambda: world.boto("route53resolver").list_firewall_rules(
            FirewallRuleGroupId=inputs["firewallRuleGroupId"]
        )
    )
    rules = listed["FirewallRules"] if listed else []
    return any(
        firewall_rule["FirewallDomainListId"] == inputs["firewallDomainListId"] for firewall_rule in rules
    )


def _association_inputs(world: World) -> Inputs:
    return {
        "name": world.name("association"),
        "firewallRuleGroupId": make_group(world),
        "mutationProtection": "DISABLED",
        "priority": 101,
        "vpcId": vpc(world)[0],
        "tags": {"class": "confidential"},
    }


def _association_behind(world: World, inputs: Inputs) -> str:
    world.boto("route53resolver").update_firewall_rule_group_association(
        FirewallRuleGroupAssociationId=_id(inputs), Priority=9000
    )
    return "priority"


def _association_left(world: World, inputs: Inputs) -> bool:
    listed = world.boto("route53resolver").list_firewall_rule_group_associations()
    return any(entry["Arn"] == inputs["arn"] for entry in listed["FirewallRuleGroupAssociations"])


def _config_inputs(world: World) -> Inputs:
    return {"resourceId": vpc(world)[0], "firewallFailOpen": "DISABLED"}


def _config_behind(world: World, inputs: Inputs) -> str:
    world.boto("route53resolver").update_firewall_config(
        ResourceId=inputs["resourceId"], FirewallFailOpen="ENABLED"
    )
    return "firewallFailOpen"


def _config_left(world: World, inputs: Inputs) -> bool:
    listed = world.boto("route53resolver").list_firewall_configs()["FirewallConfigs"]
    return any(resource["ResourceId"] == inputs["resourceId"] for resource in listed)


def _log_inputs(world: World) -> Inputs:
    return {
        "name": world.name("queries"),
        "destinationArn": f"arn:aws:logs:eu-central-1:123456789012:log-group:{world.name('queries')}",
        "tags": {"class": "confidential"},
    }


def _log_behind(world: World, inputs: Inputs) -> str:
    world.boto("route53resolver").delete_resolver_query_log_config(ResolverQueryLogConfigId=_id(inputs))
    return ""


def _log_left(world: World, inputs: Inputs) -> bool:
    listed = world.boto("route53resolver").list_resolver_query_log_configs()["ResolverQueryLogConfigs"]
    return any(summary["Arn"] == inputs["arn"] for summary in listed)


def _log_association_inputs(world: World) -> Inputs:
    config = world.boto("route53resolver").create_resolver_query_log_config(
        CreatorRequestId=world.name("token"),
        Name=world.name("queries"),
        DestinationArn="arn:aws:logs:eu-central-1:123456789012:log-group:queries",
    )
    return {
        "resolverQueryLogConfigId": config["ResolverQueryLogConfig"]["Id"],
        "resourceId": vpc(world)[0],
    }


def _unlogged(world: World, inputs: Inputs) -> str:
    world.boto("route53resolver").disassociate_resolver_query_log_config(
        ResolverQueryLogConfigId=inputs["resolverQueryLogConfigId"], ResourceId=inputs["resourceId"]
    )
    return ""


def _logged(world: World, inputs: Inputs) -> bool:
    listed = world.boto("route53resolver").list_resolver_query_log_config_associations()
    return any(
        resource["ResourceId"] == inputs["resourceId"]
        for resource in listed["ResolverQueryLogConfigAssociations"]
    )


CASES: dict[str, Case] = {
    "aws:route53/resolverFirewallDomainList:ResolverFirewallDomainList": Case(
        make=_list_inputs,
        change=changed(domains=["*.fra1.bank.example."], tags={"class": "internal"}),
        replace=changed(name="other-names"),
        behind=_list_behind,
        left=_list_left,
    ),
    "aws:route53/resolverFirewallRuleGroup:ResolverFirewallRuleGroup": Case(
        make=_group_inputs,
        change=changed(tags={"class": "internal"}),
        replace=changed(name="other-group"),
        behind=_group_behind,
        left=_group_left,
    ),
    "aws:route53/resolverFirewallRule:ResolverFirewallRule": Case(
        make=_rule_inputs,
        change=changed(blockResponse="NODATA", priority=300),
        replace=lambda world, inputs: {**inputs, "firewallRuleGroupId": make_group(world)},
        behind=_rule_behind,
        left=_rule_left,
    ),
    "aws:route53/resolverFirewallRuleGroupAssociation:ResolverFirewallRuleGroupAssociation": Case(
        make=_association_inputs,
        change=changed(priority=500, tags={"class": "internal"}),
        replace=lambda world, inputs: {**inputs, "vpcId": vpc(world)[0], "name": "other-vpc"},
        behind=_association_behind,
        left=_association_left,
    ),
    "aws:route53/resolverFirewallConfig:ResolverFirewallConfig": Case(
        make=_config_inputs,
        change=changed(firewallFailOpen="ENABLED"),
        replace=lambda world, inputs: {**inputs, "resourceId": vpc(world)[0]},
        behind=_config_behind,
        left=_config_left,
        stays=True,
    ),
    "aws:route53/resolverQueryLogConfig:ResolverQueryLogConfig": Case(
        make=_log_inputs,
        change=changed(tags={"class": "internal"}),
        replace=changed(name="other-queries"),
        behind=_log_behind,
        left=_log_left,
    ),
    "aws:route53/resolverQueryLogConfigAssociation:ResolverQueryLogConfigAssociation": Case(
        make=_log_association_inputs,
        change=None,
        replace=lambda world, inputs: {**inputs, "resourceId": vpc(world)[0]},
        behind=_unlogged,
        left=_logged,
    ),
}

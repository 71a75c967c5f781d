"""Amazon Route 53 Resolver DNS Firewall and query logging: domain lists, rules, and associated VPCs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sandbox.aws.model import AutoName, Call, Facet, Scope, Tagging, Type, find_only_id, fresh_token
from sandbox.aws.schema import Prop, has_same_members
from sandbox.aws.table.kms import REGION, TAGS

_GONE = ("ResourceNotFoundException",)
_TAGGING = Tagging(
    put=Call("tag_resource", {"ResourceArn": "$arn", "Tags": "$tagsSet"}),
    remove=Call("untag_resource", {"ResourceArn": "$arn", "TagKeys": "$tagsGone"}),
)
_READ_TAGS = Call("list_tags_for_resource", {"ResourceArn": "$arn"}, result={"tagsAll": "Tags"})
_NAMED = AutoName("name", None, longest=64)
_LIST, _GROUP = {"FirewallDomainListId": "$id"}, {"FirewallRuleGroupId": "$id"}


def _write_domains(call: Callable[..., Any], scope: Scope) -> None:
    """Replace a domain list. AWS needs at least one name for that, so an empty list removes the old names."""
    new_domains = list(scope.get("domains") or [])
    if new_domains:
        call(
            "update_firewall_domains",
            FirewallDomainListId=scope["id"],
            Operation="REPLACE",
            Domains=new_domains,
        )
        return
    old_domains = call("list_firewall_domains", FirewallDomainListId=scope["id"])["Domains"]
    if old_domains:
        call(
            "update_firewall_domains",
            FirewallDomainListId=scope["id"],
            Operation="REMOVE",
            Domains=old_domains,
        )


FIREWALL_DOMAIN_LIST = Type(
    "aws:route53/resolverFirewallDomainList:ResolverFirewallDomainList",
    service="route53resolver",
    id="{id}",
    inputs={
        # AWS adds a dot to each name. pulumi-aws shows a difference for an input without it.
        "domains": Prop("list", alike=has_same_members),
        "name": Prop(replace=True),
        "region": REGION,
        "tags": TAGS,
    },
    outputs={"arn": Prop(), "tagsAll": Prop("tags")},
    create=Call(
        "create_firewall_domain_list",
        {"CreatorRequestId": fresh_token, "Name": "$name", "Tags": "$tagsAll"},
        result={"id": "FirewallDomainList.Id"},
    ),
    reads=(
        Call(
            "get_firewall_domain_list",
            _LIST,
            pick="FirewallDomainList",
            result={"arn": "Arn", "name": "Name"},
            absent=_GONE,
        ),
        Call("list_firewall_domains", _LIST, result={"domains": "Domains"}),
        _READ_TAGS,
    ),
    facets=(Facet(("domains",), put=_write_domains, at_create=True),),
    tagging=_TAGGING,
    delete=Call("delete_firewall_domain_list", _LIST, absent=_GONE),
    autoname=_NAMED,
    limits="No query is looked at. Lists of AWS's own, and import from a file in S3, are not served.",
)

FIREWALL_RULE_GROUP = Type(
    "aws:route53/resolverFirewallRuleGroup:ResolverFirewallRuleGroup",
    service="route53resolver",
    id="{id}",
    inputs={"name": Prop(replace=True), "region": REGION, "tags": TAGS},
    outputs={"arn": Prop(), "ownerId": Prop(), "shareStatus": Prop(), "tagsAll": Prop("tags")},
    create=Call(
        "create_firewall_rule_group",
        {"CreatorRequestId": fresh_token, "Name": "$name", "Tags": "$tagsAll"},
        result={"id": "FirewallRuleGroup.Id"},
    ),
    reads=(
        Call(
            "get_firewall_rule_group",
            _GROUP,
            pick="FirewallRuleGroup",
            result={"arn": "Arn", "name": "Name", "ownerId": "OwnerId", "shareStatus": "ShareStatus"},
            absent=_GONE,
        ),
        _READ_TAGS,
    ),
    tagging=_TAGGING,
    delete=Call("delete_firewall_rule_group", _GROUP, absent=_GONE),
    autoname=_NAMED,
    limits="No query is looked at, and no group is shared with other accounts.",
)

_PAIR = {"FirewallRuleGroupId": "$firewallRuleGroupId", "FirewallDomainListId": "$firewallDomainListId"}
_SETTINGS: Mapping[str, Any] = {
    "Action": "$action",
    "BlockOverrideDnsType": "$blockOverrideDnsType",
    "BlockOverrideDomain": "$blockOverrideDomain",
    "BlockOverrideTtl": "$blockOverrideTtl",
    "BlockResponse": "$blockResponse",
    "FirewallDomainRedirectionAction": "$firewallDomainRedirectionAction",
    "Name": "$name",
    "Priority": "$priority",
}


FIREWALL_RULE = Type(
    "aws:route53/resolverFirewallRule:ResolverFirewallRule",
    service="route53resolver",
    id="{firewallRuleGroupId}:{firewallDomainListId}",
    inputs={
        "action": Prop(required=True),
        "blockOverrideDnsType": Prop(),
        "blockOverrideDomain": Prop(),
        "blockOverrideTtl": Prop("number"),
        "blockResponse": Prop(),
        # Optional in pulumi-aws, since rules of DNS Firewall Advanced have none.
        "firewallDomainListId": Prop(replace=True),
        "firewallDomainRedirectionAction": Prop(default="INSPECT_REDIRECTION_DOMAIN"),
        "firewallRuleGroupId": Prop(required=True, replace=True),
        "name": Prop(),
        "priority": Prop("number", required=True),
        "region": REGION,
    },
    outputs={},
    create=Call("create_firewall_rule", {"CreatorRequestId": fresh_token, **_PAIR, **_SETTINGS}),
    reads=(
        Call(
            "list_firewall_rules",
            {"FirewallRuleGroupId": "$firewallRuleGroupId"},
            pick="FirewallRules[?FirewallDomainListId=='{firewallDomainListId}'] | [0]",
            result={
                "action": "Action",
                "blockOverrideDnsType": "BlockOverrideDnsType",
                "blockOverrideDomain": "BlockOverrideDomain",
                "blockOverrideTtl": "BlockOverrideTtl",
                "blockResponse": "BlockResponse",
                "firewallDomainListId": "FirewallDomainListId",
                "firewallDomainRedirectionAction": "FirewallDomainRedirectionAction",
                "firewallRuleGroupId": "FirewallRuleGroupId",
                "name": "Name",
                "priority": "Priority",
            },
            absent=_GONE,
        ),
    ),
    facets=(
        Facet(
            (
                "action",
                "blockOverrideDnsType",
                "blockOverrideDomain",
                "blockOverrideTtl",
                "blockResponse",
                "firewallDomainRedirectionAction",
                "name",
                "priority",
            ),
            put=Call("update_firewall_rule", {**_PAIR, **_SETTINGS}),
        ),
    ),
    delete=Call("delete_firewall_rule", _PAIR, absent=_GONE),
    autoname=_NAMED,
    limits="No query is allowed or blocked. Rules of DNS Firewall Advanced, and by type of query, are not served.",
)


def _twin(call: Callable[..., Any], scope: Scope) -> str | None:
    """Return the id of the only association of a group and a VPC."""
    group, vpc = scope.get("firewallRuleGroupId"), scope.get("vpcId")
    if group is None or vpc is None:
        return None
    answer = call("list_firewall_rule_group_associations", FirewallRuleGroupId=group, VpcId=vpc)
    ids = [association["Id"] for association in answer["FirewallRuleGroupAssociations"]]
    return str(ids[0]) if len(ids) == 1 else None


FIREWALL_RULE_GROUP_ASSOCIATION = Type(
    "aws:route53/resolverFirewallRuleGroupAssociation:ResolverFirewallRuleGroupAssociation",
    service="route53resolver",
    id="{id}",
    inputs={
        "firewallRuleGroupId": Prop(required=True, replace=True),
        "mutationProtection": Prop(computed=True),
        "name": Prop(),
        "priority": Prop("number", required=True),
        "vpcId": Prop(required=True, replace=True),
        "region": REGION,
        "tags": TAGS,
    },
    outputs={"arn": Prop(), "tagsAll": Prop("tags")},
    create=Call(
        "associate_firewall_rule_group",
        {
            "CreatorRequestId": fresh_token,
            "FirewallRuleGroupId": "$firewallRuleGroupId",
            "MutationProtection": "$mutationProtection",
            "Name": "$name",
            "Priority": "$priority",
            "VpcId": "$vpcId",
            "Tags": "$tagsAll",
        },
        result={"id": "FirewallRuleGroupAssociation.Id"},
    ),
    find_only=_twin,
    reads=(
        Call(
            "get_firewall_rule_group_association",
            {"FirewallRuleGroupAssociationId": "$id"},
            pick="FirewallRuleGroupAssociation",
            result={
                "arn": "Arn",
                "firewallRuleGroupId": "FirewallRuleGroupId",
                "mutationProtection": "MutationProtection",
                "name": "Name",
                "priority": "Priority",
                "vpcId": "VpcId",
            },
            absent=_GONE,
        ),
        _READ_TAGS,
    ),
    facets=(
        Facet(
            ("mutationProtection", "name", "priority"),
            put=Call(
                "update_firewall_rule_group_association",
                {
                    "FirewallRuleGroupAssociationId": "$id",
                    "MutationProtection": "$mutationProtection",
                    "Name": "$name",
                    "Priority": "$priority",
                },
            ),
        ),
    ),
    tagging=_TAGGING,
    delete=Call("disassociate_firewall_rule_group", {"FirewallRuleGroupAssociationId": "$id"}, absent=_GONE),
    autoname=_NAMED,
    limits="No query of the VPC is looked at.",
)


def _config(call: Callable[..., Any], scope: Scope) -> str | None:
    """Return the id of the only configuration of a VPC."""
    if scope.get("resourceId") is None:
        return None
    return call("get_firewall_config", ResourceId=scope["resourceId"])["FirewallConfig"]["Id"] or None


FIREWALL_CONFIG = Type(
    "aws:route53/resolverFirewallConfig:ResolverFirewallConfig",
    service="route53resolver",
    id="{id}",
    inputs={
        "firewallFailOpen": Prop(computed=True),
        "resourceId": Prop(required=True, replace=True),
        "region": REGION,
    },
    outputs={"ownerId": Prop()},
    create=Call(
        "update_firewall_config",
        {"ResourceId": "$resourceId", "FirewallFailOpen": "$firewallFailOpen"},
        result={"id": "FirewallConfig.Id"},
    ),
    find_only=_config,
    allows_duplicates=False,
    reads=(
        Call(
            "list_firewall_configs",
            {},
            pick="FirewallConfigs[?Id=='{id}'] | [0]",
            result={
                "firewallFailOpen": "FirewallFailOpen",
                "ownerId": "OwnerId",
                "resourceId": "ResourceId",
            },
        ),
    ),
    facets=(
        Facet(
            ("firewallFailOpen",),
            put=Call(
                "update_firewall_config",
                {"ResourceId": "$resourceId", "FirewallFailOpen": "$firewallFailOpen"},
            ),
        ),
    ),
    delete=Call(
        "update_firewall_config", {"ResourceId": "$resourceId", "FirewallFailOpen": "DISABLED"}, absent=_GONE
    ),
    limits="The firewall never fails.",
)

QUERY_LOG_CONFIG = Type(
    "aws:route53/resolverQueryLogConfig:ResolverQueryLogConfig",
    service="route53resolver",
    id="{id}",
    inputs={
        "destinationArn": Prop(required=True, replace=True),
        "name": Prop(replace=True),
        "region": REGION,
        "tags": TAGS,
    },
    outputs={"arn": Prop(), "ownerId": Prop(), "shareStatus": Prop(), "tagsAll": Prop("tags")},
    create=Call(
        "create_resolver_query_log_config",
        {
            "CreatorRequestId": fresh_token,
            "DestinationArn": "$destinationArn",
            "Name": "$name",
            "Tags": "$tagsAll",
        },
        result={"id": "ResolverQueryLogConfig.Id"},
    ),
    reads=(
        Call(
            "get_resolver_query_log_config",
            {"ResolverQueryLogConfigId": "$id"},
            pick="ResolverQueryLogConfig",
            result={
                "arn": "Arn",
                "destinationArn": "DestinationArn",
                "name": "Name",
                "ownerId": "OwnerId",
                "shareStatus": "ShareStatus",
            },
            absent=_GONE,
        ),
        _READ_TAGS,
    ),
    tagging=_TAGGING,
    delete=Call("delete_resolver_query_log_config", {"ResolverQueryLogConfigId": "$id"}, absent=_GONE),
    autoname=_NAMED,
    limits="Nothing is logged, and whether Route 53 may write to the destination is not looked at.",
)

QUERY_LOG_CONFIG_ASSOCIATION = Type(
    "aws:route53/resolverQueryLogConfigAssociation:ResolverQueryLogConfigAssociation",
    service="route53resolver",
    id="{id}",
    inputs={
        "resolverQueryLogConfigId": Prop(required=True, replace=True),
        "resourceId": Prop(required=True, replace=True),
        "region": REGION,
    },
    outputs={},
    create=Call(
        "associate_resolver_query_log_config",
        {"ResolverQueryLogConfigId": "$resolverQueryLogConfigId", "ResourceId": "$resourceId"},
        result={"id": "ResolverQueryLogConfigAssociation.Id"},
    ),
    find_only=find_only_id(
        "list_resolver_query_log_config_associations",
        "ResolverQueryLogConfigAssociations[].Id",
        {"ResolverQueryLogConfigId": "resolverQueryLogConfigId", "ResourceId": "resourceId"},
    ),
    reads=(
        Call(
            "get_resolver_query_log_config_association",
            {"ResolverQueryLogConfigAssociationId": "$id"},
            pick="ResolverQueryLogConfigAssociation",
            result={"resolverQueryLogConfigId": "ResolverQueryLogConfigId", "resourceId": "ResourceId"},
            absent=_GONE,
        ),
    ),
    delete=Call(
        "disassociate_resolver_query_log_config",
        {"ResolverQueryLogConfigId": "$resolverQueryLogConfigId", "ResourceId": "$resourceId"},
        absent=_GONE,
    ),
    limits="No query is logged.",
)

TYPES = (
    FIREWALL_DOMAIN_LIST,
    FIREWALL_RULE_GROUP,
    FIREWALL_RULE,
    FIREWALL_RULE_GROUP_ASSOCIATION,
    FIREWALL_CONFIG,
    QUERY_LOG_CONFIG,
    QUERY_LOG_CONFIG_ASSOCIATION,
)

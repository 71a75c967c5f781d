"""Route 53 Resolver DNS Firewall and query logging, with their tags. moto lacks the firewall and cannot delete logs.

No query is answered or blocked here. As in AWS, requests are refused for lists and groups in use, used priorities, and
missing VPCs.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sandbox.aws.beside.memory import Memory
from sandbox.aws.resources import partition
from sandbox.aws.service_frame import Operation, Refused, ServiceRequest

FIRST_PRIORITY, LAST_PRIORITY = 101, 9899
"""Priorities of a rule group's association. AWS Firewall Manager uses the others."""


@dataclass
class _Resolver:
    """The resources of one account and region, by id."""

    lists: dict[str, dict[str, Any]] = field(default_factory=dict)
    domains: dict[str, list[str]] = field(default_factory=dict)
    groups: dict[str, dict[str, Any]] = field(default_factory=dict)
    rules: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """By group."""
    associations: dict[str, dict[str, Any]] = field(default_factory=dict)
    configs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By VPC."""
    logs: dict[str, dict[str, Any]] = field(default_factory=dict)
    log_associations: dict[str, dict[str, Any]] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    """By ARN."""


_STORE: Memory[_Resolver] = Memory(_Resolver)


def _id(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:17]}"


def _arn(request: ServiceRequest, kind: str, id: str) -> str:
    return (
        f"arn:{partition(request.region)[0]}:route53resolver:{request.region}:{request.account}:{kind}/{id}"
    )


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat()


def _missing(noun: str, id: str) -> Refused:
    return Refused("ResourceNotFoundException", 400, f"{noun} with ID '{id}' does not exist.")


def _find(resources: dict[str, Any], id: str, noun: str) -> Any:
    if id not in resources:
        raise _missing(noun, id)
    return resources[id]


def _check_vpc(request: ServiceRequest, id: str) -> None:
    from moto.ec2.models import ec2_backends

    if id not in ec2_backends[request.account][request.region].vpcs:
        raise _missing("VPC", id)


def _create_once(
    request: ServiceRequest,
    resources: dict[str, dict[str, Any]],
    prefix: str,
    kind: str,
    more: dict[str, Any],
) -> dict[str, Any]:
    """Create a resource. A repeated request with the same CreatorRequestId returns the first one."""
    token = request.params["CreatorRequestId"]
    for resource in resources.values():
        if resource["CreatorRequestId"] == token:
            return resource
    id = _id(prefix)
    arn = _arn(request, kind, id)
    resources[id] = {
        **{"Id": id, "Arn": arn, "Name": request.params["Name"], "CreatorRequestId": token},
        **{"CreationTime": _now(), **more},
    }
    new_tags = request.params.get("Tags") or []
    _STORE.of(request).tags[arn] = {tag["Key"]: tag["Value"] for tag in new_tags}
    return resources[id]


# -- lists of domains


def create_list(request: ServiceRequest) -> dict[str, Any]:
    store = _STORE.of(request)
    more = {"DomainCount": 0, "Status": "COMPLETE", "ModificationTime": _now()}
    domain_list = _create_once(request, store.lists, "rslvr-fdl", "firewall-domain-list", more)
    store.domains.setdefault(domain_list["Id"], [])
    return {"FirewallDomainList": domain_list}


def get_list(request: ServiceRequest) -> dict[str, Any]:
    id = request.params["FirewallDomainListId"]
    return {"FirewallDomainList": _find(_STORE.of(request).lists, id, "Firewall domain list")}


def update_domains(request: ServiceRequest) -> dict[str, Any]:
    """Add, remove or replace domains. As in AWS, each name gets a dot at its end."""
    store, id = _STORE.of(request), request.params["FirewallDomainListId"]
    domain_list = _find(store.lists, id, "Firewall domain list")
    names = [f"{domain.rstrip('.')}." for domain in request.params["Domains"]]
    old_domains = store.domains[id]
    if request.params["Operation"] == "REMOVE":
        new_domains = [domain for domain in old_domains if domain not in names]
    else:
        remaining = old_domains if request.params["Operation"] == "ADD" else []
        new_domains = list(dict.fromkeys([*remaining, *names]))
    store.domains[id] = new_domains
    domain_list.update(DomainCount=len(new_domains), ModificationTime=_now())
    return {name: domain_list[name] for name in ("Id", "Name", "Status")}


def list_domains(request: ServiceRequest) -> dict[str, Any]:
    store, id = _STORE.of(request), request.params["FirewallDomainListId"]
    _find(store.lists, id, "Firewall domain list")
    return {"Domains": store.domains[id]}


def delete_list(request: ServiceRequest) -> dict[str, Any]:
    store, id = _STORE.of(request), request.params["FirewallDomainListId"]
    domain_list = _find(store.lists, id, "Firewall domain list")
    if any(rule["FirewallDomainListId"] == id for rules in store.rules.values() for rule in rules):
        raise Refused("ConflictException", 400, f"Firewall domain list '{id}' is used by a firewall rule.")
    del store.lists[id], store.domains[id]
    return {"FirewallDomainList": {**domain_list, "Status": "DELETING"}}


def list_lists(request: ServiceRequest) -> dict[str, Any]:
    return {"FirewallDomainLists": _summaries(_STORE.of(request).lists.values())}


def _summaries(resources: Iterable[dict[str, Any]], *more: str) -> list[dict[str, Any]]:
    """Return the members of resources that a listing shows."""
    names = ("Id", "Arn", "Name", "CreatorRequestId", *more)
    return [{name: resource[name] for name in names} for resource in resources]


# -- groups of rules, and rules


def create_group(request: ServiceRequest) -> dict[str, Any]:
    store = _STORE.of(request)
    more = {
        **{"RuleCount": 0, "Status": "COMPLETE", "OwnerId": request.account, "ShareStatus": "NOT_SHARED"},
        "ModificationTime": _now(),
    }
    group = _create_once(request, store.groups, "rslvr-frg", "firewall-rule-group", more)
    store.rules.setdefault(group["Id"], [])
    return {"FirewallRuleGroup": group}


def get_group(request: ServiceRequest) -> dict[str, Any]:
    id = request.params["FirewallRuleGroupId"]
    return {"FirewallRuleGroup": _find(_STORE.of(request).groups, id, "Firewall rule group")}


def delete_group(request: ServiceRequest) -> dict[str, Any]:
    store, id = _STORE.of(request), request.params["FirewallRuleGroupId"]
    group = _find(store.groups, id, "Firewall rule group")
    if any(association["FirewallRuleGroupId"] == id for association in store.associations.values()):
        raise Refused("ConflictException", 400, f"Firewall rule group '{id}' is associated with a VPC.")
    del store.groups[id], store.rules[id]
    return {"FirewallRuleGroup": {**group, "Status": "DELETING"}}


def list_groups(request: ServiceRequest) -> dict[str, Any]:
    return {"FirewallRuleGroups": _summaries(_STORE.of(request).groups.values(), "OwnerId", "ShareStatus")}


_RULE = (
    *("FirewallRuleGroupId", "FirewallDomainListId", "Name", "Priority", "Action", "BlockResponse"),
    *("BlockOverrideDomain", "BlockOverrideDnsType", "BlockOverrideTtl", "CreatorRequestId"),
    *("FirewallDomainRedirectionAction", "Qtype"),
)


def create_rule(request: ServiceRequest) -> dict[str, Any]:
    store, params = _STORE.of(request), request.params
    group = _find(store.groups, params["FirewallRuleGroupId"], "Firewall rule group")
    if "FirewallDomainListId" not in params:
        raise Refused("ValidationException", 400, "The sandbox serves rules over lists of domains only.")
    _find(store.lists, params["FirewallDomainListId"], "Firewall domain list")
    rules = store.rules[group["Id"]]
    rule = {name: params[name] for name in _RULE if name in params}
    rule.setdefault("FirewallDomainRedirectionAction", "INSPECT_REDIRECTION_DOMAIN")
    if any(existing["FirewallDomainListId"] == rule["FirewallDomainListId"] for existing in rules):
        raise Refused("ConflictException", 400, "The rule group has a rule for this domain list already.")
    _check_rule(rule, rules)
    rules.append({**rule, "CreationTime": _now(), "ModificationTime": _now()})
    group["RuleCount"] = len(rules)
    return {"FirewallRule": rules[-1]}


def _check_rule(rule: dict[str, Any], other_rules: list[dict[str, Any]]) -> None:
    if any(other["Priority"] == rule["Priority"] for other in other_rules):
        raise Refused(
            "ConflictException", 400, f"The priority {rule['Priority']} is taken in the rule group."
        )
    if (rule["Action"] == "BLOCK") != ("BlockResponse" in rule):
        raise Refused("ValidationException", 400, "BlockResponse is required with the action BLOCK alone.")


def _find_rule(request: ServiceRequest) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the rule of the request, and the other rules of its group."""
    store, params = _STORE.of(request), request.params
    rules = _find(store.rules, params["FirewallRuleGroupId"], "Firewall rule group")
    matching_rules = [
        rule for rule in rules if rule["FirewallDomainListId"] == params.get("FirewallDomainListId")
    ]
    if not matching_rules:
        raise _missing("Firewall rule of domain list", str(params.get("FirewallDomainListId")))
    return matching_rules[0], [rule for rule in rules if rule is not matching_rules[0]]


def update_rule(request: ServiceRequest) -> dict[str, Any]:
    rule, other_rules = _find_rule(request)
    changed = {**rule, **{name: request.params[name] for name in _RULE if name in request.params}}
    if changed["Action"] != "BLOCK":
        changed.pop("BlockResponse", None)
    _check_rule(changed, other_rules)
    rule.clear()
    rule.update(changed, ModificationTime=_now())
    return {"FirewallRule": rule}


def delete_rule(request: ServiceRequest) -> dict[str, Any]:
    rule, other_rules = _find_rule(request)
    store = _STORE.of(request)
    store.rules[rule["FirewallRuleGroupId"]] = other_rules
    store.groups[rule["FirewallRuleGroupId"]]["RuleCount"] = len(other_rules)
    return {"FirewallRule": rule}


def list_rules(request: ServiceRequest) -> dict[str, Any]:
    rules = _find(_STORE.of(request).rules, request.params["FirewallRuleGroupId"], "Firewall rule group")
    return {"FirewallRules": rules}


# -- associations of rule groups with VPCs, and whether the firewall fails open


def associate_group(request: ServiceRequest) -> dict[str, Any]:
    store, params = _STORE.of(request), request.params
    _find(store.groups, params["FirewallRuleGroupId"], "Firewall rule group")
    _check_vpc(request, params["VpcId"])
    for association in store.associations.values():
        if association["CreatorRequestId"] == params["CreatorRequestId"]:
            return {"FirewallRuleGroupAssociation": association}
    vpc_associations = [
        association for association in store.associations.values() if association["VpcId"] == params["VpcId"]
    ]
    if any(
        association["FirewallRuleGroupId"] == params["FirewallRuleGroupId"]
        for association in vpc_associations
    ):
        raise Refused("ConflictException", 400, "The rule group is associated with this VPC already.")
    _check_priority(params["Priority"], vpc_associations)
    more = {
        **{"FirewallRuleGroupId": params["FirewallRuleGroupId"], "VpcId": params["VpcId"]},
        **{"Priority": params["Priority"], "Status": "COMPLETE", "ModificationTime": _now()},
        "MutationProtection": params.get("MutationProtection", "DISABLED"),
    }
    kind = "firewall-rule-group-association"
    return {
        "FirewallRuleGroupAssociation": _create_once(
            request, store.associations, "rslvr-frgassoc", kind, more
        )
    }


def _check_priority(priority: int, associations: list[dict[str, Any]]) -> None:
    if not FIRST_PRIORITY <= priority <= LAST_PRIORITY:
        raise Refused("ValidationException", 400, "The priority must be greater than 100 and less than 9900.")
    if any(association["Priority"] == priority for association in associations):
        raise Refused("ConflictException", 400, f"The priority {priority} is taken in the VPC.")


def _find_association(request: ServiceRequest) -> dict[str, Any]:
    id = request.params["FirewallRuleGroupAssociationId"]
    return _find(_STORE.of(request).associations, id, "Firewall rule group association")


def get_association(request: ServiceRequest) -> dict[str, Any]:
    return {"FirewallRuleGroupAssociation": _find_association(request)}


def update_association(request: ServiceRequest) -> dict[str, Any]:
    association, params = _find_association(request), request.params
    vpc_associations = [
        other
        for other in _STORE.of(request).associations.values()
        if other["VpcId"] == association["VpcId"] and other is not association
    ]
    _check_priority(params.get("Priority", association["Priority"]), vpc_associations)
    names = ("Priority", "MutationProtection", "Name")
    association.update({name: params[name] for name in names if name in params}, ModificationTime=_now())
    return {"FirewallRuleGroupAssociation": association}


def disassociate_group(request: ServiceRequest) -> dict[str, Any]:
    association = _find_association(request)
    if association["MutationProtection"] == "ENABLED":
        raise Refused("ConflictException", 400, "The association is protected against changes.")
    del _STORE.of(request).associations[association["Id"]]
    return {"FirewallRuleGroupAssociation": {**association, "Status": "DELETING"}}


def list_associations(request: ServiceRequest) -> dict[str, Any]:
    criteria = {
        name: request.params[name] for name in ("FirewallRuleGroupId", "VpcId") if name in request.params
    }
    associations = _STORE.of(request).associations.values()
    selected = [
        association
        for association in associations
        if all(association[name] == value for name, value in criteria.items())
    ]
    return {"FirewallRuleGroupAssociations": selected}


def update_config(request: ServiceRequest) -> dict[str, Any]:
    store, vpc = _STORE.of(request), request.params["ResourceId"]
    _check_vpc(request, vpc)
    config = store.configs.setdefault(
        vpc, {"Id": _id("rslvr-fc"), "ResourceId": vpc, "OwnerId": request.account}
    )
    config["FirewallFailOpen"] = request.params["FirewallFailOpen"]
    return {"FirewallConfig": config}


def get_config(request: ServiceRequest) -> dict[str, Any]:
    """Return the configuration of a VPC. By default it fails closed."""
    vpc = request.params["ResourceId"]
    _check_vpc(request, vpc)
    closed = {"Id": "", "ResourceId": vpc, "OwnerId": request.account, "FirewallFailOpen": "DISABLED"}
    return {"FirewallConfig": _STORE.of(request).configs.get(vpc, closed)}


def list_configs(request: ServiceRequest) -> dict[str, Any]:
    from moto.ec2.models import ec2_backends

    vpcs = ec2_backends[request.account][request.region].vpcs
    return {"FirewallConfigs": [config for vpc, config in _STORE.of(request).configs.items() if vpc in vpcs]}


# -- query logs


def create_log(request: ServiceRequest) -> dict[str, Any]:
    more = {
        **{"OwnerId": request.account, "Status": "CREATED", "ShareStatus": "NOT_SHARED"},
        **{"AssociationCount": 0, "DestinationArn": request.params["DestinationArn"]},
    }
    kind = "resolver-query-log-config"
    return {"ResolverQueryLogConfig": _create_once(request, _STORE.of(request).logs, "rqlc", kind, more)}


def _find_log(request: ServiceRequest) -> dict[str, Any]:
    return _find(_STORE.of(request).logs, request.params["ResolverQueryLogConfigId"], "Query log config")


def get_log(request: ServiceRequest) -> dict[str, Any]:
    return {"ResolverQueryLogConfig": _find_log(request)}


def delete_log(request: ServiceRequest) -> dict[str, Any]:
    log, store = _find_log(request), _STORE.of(request)
    if any(
        association["ResolverQueryLogConfigId"] == log["Id"]
        for association in store.log_associations.values()
    ):
        raise Refused("InvalidRequestException", 400, "The query log config is associated with a VPC.")
    del store.logs[log["Id"]]
    return {"ResolverQueryLogConfig": {**log, "Status": "DELETING"}}


def list_logs(request: ServiceRequest) -> dict[str, Any]:
    logs = list(_STORE.of(request).logs.values())
    return {**_counts(logs), "ResolverQueryLogConfigs": logs}


def _counts(resources: list[dict[str, Any]]) -> dict[str, int]:
    return {"TotalCount": len(resources), "TotalFilteredCount": len(resources)}


def associate_log(request: ServiceRequest) -> dict[str, Any]:
    log, store, vpc = _find_log(request), _STORE.of(request), request.params["ResourceId"]
    _check_vpc(request, vpc)
    for association in store.log_associations.values():
        if (association["ResolverQueryLogConfigId"], association["ResourceId"]) == (log["Id"], vpc):
            raise Refused("ResourceExistsException", 400, "The VPC is associated with this config already.")
    id = _id("rqlca")
    store.log_associations[id] = {
        **{"Id": id, "ResolverQueryLogConfigId": log["Id"], "ResourceId": vpc},
        **{"Status": "ACTIVE", "Error": "NONE", "ErrorMessage": "", "CreationTime": _now()},
    }
    log["AssociationCount"] += 1
    return {"ResolverQueryLogConfigAssociation": store.log_associations[id]}


def get_log_association(request: ServiceRequest) -> dict[str, Any]:
    id = request.params["ResolverQueryLogConfigAssociationId"]
    association = _find(_STORE.of(request).log_associations, id, "Query log config association")
    return {"ResolverQueryLogConfigAssociation": association}


def disassociate_log(request: ServiceRequest) -> dict[str, Any]:
    log, store, vpc = _find_log(request), _STORE.of(request), request.params["ResourceId"]
    for id, association in store.log_associations.items():
        if (association["ResolverQueryLogConfigId"], association["ResourceId"]) == (log["Id"], vpc):
            del store.log_associations[id]
            log["AssociationCount"] -= 1
            return {"ResolverQueryLogConfigAssociation": {**association, "Status": "DELETING"}}
    raise _missing("Query log config association of VPC", vpc)


def list_log_associations(request: ServiceRequest) -> dict[str, Any]:
    criteria = {
        criterion["Name"]: set(criterion["Values"]) for criterion in request.params.get("Filters", [])
    }
    associations = [
        association
        for association in _STORE.of(request).log_associations.values()
        if all(association[name] in values for name, values in criteria.items())
    ]
    return {**_counts(associations), "ResolverQueryLogConfigAssociations": associations}


# -- tags of resources that are stored here, and of moto's endpoints and rules


def _moto_backend(request: ServiceRequest) -> Any:
    from moto.route53resolver.models import route53resolver_backends

    return route53resolver_backends[request.account][request.region]


def _tags(request: ServiceRequest) -> dict[str, str] | None:
    """Return the tags of a resource that is stored here. None: moto stores it."""
    arn = str(request.params["ResourceArn"])
    if ":firewall-" in arn or ":resolver-query-log-config/" in arn:
        return _find(_STORE.of(request).tags, arn, "Resource")
    return None


def _call_moto(call: Any, *args: Any) -> Any:
    from moto.core.exceptions import JsonRESTError

    try:
        return call(*args)
    except JsonRESTError as error:
        raise Refused(str(error.error_type), 400, error.message) from None


def tag(request: ServiceRequest) -> dict[str, Any]:
    own_tags, params = _tags(request), request.params
    if own_tags is None:
        _call_moto(
            _moto_backend(request).tag_resource, params["ResourceArn"], [dict(tag) for tag in params["Tags"]]
        )
    else:
        own_tags.update({tag["Key"]: tag["Value"] for tag in params["Tags"]})
    return {}


def untag(request: ServiceRequest) -> dict[str, Any]:
    own_tags, params = _tags(request), request.params
    if own_tags is None:
        _call_moto(_moto_backend(request).untag_resource, params["ResourceArn"], params["TagKeys"])
    else:
        for key in params["TagKeys"]:
            own_tags.pop(key, None)
    return {}


def list_tags(request: ServiceRequest) -> dict[str, Any]:
    own_tags = _tags(request)
    if own_tags is not None:
        return {"Tags": [{"Key": key, "Value": value} for key, value in sorted(own_tags.items())]}
    moto, arn = _moto_backend(request), request.params["ResourceArn"]
    _call_moto(moto._matched_arn, arn)
    return {"Tags": moto.tagger.list_tags_for_resource(arn)["Tags"]}


_NAMES = {
    "CreateFirewallDomainList": create_list,
    "GetFirewallDomainList": get_list,
    "UpdateFirewallDomains": update_domains,
    "ListFirewallDomains": list_domains,
    "DeleteFirewallDomainList": delete_list,
    "ListFirewallDomainLists": list_lists,
    "CreateFirewallRuleGroup": create_group,
    "GetFirewallRuleGroup": get_group,
    "DeleteFirewallRuleGroup": delete_group,
    "ListFirewallRuleGroups": list_groups,
    "CreateFirewallRule": create_rule,
    "UpdateFirewallRule": update_rule,
    "DeleteFirewallRule": delete_rule,
    "ListFirewallRules": list_rules,
    "AssociateFirewallRuleGroup": associate_group,
    "GetFirewallRuleGroupAssociation": get_association,
    "UpdateFirewallRuleGroupAssociation": update_association,
    "DisassociateFirewallRuleGroup": disassociate_group,
    "ListFirewallRuleGroupAssociations": list_associations,
    "GetFirewallConfig": get_config,
    "UpdateFirewallConfig": update_config,
    "ListFirewallConfigs": list_configs,
    "CreateResolverQueryLogConfig": create_log,
    "GetResolverQueryLogConfig": get_log,
    "DeleteResolverQueryLogConfig": delete_log,
    "ListResolverQueryLogConfigs": list_logs,
    "AssociateResolverQueryLogConfig": associate_log,
    "GetResolverQueryLogConfigAssociation": get_log_association,
    "DisassociateResolverQueryLogConfig": disassociate_log,
    "ListResolverQueryLogConfigAssociations": list_log_associations,
    "TagResource": tag,
    "UntagResource": untag,
    "ListTagsForResource": list_tags,
}
OPERATIONS = tuple(Operation("route53resolver", name, answer) for name, answer in _NAMES.items())

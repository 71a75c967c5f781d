"""Route 53 Resolver DNS Firewall and query logging, and the tags of both: moto has no firewall, and deletes no log.

No query is answered or blocked here. What AWS refuses is refused: a list or a group in use, a priority that is taken, a
VPC that does not exist.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sandbox.aws.beside.memory import Memory
from sandbox.aws.resources import partition
from sandbox.aws.service_frame import Asked, Operation, Refused

FIRST_PRIORITY, LAST_PRIORITY = 101, 9899
"""Of the association of a rule group: what is below and above is AWS Firewall Manager's."""


@dataclass
class _Resolver:
    """What one account has in one region, by id."""

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


def _arn(asked: Asked, kind: str, id: str) -> str:
    return f"arn:{partition(asked.region)[0]}:route53resolver:{asked.region}:{asked.account}:{kind}/{id}"


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat()


def _missing(what: str, id: str) -> Refused:
    return Refused("ResourceNotFoundException", 400, f"{what} with ID '{id}' does not exist.")


def _known(things: dict[str, Any], id: str, what: str) -> Any:
    if id not in things:
        raise _missing(what, id)
    return things[id]


def _check_vpc(asked: Asked, id: str) -> None:
    from moto.ec2.models import ec2_backends

    if id not in ec2_backends[asked.account][asked.region].vpcs:
        raise _missing("VPC", id)


def _created(
    asked: Asked, things: dict[str, dict[str, Any]], prefix: str, kind: str, more: dict[str, Any]
) -> dict[str, Any]:
    """One thing a token: the same request again makes no second one."""
    token = asked.params["CreatorRequestId"]
    for thing in things.values():
        if thing["CreatorRequestId"] == token:
            return thing
    id = _id(prefix)
    arn = _arn(asked, kind, id)
    things[id] = {
        **{"Id": id, "Arn": arn, "Name": asked.params["Name"], "CreatorRequestId": token},
        **{"CreationTime": _now(), **more},
    }
    given = asked.params.get("Tags") or []
    _STORE.of(asked).tags[arn] = {each["Key"]: each["Value"] for each in given}
    return things[id]


# -- lists of domains


def create_list(asked: Asked) -> dict[str, Any]:
    store = _STORE.of(asked)
    more = {"DomainCount": 0, "Status": "COMPLETE", "ModificationTime": _now()}
    made = _created(asked, store.lists, "rslvr-fdl", "firewall-domain-list", more)
    store.domains.setdefault(made["Id"], [])
    return {"FirewallDomainList": made}


def get_list(asked: Asked) -> dict[str, Any]:
    id = asked.params["FirewallDomainListId"]
    return {"FirewallDomainList": _known(_STORE.of(asked).lists, id, "Firewall domain list")}


def update_domains(asked: Asked) -> dict[str, Any]:
    """AWS gives each name back with a dot at its end."""
    store, id = _STORE.of(asked), asked.params["FirewallDomainListId"]
    thing = _known(store.lists, id, "Firewall domain list")
    named = [f"{each.rstrip('.')}." for each in asked.params["Domains"]]
    before = store.domains[id]
    if asked.params["Operation"] == "REMOVE":
        after = [each for each in before if each not in named]
    else:
        kept = before if asked.params["Operation"] == "ADD" else []
        after = list(dict.fromkeys([*kept, *named]))
    store.domains[id] = after
    thing.update(DomainCount=len(after), ModificationTime=_now())
    return {name: thing[name] for name in ("Id", "Name", "Status")}


def list_domains(asked: Asked) -> dict[str, Any]:
    store, id = _STORE.of(asked), asked.params["FirewallDomainListId"]
    _known(store.lists, id, "Firewall domain list")
    return {"Domains": store.domains[id]}


def delete_list(asked: Asked) -> dict[str, Any]:
    store, id = _STORE.of(asked), asked.params["FirewallDomainListId"]
    thing = _known(store.lists, id, "Firewall domain list")
    if any(rule["FirewallDomainListId"] == id for rules in store.rules.values() for rule in rules):
        raise Refused("ConflictException", 400, f"Firewall domain list '{id}' is used by a firewall rule.")
    del store.lists[id], store.domains[id]
    return {"FirewallDomainList": {**thing, "Status": "DELETING"}}


def list_lists(asked: Asked) -> dict[str, Any]:
    return {"FirewallDomainLists": _short(_STORE.of(asked).lists.values())}


def _short(things: Iterable[dict[str, Any]], *more: str) -> list[dict[str, Any]]:
    """A listing says less than the answer for one."""
    names = ("Id", "Arn", "Name", "CreatorRequestId", *more)
    return [{name: each[name] for name in names} for each in things]


# -- groups of rules, and rules


def create_group(asked: Asked) -> dict[str, Any]:
    store = _STORE.of(asked)
    more = {
        **{"RuleCount": 0, "Status": "COMPLETE", "OwnerId": asked.account, "ShareStatus": "NOT_SHARED"},
        "ModificationTime": _now(),
    }
    made = _created(asked, store.groups, "rslvr-frg", "firewall-rule-group", more)
    store.rules.setdefault(made["Id"], [])
    return {"FirewallRuleGroup": made}


def get_group(asked: Asked) -> dict[str, Any]:
    id = asked.params["FirewallRuleGroupId"]
    return {"FirewallRuleGroup": _known(_STORE.of(asked).groups, id, "Firewall rule group")}


def delete_group(asked: Asked) -> dict[str, Any]:
    store, id = _STORE.of(asked), asked.params["FirewallRuleGroupId"]
    thing = _known(store.groups, id, "Firewall rule group")
    if any(each["FirewallRuleGroupId"] == id for each in store.associations.values()):
        raise Refused("ConflictException", 400, f"Firewall rule group '{id}' is associated with a VPC.")
    del store.groups[id], store.rules[id]
    return {"FirewallRuleGroup": {**thing, "Status": "DELETING"}}


def list_groups(asked: Asked) -> dict[str, Any]:
    return {"FirewallRuleGroups": _short(_STORE.of(asked).groups.values(), "OwnerId", "ShareStatus")}


_RULE = (
    *("FirewallRuleGroupId", "FirewallDomainListId", "Name", "Priority", "Action", "BlockResponse"),
    *("BlockOverrideDomain", "BlockOverrideDnsType", "BlockOverrideTtl", "CreatorRequestId"),
    *("FirewallDomainRedirectionAction", "Qtype"),
)


def create_rule(asked: Asked) -> dict[str, Any]:
    store, given = _STORE.of(asked), asked.params
    group = _known(store.groups, given["FirewallRuleGroupId"], "Firewall rule group")
    if "FirewallDomainListId" not in given:
        raise Refused("ValidationException", 400, "The sandbox serves rules over lists of domains only.")
    _known(store.lists, given["FirewallDomainListId"], "Firewall domain list")
    rules = store.rules[group["Id"]]
    rule = {name: given[name] for name in _RULE if name in given}
    rule.setdefault("FirewallDomainRedirectionAction", "INSPECT_REDIRECTION_DOMAIN")
    if any(each["FirewallDomainListId"] == rule["FirewallDomainListId"] for each in rules):
        raise Refused("ConflictException", 400, "The rule group has a rule for this domain list already.")
    _check_rule(rule, rules)
    rules.append({**rule, "CreationTime": _now(), "ModificationTime": _now()})
    group["RuleCount"] = len(rules)
    return {"FirewallRule": rules[-1]}


def _check_rule(rule: dict[str, Any], others: list[dict[str, Any]]) -> None:
    if any(each["Priority"] == rule["Priority"] for each in others):
        raise Refused(
            "ConflictException", 400, f"The priority {rule['Priority']} is taken in the rule group."
        )
    if (rule["Action"] == "BLOCK") != ("BlockResponse" in rule):
        raise Refused("ValidationException", 400, "BlockResponse is required with the action BLOCK alone.")


def _rule(asked: Asked) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The rule that a request names, and the others of its group."""
    store, given = _STORE.of(asked), asked.params
    rules = _known(store.rules, given["FirewallRuleGroupId"], "Firewall rule group")
    mine = [each for each in rules if each["FirewallDomainListId"] == given.get("FirewallDomainListId")]
    if not mine:
        raise _missing("Firewall rule of domain list", str(given.get("FirewallDomainListId")))
    return mine[0], [each for each in rules if each is not mine[0]]


def update_rule(asked: Asked) -> dict[str, Any]:
    rule, others = _rule(asked)
    changed = {**rule, **{name: asked.params[name] for name in _RULE if name in asked.params}}
    if changed["Action"] != "BLOCK":
        changed.pop("BlockResponse", None)
    _check_rule(changed, others)
    rule.clear()
    rule.update(changed, ModificationTime=_now())
    return {"FirewallRule": rule}


def delete_rule(asked: Asked) -> dict[str, Any]:
    rule, others = _rule(asked)
    store = _STORE.of(asked)
    store.rules[rule["FirewallRuleGroupId"]] = others
    store.groups[rule["FirewallRuleGroupId"]]["RuleCount"] = len(others)
    return {"FirewallRule": rule}


def list_rules(asked: Asked) -> dict[str, Any]:
    rules = _known(_STORE.of(asked).rules, asked.params["FirewallRuleGroupId"], "Firewall rule group")
    return {"FirewallRules": rules}


# -- which VPC follows which group, and what happens when the firewall does not answer


def associate_group(asked: Asked) -> dict[str, Any]:
    store, given = _STORE.of(asked), asked.params
    _known(store.groups, given["FirewallRuleGroupId"], "Firewall rule group")
    _check_vpc(asked, given["VpcId"])
    for each in store.associations.values():
        if each["CreatorRequestId"] == given["CreatorRequestId"]:
            return {"FirewallRuleGroupAssociation": each}
    others = [each for each in store.associations.values() if each["VpcId"] == given["VpcId"]]
    if any(each["FirewallRuleGroupId"] == given["FirewallRuleGroupId"] for each in others):
        raise Refused("ConflictException", 400, "The rule group is associated with this VPC already.")
    _check_priority(given["Priority"], others)
    more = {
        **{"FirewallRuleGroupId": given["FirewallRuleGroupId"], "VpcId": given["VpcId"]},
        **{"Priority": given["Priority"], "Status": "COMPLETE", "ModificationTime": _now()},
        "MutationProtection": given.get("MutationProtection", "DISABLED"),
    }
    kind = "firewall-rule-group-association"
    return {"FirewallRuleGroupAssociation": _created(asked, store.associations, "rslvr-frgassoc", kind, more)}


def _check_priority(priority: int, others: list[dict[str, Any]]) -> None:
    if not FIRST_PRIORITY <= priority <= LAST_PRIORITY:
        raise Refused("ValidationException", 400, "The priority must be greater than 100 and less than 9900.")
    if any(each["Priority"] == priority for each in others):
        raise Refused("ConflictException", 400, f"The priority {priority} is taken in the VPC.")


def _association(asked: Asked) -> dict[str, Any]:
    id = asked.params["FirewallRuleGroupAssociationId"]
    return _known(_STORE.of(asked).associations, id, "Firewall rule group association")


def get_association(asked: Asked) -> dict[str, Any]:
    return {"FirewallRuleGroupAssociation": _association(asked)}


def update_association(asked: Asked) -> dict[str, Any]:
    mine, given = _association(asked), asked.params
    others = [
        each
        for each in _STORE.of(asked).associations.values()
        if each["VpcId"] == mine["VpcId"] and each is not mine
    ]
    _check_priority(given.get("Priority", mine["Priority"]), others)
    names = ("Priority", "MutationProtection", "Name")
    mine.update({name: given[name] for name in names if name in given}, ModificationTime=_now())
    return {"FirewallRuleGroupAssociation": mine}


def disassociate_group(asked: Asked) -> dict[str, Any]:
    mine = _association(asked)
    if mine["MutationProtection"] == "ENABLED":
        raise Refused("ConflictException", 400, "The association is protected against changes.")
    del _STORE.of(asked).associations[mine["Id"]]
    return {"FirewallRuleGroupAssociation": {**mine, "Status": "DELETING"}}


def list_associations(asked: Asked) -> dict[str, Any]:
    wanted = {name: asked.params[name] for name in ("FirewallRuleGroupId", "VpcId") if name in asked.params}
    every = _STORE.of(asked).associations.values()
    found = [each for each in every if all(each[name] == value for name, value in wanted.items())]
    return {"FirewallRuleGroupAssociations": found}


def update_config(asked: Asked) -> dict[str, Any]:
    store, vpc = _STORE.of(asked), asked.params["ResourceId"]
    _check_vpc(asked, vpc)
    mine = store.configs.setdefault(vpc, {"Id": _id("rslvr-fc"), "ResourceId": vpc, "OwnerId": asked.account})
    mine["FirewallFailOpen"] = asked.params["FirewallFailOpen"]
    return {"FirewallConfig": mine}


def get_config(asked: Asked) -> dict[str, Any]:
    """A VPC has one from the start, which fails closed."""
    vpc = asked.params["ResourceId"]
    _check_vpc(asked, vpc)
    closed = {"Id": "", "ResourceId": vpc, "OwnerId": asked.account, "FirewallFailOpen": "DISABLED"}
    return {"FirewallConfig": _STORE.of(asked).configs.get(vpc, closed)}


def list_configs(asked: Asked) -> dict[str, Any]:
    from moto.ec2.models import ec2_backends

    vpcs = ec2_backends[asked.account][asked.region].vpcs
    return {"FirewallConfigs": [each for vpc, each in _STORE.of(asked).configs.items() if vpc in vpcs]}


# -- query logs


def create_log(asked: Asked) -> dict[str, Any]:
    more = {
        **{"OwnerId": asked.account, "Status": "CREATED", "ShareStatus": "NOT_SHARED"},
        **{"AssociationCount": 0, "DestinationArn": asked.params["DestinationArn"]},
    }
    kind = "resolver-query-log-config"
    return {"ResolverQueryLogConfig": _created(asked, _STORE.of(asked).logs, "rqlc", kind, more)}


def _log(asked: Asked) -> dict[str, Any]:
    return _known(_STORE.of(asked).logs, asked.params["ResolverQueryLogConfigId"], "Query log config")


def get_log(asked: Asked) -> dict[str, Any]:
    return {"ResolverQueryLogConfig": _log(asked)}


def delete_log(asked: Asked) -> dict[str, Any]:
    mine, store = _log(asked), _STORE.of(asked)
    if any(each["ResolverQueryLogConfigId"] == mine["Id"] for each in store.log_associations.values()):
        raise Refused("InvalidRequestException", 400, "The query log config is associated with a VPC.")
    del store.logs[mine["Id"]]
    return {"ResolverQueryLogConfig": {**mine, "Status": "DELETING"}}


def list_logs(asked: Asked) -> dict[str, Any]:
    every = list(_STORE.of(asked).logs.values())
    return {**_counted(every), "ResolverQueryLogConfigs": every}


def _counted(things: list[dict[str, Any]]) -> dict[str, int]:
    return {"TotalCount": len(things), "TotalFilteredCount": len(things)}


def associate_log(asked: Asked) -> dict[str, Any]:
    mine, store, vpc = _log(asked), _STORE.of(asked), asked.params["ResourceId"]
    _check_vpc(asked, vpc)
    for each in store.log_associations.values():
        if (each["ResolverQueryLogConfigId"], each["ResourceId"]) == (mine["Id"], vpc):
            raise Refused("ResourceExistsException", 400, "The VPC is associated with this config already.")
    id = _id("rqlca")
    store.log_associations[id] = {
        **{"Id": id, "ResolverQueryLogConfigId": mine["Id"], "ResourceId": vpc},
        **{"Status": "ACTIVE", "Error": "NONE", "ErrorMessage": "", "CreationTime": _now()},
    }
    mine["AssociationCount"] += 1
    return {"ResolverQueryLogConfigAssociation": store.log_associations[id]}


def get_log_association(asked: Asked) -> dict[str, Any]:
    id = asked.params["ResolverQueryLogConfigAssociationId"]
    found = _known(_STORE.of(asked).log_associations, id, "Query log config association")
    return {"ResolverQueryLogConfigAssociation": found}


def disassociate_log(asked: Asked) -> dict[str, Any]:
    mine, store, vpc = _log(asked), _STORE.of(asked), asked.params["ResourceId"]
    for id, each in store.log_associations.items():
        if (each["ResolverQueryLogConfigId"], each["ResourceId"]) == (mine["Id"], vpc):
            del store.log_associations[id]
            mine["AssociationCount"] -= 1
            return {"ResolverQueryLogConfigAssociation": {**each, "Status": "DELETING"}}
    raise _missing("Query log config association of VPC", vpc)


def list_log_associations(asked: Asked) -> dict[str, Any]:
    wanted = {each["Name"]: set(each["Values"]) for each in asked.params.get("Filters", [])}
    found = [
        each
        for each in _STORE.of(asked).log_associations.values()
        if all(each[name] in values for name, values in wanted.items())
    ]
    return {**_counted(found), "ResolverQueryLogConfigAssociations": found}


# -- tags: of what is kept here, and of moto's endpoints and rules


def _moto(asked: Asked) -> Any:
    from moto.route53resolver.models import route53resolver_backends

    return route53resolver_backends[asked.account][asked.region]


def _tags(asked: Asked) -> dict[str, str] | None:
    """Of what is kept here; None: the ARN is of moto's own."""
    arn = str(asked.params["ResourceArn"])
    if ":firewall-" in arn or ":resolver-query-log-config/" in arn:
        return _known(_STORE.of(asked).tags, arn, "Resource")
    return None


def _asking_moto(call: Any, *args: Any) -> Any:
    from moto.core.exceptions import JsonRESTError

    try:
        return call(*args)
    except JsonRESTError as error:
        raise Refused(str(error.error_type), 400, error.message) from None


def tag(asked: Asked) -> dict[str, Any]:
    mine, given = _tags(asked), asked.params
    if mine is None:
        _asking_moto(_moto(asked).tag_resource, given["ResourceArn"], [dict(each) for each in given["Tags"]])
    else:
        mine.update({each["Key"]: each["Value"] for each in given["Tags"]})
    return {}


def untag(asked: Asked) -> dict[str, Any]:
    mine, given = _tags(asked), asked.params
    if mine is None:
        _asking_moto(_moto(asked).untag_resource, given["ResourceArn"], given["TagKeys"])
    else:
        for key in given["TagKeys"]:
            mine.pop(key, None)
    return {}


def list_tags(asked: Asked) -> dict[str, Any]:
    mine = _tags(asked)
    if mine is not None:
        return {"Tags": [{"Key": key, "Value": value} for key, value in sorted(mine.items())]}
    moto, arn = _moto(asked), asked.params["ResourceArn"]
    _asking_moto(moto._matched_arn, arn)
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

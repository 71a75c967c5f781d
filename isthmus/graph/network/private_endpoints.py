"""Which callers the private endpoints of a rendering allow, by their policies and security groups."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any

from isthmus.contracts.platform.model.aws.account import CONTROL_SERVICES
from isthmus.contracts.reference.aws_actions import UNSCOPED_ACTIONS, is_open_resource
from isthmus.core.ip_addresses import is_within
from isthmus.graph.iam.permissions import covers
from isthmus.graph.network.reachability import is_public
from isthmus.graph.resources.resources import (
    Fault,
    Graph,
    Resource,
    as_list,
    is_unread,
    statements,
    unread_fault,
)

CALLER_KEYS = ("aws:PrincipalArn", "rolesanywhere:x509Subject/CN")
"""Condition keys that identify the caller: role or certificate."""
NAMING_OPERATORS = ("ArnEquals", "ArnLike", "StringEquals", "StringLike", "StringEqualsIgnoreCase")
"""Operators that hold only for a named caller.

With `IfExists` or `ForAllValues` they also hold for a call without the key.
"""
_LAYERS = re.compile(r"arn:aws[\w-]*:s3:::prod-[a-z0-9-]+-starport-layer-bucket/\*")
"""Amazon ECR's own bucket of image layers. Clients read it through links that ECR signs."""
_URL = re.compile(r"https://vpce-\$\{([^.${}]+)\.id\}\.([a-z.-]+?)\.([a-z]{2}-[a-z0-9-]+)\.vpce\.")


def endpoint_of_url(graph: Graph, url: Any, service: str) -> Resource | None:
    """The private endpoint in the graph to which a URL leads, if the endpoint is of that service; otherwise None."""
    match = _URL.match(str(url or ""))
    if match is None or match[2] != service:
        return None
    return next(
        (endpoint for endpoint in graph.of("aws:ec2/vpcEndpoint:VpcEndpoint") if endpoint.name == match[1]),
        None,
    )


def overly_open_endpoints(
    graph: Graph, networks: list[str], *, networks_are_known: bool = True, deployers: Collection[str] = ()
) -> list[Fault]:
    """Find endpoints whose policy allows any caller or action, or whose security group is open beyond `networks`.

    `deployers`: roles that create infrastructure, for which an endpoint of such a service may be open. `stated`:
    whether the platform states the organisation's networks; without them private addresses are undecided.
    """
    broken: list[Fault] = []
    for endpoint in graph.of("aws:ec2/vpcEndpoint:VpcEndpoint"):
        documents = list(policies(graph, endpoint))
        if has_unread_policy(graph, endpoint):
            broken.append(unread_fault(endpoint))
        elif not any(documents):
            why = f"{endpoint.name} has no policy, so AWS lets anybody in for anything"
            broken.append(Fault(why, endpoint))
        for statement in (
            statement_
            for document in documents
            for statement_ in document
            if statement_.get("Effect") == "Allow"
        ):
            if _for_deployers(endpoint, statement, deployers):
                continue
            broken += [
                Fault(f"the policy of {endpoint.name} lets {why}", endpoint)
                for why in _wide_statement_faults(statement)
            ]
        for group in graph.referred(endpoint.inputs.get("securityGroupIds") or [], ":SecurityGroup"):
            broken += [
                Fault(
                    f"{endpoint.name} is open to {source} by {rule}, "
                    f"{_where_text(networks_are_known or is_public(source))}",
                    endpoint,
                    "violated" if networks_are_known or is_public(source) else "undecided",
                )
                for rule, source in ingress_rules(graph, group)
                if not is_within(source, networks)
            ]
    return broken


def _for_deployers(endpoint: Resource, statement: dict[str, Any], deployers: Collection[str]) -> bool:
    """Whether a statement allows only stated deployers, and only a service that creates infrastructure.

    S3 is allowed only in their own account.
    """
    service = str(endpoint.inputs.get("serviceName") or "").partition("com.amazonaws.")[2].partition(".")[2]
    principals = _condition_values(statement, "aws:PrincipalArn")
    if service not in CONTROL_SERVICES or not principals or not set(principals) <= set(deployers):
        return False
    return service != "s3" or "${aws:PrincipalAccount}" in _condition_values(statement, "aws:ResourceAccount")


def _where_text(is_known: bool) -> str:
    return "outside the sites and networks" if is_known else "and nothing says whose network that is"


def callers(statement: dict[str, Any]) -> list[str]:
    """The callers that a statement allows: role ARNs or certificate names; `anybody` if it names none."""
    if statement.get("Effect") != "Allow":
        return []
    principal = statement.get("Principal")
    principals = as_list(principal.get("AWS")) if isinstance(principal, dict) else as_list(principal)
    if not principals or any("*" in principal for principal in principals):
        principals = [principal for key in CALLER_KEYS for principal in _condition_values(statement, key)]
    return ["anybody" if "*" in principal or "?" in principal else principal for principal in principals] or [
        "anybody"
    ]


def allows_by_name(
    graph: Graph, endpoint: Resource, key: str, caller: str, action: str, resource: str | None
) -> bool:
    """Whether the endpoint's policy allows `who` to do `action` on `what`, all three by name, and does not deny it."""
    if not caller or not resource:
        return False
    statements_ = [statement for document in policies(graph, endpoint) for statement in document]
    allowed = any(
        statement.get("Effect") == "Allow"
        and caller in _condition_values(statement, key)
        and action in as_list(statement.get("Action"))
        and resource in as_list(statement.get("Resource"))
        for statement in statements_
    )
    return allowed and not any(
        statement.get("Effect") == "Deny" and _denies(statement, key, caller, action, resource)
        for statement in statements_
    )


def policies(graph: Graph, endpoint: Resource) -> Iterator[list[dict[str, Any]]]:
    """Statements of each policy of an endpoint: the one in its inputs, and policy resources that refer to it."""
    yield from map(statements, _documents(graph, endpoint))


def has_unread_policy(graph: Graph, endpoint: Resource) -> bool:
    """Whether a policy of the endpoint cannot be read."""
    return any(map(is_unread, _documents(graph, endpoint)))


def _documents(graph: Graph, endpoint: Resource) -> Iterator[Any]:
    yield endpoint.inputs.get("policy")
    for attachment in graph.of("aws:ec2/vpcEndpointPolicy:VpcEndpointPolicy"):
        if endpoint in graph.referred(attachment.inputs.get("vpcEndpointId")):
            yield attachment.inputs.get("policy")


def _condition_values(statement: dict[str, Any], key: str) -> list[str]:
    """The callers that a statement's conditions require."""
    return [
        value
        for operator, test in (statement.get("Condition") or {}).items()
        if operator.removeprefix("ForAnyValue:") in NAMING_OPERATORS
        for value in as_list(test.get(key))
    ]


def _wide_statement_faults(statement: dict[str, Any]) -> Iterator[str]:
    actions, resources = as_list(statement.get("Action")), as_list(statement.get("Resource"))
    if (
        actions == ["s3:GetObject"]
        and resources
        and all(_LAYERS.fullmatch(resource) for resource in resources)
    ):
        return
    if "anybody" in callers(statement):
        yield "anybody in"
    if not actions or any("*" in action or "?" in action for action in actions):
        yield f"its callers do {', '.join(actions) or 'all that it does not name'}"
    if not resources or (
        any(map(is_open_resource, resources)) and not all(action in UNSCOPED_ACTIONS for action in actions)
    ):
        yield f"its callers reach {', '.join(filter(is_open_resource, resources)) or 'all that it does not name'}"


def _denies(statement: dict[str, Any], key: str, caller: str, action: str, resource: str) -> bool:
    """Whether a statement denies this call. Conditions on anything but the caller are assumed not to hold."""
    if not _matches(statement, "Action", action) or not _matches(statement, "Resource", resource):
        return False
    for operator, test in (statement.get("Condition") or {}).items():
        for tested in test:
            if tested != key:
                return False
            is_caller = any(covers(pattern, caller) for pattern in as_list(test[tested]))
            if is_caller == ("Not" in operator):
                return False
    return True


def _matches(statement: dict[str, Any], part: str, value: str) -> bool:
    if f"Not{part}" in statement:
        return not any(covers(pattern, value) for pattern in as_list(statement[f"Not{part}"]))
    return any(covers(pattern, value) for pattern in as_list(statement.get(part)))


def ingress_rules(graph: Graph, group: Resource) -> Iterator[tuple[str, str]]:
    """Every rule that lets addresses into a security group, with the address ranges."""
    for rule in graph.of("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"):
        if group in graph.referred(rule.inputs.get("securityGroupId")):
            for key in ("cidrIpv4", "cidrIpv6", "prefixListId"):
                if rule.inputs.get(key):
                    yield rule.name, str(rule.inputs[key])
    for rule in graph.of("aws:ec2/securityGroupRule:SecurityGroupRule"):
        if rule.inputs.get("type") == "ingress" and group in graph.referred(
            rule.inputs.get("securityGroupId")
        ):
            yield from ((rule.name, source) for source in _rule_sources(rule.inputs))
    for inline in group.inputs.get("ingress") or []:
        yield from ((group.name, source) for source in _rule_sources(inline))


def _rule_sources(rule: dict[str, Any]) -> list[str]:
    return [
        source
        for key in ("cidrBlocks", "ipv6CidrBlocks", "prefixListIds")
        for source in as_list(rule.get(key))
    ]

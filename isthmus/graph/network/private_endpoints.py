"""Whom the private endpoints of a rendering let in, from their policies and security groups alone."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any

from isthmus.contracts.platform.model.aws.account import CONTROL_SERVICES
from isthmus.contracts.reference.aws_actions import UNSCOPED, any_resource
from isthmus.graph.iam.permissions import covers
from isthmus.graph.network.reachability import public, within
from isthmus.graph.resources.resources import Fault, Graph, Resource, listed, not_known, statements, unread

CALLERS = ("aws:PrincipalArn", "rolesanywhere:x509Subject/CN")
"""Condition keys that say who calls: role, or certificate."""
NAMING = ("ArnEquals", "ArnLike", "StringEquals", "StringLike", "StringEqualsIgnoreCase")
"""Operators that hold only for who is named; with `IfExists` or `ForAllValues` they hold for nobody's call too."""
_LAYERS = re.compile(r"arn:aws[\w-]*:s3:::prod-[a-z0-9-]+-starport-layer-bucket/\*")
"""Amazon ECR's own bucket of image layers, read by links that it signs itself."""
_URL = re.compile(r"https://vpce-\$\{([^.${}]+)\.id\}\.([a-z.-]+?)\.([a-z]{2}-[a-z0-9-]+)\.vpce\.")


def own(graph: Graph, url: Any, service: str) -> Resource | None:
    """The private endpoint of ours that a URL leads to, if it is one of that service."""
    found = _URL.match(str(url or ""))
    if found is None or found[2] != service:
        return None
    return next((each for each in graph.of("aws:ec2/vpcEndpoint:VpcEndpoint") if each.name == found[1]), None)


def loose(
    graph: Graph, networks: list[str], *, stated: bool = True, deployers: Collection[str] = ()
) -> list[Fault]:
    """Endpoints whose policy lets in anybody, for anything, or whose security group is open beyond `networks`.

    `deployers`: roles that the platform states make infrastructure, for which a service of that kind may be open.
    Not `stated`: nobody says which networks are the organisation's, so private addresses are undecided.
    """
    broken: list[Fault] = []
    for endpoint in graph.of("aws:ec2/vpcEndpoint:VpcEndpoint"):
        said = list(policies(graph, endpoint))
        if unknown(graph, endpoint):
            broken.append(not_known(endpoint))
        elif not any(said):
            why = f"{endpoint.name} has no policy, so AWS lets anybody in for anything"
            broken.append(Fault(why, endpoint))
        for statement in (one for document in said for one in document if one.get("Effect") == "Allow"):
            if _for_deployers(endpoint, statement, deployers):
                continue
            broken += [
                Fault(f"the policy of {endpoint.name} lets {why}", endpoint) for why in _wide(statement)
            ]
        for group in graph.referred(endpoint.inputs.get("securityGroupIds") or [], ":SecurityGroup"):
            broken += [
                Fault(
                    f"{endpoint.name} is open to {source} by {rule}, {_where(stated or public(source))}",
                    endpoint,
                    "violated" if stated or public(source) else "undecided",
                )
                for rule, source in let_in(graph, group)
                if not within(source, networks)
            ]
    return broken


def _for_deployers(endpoint: Resource, statement: dict[str, Any], deployers: Collection[str]) -> bool:
    """Whether a statement lets in stated deployers and nobody else, to a service by which infrastructure is made; to S3
    in their own account only."""
    service = str(endpoint.inputs.get("serviceName") or "").partition("com.amazonaws.")[2].partition(".")[2]
    named = _named(statement, "aws:PrincipalArn")
    if service not in CONTROL_SERVICES or not named or not set(named) <= set(deployers):
        return False
    return service != "s3" or "${aws:PrincipalAccount}" in _named(statement, "aws:ResourceAccount")


def _where(known: bool) -> str:
    return "outside the sites and networks" if known else "and nothing says whose network that is"


def callers(statement: dict[str, Any]) -> list[str]:
    """Whom an endpoint's statement lets in, by role or certificate; `anybody` where it names nobody."""
    if statement.get("Effect") != "Allow":
        return []
    principal = statement.get("Principal")
    named = listed(principal.get("AWS")) if isinstance(principal, dict) else listed(principal)
    if not named or any("*" in each for each in named):
        named = [each for key in CALLERS for each in _named(statement, key)]
    return ["anybody" if "*" in each or "?" in each else each for each in named] or ["anybody"]


def lets(graph: Graph, endpoint: Resource, key: str, who: str, action: str, what: str | None) -> bool:
    """Whether the endpoint's policy lets `who` do `action` to `what`, all three by name, and does not deny it."""
    if not who or not what:
        return False
    said = [one for document in policies(graph, endpoint) for one in document]
    allowed = any(
        one.get("Effect") == "Allow"
        and who in _named(one, key)
        and action in listed(one.get("Action"))
        and what in listed(one.get("Resource"))
        for one in said
    )
    return allowed and not any(
        one.get("Effect") == "Deny" and _denies(one, key, who, action, what) for one in said
    )


def policies(graph: Graph, endpoint: Resource) -> Iterator[list[dict[str, Any]]]:
    """Statements of each policy that an endpoint is given, its own and one put on it."""
    yield from map(statements, _documents(graph, endpoint))


def unknown(graph: Graph, endpoint: Resource) -> bool:
    """Whether a policy that an endpoint is given cannot be read."""
    return any(map(unread, _documents(graph, endpoint)))


def _documents(graph: Graph, endpoint: Resource) -> Iterator[Any]:
    yield endpoint.inputs.get("policy")
    for each in graph.of("aws:ec2/vpcEndpointPolicy:VpcEndpointPolicy"):
        if endpoint in graph.referred(each.inputs.get("vpcEndpointId")):
            yield each.inputs.get("policy")


def _named(statement: dict[str, Any], key: str) -> list[str]:
    """Who a statement's conditions say the caller must be."""
    return [
        value
        for operator, test in (statement.get("Condition") or {}).items()
        if operator.removeprefix("ForAnyValue:") in NAMING
        for value in listed(test.get(key))
    ]


def _wide(statement: dict[str, Any]) -> Iterator[str]:
    actions, resources = listed(statement.get("Action")), listed(statement.get("Resource"))
    if actions == ["s3:GetObject"] and resources and all(_LAYERS.fullmatch(each) for each in resources):
        return
    if "anybody" in callers(statement):
        yield "anybody in"
    if not actions or any("*" in each or "?" in each for each in actions):
        yield f"its callers do {', '.join(actions) or 'all that it does not name'}"
    if not resources or (any(map(any_resource, resources)) and not all(each in UNSCOPED for each in actions)):
        yield f"its callers reach {', '.join(filter(any_resource, resources)) or 'all that it does not name'}"


def _denies(statement: dict[str, Any], key: str, who: str, action: str, what: str) -> bool:
    """Whether a denial stands above this call; conditions on anything but the caller are taken not to hold."""
    if not _holds(statement, "Action", action) or not _holds(statement, "Resource", what):
        return False
    for operator, test in (statement.get("Condition") or {}).items():
        for tested in test:
            if tested != key:
                return False
            named = any(covers(each, who) for each in listed(test[tested]))
            if named == ("Not" in operator):
                return False
    return True


def _holds(statement: dict[str, Any], part: str, value: str) -> bool:
    if f"Not{part}" in statement:
        return not any(covers(each, value) for each in listed(statement[f"Not{part}"]))
    return any(covers(each, value) for each in listed(statement.get(part)))


def let_in(graph: Graph, group: Resource) -> Iterator[tuple[str, str]]:
    """Every rule by which a security group lets addresses in, and the addresses."""
    for rule in graph.of("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"):
        if group in graph.referred(rule.inputs.get("securityGroupId")):
            for key in ("cidrIpv4", "cidrIpv6", "prefixListId"):
                if rule.inputs.get(key):
                    yield rule.name, str(rule.inputs[key])
    for rule in graph.of("aws:ec2/securityGroupRule:SecurityGroupRule"):
        if rule.inputs.get("type") == "ingress" and group in graph.referred(
            rule.inputs.get("securityGroupId")
        ):
            yield from ((rule.name, each) for each in _sources(rule.inputs))
    for inline in group.inputs.get("ingress") or []:
        yield from ((group.name, each) for each in _sources(inline))


def _sources(rule: dict[str, Any]) -> list[str]:
    return [
        each for key in ("cidrBlocks", "ipv6CidrBlocks", "prefixListIds") for each in listed(rule.get(key))
    ]

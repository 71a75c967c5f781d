"""Route 53 Resolver: the protocols and the kind of an endpoint, and changing a rule, of which moto has nothing.

Endpoints and rules are moto's own.
"""

from __future__ import annotations

import datetime
import ipaddress
from typing import Any

from sandbox.aws.service_frame import Asked, Operation, Refused


def _resolver(asked: Asked) -> Any:
    from moto.route53resolver.models import route53resolver_backends

    return route53resolver_backends[asked.account][asked.region]


def _endpoint(asked: Asked) -> Any:
    id = asked.params["ResolverEndpointId"]
    made = _resolver(asked).resolver_endpoints.get(id)
    if made is None:
        code = "ResourceNotFoundException"
        raise Refused(code, 400, f"[RSLVR-00703] Resolver endpoint with ID '{id}' does not exist.")
    return made


def _shown(made: Any) -> dict[str, Any]:
    return {
        **{name: value for name, value in made.description().items() if value is not None},
        "Protocols": getattr(made, "protocols", ["Do53"]),
        "ResolverEndpointType": getattr(made, "kind", "IPV4"),
    }


def _settings(asked: Asked, made: Any) -> None:
    given = asked.params
    made.protocols = list(given.get("Protocols") or getattr(made, "protocols", ["Do53"]))
    made.kind = given.get("ResolverEndpointType") or getattr(made, "kind", "IPV4")


def create_endpoint(asked: Asked) -> dict[str, Any]:
    """Two addresses at least, as AWS asks for; IPv4 only."""
    from moto.core.exceptions import JsonRESTError

    given = asked.params
    if len(given["IpAddresses"]) < 2:
        raise Refused("InvalidRequestException", 400, "A resolver endpoint has at least two IP addresses.")
    try:
        made = _resolver(asked).create_resolver_endpoint(
            region=asked.region,
            creator_request_id=given["CreatorRequestId"],
            name=given.get("Name"),
            security_group_ids=given["SecurityGroupIds"],
            direction=given["Direction"],
            ip_addresses=[dict(each) for each in given["IpAddresses"]],
            tags=given.get("Tags", []),
        )
    except JsonRESTError as error:
        raise Refused(str(error.error_type), 400, error.message) from None
    _settings(asked, made)
    return {"ResolverEndpoint": _shown(made)}


def get_endpoint(asked: Asked) -> dict[str, Any]:
    return {"ResolverEndpoint": _shown(_endpoint(asked))}


def update_endpoint(asked: Asked) -> dict[str, Any]:
    made = _endpoint(asked)
    if "Name" in asked.params:
        made.update_name(asked.params["Name"])
    _settings(asked, made)
    return {"ResolverEndpoint": _shown(made)}


def update_rule(asked: Asked) -> dict[str, Any]:
    """Another name, other servers to ask, another outbound endpoint to ask them through."""
    resolver, id, wanted = _resolver(asked), asked.params["ResolverRuleId"], asked.params["Config"]
    rule = resolver.resolver_rules.get(id)
    if rule is None:
        raise Refused("ResourceNotFoundException", 400, f"Resolver rule with ID '{id}' does not exist.")
    for target in wanted.get("TargetIps", ()):
        try:
            ipaddress.IPv4Address(target.get("Ip", ""))
        except ValueError:
            raise Refused("InvalidParameterException", 400, "Only IPv4 addresses may be used.") from None
    endpoint = wanted.get("ResolverEndpointId", rule.resolver_endpoint_id)
    if endpoint and endpoint not in resolver.resolver_endpoints:
        text = f"Resolver endpoint with ID '{endpoint}' does not exist."
        raise Refused("ResourceNotFoundException", 400, text)
    rule.name = wanted.get("Name", rule.name)
    rule.target_ips = wanted.get("TargetIps", rule.target_ips)
    rule.resolver_endpoint_id = endpoint
    rule.modification_time = datetime.datetime.now(datetime.UTC).isoformat()
    return {"ResolverRule": {name: value for name, value in rule.description().items() if value is not None}}


OPERATIONS = (
    Operation("route53resolver", "CreateResolverEndpoint", create_endpoint),
    Operation("route53resolver", "GetResolverEndpoint", get_endpoint),
    Operation("route53resolver", "UpdateResolverEndpoint", update_endpoint),
    Operation("route53resolver", "UpdateResolverRule", update_rule),
)

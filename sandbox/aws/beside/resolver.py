"""Route 53 Resolver: protocols and type of an endpoint, and changing a rule, which moto lacks.

Endpoints and rules are moto's objects.
"""

from __future__ import annotations

import datetime
import ipaddress
from typing import Any

from sandbox.aws.service_frame import Operation, Refused, ServiceRequest


def _moto_backend(request: ServiceRequest) -> Any:
    from moto.route53resolver.models import route53resolver_backends

    return route53resolver_backends[request.account][request.region]


def _find_endpoint(request: ServiceRequest) -> Any:
    id = request.params["ResolverEndpointId"]
    endpoint = _moto_backend(request).resolver_endpoints.get(id)
    if endpoint is None:
        code = "ResourceNotFoundException"
        raise Refused(code, 400, f"[RSLVR-00703] Resolver endpoint with ID '{id}' does not exist.")
    return endpoint


def _describe_endpoint(endpoint: Any) -> dict[str, Any]:
    return {
        **{name: value for name, value in endpoint.description().items() if value is not None},
        "Protocols": getattr(endpoint, "protocols", ["Do53"]),
        "ResolverEndpointType": getattr(endpoint, "kind", "IPV4"),
    }


def _apply_settings(request: ServiceRequest, endpoint: Any) -> None:
    params = request.params
    endpoint.protocols = list(params.get("Protocols") or getattr(endpoint, "protocols", ["Do53"]))
    endpoint.kind = params.get("ResolverEndpointType") or getattr(endpoint, "kind", "IPV4")


def create_endpoint(request: ServiceRequest) -> dict[str, Any]:
    """Create an endpoint. As in AWS, at least two addresses are required. IPv4 only."""
    from moto.core.exceptions import JsonRESTError

    params = request.params
    if len(params["IpAddresses"]) < 2:
        raise Refused("InvalidRequestException", 400, "A resolver endpoint has at least two IP addresses.")
    try:
        endpoint = _moto_backend(request).create_resolver_endpoint(
            region=request.region,
            creator_request_id=params["CreatorRequestId"],
            name=params.get("Name"),
            security_group_ids=params["SecurityGroupIds"],
            direction=params["Direction"],
            ip_addresses=[dict(address) for address in params["IpAddresses"]],
            tags=params.get("Tags", []),
        )
    except JsonRESTError as error:
        raise Refused(str(error.error_type), 400, error.message) from None
    _apply_settings(request, endpoint)
    return {"ResolverEndpoint": _describe_endpoint(endpoint)}


def get_endpoint(request: ServiceRequest) -> dict[str, Any]:
    return {"ResolverEndpoint": _describe_endpoint(_find_endpoint(request))}


def update_endpoint(request: ServiceRequest) -> dict[str, Any]:
    endpoint = _find_endpoint(request)
    if "Name" in request.params:
        endpoint.update_name(request.params["Name"])
    _apply_settings(request, endpoint)
    return {"ResolverEndpoint": _describe_endpoint(endpoint)}


def update_rule(request: ServiceRequest) -> dict[str, Any]:
    """Change a rule's name, target servers or outbound endpoint."""
    resolver, id, config = _moto_backend(request), request.params["ResolverRuleId"], request.params["Config"]
    rule = resolver.resolver_rules.get(id)
    if rule is None:
        raise Refused("ResourceNotFoundException", 400, f"Resolver rule with ID '{id}' does not exist.")
    for target in config.get("TargetIps", ()):
        try:
            ipaddress.IPv4Address(target.get("Ip", ""))
        except ValueError:
            raise Refused("InvalidParameterException", 400, "Only IPv4 addresses may be used.") from None
    endpoint = config.get("ResolverEndpointId", rule.resolver_endpoint_id)
    if endpoint and endpoint not in resolver.resolver_endpoints:
        text = f"Resolver endpoint with ID '{endpoint}' does not exist."
        raise Refused("ResourceNotFoundException", 400, text)
    rule.name = config.get("Name", rule.name)
    rule.target_ips = config.get("TargetIps", rule.target_ips)
    rule.resolver_endpoint_id = endpoint
    rule.modification_time = datetime.datetime.now(datetime.UTC).isoformat()
    return {"ResolverRule": {name: value for name, value in rule.description().items() if value is not None}}


OPERATIONS = (
    Operation("route53resolver", "CreateResolverEndpoint", create_endpoint),
    Operation("route53resolver", "GetResolverEndpoint", get_endpoint),
    Operation("route53resolver", "UpdateResolverEndpoint", update_endpoint),
    Operation("route53resolver", "UpdateResolverRule", update_rule),
)

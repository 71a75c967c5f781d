"""AWS PrivateLink: services of one's own, which others' VPCs reach by an endpoint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.aws.model import Call, Facet, Scope, Type, fresh_token
from sandbox.aws.schema import Prop, same_members, to_api
from sandbox.aws.table.ec2_tags import REGION, TAGGING, TAGS, arn

_SERVICE = {"ServiceId": "$id"}


def _tagged(call: Callable[..., Any], scope: Scope) -> None:
    """moto takes no tags with the creating call."""
    if scope["tagsAll"]:
        call("create_tags", Resources=[scope["id"]], Tags=to_api(Prop("tags"), scope["tagsAll"]))


def _balancers(call: Callable[..., Any], scope: Scope) -> None:
    [found] = call("describe_vpc_endpoint_service_configurations", ServiceIds=[scope["id"]])[
        "ServiceConfigurations"
    ]
    there, wanted = found.get("NetworkLoadBalancerArns", []), scope.get("networkLoadBalancerArns") or []
    asked: dict[str, Any] = {
        "AddNetworkLoadBalancerArns": [each for each in wanted if each not in there],
        "RemoveNetworkLoadBalancerArns": [each for each in there if each not in wanted],
    }
    asked = {name: value for name, value in asked.items() if value}
    accepted = bool(scope["acceptanceRequired"])
    call(
        "modify_vpc_endpoint_service_configuration",
        ServiceId=scope["id"],
        AcceptanceRequired=accepted,
        **asked,
    )


def _principals(call: Callable[..., Any], scope: Scope) -> None:
    found = call("describe_vpc_endpoint_service_permissions", ServiceId=scope["id"])["AllowedPrincipals"]
    there, wanted = [one["Principal"] for one in found], scope.get("allowedPrincipals") or []
    asked = {
        "AddAllowedPrincipals": [each for each in wanted if each not in there],
        "RemoveAllowedPrincipals": [each for each in there if each not in wanted],
    }
    asked = {name: value for name, value in asked.items() if value}
    if asked:
        call("modify_vpc_endpoint_service_permissions", ServiceId=scope["id"], **asked)


VPC_ENDPOINT_SERVICE = Type(
    "aws:ec2/vpcEndpointService:VpcEndpointService",
    service="ec2",
    id="{id}",
    inputs={
        "acceptanceRequired": Prop("flag", required=True),
        "networkLoadBalancerArns": Prop("list", alike=same_members),
        "allowedPrincipals": Prop("list", alike=same_members),
        "region": REGION,
        "tags": TAGS,
    },
    outputs={
        "arn": Prop(),
        "availabilityZones": Prop("list"),
        "baseEndpointDnsNames": Prop("list"),
        "managesVpcEndpoints": Prop("flag"),
        "serviceName": Prop(),
        "serviceType": Prop(),
        "state": Prop(),
        "tagsAll": Prop("tags"),
    },
    create=Call(
        "create_vpc_endpoint_service_configuration",
        {
            "ClientToken": fresh_token,
            "AcceptanceRequired": lambda scope: bool(scope["acceptanceRequired"]),
            "NetworkLoadBalancerArns": "$networkLoadBalancerArns",
        },
        result={"id": "ServiceConfiguration.ServiceId"},
    ),
    after_create=_tagged,
    reads=(
        Call(
            "describe_vpc_endpoint_service_configurations",
            {"ServiceIds": ["$id"]},
            pick="ServiceConfigurations[0]",
            result={
                "acceptanceRequired": "AcceptanceRequired",
                "networkLoadBalancerArns": "NetworkLoadBalancerArns || `[]`",
                "availabilityZones": "AvailabilityZones || `[]`",
                "baseEndpointDnsNames": "BaseEndpointDnsNames || `[]`",
                "managesVpcEndpoints": "ManagesVpcEndpoints || `false`",
                "serviceName": "ServiceName",
                "serviceType": "ServiceType[0].ServiceType",
                "state": "ServiceState",
                "tagsAll": "Tags || `[]`",
            },
            absent=("InvalidVpcEndpointServiceId.NotFound",),
        ),
        Call(
            "describe_vpc_endpoint_service_permissions",
            _SERVICE,
            result={"allowedPrincipals": "AllowedPrincipals[].Principal || `[]`"},
        ),
    ),
    facets=(
        Facet(("acceptanceRequired", "networkLoadBalancerArns"), put=_balancers),
        Facet(("allowedPrincipals",), put=_principals, at_create=True),
    ),
    tagging=TAGGING,
    delete=Call(
        "delete_vpc_endpoint_service_configurations",
        {"ServiceIds": ["$id"]},
        absent=("InvalidVpcEndpointServiceId.NotFound",),
    ),
    computed={"arn": arn("vpc-endpoint-service")},
    unknowable="Kept; nobody's endpoint is let in or kept out.",
)

TYPES = (VPC_ENDPOINT_SERVICE,)

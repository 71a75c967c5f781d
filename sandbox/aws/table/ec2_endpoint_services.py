"""AWS PrivateLink: own endpoint services, which other VPCs reach by an endpoint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.aws.model import Call, Facet, Scope, Type, fresh_token
from sandbox.aws.schema import Prop, has_same_members
from sandbox.aws.table.ec2_tags import REGION, TAGGING, TAGS, added_and_removed, arn, put_tags

_SERVICE = {"ServiceId": "$id"}


def _balancers(call: Callable[..., Any], scope: Scope) -> None:
    [configuration] = call("describe_vpc_endpoint_service_configurations", ServiceIds=[scope["id"]])[
        "ServiceConfigurations"
    ]
    old_arns, new_arns = (
        configuration.get("NetworkLoadBalancerArns", []),
        scope.get("networkLoadBalancerArns") or [],
    )
    changes: dict[str, Any] = {"AcceptanceRequired": bool(scope["acceptanceRequired"])}
    changes |= added_and_removed("NetworkLoadBalancerArns", old_arns, new_arns)
    call("modify_vpc_endpoint_service_configuration", ServiceId=scope["id"], **changes)


def _principals(call: Callable[..., Any], scope: Scope) -> None:
    permissions = call("describe_vpc_endpoint_service_permissions", ServiceId=scope["id"])[
        "AllowedPrincipals"
    ]
    old_principals, new_principals = (
        [permission["Principal"] for permission in permissions],
        scope.get("allowedPrincipals") or [],
    )
    if changes := added_and_removed("AllowedPrincipals", old_principals, new_principals):
        call("modify_vpc_endpoint_service_permissions", ServiceId=scope["id"], **changes)


VPC_ENDPOINT_SERVICE = Type(
    "aws:ec2/vpcEndpointService:VpcEndpointService",
    service="ec2",
    id="{id}",
    inputs={
        "acceptanceRequired": Prop("flag", required=True),
        "networkLoadBalancerArns": Prop("list", alike=has_same_members),
        "allowedPrincipals": Prop("list", alike=has_same_members),
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
    # moto ignores tags in the creating call.
    after_create=put_tags,
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
    limits="Kept; nobody's endpoint is let in or kept out.",
)

TYPES = (VPC_ENDPOINT_SERVICE,)

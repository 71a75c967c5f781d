"""Cases of Direct Connect."""

from __future__ import annotations

import secrets

from tests.aws_sandbox.cases.case import Case, Inputs, changed, found
from tests.aws_sandbox.cases.link import hub
from tests.aws_sandbox.driver import World


def _gateway(world: World) -> str:
    gateway = world.boto("directconnect").create_direct_connect_gateway(
        directConnectGatewayName=world.name("dx"), amazonSideAsn=64700
    )
    return gateway["directConnectGateway"]["directConnectGatewayId"]


def _id(inputs: Inputs) -> str:
    return inputs["arn"].rsplit("/", 1)[-1]


def _renamed(world: World, inputs: Inputs) -> str:
    world.boto("directconnect").update_direct_connect_gateway(
        directConnectGatewayId=_id(inputs), newDirectConnectGatewayName="by-another-hand"
    )
    return "name"


def _left(world: World, inputs: Inputs) -> bool:
    listed = world.boto("directconnect").describe_direct_connect_gateways()["directConnectGateways"]
    return any(
        direct_connect_gateway["directConnectGatewayId"] == _id(inputs) for direct_connect_gateway in listed
    )


def _associations(world: World, inputs: Inputs) -> list[str]:
    listed = world.boto("directconnect").describe_direct_connect_gateway_associations(
        directConnectGatewayId=inputs["dxGatewayId"]
    )
    return [
        direct_connect_gateway_association["associationId"]
        for direct_connect_gateway_association in listed["directConnectGatewayAssociations"]
    ]


def _more_prefixes(world: World, inputs: Inputs) -> str:
    world.boto("directconnect").update_direct_connect_gateway_association(
        associationId=_associations(world, inputs)[0],
        addAllowedPrefixesToDirectConnectGateway=[{"cidr": "0.0.0.0/0"}],
    )
    return "allowedPrefixes"


def _interface_inputs(world: World) -> Inputs:
    return {
        "name": world.name("vif"),
        "connectionId": f"dxcon-{secrets.token_hex(4)}",
        "dxGatewayId": _gateway(world),
        "vlan": 101,
        "bgpAsn": 65010,
        "addressFamily": "ipv4",
        "mtu": 8500,
        "tags": {"class": "confidential"},
    }


def _smaller_frames(world: World, inputs: Inputs) -> str:
    world.boto("directconnect").update_virtual_interface_attributes(virtualInterfaceId=_id(inputs), mtu=1500)
    return "mtu"


def _interface_left(world: World, inputs: Inputs) -> bool:
    listed = found(lambda: world.boto("directconnect").describe_virtual_interfaces())
    return any(entry["virtualInterfaceId"] == _id(inputs) for entry in listed["virtualInterfaces"])


CASES: dict[str, Case] = {
    "aws:directconnect/gateway:Gateway": Case(
        make=lambda world: {
            "name": world.name("dx"),
            "amazonSideAsn": "64700",
            "tags": {"class": "confidential"},
        },
        change=lambda world, inputs: {**inputs, "name": world.name("renamed"), "tags": {"class": "internal"}},
        replace=lambda world, inputs: {**inputs, "amazonSideAsn": "64701", "name": world.name("other")},
        behind=_renamed,
        left=_left,
    ),
    "aws:directconnect/gatewayAssociation:GatewayAssociation": Case(
        make=lambda world: {
            "dxGatewayId": _gateway(world),
            "associatedGatewayId": hub(world),
            "allowedPrefixes": ["10.20.0.0/16", "10.21.0.0/16"],
        },
        change=changed(allowedPrefixes=["10.21.0.0/16", "10.22.0.0/16"]),
        replace=lambda world, inputs: {**inputs, "associatedGatewayId": hub(world)},
        behind=_more_prefixes,
        left=lambda world, inputs: bool(_associations(world, inputs)),
    ),
    "aws:directconnect/transitVirtualInterface:TransitVirtualInterface": Case(
        make=_interface_inputs,
        change=changed(mtu=1500, sitelinkEnabled=True, tags={"class": "internal"}),
        replace=lambda world, inputs: {**inputs, "vlan": 102, "name": world.name("other")},
        behind=_smaller_frames,
        left=_interface_left,
    ),
}

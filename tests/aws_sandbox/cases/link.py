"""Cases of the private link: transit gateways, what joins them, and the site's VPN."""

from __future__ import annotations

from typing import Any

from tests.aws_sandbox.cases.case import Case, Inputs, changed, found
from tests.aws_sandbox.driver import REGION, World


def vpc(world: World, zones: int = 2) -> tuple[str, list[str]]:
    """A VPC and a subnet in each of its zones."""
    ec2 = world.boto("ec2")
    id = ec2.create_vpc(CidrBlock="10.20.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(
            VpcId=id, CidrBlock=f"10.20.{index}.0/24", AvailabilityZone=f"{REGION}{'abc'[index]}"
        )["Subnet"]["SubnetId"]
        for index in range(zones)
    ]
    return id, subnets


def hub(world: World, default_tables: str = "disable") -> str:
    options: Any = {
        "DefaultRouteTableAssociation": default_tables,
        "DefaultRouteTablePropagation": default_tables,
    }
    gateway = world.boto("ec2").create_transit_gateway(Options=options)
    return gateway["TransitGateway"]["TransitGatewayId"]


def table(world: World, gateway: str) -> str:
    table = world.boto("ec2").create_transit_gateway_route_table(TransitGatewayId=gateway)
    return table["TransitGatewayRouteTable"]["TransitGatewayRouteTableId"]


def attachment(world: World, gateway: str) -> str:
    id, subnets = vpc(world)
    attachment = world.boto("ec2").create_transit_gateway_vpc_attachment(
        TransitGatewayId=gateway, VpcId=id, SubnetIds=subnets
    )
    return attachment["TransitGatewayVpcAttachment"]["TransitGatewayAttachmentId"]


def site(world: World) -> str:
    gateway = world.boto("ec2").create_customer_gateway(Type="ipsec.1", IpAddress="192.0.2.9", BgpAsn=65010)
    return gateway["CustomerGateway"]["CustomerGatewayId"]


def _id(inputs: Inputs) -> str:
    """The id that an ARN ends in."""
    return inputs["arn"].rsplit("/", 1)[-1]


def _tagged(world: World, inputs: Inputs) -> str:
    tags = [{"Key": "owner", "Value": "another hand"}]
    world.boto("ec2").create_tags(Resources=[_id(inputs)], Tags=tags)
    return "tags"


def _hub_behind(world: World, inputs: Inputs) -> str:
    options: Any = {"VpnEcmpSupport": "disable"}
    world.boto("ec2").modify_transit_gateway(TransitGatewayId=_id(inputs), Options=options)
    return "vpnEcmpSupport"


def _hub_left(world: World, inputs: Inputs) -> bool:
    listed = world.boto("ec2").describe_transit_gateways()["TransitGateways"]
    return any(summary["TransitGatewayArn"] == inputs["arn"] for summary in listed)


def _attachment_inputs(world: World) -> Inputs:
    id, subnets = vpc(world)
    return {
        "transitGatewayId": hub(world),
        "vpcId": id,
        "subnetIds": subnets,
        "transitGatewayDefaultRouteTableAssociation": False,
        "transitGatewayDefaultRouteTablePropagation": False,
        "tags": {"class": "confidential"},
    }


def _fewer_subnets(world: World, inputs: Inputs) -> Inputs:
    return {**inputs, "subnetIds": inputs["subnetIds"][:1], "applianceModeSupport": "enable", "tags": {}}


def _other_hub(world: World, inputs: Inputs) -> Inputs:
    return {**inputs, "transitGatewayId": hub(world)}


def _attachment_behind(world: World, inputs: Inputs) -> str:
    world.boto("ec2").modify_transit_gateway_vpc_attachment(
        TransitGatewayAttachmentId=_id(inputs), RemoveSubnetIds=inputs["subnetIds"][1:]
    )
    return "subnetIds"


def _attachment_left(world: World, inputs: Inputs) -> bool:
    listed = world.boto("ec2").describe_transit_gateway_vpc_attachments()["TransitGatewayVpcAttachments"]
    return any(
        transit_gateway_attachment["TransitGatewayAttachmentId"] == _id(inputs)
        for transit_gateway_attachment in listed
    )


def _table_left(world: World, inputs: Inputs) -> bool:
    listed = world.boto("ec2").describe_transit_gateway_route_tables()["TransitGatewayRouteTables"]
    return any(
        transit_gateway_route_table["TransitGatewayRouteTableId"] == _id(inputs)
        for transit_gateway_route_table in listed
    )


def _joined_inputs(world: World) -> Inputs:
    gateway = hub(world)
    return {
        "transitGatewayRouteTableId": table(world, gateway),
        "transitGatewayAttachmentId": attachment(world, gateway),
    }


def _other_attachment(world: World, inputs: Inputs) -> Inputs:
    ids = [inputs["transitGatewayRouteTableId"]]
    tables = world.boto("ec2").describe_transit_gateway_route_tables(TransitGatewayRouteTableIds=ids)
    gateway = tables["TransitGatewayRouteTables"][0]["TransitGatewayId"]
    return {**inputs, "transitGatewayAttachmentId": attachment(world, gateway)}


def _ends(inputs: Inputs) -> dict[str, str]:
    return {
        "TransitGatewayRouteTableId": inputs["transitGatewayRouteTableId"],
        "TransitGatewayAttachmentId": inputs["transitGatewayAttachmentId"],
    }


def _parted(world: World, inputs: Inputs) -> str:
    world.boto("ec2").disassociate_transit_gateway_route_table(**_ends(inputs))
    return ""


def _associated(world: World, inputs: Inputs) -> bool:
    answer = world.boto("ec2").get_transit_gateway_route_table_associations(
        TransitGatewayRouteTableId=inputs["transitGatewayRouteTableId"]
    )
    return bool(answer["Associations"])


def _unpropagated(world: World, inputs: Inputs) -> str:
    world.boto("ec2").disable_transit_gateway_route_table_propagation(**_ends(inputs))
    return ""


def _propagated(world: World, inputs: Inputs) -> bool:
    answer = world.boto("ec2").get_transit_gateway_route_table_propagations(
        TransitGatewayRouteTableId=inputs["transitGatewayRouteTableId"]
    )
    return bool(answer["TransitGatewayRouteTablePropagations"])


def _route_behind(world: World, inputs: Inputs) -> str:
    world.boto("ec2").delete_transit_gateway_route(
        TransitGatewayRouteTableId=inputs["transitGatewayRouteTableId"],
        DestinationCidrBlock=inputs["destinationCidrBlock"],
    )
    return ""


def _route_left(world: World, inputs: Inputs) -> bool:
    filters: Any = [{"Name": "type", "Values": ["static"]}]
    answer = found(
        lambda: world.boto("ec2").search_transit_gateway_routes(
            TransitGatewayRouteTableId=inputs["transitGatewayRouteTableId"], Filters=filters
        )
    )
    return bool(answer and answer["Routes"])


def _site_left(world: World, inputs: Inputs) -> bool:
    listed = world.boto("ec2").describe_customer_gateways()["CustomerGateways"]
    return any(customer_gateway["CustomerGatewayId"] == _id(inputs) for customer_gateway in listed)


def log_group(world: World) -> str:
    name = world.name("vpn")
    world.boto("logs").create_log_group(logGroupName=name)
    return f"arn:aws:logs:{REGION}:123456789012:log-group:{name}"


def vpn(world: World) -> Inputs:
    """A connection as the platform makes it: one cipher, IKE version 2, keys in Secrets Manager, logs."""
    logs = {
        "cloudwatchLogOptions": {
            "logEnabled": True,
            "logGroupArn": log_group(world),
            "logOutputFormat": "json",
        }
    }
    tunnel = {
        "IkeVersions": ["ikev2"],
        "Phase1EncryptionAlgorithms": ["AES256-GCM-16"],
        "Phase1IntegrityAlgorithms": ["SHA2-384", "SHA2-512"],
        "Phase1DhGroupNumbers": [20, 21],
        "Phase2EncryptionAlgorithms": ["AES256-GCM-16"],
        "Phase2IntegrityAlgorithms": ["SHA2-384"],
        "Phase2DhGroupNumbers": [20],
        "DpdTimeoutAction": "restart",
        "StartupAction": "start",
        "LogOptions": logs,
    }
    return {
        "type": "ipsec.1",
        "customerGatewayId": site(world),
        "transitGatewayId": hub(world),
        "presharedKeyStorage": "SecretsManager",
        **{f"tunnel{number}{name}": value for number in (1, 2) for name, value in tunnel.items()},
        "tunnel1InsideCidr": "169.254.100.0/30",
        "tags": {"class": "confidential"},
    }


def _other_options(world: World, inputs: Inputs) -> Inputs:
    left = {name: value for name, value in inputs.items() if name != "tunnel2IkeVersions"}
    return {
        **left,
        "customerGatewayId": site(world),
        "tunnel1Phase1LifetimeSeconds": 3600,
        "tunnel2StartupAction": "add",
        "remoteIpv4NetworkCidr": "10.20.0.0/16",
        "tags": {"class": "internal", "new": "1"},
    }


def _vpn_behind(world: World, inputs: Inputs) -> str:
    options: Any = {"Phase1EncryptionAlgorithms": [{"Value": "AES128"}]}
    world.boto("ec2").modify_vpn_tunnel_options(
        VpnConnectionId=_id(inputs),
        VpnTunnelOutsideIpAddress=inputs["tunnel1Address"],
        TunnelOptions=options,
    )
    return "tunnel1Phase1EncryptionAlgorithms"


def _vpn_left(world: World, inputs: Inputs) -> bool:
    listed = world.boto("ec2").describe_vpn_connections()["VpnConnections"]
    return any(vpn_connection["VpnConnectionId"] == _id(inputs) for vpn_connection in listed)


CASES: dict[str, Case] = {
    "aws:ec2transitgateway/transitGateway:TransitGateway": Case(
        make=lambda world: {
            "amazonSideAsn": 64600,
            "description": "the bank's hub",
            "defaultRouteTableAssociation": "disable",
            "transitGatewayCidrBlocks": ["10.99.0.0/24"],
            "tags": {"class": "confidential"},
        },
        change=changed(
            description="hub",
            dnsSupport="disable",
            transitGatewayCidrBlocks=["10.98.0.0/24"],
            tags={"class": "internal"},
        ),
        replace=changed(multicastSupport="enable"),
        behind=_hub_behind,
        left=_hub_left,
    ),
    "aws:ec2transitgateway/vpcAttachment:VpcAttachment": Case(
        make=_attachment_inputs,
        change=_fewer_subnets,
        replace=_other_hub,
        behind=_attachment_behind,
        left=_attachment_left,
    ),
    "aws:ec2transitgateway/routeTable:RouteTable": Case(
        make=lambda world: {"transitGatewayId": hub(world), "tags": {"class": "confidential"}},
        change=changed(tags={"class": "internal"}),
        replace=_other_hub,
        behind=_tagged,
        left=_table_left,
    ),
    "aws:ec2transitgateway/routeTableAssociation:RouteTableAssociation": Case(
        make=_joined_inputs,
        change=None,
        replace=_other_attachment,
        behind=_parted,
        left=_associated,
    ),
    "aws:ec2transitgateway/routeTablePropagation:RouteTablePropagation": Case(
        make=_joined_inputs,
        change=None,
        replace=_other_attachment,
        behind=_unpropagated,
        left=_propagated,
    ),
    "aws:ec2transitgateway/route:Route": Case(
        make=lambda world: {**_joined_inputs(world), "destinationCidrBlock": "10.30.0.0/16"},
        change=None,
        replace=changed(destinationCidrBlock="10.31.0.0/16"),
        behind=_route_behind,
        left=_route_left,
    ),
    "aws:ec2/customerGateway:CustomerGateway": Case(
        make=lambda world: {
            "bgpAsn": "65010",
            "deviceName": "edge-1",
            "ipAddress": "192.0.2.10",
            "type": "ipsec.1",
            "tags": {"class": "confidential"},
        },
        change=changed(tags={"class": "internal"}),
        replace=changed(ipAddress="192.0.2.11"),
        behind=_tagged,
        left=_site_left,
    ),
    "aws:ec2/vpnConnection:VpnConnection": Case(
        make=vpn,
        change=_other_options,
        replace=changed(tunnel1InsideCidr="169.254.101.0/30"),
        behind=_vpn_behind,
        left=_vpn_left,
    ),
}

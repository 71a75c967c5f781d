"""The private path of an AWS site on the real engine: up, unchanged, changed, mended, gone; and no key in the state."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.aws_sandbox.stack import Stack, endpoint, kinds

pytestmark = pytest.mark.sandbox

REGION = "eu-central-1"
SOURCES = ["10.40.0.0/16", "10.41.7.0/24"]
ROLE = "arn:aws:iam::123456789012:role/internal-translator"
GRANTS: list[dict[str, Any]] = [
    {
        "service": "bedrock-runtime",
        "principals": [ROLE],
        "actions": ["bedrock:InvokeModel"],
        "resources": [f"arn:aws:bedrock:{REGION}:123456789012:application-inference-profile/a1"],
    },
    {
        "service": "rolesanywhere",
        "principals": ["internal-translator.isthmus-internal.svc"],
        "actions": ["rolesanywhere:CreateSession"],
        "resources": [f"arn:aws:rolesanywhere:{REGION}:123456789012:trust-anchor/0a"],
    },
    {
        "service": "ecr.dkr",
        "principals": [ROLE],
        "actions": ["ecr:BatchGetImage"],
        "resources": [f"arn:aws:ecr:{REGION}:123456789012:repository/edge"],
    },
]
VPN = {"kind": "vpn", "peer_ip": "198.51.100.7"}


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with endpoint() as url:
        new_stack = Stack(tmp_path, url)
        yield new_stack
        new_stack.stack.destroy()


def path(sources: list[str] = SOURCES, zones: str = "abc", link: dict[str, Any] = VPN) -> None:
    """The program: a network, its endpoints, and a link to the site."""
    import pulumi

    from components import Network, PrivateEndpoints, SiteLink
    from isthmus.contracts.platform.model.platform import Site
    from stacks import providers

    site = Site(name="frankfurt", kind="aws", jurisdiction="de", region=REGION)
    opts = pulumi.ResourceOptions(providers=[providers.aws(site, {"isthmus-stack": "t"}, sandbox=True)])
    network = Network(
        "net",
        {
            "name": "frankfurt",
            "region": REGION,
            "mode": "manage",
            "cidr": "10.60.0.0/16",
            "zones": [f"{REGION}{letter}" for letter in zones],
            "flow_log_days": 365,
            "tags": {"owner": "bank"},
        },
        opts,
    )
    endpoints = PrivateEndpoints(
        "ends",
        {
            "name": "frankfurt",
            "region": REGION,
            "vpc_id": network.vpc_id,
            "vpc_cidr": "10.60.0.0/16",
            "subnet_ids": network.subnet_ids,
            "route_table_ids": network.route_table_ids,
            "sources": sources,
            "grants": GRANTS,  # type: ignore[typeddict-item]
            "tags": {"owner": "bank"},
        },
        opts,
    )
    joined = SiteLink(
        "link",
        {
            "name": "fra1-frankfurt",
            "mode": "manage",
            "region": REGION,
            "vpc_id": network.vpc_id,
            "vpc_cidr": "10.60.0.0/16",
            "subnet_ids": network.subnet_ids,
            "route_table_ids": network.route_tables,
            "sources": sources,
            "site_asn": 65010,
            "amazon_asn": 64512,
            "resolvers": "manage",
            "site_dns": ["10.40.0.53"],
            "zones": ["fra1.bank.example"],
            "classes": ["internal"],
            "tags": {"owner": "bank"},
            **link,  # type: ignore[typeddict-item]
        },
        opts,
    )
    for key in ("vpc_id", "subnet_ids", "route_table_ids", "retained"):
        pulumi.export(key, getattr(network, key))
    pulumi.export("urls", endpoints.urls)
    pulumi.export("url", endpoints.url("bedrock-runtime"))
    pulumi.export("endpoints", endpoints.ids)
    for key in ("transit_gateway_id", "vpn_connection_id", "preshared_key_arn", "inbound_resolver_ips"):
        pulumi.export(key, getattr(joined, key))


def hops(ec2: Any, attachment_type: str) -> dict[str, str]:
    """The transit gateway's table of the one attachment of that type: each destination's state."""
    answer = ec2.describe_transit_gateway_attachments(
        Filters=[{"Name": "resource-type", "Values": [attachment_type]}]
    )["TransitGatewayAttachments"]
    (table,) = {
        entry["Association"]["TransitGatewayRouteTableId"] for entry in answer if entry.get("Association")
    }
    routes = ec2.search_transit_gateway_routes(
        TransitGatewayRouteTableId=table, Filters=[{"Name": "type", "Values": ["static"]}]
    )["Routes"]
    return {route["DestinationCidrBlock"]: route["State"] for route in routes}


def state_of(folder: Path) -> str:
    """Every file that the backend keeps, as one text."""
    files = [file for file in (folder / "state").rglob("*") if file.is_file()]
    assert files
    return "\n".join(file.read_text(errors="replace") for file in files)


def test_the_private_path_goes_up_stays_unchanged_changes_and_goes(stack: Stack, tmp_path: Path) -> None:
    stack.own(path)
    stack.up()
    before = stack.outputs()
    assert set(kinds(stack.stack.preview(refresh=True, expect_no_changes=True).change_summary)) == {"same"}

    ec2 = stack.boto("ec2")
    assert before["url"] == before["urls"]["bedrock-runtime"]
    assert before["url"].startswith("https://vpce-")
    assert before["url"].endswith(f".bedrock-runtime.{REGION}.vpce.amazonaws.com")
    assert len(before["inbound_resolver_ips"]) == 2
    assert hops(ec2, "vpn") == {"10.60.0.0/16": "active"}
    dropped = dict.fromkeys(("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"), "blackhole")
    assert hops(ec2, "vpc") == {**dict.fromkeys(SOURCES, "active"), **dropped}
    default = ec2.describe_security_groups(
        Filters=[
            {"Name": "vpc-id", "Values": [before["vpc_id"]]},
            {"Name": "group-name", "Values": ["default"]},
        ]
    )["SecurityGroups"][0]
    assert (default["IpPermissions"], default["IpPermissionsEgress"]) == ([], [])
    assert_no_key(stack, before, tmp_path)

    # Somebody opens the default group by hand: the next refresh shows it, the next up closes it.
    ec2.authorize_security_group_ingress(
        GroupId=default["GroupId"],
        IpPermissions=[
            {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
        ],
    )
    stack.stack.up(refresh=True)
    again = ec2.describe_security_groups(GroupIds=[default["GroupId"]])["SecurityGroups"][0]
    assert again["IpPermissions"] == []

    # A source less, a zone less: what stays is not touched.
    stack.own(lambda: path(sources=SOURCES[:1], zones="ab"))
    changes = kinds(stack.up().summary.resource_changes)
    assert changes.get("delete-replaced", 0) == 0
    assert not any("replace" in kind for kind in changes), changes
    after = stack.outputs()
    assert after["subnet_ids"] == before["subnet_ids"][:2]
    assert after["vpn_connection_id"] == before["vpn_connection_id"]
    assert hops(ec2, "vpc") == {"10.40.0.0/16": "active", **dropped}

    stack.stack.destroy()
    assert_only_records_stay(stack, before)


@pytest.mark.soak
def test_on_a_gateway_that_connects_all_by_default_the_ends_still_reach_what_they_must(stack: Stack) -> None:
    ec2 = stack.boto("ec2")
    shared = ec2.create_transit_gateway(Options={"AmazonSideAsn": 64512})["TransitGateway"]
    assert shared["Options"]["DefaultRouteTableAssociation"] == "enable"
    default = shared["Options"]["AssociationDefaultRouteTableId"]
    stack.own(lambda: path(link={**VPN, "transit_gateway": shared["TransitGatewayId"]}))
    stack.up()
    assert set(kinds(stack.stack.preview(refresh=True, expect_no_changes=True).change_summary)) == {"same"}
    assert stack.outputs()["transit_gateway_id"] == shared["TransitGatewayId"]
    assert hops(ec2, "vpn") == {"10.60.0.0/16": "active"}
    assert hops(ec2, "vpc")["10.40.0.0/16"] == "active"
    joined = ec2.get_transit_gateway_route_table_associations(TransitGatewayRouteTableId=default)
    assert joined["Associations"] == [], "an end is in the table that reaches everything"

    stack.stack.destroy()
    (left,) = ec2.describe_transit_gateways(TransitGatewayIds=[shared["TransitGatewayId"]])["TransitGateways"]
    assert left["State"] == "available"


@pytest.mark.soak
def test_a_direct_connect_link_goes_up_stays_unchanged_and_goes(stack: Stack, tmp_path: Path) -> None:
    connect = stack.boto("directconnect")
    ordered = connect.create_connection(location="EqFA5", bandwidth="10Gbps", connectionName="fra1")
    link = {"kind": "direct-connect", "connection": ordered["connectionId"], "vlan": 101}
    stack.own(lambda: path(link=link))
    stack.up()
    before = stack.outputs()
    assert set(kinds(stack.stack.preview(refresh=True, expect_no_changes=True).change_summary)) == {"same"}
    assert (before["vpn_connection_id"], before["preshared_key_arn"]) == ("", "")
    assert hops(stack.boto("ec2"), "direct-connect-gateway") == {"10.60.0.0/16": "active"}
    (interface,) = connect.describe_virtual_interfaces()["virtualInterfaces"]
    assert (interface["vlan"], interface["asn"]) == (101, 65010)
    (association,) = connect.describe_direct_connect_gateway_associations(
        directConnectGatewayId=interface["directConnectGatewayId"]
    )["directConnectGatewayAssociations"]
    assert [prefix["cidr"] for prefix in association["allowedPrefixesToDirectConnectGateway"]] == [
        "10.60.0.0/16"
    ]
    assert len(interface["authKey"]) >= 6
    assert interface["virtualInterfaceId"] in state_of(tmp_path)
    assert interface["authKey"] not in state_of(tmp_path), (
        "the key of the BGP session is in the state in the clear"
    )

    stack.stack.destroy()
    assert_only_records_stay(stack, before)
    living = [
        virtual_interface
        for virtual_interface in connect.describe_virtual_interfaces()["virtualInterfaces"]
        if virtual_interface["virtualInterfaceState"] not in ("deleting", "deleted")
    ]
    assert not living


def assert_no_key(stack: Stack, outputs: dict[str, Any], folder: Path) -> None:
    """The tunnels' keys are in Secrets Manager, and nowhere in the state."""
    secret = stack.boto("secretsmanager").get_secret_value(SecretId=outputs["preshared_key_arn"])
    keys = [value for value in json.loads(secret["SecretString"]).values() if len(str(value)) >= 8]
    assert len(keys) >= 2
    retained = state_of(folder)
    assert outputs["preshared_key_arn"] in retained, "the state that was searched is not this stack's"
    for key in keys:
        assert str(key) not in retained


def assert_only_records_stay(stack: Stack, outputs: dict[str, Any]) -> None:
    # Flow log and, in a network with a DNS firewall, query log; a key for each.
    logs = {arn for arn in outputs["retained"] if ":log-group:" in arn}
    keys = set(outputs["retained"]) - logs
    assert logs
    assert len(keys) == len(logs)
    groups = stack.boto("logs").describe_log_groups()["logGroups"]
    assert {group["arn"].removesuffix(":*") for group in groups} == logs
    for key in keys:
        assert stack.boto("kms").describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Enabled"
    ec2 = stack.boto("ec2")
    assert outputs["vpc_id"] not in [vpc["VpcId"] for vpc in ec2.describe_vpcs()["Vpcs"]]
    assert not [
        vpn_connection
        for vpn_connection in ec2.describe_vpn_connections()["VpnConnections"]
        if vpn_connection["State"] not in ("deleted", "deleting")
    ]
    assert stack.boto("iam").list_roles()["Roles"] == []

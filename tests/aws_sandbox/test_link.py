"""Transit gateways, VPN and resolvers beside the plain life of each type: what joins what, and what AWS refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.aws_sandbox.cases.link import attachment, hub, site, table, vpc, vpn
from tests.aws_sandbox.cases.resolver import CASES as RESOLVER
from tests.aws_sandbox.driver import Client, Refusal, World
from tests.aws_sandbox.faults import ask, put

HUB, ATTACHMENT = (
    "aws:ec2transitgateway/transitGateway:TransitGateway",
    "aws:ec2transitgateway/vpcAttachment:VpcAttachment",
)
TABLE, ROUTE = "aws:ec2transitgateway/routeTable:RouteTable", "aws:ec2transitgateway/route:Route"
ASSOCIATION = "aws:ec2transitgateway/routeTableAssociation:RouteTableAssociation"
PROPAGATION = "aws:ec2transitgateway/routeTablePropagation:RouteTablePropagation"
VPN, SITE = "aws:ec2/vpnConnection:VpnConnection", "aws:ec2/customerGateway:CustomerGateway"
ENDPOINT, RULE = "aws:route53/resolverEndpoint:ResolverEndpoint", "aws:route53/resolverRule:ResolverRule"
FOLLOWING = "aws:route53/resolverRuleAssociation:ResolverRuleAssociation"
JOIN = ("transitGatewayDefaultRouteTableAssociation", "transitGatewayDefaultRouteTablePropagation")


def tables(world: World, gateway: str) -> list[Any]:
    filters: Any = [{"Name": "transit-gateway-id", "Values": [gateway]}]
    return world.boto("ec2").describe_transit_gateway_route_tables(Filters=filters)[
        "TransitGatewayRouteTables"
    ]


def joined(world: World, id: str, within: str) -> bool:
    listed = world.boto("ec2").get_transit_gateway_route_table_associations(TransitGatewayRouteTableId=within)
    return any(attachment["TransitGatewayAttachmentId"] == id for attachment in listed["Associations"])


# -- transit gateways


@pytest.mark.parametrize(("default", "count"), [("enable", 1), ("disable", 0)])
def test_a_gateway_has_a_default_table_only_where_it_was_asked_for(
    client: Client, world: World, default: str, count: int
) -> None:
    inputs = {"defaultRouteTableAssociation": default, "defaultRouteTablePropagation": default}
    id, state = client.create(HUB, client.checked(HUB, inputs))
    actual = tables(world, id)
    assert len(actual) == count
    assert state["associationDefaultRouteTableId"] == "".join(
        transit_gateway_route_table["TransitGatewayRouteTableId"] for transit_gateway_route_table in actual
    )
    client.delete(HUB, id, state)
    assert tables(world, id) == [], "the default table goes with its gateway"


def test_an_attachment_joins_the_default_table_unless_it_is_told_not_to(client: Client, world: World) -> None:
    gateway = hub(world, "enable")
    default = tables(world, gateway)[0]["TransitGatewayRouteTableId"]
    id, subnets = vpc(world)
    inputs = client.checked(
        ATTACHMENT, {"transitGatewayId": gateway, "vpcId": id, "subnetIds": subnets, JOIN[0]: False}
    )
    created, state = client.create(ATTACHMENT, inputs)
    assert (state[JOIN[0]], state[JOIN[1]]) == (False, True)
    assert not joined(world, created, default)
    after = client.update(ATTACHMENT, created, state, {**inputs, JOIN[0]: True, JOIN[1]: False})
    assert (after[JOIN[0]], after[JOIN[1]]) == (True, False)
    assert joined(world, created, default)


def test_what_hangs_on_a_gateway_holds_it_back(client: Client, world: World) -> None:
    id, state = client.create(HUB, client.checked(HUB, {"defaultRouteTableAssociation": "disable"}))
    own, retained = client.create(TABLE, client.checked(TABLE, {"transitGatewayId": id}))
    with pytest.raises(Refusal, match="non-deleted Transit Gateway Route Tables"):
        client.delete(HUB, id, state)
    sensitivity = attachment(world, id)
    with pytest.raises(Refusal, match="non-deleted Transit Gateway Attachments"):
        client.delete(HUB, id, state)
    world.boto("ec2").delete_transit_gateway_vpc_attachment(TransitGatewayAttachmentId=sensitivity)
    client.delete(TABLE, own, retained)
    client.delete(HUB, id, state)
    assert client.read(HUB, id, state)[0] == ""


def test_a_table_in_use_stays_and_an_attachment_follows_one_table(client: Client, world: World) -> None:
    gateway = hub(world)
    first, second, end = table(world, gateway), table(world, gateway), attachment(world, gateway)
    ends = {"transitGatewayRouteTableId": first, "transitGatewayAttachmentId": end}
    client.create(ASSOCIATION, client.checked(ASSOCIATION, ends))
    with pytest.raises(Refusal, match="has associations"):
        client.delete(TABLE, first, {"transitGatewayId": gateway})
    other = {**ends, "transitGatewayRouteTableId": second}
    with pytest.raises(Refusal, match="already associated"):
        client.create(ASSOCIATION, client.checked(ASSOCIATION, other))
    client.create(ASSOCIATION, client.checked(ASSOCIATION, {**other, "replaceExistingAssociation": True}))
    assert (joined(world, end, first), joined(world, end, second)) == (False, True)
    client.delete(TABLE, first, {"transitGatewayId": gateway})


def test_several_attachments_announce_themselves_into_one_table(client: Client, world: World) -> None:
    gateway = hub(world)
    into, ends = table(world, gateway), [attachment(world, gateway) for _ in range(2)]
    created = [
        client.create(
            PROPAGATION,
            client.checked(
                PROPAGATION, {"transitGatewayRouteTableId": into, "transitGatewayAttachmentId": end}
            ),
        )
        for end in ends
    ]
    client.delete(PROPAGATION, *created[0])
    listed = world.boto("ec2").get_transit_gateway_route_table_propagations(TransitGatewayRouteTableId=into)
    left = [
        transit_gateway_attachment["TransitGatewayAttachmentId"]
        for transit_gateway_attachment in listed["TransitGatewayRouteTablePropagations"]
    ]
    assert left == ends[1:], "taking one back leaves the other"


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({}, "an attachment or is a black hole"),
        ({"blackhole": True, "transitGatewayAttachmentId": "own"}, "an attachment or is a black hole"),
        ({"transitGatewayAttachmentId": "other"}, "of another transit gateway"),
        ({"blackhole": True, "destinationCidrBlock": "10.0.0.0/33"}, "no network in CIDR notation"),
    ],
)
def test_a_route_has_one_end_of_its_own_gateway(
    client: Client, world: World, more: dict[str, Any], why: str
) -> None:
    gateway = hub(world)
    own = {"transitGatewayRouteTableId": table(world, gateway), "destinationCidrBlock": "10.30.0.0/16"}
    ends = {"own": lambda: attachment(world, gateway), "other": lambda: attachment(world, hub(world))}
    request = {
        name: ends[value]() if name == "transitGatewayAttachmentId" else value for name, value in more.items()
    }
    with pytest.raises(Refusal, match=why):
        client.create(ROUTE, client.checked(ROUTE, {**own, **request}))


def test_a_route_whose_end_goes_is_a_black_hole_and_is_seen_to_have_changed(
    client: Client, world: World
) -> None:
    gateway = hub(world)
    end = attachment(world, gateway)
    inputs = client.checked(
        ROUTE,
        {
            "transitGatewayRouteTableId": table(world, gateway),
            "destinationCidrBlock": "10.30.0.0/16",
            "transitGatewayAttachmentId": end,
        },
    )
    id, state = client.create(ROUTE, inputs)
    world.boto("ec2").delete_transit_gateway_vpc_attachment(TransitGatewayAttachmentId=end)
    routes = world.boto("ec2").search_transit_gateway_routes(
        TransitGatewayRouteTableId=inputs["transitGatewayRouteTableId"],
        Filters=[{"Name": "state", "Values": ["blackhole"]}],
    )["Routes"]
    assert [route["DestinationCidrBlock"] for route in routes] == ["10.30.0.0/16"]
    assert client.read(ROUTE, id, state, inputs)[0] == id


def test_a_dropped_network_is_a_route_of_its_own(client: Client, world: World) -> None:
    inputs = {
        "transitGatewayRouteTableId": table(world, hub(world)),
        "destinationCidrBlock": "10.0.0.0/8",
        "blackhole": True,
    }
    id, state = client.create(ROUTE, client.checked(ROUTE, inputs))
    assert state["blackhole"] is True
    assert client.read(ROUTE, id)[1]["blackhole"] is True
    with pytest.raises(Refusal, match="RouteAlreadyExists"):
        client.create(ROUTE, client.checked(ROUTE, inputs))


def test_an_attachment_has_one_subnet_a_zone_and_a_gateway_one_attachment_a_vpc(
    client: Client, world: World
) -> None:
    gateway, (id, subnets) = hub(world), vpc(world, zones=1)
    again = world.boto("ec2").create_subnet(
        VpcId=id, CidrBlock="10.20.9.0/24", AvailabilityZone="eu-central-1a"
    )["Subnet"]["SubnetId"]
    inputs = {"transitGatewayId": gateway, "vpcId": id, "subnetIds": [*subnets, again]}
    with pytest.raises(Refusal, match="one subnet of each zone"):
        client.create(ATTACHMENT, client.checked(ATTACHMENT, inputs))
    one = client.checked(ATTACHMENT, {**inputs, "subnetIds": subnets})
    client.create(ATTACHMENT, one)
    with pytest.raises(Refusal, match="DuplicateTransitGatewayAttachment"):
        client.create(ATTACHMENT, one)


# -- VPN


def test_a_connection_is_attached_to_its_gateway_and_parted_when_it_goes(
    client: Client, world: World
) -> None:
    id, state = client.create(VPN, client.checked(VPN, vpn(world)))
    within = table(world, state["transitGatewayId"])
    ends = {
        "transitGatewayRouteTableId": within,
        "transitGatewayAttachmentId": state["transitGatewayAttachmentId"],
    }
    _, relation = client.create(ASSOCIATION, client.checked(ASSOCIATION, ends))
    assert (relation["resourceType"], relation["resourceId"]) == ("vpn", id)
    client.delete(VPN, id, state)
    assert not joined(world, state["transitGatewayAttachmentId"], within)


def test_a_connection_moves_to_another_gateway_with_another_attachment(client: Client, world: World) -> None:
    inputs = client.checked(VPN, vpn(world))
    id, state = client.create(VPN, inputs)
    after = client.update(VPN, id, state, {**inputs, "transitGatewayId": hub(world)})
    assert after["transitGatewayAttachmentId"] != state["transitGatewayAttachmentId"]
    assert after["presharedKeyArn"] == state["presharedKeyArn"]
    assert after["tunnel1Address"] == state["tunnel1Address"]


def test_a_site_s_end_in_use_stays(client: Client, world: World) -> None:
    inputs = client.checked(VPN, vpn(world))
    id, state = client.create(VPN, inputs)
    with pytest.raises(Refusal, match="in use"):
        client.delete(SITE, inputs["customerGatewayId"], {})
    client.delete(VPN, id, state)
    client.delete(SITE, inputs["customerGatewayId"], {})


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("tunnel1InsideCidr", "169.254.0.0/30"),
        ("tunnel1InsideCidr", "10.0.0.0/30"),
        ("tunnel2InsideCidr", "169.254.100.0/29"),
        ("tunnel1Phase1LifetimeSeconds", 899),
        ("tunnel1Phase2LifetimeSeconds", 3601),
        ("tunnel2DpdTimeoutSeconds", 29),
        ("tunnel1IkeVersions", ["ikev3"]),
        ("tunnel2Phase1DhGroupNumbers", [5]),
        ("tunnel1Phase2IntegrityAlgorithms", ["MD5"]),
        ("tunnel1StartupAction", "wait"),
    ],
)
def test_a_tunnel_s_option_that_aws_does_not_take_is_refused_by_its_name(
    client: Client, world: World, option: str, value: Any
) -> None:
    inputs = {**vpn(world), option: value}
    with pytest.raises(Refusal) as refusal:
        client.create(VPN, client.checked(VPN, inputs))
    assert option.lower()[7:] in str(refusal.value).lower()
    listed = world.boto("ec2").describe_vpn_connections()["VpnConnections"]
    assert inputs["customerGatewayId"] not in [
        customer_gateway["CustomerGatewayId"] for customer_gateway in listed
    ]


def test_two_tunnels_never_share_an_inside_network(client: Client, world: World) -> None:
    both = {**vpn(world), "tunnel1InsideCidr": "169.254.77.0/30", "tunnel2InsideCidr": "169.254.77.0/30"}
    with pytest.raises(Refusal, match="TunnelInsideCidr"):
        client.create(VPN, client.checked(VPN, both))


def test_a_connection_to_a_virtual_private_gateway_is_not_served(client: Client, world: World) -> None:
    with pytest.raises(Refusal, match="Only connections to a transit gateway"):
        client.create(VPN, {"type": "ipsec.1", "customerGatewayId": site(world)})


# -- resolvers


def _made(
    client: Client, world: World, token: str, **more: Any
) -> tuple[dict[str, Any], str, dict[str, Any]]:
    inputs = client.checked(token, {**RESOLVER[token].make(world), **more})
    return inputs, *client.create(token, inputs)


@pytest.mark.usefixtures("healed")
def test_an_endpoint_that_moves_has_two_addresses_at_all_times(client: Client, world: World) -> None:
    """AWS refuses to take one away for a while: the new one is there already, and the next run goes on."""
    inputs, id, state = _made(client, world, ENDPOINT)
    resolver, change = world.boto("route53resolver"), RESOLVER[ENDPOINT].change
    assert change is not None
    expected = change(world, inputs)
    put(world, "route53resolver", "DisassociateResolverEndpointIpAddress", "drop", times=99)
    with pytest.raises(Refusal, match="disassociate_resolver_endpoint_ip_address"):
        client.update(ENDPOINT, id, state, expected)
    assert len(resolver.list_resolver_endpoint_ip_addresses(ResolverEndpointId=id)["IpAddresses"]) == 3
    ask(world, "DELETE")
    _, now, _ = client.read(ENDPOINT, id, state, inputs)
    after = client.update(ENDPOINT, id, now, expected)
    there = resolver.list_resolver_endpoint_ip_addresses(ResolverEndpointId=id)["IpAddresses"]
    assert {entry["Ip"] for entry in there} == {entry["ip"] for entry in after["ipAddresses"]}
    assert (
        len({alias["ip"] for alias in after["ipAddresses"]} & {alias["ip"] for alias in state["ipAddresses"]})
        == 1
    )


def test_an_endpoint_of_one_address_is_refused(client: Client, world: World) -> None:
    inputs = RESOLVER[ENDPOINT].make(world)
    with pytest.raises(Refusal, match="min length: 2"):
        client.create(ENDPOINT, {**inputs, "ipAddresses": inputs["ipAddresses"][:1]})


def test_an_address_that_aws_chose_is_no_difference_and_one_that_was_given_is_kept(
    client: Client, world: World
) -> None:
    inputs, id, state = _made(client, world, ENDPOINT)
    assert [bool(ip_address.get("ip")) for ip_address in inputs["ipAddresses"]] == [True, False]
    assert all(resource["ip"] for resource in state["ipAddresses"])
    assert inputs["ipAddresses"][0]["ip"] in [ip["ip"] for ip in state["ipAddresses"]]
    assert not client.diff(ENDPOINT, id, state, inputs).diffs


def test_a_rule_that_a_vpc_follows_stays_and_a_vpc_follows_it_once(client: Client, world: World) -> None:
    inputs, id, state = _made(client, world, FOLLOWING)
    with pytest.raises(Refusal, match="ResourceInUse"):
        client.delete(RULE, inputs["resolverRuleId"], {})
    with pytest.raises(Refusal, match=r"InvalidRequestException|ResourceExists"):
        client.create(FOLLOWING, {**inputs, "name": world.name("again")})
    client.delete(FOLLOWING, id, state)
    client.delete(RULE, inputs["resolverRuleId"], {})


def test_a_rule_asks_servers_by_their_addresses_through_an_endpoint_that_is_there(
    client: Client, world: World
) -> None:
    inputs, id, state = _made(client, world, RULE)
    with pytest.raises(Refusal, match="IPv4"):
        client.update(RULE, id, state, {**inputs, "targetIps": [{"ip": "dns.bank.example"}]})
    with pytest.raises(Refusal, match="ResourceNotFoundException"):
        client.update(RULE, id, state, {**inputs, "resolverEndpointId": "rslvr-out-0000000000000000"})
    assert client.read(RULE, id, state, inputs)[1] == state, "what was refused changed nothing"


def test_a_zone_with_and_without_its_dot_is_the_same(client: Client, world: World) -> None:
    inputs, id, state = _made(client, world, RULE, domainName="fra1.bank.example.")
    assert json.dumps(state["domainName"]) in ('"fra1.bank.example."', '"fra1.bank.example"')
    assert not client.diff(RULE, id, state, {**inputs, "domainName": "fra1.bank.example"}).diffs
    assert client.diff(RULE, id, state, {**inputs, "domainName": "bank.example"}).replaces == ["domainName"]

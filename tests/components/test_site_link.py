"""The private link of an on-prem site: what each end reaches, by what it is carried, and who asks whom for names."""

import json
from collections.abc import Iterable
from typing import Any

import pulumi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components import SiteLink
from components.aws.link.direct_connect import next_asn
from isthmus.core.errors import InputError, Refused
from tests.components.conftest import Engine

REGION = "eu-central-1"
GIVEN: dict[str, Any] = {
    "name": "fra1-frankfurt",
    "kind": "vpn",
    "mode": "manage",
    "region": REGION,
    "vpc_id": "vpc-0a",
    "vpc_cidr": "10.60.0.0/16",
    "subnet_ids": ["subnet-1", "subnet-2", "subnet-3"],
    "route_table_ids": ["rtb-1", "rtb-2"],
    "sources": ["10.40.0.0/16", "10.41.7.0/24"],
    "peer_ip": "198.51.100.7",
    "site_asn": 65010,
    "amazon_asn": 64512,
    "resolvers": "manage",
    "site_dns": ["10.40.0.53", "10.40.1.53"],
    "zones": ["fra1.bank.example"],
    "classes": ["public", "internal"],
    "tags": {"owner": "bank"},
}
DIRECT = {"kind": "direct-connect", "connection": "dxcon-fg1", "vlan": 101, "peer_ip": None}
SECRETS = ("tunnel1PresharedKey", "tunnel2PresharedKey", "customerGatewayConfiguration", "bgpAuthKey")


def arguments(**more: Any) -> dict[str, Any]:
    return {key: value for key, value in {**GIVEN, **more}.items() if value is not None}


def build(engine: Engine, **more: Any) -> None:
    engine.deploy(SiteLink, "link", arguments(**more))


def resources_of(engine: Engine, token: str) -> dict[str, dict[str, Any]]:
    """Inputs by name of every resource whose type starts with `token`."""
    return {resource.name: resource.inputs for resource in engine.made if resource.type.startswith(token)}


def hops(engine: Engine, end: str) -> dict[str, str]:
    """The table of one end's attachment: each destination's next hop."""
    routes = resources_of(engine, "aws:ec2transitgateway/route:Route").values()
    return {
        route["destinationCidrBlock"]: "dropped"
        if route.get("blackhole")
        else route["transitGatewayAttachmentId"]
        for route in routes
        if route["transitGatewayRouteTableId"] == f"link-{end}-table-id"
    }


DNS = {
    (server, protocol, 53, 53) for server in ("10.40.0.53/32", "10.40.1.53/32") for protocol in ("tcp", "udp")
}


def passes(rules: Iterable[dict[str, Any]]) -> set[tuple[str, str, int, int]]:
    """What rules let through: peer, protocol and ports."""
    return {(rule["cidrIpv4"], rule["ipProtocol"], rule["fromPort"], rule["toPort"]) for rule in rules}


def attached(engine: Engine) -> dict[str, dict[str, Any]]:
    """By table: its association."""
    associations = resources_of(engine, "aws:ec2transitgateway/routeTableAssociation").values()
    return {association["transitGatewayRouteTableId"]: association for association in associations}


def test_a_new_transit_gateway_connects_nothing_by_itself(engine: Engine) -> None:
    build(engine)
    transit_gateway = engine.only("TransitGateway").inputs
    assert transit_gateway["amazonSideAsn"] == 64512
    for default in (
        "defaultRouteTableAssociation",
        "defaultRouteTablePropagation",
        "autoAcceptSharedAttachments",
    ):
        assert transit_gateway[default] == "disable"
    assert engine.outputs["transit_gateway_id"] == "link-gateway-id"


def test_the_site_reaches_the_vpc_and_nothing_else(engine: Engine) -> None:
    build(engine)
    assert attached(engine)["link-site-table-id"]["transitGatewayAttachmentId"] == "tgw-attach-vpn"
    assert hops(engine, "site") == {"10.60.0.0/16": "link-vpc-id"}


def test_the_vpc_reaches_the_sources_and_the_rest_of_private_space_is_dropped(engine: Engine) -> None:
    build(engine)
    assert attached(engine)["link-vpc-table-id"]["transitGatewayAttachmentId"] == "link-vpc-id"
    assert hops(engine, "vpc") == {
        "10.40.0.0/16": "tgw-attach-vpn",
        "10.41.7.0/24": "tgw-attach-vpn",
        "10.0.0.0/8": "dropped",
        "172.16.0.0/12": "dropped",
        "192.168.0.0/16": "dropped",
    }
    assert not engine.all("RouteTablePropagation"), (
        "the site's announcements would widen what the VPC reaches"
    )


def test_a_source_that_is_private_space_itself_is_not_dropped(engine: Engine) -> None:
    build(engine, sources=["10.40.0.0/16", "192.168.0.0/16"])
    assert hops(engine, "vpc")["192.168.0.0/16"] == "tgw-attach-vpn"
    assert len(resources_of(engine, "aws:ec2transitgateway/route:Route")) == 1 + 2 + 2


def test_each_route_table_of_the_vpc_leads_to_each_source_once_the_vpc_is_attached(engine: Engine) -> None:
    build(engine)
    routes = [resource for resource in engine.made if resource.type == "aws:ec2/route:Route"]
    assert {(route.inputs["routeTableId"], route.inputs["destinationCidrBlock"]) for route in routes} == {
        (table, source) for table in GIVEN["route_table_ids"] for source in GIVEN["sources"]
    }
    assert {route.inputs["transitGatewayId"] for route in routes} == {"link-gateway-id"}
    assert all("link-vpc" in route.depends_on for route in routes), (
        "AWS refuses a route to a gateway not attached"
    )


def test_a_transit_gateway_that_exists_is_used_and_its_defaults_are_kept_out(engine: Engine) -> None:
    build(engine, transit_gateway="tgw-0a")
    assert not engine.all("TransitGateway")
    vpc = engine.only("VpcAttachment").inputs
    assert vpc["transitGatewayId"] == "tgw-0a"
    assert vpc["transitGatewayDefaultRouteTableAssociation"] is False
    assert vpc["transitGatewayDefaultRouteTablePropagation"] is False
    assert attached(engine)["link-site-table-id"]["replaceExistingAssociation"] is True
    assert "replaceExistingAssociation" not in attached(engine)["link-vpc-table-id"]
    assert engine.outputs["transit_gateway_id"] == "tgw-0a"


def test_both_tunnels_take_strong_ciphers_only(engine: Engine) -> None:
    build(engine)
    vpn = engine.only("VpnConnection").inputs
    for tunnel in ("tunnel1", "tunnel2"):
        assert vpn[f"{tunnel}IkeVersions"] == ["ikev2"]
        for phase in ("Phase1", "Phase2"):
            assert vpn[f"{tunnel}{phase}EncryptionAlgorithms"] == ["AES256-GCM-16"]
            assert vpn[f"{tunnel}{phase}IntegrityAlgorithms"] == ["SHA2-384", "SHA2-512"]
            assert vpn[f"{tunnel}{phase}DhGroupNumbers"] == [20, 21]
        assert vpn[f"{tunnel}DpdTimeoutAction"] == "restart"
    assert vpn["staticRoutesOnly"] is False
    assert vpn["transitGatewayId"] == "link-gateway-id"


def test_both_tunnels_log_to_a_sealed_group(engine: Engine) -> None:
    build(engine, log_days=91)
    vpn, group = engine.only("VpnConnection").inputs, engine.only("LogGroup")
    for tunnel in ("tunnel1", "tunnel2"):
        options = vpn[f"{tunnel}LogOptions"]["cloudwatchLogOptions"]
        assert options["logEnabled"] is True
        assert options["logGroupArn"] == f"arn:aws:cloudwatch/logGroup:::{group.name}"
    assert group.inputs["retentionInDays"] == 120
    assert group.inputs["kmsKeyId"].startswith("arn:aws:kms/key:::")


def test_keys_of_the_tunnels_are_aws_to_make_and_keep(engine: Engine) -> None:
    build(engine)
    vpn_connection = engine.only("VpnConnection")
    assert vpn_connection.inputs["presharedKeyStorage"] == "SecretsManager"
    assert not any(
        "preshared" in key.lower() for key in vpn_connection.inputs if key != "presharedKeyStorage"
    )
    assert engine.outputs["preshared_key_arn"] == "arn:aws:secretsmanager:::secret:vpn"
    assert engine.outputs["vpn_connection_id"] == "link-vpn-id"
    assert set(vpn_connection.secret_outputs) == set(SECRETS[:3])


def test_the_sites_end_is_its_public_address_and_bgp_number(engine: Engine) -> None:
    build(engine)
    peer = engine.only("CustomerGateway").inputs
    assert (peer["ipAddress"], peer["bgpAsn"], peer["type"]) == ("198.51.100.7", "65010", "ipsec.1")
    large = Engine()
    build(large, site_asn=4200000001)
    assert large.only("CustomerGateway").inputs["bgpAsnExtended"] == "4200000001"
    assert "bgpAsn" not in large.only("CustomerGateway").inputs


def test_direct_connect_makes_a_gateway_an_interface_and_announces_the_vpc_only(engine: Engine) -> None:
    build(engine, **DIRECT)
    assert not engine.all("VpnConnection")
    gateway = engine.only("Gateway").inputs
    assert gateway["amazonSideAsn"] == "64513", "AWS refuses two gateways of one number"
    interface = engine.only("TransitVirtualInterface")
    assert interface.inputs["connectionId"] == "dxcon-fg1"
    assert (interface.inputs["vlan"], interface.inputs["bgpAsn"]) == (101, 65010)
    assert interface.inputs["dxGatewayId"] == "link-dx-gateway-id"
    assert "bgpAuthKey" not in interface.inputs
    assert interface.secret_outputs == ("bgpAuthKey",)
    association = engine.only("GatewayAssociation")
    assert association.inputs["allowedPrefixes"] == ["10.60.0.0/16"]
    assert association.inputs["associatedGatewayId"] == "link-gateway-id"
    assert attached(engine)["link-site-table-id"]["transitGatewayAttachmentId"] == "tgw-attach-dx"
    assert hops(engine, "vpc")["10.40.0.0/16"] == "tgw-attach-dx"
    assert engine.outputs["vpn_connection_id"] == ""
    assert engine.outputs["preshared_key_arn"] == ""


def test_a_direct_connect_gateway_that_exists_needs_no_interface(engine: Engine) -> None:
    build(engine, **{**DIRECT, "connection": None, "vlan": None}, direct_connect_gateway="dx-0a")
    assert not engine.all("Gateway")
    assert not engine.all("TransitVirtualInterface")
    assert engine.only("GatewayAssociation").inputs["dxGatewayId"] == "dx-0a"


def test_the_inbound_resolver_answers_the_sites_servers_in_two_zones(engine: Engine) -> None:
    build(engine)
    inbound = resources_of(engine, "aws:route53/resolverEndpoint")["link-inbound"]
    assert inbound["direction"] == "INBOUND"
    assert [place["subnetId"] for place in inbound["ipAddresses"]] == ["subnet-1", "subnet-2"]
    assert inbound["securityGroupIds"] == ["link-inbound-group-id"]
    rules = resources_of(engine, "aws:vpc/securityGroupIngressRule").values()
    assert {rule["securityGroupId"] for rule in rules} == {"link-inbound-group-id"}
    assert passes(rules) == DNS
    assert engine.outputs["inbound_resolver_ips"] == ["10.60.0.10", "10.60.1.10"]


def test_the_vpc_asks_the_site_for_the_sites_zones_only(engine: Engine) -> None:
    build(engine, zones=["fra1.bank.example", "Bank.example."])
    rules = resources_of(engine, "aws:route53/resolverRule:")
    assert {rule["domainName"] for rule in rules.values()} == {"fra1.bank.example", "bank.example"}
    for rule in rules.values():
        assert rule["ruleType"] == "FORWARD"
        assert rule["resolverEndpointId"] == "link-outbound-id"
        assert [target["ip"] for target in rule["targetIps"]] == ["10.40.0.53", "10.40.1.53"]
    bound = resources_of(engine, "aws:route53/resolverRuleAssociation").values()
    assert {association["vpcId"] for association in bound} == {"vpc-0a"}
    assert len(bound) == 2
    outbound = resources_of(engine, "aws:route53/resolverEndpoint")["link-outbound"]
    assert (outbound["direction"], outbound["securityGroupIds"]) == ("OUTBOUND", ["link-outbound-group-id"])
    leaving = resources_of(engine, "aws:vpc/securityGroupEgressRule").values()
    assert {rule["securityGroupId"] for rule in leaving} == {"link-outbound-group-id"}
    assert passes(leaving) == DNS


def test_zones_that_differ_by_a_dot_only_have_rules_of_their_own(engine: Engine) -> None:
    zones = ["a-b.example", "a.b.example"]
    build(engine, zones=zones)
    rules = resources_of(engine, "aws:route53/resolverRule:")
    assert [rule["domainName"] for rule in rules.values()] == zones


def test_without_zones_nothing_leaves_the_vpc_for_a_name(engine: Engine) -> None:
    build(engine, zones=[])
    assert list(resources_of(engine, "aws:route53/")) == ["link-inbound"]


@pytest.mark.parametrize("mode", ["existing", "off"])
def test_existing_resolvers_are_not_created(engine: Engine, mode: str) -> None:
    build(engine, resolvers=mode, site_dns=[])
    assert not resources_of(engine, "aws:route53/")
    assert engine.outputs["inbound_resolver_ips"] == []


def test_over_a_link_that_exists_only_resolvers_are_made(engine: Engine) -> None:
    build(engine, mode="existing", transit_gateway="tgw-0a", peer_ip=None, site_asn=None)
    assert {resource.type.split("/")[0] for resource in engine.made} == {"aws:route53", "aws:ec2", "aws:vpc"}
    assert {resource.kind for resource in engine.made if resource.type.startswith("aws:ec2/")} == {
        "SecurityGroup"
    }
    assert engine.outputs["transit_gateway_id"] == "tgw-0a"


def test_a_link_that_is_off_makes_nothing(engine: Engine) -> None:
    build(engine, mode="off", sources=[], site_dns=[])
    assert not engine.made
    assert engine.outputs["transit_gateway_id"] == ""


def test_every_taggable_resource_is_tagged_with_its_class(engine: Engine) -> None:
    build(engine, classes=["internal"])
    bare = {resource.kind for resource in engine.made if "tags" not in resource.inputs}
    assert bare == {"RouteTableAssociation", "Route", "ResolverRuleAssociation"}
    tagged = [resource.inputs["tags"] for resource in engine.made if "tags" in resource.inputs]
    assert all(tags["owner"] == "bank" and tags["isthmus.dev/class"] == "internal" for tags in tagged)
    fresh_engine = Engine()
    build(fresh_engine)
    assert "isthmus.dev/class" not in fresh_engine.only("TransitGateway").inputs["tags"]


def test_ids_that_are_not_known_yet_are_taken_as_long_as_their_number_is(engine: Engine) -> None:
    build(
        engine,
        subnet_ids=pulumi.Output.from_input(["subnet-8", "subnet-9"]),
        route_table_ids=[pulumi.Output.from_input("rtb-9")],
        vpc_id=pulumi.Output.from_input("vpc-9"),
    )
    assert engine.only("VpcAttachment").inputs["subnetIds"] == ["subnet-8", "subnet-9"]
    inbound = resources_of(engine, "aws:route53/resolverEndpoint")["link-inbound"]
    assert [place["subnetId"] for place in inbound["ipAddresses"]] == ["subnet-8", "subnet-9"]


PRIVATE = ("10.1.2.3", "172.20.0.1", "192.168.1.1", "100.64.3.4", "127.0.0.1", "169.254.10.2", "224.0.0.1")


@pytest.mark.parametrize(
    ("change", "message", "where"),
    [
        *[({"peer_ip": ip}, "cannot reach over the internet", "peer_ip") for ip in PRIVATE],
        ({"peer_ip": "vpn.bank.example"}, "not an IPv4 address", "peer_ip"),
        ({"peer_ip": None}, "not an IPv4 address", "peer_ip"),
        ({"site_asn": None}, "has no site_asn", "site_asn"),
        ({"site_asn": 64512}, "both 64512", "site_asn"),
        ({"amazon_asn": 13335}, "not a private BGP number", "amazon_asn"),
        ({"vpc_cidr": "10.40.128.0/17"}, "overlaps the VPC", "sources.0"),
        ({"sources": ["10.0.0.0/8"]}, "overlaps the VPC", "sources.0"),
        ({"sources": ["10.40.0.0/16", "10.40.7.0/24"]}, "overlap", "sources.1"),
        ({"sources": []}, "no network of the site", "sources"),
        ({"sources": ["0.0.0.0/0"]}, "every address", "sources.0"),
        ({"subnet_ids": ["subnet-1"]}, "1 subnets", "subnet_ids"),
        ({"route_table_ids": []}, "no route table", "route_table_ids"),
        ({"route_table_ids": pulumi.Output.from_input(["rtb-1"])}, "is not known", "route_table_ids"),
        ({"site_dns": []}, "resolvers need the site's DNS servers, but none is set", "site_dns"),
        ({"site_dns": ["10.40.0.53"] * 7}, "7 DNS servers are listed, but an AWS resolver rule", "site_dns"),
        ({"site_dns": ["10.99.0.53"]}, "in none of the networks that may use the link", "site_dns.0"),
        ({"site_dns": ["dns.bank.example"]}, "not an IPv4 address", "site_dns.0"),
        ({"zones": ["example"]}, "not a DNS zone", "zones.0"),
        ({"classes": []}, "carries no class", "classes"),
        ({"kind": "satellite"}, "'satellite' is not known", "kind"),
        ({"log_days": 0}, "0 is not a retention period", "log_days"),
        ({**DIRECT, "connection": None}, "has no Direct Connect connection", "connection"),
        ({**DIRECT, "vlan": None}, "needs a VLAN", "vlan"),
        ({**DIRECT, "direct_connect_asn": 64512}, "both 64512", "direct_connect_asn"),
        ({**DIRECT, "direct_connect_asn": 65010}, "both 65010", "site_asn"),
        ({**DIRECT, "direct_connect_asn": 100}, "not a private BGP number", "direct_connect_asn"),
    ],
)
def test_a_wrong_link_is_refused_with_its_place_before_anything_is_made(
    engine: Engine, change: dict[str, Any], message: str, where: str
) -> None:
    with pytest.raises(InputError, match=message) as refused:
        build(engine, **change)
    assert refused.value.where == f"links.fra1-frankfurt.{where}"
    assert refused.value.fix
    assert not engine.made


@pytest.mark.parametrize("address", ["198.51.100.7", "192.0.2.1", "203.0.113.9", "8.8.8.8", "100.63.0.1"])
def test_public_and_documentation_addresses_are_peers(engine: Engine, address: str) -> None:
    build(engine, peer_ip=address)
    assert engine.only("CustomerGateway").inputs["ipAddress"] == address


def test_a_restricted_class_never_crosses(engine: Engine) -> None:
    with pytest.raises(Refused, match="restricted work, which must stay on-prem") as refused:
        build(engine, classes=["internal", "restricted"])
    assert refused.value.where == "links.fra1-frankfurt.classes.1"
    assert not engine.made


@pytest.mark.parametrize(
    "zone",
    [
        "amazonaws.com",
        "Bedrock-Runtime.eu-central-1.amazonaws.com.",
        "api.aws",
        "eu-central-1.compute.internal",
    ],
)
def test_the_site_never_answers_for_aws(engine: Engine, zone: str) -> None:
    with pytest.raises(Refused, match="which belongs to AWS"):
        build(engine, zones=["fra1.bank.example", zone])
    assert not engine.made


def test_a_zone_that_only_looks_like_aws_is_the_sites(engine: Engine) -> None:
    build(engine, zones=["notamazonaws.com"])
    assert [rule["domainName"] for rule in resources_of(engine, "aws:route53/resolverRule:").values()] == [
        "notamazonaws.com"
    ]


ASNS = st.integers(min_value=64512, max_value=65534)


@given(amazon=ASNS, site=st.one_of(ASNS, st.integers(min_value=1, max_value=4294967294)))
def test_the_direct_connect_gateways_number_is_private_and_its_own(amazon: int, site: int) -> None:
    asn = next_asn(amazon, site)
    assert 64512 <= asn <= 65534
    assert asn not in (amazon, site)


def test_the_whole_graph_holds_no_secret(engine: Engine) -> None:
    for kind in ({}, DIRECT):
        fresh_engine = Engine()
        build(fresh_engine, **kind)
        text = json.dumps([resource.inputs for resource in fresh_engine.made])
        assert not any(secret in text for secret in SECRETS)

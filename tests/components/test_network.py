"""The private network of an AWS site: addresses, ways in and out, and its flow logs."""

import ipaddress
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components import Network
from components.aws.common.log_group import RETENTIONS, retention_period
from components.aws.common.names import aws_name
from components.aws.network.network import subnet_plan
from isthmus.core.errors import InputError
from tests.components.conftest import ACCOUNT, Engine

REGION = "eu-central-1"
ZONES = [f"{REGION}{letter}" for letter in "abc"]
GIVEN: dict[str, Any] = {
    "name": "frankfurt",
    "region": REGION,
    "mode": "manage",
    "cidr": "10.60.0.0/16",
    "zones": ZONES,
    "flow_log_days": 365,
    "tags": {"owner": "bank"},
}


def build(engine: Engine, **more: Any) -> None:
    engine.deploy(Network, "net", {**GIVEN, **more})


def policy(document: str) -> list[dict[str, Any]]:
    return json.loads(document)["Statement"]


def test_each_zone_has_a_private_subnet_with_the_same_routes(engine: Engine) -> None:
    build(engine)
    subnets = {subnet.inputs["availabilityZone"]: subnet.inputs for subnet in engine.all("Subnet")}
    assert {zone: subnet["cidrBlock"] for zone, subnet in subnets.items()} == {
        f"{REGION}a": "10.60.0.0/19",
        f"{REGION}b": "10.60.32.0/19",
        f"{REGION}c": "10.60.64.0/19",
    }
    assert not any(subnet["mapPublicIpOnLaunch"] for subnet in subnets.values())
    joined = {
        route_table_association.inputs["subnetId"]: route_table_association.inputs["routeTableId"]
        for route_table_association in engine.all("RouteTableAssociation")
    }
    assert set(joined.values()) == {"net-routes-id"}
    # Which association is registered first is not said: that changes with the load of the machine.
    assert engine.outputs["subnet_ids"] == [f"net-{REGION}{letter}-id" for letter in "abc"]
    assert set(joined) == set(engine.outputs["subnet_ids"])
    assert engine.outputs["route_table_ids"] == ["net-routes-id"]
    assert engine.outputs["vpc_id"] == "net-vpc-id"
    assert engine.outputs["cidr"] == "10.60.0.0/16"


def test_dns_is_on_for_private_names_of_endpoints(engine: Engine) -> None:
    build(engine)
    vpc = engine.only("Vpc").inputs
    assert vpc["enableDnsSupport"]
    assert vpc["enableDnsHostnames"]


def test_nothing_leads_to_the_internet_unless_asked(engine: Engine) -> None:
    build(engine)
    assert not engine.all("InternetGateway")
    assert not engine.all("Route")


def test_with_internet_there_is_a_gateway_and_one_route_to_it(engine: Engine) -> None:
    build(engine, internet=True)
    route = engine.only("Route").inputs
    assert route["gatewayId"] == "net-internet-id"
    assert route["destinationCidrBlock"] == "0.0.0.0/0"


def test_the_default_security_group_lets_nothing_in_or_out(engine: Engine) -> None:
    build(engine)
    group = engine.only("DefaultSecurityGroup").inputs
    assert (group["ingress"], group["egress"]) == ([], [])


def test_all_traffic_is_logged_to_a_sealed_group_that_outlives_the_stack(engine: Engine) -> None:
    build(engine, flow_log_days=300)
    log = engine.only("FlowLog")
    group, key = engine.only("LogGroup", "net-flow-logs"), engine.only("Key", "net-flow-log-key")
    assert log.inputs["trafficType"] == "ALL"
    assert log.inputs["vpcId"] == "net-vpc-id"
    assert log.inputs["maxAggregationInterval"] == 60
    assert log.inputs["logDestination"] == f"arn:aws:cloudwatch/logGroup:::{group.name}"
    assert "net-flow-policy" in log.depends_on, "the role could write nothing yet"
    assert group.inputs["retentionInDays"] == 365, "the next longer period that AWS knows"
    assert group.inputs["kmsKeyId"] == f"arn:aws:kms/key:::{key.name}"
    assert group.retained
    assert key.retained, "without its key the record cannot be read"
    assert engine.outputs["retained"][:2] == [group_arn(group.name), f"arn:aws:kms/key:::{key.name}"]
    assert key.inputs["enableKeyRotation"]


def group_arn(name: str) -> str:
    return f"arn:aws:cloudwatch/logGroup:::{name}"


def test_the_logs_key_serves_groups_of_this_network_only(engine: Engine) -> None:
    build(engine)
    prefix = engine.only("LogGroup", "net-flow-logs").inputs["namePrefix"]
    admin, logs = policy(engine.only("Key", "net-flow-log-key").inputs["policy"])
    assert "kms:Decrypt" not in admin["Action"]
    assert logs["Principal"] == {"Service": f"logs.{REGION}.amazonaws.com"}
    arn = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{prefix}*"
    assert logs["Condition"] == {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": arn}}
    assert not any("*" in action for statement in (admin, logs) for action in statement["Action"])


def test_the_flow_logs_role_is_for_this_accounts_flow_logs_and_writes_to_one_group(engine: Engine) -> None:
    build(engine)
    role = engine.only("Role").inputs
    (trust,) = policy(role["assumeRolePolicy"])
    assert trust["Principal"] == {"Service": "vpc-flow-logs.amazonaws.com"}
    assert trust["Condition"] == {
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
        "ArnLike": {"aws:SourceArn": f"arn:aws:ec2:{REGION}:{ACCOUNT}:vpc-flow-log/*"},
    }
    assert engine.only("RolePolicy").inputs["name"] == aws_name("net-flow-policy", 128)
    write, find = policy(engine.only("RolePolicy").inputs["policy"])
    group = group_arn(engine.only("LogGroup", "net-flow-logs").name)
    assert write["Resource"] == [group, f"{group}:*"]
    assert find["Action"] == ["logs:DescribeLogGroups"]


def test_the_flow_logs_role_has_a_boundary_named_or_made(engine: Engine) -> None:
    build(engine)
    boundary = engine.only("Policy")
    assert engine.only("Role").inputs["permissionsBoundary"] == f"arn:aws:iam/policy:::{boundary.name}"
    denied = {
        action
        for statement in policy(boundary.inputs["policy"])
        if statement["Effect"] == "Deny"
        for action in statement["Action"]
    }
    assert "cloudtrail:StopLogging" in denied
    fresh_engine = Engine()
    build(fresh_engine, permissions_boundary="arn:aws:iam::1:policy/edge")
    assert fresh_engine.only("Role").inputs["permissionsBoundary"] == "arn:aws:iam::1:policy/edge"
    assert not fresh_engine.all("Policy")


def test_every_taggable_resource_is_tagged(engine: Engine) -> None:
    build(engine, internet=True)
    bare = {
        resource.kind for resource in engine.made if resource.inputs.get("tags", {}).get("owner") != "bank"
    }
    assert bare == {
        *("RouteTableAssociation", "Route", "RolePolicy", "ResolverFirewallConfig"),
        *("ResolverFirewallRule", "ResolverQueryLogConfigAssociation"),
    }


def test_an_existing_network_is_passed_on_and_nothing_is_made(engine: Engine) -> None:
    existing = {"vpc": "vpc-0a", "subnets": ["subnet-1", "subnet-2"], "route_tables": ["rtb-1"]}
    build(engine, mode="existing", **existing)
    assert not engine.made
    assert engine.outputs == {
        "vpc_id": "vpc-0a",
        "subnet_ids": ["subnet-1", "subnet-2"],
        "route_table_ids": ["rtb-1"],
        "cidr": "10.60.0.0/16",
        "retained": [],
    }


def test_a_network_that_is_off_is_empty(engine: Engine) -> None:
    build(engine, mode="off")
    assert not engine.made
    assert engine.outputs["vpc_id"] == ""
    assert engine.outputs["subnet_ids"] == []


@pytest.mark.parametrize(
    ("change", "message", "where"),
    [
        ({"zones": ZONES[:1]}, "is in 1 zones", "networks.frankfurt.zones"),
        ({"zones": [ZONES[0], ZONES[0]]}, "is in 1 zones", "networks.frankfurt.zones"),
        ({"zones": [*ZONES[:2], ZONES[0]]}, "is listed twice", "networks.frankfurt.zones.2"),
        ({"zones": [ZONES[0], "eu-west-1a"]}, "is not a zone of eu-central-1", "networks.frankfurt.zones.1"),
        ({"cidr": "10.60.0.0/25"}, "too small", "networks.frankfurt.cidr"),
        ({"cidr": "10.0.0.0/12"}, "too large", "networks.frankfurt.cidr"),
        ({"cidr": "10.60.1.0/16"}, "host bits", "networks.frankfurt.cidr"),
        ({"cidr": ""}, "has no cidr", "networks.frankfurt.cidr"),
        ({"mode": "existing", "subnets": ["subnet-1", "subnet-2"]}, "has no vpc", "networks.frankfurt.vpc"),
        ({"mode": "existing", "vpc": "vpc-0a"}, "lists 0 private subnets", "networks.frankfurt.subnets"),
        (
            {"mode": "existing", "vpc": "vpc-0a", "subnets": ["subnet-1", "subnet-1"]},
            "lists 1 private subnets",
            "networks.frankfurt.subnets",
        ),
        ({"mode": "kept"}, "'kept' is not known", "networks.frankfurt.mode"),
        ({"flow_log_days": 0}, "0 is not a retention period", "networks.frankfurt.flow_log_days"),
    ],
)
def test_a_wrong_network_is_refused_with_its_place(
    engine: Engine, change: dict[str, Any], message: str, where: str
) -> None:
    with pytest.raises(InputError, match=message) as refused:
        build(engine, **change)
    assert refused.value.where == where
    assert refused.value.fix
    assert not engine.made


SIZES = st.integers(min_value=16, max_value=24)
LETTERS = st.lists(st.sampled_from("abcdef"), min_size=2, max_size=6, unique=True)


@given(size=SIZES, letters=LETTERS, start=st.integers(min_value=0, max_value=2**24 - 1))
def test_subnets_lie_apart_in_the_vpc_and_leave_a_quarter_free(
    size: int, letters: list[str], start: int
) -> None:
    vpc = ipaddress.IPv4Network((0x0A000000 + start, size), strict=False)
    plan = subnet_plan(str(vpc), [f"{REGION}{letter}" for letter in letters], REGION, "n")
    nets = [ipaddress.IPv4Network(cidr) for cidr in plan.values()]
    assert all(net.subnet_of(vpc) for net in nets)
    assert not any(a.overlaps(b) for at, a in enumerate(nets) for b in nets[:at])
    assert sum(net.num_addresses for net in nets) <= vpc.num_addresses * 3 // 4


@given(size=SIZES, letters=LETTERS)
def test_another_zone_or_order_moves_no_subnet(size: int, letters: list[str]) -> None:
    zones = [f"{REGION}{letter}" for letter in letters]
    cidr = f"10.60.0.0/{size}"
    all_zones = subnet_plan(cidr, [f"{REGION}{letter}" for letter in "abcdef"], REGION, "n")
    assert subnet_plan(cidr, zones, REGION, "n") == {zone: all_zones[zone] for zone in sorted(zones)}


@given(days=st.integers(min_value=1, max_value=5000))
def test_logs_are_kept_for_the_next_longer_period(days: int) -> None:
    period = retention_period(days, "days")
    if period == 0:
        assert days > max(RETENTIONS), "kept for ever, where AWS knows a period"
    else:
        assert period in RETENTIONS
        assert period >= days
        assert not any(days <= shorter < period for shorter in RETENTIONS)


NAMES = ["bedrock-runtime.eu-central-1.amazonaws.com", "*.fra1.bank.example"]


def answer(engine: Engine, name: str) -> tuple[str, str]:
    """What the firewall's rules decide of a question, by their priorities: action and answer."""
    domains = {
        resolver_firewall_domain_list.name: resolver_firewall_domain_list.inputs["domains"]
        for resolver_firewall_domain_list in engine.all("ResolverFirewallDomainList")
    }
    for rule in sorted(engine.all("ResolverFirewallRule"), key=lambda rule: rule.inputs["priority"]):
        for pattern in domains[rule.inputs["firewallDomainListId"].removesuffix("-id")]:
            # AWS: `*.` covers what is below a zone and not the zone itself.
            covers = f"{name}.".endswith(pattern[1:]) if pattern.startswith("*") else f"{name}." == pattern
            if covers:
                return rule.inputs["action"], rule.inputs.get("blockResponse", "")
    return "ALLOW", "no rule says anything"


@pytest.mark.parametrize(
    ("name", "decided"),
    [
        ("bedrock-runtime.eu-central-1.amazonaws.com", ("ALLOW", "")),
        ("db.fra1.bank.example", ("ALLOW", "")),
        ("fra1.bank.example", ("BLOCK", "NXDOMAIN")),
        ("cHJvbXB0.attacker.example", ("BLOCK", "NXDOMAIN")),
        ("bedrock-runtime.eu-central-1.amazonaws.com.attacker.example", ("BLOCK", "NXDOMAIN")),
        ("attackerfra1.bank.example", ("BLOCK", "NXDOMAIN")),
    ],
)
def test_only_listed_names_are_resolved(engine: Engine, name: str, decided: tuple[str, str]) -> None:
    build(engine, dns_names=NAMES)
    assert answer(engine, name) == decided


def test_the_firewall_is_associated_with_the_vpc_and_fails_closed(engine: Engine) -> None:
    build(engine, dns_names=NAMES)
    association = engine.only("ResolverFirewallRuleGroupAssociation")
    assert association.inputs["vpcId"] == "net-vpc-id"
    assert association.inputs["firewallRuleGroupId"] == "net-dns-id"
    assert {"net-dns-needed", "net-dns-others"} <= set(association.depends_on), "it would block or allow all"
    config = engine.only("ResolverFirewallConfig").inputs
    assert (config["resourceId"], config["firewallFailOpen"]) == ("net-vpc-id", "DISABLED")
    domain_lists = [
        resolver_firewall_domain_list.inputs["domains"]
        for resolver_firewall_domain_list in engine.all("ResolverFirewallDomainList")
    ]
    assert all(name.endswith(".") for names in domain_lists for name in names), "AWS gives them back so"


def test_a_network_that_names_nothing_answers_for_aws_s_own_names_only(engine: Engine) -> None:
    build(engine)
    assert answer(engine, "s3.eu-central-1.amazonaws.com") == ("ALLOW", "")
    assert answer(engine, "ip-10-60-0-7.eu-central-1.compute.internal") == ("ALLOW", "")
    assert answer(engine, "cHJvbXB0.attacker.example") == ("BLOCK", "NXDOMAIN")


def test_every_question_is_logged_to_a_sealed_group_that_outlives_the_stack(engine: Engine) -> None:
    build(engine, query_log_days=80)
    log, to = engine.only("ResolverQueryLogConfig"), engine.only("ResolverQueryLogConfigAssociation")
    group, key = engine.only("LogGroup", "net-queries-logs"), engine.only("Key", "net-queries-log-key")
    assert log.inputs["destinationArn"] == group_arn(group.name)
    assert to.inputs == {"resolverQueryLogConfigId": "net-queries-id", "resourceId": "net-vpc-id"}
    assert group.inputs["retentionInDays"] == 90
    assert group.inputs["kmsKeyId"] == f"arn:aws:kms/key:::{key.name}"
    assert (group.retained, key.retained) == (True, True)
    assert group_arn(group.name) in engine.outputs["retained"]


def test_an_existing_network_gets_a_firewall_where_it_is_asked_for(engine: Engine) -> None:
    existing = {"mode": "existing", "vpc": "vpc-0a1b", "subnets": ["subnet-1", "subnet-2"]}
    build(engine, **existing)
    assert not engine.all("ResolverFirewallRuleGroupAssociation"), "other tenants may live in that VPC"


def test_an_existing_network_whose_firewall_is_made_here(engine: Engine) -> None:
    existing = {"mode": "existing", "vpc": "vpc-0a1b", "subnets": ["subnet-1", "subnet-2"]}
    build(engine, **existing, dns_mode="manage", dns_names=NAMES)
    assert engine.only("ResolverFirewallRuleGroupAssociation").inputs["vpcId"] == "vpc-0a1b"


@pytest.mark.parametrize(
    "name", ["*", "*.", "*.com", "bank", "bank.example.", "Bank.example", "a.*.example", ""]
)
def test_an_invalid_or_catch_all_name_is_refused(engine: Engine, name: str) -> None:
    with pytest.raises(InputError, match="neither a whole DNS name nor a zone"):
        build(engine, dns_names=[*NAMES, name])

"""Private endpoints and flow logs, beyond what the generated tests ask for."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.contracts.platform.model.aws.account import SERVICES
from tests.aws_sandbox.cases.network import group, route_table, subnet, vpc
from tests.aws_sandbox.cases.network_endpoints import flow_log, interface_endpoint, policy
from tests.aws_sandbox.driver import REGION, Client, Refusal, World
from tests.aws_sandbox.test_network import ENDPOINT, make, refused

FLOW_LOG = "aws:ec2/flowLog:FlowLog"


def _endpoint(network: str, service: str = "sts", **more: Any) -> dict[str, Any]:
    name = f"com.amazonaws.{REGION}.{service}"
    return {"VpcId": network, "ServiceName": name, "VpcEndpointType": "Interface", **more}


def _gateway_routes(world: World, table: str) -> list[str]:
    [answer] = world.boto("ec2").describe_route_tables(RouteTableIds=[table])["RouteTables"]
    return [route["GatewayId"] for route in answer["Routes"] if "DestinationPrefixListId" in route]


def test_an_interface_endpoint_is_named_as_aws_names_it(client: Client, world: World) -> None:
    id, state = make(client, ENDPOINT, interface_endpoint(world))
    names = [entry["dnsName"] for entry in state["dnsEntries"]]
    first = names[0].split(".", 1)[0]
    assert first.startswith(f"{id}-")
    tail = f"bedrock-runtime.{REGION}.vpce.amazonaws.com"
    assert names == [
        f"{first}.{tail}",
        f"{first}-{REGION}a.{tail}",
        f"{first}-{REGION}b.{tail}",
        f"bedrock-runtime.{REGION}.amazonaws.com",
    ]
    assert all(entry["hostedZoneId"].startswith("Z") for entry in state["dnsEntries"])


@pytest.mark.parametrize(
    ("service", "host", "private"),
    [
        ("ecr.api", "api.ecr", "api.ecr"),
        ("ecr.dkr", "dkr.ecr", "*.dkr.ecr"),
        ("sagemaker.runtime", "runtime.sagemaker", "runtime.sagemaker"),
        ("rolesanywhere", "rolesanywhere", "rolesanywhere"),
    ],
)
def test_a_service_of_two_words_is_turned_round_in_a_name(
    world: World, service: str, host: str, private: str
) -> None:
    network = vpc(world, dns=True)
    endpoint = world.boto("ec2").create_vpc_endpoint(**_endpoint(network, service))["VpcEndpoint"]
    names = [entry["DnsName"] for entry in endpoint["DnsEntries"]]
    assert names[0].split(".", 1)[1] == f"{host}.{REGION}.vpce.amazonaws.com"
    assert names[-1] == f"{private}.{REGION}.amazonaws.com"


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_of_the_platform_has_an_endpoint(world: World, service: str) -> None:
    endpoint = world.boto("ec2").create_vpc_endpoint(**_endpoint(vpc(world, dns=True), service))
    assert endpoint["VpcEndpoint"]["State"] == "available"


def test_an_endpoint_s_interfaces_stand_in_its_subnets_with_its_groups(client: Client, world: World) -> None:
    inputs = interface_endpoint(world)
    _, state = make(client, ENDPOINT, inputs)
    answer = world.boto("ec2").describe_network_interfaces(NetworkInterfaceIds=state["networkInterfaceIds"])
    interfaces = answer["NetworkInterfaces"]
    assert {interface["SubnetId"] for interface in interfaces} == set(inputs["subnetIds"])
    assert all(subnet["PrivateIpAddress"].startswith("10.20.") for subnet in interfaces)
    assert all(
        [security_group["GroupId"] for security_group in group["Groups"]] == inputs["securityGroupIds"]
        for group in interfaces
    )


def test_leaving_a_subnet_takes_the_interface_and_the_zone_s_name(client: Client, world: World) -> None:
    inputs = interface_endpoint(world)
    id, state = make(client, ENDPOINT, inputs)
    news = client.checked(ENDPOINT, {**inputs, "subnetIds": inputs["subnetIds"][:1]})
    after = client.update(ENDPOINT, id, state, news)
    assert len(after["networkInterfaceIds"]) == 1
    assert not any(f"{REGION}a." in entry["dnsName"] for entry in after["dnsEntries"])


def test_the_order_of_an_endpoint_s_subnets_says_nothing(client: Client, world: World) -> None:
    inputs = interface_endpoint(world)
    id, state = make(client, ENDPOINT, inputs)
    turned = client.checked(ENDPOINT, {**inputs, "subnetIds": inputs["subnetIds"][::-1]})
    assert not client.diff(ENDPOINT, id, state, turned).diffs


def test_a_gateway_endpoint_is_a_route_in_each_of_its_tables(client: Client, world: World) -> None:
    network = vpc(world)
    first, second = route_table(world, network), route_table(world, network)
    inputs = {
        "vpcId": network,
        "serviceName": f"com.amazonaws.{REGION}.s3",
        "routeTableIds": [first],
        "policy": policy("s3:GetObject"),
        "tags": {"class": "internal"},
    }
    id, state = make(client, ENDPOINT, inputs)
    assert state["vpcEndpointType"] == "Gateway"
    assert state["privateDnsEnabled"] is False
    assert state["prefixListId"].startswith("pl-")
    assert state["cidrBlocks"]
    assert state["dnsEntries"] == state["networkInterfaceIds"] == []
    assert (_gateway_routes(world, first), _gateway_routes(world, second)) == ([id], [])
    read_id, fresh, _ = client.read(ENDPOINT, id, state, client.checked(ENDPOINT, inputs))
    assert (read_id, fresh) == (id, state)
    after = client.update(
        ENDPOINT, id, state, client.checked(ENDPOINT, {**inputs, "routeTableIds": [second]})
    )
    assert (_gateway_routes(world, first), _gateway_routes(world, second)) == ([], [id])
    client.delete(ENDPOINT, id, after)
    assert _gateway_routes(world, second) == []


def test_private_names_need_the_network_s_dns_and_one_endpoint_alone(world: World) -> None:
    ec2, network = world.boto("ec2"), vpc(world)
    message = refused(ec2.create_vpc_endpoint, "InvalidParameter", **_endpoint(network))
    assert "enableDnsHostnames" in message
    ec2.modify_vpc_attribute(VpcId=network, EnableDnsHostnames={"Value": True})
    ec2.create_vpc_endpoint(**_endpoint(network))
    message = refused(ec2.create_vpc_endpoint, "InvalidParameter", **_endpoint(network))
    assert "conflicting DNS domain" in message
    second = ec2.create_vpc_endpoint(**_endpoint(network, PrivateDnsEnabled=False))["VpcEndpoint"]
    id = second["VpcEndpointId"]
    refused(ec2.modify_vpc_endpoint, "InvalidParameter", VpcEndpointId=id, PrivateDnsEnabled=True)
    [retained] = ec2.describe_vpc_endpoints(VpcEndpointIds=[id])["VpcEndpoints"]
    assert retained["PrivateDnsEnabled"] is False, "what was refused was not done"


def test_an_endpoint_that_aws_would_not_make_is_not_made(world: World) -> None:
    ec2, network = world.boto("ec2"), vpc(world, dns=True)
    create = ec2.create_vpc_endpoint
    refused(create, "InvalidServiceName", **_endpoint(network, "bedrok-runtime"))
    elsewhere = {"ServiceName": "com.amazonaws.eu-west-1.sts"}
    refused(create, "InvalidServiceName", **{**_endpoint(network), **elsewhere})
    refused(create, "InvalidParameter", **{**_endpoint(network), "VpcEndpointType": "Gateway"})
    table = route_table(world, network)
    refused(create, "InvalidParameter", **_endpoint(network, RouteTableIds=[table]))
    twice = [subnet(world, network, f"10.20.{number}.0/24") for number in (1, 2)]
    refused(create, "DuplicateSubnetsInSameZone", **_endpoint(network, SubnetIds=twice))
    foreign = group(world, vpc(world))
    refused(create, "InvalidGroup.NotFound", **_endpoint(network, SecurityGroupIds=[foreign]))
    refused(create, "InvalidPolicyDocument", **_endpoint(network, PolicyDocument="{}"))
    mine = [{"Name": "vpc-id", "Values": [network]}]
    assert ec2.describe_vpc_endpoints(Filters=mine)["VpcEndpoints"] == []


def test_a_table_has_one_gateway_endpoint_a_service(world: World) -> None:
    ec2, network = world.boto("ec2"), vpc(world)
    request = {**_endpoint(network, "s3"), "VpcEndpointType": "Gateway"}
    request["RouteTableIds"] = [route_table(world, network)]
    ec2.create_vpc_endpoint(**request)
    refused(ec2.create_vpc_endpoint, "RouteAlreadyExists", **request)


def test_deleting_an_endpoint_that_is_not_there_is_listed_not_refused(world: World) -> None:
    answer = world.boto("ec2").delete_vpc_endpoints(VpcEndpointIds=["vpce-0123456789abcdef0"])
    [output] = answer["Unsuccessful"]
    assert output["Error"]["Code"] == "InvalidVpcEndpoint.NotFound"


def test_a_flow_log_of_the_same_configuration_is_refused(client: Client, world: World) -> None:
    inputs = flow_log(world)
    make(client, FLOW_LOG, inputs)
    with pytest.raises(Refusal, match="FlowLogAlreadyExists"):
        make(client, FLOW_LOG, inputs)


def test_a_log_group_s_arn_with_its_star_is_the_same_group(client: Client, world: World) -> None:
    inputs = flow_log(world)
    id, state = make(client, FLOW_LOG, {**inputs, "logDestination": inputs["logDestination"] + ":*"})
    assert not client.diff(FLOW_LOG, id, state, client.checked(FLOW_LOG, inputs)).diffs


@pytest.mark.parametrize("missing", ["logDestination", "iamRoleArn"])
def test_a_flow_log_that_cannot_be_delivered_says_so(client: Client, world: World, missing: str) -> None:
    inputs = flow_log(world)
    good, _ = make(client, FLOW_LOG, inputs)
    bad, _ = make(client, FLOW_LOG, {**inputs, missing: inputs[missing] + "-none"})
    answer = world.boto("ec2").describe_flow_logs(FlowLogIds=[good, bad])["FlowLogs"]
    output = {log["FlowLogId"]: log["DeliverLogsStatus"] for log in answer}
    assert output == {good: "SUCCESS", bad: "FAILED"}


def test_what_is_served_beside_moto_is_forgotten_with_the_rest(client: Client, world: World) -> None:
    make(client, ENDPOINT, interface_endpoint(world))
    world.forget()
    assert world.boto("ec2").describe_vpc_endpoints()["VpcEndpoints"] == []
    assert world.boto("ec2").describe_network_interfaces()["NetworkInterfaces"] == []

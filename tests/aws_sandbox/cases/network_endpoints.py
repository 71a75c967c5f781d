"""Cases of private endpoints and flow logs."""

from __future__ import annotations

import json

from tests.aws_sandbox.cases.case import Case, Inputs, changed, found
from tests.aws_sandbox.cases.network import NEW_TAGS, TAGS, group, id_of, subnet, tagged_behind, vpc
from tests.aws_sandbox.driver import REGION, World, trust


def policy(action: str) -> str:
    """An endpoint's policy: one action for everyone."""
    statement = {"Effect": "Allow", "Principal": "*", "Action": action, "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def interface_endpoint(world: World) -> Inputs:
    network = vpc(world, dns=True)
    return {
        "vpcId": network,
        "serviceName": f"com.amazonaws.{REGION}.bedrock-runtime",
        "vpcEndpointType": "Interface",
        "privateDnsEnabled": True,
        "subnetIds": [subnet(world, network, "10.20.2.0/24", "b"), subnet(world, network, "10.20.1.0/24")],
        "securityGroupIds": [group(world, network)],
        "policy": policy("bedrock:InvokeModel"),
        **TAGS,
    }


def _other_place(world: World, inputs: Inputs) -> Inputs:
    return {
        **inputs,
        "subnetIds": [inputs["subnetIds"][0], subnet(world, inputs["vpcId"], "10.20.3.0/24", "c")],
        "securityGroupIds": [group(world, inputs["vpcId"])],
        "policy": policy("bedrock:*"),
        "privateDnsEnabled": False,
        "dnsOptions": {"dnsRecordIpType": "service-defined"},
        **NEW_TAGS,
    }


def _endpoint_behind(world: World, inputs: Inputs) -> str:
    world.boto("ec2").modify_vpc_endpoint(VpcEndpointId=id_of(inputs), PolicyDocument=policy("*"))
    return "policy"


def _endpoint_left(world: World, inputs: Inputs) -> bool:
    answer = found(lambda: world.boto("ec2").describe_vpc_endpoints(VpcEndpointIds=[id_of(inputs)]))
    return bool(answer and answer["VpcEndpoints"])


def flow_log(world: World) -> Inputs:
    name = world.name("/flow")
    world.boto("logs").create_log_group(logGroupName=name)
    role = world.boto("iam").create_role(
        RoleName=world.name("flow"), AssumeRolePolicyDocument=trust("vpc-flow-logs.amazonaws.com")
    )
    return {
        "vpcId": vpc(world),
        "trafficType": "ALL",
        "iamRoleArn": role["Role"]["Arn"],
        "logDestination": f"arn:aws:logs:{REGION}:123456789012:log-group:{name}",
        "logFormat": "${version} ${srcaddr} ${dstaddr} ${action}",
        **TAGS,
    }


CASES: dict[str, Case] = {
    "aws:ec2/vpcEndpoint:VpcEndpoint": Case(
        make=interface_endpoint,
        change=_other_place,
        replace=changed(serviceName=f"com.amazonaws.{REGION}.sts"),
        behind=_endpoint_behind,
        left=_endpoint_left,
    ),
    "aws:ec2/flowLog:FlowLog": Case(
        make=flow_log,
        change=changed(**NEW_TAGS),
        replace=changed(maxAggregationInterval=60),
        behind=tagged_behind,
        left=lambda world, inputs: bool(
            world.boto("ec2").describe_flow_logs(FlowLogIds=[id_of(inputs)])["FlowLogs"]
        ),
    ),
}

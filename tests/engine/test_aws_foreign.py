"""Foreign AWS resources: under Isthmus's tags, in its networks or on its roles, but in no state."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.contracts.reports.drift import Drifted
from isthmus.engine.drift import aws_foreign
from isthmus.engine.preview.masking import Masker
from isthmus.engine.project.aws_account import Aws, Denied
from isthmus.graph.resources.state import Stated

HEAD = "urn:pulumi:s::p::"
ACCOUNT = "123456789012"


class FakeAws(Aws):
    """An account that gives these answers by operation, and nothing else."""

    def __init__(self, **answers: Any) -> None:
        super().__init__({"region": "eu-central-1"}, "isthmus/s")
        self.answers = answers

    def ask(self, service: str, call: str, **params: Any) -> dict[str, Any]:
        answer = self.answers.get(call, {})
        if isinstance(answer, Exception):
            raise answer
        return answer


def entry(type_: str, id: str, outputs: Any = None, **inputs: Any) -> dict[str, Any]:
    return {
        "urn": f"{HEAD}{type_}::{id}",
        "type": type_,
        "id": id,
        "inputs": inputs,
        "outputs": outputs or {},
    }


VPC = entry("aws:ec2/vpc:Vpc", "vpc-1")
TABLE = entry("aws:ec2/routeTable:RouteTable", "rtb-1")
GROUP = entry(
    "aws:ec2/securityGroup:SecurityGroup",
    "sg-1",
    ingress=[{"protocol": "tcp", "fromPort": 443, "toPort": 443, "cidrBlocks": ["10.0.0.0/8"]}],
)
ROLE = entry("aws:iam/role:Role", "role-1")
ROUTE = entry("aws:ec2/route:Route", "r-1", routeTableId="rtb-1", destinationCidrBlock="10.9.0.0/16")
ATTACHED = entry(
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment", "x", role="role-1", policyArn="arn:aws:iam::a"
)
INLINE = entry("aws:iam/rolePolicy:RolePolicy", "role-1:ours")
BUCKET = entry("aws:s3/bucket:Bucket", "ours", {"arn": "arn:aws:s3:::ours"})
STATE = [VPC, TABLE, GROUP, ROLE, ROUTE, ATTACHED, INLINE, BUCKET]


def find_foreign(**answers: Any) -> tuple[list[Drifted], aws_foreign.Account]:
    own_resources = [
        Stated(resource["urn"], resource["type"], resource["id"], resource["inputs"], id=resource["id"])
        for resource in STATE
    ]
    entries = {resource["urn"]: resource for resource in STATE}
    account = aws_foreign.Account(
        FakeAws(**answers), own_resources, aws_foreign.resource_identifiers(STATE), entries, Masker()
    )
    return account.look(), account


def tagged(arn: str) -> dict[str, Any]:
    return {
        "ResourceTagMappingList": [
            {"ResourceARN": arn, "Tags": [{"Key": "isthmus-stack", "Value": "isthmus/s"}]}
        ]
    }


RULE = {
    "SecurityGroupRuleId": "sgr-1",
    "IsEgress": False,
    "IpProtocol": "tcp",
    "FromPort": 443,
    "ToPort": 443,
}
ALLOWED = {
    "describe_subnets": {},
    "describe_security_groups": {"SecurityGroups": [{"GroupId": "sg-1"}]},
    "describe_route_tables": {
        "RouteTables": [
            {
                "RouteTableId": "rtb-1",
                "Routes": [
                    {"Origin": "CreateRouteTable", "DestinationCidrBlock": "10.0.0.0/16"},
                    {"Origin": "CreateRoute", "DestinationCidrBlock": "10.9.0.0/16"},
                    {"Origin": "CreateRoute", "DestinationPrefixListId": "pl-1", "GatewayId": "vpce-1"},
                ],
            }
        ]
    },
    "describe_security_group_rules": {"SecurityGroupRules": [{**RULE, "CidrIpv4": "10.0.0.0/8"}]},
    "list_attached_role_policies": {"AttachedPolicies": [{"PolicyArn": "arn:aws:iam::a"}]},
    "list_role_policies": {"PolicyNames": ["ours"]},
    "get_resources": tagged("arn:aws:s3:::ours"),
}


def test_a_resource_in_the_state_is_not_foreign():
    strays, account = find_foreign(**ALLOWED)
    assert (strays, account.unseen) == ([], [])


@pytest.mark.parametrize(
    ("call", "answer", "type_", "name", "severity"),
    [
        (
            "describe_internet_gateways",
            {"InternetGateways": [{"InternetGatewayId": "igw-9"}]},
            "aws:ec2/internetGateway:InternetGateway",
            "igw-9",
            "high",
        ),
        (
            "describe_instances",
            {"Reservations": [{"Instances": [{"InstanceId": "i-9", "State": {"Name": "running"}}]}]},
            "aws:ec2/instance:Instance",
            "i-9",
            "high",
        ),
        (
            "describe_route_tables",
            {
                "RouteTables": [
                    {
                        "RouteTableId": "rtb-1",
                        "Routes": [
                            {
                                "Origin": "CreateRoute",
                                "DestinationCidrBlock": "0.0.0.0/0",
                                "GatewayId": "igw-9",
                            }
                        ],
                    }
                ]
            },
            "aws:ec2/route:Route",
            "0.0.0.0/0",
            "high",
        ),
        (
            "describe_security_group_rules",
            {"SecurityGroupRules": [{**RULE, "SecurityGroupRuleId": "sgr-9", "CidrIpv4": "0.0.0.0/0"}]},
            "aws:vpc/securityGroupRule:SecurityGroupRule",
            "sgr-9",
            "high",
        ),
        (
            "list_attached_role_policies",
            {"AttachedPolicies": [{"PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}]},
            "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
            "arn:aws:iam::aws:policy/AdministratorAccess",
            "high",
        ),
        (
            "list_role_policies",
            {"PolicyNames": ["theirs"]},
            "aws:iam/rolePolicy:RolePolicy",
            "theirs",
            "high",
        ),
        ("get_resources", tagged("arn:aws:s3:::theirs"), "aws:s3", "theirs", "medium"),
    ],
)
def test_foreign_resources_with_our_tags_or_attached_to_our_resources_are_found(
    call: str, answer: Any, type_: str, name: str, severity: str
):
    (stray,), _ = find_foreign(**{**ALLOWED, call: answer})
    assert (stray.what, stray.type, stray.name, stray.severity) == ("foreign", type_, name, severity)
    assert stray.where == "AWS, eu-central-1"


def test_denied_lookups_are_reported_and_the_others_continue():
    no = Denied("AWS cannot be asked (AccessDenied)")
    strays, account = find_foreign(
        **{**ALLOWED, "describe_internet_gateways": no, "list_role_policies": {"PolicyNames": ["x"]}}
    )
    assert [stray.name for stray in strays] == ["x"]
    assert [(unseen.what, unseen.where) for unseen in account.unseen] == [
        ("attachments of vpc-1", "AWS, eu-central-1")
    ]


def test_a_key_pending_deletion_is_not_reported():
    key = tagged(f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/1-2-3")
    assert find_foreign(**ALLOWED, **{})[0] == []
    ending = {"KeyMetadata": {"KeyState": "PendingDeletion"}}
    assert find_foreign(**{**ALLOWED, "get_resources": key, "describe_key": ending})[0] == []
    ending = {"KeyMetadata": {"KeyState": "Enabled"}}
    assert len(find_foreign(**{**ALLOWED, "get_resources": key, "describe_key": ending})[0]) == 1

"""A call that comes again with its idempotency token gets its first answer and is not done again."""

from __future__ import annotations

import uuid

from tests.aws_sandbox.driver import World


def _secrets(world: World) -> int:
    return len(world.boto("secretsmanager").list_secrets()["SecretList"])


def test_a_route_table_asked_for_twice_with_one_token_is_made_once(world: World) -> None:
    ec2 = world.boto("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    token = str(uuid.uuid4())
    answers = [ec2.create_route_table(VpcId=vpc, ClientToken=token)["RouteTable"] for _ in range(3)]
    assert len({answer["RouteTableId"] for answer in answers}) == 1
    tables = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"]
    assert len(tables) == 2, "the main table and ours"


def test_another_token_and_another_request_are_done(world: World) -> None:
    ec2 = world.boto("ec2")
    vpcs = [ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"] for _ in range(2)]
    token = str(uuid.uuid4())
    created = {
        ec2.create_route_table(VpcId=vpc, ClientToken=each)["RouteTable"]["RouteTableId"]
        for vpc in vpcs
        for each in (token, str(uuid.uuid4()))
    }
    assert len(created) == 4


def test_a_refusal_is_not_remembered(world: World) -> None:
    secrets, name, token = world.boto("secretsmanager"), world.name("secret"), str(uuid.uuid4())
    request = {"Name": name, "SecretString": "x", "ClientRequestToken": token}
    secrets.create_secret(Name=name, SecretString="taken")
    for _ in range(2):
        try:
            secrets.create_secret(**request)
        except secrets.exceptions.ResourceExistsException:
            continue
        raise AssertionError("the name was taken")
    secrets.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    assert secrets.create_secret(**request)["Name"] == name


def test_a_reset_forgets_the_answers_with_what_they_made(world: World) -> None:
    secrets, name, token = world.boto("secretsmanager"), world.name("secret"), str(uuid.uuid4())
    request = {"Name": name, "SecretString": "x", "ClientRequestToken": token}
    secrets.create_secret(**request)
    world.forget()
    assert _secrets(world) == 0
    secrets.create_secret(**request)
    assert _secrets(world) == 1

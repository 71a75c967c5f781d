"""AWS that throttles, fails, hangs or hangs up, and the provider under it.

Of every kind: tried again and passed; beyond the bounds said clearly; passed when the fault is gone; and
what was done although nobody heard of it is made once, or the state says what may be.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from pulumi.runtime.proto import provider_pb2 as pb

from sandbox.aws.faults import KINDS
from sandbox.aws.schema import UNKNOWN
from sandbox.aws.struct_values import plain
from tests.aws_sandbox.driver import REGION, Client, Refusal, World, trust
from tests.aws_sandbox.faults import UNHEARD, ask, asking, put, unfinished

pytestmark = pytest.mark.usefixtures("healed", "at_once")

KEY, GROUP, ROLE = "aws:kms/key:Key", "aws:cloudwatch/logGroup:LogGroup", "aws:iam/role:Role"
TABLE, BUCKET = "aws:ec2/routeTable:RouteTable", "aws:s3/bucket:Bucket"


@pytest.fixture
def twice(bare: Client, world: World) -> Client:
    """A provider that tries each call twice."""
    services = ("s3", "kms", "iam", "sts", "logs", "ec2", "bedrock")
    bare.configure(region=REGION, endpoints=[dict.fromkeys(services, world.url)], maxRetries=1)
    return bare


# -- as AWS words it


@pytest.mark.parametrize(
    ("service", "method", "operation", "throttled", "failed"),
    [
        ("kms", "list_keys", "ListKeys", (400, "ThrottlingException"), (500, "InternalFailure")),
        (
            "bedrock",
            "list_guardrails",
            "ListGuardrails",
            (429, "ThrottlingException"),
            (500, "InternalServerException"),
        ),
        ("iam", "list_roles", "ListRoles", (400, "Throttling"), (500, "InternalFailure")),
        ("ec2", "describe_vpcs", "DescribeVpcs", (503, "RequestLimitExceeded"), (500, "InternalError")),
        ("s3", "list_buckets", "ListBuckets", (503, "SlowDown"), (500, "InternalError")),
    ],
)
def test_every_protocol_words_it_as_aws_does(
    world: World,
    service: str,
    method: str,
    operation: str,
    throttled: tuple[int, str],
    failed: tuple[int, str],
) -> None:
    from botocore.exceptions import ClientError

    asks = asking(service, world, tries=1)
    for kind, expected in (("throttle", throttled), ("server-error", failed)):
        put(world, service, operation, kind)
        with pytest.raises(ClientError) as refused:
            getattr(asks, method)()
        answer = refused.value.response
        assert (answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]) == expected
        assert answer["Error"]["Message"]
        getattr(asks, method)()


# -- tried again, and no more than that


@pytest.mark.parametrize("also_done", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_is_tried_again_and_passes(twice: Client, world: World, kind: str, also_done: bool) -> None:
    name = world.name("again")
    id, state = twice.create(GROUP, {"name": name, "region": REGION})
    put(world, "logs", "PutRetentionPolicy", kind, also_done=also_done)
    after = twice.update(GROUP, id, state, {"name": name, "retentionInDays": 30, "region": REGION})
    assert after["retentionInDays"] == 30
    assert ask(world, "GET") == (200, [])


@pytest.mark.parametrize(
    ("kind", "heard"),
    [
        ("throttle", "AWS answered Rate exceeded (ThrottlingException)"),
        ("server-error", "AWS answered An internal failure has occurred. (InternalFailure)"),
        ("timeout", "no answer came: Connection was closed"),
        ("drop", "no answer came: Connection was closed"),
    ],
)
def test_beyond_the_bounds_the_error_says_all_and_the_next_run_completes(
    twice: Client, world: World, kind: str, heard: str
) -> None:
    inputs = {"name": world.name("bounds"), "region": REGION}
    put(world, "logs", "CreateLogGroup", kind, times=9)
    with pytest.raises(Refusal) as refusal:
        twice.create(GROUP, inputs)
    message = str(refusal.value).splitlines()[0]
    assert message == str(refusal.value).split("\n()")[0].strip(), "one paragraph"
    assert f"{GROUP}: create_log_group of logs failed at each of 2 tries" in message
    assert heard in message
    assert "Run the same command again" in message
    assert ("is not known" in message) == (kind != "throttle")
    assert ask(world, "GET")[1][0]["times"] == 7
    ask(world, "DELETE")
    id, state = twice.create(GROUP, inputs)
    assert twice.read(GROUP, id, state, inputs)[1] == state


def test_the_bounds_are_the_provider_s_own(bare: Client, world: World) -> None:
    bare.configure(region=REGION, endpoints=[{"logs": world.url, "sts": world.url}], maxRetries=4)
    put(world, "logs", "CreateLogGroup", "throttle", times=4)
    assert bare.create(GROUP, {"name": world.name("five"), "region": REGION})[0]
    put(world, "logs", "CreateLogGroup", "throttle", times=5)
    with pytest.raises(Refusal, match="each of 5 tries"):
        bare.create(GROUP, {"name": world.name("six"), "region": REGION})


def test_the_provider_asks_for_the_account_again_too(twice: Client, world: World) -> None:
    put(world, "sts", "GetCallerIdentity", "throttle", times=9)
    with pytest.raises(Refusal, match="get_caller_identity of sts failed at each of 2 tries"):
        twice.create(GROUP, {"name": world.name("whose"), "region": REGION})


@pytest.mark.parametrize("kind", KINDS)
def test_deleting_what_nobody_heard_was_deleted_is_no_error(twice: Client, world: World, kind: str) -> None:
    id, state = twice.create(GROUP, {"name": world.name("gone"), "region": REGION})
    put(world, "logs", "DeleteLogGroup", kind, also_done=True)
    twice.delete(GROUP, id, state)
    assert twice.read(GROUP, id, state)[0] == ""


# -- half made


@pytest.mark.parametrize("blind", [False, True], ids=["read", "unread"])
def test_what_was_made_stays_and_the_next_run_sets_the_rest(twice: Client, world: World, blind: bool) -> None:
    inputs = {"name": world.name("half"), "retentionInDays": 30, "tags": {"class": "x"}, "region": REGION}
    faults = [{"service": "logs", "operation": "PutRetentionPolicy", "kind": "throttle", "times": 2}]
    if blind:
        faults.append({"service": "logs", "operation": "DescribeLogGroups", "kind": "throttle", "times": 2})
    assert ask(world, "PUT", faults)[0] == 200
    with pytest.raises(Refusal, match="put_retention_policy of logs failed") as refusal:
        twice.create(GROUP, inputs)
    failed = unfinished(refusal.value)
    state = plain(failed.properties)
    assert failed.id == inputs["name"]
    assert state.get("retentionInDays") != 30, "the state says more than was done"
    assert "retentionInDays" in twice.diff(GROUP, failed.id, state, inputs).diffs
    after = twice.update(GROUP, failed.id, state, inputs)
    assert after["retentionInDays"] == 30
    assert after["tagsAll"] == {"class": "x"}


def test_what_was_made_and_cannot_be_read_is_kept_without_what_is_not_known(
    twice: Client, world: World
) -> None:
    """An unknown output (an ARN that AWS has not told yet) would have the engine store it without its id."""
    ec2 = world.boto("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    group = ec2.create_security_group(GroupName=world.name("g"), Description="g", VpcId=vpc)["GroupId"]
    inputs = {
        "securityGroupId": group,
        "ipProtocol": "udp",
        "fromPort": 53,
        "toPort": 53,
        "cidrIpv4": "10.40.0.53/32",
    }
    faults = [{"service": "ec2", "operation": "DescribeSecurityGroupRules", "kind": "throttle", "times": 9}]
    assert ask(world, "PUT", faults)[0] == 200
    with pytest.raises(Refusal, match="describe_security_group_rules of ec2 failed") as refusal:
        twice.create("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule", {**inputs, "region": REGION})
    failed = unfinished(refusal.value)
    assert failed.id.startswith("sgr-")
    assert UNKNOWN not in json.dumps(plain(failed.properties))
    assert plain(failed.properties)["cidrIpv4"] == "10.40.0.53/32"


# -- done, and nobody heard of it


def _role(world: World, **more: Any) -> dict[str, Any]:
    return {
        "name": world.name("role"),
        "assumeRolePolicy": trust(),
        "tags": {"isthmus-resource": "r"},
        **more,
    }


@pytest.mark.parametrize("kind", UNHEARD)
@pytest.mark.parametrize("times", [1, 2], ids=["once", "beyond the bounds"])
def test_what_was_made_unheard_is_found_by_its_name(
    twice: Client, world: World, kind: str, times: int
) -> None:
    inputs = _role(world)
    put(world, "iam", "CreateRole", kind, times=times, also_done=True)
    id, state = twice.create(ROLE, inputs)
    assert id == inputs["name"]
    assert ask(world, "GET") == (200, []), "as many tries as were to fail"
    assert twice.diff(ROLE, id, state, inputs).changes == pb.DiffResponse.DIFF_NONE


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"tags": {"isthmus-resource": "another"}}, "differs in tags"),
        ({"tags": {}}, "it cannot be shown that this run created it"),
    ],
)
def test_what_may_be_another_s_is_named_and_not_taken(
    twice: Client, world: World, other: dict[str, Any], why: str
) -> None:
    """Another's role of that name was there before; the first try had no answer and did nothing."""
    inputs = _role(world, **({"tags": {}} if not other["tags"] else {}))
    tags = [{"Key": key, "Value": value} for key, value in other["tags"].items()]
    world.boto("iam").create_role(RoleName=inputs["name"], AssumeRolePolicyDocument=trust(), Tags=tags)
    put(world, "iam", "CreateRole", "drop")
    with pytest.raises(Refusal, match=why) as refusal:
        twice.create(ROLE, inputs)
    assert f"`pulumi import {ROLE} <name> '{inputs['name']}'`" in str(refusal.value)
    assert "grpc-status-details-bin" not in dict(refusal.value.__cause__.trailing_metadata())  # pyright: ignore


@pytest.mark.parametrize("kind", UNHEARD)
def test_with_an_idempotency_token_nothing_is_made_twice(twice: Client, world: World, kind: str) -> None:
    ec2 = world.boto("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.8.0.0/16")["Vpc"]["VpcId"]
    put(world, "ec2", "CreateRouteTable", kind, also_done=True)
    id, _ = twice.create(TABLE, {"vpcId": vpc, "region": REGION})
    tables = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"]
    assert id in [table["RouteTableId"] for table in tables]
    assert len(tables) == 2, "the main table and ours"


@pytest.mark.parametrize("kind", UNHEARD)
def test_without_a_token_and_a_name_the_second_one_is_named(twice: Client, world: World, kind: str) -> None:
    kms = world.boto("kms")
    before = len(kms.list_keys(Limit=1000)["Keys"])
    inputs = {"description": world.name("twice"), "region": REGION}
    put(world, "kms", "CreateKey", kind, also_done=True)
    with pytest.raises(Refusal) as refusal:
        twice.create(KEY, inputs)
    failed = unfinished(refusal.value)
    assert f"`{failed.id}` is created" in failed.reasons[0]
    assert "exists too, with the same settings" in failed.reasons[0]
    assert len(kms.list_keys(Limit=1000)["Keys"]) == before + 2
    after = twice.update(KEY, failed.id, plain(failed.properties), inputs)
    assert twice.diff(KEY, failed.id, after, inputs).changes == pb.DiffResponse.DIFF_NONE


def test_where_nobody_says_whether_there_are_two_the_state_says_that_there_may_be(
    twice: Client, world: World
) -> None:
    faults = [
        {"service": "kms", "operation": "CreateKey", "kind": "server-error"},
        {"service": "kms", "operation": "ListKeys", "kind": "drop", "times": 9},
    ]
    assert ask(world, "PUT", faults)[0] == 200
    with pytest.raises(Refusal, match="a second one may exist that is in no stack") as refusal:
        twice.create(KEY, {"description": world.name("twice"), "region": REGION})
    assert unfinished(refusal.value).id


def test_a_throttled_creation_leaves_no_doubt(twice: Client, world: World) -> None:
    put(world, "kms", "CreateKey", "throttle")
    assert twice.create(KEY, {"description": "one", "region": REGION})[0]


def test_any_operation_of_any_service_can_be_met(twice: Client, world: World) -> None:
    put(world, "*", "*", "throttle", times=3)
    with pytest.raises(Refusal, match="SlowDown"):
        twice.create(BUCKET, {"bucket": world.name("any"), "region": REGION})
    assert twice.create(BUCKET, {"bucket": world.name("any"), "region": REGION})[0]

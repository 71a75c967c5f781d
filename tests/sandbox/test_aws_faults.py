"""AWS throttles, fails and hangs under the real engine: an up passes or says what failed, and nothing is made twice."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.aws_sandbox.driver import World
from tests.aws_sandbox.faults import ask
from tests.aws_sandbox.stack import Stack, endpoint
from tests.aws_sandbox.stack import kinds as counts

pytestmark = pytest.mark.sandbox

MAKING = {
    "kms": ("CreateKey", "CreateAlias"),
    "s3": ("CreateBucket",),
    "iam": ("CreateRole", "PutRolePolicy"),
    "logs": ("CreateLogGroup",),
    "ec2": ("CreateVpc", "CreateRouteTable", "CreateSecurityGroup"),
    "bedrock": ("CreateGuardrail",),
}
LOOKING = {
    "kms": ("DescribeKey", "ListAliases"),
    "s3": ("HeadBucket",),
    "iam": ("GetRole",),
    "logs": ("DescribeLogGroups",),
    "ec2": ("DescribeVpcs", "DescribeSecurityGroups"),
    "bedrock": ("GetGuardrail",),
    "sts": ("GetCallerIdentity",),
}
DELETING = {
    "kms": ("DeleteAlias",),
    "s3": ("DeleteBucket",),
    "iam": ("DeleteRole",),
    "logs": ("DeleteLogGroup",),
    "ec2": ("DeleteVpc", "DeleteRouteTable", "DeleteSecurityGroup"),
    "bedrock": ("DeleteGuardrail",),
}
ONCE = dict.fromkeys(
    ("key", "alias", "bucket", "role", "inline", "log group", "vpc", "route table", "group", "guardrail"), 1
)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with endpoint() as url:
        yield Stack(tmp_path, url, checkpoints=True)


def program(retries: int = 4) -> Any:
    """Ten resources of six services, of which Isthmus serves one beside moto; some hang on others."""

    def run() -> None:
        import pulumi
        import pulumi_aws as aws

        provider = aws.Provider(
            "aws",
            region="eu-central-1",
            max_retries=retries,
            default_tags={"tags": {"isthmus-stack": "faults"}},
            skip_credentials_validation=True,
        )
        opts = pulumi.ResourceOptions(provider=provider)
        key = aws.kms.Key("seal", description="seal", opts=opts)
        aws.kms.Alias("seal", name="alias/seal", target_key_id=key.key_id, opts=opts)
        bucket = aws.s3.Bucket("records", opts=opts)
        trust = {"Version": "2012-10-17", "Statement": []}
        role = aws.iam.Role("writer", assume_role_policy=json.dumps(trust), opts=opts)
        may = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [may]})
        aws.iam.RolePolicy("writer", name="writer", role=role.name, policy=policy, opts=opts)
        aws.cloudwatch.LogGroup("log", name="/isthmus/faults", retention_in_days=30, opts=opts)
        vpc = aws.ec2.Vpc("net", cidr_block="10.60.0.0/16", opts=opts)
        aws.ec2.RouteTable("net", vpc_id=vpc.id, opts=opts)
        aws.ec2.SecurityGroup("net", vpc_id=vpc.id, opts=opts)
        aws.bedrock.Guardrail(
            "guard",
            blocked_input_messaging="no",
            blocked_outputs_messaging="no",
            word_policy_config={"words_configs": [{"text": "password"}]},
            opts=opts,
        )
        pulumi.export("vpc", vpc.id)
        pulumi.export("bucket", bucket.bucket)

    return run


def counted(stack: Stack) -> dict[str, int]:
    """How many of each there are in AWS, whoever made them; AWS's own are not counted."""
    kms, ec2, iam = (stack.boto(service) for service in ("kms", "ec2", "iam"))
    keys = [kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"] for key in kms.list_keys()["Keys"]]
    roles = [role["RoleName"] for role in iam.list_roles()["Roles"]]
    tables = ec2.describe_route_tables()["RouteTables"]
    actual = {
        "key": [key for key in keys if key["KeyState"] == "Enabled"],
        "alias": [alias for alias in kms.list_aliases()["Aliases"] if alias["AliasName"] == "alias/seal"],
        "bucket": stack.boto("s3").list_buckets()["Buckets"],
        "role": roles,
        "inline": [
            policy_name
            for role in roles
            for policy_name in iam.list_role_policies(RoleName=role)["PolicyNames"]
        ],
        "log group": stack.boto("logs").describe_log_groups()["logGroups"],
        "vpc": [vpc for vpc in ec2.describe_vpcs()["Vpcs"] if not vpc["IsDefault"]],
        "route table": [
            table for table in tables if not any(association["Main"] for association in table["Associations"])
        ],
        "group": [
            security_group
            for security_group in ec2.describe_security_groups()["SecurityGroups"]
            if security_group["GroupName"] != "default"
        ],
        "guardrail": stack.boto("bedrock").list_guardrails()["guardrails"],
    }
    return {what: len(each) for what, each in actual.items() if each}


def faulty(stack: Stack, *faults: dict[str, Any]) -> None:
    status, answer = ask(World(stack.url), "PUT", list(faults))
    assert status == 200, answer


def each_of(calls: dict[str, tuple[str, ...]], *kinds: str, **more: Any) -> list[dict[str, Any]]:
    """A fault for each of the calls; of several kinds, one after the other."""
    names = [(service, operation) for service, operations in calls.items() for operation in operations]
    return [
        {"service": service, "operation": operation, "kind": kind, "seconds": 0.2, **more}
        for (service, operation), kind in zip(names, itertools.cycle(kinds), strict=False)
    ]


def left(stack: Stack) -> Any:
    """The faults that no call has met yet; all are taken away."""
    world = World(stack.url)
    _, actual = ask(world, "GET")
    ask(world, "DELETE")
    return actual


def assert_complete(stack: Stack) -> None:
    """All is there once, and the state knows it as it is."""
    assert counted(stack) == ONCE
    after = stack.stack.preview(refresh=True, expect_no_changes=True)
    assert set(counts(after.change_summary)) == {"same"}


@pytest.mark.parametrize(
    ("kinds", "times"),
    [
        pytest.param(("throttle",), 1, marks=pytest.mark.soak),
        (("server-error", "timeout", "drop"), 2),
    ],
    ids=["throttled", "failing"],
)
def test_a_burst_on_every_call_is_outlasted_by_an_up_and_by_a_destroy(
    stack: Stack, kinds: tuple[str, ...], times: int
) -> None:
    stack.own(program())
    faulty(stack, *each_of(MAKING, *kinds, times=times), *each_of(LOOKING, *kinds))
    stack.up()
    assert left(stack) == [], "a fault was never met"
    assert_complete(stack)
    # What is throttled was not done; all else may have been, and its answer was lost.
    faulty(stack, *each_of(DELETING, *kinds, also_done="throttle" not in kinds))
    stack.stack.destroy()
    assert left(stack) == []
    assert counted(stack) == {}


@pytest.mark.soak
def test_what_was_made_unheard_is_there_once_by_its_token_or_its_name(stack: Stack) -> None:
    """Of all that AWS tells apart, the first answer is lost; of what has a name, every answer."""
    stack.own(program(retries=1))
    by_token = {"ec2": ("CreateRouteTable",)}
    by_name = {
        "kms": ("CreateAlias",),
        "s3": ("CreateBucket",),
        "iam": ("CreateRole", "PutRolePolicy"),
        "logs": ("CreateLogGroup",),
        "ec2": ("CreateSecurityGroup",),
        "bedrock": ("CreateGuardrail",),
    }
    faulty(
        stack,
        *each_of(by_token, "drop", also_done=True),
        *each_of(by_name, "timeout", also_done=True, times=2),
    )
    stack.up()
    assert left(stack) == []
    assert_complete(stack)


def test_failures_that_last_end_soon_name_calls_and_resources_and_the_next_run_completes(
    stack: Stack,
) -> None:
    import pulumi.automation as auto

    stack.own(program(retries=2))
    faulty(
        stack,
        {"service": "ec2", "operation": "CreateVpc", "kind": "throttle", "times": 999},
        {"service": "bedrock", "operation": "CreateGuardrail", "kind": "timeout", "times": 999, "seconds": 2},
    )
    began = time.monotonic()
    with pytest.raises(auto.CommandError) as failed:
        stack.up()
    assert time.monotonic() - began < 60
    message = str(failed.value)
    for resource, call in (
        ("aws:ec2:Vpc (net)", "aws:ec2/vpc:Vpc: create_vpc of ec2"),
        ("aws:bedrock:Guardrail (guard)", "aws:bedrock/guardrail:Guardrail: create_guardrail of bedrock"),
    ):
        assert resource in message
        assert f"{call} failed at each of 3 tries" in message
    assert "Run the same command again" in message
    assert [999 - fault["times"] for fault in left(stack)] == [3, 3]
    there = counted(stack)
    assert {"vpc", "guardrail"}.isdisjoint(there)
    assert set(there.values()) <= {1}
    stack.up()
    assert_complete(stack)


def test_what_aws_cannot_tell_apart_is_named_once_kept_and_the_next_run_goes_on(stack: Stack) -> None:
    """A VPC has neither token nor name: the one whose answer was lost is there, and nobody's."""
    import pulumi.automation as auto

    stack.own(program())
    faulty(stack, {"service": "ec2", "operation": "CreateVpc", "kind": "drop", "also_done": True})
    with pytest.raises(auto.CommandError, match="exists too, with the same settings") as failed:
        stack.up()
    stack.up()
    assert counted(stack) == {**ONCE, "vpc": 2}
    ours = stack.outputs()["vpc"]
    ec2 = stack.boto("ec2")
    tagged = ec2.describe_vpcs(Filters=[{"Name": "tag:isthmus-stack", "Values": ["faults"]}])["Vpcs"]
    others = [vpc["VpcId"] for vpc in tagged if vpc["VpcId"] != ours]
    assert len(others) == 1
    assert f"Delete `{others[0]}` by hand" in str(failed.value)
    ec2.delete_vpc(VpcId=others[0])
    assert_complete(stack)

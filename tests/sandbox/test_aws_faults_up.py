"""`isthmus up` of the bank while AWS throttles, fails, hangs and loses answers: one run, and everything there once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.accounting import aws
from tests.aws_sandbox.driver import World as Endpoint
from tests.aws_sandbox.faults import ask
from tests.recovery.world import World

pytestmark = [pytest.mark.sandbox, pytest.mark.soak]
"""Faults of each kind, one at a time, are in `make test`: test_aws_faults.py."""

FAILING = {
    "throttle": (
        "iam PutRolePolicy",
        "ec2 CreateVpcEndpoint",
        "logs PutRetentionPolicy",
        "sts GetCallerIdentity",
    ),
    "server-error": ("ec2 CreateVpc", "kms CreateKey", "ec2 CreateTransitGateway", "s3 PutBucketPolicy"),
    "timeout": ("rolesanywhere CreateTrustAnchor", "ec2 CreateVpnConnection", "bedrock GetGuardrail"),
    "drop": ("cloudwatch PutMetricAlarm", "ec2 CreateRoute", "budgets DescribeBudget", "ec2 DescribeVpcs"),
}
"""Calls that fail twice and are not done."""
UNHEARD = (
    "bedrock CreateGuardrail",
    "bedrock CreateInferenceProfile",
    "cloudtrail CreateTrail",
    "ec2 CreateSecurityGroup",
    "ec2 CreateSubnet",
    "ec2 CreateTransitGatewayVpcAttachment",
    "iam CreatePolicy",
    "iam CreateRole",
    "logs CreateLogGroup",
    "route53resolver CreateResolverEndpoint",
    "route53resolver AssociateResolverRule",
    "s3 CreateBucket",
    "sns CreateTopic",
)
"""Calls that are done, and whose first answer is lost."""


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_the_bank_goes_up_through_an_aws_that_fails_and_nothing_is_there_twice(world: World) -> None:
    failing = [
        dict(zip(("service", "operation"), call.split(), strict=True))
        | {"kind": kind, "times": 2, "seconds": 0.3}
        for kind, calls in FAILING.items()
        for call in calls
    ]
    unheard = [
        dict(zip(("service", "operation"), call.split(), strict=True)) | {"kind": "drop", "also_done": True}
        for call in UNHEARD
    ]
    try:
        world.fresh()
        url = world.env["AWS_ENDPOINT_URL"]
        status, answer = ask(Endpoint(url), "PUT", [*failing, *unheard])
        assert status == 200, answer
        done = world.isthmus("up")
        assert done.code == 0, done.error or done.said[-2000:]
        _, left = ask(Endpoint(url), "GET")
        assert [f"{entry['service']} {entry['operation']}" for entry in left] == [], (
            "faults that no call has met"
        )
        state = world.state()["resources"]
        listed = aws.listed(aws.clients(world.env))
        expected = aws.in_state(state)
        assert {kind: listed[kind] ^ ids for kind, ids in expected.items() if ids != listed[kind]} == {}
        assert sum(len(ids) for ids in listed.values()) > 80
        assert not [resource["urn"] for resource in state if resource.get("initErrors")]
    finally:
        world.close()

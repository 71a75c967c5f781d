"""A site of another account, as a stack's program makes its provider, under the real engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from isthmus.contracts.platform.model.platform import Site
from stacks import providers
from tests.aws_sandbox.driver import REGION
from tests.aws_sandbox.stack import Stack, endpoint, kinds

pytestmark = pytest.mark.sandbox
THEIRS = "210987654321"
ROLE = f"arn:aws:iam::{THEIRS}:role/isthmus"


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with endpoint() as url:
        yield Stack(tmp_path, url)


def site(role: str, external_id: str = "bank-4711") -> Site:
    return Site(
        name="aws",
        kind="aws",
        region=REGION,
        jurisdiction="EU",
        account_id=THEIRS,
        assume_role=role,
        external_id=external_id,
    )


def program(place: Site) -> Any:
    def run() -> None:
        import pulumi
        import pulumi_aws as aws

        provider = providers.aws(place, {"owner": "isthmus"}, sandbox=True)
        opts = pulumi.ResourceOptions(provider=provider)
        bucket = aws.s3.Bucket("records", opts=opts)
        trust = {"Version": "2012-10-17", "Statement": []}
        role = aws.iam.Role("writer", assume_role_policy=json.dumps(trust), opts=opts)
        guardrail = aws.bedrock.Guardrail(
            "guard",
            blocked_input_messaging="no",
            blocked_outputs_messaging="no",
            word_policy_config={"words_configs": [{"text": "password"}]},
            opts=opts,
        )
        pulumi.export("bucket", bucket.bucket)
        pulumi.export("arns", [role.arn, guardrail.guardrail_arn])

    return run


def theirs(stack: Stack, service: str) -> Any:
    import boto3

    role = stack.boto("sts").assume_role(RoleArn=ROLE, RoleSessionName="another", ExternalId="bank-4711")
    keys = [role["Credentials"][name] for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")]
    return boto3.Session(*keys, region_name=REGION).client(service, endpoint_url=stack.url)


def test_a_site_with_a_role_goes_up_in_the_role_s_account_and_comes_down_there(stack: Stack) -> None:
    stack.own(program(site(ROLE)))
    stack.up()
    outputs = stack.outputs()
    assert [arn.split(":")[4] for arn in outputs["arns"]] == [THEIRS, THEIRS]
    assert [bucket["Name"] for bucket in theirs(stack, "s3").list_buckets()["Buckets"]] == [outputs["bucket"]]
    assert stack.boto("s3").list_buckets()["Buckets"] == []
    again = stack.stack.preview(refresh=True, expect_no_changes=True)
    assert set(kinds(again.change_summary)) == {"same"}
    stack.stack.destroy()
    assert theirs(stack, "s3").list_buckets()["Buckets"] == []
    assert theirs(stack, "bedrock").list_guardrails()["guardrails"] == []


def test_a_role_that_wants_another_external_id_is_one_clear_error_and_nothing_is_made(stack: Stack) -> None:
    import pulumi.automation as auto

    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": "123456789012"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": "bank-4711"}},
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    iam = theirs(stack, "iam")
    iam.create_role(RoleName="isthmus", AssumeRolePolicyDocument=document)
    stack.own(program(site(ROLE, external_id="bank-0815")))
    with pytest.raises(auto.CommandError) as refused:
        stack.up()
    message = str(refused.value)
    assert f"is not authorized to perform: sts:AssumeRole on resource: {ROLE} (AccessDenied)" in message
    assert "Check the role's trust policy" in message
    assert theirs(stack, "s3").list_buckets()["Buckets"] == []
    assert [role["RoleName"] for role in iam.list_roles()["Roles"]] == ["isthmus"]
    stack.own(program(site(ROLE)))
    stack.up()
    assert len(theirs(stack, "s3").list_buckets()["Buckets"]) == 1

"""The sandbox's AWS provider under the real Pulumi engine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.aws_sandbox.stack import Stack, endpoint, kinds

pytestmark = pytest.mark.sandbox


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with endpoint() as address:
        yield address


@pytest.fixture
def stack(tmp_path: Path, url: str) -> Iterator[Stack]:
    new_stack = Stack(tmp_path, url)
    yield new_stack
    new_stack.stack.destroy()


def store(aws: Any, opts: Any, *, days: int = 365, path: str = "/", lock: bool = False) -> None:
    """A store as the components make it: a key, a locked-down bucket, a role that may use it."""
    import pulumi

    key = aws.kms.Key("audit", description="audit", deletion_window_in_days=7, opts=opts())
    aws.kms.Alias("audit", target_key_id=key.key_id, opts=opts())
    bucket = aws.s3.Bucket("audit", object_lock_enabled=lock, force_destroy=True, opts=opts())
    versioning = aws.s3.BucketVersioning(
        "audit", bucket=bucket.bucket, versioning_configuration={"status": "Enabled"}, opts=opts()
    )
    aws.s3.BucketServerSideEncryptionConfiguration(
        "audit",
        bucket=bucket.bucket,
        rules=[
            {
                "apply_server_side_encryption_by_default": {
                    "sse_algorithm": "aws:kms",
                    "kms_master_key_id": key.arn,
                },
                "bucket_key_enabled": True,
            }
        ],
        opts=opts(),
    )
    aws.s3.BucketPublicAccessBlock(
        "audit",
        bucket=bucket.bucket,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
        opts=opts(),
    )
    aws.s3.BucketOwnershipControls(
        "audit", bucket=bucket.bucket, rule={"object_ownership": "BucketOwnerEnforced"}, opts=opts()
    )
    aws.s3.BucketLifecycleConfiguration(
        "audit",
        bucket=bucket.bucket,
        rules=[{"id": "end", "status": "Enabled", "expiration": {"days": days}}],
        opts=opts(depends_on=[versioning]),
    )
    identity = aws.get_caller_identity_output(opts=pulumi.InvokeOptions(provider=opts().provider))
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "rolesanywhere.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    role = aws.iam.Role("audit", assume_role_policy=json.dumps(trust), path=path, opts=opts())
    document = aws.iam.get_policy_document_output(
        statements=[{"actions": ["s3:PutObject"], "resources": [bucket.arn.apply(lambda arn: f"{arn}/*")]}],
        opts=pulumi.InvokeOptions(provider=opts().provider),
    )
    policy = aws.iam.Policy("audit", policy=document.json, opts=opts())
    aws.iam.RolePolicyAttachment("audit", role=role.name, policy_arn=policy.arn, opts=opts())
    aws.iam.RolePolicy("audit", role=role.id, policy=document.json, opts=opts())
    aws.cloudwatch.LogGroup("audit", retention_in_days=30, opts=opts())
    aws.s3.BucketPolicy("audit", bucket=bucket.bucket, policy=document.json, opts=opts())
    pulumi.export("bucket", bucket.bucket)
    pulumi.export("key", key.key_id)
    pulumi.export("role", role.name)
    pulumi.export("account", identity.account_id)


def test_a_store_goes_up_stays_unchanged_is_changed_mended_replaced_and_destroyed(stack: Stack) -> None:
    stack.program = store
    planned = kinds(stack.stack.preview().change_summary)
    assert planned == {"create": 16}, "a preview of nothing built yet knows no id, arn or name"
    stack.up()
    before = stack.outputs()
    assert before["account"] == "123456789012"
    assert before["bucket"].startswith("audit-")
    assert set(kinds(stack.stack.preview(expect_no_changes=True).change_summary)) == {"same"}
    assert set(kinds(stack.stack.preview(refresh=True, expect_no_changes=True).change_summary)) == {"same"}

    stack.boto("s3").put_public_access_block(
        Bucket=before["bucket"], PublicAccessBlockConfiguration={"BlockPublicAcls": False}
    )
    drifted = kinds(stack.stack.preview(refresh=True).change_summary)
    assert drifted["update"] == 1
    assert drifted["same"] == 15
    stack.stack.up(refresh=True)
    mended = stack.boto("s3").get_public_access_block(Bucket=before["bucket"])
    assert all(mended["PublicAccessBlockConfiguration"].values())

    changed = kinds_of_up(stack, lambda aws, opts: store(aws, opts, days=730))
    assert changed == {"update": 1, "same": 15}
    assert stack.outputs() == before, "a change in place keeps every name that was made up"

    replaced = kinds_of_up(stack, lambda aws, opts: store(aws, opts, days=730, path="/isthmus/"))
    assert replaced["replace"] == 3, "the role, and what hangs on its name"
    assert stack.outputs()["role"] != before["role"], "beside the old one, so under another name"

    stack.stack.destroy()
    assert stack.boto("s3").list_buckets()["Buckets"] == []
    assert stack.boto("iam").list_roles()["Roles"] == []
    state = stack.boto("kms").describe_key(KeyId=before["key"])["KeyMetadata"]["KeyState"]
    assert state == "PendingDeletion", "a deleted key stays for its window, as in AWS"


def kinds_of_up(stack: Stack, program: Callable[[Any, Any], None]) -> dict[str, int]:
    return kinds(stack.up(program).summary.resource_changes)


def test_a_resource_that_exists_is_imported_by_its_id(stack: Stack) -> None:
    stack.boto("iam").create_role(
        RoleName="theirs", AssumeRolePolicyDocument='{"Version":"2012-10-17","Statement":[]}'
    )

    def program(aws: Any, opts: Any) -> None:
        aws.iam.Role(
            "theirs",
            name="theirs",
            assume_role_policy='{"Statement": [], "Version": "2012-10-17"}',
            opts=opts(import_="theirs", ignore_changes=["tags"]),
        )

    assert kinds_of_up(stack, program)["import"] == 1


def test_an_unknown_type_is_an_error_that_names_it(stack: Stack) -> None:
    import pulumi.automation as auto

    with pytest.raises(auto.CommandError) as error:
        stack.up(lambda aws, opts: aws.sqs.Queue("jobs", opts=opts()) and None)
    assert "aws:sqs/queue:Queue" in str(error.value)
    assert "sandbox/aws/table" in str(error.value)


def test_an_unserved_property_is_an_error_that_names_it(stack: Stack) -> None:
    import pulumi.automation as auto

    with pytest.raises(auto.CommandError) as error:
        stack.up(lambda aws, opts: aws.s3.Bucket("b", acceleration_status="Enabled", opts=opts()) and None)
    assert "accelerationStatus" in str(error.value)


def test_a_bucket_with_objects_under_lock_says_why_it_stays(stack: Stack) -> None:
    import datetime

    import pulumi.automation as auto

    def program(aws: Any, opts: Any) -> None:
        import pulumi

        bucket = aws.s3.Bucket("kept", object_lock_enabled=True, force_destroy=True, opts=opts())
        pulumi.export("bucket", bucket.bucket)

    stack.up(program)
    bucket = stack.outputs()["bucket"]
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=2)
    stored_object = stack.boto("s3").put_object(
        Bucket=bucket,
        Key="record",
        Body=b"x",
        ObjectLockMode="COMPLIANCE",
        ObjectLockRetainUntilDate=until + datetime.timedelta(days=1),
    )
    with pytest.raises(auto.CommandError) as error:
        stack.stack.destroy()
    assert "AccessDenied" in str(error.value)
    assert "aws:s3/bucket:Bucket" in str(error.value)
    # The endpoint's memory is ours: without the lock the fixture can clean up.
    from moto.s3.models import s3_backends

    for backend in s3_backends["123456789012"].values():
        if bucket in backend.buckets:
            for version in backend.buckets[bucket].keys.getlist("record"):
                version.lock_until = None
                version.lock_mode = None
    assert stored_object["VersionId"]

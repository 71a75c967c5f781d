"""The components' own AWS resources, with the stack's own provider, through the sandbox's plugin."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.aws_sandbox.stack import Stack, endpoint, kinds

pytestmark = pytest.mark.sandbox


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with endpoint() as url:
        new_stack = Stack(tmp_path, url)
        yield new_stack
        new_stack.stack.destroy()


def platform(days: int = 400) -> None:
    import pulumi

    from components.aws.records.trail import AuditTrail
    from isthmus.contracts.platform.model.platform import Site
    from stacks import providers

    site = Site(name="frankfurt", kind="aws", jurisdiction="de", region="eu-central-1")
    opts = pulumi.ResourceOptions(providers=[providers.aws(site, {"isthmus.dev/stack": "t"}, sandbox=True)])
    trail = AuditTrail(
        "frankfurt-audit",
        {
            "name": "audit",
            "site": "frankfurt",
            "mode": "manage",
            "region": "eu-central-1",
            "retention_days": days,
        },
        opts,
    )
    pulumi.export("retained", trail.retained)
    pulumi.export("bucket", trail.bucket)


@pytest.mark.soak
def test_the_components_go_up_stay_unchanged_are_mended_and_keep_what_must_stay(stack: Stack) -> None:
    stack.own(platform)
    stack.stack.preview()
    stack.up()
    before = stack.outputs()
    assert set(kinds(stack.stack.preview(refresh=True, expect_no_changes=True).change_summary)) == {"same"}

    stack.boto("s3").delete_public_access_block(Bucket=before["bucket"])
    stack.stack.up(refresh=True)
    block: dict[str, Any] = stack.boto("s3").get_public_access_block(Bucket=before["bucket"])
    assert all(block["PublicAccessBlockConfiguration"].values())

    stack.own(lambda: platform(days=500))
    assert kinds(stack.up().summary.resource_changes)["update"] >= 1
    lock = stack.boto("s3").get_object_lock_configuration(Bucket=before["bucket"])
    assert lock["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]["Days"] == 500
    assert stack.outputs() == before

    stack.stack.destroy()
    assert [bucket["Name"] for bucket in stack.boto("s3").list_buckets()["Buckets"]] == [before["bucket"]]
    key = before["retained"][1]
    assert stack.boto("kms").describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Enabled"

"""One audit store through three lives of a stack: protected, left and taken over, thrown away. The real engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from isthmus.contracts.platform.checked import CheckedPlatform
from isthmus.engine.run import retained_resources
from tests.aws_sandbox.stack import Stack, endpoint, kinds
from tests.components.platforms import bank

pytestmark = pytest.mark.sandbox


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with endpoint() as url:
        yield Stack(tmp_path, url)


def build_program(lifecycle: str, imports: dict[str, str]) -> Any:
    """A program: the store of a platform that is kept so and takes over these."""

    def program() -> None:
        import pulumi

        from components.aws.records.trail import AuditTrail
        from components.base.adoption import Adopting
        from components.cluster.retention import RetentionRules
        from isthmus.contracts.platform.model.platform import Site
        from stacks import providers

        platform = CheckedPlatform.model_validate({**bank(), "lifecycle": lifecycle, "imports": imports})
        site = Site(name="frankfurt", kind="aws", jurisdiction="de", region="eu-central-1")
        adopting = Adopting(platform)
        keeping = [RetentionRules("bank", platform).apply, adopting.apply]
        provider = providers.aws(site, {"isthmus-stack": "t"}, sandbox=True)
        values: Any = {
            "name": "f",
            "site": "frankfurt",
            "mode": "manage",
            "region": site.region,
            "retention_days": 1,
        }
        options = pulumi.ResourceOptions(providers=[provider], transformations=keeping)
        new_audit_trail = AuditTrail("bank-f", values, options)
        adopting.check()
        pulumi.export("bucket", new_audit_trail.bucket)

    return program


class Exported:
    """What `durable.let_go` asks of an engine, by the Automation API."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack.stack

    def export(self) -> dict[str, Any]:
        return json.loads(json.dumps(self.stack.export_stack().__dict__))

    def replace(self, new: dict[str, Any], was: dict[str, Any]) -> None:
        import pulumi.automation as auto

        assert self.export() == was
        self.stack.import_stack(auto.Deployment(**new))


def test_a_store_is_protected_then_left_then_taken_over_by_its_id_and_at_last_thrown_away(
    stack: Stack,
) -> None:
    import pulumi.automation as auto

    def buckets() -> set[str]:
        return {entry["Name"] for entry in stack.boto("s3").list_buckets()["Buckets"]}

    stack.own(build_program("durable", {}))
    stack.up()
    bucket = stack.outputs()["bucket"]
    with pytest.raises(auto.CommandError, match="because it is protected"):
        stack.stack.destroy(preview_only=True)

    engine: Any = Exported(stack)
    lines: list[str] = []
    left = retained_resources.describe_retained(
        retained_resources.release_dropped(engine, engine.export(), tuple, lines.append)["deployment"]
    )
    assert {entry.name for entry in left} == {"Bucket bank-f-bucket", "Key bank-f-key"}
    assert len(lines) == 2
    stack.stack.destroy()
    assert buckets() == {bucket}, "left, and no stack's"

    taken = {entry.name: entry.known_as for entry in left}
    stack.own(build_program("durable", taken))
    assert kinds(stack.up().summary.resource_changes)["import"] == 2
    assert (stack.outputs()["bucket"], buckets()) == (bucket, {bucket})
    assert set(kinds(stack.stack.preview(refresh=True, expect_no_changes=True).change_summary)) == {"same"}

    stack.own(build_program("disposable", taken))
    changes = kinds(stack.up().summary.resource_changes)
    assert not {"create", "delete", "replace"} & set(changes), "how it is kept is no change of it"
    stack.stack.destroy()
    assert buckets() == set()

"""Resources that stay after destroy: which, why, and how they are released."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from isthmus.core.errors import Refused
from isthmus.engine.run import retained_resources

SITE = "urn:pulumi:dev::isthmus::pulumi:providers:aws::frankfurt::1"


def entry(kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {
        "urn": f"urn:pulumi:dev::isthmus::isthmus:index:LlmPlatform${kind}::{name}",
        "type": kind,
        "custom": True,
        "id": f"{name}-id",
        "provider": SITE,
        **more,
    }


def state() -> dict[str, Any]:
    return {
        "resources": [
            entry("aws:s3/bucket:Bucket", "audit", retainOnDelete=True, protect=True),
            entry("aws:s3/bucketPolicy:BucketPolicy", "audit-policy", retainOnDelete=True),
            entry(
                "aws:kms/key:Key", "key", retainOnDelete=True, protect=True, outputs={"arn": "arn:aws:kms:k"}
            ),
            entry("aws:kms/key:Key", "other"),
        ]
    }


class Engine:
    """The two things that are asked of an engine."""

    def __init__(self, exported: dict[str, Any]) -> None:
        self.exported = exported
        self.written = 0

    def export(self) -> dict[str, Any]:
        return copy.deepcopy(self.exported)

    def replace(self, new: dict[str, Any], _old: dict[str, Any]) -> None:
        assert _old == self.exported
        self.exported, self.written = new, self.written + 1


def test_every_retained_resource_is_described_with_id_site_and_reason() -> None:
    bucket, key = (str(line) for line in retained_resources.describe_retained(state()))
    assert (
        bucket
        == "Bucket audit at frankfurt (audit-id): it holds audit records, locked until their retention ends"
    )
    assert key.startswith("Key key at frankfurt (arn:aws:kms:k): records encrypted with it")


def test_dropped_retained_resources_are_released_and_others_stay_protected() -> None:
    engine: Any = Engine({"version": 3, "deployment": state()})
    bucket = state()["resources"][0]["urn"]
    messages: list[str] = []
    after = retained_resources.release_dropped(engine, engine.export(), lambda: {bucket}, messages.append)
    assert [resource.get("protect") for resource in after["deployment"]["resources"]] == [
        True,
        None,
        False,
        None,
    ]
    (line,) = messages
    assert "Key key" in line
    again = retained_resources.release_dropped(engine, after, lambda: {bucket}, messages.append)
    assert (engine.written, again) == (1, after), "there is nothing more to lift"


def test_a_resource_protected_by_hand_is_refused_before_anything_is_deleted() -> None:
    deployed_state = state()
    retained_resources.refuse_protected(deployed_state, "dev")
    deployed_state["resources"].append(entry("aws:ec2/vpc:Vpc", "net", protect=True))
    with pytest.raises(Refused, match="Vpc net would be deleted") as refused:
        retained_resources.refuse_protected(deployed_state, "dev")
    assert "pulumi state unprotect" in refused.value.fix
    engine: Any = Engine({"version": 3, "deployment": deployed_state})
    after = retained_resources.release_dropped(engine, engine.export(), tuple, lambda _: None)
    assert after["deployment"]["resources"][-1]["protect"], "nobody asked for that to go"

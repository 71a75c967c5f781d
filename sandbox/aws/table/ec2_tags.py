"""What all types of Amazon EC2 share: one way of tagging, one form of ARN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.aws.model import Call, Scope, Tagging
from sandbox.aws.schema import Prop, to_api
from sandbox.aws.table.kms import REGION, TAGS

__all__ = ["REGION", "TAGGING", "TAGS", "arn", "tag_specifications"]


def tag_specifications(kind: str) -> Callable[[Scope], list[dict[str, Any]] | None]:
    """`TagSpecifications` of a creating call; `kind` as EC2 names it: `vpc`, `vpc-flow-log`, …."""

    def made(scope: Scope) -> list[dict[str, Any]] | None:
        tags = to_api(Prop("tags"), scope.get("tagsAll"))
        return [{"ResourceType": kind, "Tags": tags}] if tags else None

    return made


def arn(kind: str) -> str:
    """The template of an ARN: `arn:aws:ec2:eu-central-1:123456789012:vpc/vpc-…`."""
    return f"arn:{{partition}}:ec2:{{region}}:{{account}}:{kind}/{{id}}"


TAGGING = Tagging(
    put=Call("create_tags", {"Resources": ["$id"], "Tags": "$tagsSet"}),
    remove=Call(
        "delete_tags",
        {"Resources": ["$id"], "Tags": lambda scope: [{"Key": key} for key in scope["tagsGone"]]},
    ),
)
"""Every EC2 resource is tagged by its id. A type that uses it has an output `tagsAll` of kind `tags`."""

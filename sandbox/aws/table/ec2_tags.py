"""What types of Amazon EC2 share: one way of tagging, one form of ARN, members that are added and removed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sandbox.aws.model import Call, Scope, Tagging
from sandbox.aws.schema import Prop, to_api
from sandbox.aws.table.kms import REGION, TAGS

__all__ = ["REGION", "TAGGING", "TAGS", "added_and_removed", "arn", "put_tags", "tag_specifications"]


def tag_specifications(kind: str) -> Callable[[Scope], list[dict[str, Any]] | None]:
    """`TagSpecifications` of a creating call; `kind` as EC2 names it: `vpc`, `vpc-flow-log`, …."""

    def build(scope: Scope) -> list[dict[str, Any]] | None:
        tags = to_api(Prop("tags"), scope.get("tagsAll"))
        return [{"ResourceType": kind, "Tags": tags}] if tags else None

    return build


def put_tags(call: Callable[..., Any], scope: Scope) -> None:
    """All tags, where the creating call carried none."""
    if scope["tagsAll"]:
        call("create_tags", Resources=[scope["id"]], Tags=to_api(Prop("tags"), scope["tagsAll"]))


def added_and_removed(api: str, old: Sequence[str], new: Sequence[str]) -> dict[str, list[str]]:
    """`AddNAME` and `RemoveNAME` of a call that takes a list's changes; neither where there is nothing to say."""
    changes = {
        f"Add{api}": [value for value in new if value not in old],
        f"Remove{api}": [value for value in old if value not in new],
    }
    return {name: members for name, members in changes.items() if members}


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

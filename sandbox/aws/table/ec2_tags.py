"""Helpers for types of Amazon EC2: tags, ARNs, and lists whose members are added and removed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sandbox.aws.model import Call, Scope, Tagging
from sandbox.aws.schema import Prop, to_api
from sandbox.aws.table.kms import REGION, TAGS

__all__ = ["REGION", "TAGGING", "TAGS", "added_and_removed", "arn", "put_tags", "tag_specifications"]


def tag_specifications(kind: str) -> Callable[[Scope], list[dict[str, Any]] | None]:
    """Return a function for `TagSpecifications` of a creating call. `kind` is EC2's name: `vpc`, `vpc-flow-log`, …."""

    def build(scope: Scope) -> list[dict[str, Any]] | None:
        tags = to_api(Prop("tags"), scope.get("tagsAll"))
        return [{"ResourceType": kind, "Tags": tags}] if tags else None

    return build


def put_tags(call: Callable[..., Any], scope: Scope) -> None:
    """Set all tags, for types whose creating call has none."""
    if scope["tagsAll"]:
        call("create_tags", Resources=[scope["id"]], Tags=to_api(Prop("tags"), scope["tagsAll"]))


def added_and_removed(api: str, old: Sequence[str], new: Sequence[str]) -> dict[str, list[str]]:
    """Return the arguments `AddNAME` and `RemoveNAME` for the changes of a list. Empty arguments are omitted."""
    changes = {
        f"Add{api}": [value for value in new if value not in old],
        f"Remove{api}": [value for value in old if value not in new],
    }
    return {name: members for name, members in changes.items() if members}


def arn(kind: str) -> str:
    """Return the template of an ARN: `arn:aws:ec2:eu-central-1:123456789012:vpc/vpc-…`."""
    return f"arn:{{partition}}:ec2:{{region}}:{{account}}:{kind}/{{id}}"


TAGGING = Tagging(
    put=Call("create_tags", {"Resources": ["$id"], "Tags": "$tagsSet"}),
    remove=Call(
        "delete_tags",
        {"Resources": ["$id"], "Tags": lambda scope: [{"Key": key} for key in scope["tagsGone"]]},
    ),
)
"""Tagging by id, for all EC2 resources. The type needs an output `tagsAll` of kind `tags`."""

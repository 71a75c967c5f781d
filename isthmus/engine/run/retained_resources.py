"""What a stack leaves behind on purpose: which it is, why, and how the engine is brought to leave it.

Components mark it as retained: the engine then forgets it and deletes nothing. A durable platform has it protected
too: the engine refuses to delete or to replace it, under a plain `pulumi up` or `destroy` as well. Here, where each
thing is named to whoever asked, what is both may be let go: the protection is lifted in the state, and all that
follows is that the state forgets it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from isthmus.core.errors import Refused
from isthmus.engine.automation.events import resource_label, site_of

if TYPE_CHECKING:
    from isthmus.engine.automation.stack_engine import Engine

REASONS = {
    "aws:s3/bucket:Bucket": "audit records lie in it, locked until their time is over",
    "aws:kms/key:Key": "without it the records under it could never be read again",
    "aws:cloudwatch/logGroup:LogGroup": "it holds records that are kept for their time",
    "kubernetes:core/v1:PersistentVolumeClaim": "it holds the volume with a model's weights, which may be erased"
    " with its claim",
    "kubernetes:core/v1:Namespace": "its claims on models' weights would go with it",
    "kubernetes:core/v1:NamespacePatch": "the namespace is the organisation's, and keeps its class and Pod Security",
    "aws:costexplorer/costAllocationTag:CostAllocationTag": "the bills of the whole account count by it",
    "aws:bedrock/provisionedModelThroughput:ProvisionedModelThroughput": "AWS bills it until its commitment ends",
}
"""Type → why it stays."""
ADOPTABLE = (
    *("aws:s3/bucket:Bucket", "aws:kms/key:Key", "aws:cloudwatch/logGroup:LogGroup"),
    *("kubernetes:core/v1:PersistentVolumeClaim", "kubernetes:core/v1:Namespace"),
)
"""Types of which a later life of the stack may take over what an earlier one left."""
BUCKET_SETTINGS = "aws:s3/bucket"
"""Beginning of the types of a bucket's settings, which stay as long as it does and are not named one by one."""


@dataclass(frozen=True)
class RetainedResource:
    """One thing that stays."""

    name: str
    """Kind and name, as people say it."""
    id: str
    """By which its cluster or account knows it: an ARN, or namespace and name."""
    site: str
    why: str
    known_as: str = ""
    """The id that an import takes; empty where nothing is to be taken over again."""

    def __str__(self) -> str:
        at = f" at {self.site}" if self.site else ""
        return f"{self.name}{at} ({self.id}): {self.why}"


def retained(state: dict[str, Any]) -> list[dict[str, Any]]:
    """Entries of a state that a deletion leaves where they are."""
    return [
        resource
        for resource in state.get("resources") or []
        if resource.get("custom") and resource.get("retainOnDelete")
    ]


def describe_retained(state: dict[str, Any]) -> list[RetainedResource]:
    """What a destroy of this state leaves in clusters and accounts."""
    return [
        RetainedResource(
            resource_label(resource["urn"]),
            str((resource.get("outputs") or {}).get("arn") or resource.get("id") or "?"),
            site_of(resource.get("provider") or ""),
            REASONS.get(resource["type"], "the program says that it outlives the stack"),
            str(resource.get("id") or "") if resource["type"] in ADOPTABLE else "",
        )
        for resource in retained(state)
        if resource["type"] in REASONS or not resource["type"].startswith(BUCKET_SETTINGS)
    ]


def refuse_protected(state: dict[str, Any], stack: str) -> None:
    """Raise `Refused` for what somebody has protected without having it retained: it would be deleted.

    The engine finds that out one by one, when others are gone already.
    """
    protected = [
        resource["urn"]
        for resource in state.get("resources") or []
        if resource.get("protect") and not resource.get("retainOnDelete")
    ]
    if protected:
        more = f" and {len(protected) - 3} more" if len(protected) > 3 else ""
        raise Refused(
            f"{', '.join(resource_label(urn) for urn in protected[:3])}{more} would be deleted,"
            " and somebody has protected it",
            where=f"stack {stack}",
            fix=f"Nothing was changed. Lift the protection where it may go: `pulumi state unprotect '{protected[0]}'"
            f" --stack {stack}`",
        )


def release_dropped(
    engine: Engine,
    exported: dict[str, Any],
    program_urns: Callable[[], Collection[str]],
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Lift the protection of what stays though the stack no longer has it, and name it; the state as it is then.

    `wanted`: gives the URNs that the program still makes; asked only where something is protected. What was
    protected without being retained stays protected.
    """
    protected = {
        resource["urn"] for resource in retained(exported.get("deployment") or {}) if resource.get("protect")
    }
    released = protected - set(program_urns()) if protected else protected
    if not released:
        return exported
    new = copy.deepcopy(exported)
    for resource in new["deployment"]["resources"]:
        if resource["urn"] in released:
            resource["protect"] = False
    engine.replace(new, exported)
    for retained_resource in describe_retained(
        {
            "resources": [
                resource for resource in retained(exported["deployment"]) if resource["urn"] in released
            ]
        }
    ):
        say(f"stays, and this stack forgets it: {retained_resource}")
    return engine.export()

"""Resources that outlive their stack: which they are, why, and how the engine is made to keep them.

Components mark them as retained: the engine then drops them from the state without deleting them. A durable platform
also protects them, so the engine refuses to delete or replace them, in a plain `pulumi up` or `destroy` too. Isthmus
lists these resources to the user, so it may lift the protection of retained ones: they only leave the state.
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
    "aws:s3/bucket:Bucket": "it holds audit records, locked until their retention ends",
    "aws:kms/key:Key": "records encrypted with it could not be read without it",
    "aws:cloudwatch/logGroup:LogGroup": "it holds records until their retention ends",
    "kubernetes:core/v1:PersistentVolumeClaim": "it holds the volume of a model's weights, which may be erased"
    " with the claim",
    "kubernetes:core/v1:Namespace": "deleting it would delete the claims of models' weights",
    "kubernetes:core/v1:NamespacePatch": "the organisation owns the namespace; it keeps its class and Pod Security",
    "aws:costexplorer/costAllocationTag:CostAllocationTag": "the billing reports of the whole account use it",
    "aws:bedrock/provisionedModelThroughput:ProvisionedModelThroughput": "AWS bills it until its commitment ends",
}
"""Type → why it is retained."""
ADOPTABLE = (
    *("aws:s3/bucket:Bucket", "aws:kms/key:Key", "aws:cloudwatch/logGroup:LogGroup"),
    *("kubernetes:core/v1:PersistentVolumeClaim", "kubernetes:core/v1:Namespace"),
)
"""Types that a later deployment of the stack can adopt."""
BUCKET_SETTINGS = "aws:s3/bucket"
"""Prefix of the types of bucket settings. They stay with the bucket and are not listed one by one."""


@dataclass(frozen=True)
class RetainedResource:
    """One retained resource."""

    name: str
    """Kind and name, for messages."""
    id: str
    """Its id in the cluster or account: an ARN, or namespace and name."""
    site: str
    why: str
    known_as: str = ""
    """The id for an import; empty if the type cannot be adopted."""

    def __str__(self) -> str:
        at = f" at {self.site}" if self.site else ""
        return f"{self.name}{at} ({self.id}): {self.why}"


def retained(state: dict[str, Any]) -> list[dict[str, Any]]:
    """Resources of a state that a deletion retains."""
    return [
        resource
        for resource in state.get("resources") or []
        if resource.get("custom") and resource.get("retainOnDelete")
    ]


def describe_retained(state: dict[str, Any]) -> list[RetainedResource]:
    """Descriptions of the resources that a destroy leaves in clusters and accounts."""
    return [
        RetainedResource(
            resource_label(resource["urn"]),
            str((resource.get("outputs") or {}).get("arn") or resource.get("id") or "?"),
            site_of(resource.get("provider") or ""),
            REASONS.get(resource["type"], "the program retains it"),
            str(resource.get("id") or "") if resource["type"] in ADOPTABLE else "",
        )
        for resource in retained(state)
        if resource["type"] in REASONS or not resource["type"].startswith(BUCKET_SETTINGS)
    ]


def refuse_protected(state: dict[str, Any], stack: str) -> None:
    """Raise `Refused` for resources that are protected but not retained: a destroy would delete them.

    The engine would find them one by one, after it has deleted others.
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
            " but is protected",
            where=f"stack {stack}",
            fix=f"Nothing was changed. If it may be deleted, run `pulumi state unprotect '{protected[0]}'"
            f" --stack {stack}`",
        )


def release_dropped(
    engine: Engine,
    exported: dict[str, Any],
    program_urns: Callable[[], Collection[str]],
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Unprotect retained resources that the program no longer has, list them, and return the new state.

    `program_urns`: returns the URNs of the program; called only if something is protected. Resources that are
    protected but not retained stay protected.
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
        say(f"retained, and dropped from the state: {retained_resource}")
    return engine.export()

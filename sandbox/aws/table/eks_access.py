"""Amazon EKS: access entries and pod identity associations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.aws.model import Call, Facet, Scope, Type, all_tags
from sandbox.aws.schema import Prop, has_same_members
from sandbox.aws.table.eks import GONE, tagging
from sandbox.aws.table.kms import REGION, TAGS

_WHO = {"clusterName": "$clusterName", "principalArn": "$principalArn"}

ACCESS_ENTRY = Type(
    "aws:eks/accessEntry:AccessEntry",
    service="eks",
    id="{clusterName}:{principalArn}",
    inputs={
        "clusterName": Prop(replace=True, required=True),
        "kubernetesGroups": Prop("list", computed=True, alike=has_same_members),
        "principalArn": Prop(replace=True, required=True),
        "type": Prop(replace=True, default="STANDARD"),
        "userName": Prop(computed=True),
        "region": REGION,
        "tags": TAGS,
    },
    outputs={"accessEntryArn": Prop(), "tagsAll": Prop("map")},
    create=Call(
        "create_access_entry",
        {
            **_WHO,
            "kubernetesGroups": "$kubernetesGroups",
            "type": "$type",
            "username": "$userName",
            "tags": all_tags,
        },
        result={"accessEntryArn": "accessEntry.accessEntryArn"},
    ),
    reads=(
        Call(
            "describe_access_entry",
            _WHO,
            pick="accessEntry",
            result={
                "accessEntryArn": "accessEntryArn",
                "kubernetesGroups": "kubernetesGroups",
                "type": "type",
                "userName": "username",
                "tagsAll": "tags",
            },
            absent=GONE,
        ),
    ),
    facets=(
        Facet(
            ("kubernetesGroups", "userName"),
            put=Call(
                "update_access_entry",
                {
                    **_WHO,
                    "kubernetesGroups": lambda scope: list(scope.get("kubernetesGroups") or []),
                    "username": "$userName",
                },
            ),
        ),
    ),
    tagging=tagging("$accessEntryArn"),
    delete=Call("delete_access_entry", _WHO, absent=GONE),
    limits="Nobody is let in or kept out. That the principal exists is not checked, as in AWS.",
)

ACCESS_POLICY_ASSOCIATION = Type(
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation",
    service="eks",
    id="{clusterName}#{principalArn}#{policyArn}",
    inputs={
        "accessScope": Prop(
            "object",
            required=True,
            replace=True,
            fields={
                "namespaces": Prop("list", api="namespaces", alike=has_same_members),
                "type": Prop(api="type"),
            },
        ),
        "clusterName": Prop(replace=True, required=True),
        "policyArn": Prop(replace=True, required=True),
        "principalArn": Prop(replace=True, required=True),
        "region": REGION,
    },
    outputs={},
    create=Call(
        "associate_access_policy", {**_WHO, "policyArn": "$policyArn", "accessScope": "$accessScope"}
    ),
    reads=(
        Call(
            "list_associated_access_policies",
            _WHO,
            pick="associatedAccessPolicies[?policyArn=='{policyArn}'] | [0]",
            result={"accessScope": "accessScope"},
            absent=GONE,
        ),
    ),
    delete=Call("disassociate_access_policy", {**_WHO, "policyArn": "$policyArn"}, absent=GONE),
    limits="The policy is recorded: that there is one of this name is not checked.",
)

_PODS = {"clusterName": "$clusterName", "associationId": "$associationId"}


def _only(call: Callable[..., Any], scope: Scope) -> str | None:
    """Return the id of the only association of a service account."""
    key = {name: scope.get(name) for name in ("clusterName", "namespace", "serviceAccount")}
    listed = call("list_pod_identity_associations", **key)["associations"]
    return f"{scope['clusterName']},{listed[0]['associationId']}" if len(listed) == 1 else None


POD_IDENTITY_ASSOCIATION = Type(
    "aws:eks/podIdentityAssociation:PodIdentityAssociation",
    service="eks",
    id="{clusterName},{associationId}",
    inputs={
        "clusterName": Prop(replace=True, required=True),
        "disableSessionTags": Prop("flag", default=False),
        "namespace": Prop(replace=True, required=True),
        "roleArn": Prop(required=True),
        "serviceAccount": Prop(replace=True, required=True),
        "region": REGION,
        "tags": TAGS,
    },
    outputs={"associationArn": Prop(), "associationId": Prop(), "tagsAll": Prop("map")},
    create=Call(
        "create_pod_identity_association",
        {
            "clusterName": "$clusterName",
            "namespace": "$namespace",
            "serviceAccount": "$serviceAccount",
            "roleArn": "$roleArn",
            "disableSessionTags": "$disableSessionTags",
            "tags": all_tags,
        },
        result={"associationId": "association.associationId", "associationArn": "association.associationArn"},
    ),
    reads=(
        Call(
            "describe_pod_identity_association",
            _PODS,
            pick="association",
            result={
                "associationArn": "associationArn",
                "associationId": "associationId",
                "namespace": "namespace",
                "serviceAccount": "serviceAccount",
                "roleArn": "roleArn",
                "disableSessionTags": "disableSessionTags",
                "tagsAll": "tags",
            },
            absent=GONE,
        ),
    ),
    find_only=_only,
    facets=(
        Facet(
            ("roleArn", "disableSessionTags"),
            put=Call(
                "update_pod_identity_association",
                {
                    **_PODS,
                    "roleArn": "$roleArn",
                    "disableSessionTags": lambda scope: bool(scope.get("disableSessionTags")),
                },
            ),
        ),
    ),
    tagging=tagging("$associationArn"),
    delete=Call("delete_pod_identity_association", _PODS, absent=GONE),
    limits="No pod is given credentials. In AWS's plugin the id is the association's alone, and an import names "
    "the cluster before it as here.",
)

TYPES = (ACCESS_ENTRY, ACCESS_POLICY_ASSOCIATION, POD_IDENTITY_ASSOCIATION)

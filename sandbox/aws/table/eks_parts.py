"""Amazon EKS: node groups and addons of a cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.aws.model import AutoName, Call, Facet, Scope, Type, all_tags
from sandbox.aws.schema import Prop, has_same_members
from sandbox.aws.table.eks import GONE, TAGGING
from sandbox.aws.table.kms import REGION, TAGS

_OF = {"clusterName": "$clusterName", "nodegroupName": "$nodeGroupName"}
_TAINT = Prop("object", fields={key: Prop(api=key) for key in ("key", "value", "effect")})
_SIZE = Prop(
    "object",
    required=True,
    api="scalingConfig",
    fields={key: Prop("number", api=key) for key in ("minSize", "maxSize", "desiredSize")},
)


def _change_labels(call: Callable[..., Any], scope: Scope) -> None:
    """Change labels and taints. The API adds and removes them, so the existing ones are read first."""
    key = {"clusterName": scope["clusterName"], "nodegroupName": scope["nodeGroupName"]}
    group = call("describe_nodegroup", **key)["nodegroup"]
    labels, taints = scope.get("labels") or {}, scope.get("taints") or []
    taint_keys = {(taint["key"], taint["effect"]) for taint in taints}
    call(
        "update_nodegroup_config",
        **key,
        labels={
            "addOrUpdateLabels": labels,
            "removeLabels": [label for label in group.get("labels") or {} if label not in labels],
        },
        taints={
            "addOrUpdateTaints": taints,
            "removeTaints": [
                taint
                for taint in group.get("taints") or []
                if (taint["key"], taint["effect"]) not in taint_keys
            ],
        },
    )


def _template(scope: Scope) -> dict[str, str] | None:
    """Return the launch template by id if that is known, else by name: AWS accepts only one of them."""
    template = scope.get("launchTemplate") or {}
    key = "id" if template.get("id") else "name"
    return {key: template[key], "version": str(template["version"])} if template.get(key) else None


NODE_GROUP = Type(
    "aws:eks/nodeGroup:NodeGroup",
    service="eks",
    id="{clusterName}:{nodeGroupName}",
    inputs={
        "amiType": Prop(replace=True, computed=True),
        "capacityType": Prop(replace=True, computed=True),
        "clusterName": Prop(replace=True, required=True),
        "diskSize": Prop("number", replace=True, computed=True),
        "forceUpdateVersion": Prop("flag", local=True),
        "instanceTypes": Prop("list", replace=True, computed=True, alike=has_same_members),
        "labels": Prop("map"),
        "launchTemplate": Prop(
            "object",
            fields={
                "id": Prop(api="id", computed=True),
                "name": Prop(api="name", computed=True),
                "version": Prop(api="version"),
            },
        ),
        "nodeGroupName": Prop(replace=True),
        "nodeGroupNamePrefix": Prop(replace=True, local=True),
        "nodeRoleArn": Prop(replace=True, required=True),
        "releaseVersion": Prop(computed=True),
        "scalingConfig": _SIZE,
        "subnetIds": Prop("list", replace=True, required=True, alike=has_same_members),
        "taints": Prop("list", item=_TAINT),
        "updateConfig": Prop(
            "object",
            computed=True,
            api="updateConfig",
            fields={
                "maxUnavailable": Prop("number", api="maxUnavailable", computed=True),
                "maxUnavailablePercentage": Prop("number", api="maxUnavailablePercentage", computed=True),
                "updateStrategy": Prop(api="updateStrategy", computed=True),
            },
        ),
        "version": Prop(computed=True),
        "region": REGION,
        "tags": TAGS,
    },
    outputs={"arn": Prop(), "status": Prop(), "tagsAll": Prop("map")},
    create=Call(
        "create_nodegroup",
        {
            **_OF,
            "scalingConfig": "$scalingConfig",
            "diskSize": "$diskSize",
            "subnets": lambda scope: list(scope.get("subnetIds") or []),
            "instanceTypes": "$instanceTypes",
            "amiType": "$amiType",
            "nodeRole": "$nodeRoleArn",
            "labels": lambda scope: scope.get("labels") or None,
            "taints": "$taints",
            "launchTemplate": _template,
            "updateConfig": "$updateConfig",
            "capacityType": "$capacityType",
            "version": "$version",
            "releaseVersion": "$releaseVersion",
            "tags": all_tags,
        },
        result={"arn": "nodegroup.nodegroupArn"},
    ),
    reads=(
        Call(
            "describe_nodegroup",
            _OF,
            pick="nodegroup",
            result={
                "arn": "nodegroupArn",
                "amiType": "amiType",
                "capacityType": "capacityType",
                "diskSize": "diskSize",
                "instanceTypes": "instanceTypes",
                "labels": "labels",
                "launchTemplate": "launchTemplate",
                "nodeRoleArn": "nodeRole",
                "releaseVersion": "releaseVersion",
                "scalingConfig": "scalingConfig",
                "subnetIds": "subnets",
                "taints": "taints",
                "updateConfig": "updateConfig",
                "version": "version",
                "status": "status",
                "tagsAll": "tags",
            },
            absent=GONE,
        ),
    ),
    facets=(
        Facet(("labels", "taints"), put=_change_labels),
        Facet(
            ("scalingConfig",),
            put=Call("update_nodegroup_config", {**_OF, "scalingConfig": "$scalingConfig"}),
        ),
        Facet(
            ("updateConfig",),
            put=Call("update_nodegroup_config", {**_OF, "updateConfig": "$updateConfig"}),
        ),
        Facet(
            ("launchTemplate", "version", "releaseVersion"),
            put=Call(
                "update_nodegroup_version",
                {
                    **_OF,
                    "launchTemplate": _template,
                    "version": "$version",
                    "releaseVersion": "$releaseVersion",
                },
            ),
        ),
    ),
    tagging=TAGGING,
    delete=Call("delete_nodegroup", _OF, absent=GONE),
    autoname=AutoName("nodeGroupName", "nodeGroupNamePrefix", longest=63),
    limits="No machine comes of it, and none rolls: the sandbox's cluster has simulated nodes of its own. In AWS "
    "another launch template makes the group anew; here it is taken in place.",
)

_ADDON = {"clusterName": "$clusterName", "addonName": "$addonName"}
_BEARS = Prop("object", fields={"roleArn": Prop(api="roleArn"), "serviceAccount": Prop(api="serviceAccount")})


def _read_associations(call: Callable[..., Any], scope: Scope) -> dict[str, Any]:
    """Return the addon's pod identity associations. The addon has only their ARNs, so each one is read."""
    associations = []
    for arn in scope.get("_associations") or []:
        answer = call(
            "describe_pod_identity_association",
            clusterName=scope["clusterName"],
            associationId=str(arn).rsplit("/", 1)[-1],
        )["association"]
        associations.append({"roleArn": answer["roleArn"], "serviceAccount": answer["serviceAccount"]})
    return {"podIdentityAssociations": associations}


ADDON = Type(
    "aws:eks/addon:Addon",
    service="eks",
    id="{clusterName}:{addonName}",
    inputs={
        "addonName": Prop(replace=True, required=True),
        "addonVersion": Prop(computed=True),
        "clusterName": Prop(replace=True, required=True),
        "configurationValues": Prop("json", computed=True),
        "podIdentityAssociations": Prop("list", item=_BEARS),
        "preserve": Prop("flag", local=True),
        "resolveConflictsOnCreate": Prop(local=True),
        "resolveConflictsOnUpdate": Prop(local=True),
        "serviceAccountRoleArn": Prop(computed=True),
        "region": REGION,
        "tags": TAGS,
    },
    outputs={"arn": Prop(), "tagsAll": Prop("map")},
    create=Call(
        "create_addon",
        {
            **_ADDON,
            "addonVersion": "$addonVersion",
            "configurationValues": "$configurationValues",
            "podIdentityAssociations": "$podIdentityAssociations",
            "resolveConflicts": "$resolveConflictsOnCreate",
            "serviceAccountRoleArn": "$serviceAccountRoleArn",
            "tags": all_tags,
        },
        result={"arn": "addon.addonArn"},
    ),
    reads=(
        Call(
            "describe_addon",
            _ADDON,
            pick="addon",
            result={
                "arn": "addonArn",
                "addonVersion": "addonVersion",
                "configurationValues": "configurationValues",
                "serviceAccountRoleArn": "serviceAccountRoleArn",
                "_associations": "podIdentityAssociations",
                "tagsAll": "tags",
            },
            absent=GONE,
        ),
    ),
    after_read=_read_associations,
    facets=(
        Facet(
            ("addonVersion", "configurationValues", "podIdentityAssociations", "serviceAccountRoleArn"),
            put=Call(
                "update_addon",
                {
                    **_ADDON,
                    "addonVersion": "$addonVersion",
                    "configurationValues": "$configurationValues",
                    "podIdentityAssociations": lambda scope: list(scope.get("podIdentityAssociations") or []),
                    "resolveConflicts": "$resolveConflictsOnUpdate",
                    "serviceAccountRoleArn": "$serviceAccountRoleArn",
                },
            ),
        ),
    ),
    tagging=TAGGING,
    delete=Call("delete_addon", _ADDON, absent=GONE),
    limits="Nothing is installed in a cluster, and no version is refused.",
)

TYPES = (NODE_GROUP, ADDON)

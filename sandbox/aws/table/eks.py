"""Amazon EKS: clusters."""

from __future__ import annotations

from typing import Any

from sandbox.aws.model import AutoName, Call, Facet, Scope, Tagging, Type, all_tags
from sandbox.aws.schema import Prop, same_members
from sandbox.aws.table.kms import REGION, TAGS

GONE = ("ResourceNotFoundException",)
_LIST = Prop("list", alike=same_members)


def tagging(arn: str = "$arn") -> Tagging:
    return Tagging(
        put=Call("tag_resource", {"resourceArn": arn, "tags": lambda scope: scope["tagsSet"]}),
        remove=Call("untag_resource", {"resourceArn": arn, "tagKeys": "$tagsGone"}),
    )


TAGGING = tagging()


def _cidrs(api: str) -> Prop:
    return Prop("object", api=api, fields={"cidrs": Prop("list", api="cidrs", alike=same_members)})


_CLUSTER = {"name": "$name"}


def _logging(scope: Scope) -> dict[str, Any] | None:
    """What is on, and, for a change, what is off: AWS leaves alone what is not named."""
    every = ["api", "audit", "authenticator", "controllerManager", "scheduler"]
    on = [each for each in every if each in (scope.get("enabledClusterLogTypes") or [])]
    off = [each for each in every if each not in on]
    sets = [{"types": kinds, "enabled": flag} for kinds, flag in ((on, True), (off, False)) if kinds]
    return {"clusterLogging": sets}


def _on(found: Any) -> list[str]:
    sets = (found.get("logging") or {}).get("clusterLogging") or []
    return [kind for each in sets if each["enabled"] for kind in each["types"]]


def _remote(scope: Scope) -> dict[str, Any] | None:
    given = scope.get("remoteNetworkConfig")
    if not given:
        return None
    names = ("remoteNodeNetworks", "remotePodNetworks")
    return {name: [{"cidrs": given[name]["cidrs"]}] for name in names if given.get(name)}


def _remote_found(found: Any) -> dict[str, Any] | None:
    told = found.get("remoteNetworkConfig")
    return {name: {"cidrs": parts[0]["cidrs"]} for name, parts in told.items() if parts} if told else None


def _sealing(scope: Scope) -> list[dict[str, Any]] | None:
    given = scope.get("encryptionConfig")
    return (
        [{"resources": given["resources"], "provider": {"keyArn": given["provider"]["keyArn"]}}]
        if given
        else None
    )


def _inside(scope: Scope) -> dict[str, Any]:
    wanted = (
        "subnetIds",
        "securityGroupIds",
        "endpointPrivateAccess",
        "endpointPublicAccess",
        "publicAccessCidrs",
    )
    given = scope.get("vpcConfig") or {}
    said = {key: given[key] for key in wanted if given.get(key) is not None}
    return {"endpointPrivateAccess": False, "endpointPublicAccess": True, **said}


CLUSTER = Type(
    "aws:eks/cluster:Cluster",
    service="eks",
    id="{name}",
    inputs={
        "accessConfig": Prop(
            "object",
            computed=True,
            api="accessConfig",
            fields={
                "authenticationMode": Prop(api="authenticationMode", computed=True),
                "bootstrapClusterCreatorAdminPermissions": Prop(
                    "flag", api="bootstrapClusterCreatorAdminPermissions", default=True
                ),
            },
        ),
        "bootstrapSelfManagedAddons": Prop("flag", local=True, replace=True),
        "enabledClusterLogTypes": _LIST,
        "encryptionConfig": Prop(
            "object",
            replace=True,
            fields={
                "provider": Prop("object", api="provider", fields={"keyArn": Prop(api="keyArn")}),
                "resources": Prop("list", api="resources", alike=same_members),
            },
        ),
        "kubernetesNetworkConfig": Prop(
            "object",
            computed=True,
            replace=True,
            api="kubernetesNetworkConfig",
            fields={
                "ipFamily": Prop(api="ipFamily", computed=True),
                "serviceIpv4Cidr": Prop(api="serviceIpv4Cidr", computed=True),
            },
        ),
        "name": Prop(replace=True),
        "remoteNetworkConfig": Prop(
            "object", fields={name: _cidrs(name) for name in ("remoteNodeNetworks", "remotePodNetworks")}
        ),
        "roleArn": Prop(replace=True, required=True),
        "version": Prop(computed=True),
        "vpcConfig": Prop(
            "object",
            required=True,
            api="resourcesVpcConfig",
            fields={
                "clusterSecurityGroupId": Prop(api="clusterSecurityGroupId", computed=True),
                "endpointPrivateAccess": Prop("flag", api="endpointPrivateAccess", default=False),
                "endpointPublicAccess": Prop("flag", api="endpointPublicAccess", default=True),
                "publicAccessCidrs": Prop("list", api="publicAccessCidrs", computed=True, alike=same_members),
                "securityGroupIds": Prop("list", api="securityGroupIds", alike=same_members),
                "subnetIds": Prop("list", api="subnetIds", alike=same_members),
                "vpcId": Prop(api="vpcId", computed=True),
            },
        ),
        "region": REGION,
        "tags": TAGS,
    },
    outputs={
        "arn": Prop(),
        "certificateAuthority": Prop("object", fields={"data": Prop(api="data")}),
        "endpoint": Prop(),
        "platformVersion": Prop(),
        "status": Prop(),
        "tagsAll": Prop("map"),
    },
    create=Call(
        "create_cluster",
        {
            "name": "$name",
            "version": "$version",
            "roleArn": "$roleArn",
            "resourcesVpcConfig": _inside,
            "kubernetesNetworkConfig": "$kubernetesNetworkConfig",
            "logging": lambda scope: _logging(scope) if scope.get("enabledClusterLogTypes") else None,
            "encryptionConfig": _sealing,
            "accessConfig": "$accessConfig",
            "remoteNetworkConfig": _remote,
            "bootstrapSelfManagedAddons": lambda scope: scope.get("bootstrapSelfManagedAddons", True),
            "tags": all_tags,
        },
        result={"arn": "cluster.arn"},
    ),
    reads=(
        Call(
            "describe_cluster",
            _CLUSTER,
            pick="cluster",
            result={
                "arn": "arn",
                "version": "version",
                "roleArn": "roleArn",
                "vpcConfig": "resourcesVpcConfig",
                "kubernetesNetworkConfig": "kubernetesNetworkConfig",
                "accessConfig": "accessConfig",
                "enabledClusterLogTypes": _on,
                "encryptionConfig": "encryptionConfig[0]",
                "remoteNetworkConfig": _remote_found,
                "certificateAuthority": "certificateAuthority",
                "endpoint": "endpoint",
                "platformVersion": "platformVersion",
                "status": "status",
                "tagsAll": "tags",
            },
            absent=GONE,
        ),
    ),
    facets=(
        Facet(("version",), put=Call("update_cluster_version", {**_CLUSTER, "version": "$version"})),
        Facet(
            ("enabledClusterLogTypes",), put=Call("update_cluster_config", {**_CLUSTER, "logging": _logging})
        ),
        Facet(
            ("vpcConfig",),
            put=Call("update_cluster_config", {**_CLUSTER, "resourcesVpcConfig": _inside}),
        ),
        Facet(
            ("accessConfig",),
            put=Call(
                "update_cluster_config",
                {
                    **_CLUSTER,
                    "accessConfig": lambda scope: {
                        "authenticationMode": (scope.get("accessConfig") or {}).get(
                            "authenticationMode", "API"
                        )
                    },
                },
            ),
        ),
        Facet(
            ("remoteNetworkConfig",),
            put=Call(
                "update_cluster_config",
                {
                    **_CLUSTER,
                    "remoteNetworkConfig": lambda scope: _remote(scope) or {"remoteNodeNetworks": []},
                },
            ),
        ),
    ),
    tagging=TAGGING,
    delete=Call("delete_cluster", _CLUSTER, absent=GONE),
    autoname=AutoName("name", None, longest=100),
    unknowable="No API server comes of it: its address leads nowhere, and the cluster beside it is another program's. "
    "Every change is done at once. In AWS a change of `bootstrapClusterCreatorAdminPermissions` makes the "
    "cluster anew; here it is not seen.",
)

TYPES = (CLUSTER,)

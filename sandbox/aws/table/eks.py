"""Amazon EKS: clusters."""

from __future__ import annotations

from typing import Any

from sandbox.aws.model import AutoName, Call, Facet, Scope, Tagging, Type, all_tags
from sandbox.aws.schema import Prop, has_same_members
from sandbox.aws.table.kms import REGION, TAGS

GONE = ("ResourceNotFoundException",)
_LIST = Prop("list", alike=has_same_members)


def tagging(arn: str = "$arn") -> Tagging:
    return Tagging(
        put=Call("tag_resource", {"resourceArn": arn, "tags": lambda scope: scope["tagsSet"]}),
        remove=Call("untag_resource", {"resourceArn": arn, "tagKeys": "$tagsGone"}),
    )


TAGGING = tagging()


def _cidrs(api: str) -> Prop:
    return Prop("object", api=api, fields={"cidrs": Prop("list", api="cidrs", alike=has_same_members)})


_CLUSTER = {"name": "$name"}


def _logging(scope: Scope) -> dict[str, Any] | None:
    """Return the log types that are on and, for a change, off: AWS does not change missing ones."""
    all_types = ["api", "audit", "authenticator", "controllerManager", "scheduler"]
    on = [log_type for log_type in all_types if log_type in (scope.get("enabledClusterLogTypes") or [])]
    off = [log_type for log_type in all_types if log_type not in on]
    sets = [{"types": kinds, "enabled": flag} for kinds, flag in ((on, True), (off, False)) if kinds]
    return {"clusterLogging": sets}


def _enabled_log_types(cluster: Any) -> list[str]:
    sets = (cluster.get("logging") or {}).get("clusterLogging") or []
    return [kind for log_setup in sets if log_setup["enabled"] for kind in log_setup["types"]]


def _remote_network(scope: Scope) -> dict[str, Any] | None:
    configuration = scope.get("remoteNetworkConfig")
    if not configuration:
        return None
    names = ("remoteNodeNetworks", "remotePodNetworks")
    return {name: [{"cidrs": configuration[name]["cidrs"]}] for name in names if configuration.get(name)}


def _read_remote_network(cluster: Any) -> dict[str, Any] | None:
    configuration = cluster.get("remoteNetworkConfig")
    return (
        {name: {"cidrs": networks[0]["cidrs"]} for name, networks in configuration.items() if networks}
        if configuration
        else None
    )


def _encryption(scope: Scope) -> list[dict[str, Any]] | None:
    configuration = scope.get("encryptionConfig")
    return (
        [
            {
                "resources": configuration["resources"],
                "provider": {"keyArn": configuration["provider"]["keyArn"]},
            }
        ]
        if configuration
        else None
    )


def _vpc_settings(scope: Scope) -> dict[str, Any]:
    setting_names = (
        "subnetIds",
        "securityGroupIds",
        "endpointPrivateAccess",
        "endpointPublicAccess",
        "publicAccessCidrs",
    )
    vpc_config = scope.get("vpcConfig") or {}
    settings = {key: vpc_config[key] for key in setting_names if vpc_config.get(key) is not None}
    return {"endpointPrivateAccess": False, "endpointPublicAccess": True, **settings}


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
                "resources": Prop("list", api="resources", alike=has_same_members),
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
                "publicAccessCidrs": Prop(
                    "list", api="publicAccessCidrs", computed=True, alike=has_same_members
                ),
                "securityGroupIds": Prop("list", api="securityGroupIds", alike=has_same_members),
                "subnetIds": Prop("list", api="subnetIds", alike=has_same_members),
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
            "resourcesVpcConfig": _vpc_settings,
            "kubernetesNetworkConfig": "$kubernetesNetworkConfig",
            "logging": lambda scope: _logging(scope) if scope.get("enabledClusterLogTypes") else None,
            "encryptionConfig": _encryption,
            "accessConfig": "$accessConfig",
            "remoteNetworkConfig": _remote_network,
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
                "enabledClusterLogTypes": _enabled_log_types,
                "encryptionConfig": "encryptionConfig[0]",
                "remoteNetworkConfig": _read_remote_network,
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
            put=Call("update_cluster_config", {**_CLUSTER, "resourcesVpcConfig": _vpc_settings}),
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
                    "remoteNetworkConfig": lambda scope: _remote_network(scope) or {"remoteNodeNetworks": []},
                },
            ),
        ),
    ),
    tagging=TAGGING,
    delete=Call("delete_cluster", _CLUSTER, absent=GONE),
    autoname=AutoName("name", None, longest=100),
    limits="No API server comes of it: its address leads nowhere, and the cluster beside it is another program's. "
    "Every change is done at once. In AWS a change of `bootstrapClusterCreatorAdminPermissions` makes the "
    "cluster anew; here it is not seen.",
)

TYPES = (CLUSTER,)

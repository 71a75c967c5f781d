"""Amazon EKS clusters: the settings of the control plane, most of which moto lacks. No API server is started.

Changes are complete at once; AWS takes minutes. As in AWS, roles, subnets and launch templates must exist.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandbox.aws.beside import naming
from sandbox.aws.beside.ec2_shared import backend
from sandbox.aws.beside.memory import Memory
from sandbox.aws.beside.naming import now
from sandbox.aws.resources import partition
from sandbox.aws.service_frame import Operation, Refused, ServiceRequest

Entry = dict[str, Any]
AUTHORITY = "c2FuZGJveA=="
"""Base64 of `sandbox`. There is no API server, and so no certificate authority."""


@dataclass
class State:
    """The resources of one account and region."""

    clusters: dict[str, Entry] = field(default_factory=dict)
    groups: dict[tuple[str, str], Entry] = field(default_factory=dict)
    addons: dict[tuple[str, str], Entry] = field(default_factory=dict)
    entries: dict[tuple[str, str], Entry] = field(default_factory=dict)
    policies: dict[tuple[str, str, str], Entry] = field(default_factory=dict)
    """Access policies by cluster, principal and policy."""
    pods: dict[tuple[str, str], Entry] = field(default_factory=dict)
    """Pod identity associations by cluster and id."""


STATE = Memory(State)


def arn(request: ServiceRequest, kind: str, *path: str) -> str:
    return naming.arn(request, "eks", "/".join((kind, *path)))


def not_found(noun: str) -> Refused:
    return Refused("ResourceNotFoundException", 404, f"No {noun} found.")


def invalid(message: str) -> Refused:
    return Refused("InvalidParameterException", 400, message)


def already_exists(noun: str) -> Refused:
    return Refused("ResourceInUseException", 409, f"{noun} already exists.")


def find_cluster(request: ServiceRequest, name: str) -> Entry:
    cluster_entry = STATE.of(request).clusters.get(name)
    if cluster_entry is None:
        raise not_found(f"cluster for name: {name}")
    return cluster_entry


def find_child(
    request: ServiceRequest, children: dict[tuple[str, str], Entry], member: str, noun: str
) -> Entry:
    """Return the resource that the request names by cluster and `member`. Raises `Refused` if either is missing."""
    key = (request.params["clusterName"], request.params[member])
    find_cluster(request, key[0])
    child = children.get(key)
    if child is None:
        raise not_found(f"{noun}: {key[1]}")
    return child


def list_names(request: ServiceRequest, children: dict[tuple[str, str], Entry]) -> list[str]:
    """Return the sorted names of the resources in the request's cluster. Raises `Refused` if it does not exist."""
    cluster_name = request.params["clusterName"]
    find_cluster(request, cluster_name)
    return sorted(name for cluster_of_child, name in children if cluster_of_child == cluster_name)


def check_role(request: ServiceRequest, text: str) -> None:
    """Raise `Refused` if the account has no role with this ARN."""
    from moto.iam.models import iam_backends

    names = {
        iam_role.arn
        for iam_role in iam_backends[request.account][partition(request.region)[0]].roles.values()
    }
    if text not in names:
        raise invalid(f"Role with arn: {text}, could not be assumed because it does not exist.")


def check_subnets(request: ServiceRequest, ids: list[str]) -> str:
    """Return the VPC of the subnets. Raises `Refused` if a subnet is missing or they are in different VPCs."""
    subnets_by_id = {subnet.id: subnet for subnet in backend(request).describe_subnets()}
    missing_ids = [id for id in ids if id not in subnets_by_id]
    if missing_ids:
        raise invalid(f"The subnet ID '{missing_ids[0]}' does not exist.")
    vpcs = {subnets_by_id[id].vpc_id for id in ids}
    if len(vpcs) != 1:
        raise invalid("Provided subnets belong to different VPCs.")
    return next(iter(vpcs))


def count_zones(request: ServiceRequest, ids: list[str]) -> int:
    subnets_by_id = {subnet.id: subnet for subnet in backend(request).describe_subnets()}
    return len({subnets_by_id[id].availability_zone for id in ids})


def update_record(kind: str, **params: Any) -> Entry:
    """Return the answer for a completed change."""
    param_list = [{"type": name, "value": str(value)} for name, value in params.items()]
    return {
        "update": {
            "id": str(uuid.uuid4()),
            "status": "Successful",
            "type": kind,
            "params": param_list,
            "createdAt": now(),
            "errors": [],
        }
    }


def create_cluster(request: ServiceRequest) -> Entry:
    params, state = request.params, STATE.of(request)
    name, vpc_config = params["name"], dict(params["resourcesVpcConfig"])
    if name in state.clusters:
        raise already_exists(f"Cluster {name}")
    check_role(request, params["roleArn"])
    ids = list(vpc_config.get("subnetIds") or [])
    vpc = check_subnets(request, ids) if ids else ""
    if not ids or count_zones(request, ids) < 2:
        raise invalid("Subnets specified must be in at least two different AZs")
    group = backend(request).create_security_group(
        f"eks-cluster-sg-{name}-{uuid.uuid4().hex[:9]}", f"EKS created security group of {name}", vpc
    )
    kinds = [
        log_setup
        for log_setup in (params.get("logging") or {}).get("clusterLogging") or []
        if log_setup["enabled"]
    ]
    id = uuid.uuid4().hex.upper()
    state.clusters[name] = {
        "name": name,
        "arn": arn(request, "cluster", name),
        "createdAt": now(),
        "version": params.get("version") or "1.36",
        "endpoint": f"https://{id}.gr7.{request.region}.eks.amazonaws.com",
        "roleArn": params["roleArn"],
        "resourcesVpcConfig": {
            "subnetIds": ids,
            "securityGroupIds": list(vpc_config.get("securityGroupIds") or []),
            "clusterSecurityGroupId": group.id,
            "vpcId": vpc,
            "endpointPublicAccess": vpc_config.get("endpointPublicAccess", True),
            "endpointPrivateAccess": vpc_config.get("endpointPrivateAccess", False),
            "publicAccessCidrs": list(vpc_config.get("publicAccessCidrs") or ["0.0.0.0/0"]),
        },
        "kubernetesNetworkConfig": {
            "serviceIpv4Cidr": (params.get("kubernetesNetworkConfig") or {}).get("serviceIpv4Cidr")
            or "172.20.0.0/16",
            "ipFamily": (params.get("kubernetesNetworkConfig") or {}).get("ipFamily") or "ipv4",
        },
        "logging": {"clusterLogging": _logging([kind for log_setup in kinds for kind in log_setup["types"]])},
        "identity": {"oidc": {"issuer": f"https://oidc.eks.{request.region}.amazonaws.com/id/{id}"}},
        "status": "ACTIVE",
        "certificateAuthority": {"data": AUTHORITY},
        "platformVersion": "eks.1",
        "tags": dict(params.get("tags") or {}),
        "encryptionConfig": list(params.get("encryptionConfig") or []),
        "accessConfig": {
            "bootstrapClusterCreatorAdminPermissions": (params.get("accessConfig") or {}).get(
                "bootstrapClusterCreatorAdminPermissions", True
            ),
            "authenticationMode": (params.get("accessConfig") or {}).get("authenticationMode", "CONFIG_MAP"),
        },
        **(
            {"remoteNetworkConfig": params["remoteNetworkConfig"]}
            if params.get("remoteNetworkConfig")
            else {}
        ),
    }
    return {"cluster": state.clusters[name]}


def _logging(kinds: list[str]) -> list[Entry]:
    all_types = ("api", "audit", "authenticator", "controllerManager", "scheduler")
    on, off = (
        [log_type for log_type in all_types if log_type in kinds],
        [log_type for log_type in all_types if log_type not in kinds],
    )
    sets: list[Entry] = [{"types": on, "enabled": True}] if on else []
    return sets + ([{"types": off, "enabled": False}] if off else [])


def describe_cluster(request: ServiceRequest) -> Entry:
    return {"cluster": find_cluster(request, request.params["name"])}


def list_clusters(request: ServiceRequest) -> Entry:
    return {"clusters": sorted(STATE.of(request).clusters)}


def update_cluster_config(request: ServiceRequest) -> Entry:
    """Change one kind of setting. As in AWS, a request cannot change several kinds."""
    params, entry = request.params, find_cluster(request, request.params["name"])
    kinds = [
        key
        for key in ("resourcesVpcConfig", "logging", "accessConfig", "remoteNetworkConfig")
        if key in params
    ]
    if len(kinds) != 1:
        raise invalid("Only one type of update can be allowed.")
    change = params[kinds[0]]
    if kinds[0] == "logging":
        on = {
            kind
            for log_setup in entry["logging"]["clusterLogging"]
            if log_setup["enabled"]
            for kind in log_setup["types"]
        }
        for log_setup in change["clusterLogging"]:
            on = on | set(log_setup["types"]) if log_setup["enabled"] else on - set(log_setup["types"])
        entry["logging"] = {"clusterLogging": _logging(sorted(on))}
    elif kinds[0] == "remoteNetworkConfig":
        entry["remoteNetworkConfig"] = change
    else:
        entry[kinds[0]] = {**entry[kinds[0]], **change}
    return update_record("ConfigUpdate")


def update_cluster_version(request: ServiceRequest) -> Entry:
    entry, new_version = find_cluster(request, request.params["name"]), request.params["version"]
    current_minor, new_minor = (int(text.split(".")[1]) for text in (entry["version"], new_version))
    if new_minor != current_minor + 1:
        raise invalid(f"Unsupported Kubernetes minor version update from {entry['version']} to {new_version}")
    entry["version"] = new_version
    return update_record("VersionUpdate", Version=new_version)


def delete_cluster(request: ServiceRequest) -> Entry:
    state, name = STATE.of(request), request.params["name"]
    entry = find_cluster(request, name)
    if any(cluster_name == name for cluster_name, _ in state.groups):
        raise Refused("ResourceInUseException", 409, "Cluster has nodegroups attached")
    for children in (state.addons, state.entries, state.policies, state.pods):
        for key in [child_key for child_key in children if child_key[0] == name]:
            del children[key]  # type: ignore[arg-type]
    del state.clusters[name]
    backend(request).delete_security_group(group_id=entry["resourcesVpcConfig"]["clusterSecurityGroupId"])
    return {"cluster": {**entry, "status": "DELETING"}}


def _find_tagged(request: ServiceRequest) -> Entry:
    state = STATE.of(request)
    keys = ("arn", "nodegroupArn", "addonArn", "accessEntryArn", "associationArn")
    for entries in (state.clusters, state.groups, state.addons, state.entries, state.pods):
        for entry in entries.values():
            if request.params["resourceArn"] in [entry.get(key) for key in keys]:
                return entry
    raise Refused("NotFoundException", 404, "Resource was not found.")


def tag_resource(request: ServiceRequest) -> Entry:
    _find_tagged(request)["tags"].update(request.params["tags"])
    return {}


def untag_resource(request: ServiceRequest) -> Entry:
    tags = _find_tagged(request)["tags"]
    for key in request.params["tagKeys"]:
        tags.pop(key, None)
    return {}


def list_tags(request: ServiceRequest) -> Entry:
    return {"tags": dict(_find_tagged(request)["tags"])}


def operations(answers: dict[str, Callable[[ServiceRequest], Entry]]) -> tuple[Operation, ...]:
    return tuple(Operation("eks", name, answer) for name, answer in answers.items())


OPERATIONS = operations(
    {
        "CreateCluster": create_cluster,
        "DescribeCluster": describe_cluster,
        "ListClusters": list_clusters,
        "UpdateClusterConfig": update_cluster_config,
        "UpdateClusterVersion": update_cluster_version,
        "DeleteCluster": delete_cluster,
        "TagResource": tag_resource,
        "UntagResource": untag_resource,
        "ListTagsForResource": list_tags,
    }
)

"""Amazon EKS clusters: their control planes' settings, of which moto keeps few. No API server comes of one.

Every change is done when it is answered; AWS takes minutes. Roles, subnets and templates must be there, as in AWS.
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
from sandbox.aws.service_frame import Asked, Operation, Refused

Entry = dict[str, Any]
AUTHORITY = "c2FuZGJveA=="
"""Base64 of `sandbox`: there is no API server whose certificate an authority could vouch for."""


@dataclass
class Held:
    """Of one account and region."""

    clusters: dict[str, Entry] = field(default_factory=dict)
    groups: dict[tuple[str, str], Entry] = field(default_factory=dict)
    addons: dict[tuple[str, str], Entry] = field(default_factory=dict)
    entries: dict[tuple[str, str], Entry] = field(default_factory=dict)
    policies: dict[tuple[str, str, str], Entry] = field(default_factory=dict)
    """Access policies by cluster, principal and policy."""
    pods: dict[tuple[str, str], Entry] = field(default_factory=dict)
    """Pod identity associations by cluster and id."""


HELD = Memory(Held)


def arn(asked: Asked, kind: str, *parts: str) -> str:
    return naming.arn(asked, "eks", "/".join((kind, *parts)))


def missing(what: str) -> Refused:
    return Refused("ResourceNotFoundException", 404, f"No {what} found.")


def invalid(message: str) -> Refused:
    return Refused("InvalidParameterException", 400, message)


def there(what: str) -> Refused:
    return Refused("ResourceInUseException", 409, f"{what} already exists.")


def cluster(asked: Asked, name: str) -> Entry:
    found = HELD.of(asked).clusters.get(name)
    if found is None:
        raise missing(f"cluster for name: {name}")
    return found


def standing(asked: Asked, parts: dict[tuple[str, str], Entry], member: str, what: str) -> Entry:
    """What the request names by its cluster and by `member`. Refused where either is not there."""
    key = (asked.params["clusterName"], asked.params[member])
    cluster(asked, key[0])
    found = parts.get(key)
    if found is None:
        raise missing(f"{what}: {key[1]}")
    return found


def names(asked: Asked, parts: dict[tuple[str, str], Entry]) -> list[str]:
    """Of those that stand in the request's cluster. Refused where it is not there."""
    wanted = asked.params["clusterName"]
    cluster(asked, wanted)
    return sorted(name for of, name in parts if of == wanted)


def role(asked: Asked, text: str) -> None:
    """Refused where there is no such role in the account."""
    from moto.iam.models import iam_backends

    names = {each.arn for each in iam_backends[asked.account][partition(asked.region)[0]].roles.values()}
    if text not in names:
        raise invalid(f"Role with arn: {text}, could not be assumed because it does not exist.")


def subnets(asked: Asked, ids: list[str]) -> str:
    """The VPC of some subnets. Refused where one is not there, or they lie in two VPCs."""
    known = {each.id: each for each in backend(asked).describe_subnets()}
    gone = [each for each in ids if each not in known]
    if gone:
        raise invalid(f"The subnet ID '{gone[0]}' does not exist.")
    vpcs = {known[each].vpc_id for each in ids}
    if len(vpcs) != 1:
        raise invalid("Provided subnets belong to different VPCs.")
    return next(iter(vpcs))


def zones(asked: Asked, ids: list[str]) -> int:
    known = {each.id: each for each in backend(asked).describe_subnets()}
    return len({known[each].availability_zone for each in ids})


def update(kind: str, **params: Any) -> Entry:
    """The record of a change that is done."""
    told = [{"type": name, "value": str(value)} for name, value in params.items()]
    return {
        "update": {
            "id": str(uuid.uuid4()),
            "status": "Successful",
            "type": kind,
            "params": told,
            "createdAt": now(),
            "errors": [],
        }
    }


def create_cluster(asked: Asked) -> Entry:
    given, held = asked.params, HELD.of(asked)
    name, inside = given["name"], dict(given["resourcesVpcConfig"])
    if name in held.clusters:
        raise there(f"Cluster {name}")
    role(asked, given["roleArn"])
    ids = list(inside.get("subnetIds") or [])
    vpc = subnets(asked, ids) if ids else ""
    if not ids or zones(asked, ids) < 2:
        raise invalid("Subnets specified must be in at least two different AZs")
    group = backend(asked).create_security_group(
        f"eks-cluster-sg-{name}-{uuid.uuid4().hex[:9]}", f"EKS created security group of {name}", vpc
    )
    kinds = [each for each in (given.get("logging") or {}).get("clusterLogging") or [] if each["enabled"]]
    id = uuid.uuid4().hex.upper()
    held.clusters[name] = {
        "name": name,
        "arn": arn(asked, "cluster", name),
        "createdAt": now(),
        "version": given.get("version") or "1.36",
        "endpoint": f"https://{id}.gr7.{asked.region}.eks.amazonaws.com",
        "roleArn": given["roleArn"],
        "resourcesVpcConfig": {
            "subnetIds": ids,
            "securityGroupIds": list(inside.get("securityGroupIds") or []),
            "clusterSecurityGroupId": group.id,
            "vpcId": vpc,
            "endpointPublicAccess": inside.get("endpointPublicAccess", True),
            "endpointPrivateAccess": inside.get("endpointPrivateAccess", False),
            "publicAccessCidrs": list(inside.get("publicAccessCidrs") or ["0.0.0.0/0"]),
        },
        "kubernetesNetworkConfig": {
            "serviceIpv4Cidr": (given.get("kubernetesNetworkConfig") or {}).get("serviceIpv4Cidr")
            or "172.20.0.0/16",
            "ipFamily": (given.get("kubernetesNetworkConfig") or {}).get("ipFamily") or "ipv4",
        },
        "logging": {"clusterLogging": _logging([kind for each in kinds for kind in each["types"]])},
        "identity": {"oidc": {"issuer": f"https://oidc.eks.{asked.region}.amazonaws.com/id/{id}"}},
        "status": "ACTIVE",
        "certificateAuthority": {"data": AUTHORITY},
        "platformVersion": "eks.1",
        "tags": dict(given.get("tags") or {}),
        "encryptionConfig": list(given.get("encryptionConfig") or []),
        "accessConfig": {
            "bootstrapClusterCreatorAdminPermissions": (given.get("accessConfig") or {}).get(
                "bootstrapClusterCreatorAdminPermissions", True
            ),
            "authenticationMode": (given.get("accessConfig") or {}).get("authenticationMode", "CONFIG_MAP"),
        },
        **({"remoteNetworkConfig": given["remoteNetworkConfig"]} if given.get("remoteNetworkConfig") else {}),
    }
    return {"cluster": held.clusters[name]}


def _logging(kinds: list[str]) -> list[Entry]:
    every = ("api", "audit", "authenticator", "controllerManager", "scheduler")
    on, off = [each for each in every if each in kinds], [each for each in every if each not in kinds]
    sets: list[Entry] = [{"types": on, "enabled": True}] if on else []
    return sets + ([{"types": off, "enabled": False}] if off else [])


def describe_cluster(asked: Asked) -> Entry:
    return {"cluster": cluster(asked, asked.params["name"])}


def list_clusters(asked: Asked) -> Entry:
    return {"clusters": sorted(HELD.of(asked).clusters)}


def update_cluster_config(asked: Asked) -> Entry:
    """One kind of change at a time, as in AWS."""
    given, found = asked.params, cluster(asked, asked.params["name"])
    kinds = [
        key
        for key in ("resourcesVpcConfig", "logging", "accessConfig", "remoteNetworkConfig")
        if key in given
    ]
    if len(kinds) != 1:
        raise invalid("Only one type of update can be allowed.")
    change = given[kinds[0]]
    if kinds[0] == "logging":
        on = {
            kind for each in found["logging"]["clusterLogging"] if each["enabled"] for kind in each["types"]
        }
        for each in change["clusterLogging"]:
            on = on | set(each["types"]) if each["enabled"] else on - set(each["types"])
        found["logging"] = {"clusterLogging": _logging(sorted(on))}
    elif kinds[0] == "remoteNetworkConfig":
        found["remoteNetworkConfig"] = change
    else:
        found[kinds[0]] = {**found[kinds[0]], **change}
    return update("ConfigUpdate")


def update_cluster_version(asked: Asked) -> Entry:
    found, wanted = cluster(asked, asked.params["name"]), asked.params["version"]
    here, there = (int(text.split(".")[1]) for text in (found["version"], wanted))
    if there != here + 1:
        raise invalid(f"Unsupported Kubernetes minor version update from {found['version']} to {wanted}")
    found["version"] = wanted
    return update("VersionUpdate", Version=wanted)


def delete_cluster(asked: Asked) -> Entry:
    held, name = HELD.of(asked), asked.params["name"]
    found = cluster(asked, name)
    if any(each == name for each, _ in held.groups):
        raise Refused("ResourceInUseException", 409, "Cluster has nodegroups attached")
    for part in (held.addons, held.entries, held.policies, held.pods):
        for key in [each for each in part if each[0] == name]:
            del part[key]  # type: ignore[arg-type]
    del held.clusters[name]
    backend(asked).delete_security_group(group_id=found["resourcesVpcConfig"]["clusterSecurityGroupId"])
    return {"cluster": {**found, "status": "DELETING"}}


def _tagged(asked: Asked) -> Entry:
    held = HELD.of(asked)
    keys = ("arn", "nodegroupArn", "addonArn", "accessEntryArn", "associationArn")
    for part in (held.clusters, held.groups, held.addons, held.entries, held.pods):
        for entry in part.values():
            if asked.params["resourceArn"] in [entry.get(key) for key in keys]:
                return entry
    raise Refused("NotFoundException", 404, "Resource was not found.")


def tag_resource(asked: Asked) -> Entry:
    _tagged(asked)["tags"].update(asked.params["tags"])
    return {}


def untag_resource(asked: Asked) -> Entry:
    tags = _tagged(asked)["tags"]
    for key in asked.params["tagKeys"]:
        tags.pop(key, None)
    return {}


def list_tags(asked: Asked) -> Entry:
    return {"tags": dict(_tagged(asked)["tags"])}


def operations(named: dict[str, Callable[[Asked], Entry]]) -> tuple[Operation, ...]:
    return tuple(Operation("eks", name, answer) for name, answer in named.items())


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

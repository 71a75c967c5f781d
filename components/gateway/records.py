"""Audit records of a gateway: volume claims, mounts, and section `audit` of its configuration."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

import pulumi

from components.cluster.edge_files import RECORDS, SEALS
from components.cluster.objects import metadata
from isthmus.core.errors import InputError

EFS_DRIVER = "efs.csi.aws.com"
KEYS, CONTENT_KEYS = "/etc/isthmus/audit", "/var/lib/isthmus/audit-keys"
SEAL_KEY, SITE_KEY = f"{KEYS}/sealer.pem", f"{KEYS}/site.key"


class GatewayContent(TypedDict):
    """Stored requests and answers, encrypted under one key for each subject and day."""

    volume: str
    """PersistentVolume with those keys. It must have no snapshots or backups, because a copy of a key is a key."""
    days: dict[str, int]
    """Retention in days by workload. Content of other workloads is not stored."""


class SharedFolders(TypedDict):
    """The folders of a share on Amazon EFS. Each has an access point, which sets the user."""

    file_system: pulumi.Input[str]
    """Id of the file system."""
    records: pulumi.Input[str]
    """Id of the access point of the folder `records`."""
    seals: pulumi.Input[str]
    """Id of the access point of the folder `seals`."""


class GatewayAudit(TypedDict):
    """Where a gateway writes its audit records, and which content it stores."""

    volume: NotRequired[str]
    """PersistentVolume with the folders `records` and `seals`, shared by several nodes (ReadWriteMany)."""
    folders: NotRequired[SharedFolders]
    """Instead of `volume`, in an EKS cluster: the folders of a `RecordsShare`. Their PersistentVolumes are created."""
    secret: str
    """Secret in the class's namespace: `sealer.pem`, `site.key`; with `content` or held answers, `wrapping.key`."""
    policy: NotRequired[str]
    """Version of the policy, which records name. Absent: a digest of the gateway's own configuration."""
    max_unsealed_s: NotRequired[int]
    """Maximum age in seconds of an unsealed record before requests are refused. At most the class's own maximum."""
    content: NotRequired[GatewayContent]
    """Absent: no content is stored."""


def create_shared_claim(
    name: str,
    claim_name: str,
    volume: str,
    namespace: str,
    labels: dict[str, str],
    opts: pulumi.ResourceOptions,
) -> pulumi.Resource:
    """Create a claim on a volume that several nodes write."""
    from pulumi_kubernetes.core.v1 import PersistentVolumeClaim

    spec: Any = {
        "accessModes": ["ReadWriteMany"],
        # An empty class, so that the claim binds to the named volume only and no new one is provisioned.
        "storageClassName": "",
        "volumeName": volume,
        "resources": {"requests": {"storage": "1Gi"}},
    }
    return PersistentVolumeClaim(
        name, metadata=metadata(claim_name, labels, namespace=namespace), spec=spec, opts=opts
    )


@dataclass(frozen=True)
class ShareParts:
    """A pod's mounts of the two folders. A sealer reads `records` and writes `seals`; a gateway does the reverse."""

    made: list[pulumi.Resource]
    """The claims, and the volumes that are created for them."""
    mounts: list[dict[str, Any]]
    volumes: list[dict[str, Any]]


def create_share(
    name: str,
    claim: str,
    arguments: Any,
    namespace: str,
    labels: dict[str, str],
    opts: pulumi.ResourceOptions,
    *,
    is_sealer: bool,
    where: str,
) -> ShareParts:
    """`arguments`: the share, by `volume` or by `folders`. `claim`: name of the claim, or prefix of both claims.
    `where`: path of the argument with the volume.
    """
    if ("volume" in arguments) == ("folders" in arguments):
        raise InputError(
            "records need either a volume or the folders of a share",
            where=where,
            fix="Set exactly one: the PersistentVolume, or the access points of a RecordsShare",
        )
    # The API server drops `readOnly: false`, so writing it would show a change in every preview.
    read = {"readOnly": True}
    read_only = {"records": read if is_sealer else {}, "seals": {} if is_sealer else read}
    paths = {"records": RECORDS, "seals": SEALS}
    if "volume" in arguments:
        claims = [create_shared_claim(name, claim, arguments["volume"], namespace, labels, opts)]
        mounts: list[dict[str, Any]] = [
            {"name": "audit", "mountPath": path, "subPath": folder, **read_only[folder]}
            for folder, path in paths.items()
        ]
        return ShareParts(claims, mounts, [{"name": "audit", "persistentVolumeClaim": {"claimName": claim}}])
    share_parts = ShareParts([], [], [])
    for folder, path in paths.items():
        claim_name = claim if folder == "records" else f"{claim}-{folder}"
        volume = _file_volume(
            f"{name}-{folder}-volume",
            f"{namespace}-{claim_name}",
            arguments["folders"],
            folder,
            claim_name,
            namespace,
            labels,
            opts,
        )
        share_parts.made.extend(
            [
                volume,
                create_shared_claim(
                    f"{name}-{folder}", claim_name, f"{namespace}-{claim_name}", namespace, labels, opts
                ),
            ]
        )
        share_parts.mounts.append({"name": f"audit-{folder}", "mountPath": path, **read_only[folder]})
        share_parts.volumes.append(
            {"name": f"audit-{folder}", "persistentVolumeClaim": {"claimName": claim_name}}
        )
    return share_parts


def _file_volume(
    name: str,
    volume_name: str,
    folders: Any,
    folder: str,
    claim: str,
    namespace: str,
    labels: dict[str, str],
    opts: pulumi.ResourceOptions,
) -> pulumi.Resource:
    """A folder of a file system as a volume, for exactly one claim in one namespace."""
    from pulumi_kubernetes.core.v1 import PersistentVolume

    spec: Any = {
        # EFS has no size, but Kubernetes requires one.
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteMany"],
        "persistentVolumeReclaimPolicy": "Retain",
        "volumeMode": "Filesystem",
        # TLS and the node's role, because the file system's policy names that role (Amazon EFS CSI driver).
        "mountOptions": ["tls", "iam"],
        "claimRef": {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "name": claim,
            "namespace": namespace,
        },
        "csi": {
            "driver": EFS_DRIVER,
            "volumeHandle": pulumi.Output.concat(folders["file_system"], "::", folders[folder]),
        },
    }
    return PersistentVolume(name, metadata=metadata(volume_name, labels), spec=spec, opts=opts)


class Records:
    """What a gateway with records needs: claims, mounts and a section of its configuration."""

    def __init__(
        self,
        name: str,
        service: str,
        namespace: str,
        labels: dict[str, str],
        audit: GatewayAudit,
        opts: pulumi.ResourceOptions,
    ) -> None:
        where = f"{service}.audit.volume"
        share_parts = create_share(
            f"{name}-records",
            f"{service}-records",
            audit,
            namespace,
            labels,
            opts,
            is_sealer=False,
            where=where,
        )
        self.dependencies, self.mounts, self.volumes = (
            share_parts.made,
            share_parts.mounts,
            share_parts.volumes,
        )
        self.mounts.append({"name": "audit-secret", "mountPath": KEYS, "readOnly": True})
        secret = {"secretName": audit["secret"], "defaultMode": 0o440}
        self.volumes.append({"name": "audit-secret", "secret": secret})
        content = audit.get("content")
        if content is not None:
            keys = f"{service}-content-keys"
            self.dependencies.append(
                create_shared_claim(f"{name}-content-keys", keys, content["volume"], namespace, labels, opts)
            )
            self.mounts.append({"name": "content-keys", "mountPath": CONTENT_KEYS})
            self.volumes.append({"name": "content-keys", "persistentVolumeClaim": {"claimName": keys}})
        self._audit = audit

    def section(self, config: dict[str, Any]) -> dict[str, Any]:
        """Section `audit` of the gateway's configuration. `config`: the other sections."""
        return audit_section(self._audit, config)


def audit_section(audit: Any, config: dict[str, Any]) -> dict[str, Any]:
    """Section `audit` of a gateway's configuration, in a cluster or on Fargate. `config`: the other sections."""
    section: dict[str, Any] = {"records": RECORDS, "seals": SEALS, "seal_key": SEAL_KEY, "site_key": SITE_KEY}
    if "max_unsealed_s" in audit:
        section["max_unsealed_s"] = audit["max_unsealed_s"]
    if "content" in audit:
        section["content"] = {
            "keys": CONTENT_KEYS,
            "wrapping_key": f"{KEYS}/wrapping.key",
            "days": dict(audit["content"]["days"]),
        }
    return {**section, "policy": audit.get("policy") or config_version({**config, "audit": section})}


def config_version(config: dict[str, Any]) -> str:
    """The version of a configuration, by its digest. Auditors use it to find the configuration that applied to a
    request.
    """
    return f"config-{hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:16]}"

"""Records of a gateway: claims, mounts, and its configuration's section `audit`."""

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
    """What was asked and answered, encrypted under a key for each subject and day."""

    volume: str
    """The PersistentVolume with those keys; no snapshots, no backups: a copy of a key is a key."""
    days: dict[str, int]
    """By workload: for how many days; no other workload's content is kept."""


class SharedFolders(TypedDict):
    """The folders of a share on Amazon EFS, each by an access point that makes its user one."""

    file_system: pulumi.Input[str]
    """Id of the file system."""
    records: pulumi.Input[str]
    """Id of the access point of the folder `records`."""
    seals: pulumi.Input[str]
    """Id of the access point of the folder `seals`."""


class GatewayAudit(TypedDict):
    """Where a gateway writes its records, and what content it keeps."""

    volume: NotRequired[str]
    """The PersistentVolume with folders `records` and `seals`, shared by many machines (ReadWriteMany)."""
    folders: NotRequired[SharedFolders]
    """In place of it, in an EKS cluster: the folders of a `RecordsShare`; their PersistentVolumes are made."""
    secret: str
    """Secret in the class's namespace: `sealer.pem`, `site.key`; with `content` or held answers, `wrapping.key`."""
    policy: NotRequired[str]
    """What records name as the policy's version; absent: a digest of the gateway's own configuration."""
    max_unsealed_s: NotRequired[int]
    """Seconds that a record may wait for its seal before requests are refused; never more than the class's own."""
    content: NotRequired[GatewayContent]
    """Absent: nothing of what was said is kept."""


def create_shared_claim(
    name: str,
    claim_name: str,
    volume: str,
    namespace: str,
    labels: dict[str, str],
    opts: pulumi.ResourceOptions,
) -> pulumi.Resource:
    """Create a claim on a volume that many machines write."""
    from pulumi_kubernetes.core.v1 import PersistentVolumeClaim

    spec: Any = {
        "accessModes": ["ReadWriteMany"],
        # No class: only the named volume will do, and none is provisioned in its place.
        "storageClassName": "",
        "volumeName": volume,
        "resources": {"requests": {"storage": "1Gi"}},
    }
    return PersistentVolumeClaim(
        name, metadata=metadata(claim_name, labels, namespace=namespace), spec=spec, opts=opts
    )


@dataclass(frozen=True)
class ShareParts:
    """The two folders as a pod has them: who seals reads `records` and writes `seals`, who records the other way."""

    made: list[pulumi.Resource]
    """Claims, and the volumes that are made for them."""
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
    """`arguments`: the share, by `volume` or by `folders`; `claim`: the name of the claim, or the prefix of both;
    `where`: path of the argument with the volume."""
    if ("volume" in arguments) == ("folders" in arguments):
        raise InputError(
            "records need either a volume or the folders of a share",
            where=where,
            fix="Set exactly one: the PersistentVolume, or the access points of a RecordsShare",
        )
    # The API server leaves out a `readOnly: false`, so one that was written would look like a change for ever.
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
    """A folder of a file system as a volume, for one claim of one namespace and no other."""
    from pulumi_kubernetes.core.v1 import PersistentVolume

    spec: Any = {
        # EFS has no size; Kubernetes wants one.
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteMany"],
        "persistentVolumeReclaimPolicy": "Retain",
        "volumeMode": "Filesystem",
        # TLS, and in the machine's name: the file system's policy names its role (Amazon EFS CSI driver).
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
    """What a gateway with records has beside one without."""

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
        """`audit` of the gateway's configuration, whose rest is given."""
        return audit_section(self._audit, config)


def audit_section(audit: Any, config: dict[str, Any]) -> dict[str, Any]:
    """`audit` of a gateway's configuration, whose rest is given, in a cluster or on Fargate."""
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
    """The version of a configuration, by digest: auditors find by it what was in force for a request."""
    return f"config-{hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:16]}"

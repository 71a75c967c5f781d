"""A gateway's records: the claims on their volumes, what its pods mount, and its configuration's section `audit`."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

import pulumi

from components.cluster.objects import metadata
from isthmus.core.errors import InputError

ROOT = "/var/lib/isthmus/audit"
RECORDS, SEALS = f"{ROOT}/records", f"{ROOT}/seals"
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


def shared_claim(
    name: str, known: str, volume: str, space: str, own: dict[str, str], opts: pulumi.ResourceOptions
) -> pulumi.Resource:
    """A claim on a volume that many machines write."""
    from pulumi_kubernetes.core.v1 import PersistentVolumeClaim

    spec: Any = {
        "accessModes": ["ReadWriteMany"],
        # No class: only the named volume will do, and none is provisioned in its place.
        "storageClassName": "",
        "volumeName": volume,
        "resources": {"requests": {"storage": "1Gi"}},
    }
    return PersistentVolumeClaim(name, metadata=metadata(known, own, namespace=space), spec=spec, opts=opts)


@dataclass(frozen=True)
class Share:
    """The two folders as a pod has them: who seals reads `records` and writes `seals`, who records the other way."""

    made: list[pulumi.Resource]
    """Claims, and the volumes that are made for them."""
    mounts: list[dict[str, Any]]
    volumes: list[dict[str, Any]]


def share(
    name: str,
    claim: str,
    given: Any,
    space: str,
    own: dict[str, str],
    opts: pulumi.ResourceOptions,
    *,
    seals: bool,
    where: str,
) -> Share:
    """`given`: what names the share, by `volume` or by `folders`; `claim`: the name of the claim, or how both begin;
    `where`: the argument that names the volume."""
    if ("volume" in given) == ("folders" in given):
        raise InputError(
            "records lie on a volume or in folders of a share, one of the two",
            where=where,
            fix="Name the PersistentVolume, or the access points of a RecordsShare",
        )
    # The API server leaves out a `readOnly: false`, so one that was written would look like a change for ever.
    read = {"readOnly": True}
    only_read = {"records": read if seals else {}, "seals": {} if seals else read}
    places = {"records": RECORDS, "seals": SEALS}
    if "volume" in given:
        made = [shared_claim(name, claim, given["volume"], space, own, opts)]
        mounts: list[dict[str, Any]] = [
            {"name": "audit", "mountPath": path, "subPath": each, **only_read[each]}
            for each, path in places.items()
        ]
        return Share(made, mounts, [{"name": "audit", "persistentVolumeClaim": {"claimName": claim}}])
    found = Share([], [], [])
    for each, path in places.items():
        called = claim if each == "records" else f"{claim}-{each}"
        volume = _file_volume(
            f"{name}-{each}-volume", f"{space}-{called}", given["folders"], each, called, space, own, opts
        )
        found.made.extend(
            [volume, shared_claim(f"{name}-{each}", called, f"{space}-{called}", space, own, opts)]
        )
        found.mounts.append({"name": f"audit-{each}", "mountPath": path, **only_read[each]})
        found.volumes.append({"name": f"audit-{each}", "persistentVolumeClaim": {"claimName": called}})
    return found


def _file_volume(
    name: str,
    known: str,
    folders: Any,
    folder: str,
    claim: str,
    space: str,
    own: dict[str, str],
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
            "namespace": space,
        },
        "csi": {
            "driver": EFS_DRIVER,
            "volumeHandle": pulumi.Output.concat(folders["file_system"], "::", folders[folder]),
        },
    }
    return PersistentVolume(name, metadata=metadata(known, own), spec=spec, opts=opts)


class Records:
    """What a gateway with records has beside one without."""

    def __init__(
        self,
        name: str,
        service: str,
        space: str,
        own: dict[str, str],
        audit: GatewayAudit,
        opts: pulumi.ResourceOptions,
    ) -> None:
        where = f"{service}.audit.volume"
        found = share(
            f"{name}-records", f"{service}-records", audit, space, own, opts, seals=False, where=where
        )
        self.before, self.mounts, self.volumes = found.made, found.mounts, found.volumes
        self.mounts.append({"name": "audit-secret", "mountPath": KEYS, "readOnly": True})
        secret = {"secretName": audit["secret"], "defaultMode": 0o440}
        self.volumes.append({"name": "audit-secret", "secret": secret})
        content = audit.get("content")
        if content is not None:
            keys = f"{service}-content-keys"
            self.before.append(
                shared_claim(f"{name}-content-keys", keys, content["volume"], space, own, opts)
            )
            self.mounts.append({"name": "content-keys", "mountPath": CONTENT_KEYS})
            self.volumes.append({"name": "content-keys", "persistentVolumeClaim": {"claimName": keys}})
        self._audit = audit

    def section(self, config: dict[str, Any]) -> dict[str, Any]:
        """`audit` of the gateway's configuration, whose rest is given."""
        return audit_section(self._audit, config)


def audit_section(audit: Any, config: dict[str, Any]) -> dict[str, Any]:
    """`audit` of a gateway's configuration, whose rest is given, in a cluster or on Fargate."""
    made: dict[str, Any] = {"records": RECORDS, "seals": SEALS, "seal_key": SEAL_KEY, "site_key": SITE_KEY}
    if "max_unsealed_s" in audit:
        made["max_unsealed_s"] = audit["max_unsealed_s"]
    if "content" in audit:
        made["content"] = {
            "keys": CONTENT_KEYS,
            "wrapping_key": f"{KEYS}/wrapping.key",
            "days": dict(audit["content"]["days"]),
        }
    return {**made, "policy": audit.get("policy") or version({**config, "audit": made})}


def version(config: dict[str, Any]) -> str:
    """By which an auditor finds the configuration under which a request was let through."""
    return f"config-{hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:16]}"

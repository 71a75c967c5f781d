"""A gateway's records: the claims on their volumes, what its pods mount, and its configuration's section `audit`."""

import hashlib
import json
from typing import Any, NotRequired, TypedDict

import pulumi

from components.kube import metadata

ROOT = "/var/lib/isthmus/audit"
RECORDS, SEALS = f"{ROOT}/records", f"{ROOT}/seals"
KEYS, CONTENT_KEYS = "/etc/isthmus/audit", "/var/lib/isthmus/audit-keys"


class GatewayContent(TypedDict):
    """What was asked and answered, encrypted under a key for each subject and day."""

    volume: str
    """The PersistentVolume with those keys; no snapshots, no backups: a copy of a key is a key."""
    days: dict[str, int]
    """By workload: for how many days; no other workload's content is kept."""


class GatewayAudit(TypedDict):
    """Where a gateway writes its records, and what content it keeps."""

    volume: str
    """The PersistentVolume with folders `records` and `seals`, shared by many machines (ReadWriteMany)."""
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


def folders(claim: str, *, seals: bool) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Mounts and volume of the two folders: who seals reads records and writes `seals`, who records the other way."""
    # The API server leaves out a `readOnly: false`, so one that was written would look like a change for ever.
    read = {"readOnly": True}
    mounts: list[dict[str, Any]] = [
        {"name": "audit", "mountPath": RECORDS, "subPath": "records", **(read if seals else {})},
        {"name": "audit", "mountPath": SEALS, "subPath": "seals", **({} if seals else read)},
    ]
    return mounts, [{"name": "audit", "persistentVolumeClaim": {"claimName": claim}}]


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
        claim = f"{service}-records"
        self.before = [shared_claim(f"{name}-records", claim, audit["volume"], space, own, opts)]
        self.mounts, self.volumes = folders(claim, seals=False)
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
        audit = self._audit
        made: dict[str, Any] = {
            "records": RECORDS,
            "seals": SEALS,
            "seal_key": f"{KEYS}/sealer.pem",
            "site_key": f"{KEYS}/site.key",
        }
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

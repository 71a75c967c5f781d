"""How grave it is that something is not as a stack left it, and whether a platform brings it about by itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from isthmus.contracts.reports.drift import What
from isthmus.contracts.reports.findings import SEVERITIES, Severity
from isthmus.contracts.reports.preview import PropertyChange
from isthmus.engine.drift.kubernetes_fields import CLAIMS
from isthmus.engine.preview.stateful_types import stateful

_BOUNDARY = re.compile(
    r":(NetworkPolicy|AdminNetworkPolicy|BaselineAdminNetworkPolicy|CiliumNetworkPolicy|Role|ClusterRole|RoleBinding"
    r"|ClusterRoleBinding|ValidatingAdmissionPolicy\w*|MutatingAdmissionPolicy\w*|\w*WebhookConfiguration|Ingress"
    r"|Gateway|HTTPRoute|GRPCRoute|TCPRoute|TLSRoute|ReferenceGrant|ServiceAccount|Namespace|ResourceQuota"
    r"|CertificateRequest|Issuer)(Patch)?$"
    r"|^aws:iam/|^aws:kms/|^aws:rolesanywhere/|^aws:(ec2|vpc)/securityGroup|^aws:vpc/|^aws:ec2/(route|routeTable|vpcEndpoint"
    r"|internetGateway|natGateway|vpcPeeringConnection|networkAcl|defaultSecurityGroup)|^aws:ec2transitgateway/"
    r"|^aws:s3/bucket(Policy|PublicAccessBlock|ObjectLock|OwnershipControls|ServerSideEncryption|Versioning)"
    r"|^aws:cloudtrail/|^aws:bedrock|^aws:secretsmanager/secretPolicy|^aws:eks/(cluster|accessEntry|accessPolicy|podIdentity)"
)
"""What holds a boundary: who may reach what, who may do what, what is recorded."""
_RUNS = re.compile(
    r":(Pod|Deployment|StatefulSet|DaemonSet|ReplicaSet|ReplicationController|Job|CronJob|LeaderWorkerSet)$"
    r"|^aws:(ec2/instance|lambda|ecs|sagemaker|eks)"
)
_CODE = re.compile(
    r"(^|[.\]])(containers|initContainers|ephemeralContainers)\[[^\]]*\]$"
    r"|(^|\.)(image|command|args|env|envFrom|securityContext|serviceAccountName|serviceAccount|hostNetwork|hostPID|hostIPC"
    r"|volumes|automountServiceAccountToken|runtimeClassName)(\b|[.\[])"
)
_WORDS = re.compile(r"(^|\.)(labels|annotations|tags|tagsAll)(\b|[.\[])")
_BRINGS = re.compile(
    r"^metadata\.finalizers\["
    r"|^metadata\.(annotations|labels)\[\"(deployment\.kubernetes\.io|pv\.kubernetes\.io|volume\.kubernetes\.io"
    r"|volume\.beta\.kubernetes\.io|batch\.kubernetes\.io|endpoints\.kubernetes\.io|scaledobject\.keda\.sh)/"
)
"""What controllers write on what is ours, for their own use."""
_CLAIMS = ":PersistentVolumeClaim"
_TARGETS = (":Deployment", ":StatefulSet", ":LeaderWorkerSet")


def severity(what: What, type_: str, properties: Iterable[PropertyChange] = ()) -> Severity:
    """By what is lost or opened, the worst of all properties."""
    boundary, runs = bool(_BOUNDARY.search(type_)), bool(_RUNS.search(type_))
    if what == "gone":
        return "critical" if stateful(type_) else "high" if boundary or runs else "medium"
    if what == "foreign":
        return "high" if boundary or runs else "medium"
    found = {_of(type_, each, boundary=boundary) for each in properties} or {"medium"}
    return next(each for each in SEVERITIES if each in found)


def _of(type_: str, change: PropertyChange, *, boundary: bool) -> Severity:
    if change.noise:
        return "low"
    if _WORDS.search(change.path):
        # A namespace's labels say its class, and which pods it takes.
        return "high" if type_.endswith((":Namespace", ":NamespacePatch")) else "low"
    grave = boundary or change.path == CLAIMS or _CODE.search(change.path)
    return "high" if grave else "medium"


def brought(type_: str, path: str) -> bool:
    """Whether a controller of the cluster writes this on what is ours, and means nothing by it."""
    return bool(_BRINGS.search(path)) or (type_.endswith(_CLAIMS) and path == "spec.volumeName")


def scaled(
    type_: str, inputs: Mapping[str, Any], path: str, new: Any, scalers: Iterable[Mapping[str, Any]]
) -> str:
    """Why another number of replicas is what the platform asked for; empty where it is not.

    `scalers`: inputs of the ScaledObjects and HorizontalPodAutoscalers that the states know.
    """
    if path != "spec.replicas" or not type_.endswith(_TARGETS) or not isinstance(new, int):
        return ""
    meta = inputs.get("metadata") or {}
    for each in scalers:
        spec, own = each.get("spec") or {}, each.get("metadata") or {}
        target = spec.get("scaleTargetRef") or {}
        if own.get("namespace") != meta.get("namespace") or target.get("name") != meta.get("name"):
            continue
        if target.get("kind", "Deployment") != inputs.get("kind"):
            continue
        keda = each.get("kind") == "ScaledObject"
        least = spec.get("minReplicaCount", 0) if keda else spec.get("minReplicas", 1)
        most = spec.get("maxReplicaCount", 100) if keda else spec.get("maxReplicas", 0)
        if isinstance(least, int | float) and isinstance(most, int | float) and least <= new <= most:
            return f"{each['kind']} {own.get('name')} scales it by its load, from {least:g} to {most:g}"
    return ""

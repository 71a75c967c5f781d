"""How grave it is that something is not as a stack left it, and whether a platform brings it about by itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from isthmus.contracts.reports.drift import What
from isthmus.contracts.reports.findings import SEVERITIES, Severity
from isthmus.contracts.reports.preview import PropertyChange
from isthmus.engine.drift.kubernetes_fields import CLAIMS
from isthmus.engine.preview.stateful_types import is_stateful

_BOUNDARY_TYPES = re.compile(
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
_WORKLOAD_TYPES = re.compile(
    r":(Pod|Deployment|StatefulSet|DaemonSet|ReplicaSet|ReplicationController|Job|CronJob|LeaderWorkerSet)$"
    r"|^aws:(ec2/instance|lambda|ecs|sagemaker|eks)"
)
_CODE_PATHS = re.compile(
    r"(^|[.\]])(containers|initContainers|ephemeralContainers)\[[^\]]*\]$"
    r"|(^|\.)(image|command|args|env|envFrom|securityContext|serviceAccountName|serviceAccount|hostNetwork|hostPID|hostIPC"
    r"|volumes|automountServiceAccountToken|runtimeClassName)(\b|[.\[])"
)
_LABEL_PATHS = re.compile(r"(^|\.)(labels|annotations|tags|tagsAll)(\b|[.\[])")
_CONTROLLER_PATHS = re.compile(
    r"^metadata\.finalizers\["
    r"|^metadata\.(annotations|labels)\[\"(deployment\.kubernetes\.io|pv\.kubernetes\.io|volume\.kubernetes\.io"
    r"|volume\.beta\.kubernetes\.io|batch\.kubernetes\.io|endpoints\.kubernetes\.io|scaledobject\.keda\.sh)/"
)
"""What controllers write on what is ours, for their own use."""
_CLAIMS = ":PersistentVolumeClaim"
_SCALED_TYPES = (":Deployment", ":StatefulSet", ":LeaderWorkerSet")


def severity_of(category: What, type_: str, properties: Iterable[PropertyChange] = ()) -> Severity:
    """By what is lost or opened, the worst of all properties."""
    boundary, runs = bool(_BOUNDARY_TYPES.search(type_)), bool(_WORKLOAD_TYPES.search(type_))
    if category == "gone":
        return "critical" if is_stateful(type_) else "high" if boundary or runs else "medium"
    if category == "foreign":
        return "high" if boundary or runs else "medium"
    severities = {_property_severity(type_, property, boundary=boundary) for property in properties} or {
        "medium"
    }
    return next(level for level in SEVERITIES if level in severities)


def _property_severity(type_: str, change: PropertyChange, *, boundary: bool) -> Severity:
    if change.noise:
        return "low"
    if _LABEL_PATHS.search(change.path):
        # A namespace's labels say its class, and which pods it takes.
        return "high" if type_.endswith((":Namespace", ":NamespacePatch")) else "low"
    is_grave = boundary or change.path == CLAIMS or _CODE_PATHS.search(change.path)
    return "high" if is_grave else "medium"


def is_controller_written(type_: str, path: str) -> bool:
    """Whether a controller of the cluster writes this on what is ours, and means nothing by it."""
    return bool(_CONTROLLER_PATHS.search(path)) or (type_.endswith(_CLAIMS) and path == "spec.volumeName")


def reason_for_scaling(
    type_: str, inputs: Mapping[str, Any], path: str, new: Any, scalers: Iterable[Mapping[str, Any]]
) -> str:
    """Why another number of replicas is what the platform asked for; empty where it is not.

    `scalers`: inputs of the ScaledObjects and HorizontalPodAutoscalers that the states know.
    """
    if path != "spec.replicas" or not type_.endswith(_SCALED_TYPES) or not isinstance(new, int):
        return ""
    metadata = inputs.get("metadata") or {}
    for scaler in scalers:
        spec, scaler_metadata = scaler.get("spec") or {}, scaler.get("metadata") or {}
        target = spec.get("scaleTargetRef") or {}
        if scaler_metadata.get("namespace") != metadata.get("namespace") or target.get(
            "name"
        ) != metadata.get("name"):
            continue
        if target.get("kind", "Deployment") != inputs.get("kind"):
            continue
        is_keda = scaler.get("kind") == "ScaledObject"
        minimum = spec.get("minReplicaCount", 0) if is_keda else spec.get("minReplicas", 1)
        maximum = spec.get("maxReplicaCount", 100) if is_keda else spec.get("maxReplicas", 0)
        if (
            isinstance(minimum, int | float)
            and isinstance(maximum, int | float)
            and minimum <= new <= maximum
        ):
            return f"{scaler['kind']} {scaler_metadata.get('name')} scales it by its load, from {minimum:g} to {maximum:g}"
    return ""

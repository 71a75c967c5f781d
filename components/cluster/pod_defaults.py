"""Defaults of every pod of Isthmus, so that the Pod Security Standard `restricted` admits it.

Rootless as uid 2000, gid 0: the vLLM image keeps its caches writable for group 0.
"""

from typing import Any

from components.cluster.objects import GPU, HEALTH_PORT, SERVING_PORT

GATEWAY_USER = 2000
"""User id of all pods except sealers, which have 2001."""
POD_SECURITY: dict[str, Any] = {
    "runAsNonRoot": True,
    "runAsUser": GATEWAY_USER,
    "runAsGroup": 0,
    "fsGroup": 2000,
    "fsGroupChangePolicy": "OnRootMismatch",
    "seccompProfile": {"type": "RuntimeDefault"},
}


def share_security(user: int) -> dict[str, Any]:
    """The security context of pods that mount the shared records: `user`, which is also the supplementary group,
    and no `fsGroup`.

    With an `fsGroup` and a CSI driver with `fsGroupPolicy: File`, kubelet would make both folders of the share
    writable for one group. Gateway and sealer could then write each other's folder. On NFS with root squash it
    fails, and no pod starts. Group 0 can read Secrets and other files of the pod.
    """
    context = {key: value for key, value in POD_SECURITY.items() if not key.startswith("fsGroup")}
    return {**context, "runAsUser": user, "supplementalGroups": [user]}


TLS_MOUNT = {"name": "tls", "mountPath": "/etc/isthmus/tls", "readOnly": True}
CONFIG_MOUNT = {"name": "config", "mountPath": "/etc/isthmus/config", "readOnly": True}
TRUST_MOUNT = {"name": "trust", "mountPath": "/etc/isthmus/trust", "readOnly": True}
"""Mount of a bundle with further CAs (`ca.crt`)."""
TMP_MOUNT = {"name": "tmp", "mountPath": "/tmp"}  # noqa: S108 (a volume of the pod)
TMP_VOLUME = {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}
START_S = 120
"""Seconds that a container of the edge has for its start."""
NO_RESOLVER = "127.0.0.1"
"""An address without a resolver, because `dnsPolicy: None` requires one in the pod's spec."""


def no_dns() -> dict[str, Any]:
    """Fields of the spec of a pod that knows no names but those of its hosts file."""
    return {"dnsPolicy": "None", "dnsConfig": {"nameservers": [NO_RESOLVER]}}


def container_security(*, read_only_root: bool = True) -> dict[str, Any]:
    """The security context of a container. `read_only_root` is off for vLLM only: the CDI hook writes into the root
    file system of GPU containers.
    """
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": read_only_root,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def guaranteed_resources(cpu: str, memory: str, gpus: int = 0, resource: str = GPU) -> dict[str, Any]:
    """Container resources with requests equal to limits: QoS class Guaranteed, and Kueue counts actual use."""
    amounts = {"cpu": cpu, "memory": memory}
    if gpus:
        amounts[resource] = str(gpus)
    return {"requests": amounts, "limits": dict(amounts)}


def health_probe(
    period: int, failures: int, path: str = "/health", port: int = HEALTH_PORT
) -> dict[str, Any]:
    """A probe at the health port. Kubelet has no client certificate, so the serving port would refuse it."""
    return {
        "httpGet": {"path": path, "port": port, "scheme": "HTTP"},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def edge_probes() -> dict[str, Any]:
    """The probes of a container of the edge.

    Liveness probes `/live`, because a restart does not repair a database or sealer that is down. Only readiness probes
    whether it can do its work.
    """
    return {
        "startupProbe": health_probe(2, START_S // 2, "/live"),
        "readinessProbe": health_probe(5, 3),
        "livenessProbe": health_probe(10, 6, "/live"),
    }


def priority_fields(priority_class: str | None) -> dict[str, Any]:
    """The pod field `priorityClassName`; empty without a PriorityClass."""
    return {"priorityClassName": priority_class} if priority_class else {}


def edge_container(
    name: str,
    image: Any,
    mounts: list[dict[str, Any]],
    resources: dict[str, Any],
    *,
    serves: bool = True,
    has_trust_bundle: bool = False,
) -> dict[str, Any]:
    """A container of the edge's image, in the mode of its configuration.

    `serves`: whether it has callers. `has_trust_bundle`: whether it trusts a bundle of further CAs.
    """
    return {
        "name": name,
        "image": image,
        "command": ["python", "-m", "edge", "--config", "/etc/isthmus/config/config.yaml"],
        "ports": [
            *([{"name": "https", "containerPort": SERVING_PORT, "protocol": "TCP"}] if serves else []),
            {"name": "health", "containerPort": HEALTH_PORT, "protocol": "TCP"},
        ],
        "volumeMounts": [
            CONFIG_MOUNT,
            *([TLS_MOUNT] if serves else []),
            *([TRUST_MOUNT] if has_trust_bundle else []),
            *mounts,
            TMP_MOUNT,
        ],
        "resources": resources,
        "securityContext": container_security(),
    }


def edge_volumes(
    config_map: Any, tls_secret: str | None, trust_bundle: str | None = None
) -> list[dict[str, Any]]:
    """Volumes of such a container: configuration, certificate (if it serves) and a small scratch volume.

    `trust_bundle`: a ConfigMap with `ca.crt`, further CAs.
    """
    bundle: dict[str, Any] = {"name": trust_bundle, "defaultMode": 0o440}
    tls: list[dict[str, Any]] = [{"name": "tls", "secret": {"secretName": tls_secret, "defaultMode": 0o440}}]
    return [
        {"name": "config", "configMap": {"name": config_map, "defaultMode": 0o440}},
        *(tls if tls_secret is not None else []),
        *([{"name": "trust", "configMap": bundle}] if trust_bundle is not None else []),
        TMP_VOLUME,
    ]


def pod_spec(
    service_account: str,
    containers: list[dict[str, Any]],
    volumes: list[dict[str, Any]],
    *,
    grace_s: int = 60,
    pull_secrets: list[str] | None = None,
    **extra: Any,
) -> dict[str, Any]:
    """A pod's spec without service-account token and service variables, and without root."""
    spec: dict[str, Any] = {
        "serviceAccountName": service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": POD_SECURITY,
        "terminationGracePeriodSeconds": grace_s,
        "containers": containers,
        "volumes": volumes,
        **extra,
    }
    if pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in pull_secrets]
    return spec

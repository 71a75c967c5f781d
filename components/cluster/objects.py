"""Names, labels, metadata and ports that all Kubernetes objects of Isthmus share.

Bodies are plain dicts in the API's own spelling, so that they read like manifests. The API server checks them on
every preview (server-side dry run).
"""

from typing import Any, Literal

import pulumi

from isthmus.contracts.reference.admission import CLASS_LABEL as CLASS_LABEL
from isthmus.contracts.reference.admission import GATEWAY_LABEL as GATEWAY_LABEL
from isthmus.contracts.reference.admission import NAMESPACE_LABEL as NAMESPACE_LABEL
from isthmus.contracts.reference.admission import chat_namespace as chat_namespace
from isthmus.contracts.reference.admission import class_namespace as class_namespace
from isthmus.contracts.reference.admission import evaluator_namespace as evaluator_namespace
from isthmus.contracts.reference.admission import loader_namespace as loader_namespace
from isthmus.contracts.reference.admission import notifier_namespace as notifier_namespace
from isthmus.contracts.reference.admission import replicas_name as replicas_name
from isthmus.contracts.reference.admission import reviews_namespace as reviews_namespace
from isthmus.contracts.reference.admission import reviews_sign_on_namespace as reviews_sign_on_namespace
from isthmus.contracts.reference.admission import sealer_namespace as sealer_namespace
from isthmus.contracts.reference.admission import sign_on_namespace as sign_on_namespace

ROLE_LABEL = "isthmus.dev/role"
ENDPOINT_LABEL = "isthmus.dev/endpoint"
POOL_LABEL = "isthmus.dev/pool"
PRODUCT_LABEL = "nvidia.com/gpu.product"
GPU = "nvidia.com/gpu"
GROUP_LABEL = "leaderworkerset.sigs.k8s.io/group-index"
"""Index of a pod's group in its LeaderWorkerSet, from 0. The controller sets it."""
MEMBER_LABEL = "leaderworkerset.sigs.k8s.io/worker-index"
"""Index of a pod in its group. `0` is the leader. The controller sets it."""
REVISION_LABEL = "leaderworkerset.sigs.k8s.io/template-revision-hash"
"""Revision of the templates of a pod. The controller sets it."""
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
PRIORITY_LABEL = "kueue.x-k8s.io/priority-class"

GPU_TAINT = {"key": GPU, "value": "present", "effect": "NoSchedule"}
GPU_TOLERATION = {"key": GPU, "operator": "Equal", "value": "present", "effect": "NoSchedule"}

SERVING_PORT = 8443
HEALTH_PORT = 9090
ENGINE_PORT = 8000
"""vLLM's default port, on the loopback of its pod."""
RENDEZVOUS_PORT = 29501
"""Port of the leader at which the pods of a multi-node replica meet (vLLM's default)."""
GROUP_PORTS = (40000, 40999)
"""Port range of their other sockets: NCCL, Gloo and vLLM's message queue use any free port."""


def resource_of(mig_profile: str | None) -> str:
    """The resource name of GPUs for a pod: whole GPUs, or MIG slices (`mixed` strategy)."""
    return f"nvidia.com/mig-{mig_profile}" if mig_profile else GPU


def router_name(sensitivity: str) -> str:
    """The Gateway between a class's own gateway and its model servers."""
    return f"{sensitivity}-router"


def dns_name(service: str, namespace: str) -> str:
    """Host name of a service, which its certificate contains."""
    return f"{service}.{namespace}.svc"


def common_labels(
    name: str, *, sensitivity: str | None = None, role: str | None = None, endpoint: str | None = None
) -> dict[str, str]:
    """The common labels; `role` is gateway, translator, resolver, router, sealer, reviews, chat, sign-on or model."""
    values = {
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/part-of": "isthmus",
        CLASS_LABEL: sensitivity,
        ROLE_LABEL: role,
        ENDPOINT_LABEL: endpoint,
    }
    return {key: value for key, value in values.items() if value is not None}


def workload_selector(name: str, sensitivity: str) -> dict[str, str]:
    """The selector of a workload's pods. A Deployment's selector is immutable, so it has stable labels only."""
    return {"app.kubernetes.io/name": name, CLASS_LABEL: sensitivity}


def metadata(
    name: pulumi.Input[str],
    labels: dict[str, str],
    *,
    namespace: str | None = None,
    annotations: dict[str, Any] | None = None,
) -> Any:
    """Metadata of an object with a fixed name, so that rendered manifests stay readable and DNS names stable.

    `patchForce` makes the next `up` take back fields that another manager has edited. Without it, server-side apply
    stops with a conflict, and drift could not be repaired.
    """
    meta: dict[str, Any] = {
        "name": name,
        "labels": dict(labels),
        "annotations": {"pulumi.com/patchForce": "true", **(annotations or {})},
    }
    if namespace is not None:
        meta["namespace"] = namespace
    return meta


def custom_resource(
    name: str, api_version: str, kind: str, meta: Any, body: dict[str, Any], opts: pulumi.ResourceOptions
) -> pulumi.CustomResource:
    """A custom resource. Its fields are in `body`, because some kinds have no spec (WorkloadPriorityClass)."""
    from pulumi_kubernetes import _utilities

    versioned = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(version=_utilities.get_version()))
    props = {"apiVersion": api_version, "kind": kind, "metadata": meta, **body}
    return pulumi.CustomResource(f"kubernetes:{api_version}:{kind}", name, props, versioned)


def read_existing(
    name: str, api_version: str, kind: str, object_name: str, opts: pulumi.ResourceOptions
) -> pulumi.Resource:
    """Read a cluster-scoped object that must exist. The read fails if it does not."""
    from pulumi_kubernetes.apiextensions import CustomResource

    return CustomResource.get(name, api_version, kind, object_name, opts)


def create_admission_policy(
    name: str, policy_name: str, labels: dict[str, str], spec: dict[str, Any], parent: pulumi.Resource
) -> pulumi.Resource:
    """Create the ValidatingAdmissionPolicy `policy_name` and its binding with `Deny`. Returns the binding.

    Children: `NAME`, `NAME-binding`.
    """
    from pulumi_kubernetes.admissionregistration.v1 import (
        ValidatingAdmissionPolicy,
        ValidatingAdmissionPolicyBinding,
    )

    policy = ValidatingAdmissionPolicy(
        name,
        metadata=metadata(policy_name, labels),
        spec=spec,  # type: ignore[arg-type]
        opts=pulumi.ResourceOptions(parent=parent),
    )
    binding_spec: Any = {"policyName": policy_name, "validationActions": ["Deny"]}
    return ValidatingAdmissionPolicyBinding(
        f"{name}-binding",
        metadata=metadata(policy_name, labels),
        spec=binding_spec,
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[policy]),
    )


def serving_rule(
    direction: Literal["from", "to"], namespace: str, role: str, sensitivity: str, port: int = SERVING_PORT
) -> dict[str, Any]:
    """A rule of a NetworkPolicy: the serving port of pods of a role and class in a namespace, or for them.

    `port`: another one than the serving port.
    """
    pods = {
        "namespaceSelector": {"matchLabels": {NAMESPACE_LABEL: namespace}},
        "podSelector": {"matchLabels": {ROLE_LABEL: role, CLASS_LABEL: sensitivity}},
    }
    return {direction: [pods], "ports": [{"protocol": "TCP", "port": port}]}

"""What the Kubernetes objects of Isthmus have in common: names, labels, metadata, ports.

Bodies are plain dicts in the API's own spelling, so that they read like manifests; the API server checks
them on every preview (server-side dry run).
"""

from typing import Any

import pulumi

CLASS_LABEL = "isthmus.dev/class"
ROLE_LABEL = "isthmus.dev/role"
ENDPOINT_LABEL = "isthmus.dev/endpoint"
POOL_LABEL = "isthmus.dev/pool"
GATEWAY_LABEL = "gateway.networking.k8s.io/gateway-name"
"""Which Gateway a proxy works for; set by every implementation of the Gateway API (GEP-1762)."""
NAMESPACE_LABEL = "kubernetes.io/metadata.name"
"""Set on every namespace by the API server itself, so that no one can claim another's name."""
PRODUCT_LABEL = "nvidia.com/gpu.product"
GPU = "nvidia.com/gpu"
GROUP_LABEL = "leaderworkerset.sigs.k8s.io/group-index"
"""Which group of a LeaderWorkerSet a pod belongs to, from 0; set by its controller."""
MEMBER_LABEL = "leaderworkerset.sigs.k8s.io/worker-index"
"""Which pod of the group it is; `0` leads. Set by the controller."""
REVISION_LABEL = "leaderworkerset.sigs.k8s.io/template-revision-hash"
"""Which revision of the templates a pod was made from; set by the controller."""
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
PRIORITY_LABEL = "kueue.x-k8s.io/priority-class"

GPU_TAINT = {"key": GPU, "value": "present", "effect": "NoSchedule"}
GPU_TOLERATION = {"key": GPU, "operator": "Equal", "value": "present", "effect": "NoSchedule"}

SERVING_PORT = 8443
HEALTH_PORT = 9090
ENGINE_PORT = 8000
"""vLLM's own, on the loopback of its pod."""
RENDEZVOUS_PORT = 29501
"""Where the pods of a replica over several machines meet, on its leader (vLLM's own default)."""
GROUP_PORTS = (40000, 40999)
"""From which their other sockets take ports: NCCL, Gloo and vLLM's message queue ask for any that is free."""


def resource_of(mig_profile: str | None) -> str:
    """What a pod asks the device plugin for: whole GPUs, or slices (its `mixed` strategy)."""
    return f"nvidia.com/mig-{mig_profile}" if mig_profile else GPU


def class_namespace(sensitivity: str) -> str:
    """The namespace that holds a class's gateway, translator and model servers."""
    return f"isthmus-{sensitivity}"


def sealer_namespace(sensitivity: str) -> str:
    """The namespace of a class's sealer: rights in the class's own give nothing over it."""
    return f"{class_namespace(sensitivity)}-sealer"


def reviews_namespace(sensitivity: str) -> str:
    """The namespace where people decide upon a class's held answers: rights over its gateway give nothing there."""
    return f"{class_namespace(sensitivity)}-reviews"


def router_name(sensitivity: str) -> str:
    """The Gateway between a class's own gateway and its model servers."""
    return f"{sensitivity}-router"


def dns_name(service: str, namespace: str) -> str:
    """The name a service is called by and known by in its certificate."""
    return f"{service}.{namespace}.svc"


def labels(
    name: str, *, sensitivity: str | None = None, role: str | None = None, endpoint: str | None = None
) -> dict[str, str]:
    """The common labels; `role` is gateway, translator, resolver, router, sealer, reviews or model."""
    found = {
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/part-of": "isthmus",
        CLASS_LABEL: sensitivity,
        ROLE_LABEL: role,
        ENDPOINT_LABEL: endpoint,
    }
    return {key: value for key, value in found.items() if value is not None}


def selector(name: str, sensitivity: str) -> dict[str, str]:
    """What picks the pods of one workload; a Deployment's cannot change, so it holds only what never does."""
    return {"app.kubernetes.io/name": name, CLASS_LABEL: sensitivity}


def metadata(
    name: pulumi.Input[str],
    own_labels: dict[str, str],
    *,
    namespace: str | None = None,
    annotations: dict[str, Any] | None = None,
) -> Any:
    """Metadata of an object, by a fixed name: rendered manifests stay readable, DNS names stable.

    `patchForce`: a field that another manager has edited is taken back at the next `up`; without it
    server-side apply stops with a conflict, and drift could not be mended.
    """
    made: dict[str, Any] = {
        "name": name,
        "labels": dict(own_labels),
        "annotations": {"pulumi.com/patchForce": "true", **(annotations or {})},
    }
    if namespace is not None:
        made["namespace"] = namespace
    return made


def custom(
    name: str, api_version: str, kind: str, meta: Any, body: dict[str, Any], opts: pulumi.ResourceOptions
) -> pulumi.CustomResource:
    """A custom resource; its fields stand in `body`, since not all have a spec (WorkloadPriorityClass)."""
    from pulumi_kubernetes import _utilities

    versioned = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(version=_utilities.get_version()))
    props = {"apiVersion": api_version, "kind": kind, "metadata": meta, **body}
    return pulumi.CustomResource(f"kubernetes:{api_version}:{kind}", name, props, versioned)


def existing(
    name: str, api_version: str, kind: str, of: str, opts: pulumi.ResourceOptions
) -> pulumi.Resource:
    """A cluster-scoped object that must exist already: reading it fails where it does not."""
    from pulumi_kubernetes.apiextensions import CustomResource

    return CustomResource.get(name, api_version, kind, of, opts)


def enforced(
    name: str, called: str, own_labels: dict[str, str], spec: dict[str, Any], parent: pulumi.Resource
) -> pulumi.Resource:
    """A ValidatingAdmissionPolicy `called`, and the binding by which it denies, which is returned.

    Children: `NAME`, `NAME-binding`.
    """
    from pulumi_kubernetes.admissionregistration.v1 import (
        ValidatingAdmissionPolicy,
        ValidatingAdmissionPolicyBinding,
    )

    policy = ValidatingAdmissionPolicy(
        name,
        metadata=metadata(called, own_labels),
        spec=spec,  # type: ignore[arg-type]
        opts=pulumi.ResourceOptions(parent=parent),
    )
    bound: Any = {"policyName": called, "validationActions": ["Deny"]}
    return ValidatingAdmissionPolicyBinding(
        f"{name}-binding",
        metadata=metadata(called, own_labels),
        spec=bound,
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[policy]),
    )

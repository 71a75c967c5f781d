"""The devices of a model server's pods: GPUs by count or by claim, and the fabric between pods of a group."""

from typing import Any

import pulumi

from components.cluster.objects import custom_resource, metadata, resource_of
from components.cluster.pod_defaults import guaranteed_resources
from components.pools.device_plugin import SHARED_GPU
from components.pools.resource_claims import claim_template, container_claims, pod_claims, template_name
from components.serving.arguments import ModelServerArgs
from isthmus.core.errors import InputError

_COMPUTE_DOMAIN = "resource.nvidia.com/v1beta1"
_CHANNEL, _GPUS = "channel", "gpus"


def requested_resource(mig_profile: str | None, time_sliced: bool) -> str:
    """The resource name that a pod requests: whole GPUs, MIG slices, or time-sliced shares."""
    return SHARED_GPU if time_sliced else resource_of(mig_profile)


def device_resources(args: ModelServerArgs) -> dict[str, Any]:
    """GPU requests and limits of the engine's container."""
    gpus = args.get("tensor_parallel", 1) if args.get("engine", "gpu") == "gpu" else 0
    cpu, memory = args.get("cpu", "8"), args.get("memory", "64Gi")
    resource = requested_resource(args.get("mig_profile"), args.get("time_sliced", False))
    resources = guaranteed_resources(cpu, memory, 0 if args.get("device_class") else gpus, resource)
    rdma = args.get("rdma")
    if rdma is not None:
        for amounts in (resources["requests"], resources["limits"]):
            amounts[rdma["resource"]] = str(rdma.get("count", 1))
    return resources | container_claims(_templates(args))


def device_claims(args: ModelServerArgs) -> dict[str, Any]:
    """Fields of the pod's spec with its device claims."""
    return pod_claims(_templates(args))


def placement_annotations(args: ModelServerArgs) -> dict[str, str]:
    """Annotations of a pod's template: the group's topology for Kueue, and the RDMA network for Multus."""
    if args.get("nodes_per_replica", 1) < 2:
        return {}
    annotations: dict[str, str] = {}
    topology = args.get("topology", {})
    for key in ("required", "preferred"):
        if level := topology.get(key):
            annotations[f"kueue.x-k8s.io/podset-{key}-topology"] = str(level)
            # Kueue sees leader and workers as two pod sets. The same group name makes it place them together.
            annotations["kueue.x-k8s.io/podset-group-name"] = "group"
    rdma = args.get("rdma")
    if rdma is not None:
        annotations["k8s.v1.cni.cncf.io/networks"] = rdma["network"]
    return annotations


def check_devices(args: ModelServerArgs) -> None:
    """Raise `InputError` for settings that contradict each other."""
    endpoint, nodes = args["id"], args.get("nodes_per_replica", 1)
    for key in ("topology", "rdma", "compute_domain"):
        if args.get(key) and nodes < 2:
            fix = "Set nodes_per_replica to 2 or more, or remove it"
            raise InputError(
                "a replica on one machine does not use this setting", where=f"{endpoint}.{key}", fix=fix
            )
    if args.get("time_sliced"):
        if args.get("mig_profile") or nodes > 1 or args.get("tensor_parallel", 1) > 1:
            fix = "Set tensor_parallel and nodes_per_replica to 1, and remove mig_profile"
            raise InputError(
                "a replica on time-sliced GPUs uses exactly one share of one GPU",
                where=f"{endpoint}.time_sliced",
                fix=fix,
            )
        if args.get("gpu_memory_utilization") is None:
            message = "gpu_memory_utilization is required on time-sliced GPUs: their memory is not divided"
            fix = "Set gpu_memory_utilization below 1 divided by the number of pods that share the GPU"
            raise InputError(message, where=f"{endpoint}.gpu_memory_utilization", fix=fix)
    if args.get("device_class") and (args.get("mig_profile") or args.get("time_sliced")):
        message = "device_class claims whole GPUs, but mig_profile or time_sliced is set"
        raise InputError(message, where=f"{endpoint}.device_class", fix="Remove mig_profile and time_sliced")


def device_objects(
    name: str, args: ModelServerArgs, namespace: str, labels: dict[str, str], opts: pulumi.ResourceOptions
) -> list[pulumi.Resource]:
    """Create the claim template and the ComputeDomain that the pods claim."""
    endpoint, objects = args["id"], list[pulumi.Resource]()
    if claimed_class := args.get("device_class"):
        gpus = args.get("tensor_parallel", 1)
        objects.append(claim_template(name, endpoint, namespace, labels, claimed_class, gpus, opts))
    if args.get("compute_domain"):
        # Its controller creates the template with which pods claim a channel.
        spec = {
            "numNodes": 0,
            "channel": {
                "resourceClaimTemplate": {"name": channel_name(endpoint)},
                "allocationMode": "Single",
            },
        }
        meta = metadata(endpoint, labels, namespace=namespace)
        objects.append(
            custom_resource(f"{name}-domain", _COMPUTE_DOMAIN, "ComputeDomain", meta, {"spec": spec}, opts)
        )
    return objects


def channel_name(endpoint: str) -> str:
    """Name of the claim template that a ComputeDomain's controller creates."""
    return f"{endpoint}-channel"


def _templates(args: ModelServerArgs) -> dict[str, str]:
    """Claim name → claim template of a pod."""
    templates: dict[str, str] = {}
    if args.get("device_class"):
        templates[_GPUS] = template_name(args["id"], args.get("tensor_parallel", 1))
    if args.get("compute_domain"):
        templates[_CHANNEL] = channel_name(args["id"])
    return templates

"""What a model server's pods ask for: GPUs by count or by claim, and the fabric between the pods of a group."""

from typing import Any

import pulumi

from components.cluster.objects import custom, metadata, resource_of
from components.cluster.pod_defaults import same
from components.pools.device_plugin import SHARED_GPU
from components.pools.resource_claims import claim_template, container_claims, pod_claims, template_name
from components.serving.arguments import ModelServerArgs
from isthmus.core.errors import InputError

_COMPUTE_DOMAIN = "resource.nvidia.com/v1beta1"
_CHANNEL, _GPUS = "channel", "gpus"


def resource_asked(mig_profile: str | None, time_sliced: bool) -> str:
    """What a pod asks the device plugin for: whole GPUs, slices, or shares of GPUs."""
    return SHARED_GPU if time_sliced else resource_of(mig_profile)


def device_resources(args: ModelServerArgs) -> dict[str, Any]:
    """Requests and limits of the engine's container."""
    gpus = args.get("tensor_parallel", 1) if args.get("engine", "gpu") == "gpu" else 0
    cpu, memory = args.get("cpu", "8"), args.get("memory", "64Gi")
    resource = resource_asked(args.get("mig_profile"), args.get("time_sliced", False))
    made = same(cpu, memory, 0 if args.get("device_class") else gpus, resource)
    rdma = args.get("rdma")
    if rdma is not None:
        for amounts in (made["requests"], made["limits"]):
            amounts[rdma["resource"]] = str(rdma.get("count", 1))
    return made | container_claims(_templates(args))


def device_claims(args: ModelServerArgs) -> dict[str, Any]:
    """Fields of the pod's spec by which it claims devices."""
    return pod_claims(_templates(args))


def placed(args: ModelServerArgs) -> dict[str, str]:
    """Annotations of a pod's template: for Kueue where a group stands, for Multus which network it joins."""
    if args.get("nodes_per_replica", 1) < 2:
        return {}
    found: dict[str, str] = {}
    topology = args.get("topology", {})
    for key in ("required", "preferred"):
        if level := topology.get(key):
            found[f"kueue.x-k8s.io/podset-{key}-topology"] = str(level)
            # Leader and workers are two sets of pods to Kueue: by one name it places them together.
            found["kueue.x-k8s.io/podset-group-name"] = "group"
    rdma = args.get("rdma")
    if rdma is not None:
        found["k8s.v1.cni.cncf.io/networks"] = rdma["network"]
    return found


def check_devices(args: ModelServerArgs) -> None:
    """Raises `InputError` for settings that do not go together."""
    endpoint, nodes = args["id"], args.get("nodes_per_replica", 1)
    for key in ("topology", "rdma", "compute_domain"):
        if args.get(key) and nodes < 2:
            fix = "Say nodes_per_replica 2 or more, or take it out"
            raise InputError("a replica on one machine needs none", where=f"{endpoint}.{key}", fix=fix)
    if args.get("time_sliced"):
        if args.get("mig_profile") or nodes > 1 or args.get("tensor_parallel", 1) > 1:
            fix = "Say tensor_parallel 1 and nodes_per_replica 1, and no mig_profile"
            raise InputError(
                "a replica on shared GPUs has one share", where=f"{endpoint}.time_sliced", fix=fix
            )
        if args.get("gpu_memory_utilization") is None:
            what = "those who share a GPU must leave each other memory: nobody divides it"
            fix = "Say gpu_memory_utilization, less than 1 divided by the pods that share it"
            raise InputError(what, where=f"{endpoint}.gpu_memory_utilization", fix=fix)
    if args.get("device_class") and (args.get("mig_profile") or args.get("time_sliced")):
        what = "claims ask for whole GPUs"
        raise InputError(what, where=f"{endpoint}.device_class", fix="Leave mig_profile and time_sliced out")


def device_objects(
    name: str, args: ModelServerArgs, space: str, own: dict[str, str], opts: pulumi.ResourceOptions
) -> list[pulumi.Resource]:
    """What must be there before the pods that claim it."""
    endpoint, made = args["id"], list[pulumi.Resource]()
    if of_class := args.get("device_class"):
        gpus = args.get("tensor_parallel", 1)
        made.append(claim_template(name, endpoint, space, own, of_class, gpus, opts))
    if args.get("compute_domain"):
        # Its controller makes the template by which pods claim a channel.
        spec = {
            "numNodes": 0,
            "channel": {
                "resourceClaimTemplate": {"name": channel_name(endpoint)},
                "allocationMode": "Single",
            },
        }
        meta = metadata(endpoint, own, namespace=space)
        made.append(custom(f"{name}-domain", _COMPUTE_DOMAIN, "ComputeDomain", meta, {"spec": spec}, opts))
    return made


def channel_name(endpoint: str) -> str:
    """Name of the claim template that a ComputeDomain's controller makes."""
    return f"{endpoint}-channel"


def _templates(args: ModelServerArgs) -> dict[str, str]:
    """Claim templates of a pod, by the claims' names."""
    found: dict[str, str] = {}
    if args.get("device_class"):
        found[_GPUS] = template_name(args["id"], args.get("tensor_parallel", 1))
    if args.get("compute_domain"):
        found[_CHANNEL] = channel_name(args["id"])
    return found

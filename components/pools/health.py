"""Lists the signs of a healthy pool in the cluster's API, as data for people and programs."""

from typing import Any

from components.cluster.objects import GPU, POOL_LABEL, PRODUCT_LABEL, class_namespace
from components.pools.arguments import GpuPoolArgs, PoolSign
from components.pools.device_plugin import CONFIG_LABEL as SHARING_LABEL
from components.pools.device_plugin import SHARED_GPU, config_name
from components.pools.mig import CONFIG_LABEL as MIG_LABEL
from components.pools.mig import cuts_of_node, machine_labels, slices_by_resource
from components.pools.queues import KUEUE
from components.pools.resource_claims import DRA


def health_signs(
    args: GpuPoolArgs,
    queues: list[tuple[str, str]],
    local_queues: list[tuple[str, str]],
    device_class: str | None,
) -> list[PoolSign]:
    """The signs of a healthy pool. `queues`: kind and name of Kueue's objects; `local_queues`: class and name."""
    signs = _operator_signs(args)
    # Machines with equal labels share their signs, so a large pool has no more signs than a small one.
    nodes_by_labels: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for name in args.get("node_names", []):
        nodes_by_labels.setdefault(tuple(node_labels(args, name).items()), []).append(name)
    keys = {key for labels in nodes_by_labels for key, _ in labels}
    for labels, names in nodes_by_labels.items():
        selector = {
            "labels": dict(labels),
            "without": sorted(keys - dict(labels).keys()),
            "count": len(names),
        }
        signs += _machine_signs(args, selector, names[0], device_class)
    if not nodes_by_labels:
        signs += _machine_signs(
            args, {"labels": node_labels(args, ""), "count": args["nodes"]}, "", device_class
        )
    for kind, name in queues:
        path, value = (["status", "conditions", "Active"], "True") if kind == "ClusterQueue" else ([], "")
        signs.append(_sign(KUEUE, kind, {"name": name}, path, value))
    for sensitivity, name in local_queues:
        location = {"namespace": class_namespace(sensitivity), "name": name}
        signs.append(_sign(KUEUE, "LocalQueue", location, ["status", "conditions", "Active"], "True"))
    if device_class is not None:
        signs.append(_sign(DRA, "DeviceClass", {"name": device_class}, [], ""))
    return signs


def node_labels(args: GpuPoolArgs, node: str) -> dict[str, str]:
    """The labels that a pool sets on a machine."""
    cuts, slicing = args.get("mig", []), args.get("time_slicing")
    labels = {POOL_LABEL: args["name"]}
    if cuts:
        labels |= machine_labels(args["gpus_per_node"], cuts_of_node(cuts, node))
    if slicing is not None and node in slicing["nodes"]:
        labels[SHARING_LABEL] = config_name(slicing["replicas"])
    return labels


def _operator_signs(args: GpuPoolArgs) -> list[PoolSign]:
    signs = []
    if args.get("gpu_operator", "existing") != "off":
        signs.append(
            _sign("nvidia.com/v1", "ClusterPolicy", {"name": "cluster-policy"}, ["status", "state"], "ready")
        )
    if "driver" in args:
        signs.append(
            _sign("nvidia.com/v1alpha1", "NVIDIADriver", {"name": args["name"]}, ["status", "state"], "ready")
        )
    return signs


def _machine_signs(
    args: GpuPoolArgs, selector: dict[str, Any], node: str, device_class: str | None
) -> list[PoolSign]:
    """Signs of machines with equal labels, of which `node` is one: labels and allocatable resources."""
    labels = selector["labels"]
    selector = {key: value for key, value in selector.items() if value != []}
    cuts = cuts_of_node(args.get("mig", []), node)
    devices = slices_by_resource(cuts)
    slicing = args.get("time_slicing")
    if slicing is not None and SHARING_LABEL in labels:
        devices[SHARED_GPU] = args["gpus_per_node"] * slicing["replicas"]
    elif device_class is None:
        devices[GPU] = args["gpus_per_node"] - sum(cut["gpus"] for cut in cuts)
    expected = [
        (["status", "conditions", "Ready"], "True"),
        (["metadata", "labels", PRODUCT_LABEL], args["product"]),
    ]
    if MIG_LABEL in labels:
        expected.append((["metadata", "labels", f"{MIG_LABEL}.state"], "success"))
    topology, rdma = args.get("topology"), args.get("fabric", {}).get("rdma")
    expected += [(["metadata", "labels", level], "") for level in (topology["levels"] if topology else [])]
    expected += [(["status", "allocatable", resource], str(amount)) for resource, amount in devices.items()]
    if rdma is not None:
        expected.append((["status", "allocatable", rdma["resource"]], ""))
    return [_sign("v1", "Node", selector, path, value) for path, value in expected]


def _sign(api_version: str, kind: str, selector: dict[str, Any], path: list[str], value: str) -> PoolSign:
    return {"api_version": api_version, "kind": kind, **selector, "path": path, "value": value}  # type: ignore[typeddict-item]

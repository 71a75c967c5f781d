"""What a pool shows in the cluster's API when it is healthy, as data: for people, and for programs that look."""

from typing import Any

from components.cluster.objects import GPU, POOL_LABEL, PRODUCT_LABEL, class_namespace
from components.pools.arguments import GpuPoolArgs, PoolSign
from components.pools.device_plugin import CONFIG_LABEL as SHARING_LABEL
from components.pools.device_plugin import SHARED_GPU, config_name
from components.pools.mig import CONFIG_LABEL as MIG_LABEL
from components.pools.mig import machine_labels, on_machine, slices
from components.pools.queues import KUEUE
from components.pools.resource_claims import DRA


def signs(
    args: GpuPoolArgs, queues: list[tuple[str, str]], local: list[tuple[str, str]], device_class: str | None
) -> list[PoolSign]:
    """`queues`: kind and name of what Kueue was told; `local`: class and name of each LocalQueue."""
    found = _operator(args)
    # Machines that are marked alike are one sign: a pool of hundreds says no more than one of two.
    alike: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for name in args.get("node_names", []):
        alike.setdefault(tuple(own_labels(args, name).items()), []).append(name)
    keys = {key for marks in alike for key, _ in marks}
    for marks, names in alike.items():
        which = {"labels": dict(marks), "without": sorted(keys - dict(marks).keys()), "count": len(names)}
        found += _machines(args, which, names[0], device_class)
    if not alike:
        found += _machines(args, {"labels": own_labels(args, ""), "count": args["nodes"]}, "", device_class)
    for kind, name in queues:
        path, value = (["status", "conditions", "Active"], "True") if kind == "ClusterQueue" else ([], "")
        found.append(_sign(KUEUE, kind, {"name": name}, path, value))
    for of_class, name in local:
        where = {"namespace": class_namespace(of_class), "name": name}
        found.append(_sign(KUEUE, "LocalQueue", where, ["status", "conditions", "Active"], "True"))
    if device_class is not None:
        found.append(_sign(DRA, "DeviceClass", {"name": device_class}, [], ""))
    return found


def own_labels(args: GpuPoolArgs, node: str) -> dict[str, str]:
    """What a pool labels a machine with."""
    cuts, slicing = args.get("mig", []), args.get("time_slicing")
    found = {POOL_LABEL: args["name"]}
    if cuts:
        found |= machine_labels(args["gpus_per_node"], on_machine(cuts, node))
    if slicing is not None and node in slicing["nodes"]:
        found[SHARING_LABEL] = config_name(slicing["replicas"])
    return found


def _operator(args: GpuPoolArgs) -> list[PoolSign]:
    found = []
    if args.get("gpu_operator", "existing") != "off":
        found.append(
            _sign("nvidia.com/v1", "ClusterPolicy", {"name": "cluster-policy"}, ["status", "state"], "ready")
        )
    if "driver" in args:
        found.append(
            _sign("nvidia.com/v1alpha1", "NVIDIADriver", {"name": args["name"]}, ["status", "state"], "ready")
        )
    return found


def _machines(args: GpuPoolArgs, which: dict[str, Any], one: str, device_class: str | None) -> list[PoolSign]:
    """Machines that are marked alike, `one` of them by name: their labels, and what kubelet gives out."""
    marks = which["labels"]
    which = {key: value for key, value in which.items() if value != []}
    cuts = on_machine(args.get("mig", []), one)
    devices = slices(cuts)
    slicing = args.get("time_slicing")
    if slicing is not None and SHARING_LABEL in marks:
        devices[SHARED_GPU] = args["gpus_per_node"] * slicing["replicas"]
    elif device_class is None:
        devices[GPU] = args["gpus_per_node"] - sum(cut["gpus"] for cut in cuts)
    shown = [
        (["status", "conditions", "Ready"], "True"),
        (["metadata", "labels", PRODUCT_LABEL], args["product"]),
    ]
    if MIG_LABEL in marks:
        shown.append((["metadata", "labels", f"{MIG_LABEL}.state"], "success"))
    topology, rdma = args.get("topology"), args.get("fabric", {}).get("rdma")
    shown += [(["metadata", "labels", level], "") for level in (topology["levels"] if topology else [])]
    shown += [(["status", "allocatable", resource], str(amount)) for resource, amount in devices.items()]
    if rdma is not None:
        shown.append((["status", "allocatable", rdma["resource"]], ""))
    return [_sign("v1", "Node", which, path, value) for path, value in shown]


def _sign(api_version: str, kind: str, which: dict[str, Any], path: list[str], value: str) -> PoolSign:
    return {"api_version": api_version, "kind": kind, **which, "path": path, "value": value}  # type: ignore[typeddict-item]

"""Builds the arguments of GPU pools from the contract: queues, drivers, operator, MIG layouts, shares, fabric."""

from collections.abc import Sequence
from typing import Any

from components.base.platform_lookups import endpoints_on_pool
from components.cluster.objects import resource_of
from components.pools.device_plugin import CONFIG_MAP as DEVICE_PLUGIN_CONFIGS
from components.pools.device_plugin import SHARED_GPU, DevicePluginConfigsArgs
from components.pools.gpu_operator import GpuOperatorArgs
from components.pools.gpu_pool import GpuPoolArgs
from components.pools.mig import CONFIG_MAP as MIG_LAYOUTS
from components.pools.mig import CutMachine, MigLayoutsArgs, cuts_of_node, is_partial
from components.pools.queues import local_queue, priority_class
from components.pools.resource_claims import device_class_name
from isthmus.contracts.hardware import mig
from isthmus.contracts.hardware.gpus import GPUS
from isthmus.contracts.platform.lookups import mig as platform_mig
from isthmus.contracts.platform.lookups import slicing as platform_slicing
from isthmus.contracts.platform.lookups.serving import at_max_replicas
from isthmus.contracts.platform.migration.capacity import Standing
from isthmus.contracts.platform.model.platform import Endpoint, Platform, Pool, Site
from isthmus.contracts.vocabulary import SENSITIVITIES


def pool_arguments(platform: Platform, pool: Pool) -> dict[str, Any]:
    """The optional arguments of a pool: only those that the contract sets."""
    arguments: dict[str, Any] = {}
    for key in ("sharing", "topology", "time_slicing", "driver", "fabric"):
        section = getattr(pool, key)
        if section is not None:
            arguments[key] = _renamed(section.model_dump(exclude_none=True))
    if pool.allocation != "device-plugin":
        arguments["allocation"] = pool.allocation
    for share in arguments.get("sharing", {}).get("classes", []):
        devices = _devices(pool, share["sensitivity"])
        if devices:
            share["devices"] = devices
    registry = platform.images.registry
    if "driver" in arguments and "repository" not in arguments["driver"] and registry:
        arguments["driver"]["repository"] = f"{registry.rstrip('/')}/nvidia"
    return arguments


def _devices(pool: Pool, sensitivity: str) -> dict[str, int]:
    """MIG slices and time-sliced shares of a class in a pool, by resource name."""
    devices: dict[str, int] = {}
    for cut in pool.mig:
        if cut.class_ == sensitivity:
            resource = resource_of(cut.profile)
            devices[resource] = devices.get(resource, 0) + cut.gpus * mig.instances(pool.gpu, cut.profile)
    if pool.time_slicing is not None and pool.time_slicing.class_ == sensitivity:
        devices[SHARED_GPU] = platform_slicing.shares(pool)
    return devices


def _renamed(value: Any) -> Any:
    """The value with `class_` renamed to `sensitivity`: `class` is a Python keyword."""
    if isinstance(value, dict):
        return {("sensitivity" if key == "class_" else key): _renamed(item) for key, item in value.items()}
    return [_renamed(item) for item in value] if isinstance(value, list) else value


def queue_of(platform: Platform, pool: Pool, endpoint: Endpoint) -> dict[str, str]:
    """The queue and the priority of an endpoint's pods."""
    if platform.operators.kueue == "off":
        return {}
    return {
        "queue": local_queue(pool.name, endpoint.team),
        "priority_class": priority_class(pool.name, endpoint.priority or endpoint.class_),
    }


def placement_arguments(pool: Pool, endpoint: Endpoint) -> dict[str, Any]:
    """Arguments of an endpoint: how its pods get GPUs, and the fabric of its groups."""
    arguments: dict[str, Any] = {}
    if endpoint.time_sliced:
        arguments |= {"time_sliced": True, "failure_domains": platform_slicing.sharing_domains(pool)}
    if pool.allocation == "dra":
        arguments["device_class"] = device_class_name(pool.name)
    if endpoint.nodes_per_replica < 2:
        return arguments
    if pool.topology is not None and (pool.topology.required or pool.topology.preferred):
        arguments["topology"] = pool.topology.model_dump(include={"required", "preferred"}, exclude_none=True)
    fabric = pool.fabric
    if fabric is not None and fabric.rdma is not None:
        network = next(
            rdma_network.network
            for rdma_network in fabric.rdma.networks
            if rdma_network.class_ == endpoint.class_
        )
        arguments["rdma"] = {"resource": fabric.rdma.resource, "count": fabric.rdma.count, "network": network}
    if fabric is not None and fabric.compute_domain:
        arguments["compute_domain"] = True
    return arguments


def device_plugin_args(platform: Platform, site: Site) -> DevicePluginConfigsArgs | None:
    """Arguments of the device plugin's configurations at a site; None without time-sliced GPUs."""
    counts = {
        pool.time_slicing.replicas for pool in platform.pools if pool.site == site.name and pool.time_slicing
    }
    if not counts:
        return None
    return {"namespace": platform.operators.gpu_operator_namespace, "replicas": sorted(counts)}


def gpu_operator_args(
    platform: Platform, site: Site, *, layouts: bool, configs: bool
) -> GpuOperatorArgs | None:
    """Arguments of the GPU Operator at a site. None if Isthmus does not manage it there."""
    pools = [pool for pool in platform.pools if pool.site == site.name]
    if platform.operators.gpu_operator != "manage" or not pools:
        return None
    release = platform.operators.gpu_operator_release.model_dump(exclude_none=True)
    if not str(release["chart"]).startswith("oci://"):
        release.pop("digest", None)  # checked when the platform was assembled, relative to its folder
    return {
        **release,
        "namespace": platform.operators.gpu_operator_namespace,
        "nvidia_drivers": any(pool.driver is not None for pool in pools),
        "taints": any(not pool.node_names for pool in pools),
        **({"mig_layouts": MIG_LAYOUTS} if layouts else {}),
        **({"device_plugin_configs": DEVICE_PLUGIN_CONFIGS} if configs else {}),
    }  # type: ignore[typeddict-item, return-value]


def pool_args(platform: Platform, pool: Pool, retained: Sequence[Standing] = ()) -> GpuPoolArgs:
    """Arguments of a pool. `retained`: models of an earlier plan. Their class keeps its queue."""
    classes = {endpoint.class_ for endpoint in endpoints_on_pool(platform, pool)}
    classes |= {model.class_ for model in retained if (model.site, model.pool) == (pool.site, pool.name)}
    arguments: dict[str, Any] = {
        "name": pool.name,
        "product": pool.product,
        "nodes": pool.nodes,
        "gpus_per_node": pool.gpus_per_node,
        "reserved_gpus": pool.reserved_gpus,
        "node_names": list(pool.node_names),
        "mig": cut_machines(platform, pool),
        "classes": [sensitivity for sensitivity in SENSITIVITIES if sensitivity in classes],
        **({"marked": True} if pool.node_group is not None else {}),
        **_discovery_arguments(pool),
        "gpu_operator": platform.operators.gpu_operator,
        "kueue": platform.operators.kueue,
        **pool_arguments(platform, pool),
    }
    return arguments  # type: ignore[return-value]


def _discovery_arguments(pool: Pool) -> dict[str, Any]:
    """PCI devices by which Node Feature Discovery finds a pool's machines, unless they are listed or created."""
    if pool.node_names or pool.node_group is not None:
        return {}
    known_devices = GPUS[pool.gpu].pci_devices if pool.gpu in GPUS else ()
    devices = pool.pci_devices or list(known_devices)
    return {"pci_devices": devices} if devices else {}


def cut_machines(platform: Platform, pool: Pool) -> list[CutMachine]:
    """The MIG cuts of a pool, by machine and owner."""
    if not pool.mig:
        return []
    platform = at_max_replicas(platform)
    profiles = {cut.owner: cut.profile for cut in platform_mig.cuts(platform, pool)}
    layout = platform_mig.layout(platform, pool) or []
    return [
        {
            "node": node,
            "profile": profiles[owner],
            "gpus": gpus,
            "slices": gpus * mig.instances(pool.gpu, profiles[owner]),
            "owner": owner,
        }
        for node, node_cuts in zip(pool.node_names, layout, strict=False)
        for owner, gpus in sorted(node_cuts.items())
    ]


def mig_layouts_args(platform: Platform, site: Site) -> MigLayoutsArgs | None:
    """Arguments of the MIG layouts at a site; None if MIG manager's built-in layouts are enough."""
    pools = [pool for pool in platform.pools if pool.site == site.name and pool.mig]
    gpus = {node: pool.gpus_per_node for pool in pools for node in pool.node_names}
    cuts = [cut for pool in pools for cut in cut_machines(platform, pool)]
    if not any(is_partial(gpus[node], cuts_of_node(cuts, node)) for node in gpus):
        return None
    return {"namespace": platform.operators.gpu_operator_namespace, "gpus": gpus, "cuts": cuts}

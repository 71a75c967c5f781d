"""Builds the arguments of pool components from the platform: queues, drivers, operator, shares, fabric."""

from typing import Any

from components.cluster.objects import resource_of
from components.pools.device_plugin import CONFIG_MAP as DEVICE_PLUGIN_CONFIGS
from components.pools.device_plugin import SHARED_GPU, DevicePluginConfigsArgs
from components.pools.gpu_operator import GpuOperatorArgs
from components.pools.mig import CONFIG_MAP as MIG_LAYOUTS
from components.pools.queues import local_queue, priority_class
from components.pools.resource_claims import device_class_name, quota_name
from components.serving.devices import requested_resource
from isthmus.contracts.hardware import mig
from isthmus.contracts.platform.lookups import slicing as platform_slicing
from isthmus.contracts.platform.migration.capacity import Standing
from isthmus.contracts.platform.model.platform import Endpoint, Platform, Pool, Site


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


def quota_resource(platform: Platform, endpoint: Endpoint) -> str:
    """The resource name by which a namespace's quota counts an endpoint's GPUs."""
    pool = next((candidate for candidate in platform.pools if candidate.name == endpoint.pool), None)
    if pool is not None and pool.allocation == "dra":
        return quota_name(pool.name)
    return f"requests.{requested_resource(endpoint.mig_profile, endpoint.time_sliced)}"


def retained_quota_resource(platform: Platform, retained: Standing) -> str:
    """The same for a retained endpoint of an earlier plan."""
    pool = next((candidate for candidate in platform.pools if candidate.name == retained.pool), None)
    if pool is not None and pool.allocation == "dra":
        return quota_name(pool.name)
    return f"requests.{requested_resource(retained.mig_profile, retained.time_sliced)}"


def shared_gpu_quota(platform: Platform, site: Site, sensitivity: str) -> dict[str, str]:
    """A quota of 0 time-sliced GPUs for classes that own none, so that no two classes share a GPU."""
    owners = {
        pool.time_slicing.class_ for pool in platform.pools if pool.site == site.name and pool.time_slicing
    }
    return {f"requests.{SHARED_GPU}": "0"} if owners and sensitivity not in owners else {}


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
    """The operator of a site whose GPUs it manages; None elsewhere."""
    pools = [pool for pool in platform.pools if pool.site == site.name]
    if platform.operators.gpu_operator != "manage" or not pools:
        return None
    release = platform.operators.gpu_operator_release.model_dump(exclude_none=True)
    if not str(release["chart"]).startswith("oci://"):
        release.pop("digest", None)  # looked at when the platform was put together, where the path leads from
    return {
        **release,
        "namespace": platform.operators.gpu_operator_namespace,
        "nvidia_drivers": any(pool.driver is not None for pool in pools),
        "taints": any(not pool.node_names for pool in pools),
        **({"mig_layouts": MIG_LAYOUTS} if layouts else {}),
        **({"device_plugin_configs": DEVICE_PLUGIN_CONFIGS} if configs else {}),
    }  # type: ignore[typeddict-item, return-value]

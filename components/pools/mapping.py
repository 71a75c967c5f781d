"""From the platform's pools to the arguments of what stands on them: queues, drivers, operator, shares, fabric."""

from typing import Any

from components.cluster.objects import resource_of
from components.pools.device_plugin import CONFIG_MAP as DEVICE_PLUGIN_CONFIGS
from components.pools.device_plugin import SHARED_GPU, DevicePluginConfigsArgs
from components.pools.gpu_operator import GpuOperatorArgs
from components.pools.mig import CONFIG_MAP as MIG_LAYOUTS
from components.pools.queues import local_queue, priority_class
from components.pools.resource_claims import device_class_name, quota_name
from components.serving.devices import resource_asked
from isthmus.contracts.hardware import mig
from isthmus.contracts.platform.lookups import slicing as platform_slicing
from isthmus.contracts.platform.migration.capacity import Standing
from isthmus.contracts.platform.model.platform import Endpoint, Platform, Pool, Site


def settings(platform: Platform, pool: Pool) -> dict[str, Any]:
    """A pool's settings beyond its machines; nothing for what it does not say."""
    found: dict[str, Any] = {}
    for key in ("sharing", "topology", "time_slicing", "driver", "fabric"):
        part = getattr(pool, key)
        if part is not None:
            found[key] = _renamed(part.model_dump(exclude_none=True))
    if pool.allocation != "device-plugin":
        found["allocation"] = pool.allocation
    for share in found.get("sharing", {}).get("classes", []):
        devices = _devices(pool, share["sensitivity"])
        if devices:
            share["devices"] = devices
    registry = platform.images.registry
    if "driver" in found and "repository" not in found["driver"] and registry:
        found["driver"]["repository"] = f"{registry.rstrip('/')}/nvidia"
    return found


def _devices(pool: Pool, held: str) -> dict[str, int]:
    """What a class has of a pool beside whole GPUs."""
    found: dict[str, int] = {}
    for cut in pool.mig:
        if cut.class_ == held:
            resource = resource_of(cut.profile)
            found[resource] = found.get(resource, 0) + cut.gpus * mig.instances(pool.gpu, cut.profile)
    if pool.time_slicing is not None and pool.time_slicing.class_ == held:
        found[SHARED_GPU] = platform_slicing.shares(pool)
    return found


def _renamed(value: Any) -> Any:
    """`class` is no name in Python."""
    if isinstance(value, dict):
        return {("sensitivity" if key == "class_" else key): _renamed(item) for key, item in value.items()}
    return [_renamed(each) for each in value] if isinstance(value, list) else value


def queue_of(platform: Platform, pool: Pool, endpoint: Endpoint) -> dict[str, str]:
    """Where an endpoint's pods wait, and before whom."""
    if platform.operators.kueue == "off":
        return {}
    return {
        "queue": local_queue(pool.name, endpoint.team),
        "priority_class": priority_class(pool.name, endpoint.priority or endpoint.class_),
    }


def placed(pool: Pool, endpoint: Endpoint) -> dict[str, Any]:
    """How an endpoint's pods get their GPUs, and what joins them over machines."""
    found: dict[str, Any] = {}
    if endpoint.time_sliced:
        found |= {"time_sliced": True, "failure_domains": platform_slicing.domains(pool)}
    if pool.allocation == "dra":
        found["device_class"] = device_class_name(pool.name)
    if endpoint.nodes_per_replica < 2:
        return found
    if pool.topology is not None and (pool.topology.required or pool.topology.preferred):
        found["topology"] = pool.topology.model_dump(include={"required", "preferred"}, exclude_none=True)
    fabric = pool.fabric
    if fabric is not None and fabric.rdma is not None:
        network = next(each.network for each in fabric.rdma.networks if each.class_ == endpoint.class_)
        found["rdma"] = {"resource": fabric.rdma.resource, "count": fabric.rdma.count, "network": network}
    if fabric is not None and fabric.compute_domain:
        found["compute_domain"] = True
    return found


def asked_of(platform: Platform, endpoint: Endpoint) -> str:
    """What a namespace's quota counts an endpoint's GPUs by."""
    pool = next((each for each in platform.pools if each.name == endpoint.pool), None)
    if pool is not None and pool.allocation == "dra":
        return quota_name(pool.name)
    return f"requests.{resource_asked(endpoint.mig_profile, endpoint.time_sliced)}"


def asked_by(platform: Platform, standing: Standing) -> str:
    """The same of an endpoint that still stands."""
    pool = next((each for each in platform.pools if each.name == standing.pool), None)
    if pool is not None and pool.allocation == "dra":
        return quota_name(pool.name)
    return f"requests.{resource_asked(standing.mig_profile, standing.time_sliced)}"


def not_shared(platform: Platform, site: Site, held: str) -> dict[str, str]:
    """Quota by which no other class gets a share of a GPU that one class's pods share."""
    owners = {
        pool.time_slicing.class_ for pool in platform.pools if pool.site == site.name and pool.time_slicing
    }
    return {f"requests.{SHARED_GPU}": "0"} if owners and held not in owners else {}


def device_plugin_args(platform: Platform, site: Site) -> DevicePluginConfigsArgs | None:
    """What the device plugin of a site is told; None where nothing is shared."""
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
    given = platform.operators.gpu_operator_release.model_dump(exclude_none=True)
    if not str(given["chart"]).startswith("oci://"):
        given.pop("digest", None)  # looked at when the platform was put together, where the path leads from
    return {
        **given,
        "namespace": platform.operators.gpu_operator_namespace,
        "nvidia_drivers": any(pool.driver is not None for pool in pools),
        "taints": any(not pool.node_names for pool in pools),
        **({"mig_layouts": MIG_LAYOUTS} if layouts else {}),
        **({"device_plugin_configs": DEVICE_PLUGIN_CONFIGS} if configs else {}),
    }  # type: ignore[typeddict-item, return-value]

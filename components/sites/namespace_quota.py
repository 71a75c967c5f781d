"""Computes the quota of a class's namespace: its pods, room for a rollout, and models of an earlier plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from components.cluster.objects import GPU
from components.cluster.quantities import amount, as_cpu, as_memory
from components.gateway.name_resolver import CPU, MEMORY, REPLICAS
from components.gateway.screening import detector_resources
from components.gateway.translator import credential_helper, translator
from components.pools.device_plugin import SHARED_GPU
from components.pools.resource_claims import quota_name
from components.serving.devices import requested_resource
from components.serving.model_pod import SIDECAR_MEMORY
from components.serving.scaling_mapping import fetching_of, fetching_on_nodes
from isthmus.contracts.platform.lookups.serving import at_max_replicas
from isthmus.contracts.platform.migration.capacity import Standing
from isthmus.contracts.platform.model.platform import Endpoint, Gateway, Platform, Site
from isthmus.contracts.reference.model_profiles import sidecar_millicores
from isthmus.contracts.vocabulary import CALLED_TARGETS, VLLM_TARGETS

PROXIES = Decimal(4)
"""Number of proxies of a router. Each has the namespace's default resources: 500m and 512Mi."""


@dataclass(frozen=True)
class Demand:
    """CPUs, bytes of memory and pods."""

    cpu: Decimal = Decimal(0)
    memory: Decimal = Decimal(0)
    pods: int = 0

    def __add__(self, other: Demand) -> Demand:
        return Demand(self.cpu + other.cpu, self.memory + other.memory, self.pods + other.pods)

    def __mul__(self, count: int) -> Demand:
        return Demand(self.cpu * count, self.memory * count, self.pods * count)


NOTHING = Demand()
SIDECAR = Demand(Decimal(sidecar_millicores(None)) / 1000, amount(SIDECAR_MEMORY))
"""The maximum that a model server's sidecar requests, so that a release never changes the quota."""
TRANSLATOR = Demand(
    amount(translator.CPU) + amount(credential_helper.CPU),
    amount(translator.MEMORY) + amount(credential_helper.MEMORY),
    pods=1,
)
"""One replica of a translator, with its credential helper."""


def namespace_quota(
    platform: Platform, site: Site, sensitivity: str, retained: Sequence[Standing]
) -> dict[str, str]:
    """The quota of a class's namespace, by resource name.

    `retained`: models of an earlier plan, which count until their successors serve.
    """
    platform = at_max_replicas(platform)
    endpoints = [
        endpoint
        for endpoint in platform.endpoints
        if (endpoint.class_, endpoint.site) == (sensitivity, site.name) and endpoint.target in VLLM_TARGETS
    ]
    models = [model for model in retained if (model.class_, model.site) == (sensitivity, site.name)]
    gateways = [
        gateway for gateway in platform.gateways if (gateway.class_, gateway.site) == (sensitivity, site.name)
    ]
    demand = sum(
        (
            *(_endpoint_demand(endpoint) for endpoint in endpoints),
            *(_retained_demand(model) for model in models),
            *(_gateway_demand(platform, site, gateway) for gateway in gateways),
        ),
        start=_rollout_room(endpoints),
    )
    fetches = [
        *(fetching_on_nodes(model.fetchers) for model in models),
        *(fetching_of(platform, endpoint) for endpoint in endpoints),
    ]
    return {
        "pods": str(demand.pods + sum(fetch.pods for fetch in fetches)),
        "requests.cpu": as_cpu(demand.cpu + sum(fetch.cpu for fetch in fetches)),
        "limits.cpu": as_cpu(demand.cpu + sum(fetch.most_cpu for fetch in fetches)),
        "requests.memory": as_memory(demand.memory + sum(fetch.memory for fetch in fetches)),
        "limits.memory": as_memory(demand.memory + sum(fetch.most_memory for fetch in fetches)),
        **_device_quota(platform, endpoints, models),
        **_shared_gpu_quota(platform, site, sensitivity),
    }


def _replica_demand(endpoint: Endpoint) -> Demand:
    """Demand of one replica, without counting its pods. In a group, only the leader has the sidecar."""
    nodes = endpoint.nodes_per_replica
    return Demand(
        amount(endpoint.cpu) * nodes + SIDECAR.cpu,
        amount(endpoint.memory) * nodes + SIDECAR.memory,
    )


def _endpoint_demand(endpoint: Endpoint) -> Demand:
    """Demand of all replicas of an endpoint, and the pods of one more."""
    pods = Demand(pods=(endpoint.replicas + 1) * endpoint.nodes_per_replica)
    return _replica_demand(endpoint) * endpoint.replicas + pods


def _rollout_room(endpoints: Sequence[Endpoint]) -> Demand:
    """CPUs and memory of the largest replica: during a rollout, one runs beside the others."""
    replicas = [NOTHING, *map(_replica_demand, endpoints)]
    return Demand(max(replica.cpu for replica in replicas), max(replica.memory for replica in replicas))


def _retained_demand(model: Standing) -> Demand:
    """Demand of all replicas of a model of an earlier plan."""
    pod = Demand(amount(model.cpu), amount(model.memory), pods=1) + SIDECAR
    return pod * (model.nodes * model.replicas)


def _gateway_demand(platform: Platform, site: Site, gateway: Gateway) -> Demand:
    """Demand of all replicas of a gateway with their sidecars, its name resolver and its router's proxies."""
    targets = {endpoint.id: endpoint.target for endpoint in platform.endpoints}
    copy = Demand(amount(gateway.cpu), amount(gateway.memory), pods=1) + _screening_demand(gateway)
    if any(targets[workload.endpoint] in CALLED_TARGETS for workload in gateway.workloads):
        copy += TRANSLATOR
    # Doubled, because during a rollout old pods finish their answers beside the new ones.
    demand = copy * (2 * (max(gateway.replicas, gateway.max_replicas or 0) + 1))
    if gateway.class_ != "restricted" and site.cluster_dns.filter:
        # One more during a rollout.
        demand += Demand(amount(CPU), amount(MEMORY), pods=1) * (REPLICAS + 1)
    if gateway.router is not None:
        demand += Demand(PROXIES / 2, PROXIES * 2**29, int(PROXIES))
    return demand


def _screening_demand(gateway: Gateway) -> Demand:
    """Demand of the detector in each pod of a gateway. Zero without a detector."""
    if gateway.screening is None:
        return NOTHING
    cpu, memory = detector_resources(gateway.screening)
    return Demand(amount(cpu), amount(memory))


def _device_quota(
    platform: Platform, endpoints: Sequence[Endpoint], models: Sequence[Standing]
) -> dict[str, str]:
    """Quota of whole GPUs and slices by profile, with one replica more than requested, for a pod that is ending."""
    counts: dict[str, int] = {f"requests.{GPU}": 0}
    ending: dict[str, int] = {}
    for endpoint in endpoints:
        resource = _quota_resource(platform, endpoint)
        gpus = 0 if endpoint.engine == "cpu" else endpoint.tensor_parallel * endpoint.nodes_per_replica
        counts[resource] = counts.get(resource, 0) + gpus * endpoint.replicas
        ending[resource] = max(ending.get(resource, 0), gpus)
    for model in models:
        resource = _quota_resource(platform, model)
        counts[resource] = counts.get(resource, 0) + model.total
    return {resource: str(count + ending.get(resource, 0)) for resource, count in sorted(counts.items())}


def _quota_resource(platform: Platform, model: Endpoint | Standing) -> str:
    """The resource name with which a quota counts the GPUs of an endpoint, or of a model of an earlier plan."""
    pool = next((candidate for candidate in platform.pools if candidate.name == model.pool), None)
    if pool is not None and pool.allocation == "dra":
        return quota_name(pool.name)
    return f"requests.{requested_resource(model.mig_profile, model.time_sliced)}"


def _shared_gpu_quota(platform: Platform, site: Site, sensitivity: str) -> dict[str, str]:
    """A quota of 0 time-sliced GPUs for classes that own none, so that no two classes share a GPU."""
    owners = {
        pool.time_slicing.class_ for pool in platform.pools if pool.site == site.name and pool.time_slicing
    }
    return {f"requests.{SHARED_GPU}": "0"} if owners and sensitivity not in owners else {}

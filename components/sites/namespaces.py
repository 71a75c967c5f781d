"""Builds the arguments of a site's class namespaces (peers, quotas, limits) and of its admission policies."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from components.cluster.admission import AdmissionGuardArgs
from components.cluster.class_namespace import ClassNamespaceArgs
from components.cluster.objects import GPU
from components.cluster.quantities import amount, as_cpu, as_memory
from components.gateway.name_resolver import CPU, MEMORY, REPLICAS
from components.gateway.resolver_mapping import dns_peers
from components.gateway.screening import detector_resources
from components.pools.device_plugin import SHARED_GPU
from components.pools.mapping import PROXIES
from components.pools.resource_claims import quota_name
from components.serving.devices import requested_resource
from components.serving.mapping import EDGE_CPU, EDGE_MEMORY, TRANSLATED_CPU, TRANSLATED_MEMORY
from components.serving.scaling_mapping import fetching_of, fetching_on_nodes
from isthmus.contracts.platform.lookups.serving import at_max_replicas
from isthmus.contracts.platform.migration.capacity import Standing
from isthmus.contracts.platform.model.platform import Endpoint, Gateway, Platform, Site
from isthmus.contracts.vocabulary import CALLED_TARGETS, VLLM_TARGETS


def namespace_args(
    platform: Platform, site: Site, sensitivity: str, retained: Sequence[Standing] = ()
) -> ClassNamespaceArgs:
    """Arguments of a class's namespace. Its quota covers the class's pods and room for a rollout.

    `retained`: models of an earlier plan, which count until their successors serve.
    """
    platform = at_max_replicas(platform)
    targets = {endpoint.id: endpoint.target for endpoint in platform.endpoints}
    cpu = memory = Decimal(0)
    pods = 0
    fetches = [
        fetching_on_nodes(model.fetchers)
        for model in retained
        if (model.class_, model.site) == (sensitivity, site.name)
    ]
    rolling = [Decimal(0), Decimal(0)]
    # Whole GPUs and slices of each profile; one more of each than are asked for, for a pod that is ending.
    devices: dict[str, int] = {f"requests.{GPU}": 0}
    ending_devices: dict[str, int] = {}
    for endpoint in platform.endpoints:
        if (
            endpoint.class_ != sensitivity
            or endpoint.site != site.name
            or endpoint.target not in VLLM_TARGETS
        ):
            continue
        nodes = endpoint.nodes_per_replica
        resource, gpus_per_replica = quota_resource(platform, endpoint), endpoint.tensor_parallel * nodes
        if endpoint.engine == "cpu":
            gpus_per_replica = 0
        devices[resource] = devices.get(resource, 0) + gpus_per_replica * endpoint.replicas
        ending_devices[resource] = max(ending_devices.get(resource, 0), gpus_per_replica)
        replica_amounts = (
            # Of a group, only the pod that leads has the sidecar.
            amount(endpoint.cpu) * nodes + EDGE_CPU,
            amount(endpoint.memory) * nodes + EDGE_MEMORY,
        )
        cpu += replica_amounts[0] * endpoint.replicas
        memory += replica_amounts[1] * endpoint.replicas
        pods += (endpoint.replicas + 1) * endpoint.nodes_per_replica
        fetches.append(fetching_of(platform, endpoint))
        rolling = [max(current, needed) for current, needed in zip(rolling, replica_amounts, strict=True)]
    for model in retained:
        if (model.class_, model.site) == (sensitivity, site.name):
            resource = retained_quota_resource(platform, model)
            devices[resource] = devices.get(resource, 0) + model.total
            cpu += (amount(model.cpu) + EDGE_CPU) * model.nodes * model.replicas
            memory += (amount(model.memory) + EDGE_MEMORY) * model.nodes * model.replicas
            pods += model.nodes * model.replicas
    for gateway in platform.gateways:
        if gateway.class_ != sensitivity or gateway.site != site.name:
            continue
        # Doubled: while one rolls, old pods finish their answers beside the new.
        copies = 2 * (max(gateway.replicas, gateway.max_replicas or 0) + 1)
        translated = any(targets[workload.endpoint] in CALLED_TARGETS for workload in gateway.workloads)
        cpu += copies * (amount(gateway.cpu) + (TRANSLATED_CPU if translated else 0))
        memory += copies * (amount(gateway.memory) + (TRANSLATED_MEMORY if translated else 0))
        screening_amounts = screening_room(gateway)
        cpu, memory = cpu + copies * screening_amounts[0], memory + copies * screening_amounts[1]
        pods += copies * (2 if translated else 1)
        if sensitivity != "restricted" and site.cluster_dns.filter:
            # While it rolls, one more.
            resolver_copies = REPLICAS + 1
            cpu, memory = cpu + resolver_copies * amount(CPU), memory + resolver_copies * amount(MEMORY)
            pods += resolver_copies
        if gateway.router is not None:
            cpu, memory, pods = cpu + PROXIES / 2, memory + PROXIES * 2**29, pods + int(PROXIES)
    cpu, memory = cpu + rolling[0], memory + rolling[1]
    quota = {
        "pods": str(pods + sum(fetch.pods for fetch in fetches)),
        "requests.cpu": as_cpu(cpu + sum(fetch.cpu for fetch in fetches)),
        "limits.cpu": as_cpu(cpu + sum(fetch.most_cpu for fetch in fetches)),
        "requests.memory": as_memory(memory + sum(fetch.memory for fetch in fetches)),
        "limits.memory": as_memory(memory + sum(fetch.most_memory for fetch in fetches)),
        **{name: str(count + ending_devices.get(name, 0)) for name, count in sorted(devices.items())},
        **shared_gpu_quota(platform, site, sensitivity),
    }
    arguments: ClassNamespaceArgs = {"sensitivity": sensitivity, "quota": quota, "resolvers": list(site.dns)}
    if sensitivity != "restricted":
        arguments["dns"] = dns_peers(site)
        arguments["own_resolver"] = site.cluster_dns.filter
    if sensitivity in site.existing_namespaces:
        arguments["existing"] = True
    return arguments


def admission_args(platform: Platform, site: Site) -> AdmissionGuardArgs:
    """Arguments of the admission policies: allowed registries, and users of emergency access."""
    arguments: AdmissionGuardArgs = {"registries": list(platform.images.registries)}
    break_glass = platform.people.break_glass if platform.people is not None else None
    if break_glass is not None:
        arguments["emergency_users"] = sorted(keyholder.user for keyholder in break_glass.keyholders)
    routed_classes = {
        gateway.class_
        for gateway in platform.gateways
        if gateway.site == site.name and gateway.router is not None
    }
    if routed_classes:
        arguments["routed_classes"] = sorted(routed_classes)
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


def screening_room(gateway: Gateway) -> tuple[Decimal, Decimal]:
    """CPUs and bytes of the detector beside one copy; nothing where there is none."""
    if gateway.screening is None:
        return Decimal(0), Decimal(0)
    cpu, memory = detector_resources(gateway.screening)
    return amount(cpu), amount(memory)

"""Builds the arguments of the cluster's components from the platform's contract."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from components.aws.records.trail import AuditTrailArgs
from components.cluster.admission import AdmissionGuardArgs
from components.cluster.class_namespace import ClassNamespaceArgs
from components.cluster.objects import GPU
from components.cluster.quantities import amount, as_cpu, as_memory
from components.gateway.name_resolver import CPU, MEMORY, REPLICAS, NameResolver
from components.gateway.screening_mapping import screening_room
from components.pools.gpu_pool import GpuPoolArgs
from components.pools.mapping import (
    placement_arguments,
    pool_arguments,
    queue_of,
    quota_resource,
    retained_quota_resource,
    shared_gpu_quota,
)
from components.pools.mig import CutMachine, MigLayoutsArgs, cuts_of_node, is_partial
from components.serving.arguments import ModelDoorArgs, ModelServerArgs
from components.serving.scaling_mapping import (
    door_access_args,
    fetching_of,
    fetching_on_nodes,
    serving_args,
    weights_args,
)
from isthmus.contracts.hardware import mig
from isthmus.contracts.hardware.gpus import GPUS
from isthmus.contracts.platform.layers import DoorGiven
from isthmus.contracts.platform.lookups import mig as platform_mig
from isthmus.contracts.platform.lookups.pools import failure_domain_label
from isthmus.contracts.platform.lookups.serving import at_max_replicas
from isthmus.contracts.platform.migration.capacity import Standing
from isthmus.contracts.platform.model.platform import AuditStore, Endpoint, Platform, Pool, Site
from isthmus.contracts.platform.model.pools import ZONE_LABEL
from isthmus.contracts.reference.model_profiles import sidecar_millicores
from isthmus.contracts.vocabulary import CALLED_TARGETS, SENSITIVITIES, VLLM_TARGETS, Sensitivity
from isthmus.core.errors import InputError

EDGE_CPU, EDGE_MEMORY = Decimal(sidecar_millicores(None)) / 1000, Decimal(2**29)
"""The most that a model server's sidecar requests, so that a release never needs another quota."""

PROXIES = Decimal(4)
"""Proxies of a router, each with the namespace's default resources: 500m and 512Mi."""

TRANSLATED_CPU, TRANSLATED_MEMORY = Decimal("1.1"), Decimal(2 * 2**30 + 64 * 2**20)
"""A translator's copy and the credential helper's beside it."""


def classes_at(platform: Platform, site: Site) -> list[str]:
    """Classes in use at a site, in order of sensitivity."""
    cluster_endpoints = [endpoint for endpoint in platform.endpoints if endpoint.target in VLLM_TARGETS]
    gateways = [gateway for gateway in platform.gateways if gateway.runs_on == "kubernetes"]
    classes = {server.class_ for server in (*gateways, *cluster_endpoints) if server.site == site.name}
    return [sensitivity for sensitivity in SENSITIVITIES if sensitivity in classes]


def endpoints_on_pool(platform: Platform, pool: Pool) -> list[Endpoint]:
    """Endpoints that run on a pool."""
    return [
        endpoint
        for endpoint in platform.endpoints
        if endpoint.site == pool.site and endpoint.pool == pool.name
    ]


def cpu_endpoints(platform: Platform, site: Site) -> list[Endpoint]:
    """Endpoints of a site that run without GPUs."""
    return [
        endpoint for endpoint in platform.endpoints if endpoint.site == site.name and endpoint.engine == "cpu"
    ]


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


def dns_peers(site: Site) -> list[Any]:
    """The resolvers of a site's cluster, as components take them."""
    return [peer.model_dump(exclude_none=True) for peer in site.cluster_dns.resolvers]


def resolver_args(platform: Platform, site: Site, sensitivity: Sensitivity) -> NameResolver | None:
    """Arguments of a class's DNS resolver; None if its pods use the site's or the cluster's."""
    if sensitivity == "restricted" or not site.cluster_dns.filter:
        return None
    if platform.images.resolver is None:
        raise InputError(
            "no image of the DNS resolver is set, but gateways with filtered DNS need one",
            where="images.resolver",
            fix=f"Set images.resolver to CoreDNS by digest, or set `cluster_dns: {{filter: false}}` at {site.name},"
            " which lets its pods leak data in DNS names",
        )
    settings: NameResolver = {
        "image": platform.images.resolver,
        "domain": site.cluster_dns.domain,
        "peers": dns_peers(site),
    }
    if sensitivity in site.cluster_dns.addresses:
        settings["address"] = site.cluster_dns.addresses[sensitivity]
    return settings


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


def shared_arguments(platform: Platform, certificate_secret: str | None) -> dict[str, Any]:
    """Arguments that every workload takes from the platform as a whole."""
    shared: dict[str, Any] = {
        "monitoring_namespace": platform.monitoring.namespace,
        "pod_monitors": platform.monitoring.pod_monitors,
    }
    if platform.pod_priorities.mode != "off":
        shared["pod_priority"] = platform.pod_priorities.gateway
    if platform.monitoring.labels:
        shared["monitor_labels"] = dict(platform.monitoring.labels)
    if secrets := platform.images.all_pull_secrets:
        shared["pull_secrets"] = secrets
    if platform.issuer and platform.operators.cert_manager != "off":
        shared["issuer"] = {"name": platform.issuer.name, "kind": platform.issuer.kind}
    if certificate_secret:
        shared["certificate_secret"] = certificate_secret
    return shared


def spread_arguments(platform: Platform, site: str) -> dict[str, Any]:
    """The node label over which a site's pods are spread; empty for the default."""
    label = failure_domain_label(platform, site)
    return {"failure_domain_label": label} if label != ZONE_LABEL else {}


def door_args(platform: Platform, endpoint: Endpoint) -> ModelDoorArgs:
    arguments: dict[str, Any] = {
        **door_access_args(platform, endpoint),
        "id": endpoint.id,
        "sensitivity": endpoint.class_,
        "monitoring_namespace": platform.monitoring.namespace or "",
        "nodes_per_replica": endpoint.nodes_per_replica,
        "replicas": endpoint.replicas,
        "surge": endpoint.surge,
    }
    return arguments  # type: ignore[return-value]


def model_args(
    platform: Platform, pool: Pool | None, endpoint: Endpoint, door: DoorGiven | None = None
) -> ModelServerArgs:
    """Arguments of a model server. `pool`: None on CPUs. `door`: its network, if another stack creates it."""
    if endpoint.weights is None:
        raise InputError(
            f"endpoint '{endpoint.id}' has no weights",
            where=f"endpoints.{endpoint.id}.weights",
            fix="Set uri and digest in the stack's overrides",
        )
    endpoint_fields = endpoint.model_dump(exclude_none=True)
    endpoint_fields["weights"] = weights_args(endpoint)
    copied_keys = (
        *("id", "model", "weights", "precision", "mig_profile", "tensor_parallel", "nodes_per_replica"),
        *("replicas", "survive", "max_model_len", "max_num_seqs", "gpu_memory_utilization"),
        *("kv_cache_dtype", "adapters", "engine_version", "engine_args"),
        *("cpu", "memory", "load_timeout_s", "surge"),
        *("model_family", "tool_call_parser", "reasoning_parser", "chat_template"),
    )
    arguments: dict[str, Any] = {
        **{key: endpoint_fields[key] for key in copied_keys if key in endpoint_fields},
        **shared_arguments(platform, endpoint.certificate_secret),
        **({"trust_bundle": platform.trust_bundle} if platform.trust_bundle else {}),
        "sensitivity": endpoint.class_,
        "vllm_image": platform.images.vllm if pool is not None else platform.images.vllm_cpu,
        "edge_image": platform.images.edge,
        **({"pod_priority": platform.pod_priorities.model} if platform.pod_priorities.mode != "off" else {}),
        **serving_args(platform, endpoint),
        **({"door": door.model_dump()} if door is not None else {}),
    }
    if pool is not None:
        arguments |= {
            "product": pool.product,
            "pool": pool.name,
            "failure_domains": pool.failure_domains,
            **spread_arguments(platform, pool.site),
            **_slice_arguments(platform, pool, endpoint),
            **placement_arguments(pool, endpoint),
            **queue_of(platform, pool, endpoint),
        }
    return arguments  # type: ignore[return-value]


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


def _slice_arguments(platform: Platform, pool: Pool, endpoint: Endpoint) -> dict[str, Any]:
    """Arguments of an endpoint on MIG slices: the owner of its slices, and how they are spread."""
    if not endpoint.mig_profile:
        return {}
    platform = at_max_replicas(platform)
    owner = mig.owner_of(platform_mig.sliced(endpoint))
    cut = next(cut for cut in platform_mig.cuts(platform, pool) if cut.owner == owner)
    instances_per_gpu = mig.instances(pool.gpu, cut.profile)
    layout = platform_mig.layout(platform, pool) or []
    domains = {node % pool.failure_domains for node, node_cuts in enumerate(layout) if owner in node_cuts}
    return {
        "slices": owner,
        # A domain without slices of its own cannot hold one of its replicas.
        "failure_domains": len(domains),
        "max_skew": mig.skew(cut, layout, pool.failure_domains, instances_per_gpu),
    }


def audit_args(platform: Platform, site: Site, store: AuditStore, sealers: list[str]) -> AuditTrailArgs:
    """A site's store, and with it the account's trail where the platform keeps one there. `sealers`: patterns of the
    names of the roles that may put."""
    arguments = store.model_dump(exclude_none=True)
    if sealers:
        arguments["sealers"] = sealers
    if site.kind == "aws" and site.region:
        arguments["region"] = site.region
    trail = next((candidate for candidate in platform.trails if candidate.site == site.name), None)
    if trail is not None and site.kind == "aws":
        arguments["trail"] = {
            **trail.model_dump(include={"mode", "organization", "retention_days"}),
            "notify": list(platform.contacts.security),
            **({"permissions_boundary": site.permissions_boundary} if site.permissions_boundary else {}),
        }
    arguments["tags"] = dict(platform.tags)
    if site.kms_key:
        arguments["kms_key"] = site.kms_key
    return arguments  # type: ignore[return-value]

"""From the platform's contract to the arguments of the components: names and parts, nothing decided twice."""

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
from components.pools.mapping import asked_by, asked_of, not_shared, placed, queue_of, settings
from components.pools.mig import CutMachine, MigLayoutsArgs, is_partial, on_machine
from components.serving.arguments import ModelDoorArgs, ModelServerArgs
from components.serving.scaling_mapping import door_ways, fetching, on_disks, serving_args, weights_args
from isthmus.contracts.hardware import mig
from isthmus.contracts.hardware.gpus import GPUS
from isthmus.contracts.platform.layers import DoorGiven
from isthmus.contracts.platform.lookups import mig as platform_mig
from isthmus.contracts.platform.lookups.pools import failure_domain_label
from isthmus.contracts.platform.lookups.serving import at_most
from isthmus.contracts.platform.migration.capacity import Standing
from isthmus.contracts.platform.model.platform import AuditStore, Endpoint, Platform, Pool, Site
from isthmus.contracts.platform.model.pools import ZONE_LABEL
from isthmus.contracts.reference.model_profiles import sidecar_millicores
from isthmus.contracts.vocabulary import CALLED_TARGETS, SENSITIVITIES, VLLM_TARGETS, Sensitivity
from isthmus.core.errors import InputError

EDGE_CPU, EDGE_MEMORY = Decimal(sidecar_millicores(None)) / 1000, Decimal(2**29)
"""What the sidecar of a model server asks for at most: a release that changes its streams needs no other quota."""

PROXIES = Decimal(4)
"""Of a router, each of the size that the namespace gives to who asks for none: 500m and 512Mi."""

TRANSLATED_CPU, TRANSLATED_MEMORY = Decimal("1.1"), Decimal(2 * 2**30 + 64 * 2**20)
"""A translator's copy and the credential helper's beside it."""


def classes_at(platform: Platform, site: Site) -> list[str]:
    """Classes in use at a site, in order of sensitivity."""
    inside = [each for each in platform.endpoints if each.target in VLLM_TARGETS]
    gateways = [each for each in platform.gateways if each.runs_on == "kubernetes"]
    used = {each.class_ for each in (*gateways, *inside) if each.site == site.name}
    return [held for held in SENSITIVITIES if held in used]


def served_on(platform: Platform, pool: Pool) -> list[Endpoint]:
    """Endpoints that run on a pool."""
    return [e for e in platform.endpoints if e.site == pool.site and e.pool == pool.name]


def on_cpus(platform: Platform, site: Site) -> list[Endpoint]:
    """Endpoints of a site that run without GPUs."""
    return [e for e in platform.endpoints if e.site == site.name and e.engine == "cpu"]


def namespace_args(
    platform: Platform, site: Site, held: str, going: Sequence[Standing] = ()
) -> ClassNamespaceArgs:
    """Quota: what the class's pods ask for, and room for a roll: an ending pod counts until it is gone.

    `going`: what stands of an earlier plan until its successors serve; it counts as long.
    """
    platform = at_most(platform)
    targets = {endpoint.id: endpoint.target for endpoint in platform.endpoints}
    cpu = memory = Decimal(0)
    pods = 0
    fetched = [on_disks(each.fetchers) for each in going if (each.class_, each.site) == (held, site.name)]
    rolling = [Decimal(0), Decimal(0)]
    # Whole GPUs and slices of each profile; one more of each than are asked for, for a pod that is ending.
    devices: dict[str, int] = {f"requests.{GPU}": 0}
    ending: dict[str, int] = {}
    for endpoint in platform.endpoints:
        if endpoint.class_ != held or endpoint.site != site.name or endpoint.target not in VLLM_TARGETS:
            continue
        nodes = endpoint.nodes_per_replica
        resource, each = asked_of(platform, endpoint), endpoint.tensor_parallel * nodes
        if endpoint.engine == "cpu":
            each = 0
        devices[resource] = devices.get(resource, 0) + each * endpoint.replicas
        ending[resource] = max(ending.get(resource, 0), each)
        one = (
            # Of a group, only the pod that leads has the sidecar.
            amount(endpoint.cpu) * nodes + EDGE_CPU,
            amount(endpoint.memory) * nodes + EDGE_MEMORY,
        )
        cpu += one[0] * endpoint.replicas
        memory += one[1] * endpoint.replicas
        pods += (endpoint.replicas + 1) * endpoint.nodes_per_replica
        fetched.append(fetching(platform, endpoint))
        rolling = [max(a, b) for a, b in zip(rolling, one, strict=True)]
    for each in going:
        if (each.class_, each.site) == (held, site.name):
            resource = asked_by(platform, each)
            devices[resource] = devices.get(resource, 0) + each.total
            cpu += (amount(each.cpu) + EDGE_CPU) * each.nodes * each.replicas
            memory += (amount(each.memory) + EDGE_MEMORY) * each.nodes * each.replicas
            pods += each.nodes * each.replicas
    for gateway in platform.gateways:
        if gateway.class_ != held or gateway.site != site.name:
            continue
        # Doubled: while one rolls, old pods finish their answers beside the new.
        copies = 2 * (max(gateway.replicas, gateway.max_replicas or 0) + 1)
        translated = any(targets[workload.endpoint] in CALLED_TARGETS for workload in gateway.workloads)
        cpu += copies * (amount(gateway.cpu) + (TRANSLATED_CPU if translated else 0))
        memory += copies * (amount(gateway.memory) + (TRANSLATED_MEMORY if translated else 0))
        beside = screening_room(gateway)
        cpu, memory = cpu + copies * beside[0], memory + copies * beside[1]
        pods += copies * (2 if translated else 1)
        if held != "restricted" and site.cluster_dns.filter:
            # While it rolls, one more.
            several = REPLICAS + 1
            cpu, memory = cpu + several * amount(CPU), memory + several * amount(MEMORY)
            pods += several
        if gateway.router is not None:
            cpu, memory, pods = cpu + PROXIES / 2, memory + PROXIES * 2**29, pods + int(PROXIES)
    cpu, memory = cpu + rolling[0], memory + rolling[1]
    quota = {
        "pods": str(pods + sum(each.pods for each in fetched)),
        "requests.cpu": as_cpu(cpu + sum(each.cpu for each in fetched)),
        "limits.cpu": as_cpu(cpu + sum(each.most_cpu for each in fetched)),
        "requests.memory": as_memory(memory + sum(each.memory for each in fetched)),
        "limits.memory": as_memory(memory + sum(each.most_memory for each in fetched)),
        **{name: str(count + ending.get(name, 0)) for name, count in sorted(devices.items())},
        **not_shared(platform, site, held),
    }
    made: ClassNamespaceArgs = {"sensitivity": held, "quota": quota, "resolvers": list(site.dns)}
    if held != "restricted":
        made["dns"] = dns_peers(site)
        made["own_resolver"] = site.cluster_dns.filter
    if held in site.existing_namespaces:
        made["existing"] = True
    return made


def dns_peers(site: Site) -> list[Any]:
    """The resolvers of a site's cluster, as components take them."""
    return [peer.model_dump(exclude_none=True) for peer in site.cluster_dns.resolvers]


def resolver_args(platform: Platform, site: Site, held: Sensitivity) -> NameResolver | None:
    """The resolver of a class at a site; None where its pods ask the site's or the cluster's own."""
    if held == "restricted" or not site.cluster_dns.filter:
        return None
    if platform.images.resolver is None:
        raise InputError(
            "no image of the resolver is named, and gateways ask one that answers for the names they need alone",
            where="images.resolver",
            fix=f"Name CoreDNS by digest; or set `cluster_dns: {{filter: false}}` of site {site.name}: its pods can"
            " then spell data into names",
        )
    settings: NameResolver = {
        "image": platform.images.resolver,
        "domain": site.cluster_dns.domain,
        "peers": dns_peers(site),
    }
    if held in site.cluster_dns.addresses:
        settings["address"] = site.cluster_dns.addresses[held]
    return settings


def admission_args(platform: Platform, site: Site) -> AdmissionGuardArgs:
    """What a site's cluster lets in, and who may open shells in an emergency."""
    found: AdmissionGuardArgs = {"registries": list(platform.images.registries)}
    glass = platform.people.break_glass if platform.people is not None else None
    if glass is not None:
        found["emergency_users"] = sorted(each.user for each in glass.keyholders)
    routed = {each.class_ for each in platform.gateways if each.site == site.name and each.router is not None}
    if routed:
        found["routed_classes"] = sorted(routed)
    return found


def pool_args(platform: Platform, pool: Pool, going: Sequence[Standing] = ()) -> GpuPoolArgs:
    """`going`: a pod of it that ends early is queued again, so its class keeps its way in as long as it stands."""
    used = {endpoint.class_ for endpoint in served_on(platform, pool)}
    used |= {each.class_ for each in going if (each.site, each.pool) == (pool.site, pool.name)}
    made: dict[str, Any] = {
        "name": pool.name,
        "product": pool.product,
        "nodes": pool.nodes,
        "gpus_per_node": pool.gpus_per_node,
        "reserved_gpus": pool.reserved_gpus,
        "node_names": list(pool.node_names),
        "mig": cut_machines(platform, pool),
        "classes": [held for held in SENSITIVITIES if held in used],
        **({"marked": True} if pool.node_group is not None else {}),
        **_found_by(pool),
        "gpu_operator": platform.operators.gpu_operator,
        "kueue": platform.operators.kueue,
        **settings(platform, pool),
    }
    return made  # type: ignore[return-value]


def _found_by(pool: Pool) -> dict[str, Any]:
    """How Node Feature Discovery finds the machines of a pool that names none and makes none."""
    if pool.node_names or pool.node_group is not None:
        return {}
    known = GPUS[pool.gpu].pci_devices if pool.gpu in GPUS else ()
    devices = pool.pci_devices or list(known)
    return {"pci_devices": devices} if devices else {}


def shared(platform: Platform, certificate_secret: str | None) -> dict[str, Any]:
    """What every workload takes from the platform as a whole."""
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


def spread_over(platform: Platform, site: str) -> dict[str, Any]:
    """By which node label a site's pods are spread; nothing where it is the components' default."""
    label = failure_domain_label(platform, site)
    return {"failure_domain_label": label} if label != ZONE_LABEL else {}


def door_args(platform: Platform, endpoint: Endpoint) -> ModelDoorArgs:
    made: dict[str, Any] = {
        **door_ways(platform, endpoint),
        "id": endpoint.id,
        "sensitivity": endpoint.class_,
        "monitoring_namespace": platform.monitoring.namespace or "",
        "nodes_per_replica": endpoint.nodes_per_replica,
        "replicas": endpoint.replicas,
        "surge": endpoint.surge,
    }
    return made  # type: ignore[return-value]


def model_args(
    platform: Platform, pool: Pool | None, endpoint: Endpoint, door: DoorGiven | None = None
) -> ModelServerArgs:
    """`pool`: None where it runs on CPUs. `door`: where its Service and network policies are another stack's."""
    if endpoint.weights is None:
        raise InputError(
            f"endpoint '{endpoint.id}' names no weights",
            where=f"endpoints.{endpoint.id}.weights",
            fix="Name uri and digest in the stack's overrides",
        )
    given = endpoint.model_dump(exclude_none=True)
    given["weights"] = weights_args(endpoint)
    same = (
        *("id", "model", "weights", "precision", "mig_profile", "tensor_parallel", "nodes_per_replica"),
        *("replicas", "survive", "max_model_len", "max_num_seqs", "gpu_memory_utilization"),
        *("kv_cache_dtype", "adapters", "engine_version", "engine_args"),
        *("cpu", "memory", "load_timeout_s", "surge"),
        *("model_family", "tool_call_parser", "reasoning_parser", "chat_template"),
    )
    made: dict[str, Any] = {
        **{key: given[key] for key in same if key in given},
        **shared(platform, endpoint.certificate_secret),
        **({"trust_bundle": platform.trust_bundle} if platform.trust_bundle else {}),
        "sensitivity": endpoint.class_,
        "vllm_image": platform.images.vllm if pool is not None else platform.images.vllm_cpu,
        "edge_image": platform.images.edge,
        **({"pod_priority": platform.pod_priorities.model} if platform.pod_priorities.mode != "off" else {}),
        **serving_args(platform, endpoint),
        **({"door": door.model_dump()} if door is not None else {}),
    }
    if pool is not None:
        made |= {
            "product": pool.product,
            "pool": pool.name,
            "failure_domains": pool.failure_domains,
            **spread_over(platform, pool.site),
            **_slices(platform, pool, endpoint),
            **placed(pool, endpoint),
            **queue_of(platform, pool, endpoint),
        }
    return made  # type: ignore[return-value]


def cut_machines(platform: Platform, pool: Pool) -> list[CutMachine]:
    """The pool's GPUs that are cut, machine by machine."""
    if not pool.mig:
        return []
    platform = at_most(platform)
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
        for node, mine in zip(pool.node_names, layout, strict=False)
        for owner, gpus in sorted(mine.items())
    ]


def mig_layouts_args(platform: Platform, site: Site) -> MigLayoutsArgs | None:
    """What MIG manager must be told beyond its own layouts; None where those are enough."""
    pools = [pool for pool in platform.pools if pool.site == site.name and pool.mig]
    gpus = {node: pool.gpus_per_node for pool in pools for node in pool.node_names}
    cuts = [cut for pool in pools for cut in cut_machines(platform, pool)]
    if not any(is_partial(gpus[node], on_machine(cuts, node)) for node in gpus):
        return None
    return {"namespace": platform.operators.gpu_operator_namespace, "gpus": gpus, "cuts": cuts}


def _slices(platform: Platform, pool: Pool, endpoint: Endpoint) -> dict[str, Any]:
    """Whose slices an endpoint has, and how evenly they are spread."""
    if not endpoint.mig_profile:
        return {}
    platform = at_most(platform)
    owner = mig.owner_of(platform_mig.sliced(endpoint))
    cut = next(cut for cut in platform_mig.cuts(platform, pool) if cut.owner == owner)
    each = mig.instances(pool.gpu, cut.profile)
    layout = platform_mig.layout(platform, pool) or []
    domains = {node % pool.failure_domains for node, mine in enumerate(layout) if owner in mine}
    return {
        "slices": owner,
        # A domain without slices of its own cannot hold one of its replicas.
        "failure_domains": len(domains),
        "max_skew": mig.skew(cut, layout, pool.failure_domains, each),
    }


def audit_args(platform: Platform, site: Site, store: AuditStore, sealers: list[str]) -> AuditTrailArgs:
    """A site's store, and with it the account's trail where the platform keeps one there. `sealers`: patterns of the
    names of the roles that may put."""
    made = store.model_dump(exclude_none=True)
    if sealers:
        made["sealers"] = sealers
    if site.kind == "aws" and site.region:
        made["region"] = site.region
    trail = next((each for each in platform.trails if each.site == site.name), None)
    if trail is not None and site.kind == "aws":
        made["trail"] = {
            **trail.model_dump(include={"mode", "organization", "retention_days"}),
            "notify": list(platform.contacts.security),
            **({"permissions_boundary": site.permissions_boundary} if site.permissions_boundary else {}),
        }
    made["tags"] = dict(platform.tags)
    if site.kms_key:
        made["kms_key"] = site.kms_key
    return made  # type: ignore[return-value]

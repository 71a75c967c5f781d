"""Rules of a plan for capacity: replicas fit the pools and survive what they must."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from isthmus.contracts.hardware import mig
from isthmus.contracts.hardware.packing import Replica, capacities, pack
from isthmus.contracts.plan.document import Plan, PlannedEndpoint, pool_name, zone_name
from isthmus.contracts.requirements.document import OnPremSite, Requirements
from isthmus.contracts.requirements.node_share import node_lacks
from isthmus.contracts.requirements.sites import Pool
from isthmus.contracts.vocabulary import SURVIVES, VLLM_TARGETS, Survive
from isthmus.core.errors import FieldError
from isthmus.core.validation_errors import did_you_mean


def pool_of(endpoint: PlannedEndpoint, requirements: Requirements) -> Pool | None:
    """The requirements' pool of an on-prem endpoint."""
    site = requirements.site(endpoint.site)
    if not isinstance(site, OnPremSite):
        return None
    return next((pool for pool in site.pools if pool.gpu == endpoint.gpu), None)


def survive_of(plan: Plan, requirements: Requirements, endpoint: str) -> Survive:
    """The most that any workload on the endpoint asks it to survive, or that the planner raised it to."""
    names = {placement.workload for placement in plan.placements if placement.endpoint == endpoint}
    levels = {
        plan.survive_of(workload.name, workload.survive)
        for workload in requirements.workloads
        if workload.name in names
    }
    for level in reversed(SURVIVES):
        if level in levels:
            return level
    return "none"


def pools_exist(plan: Plan, requirements: Requirements) -> None:
    """An endpoint on GPUs says how it uses them; an on-prem one names a pool of its site."""
    for index, endpoint in enumerate(plan.endpoints):
        path = ("endpoints", index)
        if endpoint.target not in VLLM_TARGETS:
            continue
        for key in ("gpu", "tensor_parallel", "nodes_per_replica", "replicas"):
            if getattr(endpoint, key) is None:
                raise FieldError(
                    f"endpoint {endpoint.id} on {endpoint.target} has no {key}",
                    *path,
                    key,
                    fix=f"Add `{key}: …`",
                )
        site = requirements.site(endpoint.site)
        if isinstance(site, OnPremSite) and pool_of(endpoint, requirements) is None:
            gpus = [pool.gpu for pool in site.pools]
            raise FieldError(
                f"site {site.name} has no pool of `{endpoint.gpu}` for model {endpoint.model}",
                *(*path, "gpu"),
                fix=f"{did_you_mean(endpoint.gpu, gpus)} Pools: {', '.join(gpus) or 'none'}".strip(),
            )


def api_endpoints_have_no_gpus(plan: Plan, requirements: Requirements) -> None:
    """An API takes no GPUs."""
    for index, endpoint in enumerate(plan.endpoints):
        if endpoint.target == "bedrock" and (endpoint.gpus or endpoint.gpu):
            key = "gpus" if endpoint.gpus else "gpu"
            raise FieldError(
                f"endpoint {endpoint.id} is on bedrock, which needs no GPUs, but has `{key}`",
                *("endpoints", index, key),
                fix=f"Remove `{key}`",
            )


def replicas_fit_nodes_and_pool(plan: Plan, requirements: Requirements) -> None:
    """Tensor parallelism stays inside a node, a replica inside the pool; MIG only where it is allowed."""
    for index, endpoint, pool in _on_prem_endpoints(plan, requirements):
        path = ("endpoints", index)
        tensor_parallel, nodes = endpoint.tensor_parallel or 1, endpoint.nodes_per_replica or 1
        if tensor_parallel > pool.gpus_per_node:
            raise FieldError(
                f"tensor_parallel {tensor_parallel} needs {tensor_parallel} GPUs in one node, but a node of "
                f"{pool_name(endpoint.site, pool.gpu)} has {pool.gpus_per_node}",
                *(*path, "tensor_parallel"),
                fix=f"Set tensor_parallel to {pool.gpus_per_node} or less",
            )
        if nodes > pool.nodes:
            message = f"nodes_per_replica is {nodes}, but the pool has {pool.nodes} nodes"
            raise FieldError(
                message, *path, "nodes_per_replica", fix=f"Set nodes_per_replica to {pool.nodes} or less"
            )
        if not endpoint.mig_profile:
            continue
        if pool.mig != "allowed":
            raise FieldError(
                f"the pool of {pool.gpu} does not allow MIG",
                *path,
                "mig_profile",
                fix="Remove mig_profile, or set `mig: allowed` of the pool in the requirements",
            )
        if tensor_parallel > 1 or nodes > 1:
            key = "tensor_parallel" if tensor_parallel > 1 else "nodes_per_replica"
            raise FieldError(
                f"{key} is {getattr(endpoint, key)}, but a replica on MIG slices uses exactly one slice",
                *path,
                key,
                fix=f"Set `{key}: 1`, or use whole GPUs (remove mig_profile)",
            )


def gpus_add_up(plan: Plan, requirements: Requirements) -> None:
    """gpus = tensor_parallel × nodes_per_replica × replicas; of an endpoint on slices they are slices."""
    for index, endpoint in enumerate(plan.endpoints):
        if endpoint.target not in VLLM_TARGETS:
            continue
        factors = (endpoint.tensor_parallel or 1, endpoint.nodes_per_replica or 1, endpoint.replicas or 1)
        product = factors[0] * factors[1] * factors[2]
        if endpoint.gpus != product:
            raise FieldError(
                f"gpus is {endpoint.gpus}, but tensor_parallel × nodes_per_replica × replicas = "
                f"{factors[0]} × {factors[1]} × {factors[2]} = {product}",
                *("endpoints", index, "gpus"),
                fix=f"Set `gpus: {product}`",
            )


def domains_add_up(plan: Plan, requirements: Requirements) -> None:
    """replicas_by_domain sums to the replicas and names failure domains of the pool."""
    for index, endpoint, pool in _on_prem_endpoints(plan, requirements):
        by_domain = endpoint.replicas_by_domain
        path = ("endpoints", index, "replicas_by_domain")
        if by_domain is None:
            continue
        zones = zones_of(endpoint.site, pool)
        for zone in by_domain:
            if zone not in zones:
                hint = f"{did_you_mean(zone, zones)} Domains: {', '.join(zones)}".strip()
                raise FieldError(f"`{zone}` is not a failure domain of the pool", *path, zone, fix=hint)
        if sum(by_domain.values()) != endpoint.replicas:
            total = sum(by_domain.values())
            raise FieldError(
                f"replicas_by_domain sums to {total}, but replicas is {endpoint.replicas}",
                *path,
                fix="Correct one of the two",
            )


def survival_is_possible(plan: Plan, requirements: Requirements) -> None:
    """`replica` needs two replicas, `node` two nodes, `domain` replicas in two domains."""
    for index, endpoint, pool in _on_prem_endpoints(plan, requirements):
        level = survive_of(plan, requirements, endpoint.id)
        path = ("endpoints", index)
        reason = f"a workload on `{endpoint.id}` must survive the loss of a {level}"
        if level != "none" and (endpoint.replicas or 1) < 2:
            raise FieldError(
                f"{reason}, but it has one replica", *path, "replicas", fix="Set replicas to 2 or more"
            )
        if level in ("node", "domain") and pool.nodes < 2 * (endpoint.nodes_per_replica or 1):
            message = f"{reason}, but the pool has {pool.nodes} nodes"
            raise FieldError(message, *path, "gpu", fix="Use a pool with more nodes, or lower `survive`")
        if level == "domain":
            by_domain = endpoint.replicas_by_domain or {}
            if len([zone for zone, count in by_domain.items() if count]) < 2:
                fix = "Spread the replicas over two domains or more"
                raise FieldError(
                    f"{reason}, but its replicas are in fewer than two", *path, "replicas_by_domain", fix=fix
                )


def replicas_fit_pools(plan: Plan, requirements: Requirements) -> None:
    """The replicas of a pool fit its nodes, in their domains, and still with its spare nodes away.

    Reserved GPUs are taken from the last nodes, as few nodes as possible. With `spare_nodes_per_pool`
    nodes away, whichever they are, all replicas must still find room, in any domain.
    """
    for site in requirements.sites:
        if not isinstance(site, OnPremSite):
            continue
        for pool in site.pools:
            endpoints = [
                (index, endpoint)
                for index, endpoint in enumerate(plan.endpoints)
                if endpoint.site == site.name and endpoint.gpu == pool.gpu
            ]
            if endpoints:
                _check_packing(site, pool, endpoints, cut_gpus(plan, requirements, site.name, pool))


def sliced(plan: Plan, requirements: Requirements, endpoint: PlannedEndpoint, pool: Pool) -> mig.Sliced:
    """A planned endpoint with `mig_profile` as `mig.cuts` takes it."""
    by_domain = endpoint.replicas_by_domain
    return mig.Sliced(
        endpoint.id,
        endpoint.class_,
        endpoint.mig_profile or "",
        endpoint.replicas or 1,
        survive_of(plan, requirements, endpoint.id),
        tuple(by_domain.get(zone, 0) for zone in zones_of(endpoint.site, pool)) if by_domain else None,
    )


def cut_gpus(plan: Plan, requirements: Requirements, site: str, pool: Pool) -> list[mig.Cut]:
    """The GPUs of a pool that its endpoints on slices need cut. Raises `FieldError` as `mig.cuts` does."""
    return mig.cuts(
        pool.gpu,
        [
            sliced(plan, requirements, endpoint, pool)
            for endpoint in plan.endpoints
            if endpoint.site == site and endpoint.gpu == pool.gpu and endpoint.mig_profile
        ],
    )


def slices_fill_gpus(plan: Plan, requirements: Requirements) -> None:
    """A profile is one of the GPU's; what outlives a node or a domain uses every slice of its GPUs."""
    for index, endpoint, pool in _on_prem_endpoints(plan, requirements):
        if not endpoint.mig_profile:
            continue
        path = ("endpoints", index)
        try:
            mig.instances(pool.gpu, endpoint.mig_profile)
        except FieldError as error:
            raise FieldError(error.what, *path, "mig_profile", fix=error.fix) from None
        try:
            mig.cuts(pool.gpu, [sliced(plan, requirements, endpoint, pool)])
        except FieldError as error:
            raise FieldError(error.what, *path, "replicas", fix=error.fix) from None


def _check_packing(
    site: OnPremSite, pool: Pool, endpoints: list[tuple[int, PlannedEndpoint]], cuts: list[mig.Cut]
) -> None:
    name = pool_name(site.name, pool.gpu)
    free = capacities(pool.nodes, pool.gpus_per_node, pool.reserved_gpus)
    path = ("endpoints", endpoints[-1][0], "replicas")
    ids = ", ".join(endpoint.id for _, endpoint in endpoints)
    whole_gpu_endpoints = [endpoint for _, endpoint in endpoints if not endpoint.mig_profile]
    replicas = [
        replica for endpoint in whole_gpu_endpoints for replica in _replicas(endpoint, endpoint.replicas or 1)
    ]
    cut = sum(cut_count.gpus for cut_count in cuts)
    needed = sum(endpoint.gpus for endpoint in whole_gpu_endpoints) + cut
    room = f"{needed} GPUs of {sum(free)} usable in nodes of {pool.gpus_per_node}"
    room += f", {cut} of them cut" if cut else ""
    fix = "Use fewer replicas, a smaller tensor_parallel, or another pool"
    spare = site.maintenance.spare_nodes_per_pool
    remaining = sorted(free)[: len(free) - spare]  # the roomiest are the worst to lose
    # The GPUs of a node that is away can be cut elsewhere: a cut GPU needs room for one.
    if pack(remaining, [*replicas, *[Replica(1)] * cut]) is None:
        away = f" with {spare} spare node(s) away" if spare else ""
        raise FieldError(f"the replicas of {ids} do not fit pool {name}{away} ({room})", *path, fix=fix)
    replicas_by_domain: list[list[Replica]] = []
    for number, zone in enumerate(zones_of(site.name, pool)):
        nodes = [free[node] for node in range(pool.nodes) if node % pool.failure_domains == number]
        bound_endpoints = [
            endpoint for endpoint in whole_gpu_endpoints if endpoint.replicas_by_domain is not None
        ]
        domain_replicas = [
            replica
            for endpoint in bound_endpoints
            for replica in _replicas(endpoint, (endpoint.replicas_by_domain or {}).get(zone, 0))
        ]
        replicas_by_domain.append(list(domain_replicas))
        cuts_by_domain = [cut_count for cut_count in cuts if cut_count.by_domain is not None]
        domain_replicas += [Replica(1)] * sum(
            (cut_count.by_domain or ())[number] for cut_count in cuts_by_domain
        )
        if pack(nodes, domain_replicas) is None:
            names = ", ".join(
                [
                    *(endpoint.id for endpoint in bound_endpoints),
                    *(cut_count.owner for cut_count in cuts_by_domain),
                ]
            )
            raise FieldError(
                f"the replicas of {names} in domain {zone} do not fit its nodes in pool {name}",
                *path,
                fix=fix,
            )
    if cuts and mig.lay_out(cuts, free, pool.failure_domains, replicas, replicas_by_domain) is None:
        raise FieldError(
            f"the GPUs of pool {name} cannot be cut so that {ids} fit ({room}): on a node, one profile serves one "
            "class, and endpoints that survive a node or domain are spread evenly",
            *path,
            fix="Use other profiles for different classes, fewer slices, or another pool",
        )


def zones_of(site: str, pool: Pool) -> list[str]:
    """The names of a pool's failure domains."""
    return [zone_name(site, domain) for domain in range(pool.failure_domains)]


def _replicas(endpoint: PlannedEndpoint, count: int) -> list[Replica]:
    return [Replica(endpoint.tensor_parallel or 1, endpoint.nodes_per_replica or 1)] * count


def _on_prem_endpoints(plan: Plan, requirements: Requirements) -> Iterator[tuple[int, PlannedEndpoint, Pool]]:
    for index, endpoint in enumerate(plan.endpoints):
        pool = pool_of(endpoint, requirements)
        if pool is not None:
            yield index, endpoint, pool


def nodes_have_cpu_and_memory(plan: Plan, requirements: Requirements) -> None:
    """A replica's part of a node has the CPU and the memory that its engine needs, where the pool states them."""
    for index, endpoint, pool in _on_prem_endpoints(plan, requirements):
        if why := node_lacks(pool, endpoint.tensor_parallel or 1, endpoint.mig_profile):
            raise FieldError(
                f"endpoint {endpoint.id} does not fit its nodes: {why}",
                *("endpoints", index, "tensor_parallel"),
                fix="Use another pool, or correct cpus_per_node and memory_gib_per_node in the requirements",
            )


CHECKS: tuple[Callable[[Plan, Requirements], None], ...] = (
    pools_exist,
    api_endpoints_have_no_gpus,
    replicas_fit_nodes_and_pool,
    gpus_add_up,
    domains_add_up,
    survival_is_possible,
    slices_fill_gpus,
    nodes_have_cpu_and_memory,
    replicas_fit_pools,
)

"""Rules for GPU pools: shares, queues, topology, drivers, the GPU Operator, RDMA networks and pod sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from isthmus.contracts.platform.lookups import slicing as platform_slicing
from isthmus.contracts.platform.lookups.pools import failure_domain_label
from isthmus.contracts.platform.model.pools import HOST_LABEL, ClassShare, Pool, default_borrow_and_lend
from isthmus.contracts.platform.rules import gpu_sharing
from isthmus.contracts.vocabulary import SENSITIVITIES
from isthmus.core.errors import FieldError
from isthmus.core.quantities import amount
from isthmus.core.uniqueness import unique
from isthmus.core.validation_errors import known_names

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Endpoint, Platform

_MAX_LABEL_LENGTH = 63
"""Kubernetes limit for label values. Names of queues and priorities are label values."""
_HOST_LEVEL = "kubernetes.io/hostname"


def borrow_and_lend_limits(share: ClassShare) -> tuple[int | None, int | None]:
    """GPUs that a class may borrow and lend; None: no limit."""
    default = default_borrow_and_lend(share.class_)
    return (
        share.borrow if share.borrow is not None else default,
        share.lend if share.lend is not None else default,
    )


def shares_add_up(platform: Platform) -> None:
    """Shares of classes and teams do not exceed the GPUs of the pool, and names are unique."""
    for index, pool in enumerate(platform.pools):
        if pool.sharing is None:
            continue
        path = ("pools", index, "sharing")
        if platform.operators.kueue == "off":
            raise FieldError(
                f"pool {pool.name} has `sharing`, but operators.kueue is off",
                *path,
                fix="Set `operators.kueue: existing`, or remove `sharing`",
            )
        usable = platform_slicing.whole_gpus(platform, pool)
        _check_no_duplicates((share.class_ for share in pool.sharing.classes), "class", *path, "classes")
        assigned = sum(share.gpus for share in pool.sharing.classes)
        if assigned > usable:
            message = f"the classes have {assigned} GPUs, but pool {pool.name} has {usable} to share"
            fix = f"Lower `gpus` of the classes to {usable} in all: reserved, MIG and time-sliced GPUs do not count"
            raise FieldError(message, *path, "classes", fix=fix)
        for number, share in enumerate(pool.sharing.classes):
            _check_team_shares(pool, share, (*path, "classes", number))
        preemption = pool.sharing.preemption
        if preemption.borrowing != "never" and preemption.reclaim == "never":
            message = "preemption.borrowing evicts workloads, but preemption.reclaim is never"
            raise FieldError(
                message, *path, "preemption", "borrowing", fix="Set `reclaim: any`, or set `borrowing: never`"
            )
        unique(pool.sharing.priorities, "name", *path, "priorities")
        for number, priority in enumerate(pool.sharing.priorities):
            if priority.name in SENSITIVITIES:
                message = (
                    f"the priority `{priority.name}` has the name of a class, which has a priority already"
                )
                raise FieldError(message, *path, "priorities", number, "name", fix="Give it another name")
            _check_label_length(f"{pool.name}-{priority.name}", *path, "priorities", number, "name")


def _check_team_shares(pool: Pool, share: ClassShare, path: tuple[str | int, ...]) -> None:
    unique(share.teams, "name", *path, "teams")
    assigned = sum(team.gpus for team in share.teams)
    if assigned > share.gpus:
        message = f"the teams of class {share.class_} have {assigned} GPUs, but the class has {share.gpus}"
        raise FieldError(
            message, *path, "teams", fix="Raise `gpus` of the class, or lower those of its teams"
        )
    for number, team in enumerate(share.teams):
        _check_label_length(f"{pool.name}-{share.class_}-{team.name}", *path, "teams", number, "name")


def _check_label_length(name: str, *path: str | int) -> None:
    if len(name) > _MAX_LABEL_LENGTH:
        message = f"the queue name `{name}` has {len(name)} characters, but Kueue allows {_MAX_LABEL_LENGTH}"
        raise FieldError(message, *path, fix="Use a shorter name for it or for the pool")


def endpoints_have_a_queue(platform: Platform) -> None:
    """An endpoint's class has a share of its pool, and its team and priority exist."""
    pools = {pool.name: pool for pool in platform.pools}
    for index, endpoint in enumerate(platform.endpoints):
        path = ("endpoints", index)
        pool = pools.get(endpoint.pool or "")
        sharing = pool.sharing if pool is not None else None
        if pool is None or sharing is None:
            for key in ("team", "priority"):
                if getattr(endpoint, key) is not None:
                    message = f"endpoint {endpoint.id} has `{key}`, but its pool has no `sharing`"
                    raise FieldError(message, *path, key, fix=f"Add `sharing` to the pool, or remove `{key}`")
            continue
        share = next((entry for entry in sharing.classes if entry.class_ == endpoint.class_), None)
        if share is None:
            message = f"class {endpoint.class_} of endpoint {endpoint.id} has no share of pool {pool.name}"
            raise FieldError(
                message,
                *("pools", platform.pools.index(pool), "sharing", "classes"),
                fix=f"Add `{{class: {endpoint.class_}, gpus: …}}`",
            )
        teams = [team.name for team in share.teams]
        if endpoint.team is None and teams:
            message = f"endpoint {endpoint.id} has no team, but class {share.class_} is divided between teams"
            raise FieldError(message, *path, "team", fix=f"Set `team` to one of {', '.join(teams)}")
        if endpoint.team is not None and endpoint.team not in teams:
            hint = known_names(endpoint.team, teams)
            raise FieldError(
                f"class {share.class_} has no team `{endpoint.team}` on pool {pool.name}",
                *path,
                "team",
                fix=hint,
            )
        names = [priority.name for priority in sharing.priorities]
        if endpoint.priority is not None and endpoint.priority not in names:
            hint = known_names(endpoint.priority, names)
            raise FieldError(
                f"pool {pool.name} has no priority `{endpoint.priority}`", *path, "priority", fix=hint
            )


def borrowed_gpus_are_lent(platform: Platform) -> None:
    """GPUs that endpoints need beyond their own queue may be borrowed, and other queues lend them."""
    for index, pool in enumerate(platform.pools):
        if pool.sharing is None:
            continue
        requested: dict[tuple[str, str | None], int] = {}
        for endpoint in platform.endpoints:
            if endpoint.pool == pool.name and not endpoint.mig_profile and not endpoint.time_sliced:
                key = (endpoint.class_, endpoint.team)
                requested[key] = requested.get(key, 0) + endpoint.gpus
        path = ("pools", index, "sharing", "classes")
        idle_gpus = platform_slicing.whole_gpus(platform, pool) - sum(
            share.gpus for share in pool.sharing.classes
        )
        borrowed: dict[str, int] = {}
        for number, share in enumerate(pool.sharing.classes):
            needed = sum(gpus for (class_, _), gpus in requested.items() if class_ == share.class_)
            borrow, lend = borrow_and_lend_limits(share)
            # GPUs that a team does not lend are not available to the class.
            idle, lacking = _idle_and_lacking(share, requested, (*path, number))
            if (beyond := max(0, lacking - idle)) > 0:
                if borrow is not None and beyond > borrow:
                    raise FieldError(
                        f"the endpoints of class {share.class_} need {needed} GPUs of pool {pool.name}: "
                        f"{beyond} more than "
                        f"the class has, but it may borrow {borrow}",
                        *(*path, number),
                        fix=f"Set `gpus: {needed}`, or set `borrow: {beyond}`",
                    )
                borrowed[share.class_] = beyond
            else:
                spare = idle - lacking
                idle_gpus += spare if lend is None else min(spare, lend)
        if sum(borrowed.values()) > idle_gpus:
            listed = ", ".join(f"{class_} {gpus}" for class_, gpus in borrowed.items())
            message = (
                f"the endpoints on pool {pool.name} need to borrow {sum(borrowed.values())} GPUs ({listed})"
            )
            raise FieldError(
                f"{message}, but other classes lend only {idle_gpus} idle GPUs",
                *path,
                fix="Raise `gpus` of these classes, or raise `lend` of others",
            )


def _idle_and_lacking(
    share: ClassShare, requested: dict[tuple[str, str | None], int], path: tuple[str | int, ...]
) -> tuple[int, int]:
    """Idle GPUs of a class that any of its queues may take, and GPUs that its queues lack."""
    if not share.teams:
        needed = requested.get((share.class_, None), 0)
        return max(0, share.gpus - needed), max(0, needed - share.gpus)
    idle, lacking = share.gpus - sum(team.gpus for team in share.teams), 0
    for number, team in enumerate(share.teams):
        needed = requested.get((share.class_, team.name), 0)
        spare = max(0, team.gpus - needed)
        idle += spare if team.lend is None else min(spare, team.lend)
        beyond = max(0, needed - team.gpus)
        if team.borrow is not None and beyond > team.borrow:
            raise FieldError(
                f"the endpoints of team {team.name} need {needed} GPUs, but the team has {team.gpus} and may borrow "
                f"{team.borrow}",
                *(*path, "teams", number),
                fix=f"Set `gpus: {needed}`, or set `borrow: {beyond}`",
            )
        lacking += beyond
    return idle, lacking


def topology_pools_are_placed_by_kueue(platform: Platform) -> None:
    """On a pool with `topology` Kueue chooses nodes and ignores spread and affinity, so endpoints must not need
    them."""
    for index, pool in enumerate(platform.pools):
        topology, path = pool.topology, ("pools", index, "topology")
        if topology is None:
            continue
        if platform.operators.kueue == "off":
            raise FieldError(
                f"pool {pool.name} has `topology`, but operators.kueue is off",
                *path,
                fix="Set `operators.kueue: existing`, or remove `topology`",
            )
        _check_no_duplicates(topology.levels, "level", *path, "levels")
        if _HOST_LEVEL in topology.levels[:-1]:
            raise FieldError(
                f"`{_HOST_LEVEL}` must be the last level",
                *path,
                "levels",
                fix="Move it to the end of `levels`",
            )
        if topology.required is not None and topology.preferred is not None:
            raise FieldError(
                "`required` and `preferred` are both set", *path, "preferred", fix="Remove one of them"
            )
        for key in ("required", "preferred"):
            level = getattr(topology, key)
            if level is not None and level not in topology.levels:
                raise FieldError(
                    f"`{key}` is `{level}`, which is not in `levels`",
                    *path,
                    key,
                    fix=f"Use one of {', '.join(topology.levels)}",
                )
            if level == _HOST_LEVEL:
                message = "a replica that spans several nodes cannot be placed on one node"
                raise FieldError(message, *path, key, fix=f"Set `{key}` to a wider level")
        for endpoint in platform.endpoints:
            if endpoint.pool == pool.name:
                _check_kueue_placement(platform, pool, endpoint)


def _check_kueue_placement(platform: Platform, pool: Pool, endpoint: Endpoint) -> None:
    path = ("endpoints", platform.endpoints.index(endpoint))
    if endpoint.survive in ("node", "domain"):
        raise FieldError(
            f"endpoint {endpoint.id} must be spread to survive the loss of a {endpoint.survive}, but Kueue "
            "places it on pool "
            f"{pool.name} without spreading",
            *(*path, "survive"),
            fix="Use a pool without `topology`, or set `survive: replica`",
        )
    if endpoint.nodes_per_replica > 1 and 2 * endpoint.tensor_parallel <= pool.gpus_per_node:
        raise FieldError(
            f"Kueue could place two pods of one replica of {endpoint.id} on one node of pool {pool.name}, but each pod "
            "needs a node of its own",
            *(*path, "tensor_parallel"),
            fix=f"Set tensor_parallel above {pool.gpus_per_node // 2}, or use a pool without `topology`",
        )


def drivers_are_named_for_all_pools(platform: Platform) -> None:
    """NVIDIADriver objects replace the ClusterPolicy's driver on all nodes of a site, or on none."""
    for site in {pool.site: None for pool in platform.pools}:
        pools = [pool for pool in platform.pools if pool.site == site]
        if not any(pool.driver for pool in pools):
            continue
        for pool in pools:
            path = ("pools", platform.pools.index(pool), "driver")
            if platform.operators.gpu_operator == "off":
                message = f"pool {pool.name} has `driver`, but operators.gpu_operator is off"
                raise FieldError(message, *path, fix="Set `operators.gpu_operator` to existing or manage")
            if pool.driver is None:
                message = f"pool {pool.name} has no `driver`, but another pool at {site} has one"
                raise FieldError(message, *path, fix="Set `driver` for every pool of the site, or for none")
            if pool.driver.precompiled and "." in pool.driver.version:
                message = f"`{pool.driver.version}` is a full version, but precompiled drivers need a branch"
                raise FieldError(
                    message, *path, "version", fix=f"Set `version: {pool.driver.version.partition('.')[0]}`"
                )
            if not pool.driver.precompiled and "." not in pool.driver.version:
                message = f"`{pool.driver.version}` is a branch, which only precompiled drivers can use"
                raise FieldError(
                    message,
                    *path,
                    "version",
                    fix="Set a full version, e.g. 595.91.07, or set `precompiled: true`",
                )
            if pool.driver.upgrade.drain.enable and not pool.driver.upgrade.drain.delete_empty_dir:
                message = "no node could be drained: every model server has an emptyDir volume"
                raise FieldError(message, *path, "upgrade", "drain", fix="Set `delete_empty_dir: true`")


def gpu_operator_release_is_complete(platform: Platform) -> None:
    """A managed GPU Operator has a chart and consistent driver settings."""
    operators, path = platform.operators, ("operators", "gpu_operator_release")
    release = operators.gpu_operator_release
    if operators.gpu_operator != "manage":
        if release.model_fields_set:
            message = f"gpu_operator_release is set, but gpu_operator is `{operators.gpu_operator}`"
            fix = "Set `gpu_operator: manage`, or remove gpu_operator_release"
            raise FieldError(message, *path, fix=fix)
        return
    if release.chart is None:
        fix = "Set `images.registry` to the registry with the charts of images.lock.yaml, or set `chart` here"
        raise FieldError("gpu_operator is `manage`, but no chart is known", *path, "chart", fix=fix)
    if release.chart.startswith("oci://") and release.version is None:
        message = f"the chart {release.chart} has no version, so the newest one would be installed"
        raise FieldError(message, *path, "version", fix="Set `version`")
    drivers = [pool.name for pool in platform.pools if pool.driver is not None]
    if release.driver == "host" and (drivers or release.driver_version):
        message = f"driver is `host`, but {'pool ' + drivers[0] if drivers else 'the release'} sets a driver version"
        raise FieldError(message, *path, "driver", fix="Set `driver: managed`, or remove the driver version")


def failure_domains_have_a_label(platform: Platform) -> None:
    """Endpoints that survive a failure domain need a node label for domains, not for nodes."""
    for index, endpoint in enumerate(platform.endpoints):
        if endpoint.survive != "domain" or endpoint.pool is None:
            continue
        if failure_domain_label(platform, endpoint.site) == HOST_LABEL:
            sites = [site.name for site in platform.sites]
            raise FieldError(
                f"endpoint {endpoint.id} must survive the loss of a failure domain, but the domain label at "
                f"{endpoint.site} "
                f"is `{HOST_LABEL}`, which is one node",
                *("sites", sites.index(endpoint.site), "failure_domain_label"),
                fix="Set failure_domain_label to the node label of zones or racks, or set `survive: node` for "
                f"{endpoint.id} (endpoints[{index}])",
            )


def dra_pools_have_whole_gpus(platform: Platform) -> None:
    """A pool with DRA allocation has whole GPUs only."""
    for index, pool in enumerate(platform.pools):
        if pool.allocation != "dra":
            continue
        for key in ("mig", "time_slicing"):
            if getattr(pool, key):
                message = f"pool {pool.name} has `allocation: dra`, which supports whole GPUs only, but it has `{key}`"
                raise FieldError(
                    message, "pools", index, key, fix=f"Set `allocation: device-plugin`, or remove `{key}`"
                )


def fabric_networks_have_one_class(platform: Platform) -> None:
    """Each class has an RDMA network of its own, because network policies do not apply there."""
    networks: dict[tuple[str, str], str] = {}
    for index, pool in enumerate(platform.pools):
        rdma = pool.fabric.rdma if pool.fabric is not None else None
        groups = [
            endpoint
            for endpoint in platform.endpoints
            if endpoint.pool == pool.name and endpoint.nodes_per_replica > 1
        ]
        if pool.fabric is not None and not groups:
            message = f"pool {pool.name} has `fabric`, but no endpoint spans several nodes"
            raise FieldError(message, "pools", index, "fabric", fix="Remove `fabric`")
        if rdma is None:
            continue
        path = ("pools", index, "fabric", "rdma", "networks")
        _check_no_duplicates((network.class_ for network in rdma.networks), "class", *path)
        for number, network in enumerate(rdma.networks):
            # Without a namespace, the network is in the namespace of the class.
            full_name = (
                network.network if "/" in network.network else f"isthmus-{network.class_}/{network.network}"
            )
            owner = networks.setdefault((pool.site, full_name), network.class_)
            if owner != network.class_:
                message = (
                    f"classes {owner} and {network.class_} share the RDMA network `{network.network}`, on "
                    "which network "
                    "policies do not apply"
                )
                raise FieldError(
                    message,
                    *path,
                    number,
                    "network",
                    fix="Use a separate network for each class",
                    refused=True,
                )
        classes = [network.class_ for network in rdma.networks]
        for endpoint in groups:
            if endpoint.class_ not in classes:
                message = f"endpoint {endpoint.id} has no RDMA network for class {endpoint.class_}"
                raise FieldError(message, *path, fix=f"Add a network for class {endpoint.class_}")


def _check_no_duplicates(values: Iterable[str], label: str, *path: str | int) -> None:
    listed = list(values)
    for number, value in enumerate(listed):
        if value in listed[:number]:
            raise FieldError(f"{label} `{value}` appears twice", *path, number, fix="Remove one of them")


def pods_fit_their_nodes(platform: Platform) -> None:
    """A pod requests no more CPU and memory than a node of its pool has, if the pool states it."""
    pools = {pool.name: pool for pool in platform.pools}
    for index, endpoint in enumerate(platform.endpoints):
        pool = pools.get(endpoint.pool or "")
        if pool is None:
            continue
        requests = {
            "cpu": (amount(endpoint.cpu), pool.cpus_per_node, "CPUs"),
            "memory": (amount(endpoint.memory) / 2**30, pool.memory_gib_per_node, "GiB of memory"),
        }
        for key, (requested, available, unit) in requests.items():
            # The sidecar of a replica needs up to one core and one GiB.
            if available is not None and requested + 1 > available:
                raise FieldError(
                    f"a pod of endpoint {endpoint.id} needs {float(requested):g} {unit} and 1 for its sidecar, but a "
                    f"node of pool {pool.name} has {available}, so the pod would never be scheduled",
                    *("endpoints", index, key),
                    fix=f"Set `{key}` to {available - 1} or less, or use a pool with larger nodes",
                )


CHECKS: tuple[Callable[[Platform], None], ...] = (
    gpu_sharing.time_slicing_is_valid,
    shares_add_up,
    endpoints_have_a_queue,
    borrowed_gpus_are_lent,
    topology_pools_are_placed_by_kueue,
    drivers_are_named_for_all_pools,
    gpu_operator_release_is_complete,
    failure_domains_have_a_label,
    dra_pools_have_whole_gpus,
    fabric_networks_have_one_class,
    pods_fit_their_nodes,
)

"""What must hold of the pools' settings: quotas add up, nobody waits for ever, no GPU serves two classes.

Rules of `platform_checks`; each raises `FieldError` with the path of the value at fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from isthmus.contracts.platform.lookups import slicing as platform_slicing
from isthmus.contracts.platform.lookups.pools import failure_domain_label
from isthmus.contracts.platform.model.pools import HOST_LABEL, ClassShare, Pool, unless_said
from isthmus.contracts.platform.rules import gpu_sharing
from isthmus.contracts.vocabulary import SENSITIVITIES
from isthmus.core.errors import FieldError
from isthmus.core.quantities import amount
from isthmus.core.uniqueness import unique
from isthmus.core.validation_errors import did_you_mean

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Endpoint, Platform

_KUBE_LABEL = 63
"""Names of queues and priorities stand in labels."""
_HOST = "kubernetes.io/hostname"


def limits(share: ClassShare) -> tuple[int | None, int | None]:
    """GPUs that a class may borrow, and lend; None: as many as there are."""
    none = unless_said(share.class_)
    return (
        share.borrow if share.borrow is not None else none,
        share.lend if share.lend is not None else none,
    )


def shares_add_up(platform: Platform) -> None:
    """A pool's classes and teams have no more than there is, and each is named once."""
    for index, pool in enumerate(platform.pools):
        if pool.sharing is None:
            continue
        path = ("pools", index, "sharing")
        if platform.operators.kueue == "off":
            raise FieldError(
                "without Kueue nobody holds shares", *path, fix="Say `operators.kueue: existing`"
            )
        usable = platform_slicing.whole_gpus(platform, pool)
        _once((share.class_ for share in pool.sharing.classes), "class", *path, "classes")
        given = sum(share.gpus for share in pool.sharing.classes)
        if given > usable:
            what = f"the classes have {given} GPUs, and pool {pool.name} has {usable} to give out"
            raise FieldError(what, *path, "classes", fix="Reserved, cut and time-sliced ones do not count")
        for number, share in enumerate(pool.sharing.classes):
            _teams_add_up(pool, share, (*path, "classes", number))
        preempts = pool.sharing.preemption
        if preempts.borrowing != "never" and preempts.reclaim == "never":
            what = "who borrows evicts others, and who takes back does not"
            raise FieldError(
                what, *path, "preemption", "borrowing", fix="Say `reclaim: any`, or `borrowing: never`"
            )
        unique(pool.sharing.priorities, "name", *path, "priorities")
        for number, priority in enumerate(pool.sharing.priorities):
            if priority.name in SENSITIVITIES:
                what = f"`{priority.name}` is a class, which has a priority already"
                raise FieldError(what, *path, "priorities", number, "name", fix="Give it another name")
            _fits_a_label(f"{pool.name}-{priority.name}", *path, "priorities", number, "name")


def _teams_add_up(pool: Pool, share: ClassShare, path: tuple[str | int, ...]) -> None:
    unique(share.teams, "name", *path, "teams")
    given = sum(team.gpus for team in share.teams)
    if given > share.gpus:
        what = f"the teams of class {share.class_} have {given} GPUs, and the class has {share.gpus}"
        raise FieldError(what, *path, "teams", fix="Give the class more, or its teams less")
    for number, team in enumerate(share.teams):
        _fits_a_label(f"{pool.name}-{share.class_}-{team.name}", *path, "teams", number, "name")


def _fits_a_label(name: str, *path: str | int) -> None:
    if len(name) > _KUBE_LABEL:
        what = f"`{name}` has {len(name)} characters, and Kueue takes {_KUBE_LABEL}"
        raise FieldError(what, *path, fix="Give it or the pool a shorter name")


def endpoints_have_a_queue(platform: Platform) -> None:
    """An endpoint's class has a share of its pool; it names a team where there are some, and a known priority."""
    pools = {pool.name: pool for pool in platform.pools}
    for index, endpoint in enumerate(platform.endpoints):
        path = ("endpoints", index)
        pool = pools.get(endpoint.pool or "")
        sharing = pool.sharing if pool is not None else None
        if pool is None or sharing is None:
            for key in ("team", "priority"):
                if getattr(endpoint, key) is not None:
                    what = f"endpoint {endpoint.id} names a {key}, and its pool has no `sharing`"
                    raise FieldError(what, *path, key, fix="Divide the pool with `sharing`, or take it out")
            continue
        share = next((each for each in sharing.classes if each.class_ == endpoint.class_), None)
        if share is None:
            what = f"class {endpoint.class_} of endpoint {endpoint.id} has no share of pool {pool.name}"
            raise FieldError(
                what, "pools", platform.pools.index(pool), "sharing", "classes", fix="Give it one"
            )
        teams = [team.name for team in share.teams]
        if endpoint.team is None and teams:
            what = f"endpoint {endpoint.id} names no team, and class {share.class_} is divided between teams"
            raise FieldError(what, *path, "team", fix=f"Teams: {', '.join(teams)}")
        if endpoint.team is not None and endpoint.team not in teams:
            hint = f"{did_you_mean(endpoint.team, teams)} Known: {', '.join(teams) or 'none'}".strip()
            raise FieldError(
                f"`{endpoint.team}` is no team of class {share.class_} on pool {pool.name}",
                *path,
                "team",
                fix=hint,
            )
        known = [each.name for each in sharing.priorities]
        if endpoint.priority is not None and endpoint.priority not in known:
            hint = f"{did_you_mean(endpoint.priority, known)} Known: {', '.join(known) or 'none'}".strip()
            raise FieldError(
                f"`{endpoint.priority}` is no priority of pool {pool.name}", *path, "priority", fix=hint
            )


def nobody_waits_for_ever(platform: Platform) -> None:
    """What endpoints ask beyond their queue's GPUs may be borrowed, and is lent by those who need it less."""
    for index, pool in enumerate(platform.pools):
        if pool.sharing is None:
            continue
        asked: dict[tuple[str, str | None], int] = {}
        for endpoint in platform.endpoints:
            if endpoint.pool == pool.name and not endpoint.mig_profile and not endpoint.time_sliced:
                key = (endpoint.class_, endpoint.team)
                asked[key] = asked.get(key, 0) + endpoint.gpus
        path = ("pools", index, "sharing", "classes")
        pot = platform_slicing.whole_gpus(platform, pool) - sum(each.gpus for each in pool.sharing.classes)
        over: dict[str, int] = {}
        for number, share in enumerate(pool.sharing.classes):
            wanted = sum(gpus for (class_, _), gpus in asked.items() if class_ == share.class_)
            borrow, lend = limits(share)
            # What a team keeps to itself is not the class's to use.
            idle, lacking = _within(share, asked, (*path, number))
            if (beyond := max(0, lacking - idle)) > 0:
                if borrow is not None and beyond > borrow:
                    raise FieldError(
                        f"the endpoints of class {share.class_} ask for {wanted} GPUs of pool {pool.name}: {beyond} "
                        f"more than the class has to itself, and it may borrow {borrow}",
                        *(*path, number),
                        fix=f"Say `gpus: {wanted}`, or `borrow: {beyond}`",
                    )
                over[share.class_] = beyond
            else:
                spare = idle - lacking
                pot += spare if lend is None else min(spare, lend)
        if sum(over.values()) > pot:
            listed = ", ".join(f"{class_} {gpus}" for class_, gpus in over.items())
            what = f"the endpoints on pool {pool.name} would borrow {sum(over.values())} GPUs ({listed})"
            raise FieldError(
                f"{what}, and {pot} are idle and lent",
                *path,
                fix="Give these classes more, or let others lend more",
            )


def _within(
    share: ClassShare, asked: dict[tuple[str, str | None], int], path: tuple[str | int, ...]
) -> tuple[int, int]:
    """Idle GPUs of a class that any of its queues may take, and GPUs that its queues lack."""
    if not share.teams:
        wanted = asked.get((share.class_, None), 0)
        return max(0, share.gpus - wanted), max(0, wanted - share.gpus)
    idle, lacking = share.gpus - sum(team.gpus for team in share.teams), 0
    for number, team in enumerate(share.teams):
        wanted = asked.get((share.class_, team.name), 0)
        spare = max(0, team.gpus - wanted)
        idle += spare if team.lend is None else min(spare, team.lend)
        beyond = max(0, wanted - team.gpus)
        if team.borrow is not None and beyond > team.borrow:
            raise FieldError(
                f"the endpoints of team {team.name} ask for {wanted} GPUs: it has {team.gpus} "
                f"and may borrow {team.borrow}",
                *(*path, "teams", number),
                fix=f"Say `gpus: {wanted}`, or `borrow: {beyond}`",
            )
        lacking += beyond
    return idle, lacking


def one_places_the_pods(platform: Platform) -> None:
    """Kueue chooses machines without a look at spread or affinity, so a pool is placed by it or by the scheduler."""
    for index, pool in enumerate(platform.pools):
        topology, path = pool.topology, ("pools", index, "topology")
        if topology is None:
            continue
        if platform.operators.kueue == "off":
            raise FieldError(
                "without Kueue nobody places by topology", *path, fix="Say `operators.kueue: existing`"
            )
        _once(topology.levels, "level", *path, "levels")
        if _HOST in topology.levels[:-1]:
            raise FieldError(f"`{_HOST}` is the narrowest level", *path, "levels", fix="Name it last")
        if topology.required is not None and topology.preferred is not None:
            raise FieldError("a level is required or preferred", *path, "preferred", fix="Name one of them")
        for key in ("required", "preferred"):
            level = getattr(topology, key)
            if level is not None and level not in topology.levels:
                raise FieldError(
                    f"`{level}` is none of the levels",
                    *path,
                    key,
                    fix=f"Levels: {', '.join(topology.levels)}",
                )
            if level == _HOST:
                what = "a group over several machines is never within one"
                raise FieldError(what, *path, key, fix="Name a wider level")
        for endpoint in platform.endpoints:
            if endpoint.pool == pool.name:
                _placed_by_kueue(platform, pool, endpoint)


def _placed_by_kueue(platform: Platform, pool: Pool, endpoint: Endpoint) -> None:
    path = ("endpoints", platform.endpoints.index(endpoint))
    if endpoint.survive in ("node", "domain"):
        raise FieldError(
            f"endpoint {endpoint.id} must be spread to outlive a {endpoint.survive}, and Kueue would place it on pool "
            f"{pool.name} without a look at that",
            *(*path, "survive"),
            fix="Put it on a pool without `topology`, or say `survive: replica`",
        )
    if endpoint.nodes_per_replica > 1 and 2 * endpoint.tensor_parallel <= pool.gpus_per_node:
        raise FieldError(
            f"two pods of a group of {endpoint.id} fit one machine of pool {pool.name}, where Kueue may place them, "
            "and a group has a pod on each of its machines",
            *(*path, "tensor_parallel"),
            fix=f"Say more than {pool.gpus_per_node // 2}, or use a pool without `topology`",
        )


def drivers_are_one_kind(platform: Platform) -> None:
    """NVIDIADrivers take the place of the ClusterPolicy's driver on all machines of a site, or on none."""
    for site in {pool.site: None for pool in platform.pools}:
        pools = [pool for pool in platform.pools if pool.site == site]
        if not any(pool.driver for pool in pools):
            continue
        for pool in pools:
            path = ("pools", platform.pools.index(pool), "driver")
            if platform.operators.gpu_operator == "off":
                what = "without the GPU Operator nobody installs drivers"
                raise FieldError(what, *path, fix="Say `operators.gpu_operator: existing` or `manage`")
            if pool.driver is None:
                what = (
                    f"another pool at {site} names its driver, and pool {pool.name} would be left without one"
                )
                raise FieldError(what, *path, fix="Name one for each pool of the site, or for none")
            if pool.driver.precompiled and "." in pool.driver.version:
                what = f"precompiled drivers go by branch, and `{pool.driver.version}` is a version"
                raise FieldError(what, *path, "version", fix=f"Say `{pool.driver.version.partition('.')[0]}`")
            if not pool.driver.precompiled and "." not in pool.driver.version:
                what = f"`{pool.driver.version}` is a branch, which only precompiled drivers go by"
                raise FieldError(
                    what, *path, "version", fix="Name a version, e.g. 595.91.07, or say `precompiled: true`"
                )
            if pool.driver.upgrade.drain.enable and not pool.driver.upgrade.drain.delete_empty_dir:
                what = "no machine would drain: every model server has an emptyDir"
                raise FieldError(what, *path, "upgrade", "drain", fix="Say `delete_empty_dir: true` too")


def the_operator_comes_from_somewhere(platform: Platform) -> None:
    """A managed GPU Operator has a chart, and brings a driver or leaves it to the machines; none is set for nothing."""
    operators, path = platform.operators, ("operators", "gpu_operator_release")
    release = operators.gpu_operator_release
    if operators.gpu_operator != "manage":
        if release.model_fields_set:
            what = f"the GPU Operator is `{operators.gpu_operator}`, and a release of it is set"
            raise FieldError(what, *path, fix="Say `gpu_operator: manage`, or take the release out")
        return
    if release.chart is None:
        fix = "Name `images.registry`, where the chart of images.lock.yaml is mirrored, or a chart here"
        raise FieldError(
            "the GPU Operator is managed, and its chart comes from nowhere", *path, "chart", fix=fix
        )
    if release.chart.startswith("oci://") and release.version is None:
        what = f"the chart {release.chart} would be the newest there is"
        raise FieldError(what, *path, "version", fix="Name its version")
    drivers = [pool.name for pool in platform.pools if pool.driver is not None]
    if release.driver == "host" and (drivers or release.driver_version):
        what = f"the machines bring their driver, and {'pool ' + drivers[0] if drivers else 'the release'} names one"
        raise FieldError(what, *path, "driver", fix="Say `managed`, or take the driver out")


def domains_have_a_label(platform: Platform) -> None:
    """What must outlive a failure domain is spread over a label that tells domains apart, not machines."""
    for index, endpoint in enumerate(platform.endpoints):
        if endpoint.survive != "domain" or endpoint.pool is None:
            continue
        if failure_domain_label(platform, endpoint.site) == HOST_LABEL:
            sites = [site.name for site in platform.sites]
            raise FieldError(
                f"endpoint {endpoint.id} must outlive a failure domain, and domains at {endpoint.site} are told apart "
                f"by `{HOST_LABEL}`, which is a machine",
                *("sites", sites.index(endpoint.site), "failure_domain_label"),
                fix=f"Name the node label of its zones or racks, or say `survive: node` for {endpoint.id} "
                f"(endpoints[{index}])",
            )


def claims_and_counts_are_apart(platform: Platform) -> None:
    """A DRA driver gives out whole GPUs of a pool, or the device plugin gives out what it has."""
    for index, pool in enumerate(platform.pools):
        if pool.allocation != "dra":
            continue
        for key in ("mig", "time_slicing"):
            if getattr(pool, key):
                what = f"claims ask for whole GPUs, and pool {pool.name} has `{key}`"
                raise FieldError(
                    what, "pools", index, key, fix="Say `allocation: device-plugin`, or take it out"
                )


def fabrics_keep_classes_apart(platform: Platform) -> None:
    """No two classes share a network on which no policy holds, and each group has the one of its class."""
    networks: dict[tuple[str, str], str] = {}
    for index, pool in enumerate(platform.pools):
        rdma = pool.fabric.rdma if pool.fabric is not None else None
        groups = [
            each for each in platform.endpoints if each.pool == pool.name and each.nodes_per_replica > 1
        ]
        if pool.fabric is not None and not groups:
            what = f"no endpoint on pool {pool.name} spans machines, which a fabric joins"
            raise FieldError(what, "pools", index, "fabric", fix="Take it out")
        if rdma is None:
            continue
        path = ("pools", index, "fabric", "rdma", "networks")
        _once((each.class_ for each in rdma.networks), "class", *path)
        for number, each in enumerate(rdma.networks):
            # Without a namespace it is one of the class's own.
            space = each.network if "/" in each.network else f"isthmus-{each.class_}/{each.network}"
            other = networks.setdefault((pool.site, space), each.class_)
            if other != each.class_:
                what = f"network `{each.network}` is class {other}'s, and no network policy holds on it"
                raise FieldError(what, *path, number, "network", fix="Name one for each class", refused=True)
        known = [each.class_ for each in rdma.networks]
        for endpoint in groups:
            if endpoint.class_ not in known:
                what = f"the groups of {endpoint.id} have no RDMA network of class {endpoint.class_}"
                raise FieldError(what, *path, fix=f"Add one for class {endpoint.class_}")


def _once(values: Iterable[str], what: str, *path: str | int) -> None:
    listed = list(values)
    for number, each in enumerate(listed):
        if each in listed[:number]:
            raise FieldError(f"{what} `{each}` stands twice", *path, number, fix="Leave one out")


def pods_fit_a_machine(platform: Platform) -> None:
    """A pod asks for no more CPU and memory than a machine of its pool has, where the pool states it."""
    pools = {pool.name: pool for pool in platform.pools}
    for index, endpoint in enumerate(platform.endpoints):
        pool = pools.get(endpoint.pool or "")
        if pool is None:
            continue
        asked = {
            "cpu": (amount(endpoint.cpu), pool.cpus_per_node, "CPUs"),
            "memory": (amount(endpoint.memory) / 2**30, pool.memory_gib_per_node, "GiB of memory"),
        }
        for key, (wanted, there, unit) in asked.items():
            # The sidecar of a replica has a core and a GiB at most.
            if there is not None and wanted + 1 > there:
                raise FieldError(
                    f"a pod of endpoint {endpoint.id} asks for {float(wanted):g} {unit} and 1 for its sidecar, and a "
                    f"machine of pool {pool.name} has {there}: it would wait for ever",
                    *("endpoints", index, key),
                    fix=f"State `{key}` of {there - 1} or less, or use a pool with larger machines",
                )


CHECKS: tuple[Callable[[Platform], None], ...] = (
    gpu_sharing.shares_fit,
    shares_add_up,
    endpoints_have_a_queue,
    nobody_waits_for_ever,
    one_places_the_pods,
    drivers_are_one_kind,
    the_operator_comes_from_somewhere,
    domains_have_a_label,
    claims_and_counts_are_apart,
    fabrics_keep_classes_apart,
    pods_fit_a_machine,
)

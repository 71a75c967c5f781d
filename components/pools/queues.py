"""Builds the Kueue queues of a pool: one queue, or a cohort with a queue for each class or team.

Every queue covers CPU and memory in addition to GPUs, because Kueue never admits a pod that requests a resource
which its queue does not cover.
"""

from dataclasses import dataclass, field
from typing import Any

import pulumi

from components.base.argument_checks import check_choice, check_sensitivity
from components.cluster.objects import (
    CLASS_LABEL,
    GPU,
    GPU_TAINT,
    GPU_TOLERATION,
    POOL_LABEL,
    PRODUCT_LABEL,
    class_namespace,
    common_labels,
    custom_resource,
    metadata,
)
from components.pools.arguments import ClassShare, GpuPoolArgs, PoolSharing, TeamShare
from components.pools.device_plugin import SHARED_GPU
from components.pools.mig import slices_by_resource
from isthmus.contracts.platform.model.pools import default_borrow_and_lend
from isthmus.core.errors import InputError

KUEUE = "kueue.x-k8s.io/v1beta2"
CHANNEL = "nvidia.com/compute-domain-channel"
"""Resource name that Kueue uses for claims of ComputeDomain channels (`resources.deviceClassMappings`). Kueue does
not admit a pod with a claim of an unknown class, or with a name that no queue covers."""
PRIORITIES = {"restricted": 4000, "confidential": 3000, "internal": 2000, "public": 1000}
"""Order in the queue when GPUs are short. Pods are not evicted for it unless `sharing.preemption` is set."""
_EVICTS = {"never": "Never", "lower-priority": "LowerPriority"}
_RECLAIMS = {**_EVICTS, "any": "Any"}
_NEVER = {"withinClusterQueue": "Never", "reclaimWithinCohort": "Never"}
"""A serving model is not evicted for another. Priority only orders waiting pods."""


def priority_class(pool: str, priority: str) -> str:
    """Name of the WorkloadPriorityClass of a class on a pool, or of one of the pool's own priorities."""
    return f"{pool}-{priority}"


def local_queue(pool: str, team: str | None = None) -> str:
    """Name of the LocalQueue for a class's pods, or for those of one of its teams."""
    return f"{pool}-{team}" if team else pool


@dataclass
class Queues:
    """Creates the Kueue objects of one pool."""

    name: str
    args: GpuPoolArgs
    gpus: int
    """Number of GPUs that are not reserved."""
    whole: int
    """Number of these GPUs that are assigned whole."""
    parent: pulumi.Resource
    dependencies: list[pulumi.Resource] = field(default_factory=list)
    """Resources of the pool that the queues depend on."""
    pool: str = field(init=False)
    objects: list[tuple[str, str]] = field(default_factory=list)
    """Kind and name of each cluster-wide object."""
    local_queues: list[tuple[str, str]] = field(default_factory=list)
    """Class and name of each LocalQueue."""
    entry_points: dict[tuple[str | None, str], pulumi.Resource] = field(default_factory=dict)
    """LocalQueues and priorities that pods refer to, by class (None: any) and name. They are created last."""
    last: list[pulumi.Resource] = field(default_factory=list)
    """The same, or the ClusterQueues if no class has a LocalQueue."""

    def __post_init__(self) -> None:
        self.pool = self.args["name"]

    def make(self) -> None:
        dependencies = [self._flavor()]
        sharing = self.args.get("sharing")
        plan = self._single_queue() if sharing is None else self._cohort_of_shares(sharing)
        dependencies += plan.cohorts
        queues = {name: self._queue(name, body, dependencies) for name, body in plan.queues.items()}
        for sensitivity in self.args.get("classes", []):
            for team, queue in plan.queue_by_team.get(sensitivity, {}).items():
                self._local_queue(sensitivity, team, queue, queues[queue])
            self._priority(
                sensitivity, PRIORITIES[sensitivity], f"Models of class {sensitivity} on pool {self.pool}"
            )
        for priority in (sharing or {}).get("priorities", []):
            description = f"Models of priority {priority['name']} on pool {self.pool}"
            self._priority(priority["name"], priority["value"], description)
        self.last += self.entry_points.values() or queues.values()

    def _single_queue(self) -> "_Ways":
        """One queue for the whole pool."""
        args, classes = self.args, self.args.get("classes", [])
        slicing = args.get("time_slicing")
        share_count = len(slicing["nodes"]) * args["gpus_per_node"] * slicing["replicas"] if slicing else 0
        shared = {SHARED_GPU: share_count} if share_count else {}
        amounts = {
            **self._accompanying(self.gpus + share_count),
            GPU: self.whole,
            **shared,
            **slices_by_resource(args.get("mig", [])),
        }
        selector = (
            {"matchExpressions": [{"key": CLASS_LABEL, "operator": "In", "values": sorted(classes)}]}
            if classes
            else {"matchLabels": {"app.kubernetes.io/part-of": "isthmus"}}
        )
        quota = [{"name": resource, "nominalQuota": amount} for resource, amount in amounts.items()]
        body = {"namespaceSelector": selector, **self._body(quota), "preemption": dict(_NEVER)}
        return _Ways({self.pool: body}, {sensitivity: {None: self.pool} for sensitivity in classes})

    def _cohort_of_shares(self, sharing: PoolSharing) -> "_Ways":
        """A cohort for the pool, with a queue for each class, or a cohort of its teams' queues."""
        unassigned = self._check(sharing)
        plan, preemption = _Ways({}, {}), _preemption(sharing, self.pool)
        quota = self._groups(self._quota(unassigned, {}, None, None, set())) if unassigned else {}
        plan.cohorts.append(self._cohort(self.pool, quota))
        for share in sharing["classes"]:
            sensitivity, devices = share["sensitivity"], dict(share.get("devices", {}))
            default_limit = default_borrow_and_lend(sensitivity)
            borrow, lend = share.get("borrow", default_limit), share.get("lend", default_limit)
            weight = {"fairSharing": {"weight": share.get("weight", 1)}}
            selector = {"namespaceSelector": {"matchLabels": {CLASS_LABEL: sensitivity}}}
            name = f"{self.pool}-{sensitivity}"
            teams = share.get("teams", [])
            if not teams:
                body = self._body(self._quota(share["gpus"], devices, borrow, lend, set(devices)))
                plan.queues[name] = {**selector, "cohortName": self.pool, **body, **preemption, **weight}
                plan.queue_by_team[sensitivity] = {None: name}
                continue
            # The remainder that no team has belongs to the class. Its teams borrow it before they borrow from
            # another class.
            spare_gpus = share["gpus"] - sum(team["gpus"] for team in teams)
            quota = self._quota(spare_gpus, devices, borrow, lend, set(devices))
            plan.cohorts.append(
                self._cohort(name, {"parentName": self.pool, **self._groups(quota), **weight})
            )
            for team in teams:
                team_quota = self._quota(team["gpus"], dict.fromkeys(devices, 0), *_limits(team), set())
                body = {
                    **self._body(team_quota),
                    **preemption,
                    "fairSharing": {"weight": team.get("weight", 1)},
                }
                plan.queues[f"{name}-{team['name']}"] = {**selector, "cohortName": name, **body}
                plan.queue_by_team.setdefault(sensitivity, {})[team["name"]] = f"{name}-{team['name']}"
        return plan

    def _check(self, sharing: PoolSharing) -> int:
        """The number of GPUs that no class has. Raises `InputError` for a class without a share, or too many GPUs."""
        share_by_class: dict[str, ClassShare] = {}
        for index, share in enumerate(sharing["classes"]):
            where = f"{self.pool}.sharing.classes[{index}]"
            sensitivity = check_sensitivity(share["sensitivity"], where)
            if sensitivity in share_by_class:
                raise InputError(
                    f"class {sensitivity} is listed twice", where=where, fix="Remove one of the entries"
                )
            share_by_class[sensitivity] = share
            assigned = sum(team["gpus"] for team in share.get("teams", []))
            if assigned > share["gpus"]:
                message = f"teams of class {sensitivity} have {assigned} GPUs, but the class only has {share['gpus']}"
                raise InputError(
                    message, where=f"{where}.teams", fix="Raise the class's gpus, or lower its teams' gpus"
                )
        for sensitivity in self.args.get("classes", []):
            if sensitivity not in share_by_class:
                message = f"class {sensitivity} has no share of pool '{self.pool}'"
                raise InputError(
                    message, where=f"{self.pool}.sharing.classes", fix="Add a share for it to sharing.classes"
                )
        assigned = sum(share["gpus"] for share in share_by_class.values())
        if assigned > self.whole:
            raise InputError(
                f"the classes have {assigned} GPUs of pool '{self.pool}', but only {self.whole} are given out whole",
                where=f"{self.pool}.sharing.classes",
                fix="Lower the classes' gpus: reserved, cut and time-sliced GPUs do not count",
            )
        return self.whole - assigned

    def _accompanying(self, gpus: int) -> dict[str, Any]:
        """The quota that belongs to this number of GPUs: CPU, memory, and the fabric's devices per GPU."""
        fabric = self.args.get("fabric", {})
        rdma = fabric.get("rdma")
        return {
            "cpu": gpus * self.args.get("cpu_per_gpu", 32),
            "memory": f"{gpus * self.args.get('memory_gib_per_gpu', 256)}Gi",
            **({rdma["resource"]: gpus * rdma.get("count", 1)} if rdma else {}),
            **({CHANNEL: gpus} if fabric.get("compute_domain") else {}),
        }

    def _quota(
        self, gpus: int, devices: dict[str, int], borrow: int | None, lend: int | None, exclusive: set[str]
    ) -> list[dict[str, Any]]:
        """Quotas of a share, with their limits. `exclusive`: devices that are neither borrowed nor lent."""
        if exclusive and lend is None:
            lend = gpus  # CPUs and memory of slices are not lent either
        quotas = []
        for resource, amount in {
            **self._accompanying(gpus + sum(devices.values())),
            GPU: gpus,
            **devices,
        }.items():
            quota: dict[str, Any] = {"name": resource, "nominalQuota": amount}
            for key, limit in (("borrowingLimit", borrow), ("lendingLimit", lend)):
                if resource in exclusive:
                    quota[key] = 0
                elif limit is not None and resource not in devices:
                    quota[key] = self._accompanying(limit).get(resource, limit)
            quotas.append(quota)
        return quotas

    def _groups(self, quota: list[dict[str, Any]]) -> dict[str, Any]:
        flavors = [{"name": self.pool, "resources": quota}]
        covered = [resource["name"] for resource in quota]
        return {"resourceGroups": [{"coveredResources": covered, "flavors": flavors}]}

    def _body(self, quota: list[dict[str, Any]]) -> dict[str, Any]:
        return {"queueingStrategy": "BestEffortFIFO", **self._groups(quota)}

    def _flavor(self) -> pulumi.Resource:
        topology = self.args.get("topology")
        spec: dict[str, Any] = {
            "nodeLabels": {PRODUCT_LABEL: self.args["product"], POOL_LABEL: self.pool},
            "nodeTaints": [GPU_TAINT],
            "tolerations": [GPU_TOLERATION],
        }
        dependencies = list(self.dependencies)
        if topology is not None:
            spec["topologyName"] = self.pool
            levels = [{"nodeLabel": level} for level in topology["levels"]]
            dependencies.append(self._object("topology", "Topology", self.pool, {"levels": levels}, []))
        return self._object("flavor", "ResourceFlavor", self.pool, spec, dependencies)

    def _cohort(self, name: str, spec: dict[str, Any]) -> pulumi.Resource:
        suffix = "cohort" if name == self.pool else f"cohort-{name.removeprefix(f'{self.pool}-')}"
        return self._object(suffix, "Cohort", name, spec, [])

    def _queue(self, name: str, spec: dict[str, Any], dependencies: list[pulumi.Resource]) -> pulumi.Resource:
        suffix = "queue" if name == self.pool else f"queue-{name.removeprefix(f'{self.pool}-')}"
        return self._object(suffix, "ClusterQueue", name, spec, dependencies)

    def _object(
        self, suffix: str, kind: str, name: str, spec: dict[str, Any], dependencies: list[pulumi.Resource]
    ) -> pulumi.Resource:
        self.objects.append((kind, name))
        opts = pulumi.ResourceOptions(parent=self.parent, depends_on=dependencies)
        meta = metadata(name, common_labels(self.pool))
        return custom_resource(f"{self.name}-{suffix}", KUEUE, kind, meta, {"spec": spec}, opts)

    def _local_queue(
        self, sensitivity: str, team: str | None, queue: str, cluster_queue: pulumi.Resource
    ) -> None:
        self.local_queues.append((sensitivity, local_queue(self.pool, team)))
        self.entry_points[sensitivity, local_queue(self.pool, team)] = custom_resource(
            f"{self.name}-queue-{sensitivity}" + (f"-{team}" if team else ""),
            KUEUE,
            "LocalQueue",
            metadata(
                local_queue(self.pool, team),
                common_labels(self.pool, sensitivity=sensitivity),
                namespace=class_namespace(sensitivity),
            ),
            {"spec": {"clusterQueue": queue}},
            pulumi.ResourceOptions(
                parent=self.parent,
                depends_on=[cluster_queue],
                # The ClusterQueue of a LocalQueue is immutable, and its name must stay, because pods refer to it.
                replace_on_changes=["spec.clusterQueue"],
                delete_before_replace=True,
            ),
        )

    def _priority(self, name: str, value: int, description: str) -> None:
        self.entry_points[None, priority_class(self.pool, name)] = custom_resource(
            f"{self.name}-priority-{name}",
            KUEUE,
            "WorkloadPriorityClass",
            metadata(
                priority_class(self.pool, name),
                common_labels(self.pool, sensitivity=name if name in PRIORITIES else None),
            ),
            {"value": value, "description": description},
            pulumi.ResourceOptions(parent=self.parent),
        )


@dataclass
class _Ways:
    queues: dict[str, dict[str, Any]]
    """Spec of each ClusterQueue, by its name."""
    queue_by_team: dict[str, dict[str | None, str]]
    """ClusterQueue of each class, by team. None: the class's own."""
    cohorts: list[pulumi.Resource] = field(default_factory=list)


def _limits(team: TeamShare) -> tuple[int | None, int | None]:
    return team.get("borrow"), team.get("lend")


def _preemption(sharing: PoolSharing, pool: str) -> dict[str, Any]:
    """The preemption settings of a ClusterQueue."""
    settings = sharing.get("preemption", {})
    where = f"{pool}.sharing.preemption"
    within = check_choice(settings.get("within_queue", "never"), tuple(_EVICTS), f"{where}.within_queue")
    reclaim = check_choice(settings.get("reclaim", "any"), tuple(_RECLAIMS), f"{where}.reclaim")
    borrowing = check_choice(settings.get("borrowing", "never"), tuple(_EVICTS), f"{where}.borrowing")
    preemption: dict[str, Any] = {
        "withinClusterQueue": _EVICTS[within],
        "reclaimWithinCohort": _RECLAIMS[reclaim],
    }
    if borrowing != "never":
        if reclaim == "never":
            message = "`borrowing` evicts workloads, but `reclaim` is never"
            fix = "Set `reclaim: any`, or `borrowing: never`"
            raise InputError(message, where=f"{where}.borrowing", fix=fix)
        preemption["borrowWithinCohort"] = {"policy": _EVICTS[borrowing]}
    return {"preemption": preemption}

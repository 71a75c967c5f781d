"""The queues of a pool: one for all of its classes, or one for each class or team in a cohort that lends what is idle.

Every queue covers CPU and memory beside GPUs: Kueue never admits a pod that requests a resource which its queue
does not cover.
"""

from dataclasses import dataclass, field
from typing import Any

import pulumi

from components.base.argument_checks import one_of, sensitivity
from components.cluster.objects import (
    CLASS_LABEL,
    GPU,
    GPU_TAINT,
    GPU_TOLERATION,
    POOL_LABEL,
    PRODUCT_LABEL,
    class_namespace,
    custom,
    labels,
    metadata,
)
from components.pools.arguments import ClassShare, GpuPoolArgs, PoolSharing, TeamShare
from components.pools.device_plugin import SHARED_GPU
from components.pools.mig import slices
from isthmus.contracts.platform.model.pools import unless_said
from isthmus.core.errors import InputError

KUEUE = "kueue.x-k8s.io/v1beta2"
CHANNEL = "nvidia.com/compute-domain-channel"
"""What Kueue is to call the claims of ComputeDomains' channels (`resources.deviceClassMappings`): it admits no pod
with a claim of a class that it knows no name for, or whose name no queue covers."""
PRIORITIES = {"restricted": 4000, "confidential": 3000, "internal": 2000, "public": 1000}
"""Order in the queue where GPUs are short; nobody is evicted for it unless `sharing.preemption` says so."""
_EVICTS = {"never": "Never", "lower-priority": "LowerPriority"}
_RECLAIMS = {**_EVICTS, "any": "Any"}
_NEVER = {"withinClusterQueue": "Never", "reclaimWithinCohort": "Never"}
"""A model that serves is not evicted for another; priority orders those that wait."""


def priority_class(pool: str, of: str) -> str:
    """Name of the WorkloadPriorityClass of a class on a pool, or of one of the pool's own priorities."""
    return f"{pool}-{of}"


def local_queue(pool: str, team: str | None = None) -> str:
    """Name of the LocalQueue in which a class's pods wait, or a team's of it."""
    return f"{pool}-{team}" if team else pool


@dataclass
class Queues:
    """What Kueue is told of one pool."""

    name: str
    args: GpuPoolArgs
    gpus: int
    """GPUs that are not reserved."""
    whole: int
    """Those of them that are given out whole."""
    parent: pulumi.Resource
    after: list[pulumi.Resource] = field(default_factory=list)
    """What there is of the pool before its queues."""
    pool: str = field(init=False)
    made: list[tuple[str, str]] = field(default_factory=list)
    """Kind and name of each cluster-wide object, as it was made."""
    local: list[tuple[str, str]] = field(default_factory=list)
    """Class and name of each LocalQueue."""
    ways: dict[tuple[str | None, str], pulumi.Resource] = field(default_factory=dict)
    """What pods name, by class (None: any) and name: LocalQueues and priorities. The queues come after all else of the
    pool."""
    last: list[pulumi.Resource] = field(default_factory=list)
    """The same, or the ClusterQueues where no class has a way to them."""

    def __post_init__(self) -> None:
        self.pool = self.args["name"]

    def make(self) -> None:
        after = [self._flavor()]
        sharing = self.args.get("sharing")
        ways = self._one() if sharing is None else self._shares(sharing)
        after += ways.cohorts
        queues = {name: self._queue(name, body, after) for name, body in ways.queues.items()}
        for of_class in self.args.get("classes", []):
            for team, queue in ways.leads.get(of_class, {}).items():
                self._way_in(of_class, team, queue, queues[queue])
            self._priority(of_class, PRIORITIES[of_class], f"Models of class {of_class} on pool {self.pool}")
        for priority in (sharing or {}).get("priorities", []):
            says = f"Models of priority {priority['name']} on pool {self.pool}"
            self._priority(priority["name"], priority["value"], says)
        self.last += self.ways.values() or queues.values()

    def _one(self) -> "_Ways":
        """One queue over all of it."""
        args, classes = self.args, self.args.get("classes", [])
        slicing = args.get("time_slicing")
        shares = len(slicing["nodes"]) * args["gpus_per_node"] * slicing["replicas"] if slicing else 0
        shared = {SHARED_GPU: shares} if shares else {}
        amounts = {
            **self._beside(self.gpus + shares),
            GPU: self.whole,
            **shared,
            **slices(args.get("mig", [])),
        }
        chosen = (
            {"matchExpressions": [{"key": CLASS_LABEL, "operator": "In", "values": sorted(classes)}]}
            if classes
            else {"matchLabels": {"app.kubernetes.io/part-of": "isthmus"}}
        )
        quota = [{"name": resource, "nominalQuota": amount} for resource, amount in amounts.items()]
        body = {"namespaceSelector": chosen, **self._body(quota), "preemption": dict(_NEVER)}
        return _Ways({self.pool: body}, {each: {None: self.pool} for each in classes})

    def _shares(self, sharing: PoolSharing) -> "_Ways":
        """A cohort over the pool; in it a queue for each class, or a cohort of its teams' queues."""
        pot = self._check(sharing)
        ways, preemption = _Ways({}, {}), _preemption(sharing, self.pool)
        quota = self._groups(self._quota(pot, {}, None, None, set())) if pot else {}
        ways.cohorts.append(self._cohort(self.pool, quota))
        for share in sharing["classes"]:
            of_class, devices = share["sensitivity"], dict(share.get("devices", {}))
            none = unless_said(of_class)
            borrow, lend = share.get("borrow", none), share.get("lend", none)
            weight = {"fairSharing": {"weight": share.get("weight", 1)}}
            chosen = {"namespaceSelector": {"matchLabels": {CLASS_LABEL: of_class}}}
            name = f"{self.pool}-{of_class}"
            teams = share.get("teams", [])
            if not teams:
                body = self._body(self._quota(share["gpus"], devices, borrow, lend, set(devices)))
                ways.queues[name] = {**chosen, "cohortName": self.pool, **body, **preemption, **weight}
                ways.leads[of_class] = {None: name}
                continue
            # What no team has is the class's: its teams borrow it before anything of another class.
            rest = share["gpus"] - sum(team["gpus"] for team in teams)
            quota = self._quota(rest, devices, borrow, lend, set(devices))
            ways.cohorts.append(
                self._cohort(name, {"parentName": self.pool, **self._groups(quota), **weight})
            )
            for team in teams:
                own = self._quota(team["gpus"], dict.fromkeys(devices, 0), *_limits(team), set())
                body = {**self._body(own), **preemption, "fairSharing": {"weight": team.get("weight", 1)}}
                ways.queues[f"{name}-{team['name']}"] = {**chosen, "cohortName": name, **body}
                ways.leads.setdefault(of_class, {})[team["name"]] = f"{name}-{team['name']}"
        return ways

    def _check(self, sharing: PoolSharing) -> int:
        """GPUs that no class has. Raises `InputError` for a class without a share, and for more than there is."""
        shares: dict[str, ClassShare] = {}
        for at, share in enumerate(sharing["classes"]):
            where = f"{self.pool}.sharing.classes[{at}]"
            of_class = sensitivity(share["sensitivity"], where)
            if of_class in shares:
                raise InputError(f"class {of_class} stands twice", where=where, fix="Leave one out")
            shares[of_class] = share
            given = sum(team["gpus"] for team in share.get("teams", []))
            if given > share["gpus"]:
                what = f"the teams of class {of_class} have {given} GPUs, and the class has {share['gpus']}"
                raise InputError(what, where=f"{where}.teams", fix="Give the class more, or its teams less")
        for of_class in self.args.get("classes", []):
            if of_class not in shares:
                what = f"class {of_class} has no share of pool '{self.pool}'"
                raise InputError(what, where=f"{self.pool}.sharing.classes", fix="Give it one")
        given = sum(share["gpus"] for share in shares.values())
        if given > self.whole:
            raise InputError(
                f"the classes have {given} GPUs of pool '{self.pool}', and {self.whole} are given out whole",
                where=f"{self.pool}.sharing.classes",
                fix="Reserved, cut and time-sliced ones do not count",
            )
        return self.whole - given

    def _beside(self, gpus: int) -> dict[str, Any]:
        """What is given out with so many GPUs: CPU, memory, and of the fabric what a pod with one GPU takes."""
        fabric = self.args.get("fabric", {})
        rdma = fabric.get("rdma")
        return {
            "cpu": gpus * self.args.get("cpu_per_gpu", 32),
            "memory": f"{gpus * self.args.get('memory_gib_per_gpu', 256)}Gi",
            **({rdma["resource"]: gpus * rdma.get("count", 1)} if rdma else {}),
            **({CHANNEL: gpus} if fabric.get("compute_domain") else {}),
        }

    def _quota(
        self, gpus: int, devices: dict[str, int], borrow: int | None, lend: int | None, kept: set[str]
    ) -> list[dict[str, Any]]:
        """Quotas of a share, with their limits; `kept`: devices that are neither borrowed nor lent."""
        if kept and lend is None:
            lend = gpus  # the CPUs and the memory that go with slices stay with them
        found = []
        for resource, amount in {**self._beside(gpus + sum(devices.values())), GPU: gpus, **devices}.items():
            one: dict[str, Any] = {"name": resource, "nominalQuota": amount}
            for key, limit in (("borrowingLimit", borrow), ("lendingLimit", lend)):
                if resource in kept:
                    one[key] = 0
                elif limit is not None and resource not in devices:
                    one[key] = self._beside(limit).get(resource, limit)
            found.append(one)
        return found

    def _groups(self, quota: list[dict[str, Any]]) -> dict[str, Any]:
        flavors = [{"name": self.pool, "resources": quota}]
        covered = [each["name"] for each in quota]
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
        after = list(self.after)
        if topology is not None:
            spec["topologyName"] = self.pool
            levels = [{"nodeLabel": level} for level in topology["levels"]]
            after.append(self._object("topology", "Topology", self.pool, {"levels": levels}, []))
        return self._object("flavor", "ResourceFlavor", self.pool, spec, after)

    def _cohort(self, called: str, spec: dict[str, Any]) -> pulumi.Resource:
        suffix = "cohort" if called == self.pool else f"cohort-{called.removeprefix(f'{self.pool}-')}"
        return self._object(suffix, "Cohort", called, spec, [])

    def _queue(self, called: str, spec: dict[str, Any], after: list[pulumi.Resource]) -> pulumi.Resource:
        suffix = "queue" if called == self.pool else f"queue-{called.removeprefix(f'{self.pool}-')}"
        return self._object(suffix, "ClusterQueue", called, spec, after)

    def _object(
        self, suffix: str, kind: str, called: str, spec: dict[str, Any], after: list[pulumi.Resource]
    ) -> pulumi.Resource:
        self.made.append((kind, called))
        opts = pulumi.ResourceOptions(parent=self.parent, depends_on=after)
        meta = metadata(called, labels(self.pool))
        return custom(f"{self.name}-{suffix}", KUEUE, kind, meta, {"spec": spec}, opts)

    def _way_in(self, of_class: str, team: str | None, queue: str, made: pulumi.Resource) -> None:
        self.local.append((of_class, local_queue(self.pool, team)))
        self.ways[of_class, local_queue(self.pool, team)] = custom(
            f"{self.name}-queue-{of_class}" + (f"-{team}" if team else ""),
            KUEUE,
            "LocalQueue",
            metadata(
                local_queue(self.pool, team),
                labels(self.pool, sensitivity=of_class),
                namespace=class_namespace(of_class),
            ),
            {"spec": {"clusterQueue": queue}},
            pulumi.ResourceOptions(
                parent=self.parent,
                depends_on=[made],
                # It leads to one queue for ever, and its name, which pods bear, stays.
                replace_on_changes=["spec.clusterQueue"],
                delete_before_replace=True,
            ),
        )

    def _priority(self, of: str, value: int, says: str) -> None:
        self.ways[None, priority_class(self.pool, of)] = custom(
            f"{self.name}-priority-{of}",
            KUEUE,
            "WorkloadPriorityClass",
            metadata(
                priority_class(self.pool, of), labels(self.pool, sensitivity=of if of in PRIORITIES else None)
            ),
            {"value": value, "description": says},
            pulumi.ResourceOptions(parent=self.parent),
        )


@dataclass
class _Ways:
    queues: dict[str, dict[str, Any]]
    """Spec of each ClusterQueue, by its name."""
    leads: dict[str, dict[str | None, str]]
    """The queue of each class, by team; None: the class's own."""
    cohorts: list[pulumi.Resource] = field(default_factory=list)


def _limits(team: TeamShare) -> tuple[int | None, int | None]:
    return team.get("borrow"), team.get("lend")


def _preemption(sharing: PoolSharing, pool: str) -> dict[str, Any]:
    """Whom Kueue evicts, in its words."""
    said = sharing.get("preemption", {})
    where = f"{pool}.sharing.preemption"
    within = one_of(said.get("within_queue", "never"), tuple(_EVICTS), f"{where}.within_queue")
    reclaim = one_of(said.get("reclaim", "any"), tuple(_RECLAIMS), f"{where}.reclaim")
    borrowing = one_of(said.get("borrowing", "never"), tuple(_EVICTS), f"{where}.borrowing")
    made: dict[str, Any] = {
        "withinClusterQueue": _EVICTS[within],
        "reclaimWithinCohort": _RECLAIMS[reclaim],
    }
    if borrowing != "never":
        if reclaim == "never":
            what = "who borrows evicts others, and who takes back does not"
            fix = "Say `reclaim: any`, or `borrowing: never`"
            raise InputError(what, where=f"{where}.borrowing", fix=fix)
        made["borrowWithinCohort"] = {"policy": _EVICTS[borrowing]}
    return {"preemption": made}

"""Creates the workload of a model server: a Deployment, or a LeaderWorkerSet for multi-node replicas.

Both have a disruption budget, which counts replicas.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import pulumi

from components.cluster.objects import PRIORITY_LABEL, QUEUE_LABEL, custom_resource, metadata
from components.serving.arguments import DoorAddresses, ModelServerArgs
from components.serving.autoscaling import scaled_object
from components.serving.devices import placement_annotations
from components.serving.model_network import addressable_groups, create_group_policies, create_leader_services
from components.serving.model_pod import model_pod, worker_pod
from components.serving.replica_groups import Member
from components.serving.weights.claims import WEIGHTS_DIGEST
from isthmus.core.errors import InputError

ROLLOUT_LABEL = "isthmus.dev/rollout"
"""Label of the pods of groups: digest of their templates."""
_WAIT_FOR = "pulumi.com/waitFor"


@dataclass(frozen=True)
class WorkloadParts:
    """The parts of which a model server's workload is built."""

    name: str
    args: ModelServerArgs
    namespace: str
    labels: dict[str, str]
    """Labels of its objects and pods."""
    selector: dict[str, str]
    """Selector of its pods."""
    secret: str
    """Name of its certificate's Secret."""
    config: Any
    """ConfigMap of the sidecar."""
    dependencies: list[pulumi.Resource]
    parent: pulumi.Resource

    @property
    def replicas(self) -> int:
        return self.args.get("replicas", 1)

    @property
    def nodes(self) -> int:
        return self.args.get("nodes_per_replica", 1)

    def options(
        self, *, dependencies: list[pulumi.Resource], create: int, update: int
    ) -> pulumi.ResourceOptions:
        """Resource options with timeouts. `create`, `update`: seconds."""
        patience = pulumi.CustomTimeouts(create=f"{create}s", update=f"{update}s", delete="10m")
        return pulumi.ResourceOptions(parent=self.parent, depends_on=dependencies, custom_timeouts=patience)

    def queue_labels(self) -> dict[str, str]:
        """The labels of Kueue's queue and priority; empty without a queue."""
        labels: dict[str, str] = {}
        if self.args.get("queue"):
            labels[QUEUE_LABEL] = self.args.get("queue", "")
            if self.args.get("priority_class"):
                labels[PRIORITY_LABEL] = self.args.get("priority_class", "")
        return labels


def deadline(args: ModelServerArgs) -> int:
    """Seconds after which a rollout without progress counts as failed. Longer than loading takes."""
    return args.get("load_timeout_s", 1800) + 300


def create_deployment(workload: WorkloadParts) -> None:
    """Create a Deployment with one pod for each replica, its autoscaler and its disruption budget."""
    from pulumi_kubernetes.apps.v1 import Deployment

    args, endpoint = workload.args, workload.args["id"]
    queued = workload.queue_labels()
    deadline_s = deadline(args)
    scaling = args.get("scaling")
    spec: Any = {
        "replicas": workload.replicas,
        "selector": {"matchLabels": workload.selector},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": _rolling(args)},
        "progressDeadlineSeconds": deadline_s,
        "revisionHistoryLimit": 3,
        "template": {
            "metadata": {
                "labels": {**workload.labels, **queued},
                "annotations": {WEIGHTS_DIGEST: args["weights"]["digest"]},
            },
            "spec": model_pod(
                args, endpoint, workload.secret, workload.config.metadata["name"], workload.selector
            ),
        },
    }
    replicas = workload.replicas if scaling is None else scaling["max_replicas"]
    # Without surge, replicas are replaced one by one, and each must load.
    opts = workload.options(
        dependencies=workload.dependencies, create=deadline_s + 120, update=deadline_s * replicas + 120
    )
    if scaling is not None:
        # KEDA sets the number when there is a replica. Leaving the field out would request one replica, the API's
        # default, when scaling is enabled for a running model.
        opts.ignore_changes = ["spec.replicas"]
    server = Deployment(
        f"{workload.name}-server",
        metadata=metadata(endpoint, {**workload.labels, **queued}, namespace=workload.namespace),
        spec=spec,
        opts=opts,
    )
    if scaling is not None:
        scaling_opts = pulumi.ResourceOptions(parent=workload.parent, depends_on=[server])
        scaled_object(workload.name, args, scaling, workload.namespace, workload.labels, scaling_opts)
    _budget(
        workload,
        endpoint,
        workload.labels,
        workload.selector,
        {},
        pulumi.ResourceOptions(parent=workload.parent),
    )


def create_groups(workload: WorkloadParts) -> None:
    """Create a LeaderWorkerSet with one group of pods for each replica, and its disruption budget."""
    args, endpoint = workload.args, workload.args["id"]
    policies, addresses = _group_network(workload)
    specs = _group_pods(workload, addresses)
    rollout = _rollout_digest(args, specs)
    labels = {**workload.labels, ROLLOUT_LABEL: rollout}
    pod_metadata = {
        "labels": labels,
        "annotations": {WEIGHTS_DIGEST: args["weights"]["digest"], **placement_annotations(args)},
    }
    spec = {
        "replicas": workload.replicas,
        "startupPolicy": "LeaderCreated",
        "rolloutStrategy": {"type": "RollingUpdate", "rollingUpdateConfiguration": _rolling(args)},
        "networkConfig": {"subdomainPolicy": "Shared"},
        "leaderWorkerTemplate": {
            "size": workload.nodes,
            # vLLM's processes connect to each other once, at the start. A process that restarts would stay alone.
            "restartPolicy": "RecreateGroupOnPodRestart",
            **{key: {"metadata": pod_metadata, "spec": pod_spec} for key, pod_spec in specs.items()},
        },
    }
    group_set = _create_group_set(workload, spec, policies)
    # The set's condition may still describe the rollout before. The disruption budget is new with each rollout and
    # counts its pods only, so it is ready when all of them are.
    patience_s = deadline(args) * workload.replicas + 120
    _budget(
        workload,
        rollout.apply(lambda digest: f"{endpoint}-{digest}"),
        workload.labels,
        {**workload.selector, ROLLOUT_LABEL: rollout},
        {_WAIT_FOR: f"jsonpath={{.status.currentHealthy}}={workload.replicas * workload.nodes}"},
        workload.options(dependencies=[group_set], create=patience_s, update=patience_s),
    )


def _group_network(workload: WorkloadParts) -> tuple[list[pulumi.Resource], tuple[Any, ...]]:
    """The network policies of the groups and the addresses of their leaders, created here or by another stack."""
    args = workload.args
    if "door" in args:
        return [], _leader_addresses(args["door"], workload.replicas, args["id"])
    names = (workload.name, args["id"], workload.namespace, workload.labels, workload.selector)
    # A rollout with surge has one group more.
    most_groups = workload.replicas + (1 if args.get("surge", False) else 0)
    policies = create_group_policies(*names, most_groups, workload.parent)
    return policies, tuple(create_leader_services(*names, workload.replicas, workload.parent))


def _group_pods(workload: WorkloadParts, addresses: tuple[Any, ...]) -> dict[str, Any]:
    """Template of a LeaderWorkerSet → spec of its pods."""
    args, endpoint = workload.args, workload.args["id"]

    def member(*, leads: bool) -> Member:
        return Member(leads, workload.nodes, addresses, args.get("load_timeout_s", 1800))

    config = workload.config.metadata["name"]
    return {
        "leaderTemplate": model_pod(
            args, endpoint, workload.secret, config, workload.selector, member(leads=True)
        ),
        "workerTemplate": worker_pod(args, endpoint, workload.selector, member(leads=False)),
    }


def _rollout_digest(args: ModelServerArgs, specs: dict[str, Any]) -> pulumi.Output[str]:
    """A digest of the templates, which distinguishes rollouts."""
    # Without annotations the digest must stay as it was before they existed.
    annotations = placement_annotations(args)
    parts = [specs, args["weights"]["digest"], *([annotations] if annotations else [])]
    return pulumi.Output.json_dumps(parts, sort_keys=True).apply(
        lambda text: hashlib.sha256(text.encode()).hexdigest()[:10]
    )


def _create_group_set(
    workload: WorkloadParts, spec: dict[str, Any], policies: list[pulumi.Resource]
) -> pulumi.Resource:
    """Create the LeaderWorkerSet.

    Kueue's integration reads the set's own labels and creates one workload for each group. The set has its own
    name, because the controller creates a headless Service with that name.
    """
    deadline_s = deadline(workload.args)
    return custom_resource(
        f"{workload.name}-server",
        "leaderworkerset.x-k8s.io/v1",
        "LeaderWorkerSet",
        metadata(
            f"{workload.args['id']}-group",
            {**workload.labels, **workload.queue_labels()},
            namespace=workload.namespace,
            annotations={_WAIT_FOR: "condition=Available"},
        ),
        {"spec": spec},
        pulumi.ResourceOptions.merge(
            workload.options(
                dependencies=[*workload.dependencies, *policies],
                create=deadline_s + 120,
                update=deadline_s + 120,
            ),
            # Kueue does not let an admitted group grow.
            pulumi.ResourceOptions(
                replace_on_changes=["spec.leaderWorkerTemplate.size"], delete_before_replace=True
            ),
        ),
    )


def _leader_addresses(door: DoorAddresses, replicas: int, endpoint: str) -> tuple[str, ...]:
    """The leaders' addresses from another stack. Raises `InputError` if their number differs."""
    addresses = tuple(door.get("leaders", []))
    if len(addresses) != addressable_groups(replicas):
        raise InputError(
            f"{replicas} groups need the addresses of {addressable_groups(replicas)} leaders, but got {len(addresses)}",
            where=f"{endpoint}.door.leaders",
            fix="Run the layer below with the same number of replicas first",
        )
    return addresses


def _rolling(args: ModelServerArgs) -> dict[str, int]:
    """The rolling update. Without surge a replica is removed first, because a full pool has no room for one more."""
    if args.get("surge", False):
        return {"maxSurge": 1, "maxUnavailable": 0}
    return {"maxSurge": 0, "maxUnavailable": 1}


def _budget(
    workload: WorkloadParts,
    budget_name: Any,
    labels: dict[str, str],
    selector: dict[str, Any],
    annotations: dict[str, str],
    opts: pulumi.ResourceOptions,
) -> None:
    """Create a disruption budget of one pod at a time, because evicting any pod of a group stops the whole group."""
    from pulumi_kubernetes.policy.v1 import PodDisruptionBudget

    spec: Any = {
        "maxUnavailable": 1,
        "selector": {"matchLabels": selector},
        # A replica that never became ready must not block a drain.
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
    PodDisruptionBudget(
        f"{workload.name}-disruption",
        metadata=metadata(budget_name, labels, namespace=workload.namespace, annotations=annotations),
        spec=spec,
        opts=opts,
    )

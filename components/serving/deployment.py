"""What runs a model server's pods: a Deployment, or a LeaderWorkerSet where a replica spans machines.

Either comes with its disruption budget, which counts replicas.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import pulumi

from components.cluster.objects import PRIORITY_LABEL, QUEUE_LABEL, custom, metadata
from components.serving.arguments import DoorAddresses, ModelServerArgs
from components.serving.autoscaling import scaled_object
from components.serving.devices import placed
from components.serving.model_network import group_ways, known_groups, leaders
from components.serving.model_pod import model_pod, worker_pod
from components.serving.replica_groups import Member
from components.serving.weights.claims import WEIGHTS_DIGEST
from isthmus.core.errors import InputError

ROLLOUT_LABEL = "isthmus.dev/rollout"
"""On the pods of groups: which templates they were made from, by digest."""
_WAIT_FOR = "pulumi.com/waitFor"


@dataclass(frozen=True)
class Parts:
    """What the workload of a model server is made with."""

    name: str
    args: ModelServerArgs
    namespace: str
    own: dict[str, str]
    """Labels of its objects and pods."""
    chosen: dict[str, str]
    """What picks its pods."""
    secret: str
    """Its certificate's Secret."""
    config: Any
    """The sidecar's ConfigMap."""
    before: list[pulumi.Resource]
    parent: pulumi.Resource

    @property
    def replicas(self) -> int:
        return self.args.get("replicas", 1)

    @property
    def nodes(self) -> int:
        return self.args.get("nodes_per_replica", 1)

    def options(self, *, after: list[pulumi.Resource], create: int, update: int) -> pulumi.ResourceOptions:
        """Seconds that are waited for it."""
        patience = pulumi.CustomTimeouts(create=f"{create}s", update=f"{update}s", delete="10m")
        return pulumi.ResourceOptions(parent=self.parent, depends_on=after, custom_timeouts=patience)

    def queued(self) -> dict[str, str]:
        """The labels by which Kueue lets it wait."""
        found: dict[str, str] = {}
        if self.args.get("queue"):
            found[QUEUE_LABEL] = self.args.get("queue", "")
            if self.args.get("priority_class"):
                found[PRIORITY_LABEL] = self.args.get("priority_class", "")
        return found


def deadline(args: ModelServerArgs) -> int:
    """Seconds until a rollout that makes no progress counts as failed: more than loading takes."""
    return args.get("load_timeout_s", 1800) + 300


def deployment(parts: Parts) -> None:
    """A pod a replica."""
    from pulumi_kubernetes.apps.v1 import Deployment

    args, endpoint = parts.args, parts.args["id"]
    queued = parts.queued()
    most = deadline(args)
    scaling = args.get("scaling")
    spec: Any = {
        "replicas": parts.replicas,
        "selector": {"matchLabels": parts.chosen},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": _rolling(args)},
        "progressDeadlineSeconds": most,
        "revisionHistoryLimit": 3,
        "template": {
            "metadata": {
                "labels": {**parts.own, **queued},
                "annotations": {WEIGHTS_DIGEST: args["weights"]["digest"]},
            },
            "spec": model_pod(args, endpoint, parts.secret, parts.config.metadata["name"], parts.chosen),
        },
    }
    replicas = parts.replicas if scaling is None else scaling["max_replicas"]
    # Without surge the replicas are rolled one by one, each loading anew.
    opts = parts.options(after=parts.before, create=most + 120, update=most * replicas + 120)
    if scaling is not None:
        # KEDA's from the moment that there is a first one: to leave the field out would be to ask for one replica,
        # the API's default, in place of all that serve when scaling is turned on.
        opts.ignore_changes = ["spec.replicas"]
    made = Deployment(
        f"{parts.name}-server",
        metadata=metadata(endpoint, {**parts.own, **queued}, namespace=parts.namespace),
        spec=spec,
        opts=opts,
    )
    if scaling is not None:
        after = pulumi.ResourceOptions(parent=parts.parent, depends_on=[made])
        scaled_object(parts.name, args, scaling, parts.namespace, parts.own, after)
    _budget(parts, endpoint, parts.own, parts.chosen, {}, pulumi.ResourceOptions(parent=parts.parent))


def groups(parts: Parts) -> None:
    """A group of pods a replica, which come, roll and go together."""
    args, endpoint = parts.args, parts.args["id"]
    # While it rolls with surge there is one group more.
    made_with = (parts.name, endpoint, parts.namespace, parts.own, parts.chosen)
    ways: list[pulumi.Resource] = []
    found = args.get("door")
    if found is None:
        most_groups = parts.replicas + (1 if args.get("surge", False) else 0)
        ways = group_ways(*made_with, most_groups, parts.parent)
        addresses = tuple(leaders(*made_with, parts.replicas, parts.parent))
    else:
        addresses = _given(found, parts.replicas, endpoint)

    def member(*, leads: bool) -> Member:
        return Member(leads, parts.nodes, addresses, args.get("load_timeout_s", 1800))

    config = parts.config.metadata["name"]
    specs = {
        "leaderTemplate": model_pod(args, endpoint, parts.secret, config, parts.chosen, member(leads=True)),
        "workerTemplate": worker_pod(args, endpoint, parts.chosen, member(leads=False)),
    }
    rollout = pulumi.Output.json_dumps(
        # An annotation that is not there leaves the digest as it was.
        [specs, args["weights"]["digest"], *([placed(args)] if placed(args) else [])],
        sort_keys=True,
    ).apply(lambda text: hashlib.sha256(text.encode()).hexdigest()[:10])
    labels = {**parts.own, ROLLOUT_LABEL: rollout}
    told = {"labels": labels, "annotations": {WEIGHTS_DIGEST: args["weights"]["digest"], **placed(args)}}
    spec = {
        "replicas": parts.replicas,
        "startupPolicy": "LeaderCreated",
        "rolloutStrategy": {"type": "RollingUpdate", "rollingUpdateConfiguration": _rolling(args)},
        "networkConfig": {"subdomainPolicy": "Shared"},
        "leaderWorkerTemplate": {
            "size": parts.nodes,
            # vLLM's processes find each other once, at the start: whoever starts again starts alone.
            "restartPolicy": "RecreateGroupOnPodRestart",
            **{key: {"metadata": told, "spec": each} for key, each in specs.items()},
        },
    }
    most = deadline(args)
    # Kueue's integration reads the set's own labels and makes one workload of each group. A name of its
    # own: the controller makes a headless Service of that name.
    made = custom(
        f"{parts.name}-server",
        "leaderworkerset.x-k8s.io/v1",
        "LeaderWorkerSet",
        metadata(
            f"{endpoint}-group",
            {**parts.own, **parts.queued()},
            namespace=parts.namespace,
            annotations={_WAIT_FOR: "condition=Available"},
        ),
        {"spec": spec},
        pulumi.ResourceOptions.merge(
            parts.options(after=[*parts.before, *ways], create=most + 120, update=most + 120),
            # Kueue lets no admitted group grow.
            pulumi.ResourceOptions(
                replace_on_changes=["spec.leaderWorkerTemplate.size"], delete_before_replace=True
            ),
        ),
    )
    # The set's condition may still tell of the rollout before, for a moment. A budget that is new with
    # each rollout, and counts its pods only, is ready when all of them are.
    _budget(
        parts,
        rollout.apply(lambda digest: f"{endpoint}-{digest}"),
        parts.own,
        {**parts.chosen, ROLLOUT_LABEL: rollout},
        {_WAIT_FOR: f"jsonpath={{.status.currentHealthy}}={parts.replicas * parts.nodes}"},
        parts.options(after=[made], create=most * parts.replicas + 120, update=most * parts.replicas + 120),
    )


def _given(door: DoorAddresses, replicas: int, endpoint: str) -> tuple[str, ...]:
    """The leaders' addresses that another stack gives: as many as the pods are told here."""
    given = tuple(door.get("leaders", []))
    if len(given) != known_groups(replicas):
        raise InputError(
            f"{replicas} groups need the addresses of {known_groups(replicas)} leaders, and {len(given)} are given",
            where=f"{endpoint}.door.leaders",
            fix="Build the layer below with the same number of replicas first",
        )
    return given


def _rolling(args: ModelServerArgs) -> dict[str, int]:
    """A pool whose GPUs are all in use has no room for one replica more."""
    if args.get("surge", False):
        return {"maxSurge": 1, "maxUnavailable": 0}
    return {"maxSurge": 0, "maxUnavailable": 1}


def _budget(
    parts: Parts,
    called: Any,
    own: dict[str, str],
    chosen: dict[str, Any],
    annotations: dict[str, str],
    opts: pulumi.ResourceOptions,
) -> None:
    """One replica at a time: whichever pod of a group is evicted, the group is gone until all are back."""
    from pulumi_kubernetes.policy.v1 import PodDisruptionBudget

    spec: Any = {
        "maxUnavailable": 1,
        "selector": {"matchLabels": chosen},
        # A replica that never became ready must not hold up a drain.
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
    PodDisruptionBudget(
        f"{parts.name}-disruption",
        metadata=metadata(called, own, namespace=parts.namespace, annotations=annotations),
        spec=spec,
        opts=opts,
    )

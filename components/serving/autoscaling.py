"""Replicas of a model server by its load: KEDA's ScaledObject over what vLLM says of itself.

Three things are measured, and the most replicas that any of them asks for are had:

- requests that wait in the engines' queues, in all, for each `waiting` of which a replica is wanted;
- use of the KV cache by the fullest replica, steered to `kv_cache`;
- where the batch is bounded (`max_num_seqs`), requests in the engines in all, a batch for each replica: without it a
  load of short requests, which fills batches and no cache, would look like none, and replicas in use would go.

With no replica there is nothing that measures, so what wakes the first one is counted where requests arrive: at the
gateway, whose answer is 503 until it serves.
"""

from __future__ import annotations

from typing import Any

import pulumi

from components.cluster.objects import custom, metadata
from components.serving.arguments import ModelScaling, ModelServerArgs
from isthmus.core.errors import InputError

POLL_S = 15
"""As often as Prometheus scrapes: more often would read the same again."""
_FAILURES = 8
"""Measurements in a row that may fail before the fallback: two minutes, longer than a Prometheus takes to restart."""
_ASLEEP_AFTER = "5m"
"""Requests at the gateway are counted over so long: a scrape that fails must not put a model to sleep."""


def check(args: ModelServerArgs) -> None:
    """Raises `InputError` for what cannot be scaled by load."""
    scaling, where = args.get("scaling"), f"{args['id']}.scaling"
    if scaling is None:
        return
    least, most = scaling["min_replicas"], scaling["max_replicas"]
    if not 0 <= least < most:
        raise InputError(
            f"between {least} and {most} replicas there is nothing to scale",
            where=where,
            fix="Say max_replicas above min_replicas, or leave scaling out",
        )
    if args.get("nodes_per_replica", 1) > 1:
        raise InputError(
            "replicas over several machines are not scaled by load: each group has an address of its own",
            where=where,
            fix="Leave it out, or say nodes_per_replica 1",
        )
    if not args.get("pod_monitors", True):
        raise InputError(
            "without a PodMonitor nothing measures the load", where=where, fix="Say pod_monitors true"
        )
    fallback = scaling.get("fallback_replicas")
    if fallback is not None and not least <= fallback <= most:
        raise InputError(
            f"without measurements {fallback} replicas would serve, and there are {least} to {most}",
            where=f"{where}.fallback_replicas",
            fix=f"Say a number from {least} to {most}, or leave it out for the endpoint's own replicas",
        )
    if least == 0 and not scaling.get("woken_by"):
        raise InputError(
            "with no replica nothing of it measures, and no workload is named that wakes it",
            where=f"{where}.woken_by",
            fix="Name the workloads that the gateway sends to it, or say min_replicas 1",
        )
    if least == 0 and scaling.get("cold_start_s", 0) < args.get("load_timeout_s", 1800):
        raise InputError(
            "callers get no answer for as long as the first replica takes to start",
            where=f"{where}.cold_start_s",
            fix="Say at least load_timeout_s, or min_replicas 1",
        )


def sleeps(args: ModelServerArgs) -> bool:
    """Whether there are times without any replica."""
    scaling = args.get("scaling")
    return scaling is not None and scaling["min_replicas"] == 0


def scaled_object(
    name: str,
    args: ModelServerArgs,
    scaling: ModelScaling,
    namespace: str,
    own: dict[str, str],
    opts: pulumi.ResourceOptions,
) -> pulumi.CustomResource:
    """The ScaledObject of a model server's Deployment."""
    cooldown = scaling.get("cooldown_s", 300)
    least, most = scaling["min_replicas"], scaling["max_replicas"]
    # While a replica loads it helps nobody: to count it as help and add another each minute would overshoot.
    fallback = scaling.get("fallback_replicas", args.get("replicas", 1))
    spec: dict[str, Any] = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": args["id"]},
        "minReplicaCount": least,
        "maxReplicaCount": most,
        "pollingInterval": POLL_S,
        "cooldownPeriod": cooldown,
        # A replica that was made to show that it serves is not taken away before it could.
        "initialCooldownPeriod": args.get("load_timeout_s", 1800),
        # Without measurements the planned replicas serve, and those that run are not taken away.
        "fallback": {
            "failureThreshold": _FAILURES,
            "replicas": min(max(fallback, least), most),
            "behavior": "currentReplicasIfHigher",
        },
        "advanced": {
            "restoreToOriginalReplicaCount": False,
            "horizontalPodAutoscalerConfig": {
                "behavior": {
                    "scaleUp": {
                        "stabilizationWindowSeconds": 0,
                        "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}],
                    },
                    "scaleDown": {
                        "stabilizationWindowSeconds": cooldown,
                        "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}],
                    },
                }
            },
        },
        "triggers": triggers(args, scaling, namespace),
    }
    meta = metadata(args["id"], own, namespace=namespace)
    return custom(f"{name}-scaling", "keda.sh/v1alpha1", "ScaledObject", meta, {"spec": spec}, opts)


def triggers(args: ModelServerArgs, scaling: ModelScaling, namespace: str) -> list[dict[str, Any]]:
    """What is measured, by queries that return one number each."""
    # As the PodMonitor's scrapes are labelled: its own name, and no other endpoint's.
    mine = f'job="{namespace}/{args["id"]}"'
    none = " or vector(0)" if scaling["min_replicas"] == 0 else ""
    waiting, running = (f"sum(vllm:num_requests_{what}{{{mine}}})" for what in ("waiting", "running"))
    made = [
        _trigger("waiting", f"{waiting}{none}", scaling.get("waiting", 5), scaling),
        _trigger(
            "kv-cache",
            f"max(vllm:kv_cache_usage_perc{{{mine}}}){none}",
            scaling.get("kv_cache", 0.8),
            scaling,
            kind="Value",
        ),
    ]
    batch = args.get("max_num_seqs")
    if batch is not None:
        made.append(_trigger("in-batches", f"{waiting} + {running}{none}", batch, scaling))
    if scaling["min_replicas"] == 0:
        gateway = f'job="{namespace}/{args["sensitivity"]}-gateway"'
        names = "|".join(sorted(scaling.get("woken_by", [])))
        asked = f'isthmus_requests_total{{{gateway},workload=~"{names}"}}'
        # A counter's first value is no increase of it: the very first request must wake the model too.
        more = f"(sum(increase({asked}[{_ASLEEP_AFTER}])) or vector(0))"
        first = f"(sum({asked} unless {asked} offset {_ASLEEP_AFTER}) or vector(0))"
        # One replica, and no more, for however many requests: the others say how many are needed.
        query = f"{more} + {first} > bool 0"
        made.append(_trigger("asked-for", query, 1, scaling))
    return made


def _trigger(
    name: str, query: str, threshold: float, scaling: ModelScaling, *, kind: str = "AverageValue"
) -> dict[str, Any]:
    made: dict[str, Any] = {
        "type": "prometheus",
        "name": name,
        "metricType": kind,
        "metadata": {
            "serverAddress": scaling["prometheus_url"],
            "query": query,
            "threshold": f"{threshold:g}",
            "activationThreshold": "0",
            # No series at all means that the measuring is broken, not that there is no load. It counts as a failure,
            # which the fallback answers.
            "ignoreNullValues": "false",
        },
    }
    if scaling.get("authentication"):
        made["authenticationRef"] = {"name": scaling.get("authentication", "")}
    return made

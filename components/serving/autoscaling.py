"""Scales a model server by load: KEDA's ScaledObject over the metrics of vLLM.

There are three metrics. KEDA uses the largest number of replicas that any of them needs:

- requests that wait in the queues of all engines, or in the class's gateways for them: one replica for each `waiting`;
- KV cache use of the fullest replica, with the target `kv_cache`;
- with a limited batch (`max_num_seqs`), requests in all engines: one replica for each full batch. Without this
  metric, many short requests would fill batches but no cache, and look like no load.

With 0 replicas nothing measures the load. So the first replica is started by requests at the gateway, which answers
503 until the replica serves.
"""

from __future__ import annotations

from typing import Any

import pulumi

from components.cluster.objects import SERVING_PORT, dns_name
from components.cluster.scaled_object import prometheus_trigger
from components.cluster.scaled_object import scaled_object as keda_scaled_object
from components.serving.arguments import ModelScaling, ModelServerArgs
from isthmus.core.errors import InputError

_ASLEEP_AFTER = "5m"
"""Window in which requests at the gateway count. A failed scrape must not stop a model."""


def check(args: ModelServerArgs) -> None:
    """Raise `InputError` for settings that cannot be scaled by load."""
    scaling, where = args.get("scaling"), f"{args['id']}.scaling"
    if scaling is None:
        return
    min_replicas, max_replicas = scaling["min_replicas"], scaling["max_replicas"]
    if not 0 <= min_replicas < max_replicas:
        raise InputError(
            f"max_replicas ({max_replicas}) must be above min_replicas ({min_replicas}), and min_replicas 0 or more",
            where=where,
            fix="Set max_replicas above min_replicas, or remove scaling",
        )
    if args.get("nodes_per_replica", 1) > 1:
        raise InputError(
            "a replica that spans several machines cannot be scaled by load: each group has an address of its own",
            where=where,
            fix="Remove scaling, or set nodes_per_replica to 1",
        )
    if not args.get("pod_monitors", True):
        raise InputError(
            "scaling needs a PodMonitor to measure the load", where=where, fix="Set pod_monitors to true"
        )
    fallback = scaling.get("fallback_replicas")
    if fallback is not None and not min_replicas <= fallback <= max_replicas:
        raise InputError(
            f"fallback_replicas is {fallback}, but the endpoint has {min_replicas} to {max_replicas} replicas",
            where=f"{where}.fallback_replicas",
            fix=f"Set it to {min_replicas} to {max_replicas}, or remove it to use the endpoint's own replicas",
        )
    if min_replicas == 0 and not scaling.get("woken_by"):
        raise InputError(
            "min_replicas is 0, but woken_by lists no workload that starts the first replica",
            where=f"{where}.woken_by",
            fix="List in woken_by the workloads that the gateway sends to it, or set min_replicas to 1",
        )
    if min_replicas == 0 and scaling.get("cold_start_s", 0) < args.get("load_timeout_s", 1800):
        raise InputError(
            "cold_start_s is shorter than load_timeout_s, the time that the first replica may take to start",
            where=f"{where}.cold_start_s",
            fix="Set cold_start_s to load_timeout_s or more, or min_replicas to 1",
        )


def can_scale_to_zero(args: ModelServerArgs) -> bool:
    """Whether the endpoint may have 0 replicas."""
    scaling = args.get("scaling")
    return scaling is not None and scaling["min_replicas"] == 0


def scaled_object(
    name: str,
    args: ModelServerArgs,
    scaling: ModelScaling,
    namespace: str,
    labels: dict[str, str],
    opts: pulumi.ResourceOptions,
) -> pulumi.CustomResource:
    """The ScaledObject of a model server's Deployment."""
    # A loading replica takes no load yet. Adding one each minute in that time would overshoot.
    fallback = scaling.get("fallback_replicas", args.get("replicas", 1))
    return keda_scaled_object(
        name,
        (args["id"], namespace, labels),
        (scaling["min_replicas"], scaling["max_replicas"], fallback),
        triggers(args, scaling, namespace),
        opts,
        cooldown_s=scaling.get("cooldown_s", 300),
        initial_cooldown_s=args.get("load_timeout_s", 1800),
    )


def triggers(args: ModelServerArgs, scaling: ModelScaling, namespace: str) -> list[dict[str, Any]]:
    """The triggers of the ScaledObject: Prometheus queries that return one number each."""
    # The name as the PodMonitor's scrapes label it, and no other endpoint's.
    job_label = f'job="{namespace}/{args["id"]}"'
    zero_default = " or vector(0)" if scaling["min_replicas"] == 0 else ""
    waiting, running = (f"sum(vllm:num_requests_{state}{{{job_label}}})" for state in ("waiting", "running"))
    waiting = f"{waiting} + {_queued(args, namespace)}"
    definitions = [
        prometheus_trigger("waiting", f"{waiting}{zero_default}", scaling.get("waiting", 5), scaling),
        prometheus_trigger(
            "kv-cache",
            f"max(vllm:kv_cache_usage_perc{{{job_label}}}){zero_default}",
            scaling.get("kv_cache", 0.8),
            scaling,
            kind="Value",
        ),
    ]
    batch = args.get("max_num_seqs")
    if batch is not None:
        definitions.append(
            prometheus_trigger("in-batches", f"{waiting} + {running}{zero_default}", batch, scaling)
        )
    if scaling["min_replicas"] == 0:
        gateway = f'job="{namespace}/{args["sensitivity"]}-gateway"'
        names = "|".join(sorted(scaling.get("woken_by", [])))
        counter = f'isthmus_requests_total{{{gateway},workload=~"{names}"}}'
        # PromQL `increase` ignores the first value of a counter, but the first request must start the model too.
        increase = f"(sum(increase({counter}[{_ASLEEP_AFTER}])) or vector(0))"
        first_request = f"(sum({counter} unless {counter} offset {_ASLEEP_AFTER}) or vector(0))"
        # One replica for any number of requests. The other triggers decide how many are needed.
        query = f"{increase} + {first_request} > bool 0"
        definitions.append(prometheus_trigger("asked-for", query, 1, scaling))
    return definitions


def _queued(args: ModelServerArgs, namespace: str) -> str:
    """The query of requests that wait in the class's gateways until the endpoint has room.

    A PodMonitor's scrapes have a label `endpoint` of their own, and rename the metric's.
    """
    gateway = f'job="{namespace}/{args["sensitivity"]}-gateway"'
    server = f"{dns_name(args['id'], namespace)}:{SERVING_PORT}"
    labels = ("exported_endpoint", "endpoint")
    series = [f'isthmus_endpoint_queued{{{gateway},{label}="{server}"}}' for label in labels]
    return f"(sum({' or '.join(series)}) or vector(0))"

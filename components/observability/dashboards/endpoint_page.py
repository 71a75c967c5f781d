"""The dashboard of model servers: whether each has its replicas, and whether they are full."""

from __future__ import annotations

from components.observability.dashboards.panels import (
    CLASS,
    CLASSES,
    ENDPOINTS,
    WINDOW,
    Dashboard,
    Panel,
    Query,
    rate,
    share,
)
from components.observability.model_alerts import FULL
from components.observability.rules import FAILED_PROBES

_PLAN = f'{CLASS},endpoint=~"$endpoint"'
_ENGINE = 'job=~"isthmus-$class/$endpoint"'
"""vLLM's metrics, which a PodMonitor of the endpoint's name scrapes."""
_AT_GATEWAY = f'{CLASS},exported_endpoint=~"$endpoint([.:].+)?"'
"""The gateway's metrics about the endpoint, by host and port. The scrape renames their label `endpoint`."""


def _by_endpoint(expression: str) -> str:
    """An aggregate by job, with the endpoint's name in a label."""
    return f'label_replace({expression}, "endpoint", "$1", "job", ".+/(.+)")'


def _engine(metric: str, aggregate: str) -> str:
    return _by_endpoint(f"{aggregate} by (job) ({metric}{{{_ENGINE}}})")


def _engine_rate(metric: str) -> str:
    return _by_endpoint(f"sum by (job) (rate({metric}{{{_ENGINE}}}[{WINDOW}]))")


DASHBOARD = Dashboard(
    "endpoint",
    "Endpoint",
    "Has a model server the replicas that the plan has, and does it keep up? Bedrock and SageMaker are in CloudWatch.",
    (CLASSES, ENDPOINTS),
    (
        Panel(
            "Do as many replicas answer as the plan has?",
            "Fewer: look at the pods of the endpoint. Waiting pods lack a GPU; ending pods say why in their log.",
            [
                Query(f"sum by (endpoint) (isthmus:endpoint_replicas{{{_PLAN}}})", "{{endpoint}} answer"),
                Query(
                    f"sum by (endpoint) (isthmus:plan_endpoint_replicas{{{_PLAN}}})",
                    "{{endpoint}} planned",
                    is_plan=True,
                ),
                Query(
                    f"sum by (endpoint) (isthmus:plan_endpoint_replicas_max{{{_PLAN}}})",
                    "{{endpoint}} at most",
                    is_plan=True,
                ),
            ],
            alerts=("ModelDown", "ModelReplicasMissing", "ScalingFails"),
        ),
        Panel(
            "Does the gateway find it good?",
            "0: the gateway sends its requests elsewhere, or they fail. Compare with the replicas that answer.",
            [
                Query(
                    f"max by (exported_endpoint) (isthmus_endpoint_good{{{_AT_GATEWAY}}})",
                    "{{exported_endpoint}}",
                )
            ],
            alerts=("EndpointNotGood", "EndpointNotResolved", "ReplicaBad"),
            maximum=1,
        ),
        Panel(
            "Does each model answer the gateway's question?",
            "Each copy of the gateway asks once a minute. From 2 failed probes in a row on, somebody is woken.",
            [
                Query(
                    f"min by (exported_endpoint, served_model) (isthmus_model_probe_failures{{{_AT_GATEWAY}}})",
                    "{{served_model}} at {{exported_endpoint}}: failed in a row",
                ),
                Query(
                    f"max by (exported_endpoint) (isthmus_model_probe_failed_replicas{{{_AT_GATEWAY}}})",
                    "{{exported_endpoint}}: replicas that do not answer",
                ),
                Query(f"vector({FAILED_PROBES})", "somebody is woken", is_plan=True),
            ],
            alerts=("ModelNotAnswering", "ModelAnswersPartly"),
        ),
        Panel(
            "How long does its answer to that question take?",
            "One token over a new connection. Longer than usual without requests: the GPU or the network is slow.",
            [
                Query(
                    share(
                        rate("isthmus_model_probe_seconds_sum", _AT_GATEWAY, "exported_endpoint"),
                        rate("isthmus_model_probe_seconds_count", _AT_GATEWAY, "exported_endpoint"),
                    ),
                    "{{exported_endpoint}}",
                )
            ],
            "s",
        ),
        Panel(
            "How many requests run, and how many wait in the engine?",
            "Requests that wait for minutes mean too few replicas: raise the load in the requirements and plan again.",
            [
                Query(_engine("vllm:num_requests_running", "sum"), "{{endpoint}} run"),
                Query(_engine("vllm:num_requests_waiting", "sum"), "{{endpoint}} wait"),
            ],
            alerts=("ModelQueueLong",),
        ),
        Panel(
            "How many requests wait in the gateway, and how many may run at once?",
            "The limit is what the plan allows at once for all copies. Requests above it wait, then get status 429.",
            [
                Query(
                    f"sum by (exported_endpoint) (isthmus_endpoint_running{{{_AT_GATEWAY}}})",
                    "{{exported_endpoint}} run",
                ),
                Query(
                    f"sum by (exported_endpoint) (isthmus_endpoint_queued{{{_AT_GATEWAY}}})",
                    "{{exported_endpoint}} wait",
                ),
                Query(
                    f"sum by (exported_endpoint) (isthmus_endpoint_limit{{{_AT_GATEWAY}}})",
                    "{{exported_endpoint}} at most",
                    is_plan=True,
                ),
            ],
            alerts=("RequestsQueue",),
        ),
        Panel(
            "How full is the KV cache of the fullest replica?",
            "Above the dashed line vLLM soon puts requests back. Shorter contexts or more replicas help.",
            [
                Query(_engine("vllm:kv_cache_usage_perc", "max"), "{{endpoint}}"),
                Query(f"vector({FULL:g})", "an alert fires", is_plan=True),
            ],
            "percentunit",
            alerts=("KvCacheFull",),
            maximum=1,
        ),
        Panel(
            "Are running requests put back?",
            "Each one is computed again later, so its user waits. It follows from a full KV cache.",
            [Query(_engine_rate("vllm:num_preemptions_total"), "{{endpoint}}")],
            "cps",
            alerts=("ModelPutsRequestsBack",),
        ),
        Panel(
            "How many tokens a second does it read and write?",
            "The plan sizes replicas by these rates. A rate that stays while requests wait is the model's limit.",
            [
                Query(_engine_rate("vllm:prompt_tokens_total"), "{{endpoint}} read"),
                Query(_engine_rate("vllm:generation_tokens_total"), "{{endpoint}} written"),
            ],
            "cps",
        ),
        Panel(
            "What share of prompt tokens comes from the prefix cache?",
            "Cached tokens cost almost nothing. A fall after a release often means that prompts begin differently.",
            [
                Query(
                    share(
                        rate("isthmus_prompt_tokens_cached_total", _AT_GATEWAY, "exported_endpoint"),
                        rate("isthmus_prompt_tokens_cacheable_total", _AT_GATEWAY, "exported_endpoint"),
                    ),
                    "{{exported_endpoint}}",
                )
            ],
            "percentunit",
            maximum=1,
        ),
        Panel(
            "How many requests did it not take?",
            "The gateway tried another replica or endpoint for each. Many: replicas end, or the network fails.",
            [
                Query(
                    rate("isthmus_unsent_total", _AT_GATEWAY, "exported_endpoint"),
                    "{{exported_endpoint}}",
                )
            ],
            "reqps",
            alerts=("ReplicaBad", "EndpointNotGood"),
        ),
    ),
)

"""The dashboard of GPU pools: whether the GPUs that the plan has are in use, healthy and worth their cost."""

from __future__ import annotations

from components.observability.dashboards.panels import CLASS, CLASSES, Dashboard, Panel, Query, Variable
from components.observability.model_alerts import HOT_C

_POOL = f'{CLASS},pool=~"$pool"'
_GPU = "{{Hostname}} GPU {{gpu}}"


def _dcgm(metric: str, aggregate: str = "max by (Hostname, gpu)", window: str = "") -> str:
    """An aggregate over GPUs that pods of the chosen endpoints hold.

    A scrape that does not honour the exporter's labels renames them to `exported_…`.
    """

    def series(prefix: str) -> str:
        selected = f'{metric}{{{prefix}namespace=~"isthmus-$class",{prefix}pod=~"$endpoint-.+"}}'
        return f"increase({selected}[{window}])" if window else selected

    return f"{aggregate} ({series('exported_')}) or {aggregate} ({series('')})"


def _memory_share() -> str:
    used, free = (f"({_dcgm(f'DCGM_FI_DEV_FB_{part}')})" for part in ("USED", "FREE"))
    return f"{used} / ({used} + {free})"


DASHBOARD = Dashboard(
    "gpu-pool",
    "GPU pool",
    "Are the GPUs that the plan has in use and healthy? The figures of GPUs come from DCGM exporter.",
    (
        CLASSES,
        Variable("pool", "Pool", f"isthmus:plan_pool_gpus{{{CLASS}}}"),
        Variable(
            "endpoint", "Endpoint", f"isthmus:plan_endpoint_gpus{{{_POOL}}}", is_listed=True, is_hidden=True
        ),
    ),
    (
        Panel(
            "How many GPUs do pods hold, and how many does the plan have?",
            "Fewer than planned: replicas are missing. The pool's size is what the plan may use of it.",
            [
                Query(_dcgm("DCGM_FI_DEV_GPU_UTIL", "count"), "held by pods"),
                Query(
                    f"sum by (pool) (isthmus:plan_endpoint_gpus{{{_POOL}}})", "{{pool}} planned", is_plan=True
                ),
                Query(f"max by (pool) (isthmus:plan_pool_gpus{{{_POOL}}})", "{{pool}} size", is_plan=True),
            ],
            alerts=("ModelReplicasMissing", "GpusAwaited"),
        ),
        Panel(
            "Do pods wait for GPUs?",
            "For more than 30 minutes: a node is missing, or another class or team holds its share of the pool.",
            [
                Query(
                    'sum by (cluster_queue) (kueue_pending_workloads{cluster_queue=~"$pool(-.+)?"})',
                    "{{cluster_queue}}",
                )
            ],
            alerts=("GpusAwaited", "PodWaits"),
        ),
        Panel(
            "How busy are the GPUs?",
            "Always near 0: the plan has more than the load needs. It says busy, not how much of a GPU works.",
            [Query(f"({_dcgm('DCGM_FI_DEV_GPU_UTIL')}) / 100", _GPU)],
            "percentunit",
            maximum=1,
        ),
        Panel(
            "How many GPUs do requests need, of those paid for?",
            "GPU time of requests, divided among what ran at once. Far below the plan for weeks: plan again.",
            [
                Query(
                    f"sum(rate(isthmus_gpu_seconds_total{{{CLASS}}}[1h]))",
                    "used by requests of the classes",
                ),
                Query(f"sum(isthmus:plan_endpoint_gpus{{{CLASS}}})", "planned for the classes", is_plan=True),
            ],
        ),
        Panel(
            "How full is the GPUs' memory?",
            "vLLM takes its share at the start, so a flat line is normal. A jump to 0 means that a replica ended.",
            [Query(_memory_share(), _GPU)],
            "percentunit",
            maximum=1,
        ),
        Panel(
            "How hot are the GPUs?",
            "At the dashed line a GPU soon slows down. Look at the machine's fans and its neighbours.",
            [
                Query(_dcgm("DCGM_FI_DEV_GPU_TEMP"), _GPU),
                Query(f"vector({HOT_C})", "an alert fires", is_plan=True),
            ],
            "celsius",
            alerts=("GpuHot", "GpuSlowedDown"),
        ),
        Panel(
            "How much power do the GPUs draw?",
            "Power is the best single sign of work. The sum is what the pool's machines must be cooled for.",
            [Query(_dcgm("DCGM_FI_DEV_POWER_USAGE", "sum by (Hostname)"), "{{Hostname}}")],
            "watt",
        ),
        Panel(
            "Which GPUs report faults?",
            "The last XID of each GPU, and rows of memory that could not be replaced. 0 is good.",
            [
                Query(_dcgm("DCGM_FI_DEV_XID_ERRORS"), "last XID"),
                Query(_dcgm("DCGM_FI_DEV_ROW_REMAP_FAILURE"), "rows not replaced"),
            ],
            kind="table",
            alerts=("GpuFault", "GpuMemoryFault"),
        ),
    ),
)

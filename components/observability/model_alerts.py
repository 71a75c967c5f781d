"""Alerts about model servers, their capacity compared with the plan, and the GPUs of a class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from components.observability.rules import PROBES, Alert, Group, job, number_up, of_namespace
from isthmus.contracts.platform.model.platform import Endpoint
from isthmus.contracts.platform.model.serving import Scaling

FULL = 0.95
"""KV cache use above which vLLM soon puts requests back."""
WAITING = 5
"""Requests that may wait at each replica: the default of scaling by load."""
HARDWARE_XIDS = (48, 63, 64, 74, 79, 92, 94, 95, 119, 120, 140)
"""XIDs that mean a fault of the GPU, its memory or its link (NVIDIA, "XID Errors", catalogue). Others, such as 13, 31
and 43, can come from a program."""
HOT_C = 87
"""GPU temperature in °C shortly below which H100 and A100 slow down."""
_MINUTE_S = 60


def model_group(namespace: str, endpoint: Endpoint, scaling: Scaling | None) -> Group:
    """The alerts about one model server in a cluster."""
    model_job = job(namespace, endpoint.id)
    replicas = scaling.min_replicas if scaling is not None else endpoint.replicas
    labels = {"endpoint": endpoint.id}
    alerts = [
        *(_down(model_job, endpoint, replicas, labels) if replicas else ()),
        *_load(model_job, endpoint, scaling.max_replicas if scaling is not None else replicas, labels),
        *([_scaling_fails(namespace, endpoint, labels)] if scaling is not None else ()),
    ]
    return Group(f"model-{endpoint.id}", alerts)


def _down(model_job: str, endpoint: Endpoint, replicas: int, labels: dict[str, str]) -> Iterator[Alert]:
    up = number_up(model_job)
    yield Alert(
        "ModelDown",
        f"{up} == 0",
        "page",
        f"No replica of {endpoint.id} ({endpoint.model}) answers",
        "Its workloads get errors, unless another endpoint takes over",
        PROBES,
        labels,
    )
    # A replica that is replaced may load as long as the plan allows.
    minutes = max(15, endpoint.load_timeout_s // _MINUTE_S)
    yield Alert(
        "ModelReplicasMissing",
        f"{up} < {replicas}",
        "ticket",
        f"{endpoint.id} has {{{{ $value }}}} of {replicas} replicas that the plan has",
        "Users wait longer at peak; the next failure may stop the model",
        f"{minutes}m",
        labels,
    )


def _load(model_job: str, endpoint: Endpoint, replicas: int, labels: dict[str, str]) -> Iterator[Alert]:
    yield Alert(
        "KvCacheFull",
        f"max(vllm:kv_cache_usage_perc{{{model_job}}}) > {FULL}",
        "ticket",
        f"The KV cache of {endpoint.id} is {{{{ $value | humanizePercentage }}}} full",
        "Requests are put back and computed again; users wait longer",
        "15m",
        labels,
    )
    yield Alert(
        "ModelQueueLong",
        f"sum(vllm:num_requests_waiting{{{model_job}}}) > {WAITING * replicas}",
        "ticket",
        f"{{{{ $value }}}} requests wait at {endpoint.id}, which has {replicas} replicas at most",
        "Users wait longer for the first token",
        "15m",
        labels,
    )
    yield Alert(
        "ModelPutsRequestsBack",
        f"sum(increase(vllm:num_preemptions_total{{{model_job}}}[15m])) >= 10",
        "ticket",
        f"{endpoint.id} put {{{{ $value }}}} running requests back in 15 minutes",
        "These answers stop for a while and go on later",
        labels=labels,
    )


def _scaling_fails(namespace: str, endpoint: Endpoint, labels: dict[str, str]) -> Alert:
    errors = of_namespace(
        "keda_scaled_object_errors_total", namespace, "sum", f'scaledObject="{endpoint.id}"', "15m"
    )
    return Alert(
        "ScalingFails",
        f"{errors} >= 3",
        "ticket",
        f"KEDA cannot read the load of {endpoint.id}",
        "The number of replicas stays; after a while it is the fallback",
        labels=labels,
    )


def pod_group(namespace: str) -> Group:
    """The alerts about the pods and certificates of a class, from kube-state-metrics and cert-manager."""
    crashing = of_namespace(
        "kube_pod_container_status_waiting_reason", namespace, "sum by (pod)", 'reason="CrashLoopBackOff"'
    )
    pending = of_namespace("kube_pod_status_phase", namespace, "sum by (pod)", 'phase="Pending"')
    ends = of_namespace("certmanager_certificate_expiration_timestamp_seconds", namespace, "min by (name)")
    not_ready = of_namespace(
        "certmanager_certificate_ready_status", namespace, "max by (name)", 'condition="False"'
    )
    return Group(
        "pods",
        [
            Alert(
                "PodCrashes",
                f"{crashing} > 0",
                "ticket",
                "Pod {{ $labels.pod }} ends again and again",
                "A copy is missing; the others do its work",
                "5m",
            ),
            Alert(
                "PodWaits",
                f"{pending} > 0",
                "ticket",
                "Pod {{ $labels.pod }} has waited 30 minutes for a node",
                "A copy is missing; the others do its work",
                "30m",
            ),
            Alert(
                "CertificateNotRenewed",
                f"({ends} - time() < 3 * 86400) or ({not_ready} == 1)",
                "ticket",
                "cert-manager does not renew certificate {{ $labels.name }}",
                "Once it has expired, pods refuse each other",
                "1h",
            ),
        ],
    )


def queue_group(sensitivity: str, pools: Sequence[str]) -> Group:
    """The alert about the ClusterQueues of a class, by the names of their pools."""
    names = "|".join(f"{pool}(-{sensitivity}(-.+)?)?" for pool in sorted(pools))
    return Group(
        "queues",
        [
            Alert(
                "GpusAwaited",
                f'sum by (cluster_queue) (kueue_pending_workloads{{cluster_queue=~"{names}"}}) > 0',
                "ticket",
                "{{ $value }} pods wait for GPUs of queue {{ $labels.cluster_queue }}",
                "Replicas are missing that the plan has",
                "30m",
            )
        ],
    )


def gpu_group(namespace: str) -> Group:
    """The alerts about GPUs that pods of a class hold, from DCGM exporter."""
    by_gpu = "by (Hostname, gpu)"
    gpu = "GPU {{ $labels.gpu }} of {{ $labels.Hostname }}"
    xids = " or ".join(
        f"({of_namespace('DCGM_FI_DEV_XID_ERRORS', namespace, f'max {by_gpu}')} == {xid})"
        for xid in HARDWARE_XIDS
    )
    rows = of_namespace("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", namespace, f"max {by_gpu}", window="1d")
    failed = of_namespace("DCGM_FI_DEV_ROW_REMAP_FAILURE", namespace, f"max {by_gpu}")
    double_bit = of_namespace("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", namespace, f"max {by_gpu}", window="1d")
    hot = of_namespace("DCGM_FI_DEV_GPU_TEMP", namespace, f"max {by_gpu}")
    thermal = of_namespace("DCGM_FI_DEV_THERMAL_VIOLATION", namespace, f"max {by_gpu}", window="10m")
    return Group(
        "gpus",
        [
            Alert(
                "GpuFault",
                xids,
                "ticket",
                f"{gpu} reports XID {{{{ $value }}}}",
                "The replica on it is slow or has ended",
            ),
            Alert(
                "GpuMemoryFault",
                f"({failed} > 0) or ({rows} > 0) or ({double_bit} > 0)",
                "ticket",
                f"{gpu} has memory errors that cannot be corrected",
                "The replica on it may have ended, and may end again",
            ),
            Alert(
                "GpuHot",
                f"{hot} > {HOT_C}",
                "ticket",
                f"{gpu} has {{{{ $value }}}} °C",
                "It slows down: answers take longer",
                "10m",
            ),
            Alert(
                "GpuSlowedDown",
                # The counter grows by nanoseconds: a tenth of the time.
                f"{thermal} > 60e9",
                "ticket",
                f"{gpu} slowed down for more than a tenth of 10 minutes because it was too hot",
                "Answers take longer",
            ),
        ],
    )

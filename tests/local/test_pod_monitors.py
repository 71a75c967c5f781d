"""What a stack declares for Prometheus, applied to this machine: which ports are scraped, under which labels."""

from __future__ import annotations

from typing import Any

from sandbox.local.monitoring import Target
from sandbox.local.pod_monitors import Declared, targets_of
from sandbox.local.pods import Pod

LABELS = {"app.kubernetes.io/name": "internal-gateway", "isthmus.dev/class": "internal"}
GATEWAY = Pod(
    "fra1", "isthmus-internal", "internal-gateway", "gateway", "internal", (), {}, labels={**LABELS, "x": "y"}
)
PORTS = {
    ("isthmus-internal/internal-gateway", "health"): 20001,
    ("isthmus-internal/internal-gateway", "detector-health"): 20002,
}


def monitor(*ports: str, namespace: str = "isthmus-internal", **labels: str) -> dict[str, Any]:
    return {
        "metadata": {"namespace": namespace, "name": "internal-gateway"},
        "spec": {
            "selector": {"matchLabels": labels or LABELS},
            "podMetricsEndpoints": [{"port": port} for port in ports],
            "podTargetLabels": ["isthmus.dev/class", "isthmus.dev/endpoint"],
        },
    }


def targets(*monitors: dict[str, Any], pod: Pod = GATEWAY) -> list[Target]:
    return targets_of(Declared(monitors, {}), [pod], lambda label, kind: PORTS.get((label, kind)))


def test_each_port_of_a_pod_monitor_is_a_target_with_the_labels_of_its_pod():
    declared = targets(monitor("health", "detector"))
    assert [(target.job, target.endpoint, target.port) for target in declared] == [
        ("isthmus-internal/internal-gateway", "health", 20001),
        ("isthmus-internal/internal-gateway", "detector", 20002),
    ]
    assert declared[0].labels == {"isthmus_dev_class": "internal"}, "labels that the pod lacks are left out"


def test_pods_of_other_labels_or_namespaces_and_ports_that_do_not_run_here_are_no_targets():
    assert targets(monitor("health", **{"isthmus.dev/class": "public"})) == []
    assert targets(monitor("health", namespace="isthmus-internal-chat")) == []
    assert targets(monitor("dns")) == []


def test_a_task_on_fargate_is_scraped_without_a_pod_monitor():
    task = Pod("aws", "isthmus-internal", "internal-gateway", "gateway", "internal", (), {})
    [target] = targets(pod=task)
    assert (target.job, target.port) == ("isthmus-internal/internal-gateway", 20001)


def test_the_proxy_of_a_sign_on_is_scraped_where_it_exports_metrics_here():
    proxy = Pod("fra1", "n", "p", "sign-on", "internal", (), {}, labels=LABELS)
    found = targets_of(
        Declared([monitor("health", namespace="n")], {}),
        [proxy],
        lambda _, kind: {"metrics": 20003, "health": 20004}.get(kind),
    )
    assert [target.port for target in found] == [20003]

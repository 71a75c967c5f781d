"""Cases of rules for serving pods: replicas, spread, probes, shutdown, rollouts, metrics."""

from __future__ import annotations

from typing import Any

from isthmus.contracts.platform.model.platform import Endpoint, Gateway
from tests.policies.cases import Case
from tests.policies.cases_cluster import BOX, FIRST, LABELS, POD, deployment
from tests.policies.cases_inside import namespace_of_class
from tests.policies.cases_models import SERVES
from tests.policies.making import platform_with, resource_of

ZONE, HOST = "topology.kubernetes.io/zone", "kubernetes.io/hostname"


def spread(key: str, **more: Any) -> dict[str, Any]:
    return {"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "DoNotSchedule", **more}


WORD = platform_with(
    endpoints=[
        Endpoint.model_validate(
            {
                **{"id": "llama", "class": "internal", "site": "fra1", "target": "onprem-vllm", "model": "m"},
                **{"replicas": 2, "survive": "node"},
            }
        )
    ],
    gateways=[
        Gateway.model_validate(
            {
                **{"class": "internal", "name": "internal", "site": "fra1", "host": "llm.bank.example"},
                **{
                    "callers_secret": "callers",
                    "workloads": [{"name": "kyc", "endpoint": "llama"}],
                    "replicas": 2,
                },
            }
        )
    ],
)
SERVED = {"app": "llama", "isthmus.dev/role": "model", "isthmus.dev/endpoint": "llama"}
ENGINE = {
    **SERVES,
    "args": ["/models", "--host=127.0.0.1", "--shutdown-timeout=40"],
    "startupProbe": {"periodSeconds": 10, "failureThreshold": 60},
    "livenessProbe": {"httpGet": {"path": "/health", "port": 9090}},
    "lifecycle": {"preStop": {"sleep": {"seconds": 15}}},
}
MODEL = deployment(
    ENGINE,
    "llama",
    SERVED,
    pod={"topologySpreadConstraints": [spread(HOST)], "terminationGracePeriodSeconds": 60},
    progressDeadlineSeconds=900,
    revisionHistoryLimit=3,
)
GATEWAY = deployment(BOX, "gw", LABELS, pod={"topologySpreadConstraints": [spread(ZONE)]})
MONITOR = resource_of(
    "kubernetes:monitoring.coreos.com/v1:PodMonitor",
    "figures",
    {
        "metadata": {"name": "figures", "namespace": "space"},
        "spec": {"selector": {"matchLabels": {"app": "llama"}}},
    },
)
GROUP = resource_of(
    "kubernetes:leaderworkerset.x-k8s.io/v1:LeaderWorkerSet",
    "group",
    {
        "metadata": {"name": "llama-group", "namespace": "space"},
        "spec": {
            "replicas": 2,
            "leaderWorkerTemplate": {
                "size": 2,
                **dict.fromkeys(("leaderTemplate", "workerTemplate"), MODEL.inputs["spec"]["template"]),
            },
        },
    },
)

CASES = [
    Case(
        "workload/engine-keeps-data",
        [MODEL, namespace_of_class("restricted")],
        fails=[{f"{FIRST}.args.0": "--otlp-traces-endpoint=http://10.0.0.9:4317"}],
        unknown=[f"{FIRST}.args"],
    ),
    Case(
        "reliability/as-many-as-stated",
        [MODEL, GATEWAY, namespace_of_class("internal")],
        fails=[{"spec.replicas": 1}, {"spec.replicas": 0}],
        missing=["spec.replicas"],
        unknown=["spec.replicas"],
        broken=[[deployment(name="gw", replicas=1), namespace_of_class("internal")]],
        also=[[GROUP]],
        platform=WORD,
    ),
    Case(
        "reliability/spread-by-force",
        [MODEL, GATEWAY, namespace_of_class("internal")],
        fails=[
            {f"{POD}.topologySpreadConstraints.0.whenUnsatisfiable": "ScheduleAnyway"},
            {f"{POD}.topologySpreadConstraints.0.topologyKey": ZONE},
        ],
        missing=[f"{POD}.topologySpreadConstraints"],
        unknown=[f"{POD}.topologySpreadConstraints"],
        broken=[[deployment(BOX, "gw", LABELS, pod={"topologySpreadConstraints": [spread(HOST)]})]],
        also=[[GROUP], [deployment(BOX, "app", {"app": "app"})]],
        platform=WORD,
    ),
    Case(
        "reliability/hung-restarted",
        [MODEL],
        missing=[f"{FIRST}.livenessProbe"],
        broken=[[deployment()]],
        also=[[deployment(BOX, "job", pod={"containers": [{"name": "loop", "image": "x"}]})]],
    ),
    Case(
        "reliability/ends-in-order",
        [MODEL],
        fails=[
            {f"{POD}.terminationGracePeriodSeconds": 0},
            {f"{POD}.terminationGracePeriodSeconds": 30},
            {f"{FIRST}.lifecycle.preStop.sleep.seconds": 30},
        ],
        missing=[f"{POD}.terminationGracePeriodSeconds"],
        unknown=[f"{POD}.terminationGracePeriodSeconds"],
        also=[[deployment()]],
    ),
    Case(
        "reliability/rollouts-wait",
        [MODEL],
        fails=[{"spec.progressDeadlineSeconds": 60}, {f"{FIRST}.startupProbe.failureThreshold": 100}],
        unknown=["spec.progressDeadlineSeconds"],
        also=[[deployment()]],
    ),
    Case(
        "reliability/measured",
        [MONITOR, MODEL],
        fails=[{"spec.selector.matchLabels": {"app": "other"}}, {"metadata.namespace": "elsewhere"}],
        broken=[[MODEL]],
        also=[[deployment(BOX, "app", {"app": "app"})]],
        platform=WORD,
    ),
    Case(
        "release/way-back",
        [MODEL],
        fails=[{"spec.revisionHistoryLimit": 0}],
        unknown=["spec.revisionHistoryLimit"],
        also=[[deployment()]],
    ),
]

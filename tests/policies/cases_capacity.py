"""Cases of rules for capacity: GPU quotas, maximum workloads, queues, AWS machines."""

from __future__ import annotations

import copy
from typing import Any

from isthmus.contracts.platform.model.aws.eks import Cluster, SystemNodes
from isthmus.contracts.platform.model.platform import Endpoint
from isthmus.contracts.platform.model.pools import Pool
from tests.policies.cases import Case
from tests.policies.cases_cluster import BOX, GPU, QUOTA, deployment
from tests.policies.cases_inside import namespace_of_class
from tests.policies.making import platform_with, resource_of

WORD = platform_with(
    pools=[
        Pool.model_validate(
            {
                **{
                    "name": "h100",
                    "site": "frankfurt",
                    "gpu": "h100-sxm-80gb",
                    "product": "H100",
                    "nodes": 2,
                },
                "gpus_per_node": 8,
                "node_group": {"instance_type": "p5.48xlarge", "zones": ["eu-central-1a", "eu-central-1b"]},
            }
        )
    ],
    clusters=[
        Cluster(name="eks", site="frankfurt", system_nodes=SystemNodes(instance_type="m7i.xlarge", nodes=2))
    ],
    endpoints=[
        Endpoint.model_validate(
            {
                **{
                    "id": "qwen",
                    "class": "internal",
                    "site": "frankfurt",
                    "target": "sagemaker",
                    "model": "m",
                },
                "sagemaker": {"instance_type": "ml.g6e.2xlarge"},
            }
        )
    ],
)

NO_GPUS = resource_of(
    QUOTA.type,
    "quota",
    {"metadata": QUOTA.inputs["metadata"], "spec": {"hard": {"limits.memory": "1Gi", "pods": "9"}}},
)


def queue(gpus: Any, name: str = "h100") -> Any:
    resources = [{"name": "cpu", "nominalQuota": 512}, {"name": "nvidia.com/gpu", "nominalQuota": gpus}]
    group = {
        "coveredResources": ["cpu", "nvidia.com/gpu"],
        "flavors": [{"name": "h100", "resources": resources}],
    }
    inputs = {"metadata": {"name": name}, "spec": {"resourceGroups": [group]}}
    return resource_of("kubernetes:kueue.x-k8s.io/v1beta2:ClusterQueue", name, inputs)


SCALER = resource_of(
    "kubernetes:autoscaling/v2:HorizontalPodAutoscaler",
    "scaler",
    {
        "metadata": {"name": "scaler", "namespace": "space"},
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "model"}, "maxReplicas": 4},
    },
)


def group(name: str, zone: str, pool: str = "h100", **more: Any) -> Any:
    inputs = {
        **{"clusterName": "eks", "capacityType": "ON_DEMAND", "subnetIds": [f"subnet-{zone}"]},
        **{
            "scalingConfig": {"minSize": 1, "desiredSize": 1, "maxSize": 1},
            "tags": {"isthmus.dev/pool": pool},
        },
        **more,
    }
    return resource_of("aws:eks/nodeGroup:NodeGroup", name, inputs)


def template(pool: str, kind: str) -> Any:
    inputs = {"instanceType": kind, "tags": {"isthmus.dev/pool": pool}}
    return resource_of("aws:ec2/launchTemplate:LaunchTemplate", f"{pool}-machines", inputs)


CONFIG = resource_of(
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration",
    "qwen",
    {
        "productionVariants": [{"variantName": "primary", "instanceType": "ml.g6e.2xlarge"}],
        "tags": {"isthmus.dev/endpoint": "qwen"},
    },
)
ALARM = resource_of("aws:cloudwatch/metricAlarm:MetricAlarm", "errors", {"name": "errors"})
ENDPOINT = resource_of(
    "aws:sagemaker/endpoint:Endpoint",
    "endpoint",
    {"deploymentConfig": {"autoRollbackConfiguration": {"alarms": [{"alarmName": "errors"}]}}},
)


def _group(size: int, *, leads: bool = True) -> Any:
    """Two groups of pods, each pod with a GPU."""
    templates = ("leaderTemplate", "workerTemplate") if leads else ("workerTemplate",)
    group = {
        "size": size,
        **{template: copy.deepcopy(GPU.inputs["spec"]["template"]) for template in templates},
    }
    return resource_of(
        "kubernetes:leaderworkerset.x-k8s.io/v1:LeaderWorkerSet",
        "group",
        {
            "metadata": {"name": "group", "namespace": "space"},
            "spec": {"replicas": 2, "leaderWorkerTemplate": group},
        },
    )


CASES = [
    Case(
        "cost/gpu-quota",
        [QUOTA, GPU, namespace_of_class("internal")],
        missing=["spec.hard.[requests.nvidia.com/gpu]", "spec.hard"],
        broken=[
            [queue(8), namespace_of_class("internal")],
            [queue(8), namespace_of_class("internal"), NO_GPUS],
        ],
        also=[[namespace_of_class("internal")], [GPU]],
    ),
    Case(
        "cost/fits-quota",
        [SCALER, GPU, QUOTA],
        fails=[{"spec.maxReplicas": 1000}],
        unknown=["spec.maxReplicas"],
        broken=[
            [deployment({**BOX, "resources": {"limits": {"nvidia.com/gpu": "3"}}}, "big"), QUOTA],
            [_group(size=3), QUOTA],
            [_group(size=3, leads=False), QUOTA],
        ],
        also=[
            [
                resource_of(SCALER.type, "other", {**SCALER.inputs, "metadata": {"namespace": "elsewhere"}}),
                GPU,
                QUOTA,
            ],
            [GPU],
            [_group(size=2), QUOTA],
        ],
    ),
    Case(
        "cost/queues-fit-pools",
        [queue(16)],
        fails=[{"spec.resourceGroups.0.flavors.0.resources.1.nominalQuota": 1600}],
        unknown=["spec.resourceGroups.0.flavors.0.resources.1.nominalQuota"],
        broken=[[queue(10), queue(7, "h100-restricted")]],
        platform=WORD,
        one_keeps_it=True,
    ),
    Case(
        "cost/machines-stated",
        [template("h100", "p5.48xlarge"), CONFIG, template("system", "m7i.xlarge")],
        fails=[{"instanceType": "p6-b200.48xlarge"}],
        missing=["instanceType"],
        unknown=["instanceType"],
        broken=[
            [template("system", "p5.48xlarge")],
            [
                resource_of(
                    CONFIG.type,
                    "big",
                    {**CONFIG.inputs, "productionVariants": [{"instanceType": "ml.p5.48xlarge"}]},
                )
            ],
        ],
        also=[[template("of-another-team", "m7i.large")]],
        platform=WORD,
    ),
    Case(
        "cost/machines-bounded",
        [group("a", "a"), group("b", "b")],
        fails=[{"scalingConfig.maxSize": 100}],
        missing=["scalingConfig.maxSize"],
        unknown=["scalingConfig.maxSize"],
        broken=[],
        also=[[group("theirs", "a", "of-another-team", scalingConfig={"maxSize": 50})]],
        platform=WORD,
        one_keeps_it=True,
    ),
    Case(
        "reliability/machines-stay",
        [group("a", "a")],
        fails=[{"capacityType": "SPOT"}],
        unknown=["capacityType"],
    ),
    Case(
        "reliability/machines-in-zones",
        [group("a", "a"), group("b", "b"), group("s", "a", "system"), group("t", "b", "system")],
        fails=[{"tags": {"isthmus.dev/pool": "other"}}],
        broken=[
            [group("a", "a")],
            [group("a", "a"), group("b", "a")],
            [group("s", "a", "system")],
        ],
        also=[[group("wide", "a", subnetIds=["subnet-a", "subnet-b"])]],
        platform=WORD,
        one_keeps_it=True,
    ),
    Case(
        "reliability/rollback-alarm-stands",
        [ALARM, ENDPOINT],
        fails=[{"name": "other"}],
        missing=["name"],
        broken=[[ENDPOINT]],
        platform=WORD,
        one_keeps_it=True,
    ),
]

"""Faults in cost control: quotas, budgets, sizes, cost tags."""

from __future__ import annotations

from typing import Any

from isthmus.engine.render.recorder import Resource
from tests.broken_graphs.resources import beside
from tests.mutation.shapes import Context, Family, metadata

FAMILY = Family("cost")
BUDGET, ACTION = "aws:budgets/budget:Budget", "aws:budgets/budgetAction:BudgetAction"
GPU = "requests.nvidia.com/gpu"
WORKLOAD = "isthmus.dev/workload"


@FAMILY.changes(":ResourceQuota", where=lambda inputs, _: GPU in inputs["spec"]["hard"])
def quota_that_forgets_gpus(inputs: Any, context: Context) -> None:
    """A namespace's quota no longer bounds its GPUs."""
    del inputs["spec"]["hard"][GPU]


@FAMILY.changes(":ResourceQuota", where=lambda inputs, _: "limits.memory" in inputs["spec"]["hard"])
def quota_of_pods_alone(inputs: Any, context: Context) -> None:
    """A namespace's quota counts pods and bounds nothing that they take."""
    hard = inputs["spec"]["hard"]
    inputs["spec"]["hard"] = {"pods": hard["pods"]}


@FAMILY.drops(BUDGET)
def money_without_a_budget(inputs: Any, context: Context) -> list[Resource]:
    """A budget is left out, with the action that it would have started."""
    return [action for action in context.of(ACTION) if action.inputs["budgetName"] == inputs["name"]]


@FAMILY.changes(BUDGET, where=lambda inputs, _: inputs.get("notifications"))
def budget_that_warns_nobody(inputs: Any, context: Context) -> None:
    """A budget tells nobody when it is used up."""
    inputs["notifications"] = []


@FAMILY.changes(BUDGET)
def budget_a_hundred_times_as_large(inputs: Any, context: Context) -> None:
    """A budget is a hundred times what the platform was given."""
    inputs["limitAmount"] = str(int(float(inputs["limitAmount"]) * 100))


@FAMILY.drops(ACTION)
def budget_that_stops_nothing(inputs: Any, context: Context) -> None:
    """A used-up budget no longer takes the right to call models away."""


@FAMILY.changes(ACTION)
def budget_action_that_waits_for_somebody(inputs: Any, context: Context) -> None:
    """A used-up budget waits for somebody's approval before it stops anything."""
    inputs["approvalModel"] = "MANUAL"


@FAMILY.drops("aws:costexplorer/anomalyMonitor:AnomalyMonitor")
def leap_in_cost_that_nobody_sees(inputs: Any, context: Context) -> list[Resource]:
    """What watches the bill for anomalies is left out, with its subscriptions."""
    return context.of("aws:costexplorer/anomalySubscription:AnomalySubscription")


@FAMILY.changes("aws:costexplorer/costAllocationTag:CostAllocationTag")
def tag_that_splits_no_bill(inputs: Any, context: Context) -> None:
    """A tag by which the bill is split is inactive."""
    inputs["status"] = "Inactive"


TAGGED = ("aws:bedrock/inferenceProfile:InferenceProfile", "aws:sagemaker/endpoint:Endpoint")


@FAMILY.changes(*TAGGED, where=lambda inputs, _: WORKLOAD in inputs["tags"])
def calls_that_no_workload_pays_for(inputs: Any, context: Context) -> None:
    """What a workload calls does not bear the workload's tag, so no bill and no budget counts it."""
    del inputs["tags"][WORKLOAD]


def is_model(inputs: Any, context: Context) -> bool:
    return context.labelled("isthmus.dev/role") == "model"


@FAMILY.adds(":Deployment", where=is_model)
def replicas_without_a_bound(inputs: Any, context: Context) -> list[Resource]:
    """A model server is scaled by its load, up to a thousand replicas."""
    name = metadata(context.resource)["name"]
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    by = {"type": "Utilization", "averageUtilization": 60}
    metric = {"type": "Resource", "resource": {"name": "cpu", "target": by}}
    more = {
        "metadata": {"name": name, "namespace": context.space},
        "spec": {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 1000, "metrics": [metric]},
    }
    kind = "kubernetes:autoscaling/v2:HorizontalPodAutoscaler"
    return [beside(context.resource, kind, f"{name}-scaler", more)]


@FAMILY.changes(":Deployment", ":LeaderWorkerSet", where=is_model, also=["reliability"])
def more_replicas_than_there_are_gpus(inputs: Any, context: Context) -> None:
    """A model server asks for a hundred times the replicas, far beyond its pool."""
    inputs["spec"]["replicas"] *= 100


@FAMILY.changes(":Deployment", ":LeaderWorkerSet", where=is_model, also=["reliability"])
def model_past_the_queue(inputs: Any, context: Context) -> None:
    """A model server takes its GPUs without asking the queue that shares them out."""
    queue = "kueue.x-k8s.io/queue-name"
    del inputs["metadata"]["labels"][queue]
    template = inputs["spec"].get("template") or {"metadata": {"labels": {}}}
    template["metadata"]["labels"].pop(queue, None)


@FAMILY.changes(":ClusterQueue", also=["reliability"])
def queue_of_more_gpus_than_there_are(inputs: Any, context: Context) -> None:
    """A queue admits work for a hundred times the GPUs of its pool."""
    for group in inputs["spec"]["resourceGroups"]:
        for flavor in group["flavors"]:
            for resource in flavor["resources"]:
                if resource["name"] == "nvidia.com/gpu":
                    resource["nominalQuota"] *= 100


@FAMILY.changes("aws:eks/nodeGroup:NodeGroup")
def machines_without_a_bound(inputs: Any, context: Context) -> None:
    """A group of machines may grow to a hundred."""
    inputs["scalingConfig"]["maxSize"] = 100


@FAMILY.changes("aws:ec2/launchTemplate:LaunchTemplate")
def machines_of_the_dearest_kind(inputs: Any, context: Context) -> None:
    """Machines are of a kind that costs many times what was planned."""
    inputs["instanceType"] = "p5.48xlarge"


@FAMILY.changes("aws:sagemaker/endpointConfiguration:EndpointConfiguration")
def hosted_model_on_the_dearest_machine(inputs: Any, context: Context) -> None:
    """A model on SageMaker gets a machine that costs many times what was planned."""
    inputs["productionVariants"][0]["instanceType"] = "ml.p5.48xlarge"


@FAMILY.adds("aws:bedrock/guardrail:Guardrail")
def throughput_bought_for_half_a_year(inputs: Any, context: Context) -> list[Resource]:
    """Throughput of a model is bought for six months, which no plan says."""
    bought = {
        "provisionedModelName": "reserved",
        "modelArn": "arn:aws:bedrock:eu-central-1::foundation-model/amazon.nova-lite-v1:0",
        "modelUnits": 4,
        "commitmentDuration": "SixMonths",
        "tags": inputs["tags"],
    }
    kind = "aws:bedrock/provisionedModelThroughput:ProvisionedModelThroughput"
    return [beside(context.resource, kind, "reserved-throughput", bought)]

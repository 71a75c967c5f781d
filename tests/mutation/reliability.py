"""Faults in reliability: loss of a pod, a machine or a zone, and bad releases."""

from __future__ import annotations

from typing import Any

from isthmus.engine.render.recorder import Resource
from tests.broken_graphs.parts import BOXES, PODS
from tests.mutation.shapes import Context, Family

FAMILY = Family("reliability")
BUDGET = ":PodDisruptionBudget"
SERVICE = "aws:ecs/service:Service"
ENDPOINT = "aws:sagemaker/endpoint:Endpoint"
SERVED = (":Deployment", ":LeaderWorkerSet")


def several(inputs: Any, _: Context) -> bool:
    return inputs["spec"].get("replicas", 1) > 1


@FAMILY.changes(*SERVED, where=several)
def one_replica_of_several(inputs: Any, context: Context) -> None:
    """A gateway, translator or model runs as one replica, where the platform says several."""
    inputs["spec"]["replicas"] = 1


@FAMILY.changes(*SERVED, where=several)
def workload_that_is_scaled_to_nothing(inputs: Any, context: Context) -> None:
    """A gateway, translator or model is scaled to no replica at all."""
    inputs["spec"]["replicas"] = 0


def spread(pod: Any, context: Context) -> bool:
    return bool(pod["spec"].get("topologySpreadConstraints")) and several(context.resource.inputs, context)


@FAMILY.changes(*SERVED, lens=PODS, where=spread)
def replicas_on_one_machine(pod: Any, context: Context) -> None:
    """Nothing keeps the replicas of a workload off one machine."""
    del pod["spec"]["topologySpreadConstraints"]


def holds_zones(pod: Any, context: Context) -> bool:
    modes = [
        constraint["whenUnsatisfiable"] for constraint in pod["spec"].get("topologySpreadConstraints") or []
    ]
    return several(context.resource.inputs, context) and "DoNotSchedule" in modes


@FAMILY.changes(*SERVED, lens=PODS, where=holds_zones)
def replicas_that_may_share_a_zone(pod: Any, context: Context) -> None:
    """Replicas are put into one zone or onto one machine when that is easier."""
    for constraint in pod["spec"]["topologySpreadConstraints"]:
        constraint["whenUnsatisfiable"] = "ScheduleAnyway"
        constraint.pop("minDomains", None)


def guards_several(_: Any, context: Context) -> bool:
    return any(several(workload.inputs, context) for workload in context.selected)


@FAMILY.changes(BUDGET, where=guards_several)
def drain_that_may_take_all(inputs: Any, context: Context) -> None:
    """A disruption budget lets a drain end every pod of a workload."""
    inputs["spec"]["maxUnavailable"] = "100%"


@FAMILY.changes(BUDGET)
def drain_that_never_ends(inputs: Any, context: Context) -> None:
    """A disruption budget lets no pod go, so no machine can be drained."""
    inputs["spec"]["maxUnavailable"] = 0


@FAMILY.changes(BUDGET, where=guards_several)
def budget_that_selects_nothing(inputs: Any, context: Context) -> None:
    """A disruption budget selects pods by a label that none has."""
    inputs["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"] += "-v2"


def alone_says_when(container: Any, _: Context) -> bool:
    """Of a pod with a sidecar that starts before them, its containers do."""
    return "readinessProbe" in container and container.get("restartPolicy") != "Always"


@FAMILY.changes(*SERVED, lens=BOXES, where=alone_says_when)
def requests_before_it_is_ready(container: Any, context: Context) -> None:
    """A container gets requests before it can answer them."""
    del container["readinessProbe"]


@FAMILY.changes(*SERVED, lens=BOXES, where=lambda container, _: "livenessProbe" in container)
def hung_container_that_stays(container: Any, context: Context) -> None:
    """A container that hangs is not started again."""
    del container["livenessProbe"]


@FAMILY.changes(*SERVED, lens=PODS)
def requests_cut_off_at_the_end(pod: Any, context: Context) -> None:
    """A pod is killed at once, with the requests that it is answering."""
    pod["spec"]["terminationGracePeriodSeconds"] = 0


@FAMILY.changes(":Deployment", where=several)
def rollout_that_ends_all_at_once(inputs: Any, context: Context) -> None:
    """A rollout ends every replica before it starts a new one."""
    inputs["spec"]["strategy"] = {"type": "Recreate"}


@FAMILY.changes(":Deployment", where=lambda _, context: context.labelled("isthmus.dev/role") == "model")
def rollout_that_gives_up_too_early(inputs: Any, context: Context) -> None:
    """A rollout is called failed before a model can be loaded."""
    inputs["spec"]["progressDeadlineSeconds"] = 60


@FAMILY.drops(":PodMonitor")
def workload_that_nobody_measures(inputs: Any, context: Context) -> None:
    """What has a workload's figures collected is left out."""


@FAMILY.changes(
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration",
    where=lambda inputs, _: inputs["productionVariants"][0]["initialInstanceCount"] > 1,
)
def hosted_model_on_one_machine(inputs: Any, context: Context) -> None:
    """A model on SageMaker runs on one machine."""
    inputs["productionVariants"][0]["initialInstanceCount"] = 1


@FAMILY.changes(
    ENDPOINT,
    where=lambda inputs, _: "autoRollbackConfiguration" in inputs["deploymentConfig"],
    also=["release"],
)
def release_that_is_not_rolled_back(inputs: Any, context: Context) -> None:
    """No alarm takes a bad release of a model on SageMaker back."""
    del inputs["deploymentConfig"]["autoRollbackConfiguration"]


@FAMILY.drops(
    "aws:cloudwatch/metricAlarm:MetricAlarm", where=lambda _, context: rolled_back(context), also=["release"]
)
def rollback_by_an_alarm_that_is_gone(inputs: Any, context: Context) -> None:
    """The alarm that a bad release would be taken back by is left out."""


def rolled_back(context: Context) -> bool:
    """Whether an endpoint's rollback waits for the alarm."""
    name = context.resource.inputs["name"]
    return any(name in str(endpoint.inputs.get("deploymentConfig")) for endpoint in context.of(ENDPOINT))


@FAMILY.changes(SERVICE, where=lambda inputs, _: inputs.get("desiredCount", 1) > 1)
def one_task_of_several(inputs: Any, context: Context) -> None:
    """A gateway on Fargate runs as one task."""
    inputs["desiredCount"] = 1


@FAMILY.changes(SERVICE, where=lambda inputs, _: "deploymentCircuitBreaker" in inputs)
def bad_task_that_is_not_rolled_back(inputs: Any, context: Context) -> None:
    """A gateway's bad deployment on Fargate is tried for ever."""
    inputs["deploymentCircuitBreaker"] = {"enable": False, "rollback": False}


# A sealer is one task, ended before the next begins.
@FAMILY.changes(SERVICE, where=lambda inputs, _: "sealer" not in str(inputs.get("name")))
def deployment_that_ends_all_tasks(inputs: Any, context: Context) -> None:
    """A gateway's deployment on Fargate may end all tasks at once."""
    inputs["deploymentMinimumHealthyPercent"] = 0


def in_zones(inputs: Any, _: Context) -> bool:
    return len(inputs.get("subnetIds") or []) > 1


@FAMILY.changes("aws:ec2/vpcEndpoint:VpcEndpoint", where=in_zones)
def private_endpoint_in_one_zone(inputs: Any, context: Context) -> None:
    """A private endpoint stands in one zone only."""
    inputs["subnetIds"] = inputs["subnetIds"][:1]


@FAMILY.changes(SERVICE, where=lambda inputs, _: len(inputs["networkConfiguration"]["subnets"]) > 1)
def tasks_in_one_zone(inputs: Any, context: Context) -> None:
    """The tasks of a gateway stand in one zone only."""
    inputs["networkConfiguration"]["subnets"] = inputs["networkConfiguration"]["subnets"][:1]


@FAMILY.changes(
    "aws:eks/nodeGroup:NodeGroup", where=lambda inputs, _: inputs.get("capacityType") == "ON_DEMAND"
)
def machines_that_aws_takes_back(inputs: Any, context: Context) -> None:
    """Machines are bought on the spot market, which takes them back in two minutes."""
    inputs["capacityType"] = "SPOT"


@FAMILY.drops("aws:eks/nodeGroup:NodeGroup", where=lambda _, context: twins(context))
def machines_of_one_zone_left_out(inputs: Any, context: Context) -> None:
    """The machines of one of two zones are left out."""


def twins(context: Context) -> list[Resource]:
    """Groups of the same machines in other zones."""
    group = context.resource
    return [
        other_group
        for other_group in context.of("aws:eks/nodeGroup:NodeGroup")
        if other_group.urn != group.urn
        and other_group.inputs["launchTemplate"] == group.inputs["launchTemplate"]
    ]

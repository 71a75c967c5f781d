"""Faults on what survives the loss of a pod, a machine, a zone or a bad release."""

from __future__ import annotations

from typing import Any

from isthmus.engine.render.recorder import Resource
from tests.mutation.parts import BOXES, PODS
from tests.mutation.shapes import Family, Seen

FAMILY = Family("reliability")
BUDGET = ":PodDisruptionBudget"
SERVICE = "aws:ecs/service:Service"
ENDPOINT = "aws:sagemaker/endpoint:Endpoint"
SERVED = (":Deployment", ":LeaderWorkerSet")


def several(inputs: Any, _: Seen) -> bool:
    return inputs["spec"].get("replicas", 1) > 1


@FAMILY.changes(*SERVED, where=several)
def one_replica_of_several(inputs: Any, seen: Seen) -> None:
    """A gateway, translator or model runs as one replica, where the platform says several."""
    inputs["spec"]["replicas"] = 1


@FAMILY.changes(*SERVED, where=several)
def workload_that_is_scaled_to_nothing(inputs: Any, seen: Seen) -> None:
    """A gateway, translator or model is scaled to no replica at all."""
    inputs["spec"]["replicas"] = 0


def spread(pod: Any, seen: Seen) -> bool:
    return bool(pod["spec"].get("topologySpreadConstraints")) and several(seen.resource.inputs, seen)


@FAMILY.changes(*SERVED, lens=PODS, where=spread)
def replicas_on_one_machine(pod: Any, seen: Seen) -> None:
    """Nothing keeps the replicas of a workload off one machine."""
    del pod["spec"]["topologySpreadConstraints"]


def holds_zones(pod: Any, seen: Seen) -> bool:
    held = [each["whenUnsatisfiable"] for each in pod["spec"].get("topologySpreadConstraints") or []]
    return several(seen.resource.inputs, seen) and "DoNotSchedule" in held


@FAMILY.changes(*SERVED, lens=PODS, where=holds_zones)
def replicas_that_may_share_a_zone(pod: Any, seen: Seen) -> None:
    """Replicas are put into one zone or onto one machine when that is easier."""
    for each in pod["spec"]["topologySpreadConstraints"]:
        each["whenUnsatisfiable"] = "ScheduleAnyway"
        each.pop("minDomains", None)


def guards_several(_: Any, seen: Seen) -> bool:
    return any(several(each.inputs, seen) for each in seen.selected)


@FAMILY.changes(BUDGET, where=guards_several)
def drain_that_may_take_all(inputs: Any, seen: Seen) -> None:
    """A disruption budget lets a drain end every pod of a workload."""
    inputs["spec"]["maxUnavailable"] = "100%"


@FAMILY.changes(BUDGET)
def drain_that_never_ends(inputs: Any, seen: Seen) -> None:
    """A disruption budget lets no pod go, so no machine can be drained."""
    inputs["spec"]["maxUnavailable"] = 0


@FAMILY.changes(BUDGET, where=guards_several)
def budget_that_selects_nothing(inputs: Any, seen: Seen) -> None:
    """A disruption budget selects pods by a label that none has."""
    inputs["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"] += "-v2"


def alone_says_when(box: Any, _: Seen) -> bool:
    """Of a pod with a sidecar that starts before them, its containers do."""
    return "readinessProbe" in box and box.get("restartPolicy") != "Always"


@FAMILY.changes(*SERVED, lens=BOXES, where=alone_says_when)
def requests_before_it_is_ready(box: Any, seen: Seen) -> None:
    """A container gets requests before it can answer them."""
    del box["readinessProbe"]


@FAMILY.changes(*SERVED, lens=BOXES, where=lambda box, _: "livenessProbe" in box)
def hung_container_that_stays(box: Any, seen: Seen) -> None:
    """A container that hangs is not started again."""
    del box["livenessProbe"]


@FAMILY.changes(*SERVED, lens=PODS)
def requests_cut_off_at_the_end(pod: Any, seen: Seen) -> None:
    """A pod is killed at once, with the requests that it is answering."""
    pod["spec"]["terminationGracePeriodSeconds"] = 0


@FAMILY.changes(":Deployment", where=several)
def rollout_that_ends_all_at_once(inputs: Any, seen: Seen) -> None:
    """A rollout ends every replica before it starts a new one."""
    inputs["spec"]["strategy"] = {"type": "Recreate"}


@FAMILY.changes(":Deployment", where=lambda _, seen: seen.labelled("isthmus.dev/role") == "model")
def rollout_that_gives_up_too_early(inputs: Any, seen: Seen) -> None:
    """A rollout is called failed before a model can be loaded."""
    inputs["spec"]["progressDeadlineSeconds"] = 60


@FAMILY.drops(":PodMonitor")
def workload_that_nobody_measures(inputs: Any, seen: Seen) -> None:
    """What has a workload's figures collected is left out."""


@FAMILY.changes(
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration",
    where=lambda inputs, _: inputs["productionVariants"][0]["initialInstanceCount"] > 1,
)
def hosted_model_on_one_machine(inputs: Any, seen: Seen) -> None:
    """A model on SageMaker runs on one machine."""
    inputs["productionVariants"][0]["initialInstanceCount"] = 1


@FAMILY.changes(
    ENDPOINT,
    where=lambda inputs, _: "autoRollbackConfiguration" in inputs["deploymentConfig"],
    also=["release"],
)
def release_that_is_not_rolled_back(inputs: Any, seen: Seen) -> None:
    """No alarm takes a bad release of a model on SageMaker back."""
    del inputs["deploymentConfig"]["autoRollbackConfiguration"]


@FAMILY.drops(
    "aws:cloudwatch/metricAlarm:MetricAlarm", where=lambda _, seen: rolled_back(seen), also=["release"]
)
def rollback_by_an_alarm_that_is_gone(inputs: Any, seen: Seen) -> None:
    """The alarm that a bad release would be taken back by is left out."""


def rolled_back(seen: Seen) -> bool:
    """Whether an endpoint's rollback waits for the alarm."""
    name = seen.resource.inputs["name"]
    return any(name in str(each.inputs.get("deploymentConfig")) for each in seen.of(ENDPOINT))


@FAMILY.changes(SERVICE, where=lambda inputs, _: inputs.get("desiredCount", 1) > 1)
def one_task_of_several(inputs: Any, seen: Seen) -> None:
    """A gateway on Fargate runs as one task."""
    inputs["desiredCount"] = 1


@FAMILY.changes(SERVICE, where=lambda inputs, _: "deploymentCircuitBreaker" in inputs)
def bad_task_that_is_not_rolled_back(inputs: Any, seen: Seen) -> None:
    """A gateway's bad deployment on Fargate is tried for ever."""
    inputs["deploymentCircuitBreaker"] = {"enable": False, "rollback": False}


# A sealer is one task, ended before the next begins.
@FAMILY.changes(SERVICE, where=lambda inputs, _: "sealer" not in str(inputs.get("name")))
def deployment_that_ends_all_tasks(inputs: Any, seen: Seen) -> None:
    """A gateway's deployment on Fargate may end all tasks at once."""
    inputs["deploymentMinimumHealthyPercent"] = 0


def in_zones(inputs: Any, _: Seen) -> bool:
    return len(inputs.get("subnetIds") or []) > 1


@FAMILY.changes("aws:ec2/vpcEndpoint:VpcEndpoint", where=in_zones)
def private_endpoint_in_one_zone(inputs: Any, seen: Seen) -> None:
    """A private endpoint stands in one zone only."""
    inputs["subnetIds"] = inputs["subnetIds"][:1]


@FAMILY.changes(SERVICE, where=lambda inputs, _: len(inputs["networkConfiguration"]["subnets"]) > 1)
def tasks_in_one_zone(inputs: Any, seen: Seen) -> None:
    """The tasks of a gateway stand in one zone only."""
    inputs["networkConfiguration"]["subnets"] = inputs["networkConfiguration"]["subnets"][:1]


@FAMILY.changes(
    "aws:eks/nodeGroup:NodeGroup", where=lambda inputs, _: inputs.get("capacityType") == "ON_DEMAND"
)
def machines_that_aws_takes_back(inputs: Any, seen: Seen) -> None:
    """Machines are bought on the spot market, which takes them back in two minutes."""
    inputs["capacityType"] = "SPOT"


@FAMILY.drops("aws:eks/nodeGroup:NodeGroup", where=lambda _, seen: twins(seen))
def machines_of_one_zone_left_out(inputs: Any, seen: Seen) -> None:
    """The machines of one of two zones are left out."""


def twins(seen: Seen) -> list[Resource]:
    """Groups of the same machines in other zones."""
    own = seen.resource
    return [
        each
        for each in seen.of("aws:eks/nodeGroup:NodeGroup")
        if each.urn != own.urn and each.inputs["launchTemplate"] == own.inputs["launchTemplate"]
    ]

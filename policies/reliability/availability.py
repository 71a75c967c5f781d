"""Reliability: a node, a zone or a bad release takes no class down, and nothing that holds state goes unasked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.graph.resources.resources import Resource, place
from isthmus.graph.workloads.sealers import sealers
from policies.encryption.at_rest import BUCKETS
from policies.inputs.pods import Pod, of_box, pods
from policies.inputs.values import at, unknown
from policies.rules import frameworks as fw
from policies.rules.rule import Broken, Rule, Subject

_CONFIG = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
_SERVICE, _TASK = "aws:ecs/service:Service", "aws:ecs/taskDefinition:TaskDefinition"
_SERVES = ("gateway", "translator", "resolver")
DEPLOYED = ("kubernetes:apps/v1:Deployment", "kubernetes:apps/v1:StatefulSet")


def _replicas(resource: Resource) -> Any:
    return at(resource.inputs, "spec.replicas")


def services(subject: Subject) -> list[Resource]:
    """Services of ECS that serve somebody: a sealer's task is one, and never two at once."""
    sealing = {each.resource.urn for each in sealers(subject.graph)}
    return [
        service
        for service in subject.graph.of(_SERVICE)
        if not sealing
        & {each.urn for each in subject.graph.referred(service.inputs.get("taskDefinition"), _TASK)}
    ]


def _enough(subject: Subject) -> Iterator[Broken]:
    least = subject.settings.figures.replicas_min
    for pod in serving(subject):
        if not pod.resource.type.endswith(DEPLOYED):
            continue
        count = _replicas(pod.resource)
        if unknown(count):
            yield Broken(
                f"how many replicas {pod.resource.name} has is not known yet", pod.resource, "undecided"
            )
        elif (count if count is not None else 1) < least:
            yield Broken(f"{pod.resource.name} serves its class with {count or 1:g} replica", pod.resource)
    for config in subject.graph.of(_CONFIG):
        for variant in config.inputs.get("productionVariants") or []:
            count = at(variant, "initialInstanceCount")
            if unknown(count):
                yield Broken(f"how many machines {config.name} has is not known yet", config, "undecided")
            elif count is not None and count < least:
                name = at(variant, "variantName")
                yield Broken(f"variant {name} of {config.name} has {count:g} machine", config)
    for service in services(subject):
        count = service.inputs.get("desiredCount")
        if unknown(count):
            yield Broken(f"how many tasks {service.name} has is not known yet", service, "undecided")
        elif (count if count is not None else 1) < least:
            yield Broken(f"{service.name} serves its class with {count or 1:g} task", service)


def serving(subject: Subject) -> list[Pod]:
    return [pod for pod in pods(subject.graph) if pod.role in _SERVES]


def rolled(subject: Subject) -> list[Pod]:
    """What serves a class, and whatever else has several replicas."""
    return [pod for pod in pods(subject.graph) if pod.role in _SERVES or many(pod)]


def many(pod: Pod) -> bool:
    count = _replicas(pod.resource)
    return (
        pod.resource.type.endswith((*DEPLOYED, ":LeaderWorkerSet"))
        and isinstance(count, int | float)
        and count > 1
    )


def _disruption(subject: Subject) -> Iterator[Broken]:
    for pod, mine in drained(subject):
        if not mine:
            yield Broken(f"a drain may end every replica of {pod.resource.name} at once", pod.resource)
        count = _replicas(pod.resource)
        for budget in mine:
            most, least = at(budget.inputs, "spec.maxUnavailable"), at(budget.inputs, "spec.minAvailable")
            all_ = isinstance(most, int) and most >= count
            if all_ or most == "100%" or least in (0, "0%"):
                yield Broken(f"{budget.name} lets every replica of {pod.resource.name} go at once", budget)
            if isinstance(least, int) and least >= count:
                yield Broken(f"{budget.name} lets no node of {pod.resource.name} be drained", budget)
    for budget in subject.graph.of(":PodDisruptionBudget"):
        most, least = at(budget.inputs, "spec.maxUnavailable"), at(budget.inputs, "spec.minAvailable")
        if unknown(most) or unknown(least):
            yield Broken(f"how many pods {budget.name} lets go is not known yet", budget, "undecided")
        elif most in (0, "0%") or least == "100%":
            yield Broken(f"{budget.name} lets no node be drained, however many pods it selects", budget)


def drained(subject: Subject) -> Iterator[tuple[Pod, list[Resource]]]:
    """What has several replicas, with the budgets that say how many may go."""
    budgets = list(subject.graph.of(":PodDisruptionBudget"))
    for pod in pods(subject.graph):
        if many(pod):
            yield pod, [each for each in budgets if place(each)[1] == pod.namespace and _selects(each, pod)]


def _selects(budget: Resource, pod: Pod) -> bool:
    wanted = at(budget.inputs, "spec.selector.matchLabels")
    return isinstance(wanted, Mapping) and all(pod.labels.get(key) == value for key, value in wanted.items())


def _spread(subject: Subject) -> Iterator[Broken]:
    for pod in pods(subject.graph):
        if not many(pod):
            continue
        if not pod.spec.get("topologySpreadConstraints") and not at(pod.spec, "affinity.podAntiAffinity"):
            # One place for every replica may be meant: shared GPUs of one machine, weights on one disk.
            pinned = at(pod.spec, "affinity.podAffinity") or at(pod.spec, "affinity.nodeAffinity")
            if not pinned:
                yield Broken(f"every replica of {pod.resource.name} may stand on one node", pod.resource)


def _probed(subject: Subject) -> Iterator[Broken]:
    for pod in pods(subject.graph):
        if not pod.resource.type.endswith((*DEPLOYED, ":LeaderWorkerSet")):
            continue
        boxes = [each for each in pod.spec.get("containers") or [] if isinstance(each, Mapping)]
        if boxes and not any(each.get("readinessProbe") for each in boxes):
            yield of_box(pod, boxes[0], "is sent requests before it can answer: it has no readiness probe")


def _zones(subject: Subject) -> Iterator[Broken]:
    for each, subnets in zoned(subject):
        yield from _two(each, subnets)


def zoned(subject: Subject) -> Iterator[tuple[Resource, Any]]:
    """What stands in zones, with the subnets that say which."""
    for each in subject.graph.of("aws:lb/loadBalancer:LoadBalancer", "aws:ec2/vpcEndpoint:VpcEndpoint"):
        if each.type.endswith(":VpcEndpoint") and each.inputs.get("vpcEndpointType") != "Interface":
            continue
        yield each, each.inputs.get("subnets") or each.inputs.get("subnetIds")
    for each in subject.graph.of(_SERVICE):
        yield each, at(each.inputs, "networkConfiguration.subnets")
    for each in subject.graph.of("aws:eks/cluster:Cluster"):
        yield each, at(each.inputs, "vpcConfig.subnetIds")
    for each in subject.graph.of("aws:sagemaker/model:Model"):
        if each.inputs.get("vpcConfig"):
            yield each, at(each.inputs, "vpcConfig.subnets")


def _two(each: Resource, subnets: Any) -> Iterator[Broken]:
    if unknown(subnets):
        yield Broken(f"where {each.name} stands is not known yet", each, "undecided")
    elif isinstance(subnets, list) and len(set(map(str, subnets))) < 2:
        yield Broken(f"{each.name} stands in one zone", each)


def _rolls(subject: Subject) -> Iterator[Broken]:
    for pod in rolled(subject):
        strategy = at(pod.resource.inputs, "spec.strategy")
        if at(strategy, "type") == "Recreate":
            yield Broken(
                f"a release ends {pod.resource.name} before the new one starts",
                pod.resource,
            )
        elif at(strategy, "rollingUpdate.maxUnavailable") == "100%":
            yield Broken(f"a release may take every replica of {pod.resource.name} at once", pod.resource)
    served = services(subject)
    for service in subject.graph.of(_SERVICE):
        if not at(service.inputs, "deploymentCircuitBreaker.rollback"):
            yield Broken(f"a bad release of {service.name} is tried for ever, and never taken back", service)
        least = service.inputs.get("deploymentMinimumHealthyPercent")
        if isinstance(least, int | float) and least < 50 and service in served:
            yield Broken(f"a release may take most tasks of {service.name} at once", service)


def _state_stays(subject: Subject) -> Iterator[Broken]:
    for bucket in subject.graph.of(*BUCKETS):
        if bucket.inputs.get("forceDestroy") is True:
            yield Broken(f"{bucket.name} is emptied when it is deleted", bucket, patch="force_destroy=False")
    for each in subject.graph.of("aws:ecr/repository:Repository"):
        if each.inputs.get("forceDelete") is True:
            yield Broken(f"{each.name} is emptied when it is deleted", each, patch="force_delete=False")
    for each in subject.graph.of("aws:rds/instance:Instance", "aws:rds/cluster:Cluster"):
        if each.inputs.get("skipFinalSnapshot") is True:
            yield Broken(f"{each.name} goes without a last snapshot", each)
        if not each.inputs.get("deletionProtection"):
            yield Broken(f"{each.name} may be deleted by one call", each)


def _tunnels(subject: Subject) -> Iterator[Broken]:
    for link in subject.graph.of("aws:ec2/vpnConnection:VpnConnection"):
        if link.inputs.get("staticRoutesOnly") is True:
            yield Broken(f"{link.name} does not see that a tunnel is down: its routes are static", link)
        for number in (1, 2):
            acts = link.inputs.get(f"tunnel{number}DpdTimeoutAction")
            if acts == "none":
                yield Broken(f"tunnel {number} of {link.name} stays down when its peer was silent", link)


RULES = (
    Rule(
        "reliability/replicas",
        "Gateways and endpoints have more than one replica",
        "medium",
        (
            *fw.fsbp("SageMaker.4"),
            *fw.nist("SC-5", "CP-2(2)"),
            *fw.iso_27001("A.8.14"),
            *fw.dora("Art. 9(2)"),
        ),
        "A class is down while its only gateway restarts",
        "Set replicas, initialInstanceCount or desiredCount to 2 at least",
        _enough,
        (*DEPLOYED, _CONFIG, _SERVICE),
    ),
    Rule(
        "reliability/drains",
        "A drain ends one replica after the other",
        "medium",
        (*fw.nist("CP-2(2)"), *fw.dora("Art. 9(2)")),
        "Maintenance of two nodes would end every replica, or never get done",
        "Add a PodDisruptionBudget with maxUnavailable: 1",
        _disruption,
        (*DEPLOYED, "kubernetes:policy/v1:PodDisruptionBudget"),
    ),
    Rule(
        "reliability/spread",
        "Replicas stand on several nodes",
        "medium",
        (*fw.nist("SC-36", "CP-2(2)"), *fw.iso_27001("A.8.14"), *fw.dora("Art. 9(2)")),
        "Replicas of one node fail together",
        "Add topologySpreadConstraints, or an anti-affinity",
        _spread,
        DEPLOYED,
    ),
    Rule(
        "reliability/probed",
        "What serves says when it can answer",
        "medium",
        (*fw.nist("SC-5"), *fw.dora("Art. 9(2)")),
        "Weights load for minutes; until then requests fail",
        "Add a readinessProbe",
        _probed,
        DEPLOYED,
    ),
    Rule(
        "reliability/two-zones",
        "What serves in AWS stands in two zones",
        "medium",
        (*fw.nist("SC-36", "CP-2(2)"), *fw.fsbp("ELB.13"), *fw.iso_27001("A.8.14"), *fw.dora("Art. 9(2)")),
        "A zone's failure is the commonest of AWS's large ones",
        "Name subnets of two zones",
        _zones,
        ("aws:lb/loadBalancer:LoadBalancer", "aws:ec2/vpcEndpoint:VpcEndpoint", _SERVICE),
    ),
    Rule(
        "reliability/releases-roll",
        "A release takes no gateway down, and a bad one is taken back",
        "medium",
        (*fw.nist("CM-3", "CP-10"), *fw.iso_27001("A.8.32"), *fw.dora("Art. 9(4)(e)")),
        "Every release would be an outage of its class",
        "Use RollingUpdate; set deploymentCircuitBreaker: {enable: true, rollback: true}",
        _rolls,
        (*DEPLOYED, _SERVICE),
    ),
    Rule(
        "reliability/state-stays",
        "Deleting what holds state takes more than one call",
        "high",
        (*fw.nist("CP-9"),),
        "A slip in a program would erase records or weights",
        "Set forceDestroy and skipFinalSnapshot to false, deletionProtection to true",
        _state_stays,
        BUCKETS,
    ),
    Rule(
        "reliability/links-heal",
        "Private links see a failed tunnel, and come back",
        "medium",
        (*fw.nist("CP-10"), *fw.dora("Art. 9(2)")),
        "Traffic would go on into the tunnel that is down",
        "Route by BGP, and set DpdTimeoutAction to restart or clear",
        _tunnels,
        ("aws:ec2/vpnConnection:VpnConnection",),
    ),
)

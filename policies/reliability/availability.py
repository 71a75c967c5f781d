"""Rules for availability: replicas, disruption budgets, zones, rollouts, protected state, VPN tunnels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.graph.resources.resources import Resource, name_and_namespace
from isthmus.graph.workloads.sealers import sealers
from policies.encryption.at_rest import BUCKETS
from policies.inputs.pods import Pod, container_violation, pods
from policies.inputs.selectors import pods_where
from policies.inputs.values import at, is_unknown
from policies.rules import frameworks as fw
from policies.rules.rule import Applicable, Rule, Subject, Violation

_CONFIG = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
_SERVICE, _TASK = "aws:ecs/service:Service", "aws:ecs/taskDefinition:TaskDefinition"
_SERVING_ROLES = ("gateway", "translator", "resolver")
_DEPLOYED = ("kubernetes:apps/v1:Deployment", "kubernetes:apps/v1:StatefulSet")


def _replicas(resource: Resource) -> Any:
    return at(resource.inputs, "spec.replicas")


def _serving_services(subject: Subject) -> list[Resource]:
    """ECS services that serve callers. Sealers are left out: a sealer runs as exactly one task."""
    sealing = {sealer.resource.urn for sealer in sealers(subject.graph)}
    return [
        service
        for service in subject.graph.of(_SERVICE)
        if not sealing
        & {task.urn for task in subject.graph.referred(service.inputs.get("taskDefinition"), _TASK)}
    ]


def _check_replicas(subject: Subject) -> Iterator[Violation]:
    least = subject.settings.figures.replicas_min
    for pod in _serving_pods(subject):
        if not pod.resource.type.endswith(_DEPLOYED):
            continue
        count = _replicas(pod.resource)
        if is_unknown(count):
            yield Violation(
                f"the number of replicas of {pod.resource.name} is not known yet", pod.resource, "undecided"
            )
        elif (count if count is not None else 1) < least:
            yield Violation(
                f"{pod.resource.name} has {count or 1:g} replica; the minimum is {least}", pod.resource
            )
    for config in subject.graph.of(_CONFIG):
        for variant in config.inputs.get("productionVariants") or []:
            count = at(variant, "initialInstanceCount")
            if is_unknown(count):
                yield Violation(
                    f"the number of machines of {config.name} is not known yet", config, "undecided"
                )
            elif count is not None and count < least:
                name = at(variant, "variantName")
                yield Violation(
                    f"variant {name} of {config.name} has {count:g} machine; the minimum is {least}", config
                )
    for service in _serving_services(subject):
        count = service.inputs.get("desiredCount")
        if is_unknown(count):
            yield Violation(f"the number of tasks of {service.name} is not known yet", service, "undecided")
        elif (count if count is not None else 1) < least:
            yield Violation(f"{service.name} has {count or 1:g} task; the minimum is {least}", service)


def _replicated(subject: Subject) -> Iterator[Resource]:
    serving = (pod.resource for pod in _serving_pods(subject))
    yield from (resource for resource in serving if resource.type.endswith(_DEPLOYED))
    yield from subject.graph.of(_CONFIG)
    yield from _serving_services(subject)


def _serving_pods(subject: Subject) -> list[Pod]:
    return [pod for pod in pods(subject.graph) if pod.role in _SERVING_ROLES]


def _rolling_pods(subject: Subject) -> list[Pod]:
    """Pods that serve a class, and all others with several replicas."""
    return [pod for pod in pods(subject.graph) if pod.role in _SERVING_ROLES or _has_several_replicas(pod)]


def _has_several_replicas(pod: Pod) -> bool:
    count = _replicas(pod.resource)
    return (
        pod.resource.type.endswith((*_DEPLOYED, ":LeaderWorkerSet"))
        and isinstance(count, int | float)
        and count > 1
    )


def _check_disruption_budgets(subject: Subject) -> Iterator[Violation]:
    for pod, budgets in _pods_with_budgets(subject):
        if not budgets:
            yield Violation(
                f"{pod.resource.name} has no PodDisruptionBudget, so a drain may end every replica at once",
                pod.resource,
            )
        count = _replicas(pod.resource)
        for budget in budgets:
            most, least = at(budget.inputs, "spec.maxUnavailable"), at(budget.inputs, "spec.minAvailable")
            lets_all_go = isinstance(most, int) and most >= count
            if lets_all_go or most == "100%" or least in (0, "0%"):
                yield Violation(
                    f"{budget.name} allows every replica of {pod.resource.name} to end at once", budget
                )
            if isinstance(least, int) and least >= count:
                yield Violation(f"{budget.name} prevents draining any node of {pod.resource.name}", budget)
    for budget in subject.graph.of(":PodDisruptionBudget"):
        most, least = at(budget.inputs, "spec.maxUnavailable"), at(budget.inputs, "spec.minAvailable")
        if is_unknown(most) or is_unknown(least):
            yield Violation(f"the limits of {budget.name} are not known yet", budget, "undecided")
        elif most in (0, "0%") or least == "100%":
            yield Violation(f"{budget.name} prevents draining any node, however many pods it selects", budget)


def _disruption_budgets(subject: Subject) -> Iterator[Resource]:
    """PodDisruptionBudgets, and workloads with several replicas that have none."""
    yield from subject.graph.of(":PodDisruptionBudget")
    for pod, budgets in _pods_with_budgets(subject):
        yield from budgets or [pod.resource]


def _pods_with_budgets(subject: Subject) -> Iterator[tuple[Pod, list[Resource]]]:
    """Pods with several replicas, and the PodDisruptionBudgets that select them."""
    budgets = list(subject.graph.of(":PodDisruptionBudget"))
    for pod in pods(subject.graph):
        if _has_several_replicas(pod):
            yield (
                pod,
                [
                    budget
                    for budget in budgets
                    if name_and_namespace(budget)[1] == pod.namespace and _selects(budget, pod)
                ],
            )


def _selects(budget: Resource, pod: Pod) -> bool:
    labels = at(budget.inputs, "spec.selector.matchLabels")
    return isinstance(labels, Mapping) and all(pod.labels.get(key) == value for key, value in labels.items())


def _check_spread(subject: Subject) -> Iterator[Violation]:
    for pod in pods(subject.graph):
        if not _has_several_replicas(pod):
            continue
        if not pod.spec.get("topologySpreadConstraints") and not at(pod.spec, "affinity.podAntiAffinity"):
            # One place for all replicas can be intended: shared GPUs of one machine, weights on one disk.
            pinned = at(pod.spec, "affinity.podAffinity") or at(pod.spec, "affinity.nodeAffinity")
            if not pinned:
                yield Violation(f"every replica of {pod.resource.name} may run on one node", pod.resource)


def _should_spread(pod: Pod) -> bool:
    """Whether replicas should be spread: not if they are pinned to one place on purpose."""
    spread = pod.spec.get("topologySpreadConstraints") or at(pod.spec, "affinity.podAntiAffinity")
    pinned = at(pod.spec, "affinity.podAffinity") or at(pod.spec, "affinity.nodeAffinity")
    return _has_several_replicas(pod) and bool(spread or not pinned)


def _check_readiness(subject: Subject) -> Iterator[Violation]:
    for pod in pods(subject.graph):
        if not pod.resource.type.endswith((*_DEPLOYED, ":LeaderWorkerSet")):
            continue
        containers = [
            container for container in pod.spec.get("containers") or [] if isinstance(container, Mapping)
        ]
        if containers and not any(container.get("readinessProbe") for container in containers):
            yield container_violation(
                pod, containers[0], "has no readiness probe, so it gets requests before it can answer"
            )


def _should_be_probed(pod: Pod) -> bool:
    kinds = (*_DEPLOYED, ":LeaderWorkerSet")
    return pod.resource.type.endswith(kinds) and bool(pod.spec.get("containers"))


def _check_zones(subject: Subject) -> Iterator[Violation]:
    for resource, subnets in _resources_in_zones(subject):
        yield from _check_two_zones(resource, subnets)


def _resources_in_zones(subject: Subject) -> Iterator[tuple[Resource, Any]]:
    """Resources that run in zones, with the subnets that decide which."""
    for resource in subject.graph.of("aws:lb/loadBalancer:LoadBalancer", "aws:ec2/vpcEndpoint:VpcEndpoint"):
        if resource.type.endswith(":VpcEndpoint") and resource.inputs.get("vpcEndpointType") != "Interface":
            continue
        yield resource, resource.inputs.get("subnets") or resource.inputs.get("subnetIds")
    for service in subject.graph.of(_SERVICE):
        yield service, at(service.inputs, "networkConfiguration.subnets")
    for cluster in subject.graph.of("aws:eks/cluster:Cluster"):
        yield cluster, at(cluster.inputs, "vpcConfig.subnetIds")
    for model in subject.graph.of("aws:sagemaker/model:Model"):
        if model.inputs.get("vpcConfig"):
            yield model, at(model.inputs, "vpcConfig.subnets")


def _check_two_zones(resource: Resource, subnets: Any) -> Iterator[Violation]:
    if is_unknown(subnets):
        yield Violation(f"the zones of {resource.name} are not known yet", resource, "undecided")
    elif isinstance(subnets, list) and len(set(map(str, subnets))) < 2:
        yield Violation(f"{resource.name} runs in only one zone", resource)


def _zoned_resources(subject: Subject) -> Iterator[Resource]:
    for resource, subnets in _resources_in_zones(subject):
        if is_unknown(subnets) or isinstance(subnets, list):
            yield resource


def _check_rollouts(subject: Subject) -> Iterator[Violation]:
    for pod in _rolling_pods(subject):
        strategy = at(pod.resource.inputs, "spec.strategy")
        if at(strategy, "type") == "Recreate":
            yield Violation(
                f"a release ends {pod.resource.name} before the new pods start",
                pod.resource,
            )
        elif at(strategy, "rollingUpdate.maxUnavailable") == "100%":
            yield Violation(f"a release may end every replica of {pod.resource.name} at once", pod.resource)
    served = _serving_services(subject)
    for service in subject.graph.of(_SERVICE):
        if not at(service.inputs, "deploymentCircuitBreaker.rollback"):
            yield Violation(
                f"a bad release of {service.name} is retried for ever and never rolled back", service
            )
        least = service.inputs.get("deploymentMinimumHealthyPercent")
        if isinstance(least, int | float) and least < 50 and service in served:
            yield Violation(f"a release may end most tasks of {service.name} at once", service)


def _rolling_workloads(subject: Subject) -> Iterator[Resource]:
    yield from (pod.resource for pod in _rolling_pods(subject))
    yield from subject.graph.of(_SERVICE)


def _check_state_protected(subject: Subject) -> Iterator[Violation]:
    for bucket in subject.graph.of(*BUCKETS):
        if bucket.inputs.get("forceDestroy") is True:
            yield Violation(
                f"{bucket.name} is emptied when it is deleted", bucket, patch="force_destroy=False"
            )
    for repository in subject.graph.of("aws:ecr/repository:Repository"):
        if repository.inputs.get("forceDelete") is True:
            yield Violation(
                f"{repository.name} is emptied when it is deleted", repository, patch="force_delete=False"
            )
    for database in subject.graph.of("aws:rds/instance:Instance", "aws:rds/cluster:Cluster"):
        if database.inputs.get("skipFinalSnapshot") is True:
            yield Violation(f"{database.name} is deleted without a final snapshot", database)
        if not database.inputs.get("deletionProtection"):
            yield Violation(f"{database.name} has no deletion protection", database)


def _stores(subject: Subject) -> Applicable:
    databases = ("aws:rds/instance:Instance", "aws:rds/cluster:Cluster")
    return subject.graph.of(*BUCKETS, "aws:ecr/repository:Repository", *databases)


def _check_tunnels_recover(subject: Subject) -> Iterator[Violation]:
    for link in subject.graph.of("aws:ec2/vpnConnection:VpnConnection"):
        if link.inputs.get("staticRoutesOnly") is True:
            yield Violation(f"{link.name} does not detect a failed tunnel: its routes are static", link)
        for number in (1, 2):
            acts = link.inputs.get(f"tunnel{number}DpdTimeoutAction")
            if acts == "none":
                yield Violation(
                    f"tunnel {number} of {link.name} stays down after a timeout of its peer", link
                )


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
        "The class is down while its only gateway restarts",
        "Set replicas, initialInstanceCount or desiredCount to at least 2",
        _check_replicas,
        (*_DEPLOYED, _CONFIG, _SERVICE),
        applies_to=_replicated,
    ),
    Rule(
        "reliability/drains",
        "A node drain ends one replica at a time",
        "medium",
        (*fw.nist("CP-2(2)"), *fw.dora("Art. 9(2)")),
        "Maintenance of two nodes would end every replica, or never finish",
        "Add a PodDisruptionBudget with maxUnavailable: 1",
        _check_disruption_budgets,
        (*_DEPLOYED, "kubernetes:policy/v1:PodDisruptionBudget"),
        applies_to=_disruption_budgets,
    ),
    Rule(
        "reliability/spread",
        "Replicas run on several nodes",
        "medium",
        (*fw.nist("SC-36", "CP-2(2)"), *fw.iso_27001("A.8.14"), *fw.dora("Art. 9(2)")),
        "Replicas on one node fail together",
        "Add topologySpreadConstraints or a pod anti-affinity",
        _check_spread,
        _DEPLOYED,
        applies_to=pods_where(_should_spread),
    ),
    Rule(
        "reliability/probed",
        "Servers report when they are ready",
        "medium",
        (*fw.nist("SC-5"), *fw.dora("Art. 9(2)")),
        "Weights take minutes to load, and requests fail until then",
        "Add a readinessProbe",
        _check_readiness,
        _DEPLOYED,
        applies_to=pods_where(_should_be_probed),
    ),
    Rule(
        "reliability/two-zones",
        "Servers in AWS run in two zones",
        "medium",
        (*fw.nist("SC-36", "CP-2(2)"), *fw.fsbp("ELB.13"), *fw.iso_27001("A.8.14"), *fw.dora("Art. 9(2)")),
        "The failure of one zone is the most common large failure of AWS",
        "Name subnets of two zones",
        _check_zones,
        ("aws:lb/loadBalancer:LoadBalancer", "aws:ec2/vpcEndpoint:VpcEndpoint", _SERVICE),
        applies_to=_zoned_resources,
    ),
    Rule(
        "reliability/releases-roll",
        "A release keeps gateways running, and a bad one is rolled back",
        "medium",
        (*fw.nist("CM-3", "CP-10"), *fw.iso_27001("A.8.32"), *fw.dora("Art. 9(4)(e)")),
        "Every release would be an outage of its class",
        "Use RollingUpdate; set deploymentCircuitBreaker: {enable: true, rollback: true}",
        _check_rollouts,
        (*_DEPLOYED, _SERVICE),
        applies_to=_rolling_workloads,
    ),
    Rule(
        "reliability/state-stays",
        "Deleting stored data takes more than one call",
        "high",
        (*fw.nist("CP-9"),),
        "A mistake in a program could erase records or weights",
        "Set forceDestroy and skipFinalSnapshot to false, deletionProtection to true",
        _check_state_protected,
        BUCKETS,
        applies_to=_stores,
    ),
    Rule(
        "reliability/links-heal",
        "VPN links detect a failed tunnel and recover",
        "medium",
        (*fw.nist("CP-10"), *fw.dora("Art. 9(2)")),
        "Traffic would still go into the failed tunnel",
        "Route by BGP, and set DpdTimeoutAction to restart or clear",
        _check_tunnels_recover,
        ("aws:ec2/vpnConnection:VpnConnection",),
    ),
)

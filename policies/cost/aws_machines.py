"""Machines in AWS as the platform states them: of which kind, how many at most, bought how, and in which zones."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from isthmus.contracts.platform.lookups.system_nodes import sized
from isthmus.contracts.platform.model.platform import Platform, Pool
from isthmus.graph.resources.resources import Resource
from policies.cost.capacity import Sum, number, summed
from policies.inputs.declared import tag
from policies.inputs.values import at, unknown
from policies.rules import frameworks as fw
from policies.rules.rule import Broken, Rule, Subject

_GROUP, _TEMPLATE = "aws:eks/nodeGroup:NodeGroup", "aws:ec2/launchTemplate:LaunchTemplate"
_CONFIG = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
_ALARM, ENDPOINT = "aws:cloudwatch/metricAlarm:MetricAlarm", "aws:sagemaker/endpoint:Endpoint"
_POOL, _SYSTEM = "isthmus.dev/pool", "system"
_TAKEN_BACK = "SPOT"


def _pool(platform: Platform, resource: Resource) -> Pool | None:
    named = tag(resource, _POOL)
    return next((each for each in platform.pools if each.name == named and each.node_group), None)


def _kinds(platform: Platform, resource: Resource) -> set[str]:
    """Kinds of machine that a launch template may name; none where the platform does not know whose it is."""
    pool = _pool(platform, resource)
    if pool is not None and pool.node_group is not None:
        return {pool.node_group.instance_type}
    if tag(resource, _POOL) == _SYSTEM:
        return {sized(platform, each).instance_type for each in platform.clusters if each.mode == "manage"}
    return set()


def of_a_kind(subject: Subject) -> Iterator[tuple[Resource, str, Any, set[str]]]:
    """What takes machines of a kind that the platform states: how it is called, the kind, and those stated."""
    platform = subject.platform
    if platform is None:
        return
    for template in subject.graph.of(_TEMPLATE):
        wanted = _kinds(platform, template)
        if wanted:
            yield template, template.name, template.inputs.get("instanceType"), wanted
    for config in subject.graph.of(_CONFIG):
        hosted = [
            each.sagemaker for each in platform.endpoints if each.id == tag(config, "isthmus.dev/endpoint")
        ]
        kinds = {
            kind
            for one in hosted
            if one is not None
            for kind in (one.instance_type, one.shadow.instance_type if one.shadow else None)
            if kind
        }
        for part in ("productionVariants", "shadowProductionVariants"):
            for variant in config.inputs.get(part) or []:
                if kinds:
                    who = f"variant {at(variant, 'variantName')} of {config.name}"
                    yield config, who, at(variant, "instanceType"), kinds


def _of_the_kind(subject: Subject) -> Iterator[Broken]:
    for resource, who, kind, wanted in of_a_kind(subject):
        if kind in wanted:
            continue
        if unknown(kind):
            yield Broken(f"of which kind the machines of {who} are is not known yet", resource, "undecided")
        else:
            said = f"{who} takes machines of kind {kind or 'nobody knows'}"
            yield Broken(f"{said}, and the platform states {', '.join(sorted(wanted))}", resource)


def growing(subject: Subject) -> tuple[list[Resource], list[Sum]]:
    """Groups of which nobody says how far they grow, and to how many machines those of a pool grow together."""
    platform, endless, sums = subject.platform, list[Resource](), list[Sum]()
    if platform is None:
        return endless, sums
    groups: dict[str, list[Resource]] = {}
    for each in subject.graph.of(_GROUP):
        groups.setdefault(tag(each, _POOL), []).append(each)
    for name, mine in sorted(groups.items()):
        most = _most(platform, name)
        if most is None:
            continue
        sizes = [(number(at(each.inputs, "scalingConfig.maxSize")), each) for each in mine]
        endless += [each for size, each in sizes if size is None]
        known = [(size, each) for size, each in sizes if size is not None]
        if known:
            sums.append(summed(name, known, Fraction(most), whole=len(known) == len(mine)))
    return endless, sums


def _bounded(subject: Subject) -> Iterator[Broken]:
    endless, sums = growing(subject)
    for each in endless:
        verdict = "violated" if at(each.inputs, "scalingConfig.maxSize") is None else "undecided"
        yield Broken(f"nobody says to how many machines {each.name} may grow", each, verdict)
    for one in sums:
        if one.total > one.most:
            said = f"the machines of {one.of} may grow to {float(one.total):g}, and the platform states {one.most}"
            yield Broken(f"{said}; most of them are {one.largest.name}'s", one.largest)


def _most(platform: Platform, name: str) -> int | None:
    """Machines that a pool, or a cluster's own system, has at most; None where the platform states no such."""
    if name == _SYSTEM:
        return sum(sized(platform, each).nodes for each in platform.clusters if each.mode == "manage")
    pool = next((each for each in platform.pools if each.name == name and each.node_group), None)
    if pool is None or pool.node_group is None:
        return None
    return max(pool.nodes, pool.node_group.max_nodes or 0)


def bought(subject: Subject) -> Iterator[tuple[Resource, Any]]:
    """Groups of machines and how they are bought; without what the platform lets AWS take back."""
    platform = subject.platform
    for group in subject.graph.of(_GROUP):
        how = group.inputs.get("capacityType")
        pool = _pool(platform, group) if platform else None
        spot = pool is not None and pool.node_group is not None and pool.node_group.purchase == "spot"
        if how != _TAKEN_BACK or not spot:
            yield group, how


def _stay(subject: Subject) -> Iterator[Broken]:
    for group, how in bought(subject):
        if unknown(how):
            yield Broken(f"how the machines of {group.name} are bought is not known yet", group, "undecided")
        elif how == _TAKEN_BACK:
            yield Broken(f"AWS takes the machines of {group.name} back within two minutes", group)


def in_zones(subject: Subject) -> Iterator[tuple[str, list[str], list[Resource]]]:
    """Pools that have machines in this stack: zones that the platform states of them, and their groups."""
    platform = subject.platform
    for pool in platform.pools if platform else []:
        groups = [each for each in subject.graph.of(_GROUP) if tag(each, _POOL) == pool.name]
        zones = pool.node_group.zones if pool.node_group else []
        if groups and zones:
            yield pool.name, list(zones), groups


def system(subject: Subject) -> Iterator[tuple[Resource, set[str], bool]]:
    """Of each cluster's own machines the first group, the subnets of all that can be told, and whether all can."""
    groups = [each for each in subject.graph.of(_GROUP) if tag(each, _POOL) == _SYSTEM]
    clusters: dict[str, list[Resource]] = {}
    for each in groups:
        clusters.setdefault(str(each.inputs.get("clusterName")), []).append(each)
    for _, mine in sorted(clusters.items()):
        yield mine[0], *_subnets(subject, mine)


def _subnets(subject: Subject, groups: list[Resource]) -> tuple[set[str], bool]:
    """Of groups the subnets that can be told, each of which is in one zone; and whether all can."""
    said = [each.inputs.get("subnetIds") or [] for each in groups]
    every = [one for each in said for one in ([each] if isinstance(each, str) else each)]
    known = {str(one) for one in every if _one_subnet(subject, one)}
    return known, all(_one_subnet(subject, one) for one in every)


def _one_subnet(subject: Subject, value: Any) -> bool:
    """Whether a value is one subnet's: its id, or the name of one that is made here."""
    return not unknown(value) or len(subject.graph.referred(value, ":Subnet")) == 1


def _zones(subject: Subject) -> Iterator[Broken]:
    for pool, zones, groups in in_zones(subject):
        subnets, whole = _subnets(subject, groups)
        stated = f"pool {pool} is to stand in {', '.join(zones)}"
        if len(subnets) < len(zones) and whole:
            yield Broken(f"{stated}, and machines are made in {len(subnets)} of them", groups[0])
        elif len(subnets) < len(zones):
            yield Broken(
                f"{stated}, and in how many its machines are made is not known yet", groups[0], "undecided"
            )
    for group, subnets, whole in system(subject):
        if len(subnets) < 2 and whole:
            yield Broken(f"what runs the cluster stands in one zone: {group.name}", group)
        elif len(subnets) < 2:
            said = f"in how many zones what runs the cluster stands is not known yet: {group.name}"
            yield Broken(said, group, "undecided")


def _alarm_stands(subject: Subject) -> Iterator[Broken]:
    """The alarms by which a bad release of a model is taken back, by name."""
    made = {str(each.inputs.get("name")) for each in subject.graph.of(_ALARM)}
    for endpoint in subject.graph.of(ENDPOINT):
        for one in at(endpoint.inputs, "deploymentConfig.autoRollbackConfiguration.alarms") or []:
            name = at(one, "alarmName")
            if str(name) in made or subject.graph.referred(name or "", ":MetricAlarm"):
                continue
            sure = subject.platform is not None and not unknown(name)
            said = f"a bad release of {endpoint.name} is taken back by alarm {name}, which is not made here"
            yield Broken(said, endpoint, "violated" if sure else "undecided")


_use = fw.owasp("LLM06")
RULES = (
    Rule(
        "cost/machines-stated",
        "Machines are of the kind that the platform states",
        "high",
        (*fw.nist("CM-2"), *fw.iso_27001("A.8.9")),
        "Another kind may cost fifty times as much by the hour, and what was planned for it is not there",
        "Name the platform's kind of machine, or state the other one in the platform",
        _of_the_kind,
        (_TEMPLATE, _CONFIG),
    ),
    Rule(
        "cost/machines-bounded",
        "Machines grow to no more than the platform states",
        "high",
        (*_use, *fw.iso_27001("A.8.6")),
        "Load, or whoever makes some, sets the bill",
        "Lower scalingConfig.maxSize to the pool's share of each zone",
        _bounded,
        (_GROUP,),
    ),
    Rule(
        "reliability/machines-stay",
        "Machines that serve are not of those that AWS takes back",
        "medium",
        (*fw.nist("SC-5", "CP-2(2)"), *fw.dora("Art. 9(2)")),
        "A model loads for longer than the two minutes that AWS gives notice",
        "Set capacityType: ON_DEMAND; where a pool may go at any time, state purchase: spot",
        _stay,
        (_GROUP,),
    ),
    Rule(
        "reliability/machines-in-zones",
        "Machines stand in every zone that the platform states, and the cluster's own in two",
        "medium",
        (*fw.nist("SC-36", "CP-2(2)"), *fw.iso_27001("A.8.14"), *fw.dora("Art. 9(2)")),
        "The other zone's replicas have nowhere to go when this one fails",
        "Add the node group of the missing zone",
        _zones,
        (_GROUP,),
    ),
    Rule(
        "reliability/rollback-alarm-stands",
        "The alarms that take a bad release back are made",
        "high",
        (*fw.nist("CM-3", "CP-10"), *fw.iso_27001("A.8.32"), *fw.dora("Art. 9(4)(e)")),
        "AWS waits for an alarm that never sounds, and calls the release good",
        "Make the alarm in the same stack, or take it off the endpoint's rollback",
        _alarm_stands,
        (ENDPOINT, _ALARM),
    ),
)

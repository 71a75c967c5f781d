"""Rules for AWS machines: instance types, maximum sizes, Spot, zones, and alarms for rollbacks."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from isthmus.contracts.platform.lookups.system_nodes import system_nodes_size
from isthmus.contracts.platform.model.platform import Platform, Pool
from isthmus.graph.resources.resources import Resource
from policies.cost.capacity import Usage, largest_of_sums, number, sum_usage
from policies.inputs.declared import tag
from policies.inputs.selectors import first_of_rows
from policies.inputs.values import at, is_unknown
from policies.rules import frameworks as fw
from policies.rules.rule import Rule, Subject, Violation

_GROUP, _TEMPLATE = "aws:eks/nodeGroup:NodeGroup", "aws:ec2/launchTemplate:LaunchTemplate"
_CONFIG = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
_ALARM, _ENDPOINT = "aws:cloudwatch/metricAlarm:MetricAlarm", "aws:sagemaker/endpoint:Endpoint"
_POOL, _SYSTEM = "isthmus.dev/pool", "system"
_SPOT = "SPOT"


def _find_pool(platform: Platform, resource: Resource) -> Pool | None:
    pool_name = tag(resource, _POOL)
    return next((pool for pool in platform.pools if pool.name == pool_name and pool.node_group), None)


def _expected_instance_types(platform: Platform, resource: Resource) -> set[str]:
    """Instance types that a launch template may use; empty if the template belongs to no pool of the platform."""
    pool = _find_pool(platform, resource)
    if pool is not None and pool.node_group is not None:
        return {pool.node_group.instance_type}
    if tag(resource, _POOL) == _SYSTEM:
        return {
            system_nodes_size(platform, cluster).instance_type
            for cluster in platform.clusters
            if cluster.mode == "manage"
        }
    return set()


def _machine_types(subject: Subject) -> Iterator[tuple[Resource, str, Any, set[str]]]:
    """Resources whose instance type the platform states: resource, name, its type, the stated types."""
    platform = subject.platform
    if platform is None:
        return
    for template in subject.graph.of(_TEMPLATE):
        expected = _expected_instance_types(platform, template)
        if expected:
            yield template, template.name, template.inputs.get("instanceType"), expected
    for config in subject.graph.of(_CONFIG):
        hosted = [
            endpoint.sagemaker
            for endpoint in platform.endpoints
            if endpoint.id == tag(config, "isthmus.dev/endpoint")
        ]
        kinds = {
            kind
            for hosting in hosted
            if hosting is not None
            for kind in (hosting.instance_type, hosting.shadow.instance_type if hosting.shadow else None)
            if kind
        }
        for part in ("productionVariants", "shadowProductionVariants"):
            for variant in config.inputs.get(part) or []:
                if kinds:
                    name = f"variant {at(variant, 'variantName')} of {config.name}"
                    yield config, name, at(variant, "instanceType"), kinds


def _check_machine_types(subject: Subject) -> Iterator[Violation]:
    for resource, name, kind, expected in _machine_types(subject):
        if kind in expected:
            continue
        if is_unknown(kind):
            yield Violation(f"the instance type of {name} is not known yet", resource, "undecided")
        else:
            problem = f"{name} uses instance type {kind or '(not set)'}"
            yield Violation(f"{problem}, but the platform states {', '.join(sorted(expected))}", resource)


def _group_growth(subject: Subject) -> tuple[list[Resource], list[Usage]]:
    """Node groups without a maximum, and the summed maximum of the other groups of each pool."""
    platform, unbounded, sums = subject.platform, list[Resource](), list[Usage]()
    if platform is None:
        return unbounded, sums
    groups: dict[str, list[Resource]] = {}
    for group in subject.graph.of(_GROUP):
        groups.setdefault(tag(group, _POOL), []).append(group)
    for name, pool_groups in sorted(groups.items()):
        most = _maximum_nodes(platform, name)
        if most is None:
            continue
        sizes = [(number(at(group.inputs, "scalingConfig.maxSize")), group) for group in pool_groups]
        unbounded += [group for size, group in sizes if size is None]
        known_sizes = [(size, group) for size, group in sizes if size is not None]
        if known_sizes:
            sums.append(
                sum_usage(name, known_sizes, Fraction(most), is_complete=len(known_sizes) == len(pool_groups))
            )
    return unbounded, sums


def _check_groups_bounded(subject: Subject) -> Iterator[Violation]:
    unbounded, sums = _group_growth(subject)
    for group in unbounded:
        verdict = "violated" if at(group.inputs, "scalingConfig.maxSize") is None else "undecided"
        yield Violation(
            f"{group.name} has no maximum number of machines (scalingConfig.maxSize)", group, verdict
        )
    for usage in sums:
        if usage.total > usage.limit:
            problem = (
                f"pool {usage.name} may grow to {float(usage.total):g} machines, but {usage.limit} are stated"
            )
            yield Violation(f"{problem}; {usage.largest.name} adds the most", usage.largest)


def _maximum_nodes(platform: Platform, name: str) -> int | None:
    """Maximum machines of a pool, or of the clusters' system nodes; None if the platform has no such pool."""
    if name == _SYSTEM:
        return sum(
            system_nodes_size(platform, cluster).nodes
            for cluster in platform.clusters
            if cluster.mode == "manage"
        )
    pool = next(
        (candidate for candidate in platform.pools if candidate.name == name and candidate.node_group), None
    )
    if pool is None or pool.node_group is None:
        return None
    return max(pool.nodes, pool.node_group.max_nodes or 0)


def _purchases(subject: Subject) -> Iterator[tuple[Resource, Any]]:
    """Node groups and their capacity type, without Spot groups that the platform allows."""
    platform = subject.platform
    for group in subject.graph.of(_GROUP):
        capacity_type = group.inputs.get("capacityType")
        pool = _find_pool(platform, group) if platform else None
        may_be_spot = pool is not None and pool.node_group is not None and pool.node_group.purchase == "spot"
        if capacity_type != _SPOT or not may_be_spot:
            yield group, capacity_type


def _check_no_spot(subject: Subject) -> Iterator[Violation]:
    for group, capacity_type in _purchases(subject):
        if is_unknown(capacity_type):
            yield Violation(f"the capacity type of {group.name} is not known yet", group, "undecided")
        elif capacity_type == _SPOT:
            yield Violation(
                f"{group.name} uses Spot machines, which AWS takes back with two minutes of notice", group
            )


def _pools_in_zones(subject: Subject) -> Iterator[tuple[str, list[str], list[Resource]]]:
    """Pools with node groups in this stack: pool name, stated zones, node groups."""
    platform = subject.platform
    for pool in platform.pools if platform else []:
        groups = [group for group in subject.graph.of(_GROUP) if tag(group, _POOL) == pool.name]
        zones = pool.node_group.zones if pool.node_group else []
        if groups and zones:
            yield pool.name, list(zones), groups


def _system_groups(subject: Subject) -> Iterator[tuple[Resource, set[str], bool]]:
    """System nodes of each cluster: the first group, the known subnets of all groups, whether all are known."""
    groups = [group for group in subject.graph.of(_GROUP) if tag(group, _POOL) == _SYSTEM]
    clusters: dict[str, list[Resource]] = {}
    for group in groups:
        clusters.setdefault(str(group.inputs.get("clusterName")), []).append(group)
    for _, cluster_groups in sorted(clusters.items()):
        yield cluster_groups[0], *_subnets(subject, cluster_groups)


def _subnets(subject: Subject, groups: list[Resource]) -> tuple[set[str], bool]:
    """The known subnets of node groups (each is in one zone), and whether all are known."""
    values = [group.inputs.get("subnetIds") or [] for group in groups]
    subnet_ids = [
        subnet_id for value in values for subnet_id in ([value] if isinstance(value, str) else value)
    ]
    subnets = {str(subnet_id) for subnet_id in subnet_ids if _is_one_subnet(subject, subnet_id)}
    return subnets, all(_is_one_subnet(subject, subnet_id) for subnet_id in subnet_ids)


def _is_one_subnet(subject: Subject, value: Any) -> bool:
    """Whether a value identifies one subnet: by its id, or as a subnet of this stack."""
    return not is_unknown(value) or len(subject.graph.referred(value, ":Subnet")) == 1


def _check_zones(subject: Subject) -> Iterator[Violation]:
    for pool, zones, groups in _pools_in_zones(subject):
        subnets, all_known = _subnets(subject, groups)
        expectation = f"pool {pool} must run in zones {', '.join(zones)}"
        if len(subnets) < len(zones) and all_known:
            yield Violation(f"{expectation}, but its machines run in {len(subnets)} of them", groups[0])
        elif len(subnets) < len(zones):
            yield Violation(
                f"{expectation}, but the zones of its machines are not known yet",
                groups[0],
                "undecided",
            )
    for group, subnets, all_known in _system_groups(subject):
        if len(subnets) < 2 and all_known:
            yield Violation(f"the system nodes of the cluster run in one zone: {group.name}", group)
        elif len(subnets) < 2:
            problem = f"the zones of the cluster's system nodes are not known yet: {group.name}"
            yield Violation(problem, group, "undecided")


def _zoned_node_groups(subject: Subject) -> Iterator[Resource]:
    yield from (groups[0] for _, _, groups in _pools_in_zones(subject))
    yield from (group for group, *_ in _system_groups(subject))


def _check_rollback_alarms(subject: Subject) -> Iterator[Violation]:
    """Reports alarms of an endpoint's rollback that this stack does not create."""
    alarm_names = {str(alarm.inputs.get("name")) for alarm in subject.graph.of(_ALARM)}
    for endpoint in subject.graph.of(_ENDPOINT):
        for alarm in at(endpoint.inputs, "deploymentConfig.autoRollbackConfiguration.alarms") or []:
            name = at(alarm, "alarmName")
            if str(name) in alarm_names or subject.graph.referred(name or "", ":MetricAlarm"):
                continue
            is_certain = subject.platform is not None and not is_unknown(name)
            problem = f"the rollback of {endpoint.name} uses alarm {name}, which this stack does not create"
            yield Violation(problem, endpoint, "violated" if is_certain else "undecided")


def _endpoints_with_rollback(subject: Subject) -> Iterator[Resource]:
    for endpoint in subject.graph.of(_ENDPOINT):
        if at(endpoint.inputs, "deploymentConfig.autoRollbackConfiguration.alarms"):
            yield endpoint


_RESOURCE_ABUSE = fw.owasp("LLM06")
RULES = (
    Rule(
        "cost/machines-stated",
        "Machines have the instance type that the platform states",
        "high",
        (*fw.nist("CM-2"), *fw.iso_27001("A.8.9")),
        "Another type can cost fifty times as much per hour, and the planned workload may not fit",
        "Use the instance type of the platform, or change it in the platform",
        _check_machine_types,
        (_TEMPLATE, _CONFIG),
        applies_to=first_of_rows(_machine_types),
    ),
    Rule(
        "cost/machines-bounded",
        "Node groups grow to no more machines than the platform states",
        "high",
        (*_RESOURCE_ABUSE, *fw.iso_27001("A.8.6")),
        "Without a limit, load or a mistake decides the bill",
        "Lower scalingConfig.maxSize to the pool's share of each zone",
        _check_groups_bounded,
        (_GROUP,),
        applies_to=largest_of_sums(_group_growth),
    ),
    Rule(
        "reliability/machines-stay",
        "Machines that serve are not Spot instances",
        "medium",
        (*fw.nist("SC-5", "CP-2(2)"), *fw.dora("Art. 9(2)")),
        "AWS gives two minutes of notice, and a model takes longer to load",
        "Set capacityType: ON_DEMAND; if the pool may be interrupted, set purchase: spot in the platform",
        _check_no_spot,
        (_GROUP,),
        applies_to=first_of_rows(_purchases),
    ),
    Rule(
        "reliability/machines-in-zones",
        "Machines run in every zone that the platform states, and the cluster's own in two",
        "medium",
        (*fw.nist("SC-36", "CP-2(2)"), *fw.iso_27001("A.8.14"), *fw.dora("Art. 9(2)")),
        "When a zone fails, its replicas have no machines to move to",
        "Add the node group of the missing zone",
        _check_zones,
        (_GROUP,),
        applies_to=_zoned_node_groups,
    ),
    Rule(
        "reliability/rollback-alarm-stands",
        "The alarms that trigger a rollback exist",
        "high",
        (*fw.nist("CM-3", "CP-10"), *fw.iso_27001("A.8.32"), *fw.dora("Art. 9(4)(e)")),
        "AWS waits for an alarm that never fires, and keeps the bad release",
        "Create the alarm in the same stack, or remove it from the endpoint's rollback",
        _check_rollback_alarms,
        (_ENDPOINT, _ALARM),
        applies_to=_endpoints_with_rollback,
    ),
)

"""Gateways on Fargate in a rendered graph: the permissions of their tasks, their callers and their destinations.

Each function returns faults. Tasks must be as restricted as pods; only the translator has an identity; its calls go to
private endpoints of the stack; and security groups open only to named networks, to each other and to those endpoints.
Past its load balancer a task opens its health port alone, to the named scrapers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from isthmus.contracts.platform.model.platform import Platform
from isthmus.core.ip_addresses import is_within
from isthmus.graph.iam.access_keys import VARIABLES
from isthmus.graph.network.private_endpoints import allows_by_name, endpoint_of_url
from isthmus.graph.resources.resources import Fault, Graph, Resource, unread_fault
from isthmus.graph.resources.texts import load_config

DEFINITION, SERVICE = "aws:ecs/taskDefinition:TaskDefinition", "aws:ecs/service:Service"
BALANCER = "aws:lb/loadBalancer:LoadBalancer"
INVOKE = "bedrock:InvokeModel"
_RULES = {
    direction: f"aws:vpc/securityGroup{direction}Rule:SecurityGroup{direction}Rule"
    for direction in ("Ingress", "Egress")
}


@dataclass(frozen=True)
class Task:
    """A task definition in the graph."""

    resource: Resource
    boxes: list[dict[str, Any]]

    @property
    def name(self) -> str:
        return self.resource.name

    @property
    def role(self) -> str:
        return str(self.resource.inputs.get("taskRoleArn") or "")

    @property
    def class_(self) -> str:
        return str((self.resource.inputs.get("tags") or {}).get("isthmus.dev/class", ""))

    def configs(self) -> Iterator[dict[str, Any]]:
        """The configurations of the edge in the variables of its containers."""
        for box in self.boxes:
            for variable in box.get("environment") or []:
                if variable["name"] == "EDGE_CONFIG":
                    yield load_config(variable["value"], self.name)


def tasks(graph: Graph) -> list[Task]:
    """Every task definition whose containers can be read, by name."""
    result = [
        Task(definition, containers(definition) or [])
        for definition in graph.of(DEFINITION)
        if containers(definition) is not None
    ]
    return sorted(result, key=lambda task: task.name)


def containers(definition: Resource) -> list[dict[str, Any]] | None:
    """The containers of a task definition; None if they are unknown before it is created."""
    try:
        return json.loads(definition.inputs.get("containerDefinitions") or "[]")
    except ValueError:
        return None


def _unread_tasks(graph: Graph) -> list[Fault]:
    return [
        unread_fault(definition, "task")
        for definition in graph.of(DEFINITION)
        if containers(definition) is None
    ]


def bare_tasks(graph: Graph) -> list[Fault]:
    """Find tasks that are less restricted than pods: a writable root, capabilities, or an image without a digest."""
    faults = [
        Fault(f"{task.name} {why}", task.resource) for task in tasks(graph) for why in _container_faults(task)
    ]
    return [*faults, *_unread_tasks(graph)]


def identity_faults(graph: Graph) -> list[Fault]:
    """Find tasks with an identity that serve callers, and translators without one or whose calls no endpoint allows.

    The identity of a gateway may only mount its share of records. `isthmus.graph.workloads.sealers` judges a sealer's.
    """
    from isthmus.graph.iam.permissions import mounts_only

    faults = [
        Fault(why, task.resource)
        for task in tasks(graph)
        for why in _identity(graph, task, mounts=mounts_only(graph, task.role) if task.role else False)
    ]
    return [*faults, *_unread_tasks(graph)]


def gateways_keep_to_their_network(graph: Graph, platform: Platform | None) -> list[Fault]:
    """Find services and load balancers that are open to other networks than they may be.

    Without a platform, the networks and accounts of callers are unknown, so allowed ones are undecided.
    """
    broken: list[Fault] = []
    for service in graph.of(SERVICE):
        network = service.inputs.get("networkConfiguration") or {}
        if network.get("assignPublicIp"):
            broken.append(Fault(f"{service.name} has public addresses", service))
        groups = graph.referred(network.get("securityGroups") or [], ":SecurityGroup")
        if not groups:
            broken.append(Fault(f"{service.name} has no security group of its own", service))
        broken += _task_ingress_faults(graph, service, groups, platform)
        broken += [Fault(why, service) for why in _egress_faults(graph, service, groups)]
    settings = [gateway.fargate for gateway in platform.gateways if gateway.fargate] if platform else []
    clients = [cidr for entry in settings for cidr in entry.clients]
    verdict_if_unnamed = "violated" if platform else "undecided"
    for balancer in graph.of(BALANCER):
        if not balancer.inputs.get("internal"):
            broken.append(Fault(f"{balancer.name} can be reached from the internet", balancer))
        groups = graph.referred(balancer.inputs.get("securityGroups") or [], ":SecurityGroup")
        if not groups:
            why = f"{balancer.name} has no security group, so AWS lets everybody in"
            broken.append(Fault(why, balancer))
        broken += [
            Fault(_lets_in(balancer, rule), balancer, verdict_if_unnamed)
            for rule in _address_rules(graph, groups)
            if not is_within(str(rule.inputs.get("cidrIpv4")), clients)
        ]
        broken += [Fault(why, balancer) for why in _egress_faults(graph, balancer, groups)]
    principals = {principal for entry in settings for principal in entry.principals}
    for link in graph.of("aws:ec2/vpcEndpointService:VpcEndpointService"):
        for principal in link.inputs.get("allowedPrincipals") or []:
            if principal not in principals:
                why = f"{link.name} lets {principal} make endpoints, whom the platform does not name"
                broken.append(Fault(why, link, "violated" if "*" in str(principal) else verdict_if_unnamed))
    return broken


def _container_faults(task: Task) -> Iterator[str]:
    """Settings of a container that a pod would not have."""
    for box in task.boxes:
        name = box.get("name")
        if not box.get("readonlyRootFilesystem"):
            yield f"may write to the root of {name}"
        if str(box.get("user", "0")).partition(":")[0] in ("", "0", "root"):
            yield f"runs {name} as root"
        capabilities = (box.get("linuxParameters") or {}).get("capabilities") or {}
        if box.get("privileged") or capabilities.get("add") or "ALL" not in capabilities.get("drop", []):
            yield f"runs {name} with capabilities"
        for variable in box.get("environment") or []:
            if variable["name"] in VARIABLES:
                yield f"sets {variable['name']} in {name}"
        if "@sha256:" not in str(box.get("image")):
            yield f"runs {name} from an image that can change"


def _identity(graph: Graph, task: Task, *, mounts: bool) -> Iterator[str]:
    """Only a translator has a role to call models, and an endpoint of the stack allows its calls.

    `mounts`: whether the role of the task may only mount shares.
    """
    configs = list(task.configs())
    if not configs:
        yield f"{task.name} has no configuration that says what it is"
    for config in configs:
        if config.get("mode") == "sealer":
            continue
        if config.get("mode") != "translator":
            if task.role and not mounts:
                yield f"{task.name} faces callers and has an AWS identity"
            continue
        if not task.role:
            yield f"{task.name} has no AWS identity"
        if config.get("class") != task.class_:
            yield f"{task.name} of class {task.class_} is told that it is {config.get('class')}"
        for model in config.get("models") or []:
            endpoint = endpoint_of_url(graph, model.get("endpoint_url"), "bedrock-runtime")
            if endpoint is None:
                yield f"{task.name} calls {model['name']} at {model.get('endpoint_url') or 'the public name'}"
            elif not allows_by_name(
                graph, endpoint, "aws:PrincipalArn", task.role, INVOKE, model.get("model_id")
            ):
                yield f"the policy of {endpoint.name} does not let {task.name} call {model['name']}"


def security_group_rules(graph: Graph, direction: str, groups: list[Resource]) -> list[Resource]:
    """The rules of one direction (`Ingress`, `Egress`) of these security groups."""
    names = {group.name for group in groups}
    result = [
        rule
        for rule in graph.of(_RULES[direction])
        if names
        & {group.name for group in graph.referred(rule.inputs.get("securityGroupId"), ":SecurityGroup")}
    ]
    return sorted(result, key=lambda rule: rule.name)


def _address_rules(graph: Graph, groups: list[Resource]) -> Iterator[Resource]:
    """Ingress rules from other peers than the stack's security groups."""
    for rule in security_group_rules(graph, "Ingress", groups):
        if not graph.referred(rule.inputs.get("referencedSecurityGroupId"), ":SecurityGroup"):
            yield rule


def _task_ingress_faults(
    graph: Graph, service: Resource, groups: list[Resource], platform: Platform | None
) -> Iterator[Fault]:
    """Ingress rules of tasks for addresses, except from the class's scrapers to the health port.

    Undecided without a platform, and while the health port is unknown because the definition is not made yet.
    """
    definitions = graph.referred(service.inputs.get("taskDefinition"), DEFINITION)
    tasks = [Task(definition, containers(definition) or []) for definition in definitions]
    is_unread = any(containers(definition) is None for definition in definitions)
    scrapers = _scrapers(platform, {task.class_ for task in tasks})
    for rule in _address_rules(graph, groups):
        why, cidr = _lets_in(service, rule), rule.inputs.get("cidrIpv4")
        may_be_health = is_unread or _single_tcp_port(rule) in _health_ports(tasks)
        if cidr and may_be_health and platform is None:
            yield Fault(why, service, "undecided")
        elif not cidr or not is_within(str(cidr), scrapers):
            yield Fault(why, service)
        elif not may_be_health:
            yield Fault(f"{why}, which is for another port than its metrics", service)
        elif is_unread:
            yield Fault(f"{why}, and the port of its metrics is not known yet", service, "undecided")


def _health_ports(tasks: list[Task]) -> set[int]:
    """Ports at which tasks serve health and metrics."""
    sections = [config.get("health") for task in tasks for config in task.configs()]
    ports = [section.get("port") for section in sections if isinstance(section, dict)]
    return {port for port in ports if isinstance(port, int)}


def _scrapers(platform: Platform | None, classes: set[str]) -> list[str]:
    """Networks that may read metrics of the tasks of these classes."""
    return [
        cidr
        for gateway in (platform.gateways if platform else [])
        if gateway.fargate is not None and gateway.class_ in classes
        for cidr in gateway.fargate.scrapers
    ]


def _single_tcp_port(rule: Resource) -> Any:
    """The only port of a rule for TCP; None for several ports or another protocol."""
    first, last = rule.inputs.get("fromPort"), rule.inputs.get("toPort")
    return first if first == last and str(rule.inputs.get("ipProtocol")) in ("tcp", "6") else None


def _lets_in(resource: Resource, rule: Resource) -> str:
    return f"{resource.name} lets {_peer(rule)} in by {rule.name}"


def _egress_faults(graph: Graph, resource: Resource, groups: list[Resource]) -> Iterator[str]:
    """Egress rules to other destinations than the stack's security groups and, through its endpoint, S3."""
    for rule in security_group_rules(graph, "Egress", groups):
        to_s3 = graph.referred(rule.inputs.get("prefixListId"), ":VpcEndpoint")
        groups_reached = graph.referred(rule.inputs.get("referencedSecurityGroupId"), ":SecurityGroup")
        if rule.inputs.get("cidrIpv4") or rule.inputs.get("cidrIpv6") or not (to_s3 or groups_reached):
            yield f"{resource.name} reaches {_peer(rule)} by {rule.name}"


def _peer(rule: Resource) -> str:
    keys = ("cidrIpv4", "cidrIpv6", "prefixListId", "referencedSecurityGroupId")
    return next((str(rule.inputs[key]) for key in keys if rule.inputs.get(key)), "nobody that is named")

"""Rules for data paths inside a cluster: ingress of a class, its workloads, Service names, DNS resolvers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.contracts.reference import handling
from isthmus.contracts.vocabulary import SENSITIVITIES
from isthmus.graph.network.reachability import CLASS, POLICY, namespaces, select_namespaces
from isthmus.graph.resources.resources import Resource, name_and_namespace
from policies.inputs.applications import is_application
from policies.inputs.aws_reach import is_of_component
from policies.inputs.class_scope import class_above_public
from policies.inputs.declared import namespace_sensitivities, pod_sensitivity
from policies.inputs.isolation import peers
from policies.inputs.neighbours import cluster_domains
from policies.inputs.own_networks import networks_apart
from policies.inputs.own_workloads import is_stated_workload
from policies.inputs.people import is_break_glass_timer
from policies.inputs.pods import POD_KINDS, Pod, pods
from policies.inputs.selectors import first_of_rows
from policies.inputs.values import at, is_unknown, list_or_empty
from policies.rules import frameworks as fw
from policies.rules.rule import Rule, Subject, Violation

_SERVICE = "kubernetes:core/v1:Service"
_HAND_WRITTEN = ("kubernetes:core/v1:Endpoints", "kubernetes:discovery.k8s.io/v1:EndpointSlice")
"""With these types somebody can point a Service's name to any address."""
_LOOPBACK = ("127.0.0.1", "::1")
"""Addresses where no resolver listens, so that no name is resolved."""


def _check_ingress_class(subject: Subject) -> Iterator[Violation]:
    all_namespaces = namespaces(subject.graph)
    by_namespace = namespace_sensitivities(subject.graph)
    for policy in subject.graph.of(POLICY):
        sensitivity = by_namespace.get(name_and_namespace(policy)[1], "")
        for peer in peers(policy, "ingress", "from") if sensitivity else ():
            where = at(peer, "namespaceSelector")
            if peer is None:
                yield Violation(
                    f"{policy.name} of class {sensitivity} lets everybody in: its ingress rule has no `from`",
                    policy,
                )
                continue
            if is_unknown(where) or any(map(is_unknown, _leaf_values(where))):
                problem = f"the namespaces that {policy.name} lets in are not known before the change is made"
                yield Violation(problem, policy, "undecided")
                continue
            sensitivities = _named_sensitivities(where)
            if isinstance(where, Mapping):
                sensitivities |= {
                    by_namespace[name]
                    for name in select_namespaces(all_namespaces, where)
                    if by_namespace.get(name)
                }
            for other_class in sorted(sensitivities - {sensitivity}):
                yield Violation(
                    f"{policy.name} of class {sensitivity} lets in namespaces of class {other_class}", policy
                )


def _ingress_policies(subject: Subject) -> Iterator[Resource]:
    """Network policies of class namespaces that decide about ingress."""
    sensitivities = namespace_sensitivities(subject.graph)
    for policy in subject.graph.of(POLICY):
        kinds, rules = (at(policy.inputs, f"spec.{part}") for part in ("policyTypes", "ingress"))
        # A policy without policyTypes applies to ingress.
        if sensitivities.get(name_and_namespace(policy)[1]) and (rules or not kinds or "Ingress" in kinds):
            yield policy


def _leaf_values(value: Any) -> Iterator[Any]:
    """Every leaf value of a selector."""
    if isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _leaf_values(item)
    else:
        yield value


def _named_sensitivities(where: Any) -> set[str]:
    """The classes that a namespace selector names, whether or not the graph has such a namespace, unknown ones too."""
    labels = at(where, "matchLabels")
    sensitivities = {labels[CLASS]} if isinstance(labels, Mapping) and CLASS in labels else set()
    for expression in list_or_empty(at(where, "matchExpressions")):
        if at(expression, "key") == CLASS and at(expression, "operator") == "In":
            sensitivities |= set(list_or_empty(at(expression, "values")))
        elif at(expression, "key") == CLASS and at(expression, "operator") == "NotIn":
            sensitivities |= set(SENSITIVITIES) - set(list_or_empty(at(expression, "values")))
    # An invented class is no class's own: who labels a namespace so would get in.
    return {str(sensitivity) for sensitivity in sensitivities}


def _check_services_lead_inside(subject: Subject) -> Iterator[Violation]:
    inside = (".svc", *(f".svc.{domain}" for domain in cluster_domains(subject)))
    for service in subject.graph.of(_SERVICE):
        host = at(service.inputs, "spec.externalName")
        if is_unknown(host):
            yield Violation(f"the external name of {service.name} is not known yet", service, "undecided")
        elif host and not str(host).lower().rstrip(".").endswith(inside):
            yield Violation(f"Service {service.name} leads to {host}, outside the cluster", service)
        elif host and (class_ := class_above_public(subject.graph, name_and_namespace(service)[1])):
            labels = str(host).lower().split(".")
            target = labels[1] if len(labels) > 1 else ""
            if class_above_public(subject.graph, target) != class_:
                yield Violation(
                    f"Service {service.name} of class {class_} leads to {host}, outside the class", service
                )
    for endpoints in subject.graph.of(*_HAND_WRITTEN):
        yield Violation(f"{endpoints.name} points a Service to hand-written addresses", endpoints)


def _pods_without_cloud(subject: Subject) -> Iterator[tuple[Pod, str]]:
    """Pods of classes that may not use a cloud, with their class."""
    for pod in pods(subject.graph):
        sensitivity = pod_sensitivity(subject.graph, pod)
        if is_break_glass_timer(subject, pod.resource):
            continue  # it runs no pod
        if sensitivity and not handling.may_use_aws(sensitivity):  # type: ignore[arg-type]
            yield pod, sensitivity


def _check_resolvers(subject: Subject) -> Iterator[Violation]:
    platform = subject.platform
    sites = (
        {resolver for site in platform.sites if site.kind == "on-prem" for resolver in site.dns}
        if platform
        else None
    )
    for pod, sensitivity in _pods_without_cloud(subject):
        name, nameservers = pod.resource.name, at(pod.spec, "dnsConfig.nameservers")
        if is_unknown(pod.spec.get("dnsPolicy")) or is_unknown(nameservers):
            yield Violation(f"the DNS resolvers of {name} are not known yet", pod.resource, "undecided")
        elif pod.spec.get("dnsPolicy") != "None":
            problem = f"{name} of class {sensitivity} uses its cluster's or node's resolver, which may resolve any name"
            yield Violation(problem, pod.resource, patch="dnsPolicy: None")
        else:
            yield from _check_nameservers(pod, sensitivity, nameservers, sites)


def _check_nameservers(
    pod: Pod, sensitivity: str, nameservers: Any, sites: set[str] | None
) -> Iterator[Violation]:
    """Reports resolvers that are not stated for an on-prem site."""
    for nameserver in list_or_empty(nameservers):
        if nameserver in _LOOPBACK or (sites is not None and nameserver in sites):
            continue
        name = pod.resource.name
        if sites is None:
            problem = (
                f"{name} of class {sensitivity} uses DNS resolver {nameserver}, whose owner is not known"
            )
            yield Violation(problem, pod.resource, "undecided")
        else:
            problem = (
                f"{name} of class {sensitivity} uses DNS resolver {nameserver}, which no on-prem site states"
            )
            yield Violation(problem, pod.resource)


def _check_workloads_stated(subject: Subject) -> Iterator[Violation]:
    platform = subject.platform
    if platform is None:
        return
    reported: set[str] = set()
    for pod in pods(subject.graph):
        sensitivity, (name, _) = (
            namespace_sensitivities(subject.graph).get(pod.namespace, ""),
            name_and_namespace(pod.resource),
        )
        if not sensitivity or pod.resource.urn in reported:
            continue
        if is_break_glass_timer(subject, pod.resource) or is_stated_workload(platform, pod, sensitivity):
            continue
        if is_application(subject, pod.namespace) and not is_of_component(pod.resource):
            continue
        reported.add(pod.resource.urn)
        entry = ("objects", f"{pod.namespace}/{name}")
        if subject.trusts(*entry):
            continue
        if is_unknown(name):
            yield Violation(f"the name of {pod.resource.name} is not known yet", pod.resource, "undecided")
        else:
            problem = (
                f"{name} runs in {pod.namespace} with {sensitivity} work, but the platform does not state it"
            )
            yield Violation(problem, pod.resource, entry=entry)


def _pods_in_class_namespaces(subject: Subject) -> Iterator[Resource]:
    sensitivities = namespace_sensitivities(subject.graph)
    for pod in pods(subject.graph) if subject.platform else []:
        if sensitivities.get(pod.namespace):
            yield pod.resource


def _egress_rules(subject: Subject) -> Iterator[tuple[Resource, str, list[Any]]]:
    """Egress rules of security groups: resource, name of the rule, address blocks."""
    for rule in subject.graph.of("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"):
        yield rule, rule.name, [rule.inputs.get("cidrIpv4"), rule.inputs.get("cidrIpv6")]
    for rule in subject.graph.of("aws:ec2/securityGroupRule:SecurityGroupRule"):
        if rule.inputs.get("type") == "egress":
            yield rule, rule.name, _cidr_blocks(rule.inputs)
    for group in subject.graph.of("aws:ec2/securityGroup:SecurityGroup"):
        for egress_rule in list_or_empty(group.inputs.get("egress")):
            yield group, group.name, _cidr_blocks(egress_rule)


def _cidr_blocks(rule: Any) -> list[Any]:
    blocks: list[Any] = []
    for key in ("cidrBlocks", "ipv6CidrBlocks"):
        value = at(rule, key)
        blocks += value if isinstance(value, list) else [value]
    return blocks


def _check_egress_rules(subject: Subject) -> Iterator[Violation]:
    apart = networks_apart(subject)
    for resource, name, blocks in _egress_rules(subject):
        for block in blocks if resource.urn not in apart else ():
            if is_unknown(block):
                if not subject.graph.referred(block):
                    yield Violation(
                        f"the addresses that {name} allows egress to are not known yet", resource, "undecided"
                    )
            elif block is not None and str(block).endswith("/0"):
                yield Violation(f"{name} allows egress to every address", resource)


def _egress_groups(subject: Subject) -> Iterator[Resource]:
    """Resources with egress to written or unknown addresses. Addresses of other resources are left out."""
    for group, _, blocks in _egress_rules(subject):
        if any(
            block is not None and not (is_unknown(block) and subject.graph.referred(block))
            for block in blocks
        ):
            yield group


RULES = (
    Rule(
        "data-path/lets-in-own-class",
        "Pods of a class accept connections only from namespaces of their class",
        "critical",
        (*fw.nist("AC-4", "AC-4(21)", "SC-7(5)"), *fw.iso_27001("A.8.22"), *fw.dora("Art. 9(4)(b)")),
        "Another class could send its work to this class's gateway or model",
        "In `from`, name namespaces of the policy's own class, or of monitoring",
        _check_ingress_class,
        (POLICY,),
        applies_to=_ingress_policies,
    ),
    Rule(
        "data-path/stated-workloads",
        "Only workloads that the platform states run in a class namespace",
        "high",
        (*fw.nist("CM-7(5)", "CM-8(3)"), *fw.iso_27001("A.8.19")),
        "A pod there can mount the class's certificates, and its labels decide which connections it gets",
        "Run it outside the class, without its data; or have who answers for the data add it to trust.yaml (objects)",
        _check_workloads_stated,
        POD_KINDS,
        applies_to=_pods_in_class_namespaces,
    ),
    Rule(
        "data-path/services-lead-inside",
        "Service names of a cluster lead to its own pods",
        "high",
        (*fw.nist("AC-4", "SC-7"),),
        "A caller that uses the Service name would call an outside host",
        "Select the model's pods; define an external endpoint in the platform for an outside host",
        _check_services_lead_inside,
        (_SERVICE, *_HAND_WRITTEN),
    ),
    Rule(
        "data-path/own-resolvers",
        "Pods of a class that may not use a cloud use their site's DNS resolvers, or none",
        "high",
        (*fw.nist("AC-4", "SC-7"), *fw.iso_27001("A.8.12")),
        "A cluster's resolver forwards unknown names, and a name alone can carry data out",
        "Set dnsPolicy: None, and the site's resolvers in dnsConfig.nameservers",
        _check_resolvers,
        POD_KINDS,
        applies_to=first_of_rows(_pods_without_cloud),
    ),
    Rule(
        "data-path/groups-name-whom-they-call",
        "Security groups allow egress only to named networks and groups",
        "high",
        (*fw.nist("SC-7(5)"), *fw.pci("1.3.2"), *fw.iso_27001("A.8.20"), *fw.dora("Art. 9(4)(b)")),
        "The group is the last barrier if somebody later adds a route to the internet",
        "Name the network, the group or the service's prefix list in the egress rule",
        _check_egress_rules,
        (
            "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
            "aws:ec2/securityGroupRule:SecurityGroupRule",
            "aws:ec2/securityGroup:SecurityGroup",
        ),
        applies_to=_egress_groups,
    ),
)

"""The data path inside a cluster: who is let in, what stands in a class's namespace, and where names lead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.contracts.reference import handling
from isthmus.contracts.vocabulary import SENSITIVITIES
from isthmus.graph.network.reachability import CLASS, POLICY, chosen, namespaces
from isthmus.graph.resources.resources import Resource, place
from isthmus.graph.workloads.servers import known
from policies.inputs.declared import class_of, spaces
from policies.inputs.isolation import peers
from policies.inputs.pods import KINDS, Pod, pods
from policies.inputs.values import at, listed, unknown
from policies.rules import frameworks as fw
from policies.rules.rule import Broken, Rule, Subject

_SERVICE = "kubernetes:core/v1:Service"
_WRITTEN = ("kubernetes:core/v1:Endpoints", "kubernetes:discovery.k8s.io/v1:EndpointSlice")
"""By these a Service's name can stand for whatever addresses somebody writes."""
_INSIDE = (".svc", ".svc.cluster.local")
_LOOPBACK = ("127.0.0.1", "::1")
"""A resolver where none listens: who asks it is told no name."""


def _own_class_in(subject: Subject) -> Iterator[Broken]:
    every = namespaces(subject.graph)
    of = spaces(subject.graph)
    for policy in subject.graph.of(POLICY):
        own = of.get(place(policy)[1], "")
        for peer in peers(policy, "ingress", "from") if own else ():
            where = at(peer, "namespaceSelector")
            if peer is None:
                yield Broken(
                    f"{policy.name} of class {own} lets everybody in: its rule has no `from`", policy
                )
                continue
            if unknown(where) or any(map(unknown, _words(where))):
                said = f"which namespaces {policy.name} lets in is not known before the change"
                yield Broken(said, policy, "undecided")
                continue
            found = _named(where)
            if isinstance(where, Mapping):
                found |= {of[name] for name in chosen(every, where) if of.get(name)}
            for other in sorted(found - {own}):
                yield Broken(f"{policy.name} of class {own} lets {other} namespaces in", policy)


def _words(value: Any) -> Iterator[Any]:
    """Every word that a selector consists of."""
    if isinstance(value, Mapping | list):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _words(each)
    else:
        yield value


def _named(where: Any) -> set[str]:
    """The classes that a selector of namespaces names, whether the graph has such a namespace or not."""
    labels = at(where, "matchLabels")
    found = {labels[CLASS]} if isinstance(labels, Mapping) and CLASS in labels else set()
    for one in listed(at(where, "matchExpressions")):
        if at(one, "key") == CLASS and at(one, "operator") == "In":
            found |= set(listed(at(one, "values")))
        elif at(one, "key") == CLASS and at(one, "operator") == "NotIn":
            found |= set(SENSITIVITIES) - set(listed(at(one, "values")))
    return {known(str(each)) for each in found}


def _lead_inside(subject: Subject) -> Iterator[Broken]:
    for service in subject.graph.of(_SERVICE):
        host = at(service.inputs, "spec.externalName")
        if unknown(host):
            yield Broken(f"what {service.name} is a name for is not known yet", service, "undecided")
        elif host and not str(host).rstrip(".").endswith(_INSIDE):
            yield Broken(f"{service.name} is a name of the cluster's that leads to {host}", service)
    for written in subject.graph.of(*_WRITTEN):
        yield Broken(f"{written.name} leads a Service to addresses that somebody wrote", written)


def cloudless(subject: Subject) -> Iterator[tuple[Pod, str]]:
    """Pods of classes that may use no cloud, with their class."""
    for pod in pods(subject.graph):
        class_ = class_of(subject.graph, pod)
        if class_ and not handling.may_use_aws(class_):  # type: ignore[arg-type]
            yield pod, class_


def _resolvers(subject: Subject) -> Iterator[Broken]:
    platform = subject.platform
    sites = (
        {each for site in platform.sites if site.kind == "on-prem" for each in site.dns} if platform else None
    )
    for pod, class_ in cloudless(subject):
        name, told = pod.resource.name, at(pod.spec, "dnsConfig.nameservers")
        if unknown(pod.spec.get("dnsPolicy")) or unknown(told):
            yield Broken(f"whom {name} asks for names is not known yet", pod.resource, "undecided")
        elif pod.spec.get("dnsPolicy") != "None":
            said = (
                f"{name} of class {class_} asks its cluster's or its node's resolver, which may know any name"
            )
            yield Broken(said, pod.resource, patch="dnsPolicy: None")
        else:
            yield from _strange(pod, class_, told, sites)


def _strange(pod: Pod, class_: str, told: Any, sites: set[str] | None) -> Iterator[Broken]:
    """Resolvers that are none of a site's of ours."""
    for each in listed(told):
        if each in _LOOPBACK or (sites is not None and each in sites):
            continue
        name = pod.resource.name
        if sites is None:
            said = f"{name} of class {class_} asks {each} for names, and nothing says whose resolver that is"
            yield Broken(said, pod.resource, "undecided")
        else:
            said = (
                f"{name} of class {class_} asks {each} for names, which is no resolver of an on-prem site's"
            )
            yield Broken(said, pod.resource)


def _workloads(subject: Subject) -> Iterator[Broken]:
    platform = subject.platform
    if platform is None:
        return
    expected = {(each.class_, f"{each.class_}-{role}") for each in platform.gateways for role in _ROLES}
    expected |= {(each.class_, f"{each.class_}-sealer") for each in platform.gateways if each.audit}
    expected |= {(each.class_, f"{each.class_}-reviews") for each in platform.gateways if each.reviews}
    served = {(each.class_, each.id) for each in platform.endpoints}
    told: set[str] = set()
    for pod in pods(subject.graph):
        class_, (name, _) = spaces(subject.graph).get(pod.namespace, ""), place(pod.resource)
        if not class_ or pod.resource.urn in told or (class_, name) in expected:
            continue
        # What a model server is made of bears its endpoint's name: a group, what fetches its weights.
        if any(of == class_ and (name == id_ or name.startswith(f"{id_}-")) for of, id_ in served):
            continue
        told.add(pod.resource.urn)
        if unknown(name):
            yield Broken(f"what {pod.resource.name} is called is not known yet", pod.resource, "undecided")
        else:
            said = f"{name} runs in {pod.namespace} beside {class_} work, and the platform states no such workload"
            yield Broken(said, pod.resource)


_ROLES = ("gateway", "translator", "resolver")


def outgoing(subject: Subject) -> Iterator[tuple[Resource, str, list[Any]]]:
    """Whom each rule of a security group lets its members call: the resource, the rule's name, addresses."""
    for rule in subject.graph.of("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"):
        yield rule, rule.name, [rule.inputs.get("cidrIpv4"), rule.inputs.get("cidrIpv6")]
    for rule in subject.graph.of("aws:ec2/securityGroupRule:SecurityGroupRule"):
        if rule.inputs.get("type") == "egress":
            yield rule, rule.name, _blocks(rule.inputs)
    for group in subject.graph.of("aws:ec2/securityGroup:SecurityGroup"):
        for one in listed(group.inputs.get("egress")):
            yield group, group.name, _blocks(one)


def _blocks(rule: Any) -> list[Any]:
    found: list[Any] = []
    for key in ("cidrBlocks", "ipv6CidrBlocks"):
        value = at(rule, key)
        found += value if isinstance(value, list) else [value]
    return found


def _groups_out(subject: Subject) -> Iterator[Broken]:
    for resource, name, blocks in outgoing(subject):
        for block in blocks:
            if unknown(block):
                if not subject.graph.referred(block):
                    yield Broken(f"whom {name} lets its members call is not known yet", resource, "undecided")
            elif block is not None and str(block).endswith("/0"):
                yield Broken(f"{name} lets its members call every address", resource)


RULES = (
    Rule(
        "data-path/lets-in-own-class",
        "A class's pods let in namespaces of their own class, and of no other",
        "critical",
        (*fw.nist("AC-4", "AC-4(21)", "SC-7(5)"), *fw.iso_27001("A.8.22"), *fw.dora("Art. 9(4)(b)")),
        "Whoever reaches a class's gateway or model from another class's namespace sends it that class's work",
        "Name namespaces of the policy's own class, or what only measures, in `from`",
        _own_class_in,
        (POLICY,),
    ),
    Rule(
        "data-path/stated-workloads",
        "What runs in a class's namespace is what the platform states",
        "high",
        (*fw.nist("CM-7(5)", "CM-8(3)"), *fw.iso_27001("A.8.19")),
        "Whatever runs there can mount the class's certificates, and is let in where its labels say",
        "Take it out, or run it in a namespace of its own that the class's gateway lets in",
        _workloads,
        KINDS,
    ),
    Rule(
        "data-path/services-lead-inside",
        "Names of a cluster lead to pods of it",
        "high",
        (*fw.nist("AC-4", "SC-7"),),
        "Who calls a model by its Service's name would call whoever that name stands for",
        "Select the model's pods; for what is outside, state it as an endpoint of its own",
        _lead_inside,
        (_SERVICE, *_WRITTEN),
    ),
    Rule(
        "data-path/own-resolvers",
        "Pods of a class that may use no cloud ask their site's resolvers, or nobody",
        "high",
        (*fw.nist("AC-4", "SC-7"), *fw.iso_27001("A.8.12")),
        "A cluster's resolver forwards what it does not know: a name alone can carry data out",
        "Set dnsPolicy: None, and the site's own resolvers in dnsConfig.nameservers",
        _resolvers,
        KINDS,
    ),
    Rule(
        "data-path/groups-name-whom-they-call",
        "Security groups let their members call named networks and groups, not every address",
        "high",
        (*fw.nist("SC-7(5)"), *fw.pci("1.3.2"), *fw.iso_27001("A.8.20"), *fw.dora("Art. 9(4)(b)")),
        "The group is what is left where a route to the internet is added later",
        "Name the network, the group or the service's prefix list that is called",
        _groups_out,
        (
            "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
            "aws:ec2/securityGroupRule:SecurityGroupRule",
            "aws:ec2/securityGroup:SecurityGroup",
        ),
    ),
)

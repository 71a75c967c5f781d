"""Rules for who may connect to a class's pods: stated namespaces and networks, and no entrance beside the gateway."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.contracts.reference.gateway_access import entry_value
from isthmus.core.ip_addresses import is_within
from isthmus.graph.network.reachability import CLASS, NAMESPACE, POLICY, is_public
from isthmus.graph.resources.resources import Resource, name_and_namespace
from policies.data_path.known_kinds import is_trusted_type, namespace_of
from policies.inputs.class_scope import class_above_public
from policies.inputs.gateway_access import is_stated_peer, stated_access
from policies.inputs.isolation import peers
from policies.inputs.pods import is_selected, pods
from policies.inputs.values import at, is_unknown, list_or_empty
from policies.rules import frameworks as fw
from policies.rules.rule import Rule, Subject, Violation

_INGRESS = "kubernetes:networking.k8s.io/v1:Ingress"
_ROUTES = ("Gateway", "HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute", "UDPRoute")
_RANGES = ("aws:ec2/vpc:Vpc", "aws:ec2/subnet:Subnet")
_BEHIND = ("model", "translator", "sealer", "resolver", "fetch")
"""Roles of pods that only their own class's pods call."""
_GATEWAY_API = "kubernetes:gateway.networking.k8s.io/"


# --- Network policies


def _policies_of_classes(subject: Subject) -> Iterator[tuple[Resource, str, str]]:
    """Network policies with ingress rules of a class's namespace, with the namespace and the class."""
    for policy in subject.graph.of(POLICY):
        namespace = name_and_namespace(policy)[1]
        class_ = class_above_public(subject.graph, namespace)
        if class_ and at(policy.inputs, "spec.ingress"):
            yield policy, namespace, class_


def _check_callers(subject: Subject) -> Iterator[Violation]:
    for policy, namespace, class_ in _policies_of_classes(subject):
        behind = _pods_behind(subject, policy, namespace)
        for peer in peers(policy, "ingress", "from"):
            if isinstance(peer, Mapping):
                yield from _check_peer(subject, policy, namespace, class_, peer)
                if behind:
                    yield from _check_peer_of_model(subject, policy, namespace, class_, peer, behind)


def _check_peer(
    subject: Subject, policy: Resource, namespace: str, class_: str, peer: Mapping[str, Any]
) -> Iterator[Violation]:
    name = name_and_namespace(policy)[0]
    block = at(peer, "ipBlock.cidr")
    if peer.get("ipBlock") is not None and block is None:
        block = "${unknown}"
    if block is not None:
        yield from _check_block(subject, policy, f"{name} in {namespace}", class_, str(block))
    selector = peer.get("namespaceSelector")
    if selector is None:
        return
    named = _named_namespaces(selector)
    if named is None:
        if not _selects_own_class(selector, class_):
            yield Violation(
                f"{name} lets every namespace with a label into {namespace}, whose pods hold {class_} data; who may "
                "label a namespace decides who gets in",
                policy,
            )
        return
    allowed = _stated_namespaces(subject, class_)
    for caller in sorted(named):
        if is_unknown(caller):
            problem = f"{name} lets a namespace into {namespace} that is not known before the change"
            yield Violation(problem, policy, "undecided")
        elif (
            caller not in allowed
            and class_above_public(subject.graph, caller) != class_
            and not subject.trusts("namespaces", caller)
        ):
            yield Violation(
                f"{name} lets pods of namespace {caller} connect to {class_} work in {namespace}, and neither the "
                "platform nor the organisation names it",
                policy,
                "violated" if subject.platform else "undecided",
                entry=("namespaces", str(caller)),
            )


def _pods_behind(subject: Subject, policy: Resource, namespace: str) -> str:
    """The role of a pod behind the gateway that a policy selects, e.g. `model`; empty if it selects none."""
    selector = at(policy.inputs, "spec.podSelector") or {}
    for pod in pods(subject.graph):
        if pod.namespace == namespace and pod.role in _BEHIND and is_selected(pod, selector):
            return pod.role
    return ""


def _check_peer_of_model(
    subject: Subject, policy: Resource, namespace: str, class_: str, peer: Mapping[str, Any], role: str
) -> Iterator[Violation]:
    """Reports callers from outside the namespace: they may reach the gateway, and nothing behind it."""
    platform = subject.platform
    monitoring = platform.monitoring.namespace if platform else None
    if platform is None or subject.trusts("address_ranges", str(at(peer, "ipBlock.cidr"))):
        return
    selector = peer.get("namespaceSelector")
    if peer.get("ipBlock") is None and selector is None:
        return
    named = _named_namespaces(selector) if selector is not None else None
    if named is not None and named <= {monitoring, namespace}:
        return
    if named is not None and all(subject.trusts("namespaces", caller) for caller in named):
        return
    callers = at(peer, "ipBlock.cidr") or (", ".join(sorted(named)) if named else "other namespaces")
    yield Violation(
        f"{name_and_namespace(policy)[0]} lets {callers} connect to {role} pods in {namespace}, past the gateway that "
        f"checks and records who gets {class_} data",
        policy,
    )


def _named_namespaces(selector: Any) -> set[str] | None:
    """The namespaces that a selector names; None if it selects by other labels."""
    labels = at(selector, "matchLabels")
    if isinstance(labels, Mapping) and labels.get(NAMESPACE):
        return {str(labels[NAMESPACE])}
    for expression in list_or_empty(at(selector, "matchExpressions")):
        if at(expression, "key") == NAMESPACE and at(expression, "operator") == "In":
            return set(map(str, list_or_empty(at(expression, "values"))))
    return None


def _selects_own_class(selector: Any, class_: str) -> bool:
    """Whether a selector requires the class's label. Another class, or an unknown value, is another rule's."""
    labels = at(selector, "matchLabels")
    if is_unknown(str(selector)):
        return True
    if isinstance(labels, Mapping) and labels.get(CLASS):
        return True
    return any(
        at(expression, "key") == CLASS and at(expression, "operator") == "In"
        for expression in list_or_empty(at(selector, "matchExpressions"))
    )


def _stated_namespaces(subject: Subject, class_: str) -> set[str]:
    """Namespaces that the platform lets connect to a class's pods."""
    platform = subject.platform
    if platform is None:
        return set()
    stated = {platform.monitoring.namespace} if platform.monitoring.namespace else set()
    for gateway in platform.gateways:
        if gateway.class_ == class_ and gateway.reviews:
            stated |= set(gateway.reviews.from_namespaces)
            stated |= set(gateway.desk.from_namespaces if gateway.desk else [])
        if gateway.class_ == class_ and gateway.chat:
            stated |= set(gateway.chat.from_namespaces)
    return stated


def _check_block(
    subject: Subject, policy: Resource, where: str, class_: str, block: str
) -> Iterator[Violation]:
    if is_unknown(block):
        if not _is_range_of_network(subject, block):
            problem = (
                f"the addresses that {where} lets connect to {class_} work are not known before the change"
            )
            yield Violation(problem, policy, "undecided")
        return
    if is_stated_peer(subject, policy, block):
        return
    if (access := stated_access(subject, policy)) is not None:
        gateway, stated_ranges = access[0], access[1].source_ranges
        is_stated = block in stated_ranges
        yield Violation(
            f"{where} lets {block} connect to {class_} work from outside the cluster, and "
            + (
                "no valid entry of trust.yaml admits it"
                if is_stated
                else f"gateway {gateway.name} does not state it"
            ),
            policy,
            entry=("access", entry_value(class_, gateway.site, block)) if is_stated else None,
        )
        return
    platform = subject.platform
    stated = [cidr for site in platform.sites for cidr in site.cidrs] if platform else []
    stated += [network.cidr for network in platform.networks if network.cidr] if platform else []
    for gateway in platform.gateways if platform else []:
        if gateway.class_ == class_ and gateway.reviews:
            stated += gateway.reviews.from_cidrs
            stated += gateway.desk.from_cidrs if gateway.desk else []
        if gateway.class_ == class_ and gateway.chat:
            stated += gateway.chat.from_cidrs
    if is_within(block, stated) or subject.trusts("address_ranges", block):
        return
    is_certain = platform is not None or is_public(block)
    yield Violation(
        f"{where} lets {block} connect to {class_} work, which is outside the sites and networks of the platform",
        policy,
        "violated" if is_certain else "undecided",
        entry=("address_ranges", block),
    )


def _is_range_of_network(subject: Subject, block: str) -> bool:
    """Whether a text is exactly the range of a network or a subnet of the stack, or the address of a Service."""
    if re.fullmatch(r"\$\{[^{}]+\.cidrBlock\}", block):
        return any(resource.type in _RANGES for resource in subject.graph.referred(block))
    is_address = re.fullmatch(r"\$\{[^{}]+\.clusterIP\}/32", block) is not None
    return is_address and bool(subject.graph.referred(block, "core/v1:Service"))


# --- Ingress objects and routes


def _entrances(subject: Subject) -> Iterator[Resource]:
    """Ingress objects and routes in a class's namespace, or to one."""
    for resource in subject.graph.resources:
        kind = resource.type.rpartition(":")[2]
        is_route = resource.type.startswith(_GATEWAY_API) and kind in _ROUTES
        if resource.type != _INGRESS and not is_route:
            continue
        namespaces = {
            namespace_of(subject, resource) or "default",
            *_backend_namespaces(resource),
            *_parent_namespaces(resource),
        }
        if any(class_above_public(subject.graph, namespace) for namespace in namespaces):
            yield resource


def _check_entrances(subject: Subject) -> Iterator[Violation]:
    for resource in _entrances(subject):
        if is_trusted_type(subject, resource.type):
            continue
        name, namespace = name_and_namespace(resource)
        class_ = class_above_public(subject.graph, namespace)
        others = sorted({*_backend_namespaces(resource), *_parent_namespaces(resource)} - {namespace})
        if class_ and others:
            yield Violation(
                f"{name} sends requests of {class_} work in {namespace} to {', '.join(others)}", resource
            )
        elif not class_:
            reached = next(other for other in others if class_above_public(subject.graph, other))
            yield Violation(
                f"{name} in {namespace} leads to {class_above_public(subject.graph, reached)} work in {reached}, past"
                " its gateway's callers",
                resource,
            )
        elif resource.type == _INGRESS or not _is_own_router(subject, resource, class_):
            yield Violation(
                f"{name} ({resource.type}) opens {class_} work in {namespace} to whoever reaches its controller, past "
                "the gateway that checks and records callers",
                resource,
                "undecided",
            )


def _backend_namespaces(resource: Resource) -> set[str]:
    """Namespaces of the backends that a route names, mirrors included."""
    found: set[str] = set()
    for rule in list_or_empty(at(resource.inputs, "spec.rules")):
        backends = list_or_empty(at(rule, "backendRefs"))
        filters = list_or_empty(at(rule, "filters"))
        for backend in backends:
            filters = [*filters, *list_or_empty(at(backend, "filters"))]
        backends = [*backends, *(at(entry, "requestMirror.backendRef") for entry in filters)]
        found |= {str(at(backend, "namespace")) for backend in backends if at(backend, "namespace")}
    return found


def _parent_namespaces(resource: Resource) -> set[str]:
    """Namespaces of the Gateways and Services that a route attaches to: a mesh changes where their callers get to."""
    parents = list_or_empty(at(resource.inputs, "spec.parentRefs"))
    return {str(at(parent, "namespace")) for parent in parents if at(parent, "namespace")}


def _is_own_router(subject: Subject, resource: Resource, class_: str) -> bool:
    """Whether a Gateway is the class's router, or a route belongs to it."""
    router = f"{class_}-router"
    platform = subject.platform
    if platform is not None and not any(
        gateway.class_ == class_ and gateway.router for gateway in platform.gateways
    ):
        return False
    if resource.type.endswith(":Gateway"):
        listeners = list_or_empty(at(resource.inputs, "spec.listeners"))
        return name_and_namespace(resource)[0] == router and all(
            at(listener, "allowedRoutes.namespaces.from") in (None, "Same") for listener in listeners
        )
    parents = list_or_empty(at(resource.inputs, "spec.parentRefs"))
    return bool(parents) and all(
        at(parent, "name") == router and not at(parent, "namespace") for parent in parents
    )


_CONTROLS = (*fw.nist("AC-4", "SC-7(5)"), *fw.iso_27001("A.8.22"), *fw.dora("Art. 9(4)(b)"))
RULES = (
    Rule(
        "data-path/known-callers",
        "Only stated namespaces and networks connect to a class's pods",
        "critical",
        _CONTROLS,
        "Whoever connects to a gateway or a model can send it requests and read its answers",
        "Let in namespaces of the class, and the monitoring, reviewers and networks that the platform states",
        _check_callers,
        (POLICY,),
        applies_to=lambda subject: [policy for policy, _, _ in _policies_of_classes(subject)],
    ),
    Rule(
        "data-path/no-other-entrance",
        "Nothing opens a class's pods beside its gateway",
        "critical",
        _CONTROLS,
        "An Ingress or a route hands requests to a class's pods, or copies them, without the gateway's checks",
        "Remove it; callers reach the class through its gateway",
        _check_entrances,
        (_INGRESS,),
        applies_to=_entrances,
    ),
)

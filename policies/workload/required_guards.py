"""Rules for guards that a platform's clusters and accounts must have: what is missing or weaker is a finding.

They apply to a stack that builds a platform, for the clusters in which it creates a class's namespace or gateway. The
layer of the models creates neither. What the organisation owns by the platform's own statement is left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from isthmus.contracts.platform.emergency_role import ROLE as BREAK_GLASS
from isthmus.contracts.platform.emergency_role import binding_policy
from isthmus.contracts.platform.lookups.access import accesses_at
from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.reference.admission import required_policies
from isthmus.contracts.reference.model_owners import TUNING_POLICY, tuning_policy
from isthmus.graph.iam.permissions import roles
from isthmus.graph.network.reachability import CLASS
from isthmus.graph.resources.resources import Resource, name_and_namespace
from isthmus.graph.resources.sites import provider_of
from isthmus.graph.workloads.servers import known_class
from policies.identity.aws_trust import missing_denials
from policies.inputs.declared import IDENTITY, namespace_sensitivities, tag
from policies.inputs.documents import statements
from policies.inputs.pods import pods
from policies.inputs.values import at, has_unknown, is_unknown, list_or_empty
from policies.rules import frameworks as fw
from policies.rules.rule import Rule, Subject, Violation

_NAMESPACES = ("kubernetes:core/v1:Namespace", "kubernetes:core/v1:NamespacePatch")
_ADMISSION = "kubernetes:admissionregistration.k8s.io/"
_POLICY, _BINDING = ":ValidatingAdmissionPolicy", ":ValidatingAdmissionPolicyBinding"
_NETWORK_POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
_REGISTRIES = "registries"
"""CEL variable with the allowed image prefixes."""
_SPEC_PARTS = (
    "failurePolicy",
    "matchConstraints",
    "matchConditions",
    "paramKind",
    "variables",
    "validations",
)
_CLUSTER_SUFFIX = "/kubernetes"


@dataclass
class Cluster:
    """A cluster in which this stack creates a class's namespace or gateway."""

    provider: str
    """Name of its provider; empty if it is not stated."""
    shown: Resource
    """A namespace or gateway in it, for findings about what is missing."""
    namespaces: dict[str, Resource] = field(default_factory=dict)
    """Its class namespaces."""

    @property
    def site(self) -> str:
        return self.provider.removesuffix(_CLUSTER_SUFFIX)

    def holds(self, resource: Resource) -> bool:
        """Whether a resource is in this cluster, as far as providers show it."""
        return not self.provider or provider_of(resource) in ("", self.provider)


def _clusters(subject: Subject) -> list[Cluster]:
    """The clusters of the platform whose guards this stack creates; none without a platform."""
    if subject.platform is None:
        return []
    sensitivities = namespace_sensitivities(subject.graph)
    clusters: dict[str, Cluster] = {}
    for namespace in subject.graph.of(*_NAMESPACES):
        name = name_and_namespace(namespace)[0]
        labels = at(namespace.inputs, "metadata.labels")
        # A patch of an existing namespace states its class too.
        if sensitivities.get(name) or (isinstance(labels, Mapping) and labels.get(CLASS)):
            provider = provider_of(namespace)
            cluster = clusters.setdefault(provider, Cluster(provider, namespace))
            cluster.namespaces.setdefault(name, namespace)
    for pod in pods(subject.graph):
        if pod.role in ("gateway", "translator") and sensitivities.get(pod.namespace):
            provider = provider_of(pod.resource)
            cluster = clusters.setdefault(provider, Cluster(provider, pod.resource))
            cluster.namespaces.setdefault(pod.namespace, pod.resource)
    return [cluster for _, cluster in sorted(clusters.items())]


def _admission_objects(subject: Subject) -> Iterator[Resource]:
    """Each cluster, by its first namespace, and the objects that guard it."""
    for cluster in _clusters(subject):
        yield cluster.shown
        required = _required(subject.platform, cluster.site)
        for resource in subject.graph.resources:
            if resource.type.startswith(_ADMISSION) and cluster.holds(resource):
                names = (_name(resource), at(resource.inputs, "spec.policyName"))
                yield from [resource] if any(name in required for name in names) else []


def _check_admission(subject: Subject) -> Iterator[Violation]:
    for cluster in _clusters(subject):
        objects = [
            resource
            for resource in subject.graph.resources
            if resource.type.startswith(_ADMISSION) and cluster.holds(resource)
        ]
        policies = {_name(resource): resource for resource in objects if resource.type.endswith(_POLICY)}
        bindings = [resource for resource in objects if resource.type.endswith(_BINDING)]
        required = _required(subject.platform, cluster.site)
        missing = [name for name in required if name not in policies]
        unbound = [
            name
            for name in required
            if name in policies and not any(at(b.inputs, "spec.policyName") == name for b in bindings)
        ]
        where = f"the cluster of {cluster.site or 'this stack'}"
        for names, what in (
            (missing, "lacks the admission policies"),
            (unbound, "does not bind the policies"),
        ):
            if names:
                listed = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
                yield Violation(
                    f"{where} {what} {listed}: objects that somebody applies by hand reach its classes' pods"
                    " unchecked",
                    cluster.shown,
                )
        for name, spec in required.items():
            if name in policies:
                yield from _weaker_policy(policies[name], spec)
                yield from _weaker_binding(
                    [b for b in bindings if at(b.inputs, "spec.policyName") == name], name
                )
        for resource in objects:
            if resource.type.endswith(("PolicyPatch", "BindingPatch")) and _name(resource) in required:
                yield Violation(
                    f"{resource.name} changes the admission policy {_name(resource)} beside the component that"
                    " creates it",
                    resource,
                )


def _name(resource: Resource) -> str:
    return name_and_namespace(resource)[0]


def _required(platform: Platform | None, site: str) -> dict[str, dict[str, Any]]:
    """The specs of the policies that a site's cluster must have, by name."""
    if platform is None:
        return {}
    break_glass = platform.people.break_glass if platform.people is not None else None
    users = [keyholder.user for keyholder in break_glass.keyholders] if break_glass is not None else []
    routed = {
        gateway.class_
        for gateway in platform.gateways
        if gateway.router is not None and site in ("", gateway.site)
    }
    outside = [access.admitted() for access in accesses_at(platform, site)]
    required = required_policies(platform.images.registries, sorted(users), sorted(routed), outside)
    if break_glass is not None:
        required[BREAK_GLASS] = binding_policy()
    owners = {
        group
        for member in (platform.people.members if platform.people is not None else [])
        for group in member.groups
        if member.role == "model-owner"
    }
    if owners:
        required[TUNING_POLICY] = tuning_policy(sorted(owners))
    return required


def _weaker_policy(policy: Resource, required: Mapping[str, Any]) -> Iterator[Violation]:
    """Reports each part of a policy that differs from what Isthmus renders. Texts of messages may differ."""
    spec = at(policy.inputs, "spec")
    for part in _SPEC_PARTS:
        value, expected = at(spec, part), required.get(part)
        if has_unknown(value):
            message = f"{part} of the admission policy {_name(policy)} is not known before the change"
            yield Violation(message, policy, "undecided")
        elif _compared(part, value) != _compared(part, expected) and not _fewer_registries(
            part, value, expected
        ):
            yield Violation(
                f"the admission policy {_name(policy)} is not the one that Isthmus renders: its {part} differ, so that"
                " it may admit what the boundary forbids",
                policy,
            )


def _compared(part: str, value: Any) -> Any:
    """What of a part decides about admission."""
    if part == "validations":
        return [at(entry, "expression") for entry in list_or_empty(value)]
    return value or None


def _fewer_registries(part: str, value: Any, expected: Any) -> bool:
    """Whether variables differ only in that they admit fewer registries than the platform states."""
    if part != "variables" or not isinstance(value, list) or not isinstance(expected, list):
        return False
    given, stated = (
        {str(at(entry, "name")): at(entry, "expression") for entry in variables}
        for variables in (value, expected)
    )
    try:
        registries = set(json.loads(given.pop(_REGISTRIES))), set(json.loads(stated.pop(_REGISTRIES)))
    except (KeyError, TypeError, ValueError):
        return False
    return given == stated and registries[0] <= registries[1]


def _weaker_binding(bindings: list[Resource], name: str) -> Iterator[Violation]:
    """Reports the bindings of a policy if none of them denies everywhere."""
    reasons: list[tuple[Resource, str]] = []
    for binding in bindings:
        spec = at(binding.inputs, "spec")
        acts = at(spec, "validationActions")
        if is_unknown(spec) or has_unknown(acts) or has_unknown(at(spec, "matchResources")):
            message = f"what the binding of {name} does is not known before the change"
            yield Violation(message, binding, "undecided")
        elif "Deny" not in list_or_empty(acts):
            reasons.append((binding, f"does not deny (validationActions: {acts})"))
        elif at(spec, "matchResources"):
            reasons.append((binding, "applies to a part of the namespaces only (matchResources)"))
        elif at(spec, "paramRef"):
            reasons.append((binding, "takes parameters from an object that others may change"))
        else:
            return
    for binding, reason in reasons:
        yield Violation(f"the binding of admission policy {name} {reason}", binding)


def _check_default_deny(subject: Subject) -> Iterator[Violation]:
    for cluster in _clusters(subject):
        policies = [policy for policy in subject.graph.of(_NETWORK_POLICY) if cluster.holds(policy)]
        for name, namespace in sorted(cluster.namespaces.items()):
            every_pod = [
                policy
                for policy in policies
                if name_and_namespace(policy)[1] == name and _selects_every_pod(policy)
            ]
            if any(map(_denies_all, every_pod)):
                continue
            undecided = [policy for policy in every_pod if has_unknown(at(policy.inputs, "spec"))]
            weaker = [policy for policy in every_pod if policy not in undecided]
            if undecided:
                yield Violation(
                    f"what {undecided[0].name} denies in {name} is not known before the change",
                    namespace,
                    "undecided",
                )
            elif weaker:
                yield Violation(
                    f"{weaker[0].name} denies a part only: every pod of {name} has what its rules allow or its"
                    " policyTypes leave out",
                    namespace,
                )
            else:
                yield Violation(
                    f"namespace {name} has no default-deny network policy in the cluster of"
                    f" {cluster.site or 'this stack'}: a pod that no other policy selects reaches every address",
                    namespace,
                )


def _selects_every_pod(policy: Resource) -> bool:
    selector = at(policy.inputs, "spec.podSelector")
    return selector is None or (isinstance(selector, Mapping) and not any(selector.values()))


def _denies_all(policy: Resource) -> bool:
    spec = at(policy.inputs, "spec")
    if not isinstance(spec, Mapping) or spec.get("ingress") or spec.get("egress"):
        return False
    return {"Ingress", "Egress"} <= set(map(str, list_or_empty(spec.get("policyTypes"))))


def _class_roles(subject: Subject) -> Iterator[Resource]:
    """Roles of a platform's classes above public, and its identities."""
    if subject.platform is None:
        return
    for role in subject.graph.of("aws:iam/role:Role"):
        if tag(role, IDENTITY) or known_class(tag(role, CLASS)) not in ("", "public"):
            yield role


def _check_boundaries(subject: Subject) -> Iterator[Violation]:
    guarded = {role.urn for role in _class_roles(subject)}
    stated = _stated_boundaries(subject.platform)
    for role in roles(subject.graph):
        if role.resource.urn not in guarded:
            continue
        bound = role.resource.inputs.get("permissionsBoundary")
        if role.boundary is None and is_unknown(bound):
            message = f"the permissions boundary of {role.name} is not known before the change"
            yield Violation(message, role.resource, "undecided")
        elif role.boundary is None and bound not in stated:
            what = f"{bound}, which the platform does not state," if bound else "nothing"
            yield Violation(
                f"{what} bounds role {role.name} of a class's data: a policy that is added to it later applies in full",
                role.resource,
            )
        for policy in subject.graph.referred(bound or "", "aws:iam/policy:Policy"):
            missing = missing_denials(statements(policy.inputs.get("policy")) or [])
            if missing and statements(policy.inputs.get("policy")) is not None:
                yield Violation(
                    f"the boundary of role {role.name} does not deny {', '.join(missing[:3])}: who holds the role could"
                    " stop the records of its calls",
                    role.resource,
                )


def _stated_boundaries(platform: Platform | None) -> set[str]:
    """Boundaries of the organisation that the platform states."""
    parts = (*platform.sites, *platform.identities) if platform is not None else ()
    return {part.permissions_boundary for part in parts if part.permissions_boundary}


RULES = (
    Rule(
        "workload/admission-complete",
        "Every cluster of the platform has all admission policies, at full strength",
        "critical",
        (*fw.nist("CM-3", "SC-7", "SI-10"), *fw.iso_27001("A.8.9")),
        "Without them an object that somebody applies by hand can carry restricted data out of the cluster",
        "Create admission policies with the component AdmissionGuard, and change nothing about them",
        _check_admission,
        applies_to=_admission_objects,
    ),
    Rule(
        "network/class-default-deny",
        "Every class namespace of the platform has a default-deny network policy without rules",
        "critical",
        (*fw.nist("AC-4", "SC-7(5)"), *fw.iso_27001("A.8.22")),
        "A pod that no other policy selects could send the class's data to any address",
        "Create the namespace with the component ClassNamespace, and add rules in policies of their own",
        _check_default_deny,
        applies_to=lambda subject: (
            namespace for cluster in _clusters(subject) for namespace in cluster.namespaces.values()
        ),
    ),
    Rule(
        "identity/class-roles-bounded",
        "Roles of a class's data have the platform's permissions boundary, at full strength",
        "critical",
        (*fw.nist("AC-6", "AU-9"), *fw.iso_27001("A.8.2")),
        "Without a boundary a policy that is added by hand lets the class's data go anywhere in the account",
        "Create the role with the platform's component, or state the organisation's `permissions_boundary`",
        _check_boundaries,
        ("aws:iam/role:Role",),
        applies_to=_class_roles,
    ),
)

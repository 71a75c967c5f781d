"""Looks up what the platform states about a resource: the class of its namespace, its endpoint, identities.

Under the engine, policies see only a part of the platform (`isthmus.contracts.platform.policy_view`), without an
endpoint's release, weights, precision and size. A rule does not report what it cannot see.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from isthmus.contracts.platform.model.platform import Endpoint, Identity, Platform
from isthmus.graph.network.reachability import CLASS
from isthmus.graph.resources.resources import Graph, Resource
from isthmus.graph.workloads.servers import ENDPOINT, known_class, namespace_classes
from policies.inputs.pods import Pod
from policies.rules.rule import Subject

IDENTITY = "isthmus.dev/identity"
_SENSITIVITIES: WeakKeyDictionary[Graph, dict[str, str]] = WeakKeyDictionary()


def namespace_sensitivities(graph: Graph) -> dict[str, str]:
    """The class of each namespace by name; empty if it is not known."""
    sensitivities = _SENSITIVITIES.get(graph)
    if sensitivities is None:
        sensitivities = _SENSITIVITIES[graph] = namespace_classes(graph)
    return sensitivities


def pod_sensitivity(graph: Graph, pod: Pod) -> str:
    """The class of a pod: of its namespace, which the pod cannot choose; otherwise of its own label."""
    return namespace_sensitivities(graph).get(pod.namespace) or known_class(pod.labels.get(CLASS))


def tag(resource: Resource, key: str) -> str:
    """The value of an AWS tag; empty if the resource lacks it or its tags cannot be read."""
    tags = resource.inputs.get("tags")
    return str(tags.get(key) or "") if isinstance(tags, Mapping) else ""


def find_endpoint(subject: Subject, labels: Mapping[str, Any]) -> Endpoint | None:
    """The platform's endpoint that pods with these labels serve."""
    endpoint_id = labels.get(ENDPOINT)
    endpoints = subject.platform.endpoints if subject.platform else []
    return next((endpoint for endpoint in endpoints if endpoint.id == endpoint_id), None)


def has_weights_digest(endpoint: Endpoint) -> bool:
    """Whether the visible part of the platform includes the digest of an endpoint's weights."""
    return endpoint.weights is not None and hasattr(endpoint.weights, "digest")


def identities_of_this_stack(subject: Subject) -> list[Identity]:
    """The platform's identities that this stack creates. Of a platform in layers, one layer creates them."""
    platform = subject.platform
    if platform is None:
        return []
    role_names = {tag(role, IDENTITY) for role in subject.graph.of("aws:iam/role:Role")}
    return [identity for identity in platform.identities if identity.name in role_names]


def governing_platform(subject: Subject) -> Platform | None:
    """The platform, if this stack governs its accounts: it creates the identities and budgets.

    None for other layers and for another team's program.
    """
    platform = subject.platform
    if platform is None or (platform.identities and not identities_of_this_stack(subject)):
        return None
    return platform

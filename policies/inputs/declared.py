"""What the platform states of a resource: of which class its namespace is, and which endpoint or gateway it is.

Under the engine the policies see less of the platform (`isthmus.contracts.platform.policy_view`): not an endpoint's
release, weights, precision or size. A rule does not report what it cannot see.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from isthmus.contracts.platform.model.platform import Endpoint, Identity, Platform
from isthmus.graph.network.reachability import CLASS
from isthmus.graph.resources.resources import Graph, Resource
from isthmus.graph.workloads.servers import ENDPOINT, classes, known
from policies.inputs.pods import Pod
from policies.rules.rule import Subject

IDENTITY = "isthmus.dev/identity"
_SPACES: WeakKeyDictionary[Graph, dict[str, str]] = WeakKeyDictionary()


def spaces(graph: Graph) -> dict[str, str]:
    """Namespaces by name, and their class; empty where nothing says it."""
    found = _SPACES.get(graph)
    if found is None:
        found = _SPACES[graph] = classes(graph)
    return found


def class_of(graph: Graph, pod: Pod) -> str:
    """The class of a pod: its namespace's, which it cannot choose, else its own label's."""
    return spaces(graph).get(pod.namespace) or known(pod.labels.get(CLASS))


def tag(resource: Resource, key: str) -> str:
    """A tag of a resource in AWS; empty where it bears none of that key, or none that can be read."""
    tags = resource.inputs.get("tags")
    return str(tags.get(key) or "") if isinstance(tags, Mapping) else ""


def endpoint(subject: Subject, labels: Mapping[str, Any]) -> Endpoint | None:
    """The endpoint that pods with these labels serve, as the platform states it."""
    named = labels.get(ENDPOINT)
    every = subject.platform.endpoints if subject.platform else []
    return next((each for each in every if each.id == named), None)


def released(one: Endpoint) -> bool:
    """Whether the platform's word holds an endpoint's release: its weights, by digest."""
    return one.weights is not None and hasattr(one.weights, "digest")


def identities_here(subject: Subject) -> list[Identity]:
    """The platform's identities, where it is this stack that makes them: of an estate in layers one layer does."""
    platform = subject.platform
    if platform is None:
        return []
    made = {tag(each, IDENTITY) for each in subject.graph.of("aws:iam/role:Role")}
    return [each for each in platform.identities if each.name in made]


def governs(subject: Subject) -> Platform | None:
    """The platform, where this stack is the one that makes what governs its accounts: identities, and budgets with
    them. None for a layer that does not, and for another team's program."""
    platform = subject.platform
    if platform is None or (platform.identities and not identities_here(subject)):
        return None
    return platform

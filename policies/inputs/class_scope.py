"""Which namespaces hold data of a class above public, and whether a stack has any."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.reference.admission import class_by_namespace
from isthmus.contracts.vocabulary import SENSITIVITIES
from isthmus.graph.network.reachability import CLASS
from isthmus.graph.resources.resources import Graph, Resource, name_and_namespace
from isthmus.graph.workloads.servers import known_class
from policies.inputs.declared import namespace_sensitivities
from policies.inputs.values import at, is_unknown
from policies.rules.rule import Subject

_NAMESPACE_PATCH = "kubernetes:core/v1:NamespacePatch"
_CLASSES: WeakKeyDictionary[Graph, dict[str, str]] = WeakKeyDictionary()
_PREFIX = "isthmus-"


def classified_namespaces(graph: Graph) -> dict[str, str]:
    """Namespace → class above public: by label, by name, by a patch of its labels, or as a part of a class.

    `isthmus-restricted-reviews` counts also in a stack that does not create it.
    """
    cached = _CLASSES.get(graph)
    if cached is None:
        sensitivities = dict(namespace_sensitivities(graph))
        for patch in graph.of(_NAMESPACE_PATCH):
            name = name_and_namespace(patch)[0]
            label = at(patch.inputs, "metadata.labels")
            class_ = known_class(label.get(CLASS)) if isinstance(label, Mapping) else ""
            sensitivities[name] = sensitivities.get(name) or class_ or class_of_name(name)
        cached = _CLASSES[graph] = {
            name: class_
            for name, stated in sensitivities.items()
            if (class_ := stated or class_of_name(name)) and class_ != "public"
        }
    return cached


def class_of(graph: Graph, namespace: str) -> str:
    """The class of a namespace, as the graph or its name states it; empty if it has none."""
    return classified_namespaces(graph).get(namespace) or class_of_name(namespace)


def class_above_public(graph: Graph, namespace: str) -> str:
    """The class of a namespace whose data must stay; empty for public and for none."""
    class_ = class_of(graph, namespace)
    return "" if class_ == "public" else class_


def class_of_name(namespace: str) -> str:
    """The class in a name like `isthmus-restricted` or `isthmus-restricted-sealer`; empty if there is none."""
    for class_ in SENSITIVITIES:
        if namespace == f"{_PREFIX}{class_}" or namespace.startswith(f"{_PREFIX}{class_}-"):
            return class_
    return ""


def is_standard_name(namespace: str) -> bool:
    """Whether a name is one that the components give to a namespace of a class or of its parts."""
    return namespace in class_by_namespace()


def has_classified_work(subject: Subject) -> bool:
    """Whether the stack has data of a class above public, or works in a cluster where another stack has.

    It has by a namespace, or by its platform.
    """
    return (
        bool(classified_namespaces(subject.graph))
        or platform_is_classified(subject.platform)
        or bool(subject.settings.classified_neighbours)
    )


def platform_is_classified(platform: Platform | None) -> bool:
    """Whether the platform serves a class above public."""
    parts: list[Any] = [*platform.gateways, *platform.endpoints] if platform else []
    return any(part.class_ != "public" for part in parts)


def is_trusted_chart(subject: Subject, resource: Resource) -> bool:
    """Whether a chart is trusted, and is installed in a namespace without a class."""
    chart, namespace = at(resource.inputs, "chart"), at(resource.inputs, "namespace")
    if not namespace or is_unknown(namespace) or not chart:
        return False
    if class_of(subject.graph, str(namespace)):
        return False
    return any(subject.trusts("charts", reference) for reference in chart_references(resource))


def chart_references(resource: Resource) -> list[str]:
    """The names of a chart: with its digest if it has one, and without."""
    chart, repository = at(resource.inputs, "chart"), at(resource.inputs, "repositoryOpts.repo")
    references = dict.fromkeys([str(chart), str(chart).partition("@")[0]])
    if repository:
        return [f"{str(repository).rstrip('/')}/{reference}" for reference in references]
    return list(references)

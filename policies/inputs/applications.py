"""Namespaces of the organisation's applications: labelled with a class, made by own code, and named in the trust file.

An application calls the class's gateway from a namespace with the class's label, so it handles the class's data. Its
namespace gets no identity of the class: only pods that a component makes are the class's own.
"""

from __future__ import annotations

from collections.abc import Mapping

from isthmus.contracts.reference import handling
from isthmus.graph.network.reachability import CLASS
from isthmus.graph.resources.resources import name_and_namespace
from isthmus.graph.workloads.servers import known_class
from policies.inputs.aws_reach import is_of_component
from policies.inputs.class_scope import class_of_name
from policies.inputs.neighbours import neighbour_reason
from policies.inputs.values import at
from policies.rules.rule import Subject


def application_namespaces(subject: Subject) -> dict[str, str]:
    """Namespace → class, for each namespace of an application that an entry `namespaces` names exactly.

    Restricted work has none: its applications are deployed apart from the platform's own program.
    """
    found: dict[str, str] = {}
    for namespace in subject.graph.of("kubernetes:core/v1:Namespace"):
        name = name_and_namespace(namespace)[0]
        labels = at(namespace.inputs, "metadata.labels")
        class_ = known_class(labels.get(CLASS)) if isinstance(labels, Mapping) else ""
        if not class_ or class_ == "restricted" or is_of_component(namespace) or class_of_name(name):
            continue
        if subject.trusts_exactly("namespaces", name) and not neighbour_reason(subject, name):
            found[name] = class_
    return found


def is_application(subject: Subject, namespace: str) -> bool:
    """Whether a namespace is one of an application."""
    return namespace in application_namespaces(subject)


def namespaces_that_resolve(subject: Subject) -> frozenset[str]:
    """Namespaces of applications whose pods may ask the cluster's resolvers, although the site filters names.

    A name can carry data out, so this is for classes whose data may leave the site anyway.
    """
    return frozenset(
        name
        for name, class_ in application_namespaces(subject).items()
        if any(target != "onprem-vllm" for target in handling.handling_of(class_).targets)
    )

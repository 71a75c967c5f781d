"""Selects the resources that a rule applies to (`Rule.applies_to`): selectors that several modules of rules use.

A selector leaves out a resource that another rule covers, or for which nothing can be decided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from isthmus.graph.resources.resources import Resource
from policies.inputs.documents import containers, gateway_configurations
from policies.inputs.pods import Pod, pods
from policies.rules.rule import Applicable, Subject

Selector = Callable[[Subject], Applicable]


def stack_with(*kinds: str) -> Selector:
    """Selects the stack as a whole if it has a resource of these types."""
    return lambda subject: [None] if any(True for _ in subject.graph.of(*kinds)) else []


def stack_in_aws(subject: Subject) -> Applicable:
    """The stack as a whole, if it has resources in AWS."""
    return [None] if any(resource.type.startswith("aws:") for resource in subject.graph.resources) else []


def resources_where(condition: Callable[[Resource], Any], *kinds: str) -> Selector:
    """Selects resources of these types that meet the condition."""
    return lambda subject: [resource for resource in subject.graph.of(*kinds) if condition(resource)]


def pods_where(condition: Callable[[Pod], Any], *, tasks: bool = False) -> Selector:
    """Selects resources with a pod that meets the condition; `tasks`: also tasks with readable containers."""

    def select(subject: Subject) -> Iterator[Resource]:
        yield from (pod.resource for pod in pods(subject.graph) if condition(pod))
        yield from readable_tasks(subject) if tasks else ()

    return select


def workloads(subject: Subject) -> Iterator[Resource]:
    """Resources with a pod."""
    return (pod.resource for pod in pods(subject.graph))


def has_containers(pod: Pod) -> bool:
    return bool(pod.containers)


def readable_tasks(subject: Subject) -> Iterator[Resource]:
    """Task definitions with containers that can be read."""
    return (task for task in subject.graph.of("aws:ecs/taskDefinition:TaskDefinition") if containers(task))


def configurations_where(condition: Callable[[Any], Any], *, unread: bool = False) -> Selector:
    """Selects resources with an edge configuration that meets the condition; `unread`: also unreadable ones."""
    return lambda subject: [
        resource
        for resource, _, config in gateway_configurations(subject.graph)
        if (config is None and unread) or (config is not None and condition(config))
    ]


def first_of_rows(
    rows_of: Callable[[Subject], Iterable[tuple[Resource | Pod, *tuple[Any, ...]]]],
) -> Selector:
    """Selects the resources that are first in the rows of a function; of a pod, its resource."""

    def select(subject: Subject) -> Iterator[Resource]:
        for first, *_ in rows_of(subject):
            yield first.resource if isinstance(first, Pod) else first

    return select

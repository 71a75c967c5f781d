"""A stack's resources, as policies and reports look at them: by type, by name, and by what a value refers to."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from isthmus.contracts.reports.findings import Verdict
from isthmus.graph.resources.references import with_references

_REFERENCE = re.compile(r"\$\{([^.${}]+)\.[^${}]+\}")


class Resource(Protocol):
    """What a report needs of a resource (`isthmus.engine.render.recorder.Resource` has it)."""

    @property
    def urn(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def inputs(self) -> dict[str, Any]: ...
    @property
    def made(self) -> bool: ...


@dataclass(frozen=True, eq=False)
class Fault:
    """What breaks something that must hold: a sentence without its full stop, and the resource that it is about."""

    text: str
    resource: Resource | None = None
    """None: the stack as a whole, or what it does not make."""
    verdict: Verdict = "violated"

    def __str__(self) -> str:
        return self.text

    def __contains__(self, phrase: str) -> bool:
        return phrase in self.text


class Graph:
    """The resources of one rendering, or of all layers of one; values that only a cloud knows are `${NAME.property}`.

    What is unknown as a whole (`${unknown}`, under the engine) refers to what its property depends on.
    """

    def __init__(self, resources: Iterable[Resource]) -> None:
        self.resources: list[Resource] = [
            with_references(resource) for resource in resources if resource.made
        ]
        self._by_name: dict[str, list[Resource]] = {}
        for resource in self.resources:
            self._by_name.setdefault(resource.name, []).append(resource)
        self._by_kinds: dict[tuple[str, ...], list[Resource]] = {}
        self._pods: list[tuple[Resource, Mapping[str, Any]]] | None = None

    def of(self, *kinds: str) -> Iterator[Resource]:
        """Resources whose type ends in one of `kinds`, e.g. `:Role` or `aws:iam/role:Role`."""
        matching = self._by_kinds.get(kinds)
        if matching is None:  # reports ask for the same few kinds for every pod and policy
            matching = self._by_kinds[kinds] = [
                resource for resource in self.resources if resource.type.endswith(kinds)
            ]
        return iter(matching)

    def pods(self) -> list[tuple[Resource, Mapping[str, Any]]]:
        """Every template of a pod, by the object of Kubernetes that has it; many ask, and looking is long."""
        if self._pods is None:
            objects = (resource for resource in self.resources if resource.type.startswith("kubernetes:"))
            self._pods = [
                (resource, template) for resource in objects for template in templates(resource.inputs)
            ]
        return self._pods

    def referred(self, value: Any, kind: str = "") -> list[Resource]:
        """The resources that a value (text, list, map) refers to, of a type that ends in `kind`."""
        text = value if isinstance(value, str) else json.dumps(value)
        names = dict.fromkeys(_REFERENCE.findall(text))
        return [
            resource
            for name in names
            for resource in self._by_name.get(name, [])
            if resource.type.endswith(kind)
        ]


def join_layers(*layers: Iterable[Resource]) -> Graph:
    """One graph of all the layers of an estate: what one layer makes and another refers to is found again.

    In the same order whichever layer comes first. States of several stacks are put into words together, by one
    call of `isthmus.graph.resources.state.from_state`, since each names what the others gave it by its id alone.
    """
    return Graph(
        sorted(
            (resource for layer in layers for resource in layer),
            key=lambda resource: (resource.name, resource.urn),
        )
    )


def statements(document: Any) -> list[dict[str, Any]]:
    """The statements of a policy document (JSON text or a map); none where it cannot be read (`unread` says so)."""
    parsed = _parsed(document) or {}
    entries = parsed.get("Statement", [])
    return entries if isinstance(entries, list) else [entries]


def is_unread(document: Any) -> bool:
    """Whether there is a policy document whose words are not known: unknown before the change, or no document."""
    return bool(document) and _parsed(document) is None


def unread_fault(resource: Resource, document: str = "policy") -> Fault:
    """What is said of a document that cannot be read: neither that it holds nor that it breaks."""
    return Fault(f"the {document} of {resource.name} is not known before it is made", resource, "undecided")


def _parsed(document: Any) -> Mapping[str, Any] | None:
    if isinstance(document, str) and document:
        try:
            document = json.loads(document)
        except ValueError:
            return None
    return document if isinstance(document, Mapping) else None


def as_list(value: Any) -> list[str]:
    """AWS writes one as itself and many as a list."""
    return [] if value is None else [value] if isinstance(value, str) else [str(entry) for entry in value]


def templates(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every pod that a resource describes, at whatever depth its kind keeps the template: `metadata` and `spec`."""
    # What holds nothing is not looked into: most of what a resource says are words and numbers.
    if isinstance(value, dict):
        spec = value.get("spec")
        if isinstance(spec, dict) and isinstance(spec.get("containers"), list):
            yield value
        for child in value.values():
            if isinstance(child, dict | list):
                yield from templates(child)
    elif isinstance(value, list):
        for child in value:
            if isinstance(child, dict | list):
                yield from templates(child)


def name_and_namespace(resource: Resource) -> tuple[str, str]:
    """Name and namespace of a resource of Kubernetes."""
    meta = resource.inputs.get("metadata") or {}
    return str(meta.get("name") or resource.name), str(meta.get("namespace") or "default")


def pod_containers(template: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Every container of a pod."""
    spec = template["spec"]
    return [
        container
        for key in ("containers", "initContainers", "ephemeralContainers")
        for container in spec.get(key) or []
    ]

"""A stack's resources for policies and reports: by type, by name, and by the references in their values."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from isthmus.contracts.reports.findings import Verdict
from isthmus.graph.resources.references import with_references

_REFERENCE = re.compile(r"\$\{([^${}]+\.[^${}]+)\}")


class Resource(Protocol):
    """The fields of a resource that reports need. `isthmus.engine.render.recorder.Resource` has them."""

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
    """A broken rule: a sentence without its full stop, and the resource that it is about."""

    text: str
    resource: Resource | None = None
    """None: the whole stack, or something that the stack does not create."""
    verdict: Verdict = "violated"

    def __str__(self) -> str:
        return self.text

    def __contains__(self, phrase: str) -> bool:
        return phrase in self.text


class Graph:
    """The resources of one rendering, or of all layers of an estate.

    Values that only a cloud knows are `${NAME.property}`. A value that is unknown as a whole (`${unknown}`, under the
    engine) refers to everything that its property depends on.
    """

    def __init__(self, resources: Iterable[Resource]) -> None:
        all_resources = list(resources)
        self.resources: list[Resource] = [
            with_references(resource) for resource in all_resources if resource.made
        ]
        self.not_made: list[Resource] = [resource for resource in all_resources if not resource.made]
        """Components, providers, and resources that the program only reads."""
        self._by_name: dict[str, list[Resource]] = {}
        for resource in self.resources:
            self._by_name.setdefault(resource.name, []).append(resource)
        self._by_kinds: dict[tuple[str, ...], list[Resource]] = {}
        self._pods: list[tuple[Resource, Mapping[str, Any]]] | None = None

    def of(self, *kinds: str) -> Iterator[Resource]:
        """Resources whose type ends in one of `kinds`, e.g. `:Role` or `aws:iam/role:Role`."""
        matching = self._by_kinds.get(kinds)
        if matching is None:  # cached, because reports ask for the same few kinds for every pod and policy
            matching = self._by_kinds[kinds] = [
                resource for resource in self.resources if resource.type.endswith(kinds)
            ]
        return iter(matching)

    def pods(self) -> list[tuple[Resource, Mapping[str, Any]]]:
        """Every pod template, by the Kubernetes object that contains it. Cached, because many callers need it."""
        if self._pods is None:
            objects = (resource for resource in self.resources if resource.type.startswith("kubernetes:"))
            self._pods = [
                (resource, template) for resource in objects for template in templates(resource.inputs)
            ]
        return self._pods

    def _name_in(self, reference: str) -> str:
        """The name of a resource in `NAME.PROPERTY`, both of which may have dots; empty if there is none."""
        parts = reference.split(".")
        names = (".".join(parts[:count]) for count in range(len(parts) - 1, 0, -1))
        return next((name for name in names if name in self._by_name), "")

    def referred(self, value: Any, kind: str = "") -> list[Resource]:
        """The resources to which a value (text, list or map) refers, and whose type ends in `kind`."""
        text = value if isinstance(value, str) else json.dumps(value)
        names = dict.fromkeys(filter(None, map(self._name_in, _REFERENCE.findall(text))))
        return [
            resource
            for name in names
            for resource in self._by_name.get(name, [])
            if resource.type.endswith(kind)
        ]


def join_layers(*layers: Iterable[Resource]) -> Graph:
    """Join the graphs of all layers of an estate, so that references between layers are found.

    The result does not depend on the order of the layers. Convert states of several stacks by one call of
    `isthmus.graph.resources.state.from_state`, because they refer to each other by id only.
    """
    return Graph(
        sorted(
            (resource for layer in layers for resource in layer),
            key=lambda resource: (resource.name, resource.urn),
        )
    )


def statements(document: Any) -> list[dict[str, Any]]:
    """The statements of a policy document (JSON text or a map); empty if it cannot be read (see `is_unread`)."""
    parsed = _parsed(document) or {}
    entries = parsed.get("Statement", [])
    return entries if isinstance(entries, list) else [entries]


def is_unread(document: Any) -> bool:
    """Whether a policy document exists whose content is unknown before the change, or is not a policy document."""
    return bool(document) and _parsed(document) is None


def unread_fault(resource: Resource, document: str = "policy") -> Fault:
    """The finding about a document that cannot be read, so that it is undecided."""
    return Fault(f"the {document} of {resource.name} is not known before it is made", resource, "undecided")


def _parsed(document: Any) -> Mapping[str, Any] | None:
    if isinstance(document, str) and document:
        try:
            document = json.loads(document)
        except ValueError:
            return None
    return document if isinstance(document, Mapping) else None


def as_list(value: Any) -> list[str]:
    """The value as a list. AWS writes a list with one member as the member."""
    return [] if value is None else [value] if isinstance(value, str) else [str(entry) for entry in value]


def templates(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every pod template of a resource (`metadata` and `spec`), at any depth."""
    # Text and numbers, most of a resource, contain no template.
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
    """Name and namespace of a Kubernetes resource."""
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

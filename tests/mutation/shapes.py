"""What an operator is: where in a rendered graph it applies, and the graph as it is after it.

An operator is written as a function under one of a `Family`'s decorators, which say what it is handed: the inputs of a
resource, a pod, a container, the statements of a policy, the edge's configuration. It changes what it is handed, and
its docstring says in a sentence what a person did. The graph that it is applied to stays as it was.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from isthmus.engine.render.recorder import Resource
from tests.broken_graphs import parts
from tests.broken_graphs.parts import At, Lens
from tests.broken_graphs.resources import Resources, by_urn, resources_of_kinds, tied, without


class Site(NamedTuple):
    """A place that an operator can be applied to: a resource, and a part of its inputs."""

    urn: str
    at: At = ()

    def __str__(self) -> str:
        return "/".join([self.urn.rpartition("::")[2], *map(str, self.at)])


@dataclass(frozen=True)
class Context:
    """What an operator may look at beside the part that it changes."""

    resource: Resource
    resources: Resources
    rng: random.Random

    def of(self, *kinds: str) -> list[Resource]:
        """Made resources whose type ends in one of `kinds`."""
        return [resource for resource in self.resources if resource.made and resource.type.endswith(kinds)]

    @property
    def class_(self) -> str:
        """The class that the resource is labelled or tagged with; empty where it has none."""
        return class_of(self.resource)

    @property
    def space(self) -> str:
        """The resource's namespace."""
        return str(metadata(self.resource).get("namespace", ""))

    @property
    def selected(self) -> list[Resource]:
        """Workloads of the namespace that the resource's selector selects."""
        wanted = self.resource.inputs["spec"]["selector"]["matchLabels"].items()
        return [
            resource
            for resource in self.of(*parts.WORKLOADS)
            if metadata(resource).get("namespace") == self.space
            and any(
                wanted <= parts.follow(resource.inputs, at)["metadata"]["labels"].items()
                for at in parts.PODS.find(resource.inputs)
            )
        ]

    def labelled(self, label: str) -> str:
        return str((metadata(self.resource).get("labels") or {}).get(label, ""))


Where = Callable[[Any, Context], Any]
Sites = Callable[[Resources], Iterator[Site]]
Apply = Callable[[Resources, Site, random.Random], list[Resource]]


@dataclass(frozen=True)
class Operator:
    """A fault, or a harmless change, that can be put into a rendered graph."""

    id: str
    family: str
    says: str
    """What somebody did, in a sentence."""
    meant_for: frozenset[str]
    """Families of policies of which at least one must find it; none for a harmless change."""
    _sites: Sites
    _apply: Apply

    def sites(self, resources: Resources) -> list[Site]:
        """Where it applies, always in the same order; empty: it does not."""
        return list(self._sites(resources))

    def apply(self, resources: Resources, site: Site, rng: random.Random) -> list[Resource]:
        """The resources as they are after it."""
        return self._apply(resources, site, rng)


def class_of(resource: Resource) -> str:
    labels = metadata(resource).get("labels") or resource.inputs.get("tags") or {}
    return str(labels.get(parts.CLASS, "")) if isinstance(labels, dict) else ""


def metadata(resource: Resource) -> dict[str, Any]:
    metadata_found = resource.inputs.get("metadata")
    return metadata_found if isinstance(metadata_found, dict) else {}


class Family:
    """The operators of one family of controls, in the order of their file."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.operators: list[Operator] = []

    def changes(
        self, *kinds: str, lens: Lens = parts.INPUTS, where: Where | None = None, also: Iterable[str] = ()
    ) -> Callable[[Callable[[Any, Context], object]], Callable[[Any, Context], object]]:
        """The function changes a part of one resource in place; `also`: other families whose policies may find it."""

        def sites(resources: Resources) -> Iterator[Site]:
            for resource in resources_of_kinds(resources, kinds):
                for at in lens.find(resource.inputs):
                    part = lens.open(resource.inputs, at)
                    if where is None or where(part, Context(resource, resources, random.Random(0))):
                        yield Site(resource.urn, at)

        def decorate(how: Callable[[Any, Context], object]) -> Callable[[Any, Context], object]:
            def apply(resources: Resources, site: Site, rng: random.Random) -> list[Resource]:
                original = by_urn(resources, site.urn)
                inputs = copy.deepcopy(original.inputs)
                part = lens.open(inputs, site.at)
                how(part, Context(original, resources, rng))
                lens.close(inputs, site.at, part)
                changed = tied(replace(original, inputs=inputs), resources)
                return [changed if resource.urn == site.urn else resource for resource in resources]

            self._keep(how, sites, apply, also)
            return how

        return decorate

    def drops(
        self, *kinds: str, where: Where | None = None, also: Iterable[str] = ()
    ) -> Callable[[Callable[[Any, Context], Any]], Callable[[Any, Context], Any]]:
        """A resource is left out, with those that the function gives, if any: they cannot be without it."""

        def decorate(how: Callable[[Any, Context], Any]) -> Callable[[Any, Context], Any]:
            def apply(resources: Resources, site: Site, rng: random.Random) -> list[Resource]:
                original = by_urn(resources, site.urn)
                more: list[Resource] = how(original.inputs, Context(original, resources, rng)) or []
                return without(resources, {site.urn, *(resource.urn for resource in more)})

            self._keep(how, self._whole(kinds, where), apply, also)
            return how

        return decorate

    def adds(
        self, *kinds: str, where: Where | None = None, also: Iterable[str] = ()
    ) -> Callable[[Callable[[Any, Context], list[Resource]]], Callable[[Any, Context], list[Resource]]]:
        """Resources that the function gives are added, beside one that is there."""

        def decorate(
            how: Callable[[Any, Context], list[Resource]],
        ) -> Callable[[Any, Context], list[Resource]]:
            def apply(resources: Resources, site: Site, rng: random.Random) -> list[Resource]:
                original = by_urn(resources, site.urn)
                more = how(copy.deepcopy(original.inputs), Context(original, resources, rng))
                all_resources = [*resources, *more]
                return sorted(
                    (*resources, *(tied(resource, all_resources) for resource in more)),
                    key=lambda resource: resource.urn,
                )

            self._keep(how, self._whole(kinds, where), apply, also)
            return how

        return decorate

    def redoes(
        self, *kinds: str, where: Where | None = None
    ) -> Callable[[Callable[[Any, Context], list[Resource]]], Callable[[Any, Context], list[Resource]]]:
        """The function gives all resources anew, for what touches several that refer to one another."""

        def decorate(
            how: Callable[[Any, Context], list[Resource]],
        ) -> Callable[[Any, Context], list[Resource]]:
            def apply(resources: Resources, site: Site, rng: random.Random) -> list[Resource]:
                original = by_urn(resources, site.urn)
                return how(copy.deepcopy(original.inputs), Context(original, resources, rng))

            self._keep(how, self._whole(kinds, where), apply, ())
            return how

        return decorate

    @staticmethod
    def _whole(kinds: tuple[str, ...], where: Where | None) -> Sites:
        """Resources of these types, each as a whole."""

        def sites(resources: Resources) -> Iterator[Site]:
            for resource in resources_of_kinds(resources, kinds):
                if where is None or where(resource.inputs, Context(resource, resources, random.Random(0))):
                    yield Site(resource.urn)

        return sites

    def _keep(
        self, how: Callable[[Any, Context], Any], sites: Sites, apply: Apply, also: Iterable[str]
    ) -> None:
        meant = frozenset({self.name, *also}) if self.name != HARMLESS else frozenset()
        says = " ".join((how.__doc__ or "").split())
        self.operators.append(Operator(how.__name__.replace("_", "-"), self.name, says, meant, sites, apply))


HARMLESS = "harmless"

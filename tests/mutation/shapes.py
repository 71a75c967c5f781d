"""What an operator is: where in a rendered graph it applies, and the graph as it is after it.

An operator is written as a function under one of a `Family`'s decorators, which say what it is handed: the inputs of a
resource, a pod, a container, the statements of a policy, the edge's configuration. It changes what it is handed, and
its docstring says in a sentence what a person did. The graph that it is applied to stays as it was.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from isthmus.engine.render.recorder import Resource
from tests.mutation import parts
from tests.mutation.parts import At, Lens

Resources = Sequence[Resource]


class Site(NamedTuple):
    """A place that an operator can be applied to: a resource, and a part of its inputs."""

    urn: str
    at: At = ()

    def __str__(self) -> str:
        return "/".join([self.urn.rpartition("::")[2], *map(str, self.at)])


@dataclass(frozen=True)
class Seen:
    """What an operator may look at beside the part that it changes."""

    resource: Resource
    resources: Resources
    rng: random.Random

    def of(self, *kinds: str) -> list[Resource]:
        """Made resources whose type ends in one of `kinds`."""
        return [each for each in self.resources if each.made and each.type.endswith(kinds)]

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
            each
            for each in self.of(*parts.WORKLOADS)
            if metadata(each).get("namespace") == self.space
            and any(
                wanted <= parts.follow(each.inputs, at)["metadata"]["labels"].items()
                for at in parts.PODS.find(each.inputs)
            )
        ]

    def labelled(self, label: str) -> str:
        return str((metadata(self.resource).get("labels") or {}).get(label, ""))


Where = Callable[[Any, Seen], Any]
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
    found = resource.inputs.get("metadata")
    return found if isinstance(found, dict) else {}


class Family:
    """The operators of one family of controls, in the order of their file."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.operators: list[Operator] = []

    def changes(
        self, *kinds: str, lens: Lens = parts.INPUTS, where: Where | None = None, also: Iterable[str] = ()
    ) -> Callable[[Callable[[Any, Seen], object]], Callable[[Any, Seen], object]]:
        """The function changes a part of one resource in place; `also`: other families whose policies may find it."""

        def sites(resources: Resources) -> Iterator[Site]:
            for each in of(resources, kinds):
                for at in lens.find(each.inputs):
                    part = lens.open(each.inputs, at)
                    if where is None or where(part, Seen(each, resources, random.Random(0))):
                        yield Site(each.urn, at)

        def made(how: Callable[[Any, Seen], object]) -> Callable[[Any, Seen], object]:
            def apply(resources: Resources, site: Site, rng: random.Random) -> list[Resource]:
                chosen = by_urn(resources, site.urn)
                inputs = copy.deepcopy(chosen.inputs)
                part = lens.open(inputs, site.at)
                how(part, Seen(chosen, resources, rng))
                lens.close(inputs, site.at, part)
                changed = tied(replace(chosen, inputs=inputs), resources)
                return [changed if each.urn == site.urn else each for each in resources]

            self._keep(how, sites, apply, also)
            return how

        return made

    def drops(
        self, *kinds: str, where: Where | None = None, also: Iterable[str] = ()
    ) -> Callable[[Callable[[Any, Seen], Any]], Callable[[Any, Seen], Any]]:
        """A resource is left out, with those that the function gives, if any: they cannot be without it."""

        def made(how: Callable[[Any, Seen], Any]) -> Callable[[Any, Seen], Any]:
            def apply(resources: Resources, site: Site, rng: random.Random) -> list[Resource]:
                chosen = by_urn(resources, site.urn)
                more: list[Resource] = how(chosen.inputs, Seen(chosen, resources, rng)) or []
                return without(resources, {site.urn, *(each.urn for each in more)})

            self._keep(how, self._whole(kinds, where), apply, also)
            return how

        return made

    def adds(
        self, *kinds: str, where: Where | None = None, also: Iterable[str] = ()
    ) -> Callable[[Callable[[Any, Seen], list[Resource]]], Callable[[Any, Seen], list[Resource]]]:
        """Resources that the function gives are added, beside one that is there."""

        def made(how: Callable[[Any, Seen], list[Resource]]) -> Callable[[Any, Seen], list[Resource]]:
            def apply(resources: Resources, site: Site, rng: random.Random) -> list[Resource]:
                chosen = by_urn(resources, site.urn)
                more = how(copy.deepcopy(chosen.inputs), Seen(chosen, resources, rng))
                every = [*resources, *more]
                return sorted((*resources, *(tied(each, every) for each in more)), key=lambda each: each.urn)

            self._keep(how, self._whole(kinds, where), apply, also)
            return how

        return made

    def redoes(
        self, *kinds: str, where: Where | None = None
    ) -> Callable[[Callable[[Any, Seen], list[Resource]]], Callable[[Any, Seen], list[Resource]]]:
        """The function gives all resources anew, for what touches several that refer to one another."""

        def made(how: Callable[[Any, Seen], list[Resource]]) -> Callable[[Any, Seen], list[Resource]]:
            def apply(resources: Resources, site: Site, rng: random.Random) -> list[Resource]:
                chosen = by_urn(resources, site.urn)
                return how(copy.deepcopy(chosen.inputs), Seen(chosen, resources, rng))

            self._keep(how, self._whole(kinds, where), apply, ())
            return how

        return made

    @staticmethod
    def _whole(kinds: tuple[str, ...], where: Where | None) -> Sites:
        """Resources of these types, each as a whole."""

        def sites(resources: Resources) -> Iterator[Site]:
            for each in of(resources, kinds):
                if where is None or where(each.inputs, Seen(each, resources, random.Random(0))):
                    yield Site(each.urn)

        return sites

    def _keep(self, how: Callable[[Any, Seen], Any], sites: Sites, apply: Apply, also: Iterable[str]) -> None:
        meant = frozenset({self.name, *also}) if self.name != HARMLESS else frozenset()
        says = " ".join((how.__doc__ or "").split())
        self.operators.append(Operator(how.__name__.replace("_", "-"), self.name, says, meant, sites, apply))


HARMLESS = "harmless"


def of(resources: Resources, kinds: tuple[str, ...]) -> Iterator[Resource]:
    """Made resources whose type ends in one of `kinds`, by URN."""
    found = (each for each in resources if each.made and each.type.endswith(kinds))
    return iter(sorted(found, key=lambda each: each.urn))


def by_urn(resources: Resources, urn: str) -> Resource:
    return next(each for each in resources if each.urn == urn)


def without(resources: Resources, gone: set[str]) -> list[Resource]:
    """The resources but these, which nothing depends on any more."""
    kept = []
    for each in resources:
        if each.urn in gone:
            continue
        if gone & {
            *each.dependencies,
            *(urn for urns in each.property_dependencies.values() for urn in urns),
        }:
            needs = {
                key: left
                for key, urns in each.property_dependencies.items()
                if (left := [urn for urn in urns if urn not in gone])
            }
            left = [urn for urn in each.dependencies if urn not in gone]
            each = replace(each, dependencies=left, property_dependencies=needs)
        kept.append(each)
    return kept


def tied(resource: Resource, resources: Resources) -> Resource:
    """The resource, depending also on what its inputs refer to, as the engine would have it."""
    names = {key: parts.references(value) for key, value in resource.inputs.items()}
    wanted = set().union(*names.values()) if names else set()
    urns = {each.name: each.urn for each in resources if each.made and each.name in wanted}
    needs = {key: set(each) for key, each in resource.property_dependencies.items()}
    for key, said in names.items():
        found = {urns[name] for name in said if name in urns} - {resource.urn}
        if found:
            needs.setdefault(key, set()).update(found)
    every = {*resource.dependencies, *(urn for each in needs.values() for urn in each)}
    return replace(
        resource,
        dependencies=sorted(every),
        property_dependencies={key: sorted(needs[key]) for key in sorted(needs)},
    )


def beside(near: Resource, kind: str, name: str, inputs: dict[str, Any]) -> Resource:
    """A resource as somebody's own few lines in the program would add it, by the provider that makes `near`."""
    stack, project = near.urn.removeprefix("urn:pulumi:").split("::")[:2]
    if kind.startswith("kubernetes:"):
        version, made = kind.split(":")[1:]
        inputs = {"apiVersion": version.removeprefix("core/"), "kind": made, **inputs}
    elif "tags" in inputs:
        own = {"isthmus-stack": f"{project}/{stack}", "isthmus-resource": name}
        inputs = {**inputs, "tags": {**inputs["tags"], **own}}
    return replace(
        near,
        urn=f"urn:pulumi:{stack}::{project}::{kind}::{name}",
        type=kind,
        name=name,
        parent=None,
        inputs=inputs,
        dependencies=[],
        property_dependencies={},
        options={},
    )


def copied(near: Resource, name: str, inputs: dict[str, Any]) -> Resource:
    """Another resource of the same type, under another name."""
    rest = {key: value for key, value in inputs.items() if key not in ("apiVersion", "kind")}
    return beside(near, near.type, name, rest)

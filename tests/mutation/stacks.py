"""The stacks for operators: the bank's and every example with a feasible plan, rendered once."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from isthmus.contracts.platform.model.platform import Platform
from isthmus.engine.project import project
from isthmus.engine.render.recorder import Resource
from tests.graders.examples import Rendering
from tests.mutation.shapes import Operator, Site

SEED = 7
"""Of the table in the docs."""


@dataclass(frozen=True)
class Stack:
    """A rendering as policies are given it."""

    name: str
    blueprint: str
    resources: list[Resource]
    platform: Platform


def read(rendering: Rendering) -> Stack:
    """A rendering out of its folder."""
    graph = json.loads((rendering.folder / "graph.json").read_text())["resources"]
    # Its project lies beside it; `platform.yaml` holds every default, not all of which may be stated.
    platform = project.find_project(rendering.folder.parent / ".project").stack(rendering.name).platform()
    return Stack(rendering.name, platform.blueprint, [resource(document) for document in graph], platform)


def resource(data: dict[str, Any]) -> Resource:
    """A resource as `graph.json` has it."""
    renames = {"propertyDependencies": "property_dependencies"}
    return Resource(**{renames.get(key, key): value for key, value in data.items()})


@dataclass(frozen=True)
class Faulted:
    """A stack after an operator."""

    operator: Operator
    stack: Stack
    site: Site
    resources: list[Resource]


def fault(operator: Operator, stack: Stack, seed: int = SEED) -> Faulted | None:
    """A stack with an operator applied where the seed says; None: it applies nowhere."""
    sites = operator.sites(stack.resources)
    if not sites:
        return None
    return at(operator, stack, random.Random(f"{seed}/{operator.id}/{stack.name}").choice(sites), seed)


def at(operator: Operator, stack: Stack, site: Site, seed: int = SEED) -> Faulted:
    rng = random.Random(f"{seed}/{operator.id}/{stack.name}/{site}")
    return Faulted(operator, stack, site, operator.apply(stack.resources, site, rng))


def all_faults(operator: Operator, stack: Stack, seed: int = SEED) -> Iterable[Faulted]:
    """The stack with the operator applied at each of its sites, one at a time."""
    return (at(operator, stack, site, seed) for site in operator.sites(stack.resources))

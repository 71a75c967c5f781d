"""Fixtures: the bank's rendered graph, and functions that change it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from isthmus.contracts.platform.model.platform import Platform
from isthmus.engine.render import rendering
from isthmus.engine.render.recorder import Resource
from isthmus.graph.resources.resources import Graph
from tests.blueprints.bank import platform as bank
from tests.blueprints.bank import rendered as bank_rendered
from tests.broken_graphs import resources as broken_resources
from tests.broken_graphs.changes import Change


@pytest.fixture(scope="session")
def rendered() -> rendering.Rendered:
    return bank_rendered()


@pytest.fixture(scope="session")
def platform() -> Platform:
    return bank()


@pytest.fixture
def altered(rendered: rendering.Rendered) -> Callable[[str, str, Change], Graph]:
    """Returns the graph with changed inputs of the resources of a type whose name has an ending."""

    return functools.partial(broken_resources.altered, rendered.resources)


@pytest.fixture
def added(rendered: rendering.Rendered) -> Callable[..., Graph]:
    """Returns the graph with one more resource of a type."""

    def add(kind: str, inputs: dict[str, Any], name: str = "bank-added") -> Graph:
        def all_() -> Iterator[Resource]:
            yield from rendered.resources
            first = next(resource for resource in rendered.resources if resource.made)
            yield replace(first, urn=f"urn:{name}", type=kind, name=name, inputs=inputs)

        return Graph(all_())

    return add

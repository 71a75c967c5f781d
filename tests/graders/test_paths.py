"""Every example, and so every blueprint: no data path that is not allowed, and nothing that a rule of ours finds."""

from __future__ import annotations

import pytest

from isthmus.graph.data_path.paths import data_paths
from isthmus.graph.resources.resources import Graph
from isthmus.graph.resources.state import from_state
from tests.graders import examples
from tests.graph.clouds import deployed
from tests.policies import holding


@pytest.mark.parametrize("name", examples.names())
def test_every_path_of_an_example_is_allowed_and_no_boundary_is_open(rendered, name: str) -> None:
    platform, resources = rendered[name].stack.platform(), rendered[name].resources
    paths = data_paths(Graph(resources), platform, examples.AS_OF)
    assert [path for path in paths if path.verdict != "allowed"] == []
    served = {workload.name for gateway in platform.gateways for workload in gateway.workloads}
    assert {path.workload for path in paths} - {""} == served
    assert holding.all_of(Graph(resources), platform) == []
    stands = Graph(from_state(deployed(resources)))
    assert data_paths(stands, platform, examples.AS_OF) == paths

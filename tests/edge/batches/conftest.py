"""A gateway with batches for each test file, and a caller of its workload."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.edge.batches.batching import Batched, Echoing, batched
from tests.edge.postgres import Postgres


@pytest.fixture(scope="module")
def running(
    request: pytest.FixtureRequest, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Batched]:
    name = request.module.__name__.rpartition("test_")[2]
    with batched(tmp_path_factory.mktemp(name), postgres, name, Echoing()) as site:
        site.start()
        for edge in (*site.sidecars, *site.gateways):
            edge.wait_until_up()
        yield site


@pytest.fixture
def site(running: Batched) -> Batched:
    for model in running.models:
        model.reset()
    return running


@pytest.fixture
def key(site: Batched) -> str:
    """A caller of the workload, who has no files yet."""
    return site.issue("narratives")

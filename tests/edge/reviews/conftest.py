"""Fixtures: one gateway that holds answers and one review desk, shared by all of these tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.edge.postgres import Postgres
from tests.edge.reviews.reviewed import Reviewed, reviewed


@pytest.fixture(scope="session")
def running(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reviewed]:
    desk = {"reviewers": [{"name": "erika@bank", "client": "erika.people.bank"}]}
    with reviewed(tmp_path_factory.mktemp("reviewed"), postgres, "reviewed", desk=desk) as site:
        yield site


@pytest.fixture(scope="session")
def people(running: Reviewed) -> dict[str, str]:
    names = {
        "anna@bank": [],
        "bert@bank": [],
        "senior@bank": ["--senior"],
        "narrow@bank": ["--workload", "x"],
    }
    return {name.partition("@")[0]: running.reviewer(name, *more) for name, more in names.items()}


@pytest.fixture
def site(running: Reviewed, people: dict[str, str]) -> Reviewed:
    running.made.models[0].reset()
    return running

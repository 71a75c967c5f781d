"""Fixtures: one desk, shared by all of these tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.edge.desk.desks import Desk, desk_at_work
from tests.edge.postgres import Postgres


@pytest.fixture(scope="session")
def running_desk(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk_at_work(postgres, tmp_path_factory.mktemp("desk"), "desk") as desk:
        yield desk


@pytest.fixture
def desk(running_desk: Desk) -> Desk:
    """The desk without the items of other tests."""
    for table in ("held", "review_facts", "planted", "review_person_acts"):
        running_desk.site.sql(f"DELETE FROM isthmus.{table}")  # noqa: S608
    return running_desk

"""A PostgreSQL for the faults that need a database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.edge.postgres import Postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    try:
        yield server
    finally:
        server.stop()

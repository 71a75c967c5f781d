"""Fixtures: two gateways and a review service on one PostgreSQL, with batches, and people who may stop workloads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.edge.batches.batching import KEY
from tests.edge.postgres import Postgres
from tests.edge.reviews.reviewed import RULE, reviewed
from tests.edge.stops.stopping import Stopping

WORKLOADS: list[dict[str, Any]] = [
    {"name": "claims", "impact": "low", "review": RULE},
    {"name": "fraud", "impact": "low", "review": RULE},
]


@pytest.fixture(scope="session")
def running(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stopping]:
    folder = tmp_path_factory.mktemp("stopped")
    (folder / "transit").write_text(KEY)
    gateway = {
        "file_store": {"key": str(folder / "transit")},
        "batches": {"lease_s": 2},
        "limits": {"connect_timeout_s": 2, "request_timeout_s": 60, "probe_s": 0.2},
    }
    with reviewed(
        folder, postgres, "stopped", WORKLOADS, gateway=gateway, interfaces=["batches", "idempotency"]
    ) as site:
        site.start_gateway().wait_until_up().wait_until_well()
        people = {
            name: site.reviewer(f"{name}@bank", *more)
            for name, more in {"anna": ["--senior"], "bert": ["--senior"], "kim": []}.items()
        }
        people["narrow"] = site.reviewer("narrow@bank", "--senior", "--workload", "fraud")
        yield Stopping(site, people)


@pytest.fixture
def stopping(running: Stopping) -> Iterator[Stopping]:
    running.reset()
    yield running
    running.reset()

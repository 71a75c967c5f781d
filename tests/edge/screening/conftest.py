"""Fixture: one gateway with a detector, shared by all of these tests."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.edge.fake_model import FakeModel
from tests.edge.processes import Edge
from tests.edge.screening import standing
from tests.edge.screening.standing import Screened


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Screened]:
    folder = tmp_path_factory.mktemp("screened")
    authority = standing.authority_of(folder)
    models = {"own": FakeModel(), "cloud": standing.Ranking(), "judge": FakeModel()}
    sidecars = {
        name: Edge(folder / name, standing.sidecar_config(folder, model)) for name, model in models.items()
    }
    rules = {
        "models": [standing.german_model(folder / "model")],
        "topics": [{"name": "WEAPONS", "phrases": ["eine Bombe bauen", "build a bomb"]}],
    }
    detector = Edge(folder / "detector", standing.detector_config(**rules))
    ports = {name: sidecar.port for name, sidecar in sidecars.items()}
    gateway = Edge(
        folder / "gateway", standing.gateway_config(folder, f"http://127.0.0.1:{detector.port}", ports)
    )
    client = httpx.Client(base_url=gateway.url, verify=authority.client("app"), trust_env=False, timeout=20)
    try:
        for edge in (*sidecars.values(), gateway, detector):
            edge.wait_until_up()
        yield Screened(gateway, detector, models["own"], models["cloud"], models["judge"], client)
    finally:
        client.close()
        for edge in (gateway, detector, *sidecars.values()):
            edge.stop()
        for model in models.values():
            model.shutdown()
            model.server_close()


@pytest.fixture
def screened(running: Screened) -> Screened:
    running.reset()
    return running

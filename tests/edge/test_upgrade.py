"""Gateways and sidecars of an earlier version are replaced under load by the current one."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.edge.conftest import GATEWAY_NAME, Site, gateway_config
from tests.edge.processes import ROOT, Edge
from tests.edge.replacing import Load, hold_to_account

pytestmark = pytest.mark.service
EARLIER = "0a25d1e"
"""The commit of the processes that are replaced."""


@pytest.fixture(scope="module")
def earlier_version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package `edge` at that commit."""
    done = subprocess.run(["git", "archive", EARLIER, "edge"], cwd=ROOT, capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"this clone lacks commit {EARLIER}")
    folder = tmp_path_factory.mktemp("earlier")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture
def start(chain: Site, tmp_path: Path) -> Iterator[Callable[..., Edge]]:
    """Starts a gateway or a sidecar with the given code."""
    started: list[Edge] = []

    def start(mode: str, code: Path, sidecar: Edge | None = None) -> Edge:
        folder = chain.folder
        if mode == "gateway":
            config = gateway_config(folder, (sidecar or chain.sidecar).port)
            # A handshake can take long on a busy machine.
            config["limits"].update({"connect_timeout_s": 15, "request_timeout_s": 40})
        else:
            files = {"certificate": "sidecar.crt", "key": "sidecar.key", "client_ca": "ca.crt"}
            config = {
                "mode": "sidecar",
                "class": "restricted",
                "listen": {key: str(folder / name) for key, name in files.items()},
                "allowed_clients": [GATEWAY_NAME],
                "upstream": chain.model.url,
            }
        started.append(Edge(tmp_path / f"{mode}-{len(started)}", config, code=code))
        return started[-1].wait_until_up()

    yield start
    for process in started:
        process.stop()


@pytest.mark.parametrize("sidecar_code", ["earlier", pytest.param("today", marks=pytest.mark.soak)])
def test_a_gateway_of_an_earlier_version_is_replaced_under_load(
    chain: Site, earlier_version: Path, start: Callable[..., Edge], sidecar_code: str
) -> None:
    chain.model.reset("slow")
    sidecar = start("sidecar", earlier_version if sidecar_code == "earlier" else ROOT)
    old = start("gateway", earlier_version, sidecar)
    load = Load(replace(chain, sidecar=sidecar), old)
    try:
        new = start("gateway", ROOT, sidecar)
        load.wait_for(20)
        load.copy = new
        old.process.terminate()
        assert old.process.wait(15) == 0
        load.wait_for(20)
    finally:
        load.stop()
    assert not [answer for answer in load.answers if answer.broken]
    assert {answer.code for answer in load.answers} == {"ok"}
    assert old.lines("request")
    assert new.lines("request")
    hold_to_account(load, [old, new])

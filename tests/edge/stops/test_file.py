"""Stops in a file, for gateways without a database."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from edge.config import ConfigError
from edge.config.loading import check
from tests.edge.conftest import KEYS, WORKLOAD, Site, bearer, chat, code_of, gateway_config
from tests.edge.processes import Edge
from tests.edge.test_config import FILE

STOP = """
stops:
  - workload: claims
    reason: wrong-answers
    message: Call 4711.
    by: ann@bank.example
    at: 2026-12-01T02:10:00Z
"""


class FileGateway:
    """A gateway with a file of stops."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.file = folder / "stops.yaml"
        config = gateway_config(site.folder, site.sidecar.port) | {"stops": str(self.file)}
        self.edge = Edge(folder / "gateway", config)
        self.client = httpx.Client(
            base_url=self.edge.url, verify=site.authority.client("app"), trust_env=False, timeout=20
        )

    def ask(self, workload: str) -> httpx.Response:
        body = chat() | {"model": workload}
        return self.client.post("/v1/chat/completions", json=body, headers=bearer(KEYS[workload]))

    def write(self, text: str) -> None:
        """Replace the file in one step, as Kubernetes does."""
        fresh = self.file.with_suffix(".new")
        fresh.write_text(text)
        fresh.rename(self.file)

    def expect(self, workload: str, status: int) -> httpx.Response:
        end = time.monotonic() + 5
        while (answer := self.ask(workload)).status_code != status:
            assert time.monotonic() < end, answer.text
            time.sleep(0.05)
        return answer


@pytest.fixture
def gateway(chain: Site, tmp_path: Path) -> Iterator[FileGateway]:
    made = FileGateway(chain, tmp_path)
    made.edge.wait_until_up().wait_until_well()
    try:
        yield made
    finally:
        made.client.close()
        made.edge.process.kill()
        made.edge.process.wait(10)


def test_a_stop_in_the_file_is_refused_within_five_seconds_and_others_are_served(gateway: FileGateway):
    assert gateway.ask("claims").status_code == 200, "without a file nothing is stopped"
    gateway.write(STOP)
    refused = gateway.expect("claims", 503)
    assert (code_of(refused), refused.json()["error"]["message"]) == ("workload_stopped", "Call 4711.")
    assert gateway.ask(WORKLOAD).status_code == 200


def test_one_person_in_the_file_does_not_restart_it_and_two_do(gateway: FileGateway):
    gateway.write(STOP)
    gateway.expect("claims", 503)
    gateway.write(STOP + "    restart: [ann@bank.example, ann@bank.example]\n")
    time.sleep(2)
    assert gateway.ask("claims").status_code == 503, "the same person twice is one person"
    gateway.write(STOP + "    restart: [ann@bank.example, bob@bank.example]\n")
    gateway.expect("claims", 200)


@pytest.mark.parametrize(
    "text", ["stops: [{workload: claims}]\n", "stops: [\n", STOP + STOP.removeprefix("\nstops:\n")]
)
def test_a_malformed_file_lets_nobody_in_and_health_says_so(gateway: FileGateway, text: str):
    gateway.write(text)
    refused = gateway.expect("claims", 503)
    assert code_of(refused) == "stops_unreadable"
    assert code_of(gateway.ask(WORKLOAD)) == "stops_unreadable", "nobody knows which workload was meant"
    assert gateway.edge.health().text.strip() == "stops unreadable"
    gateway.write("")
    gateway.expect("claims", 200)


def test_a_stop_that_is_known_stays_while_the_file_is_malformed(gateway: FileGateway):
    gateway.write(STOP)
    gateway.expect("claims", 503)
    gateway.write("stops: [\n")
    end = time.monotonic() + 6
    while time.monotonic() < end:
        assert code_of(gateway.ask("claims")) == "workload_stopped"
        time.sleep(0.1)


def test_a_gateway_with_a_database_has_no_file_of_stops(site: Site):
    config: dict[str, Any] = gateway_config(site.folder, site.sidecar.port)
    config["stops"] = "/etc/isthmus/callers/stops.yaml"
    config["listen"] = {**config["listen"], "host": "127.0.0.1", "port": 1}
    config["health"] = {"host": "127.0.0.1", "port": 2}
    check(config, FILE)
    config["database"] = {"host": "/run/postgresql", "user": "gateway"}
    del config["callers"]
    with pytest.raises(ConfigError, match="stops is for gateways without database"):
        check(config, FILE)

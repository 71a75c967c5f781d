"""An endpoint with several replicas behind a Service: a dead replica fails no request and does not hide the others."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.edge.conftest import KEYS, MODEL_NAME, WORKLOAD, Site, bearer, chat, code_of, gateway_config
from tests.edge.fake_model import MODEL
from tests.edge.processes import Edge

CHAT = "/v1/chat/completions"
DEAD, RESETS = "dead", "resets"


@dataclass
class Service:
    """Assigns each connection to the next replica: a port, `dead`, or `resets` (breaks after the request)."""

    replicas: list[int | str]
    broken: int = 0
    """Requests that a replica accepted and then broke."""
    _open: list[socket.socket] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._turn = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def drop(self) -> None:
        """Close open connections, so that the next request opens a new one."""
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._open.clear()
        time.sleep(0.1)  # otherwise a request may meet a connection that is closing

    def close(self) -> None:
        self.drop()
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                accepted, _ = self._listening.accept()
                self._turn += 1
                replica = self.replicas[self._turn % len(self.replicas)]
                if replica == DEAD:
                    _reset(accepted)
                    continue
                self._open.append(accepted)
                threading.Thread(target=self._forward, args=(accepted, replica), daemon=True).start()

    def _forward(self, accepted: socket.socket, replica: int | str) -> None:
        alive = next(
            candidate for candidate in (replica, *self.replicas, *self.fallback) if isinstance(candidate, int)
        )
        came = 0
        with socket.create_connection(("127.0.0.1", alive)) as behind, contextlib.suppress(OSError), accepted:
            while True:
                ready, _, _ = select.select([accepted, behind], [], [])
                for source, to in ((accepted, behind), (behind, accepted)):
                    if source in ready:
                        data = source.recv(65536)
                        if not data:
                            return
                        came += len(data) if source is accepted else 0
                        if (
                            replica == RESETS and source is accepted and came > 3000
                        ):  # longer than the handshake takes
                            self.broken += 1
                            _reset(accepted)
                            return
                        to.sendall(data)

    fallback: tuple[int, ...] = ()


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@dataclass
class Running:
    service: Service
    gateway: Edge
    client: httpx.Client
    chain: Site

    def ask(self) -> httpx.Response:
        self.service.drop()
        body = chat(messages=[{"role": "user", "content": "x" * 3000}])
        return self.client.post(CHAT, json=body, headers=bearer(KEYS[WORKLOAD]))


@pytest.fixture
def running(chain: Site, tmp_path: Path) -> Iterator[Running]:
    service = Service([chain.sidecar.port])
    service.fallback = (chain.sidecar.port,)
    config = gateway_config(chain.folder, chain.sidecar.port)
    place = {"url": f"https://127.0.0.1:{service.port}", "server_name": MODEL_NAME, "model": MODEL}
    config["routes"] = [{**place, "workload": WORKLOAD, "gpus": 1}]
    config["limits"]["probe_s"] = 0.5
    gateway = Edge(tmp_path / "own", config).wait_until_up()
    client = httpx.Client(
        base_url=gateway.url, verify=chain.authority.client("app"), trust_env=False, timeout=20
    )
    try:
        yield Running(service, gateway, client, chain)
    finally:
        client.close()
        gateway.stop()
        service.close()


def test_a_dead_replica_fails_no_request_and_does_not_mark_its_endpoint_unhealthy(running: Running):
    running.service.replicas = [running.chain.sidecar.port, DEAD, running.chain.sidecar.port]
    for _ in range(20):
        answer = running.ask()
        assert answer.status_code == 200, answer.text
        assert running.gateway.metric("isthmus_endpoint_good") == 1
    assert len(running.chain.model.received) == 20
    assert running.gateway.metric("isthmus_unsent_total") >= 3, "the dead replica was never met"
    assert running.gateway.metric("isthmus_tokens_total", kind="completion") == 20 * 5
    assert running.gateway.metric("isthmus_endpoint_running") == 0


def test_a_replica_that_fails_before_its_first_byte_fails_no_request(running: Running):
    running.service.replicas = [running.chain.sidecar.port, RESETS, running.chain.sidecar.port]
    for _ in range(9):
        answer = running.ask()
        assert answer.status_code == 200, answer.text
    assert running.service.broken >= 1
    assert running.gateway.metric("isthmus_tokens_total", kind="completion") == 9 * 5


def test_a_request_that_breaks_replicas_is_sent_to_at_most_two(running: Running):
    running.service.replicas = [RESETS]
    answer = running.ask()
    assert (answer.status_code, code_of(answer)) == (502, "bad_gateway")
    assert running.service.broken == 2


def test_a_model_server_that_dies_during_a_request_is_recognised_through_its_sidecar(running: Running):
    running.chain.model.reset("die-once")
    assert running.ask().status_code == 200
    assert len(running.chain.model.received) == 2
    running.chain.model.reset("die")
    answer = running.ask()
    assert (answer.status_code, code_of(answer)) == (502, "bad_gateway")
    assert len(running.chain.model.received) == 2


def test_an_endpoint_without_live_replicas_is_503_within_the_connection_timeout(running: Running):
    running.service.replicas = [DEAD]
    began = time.monotonic()
    answer = running.ask()
    assert (answer.status_code, code_of(answer)) == (503, "model_unavailable")
    assert time.monotonic() - began < 5
    assert running.gateway.wait_for_line("request", status=503)["attempts"] == 3
    end = time.monotonic() + 20
    while running.gateway.metric("isthmus_endpoint_good"):
        assert time.monotonic() < end, "nobody says that the endpoint is ill"
        time.sleep(0.2)


def test_a_stream_that_has_begun_is_never_retried(running: Running):
    running.chain.model.reset("cut")
    answer = running.client.post(CHAT, json=chat(stream=True), headers=bearer(KEYS[WORKLOAD]))
    assert '"code":"stream_cut"' in answer.text
    assert len(running.chain.model.received) == 1

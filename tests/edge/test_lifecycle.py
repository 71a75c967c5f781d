"""From start to end: health, counters, log, renewed certificates, and draining."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from cryptography import x509

from tests.edge.certificates import Authority
from tests.edge.conftest import (
    GATEWAY_NAME,
    KEYS,
    WORKLOAD,
    Site,
    bearer,
    callers_text,
    chat,
    gateway_config,
)
from tests.edge.fake_model import WORDS
from tests.edge.processes import Edge

CHAT = "/v1/chat/completions"


@pytest.fixture
def own_gateway(chain: Site, tmp_path: Path) -> Iterator[Callable[..., tuple[Edge, Authority]]]:
    """Starts a separate gateway in front of the shared sidecar, with its own copies of the files."""
    started: list[Edge] = []

    def start(**limits: float) -> tuple[Edge, Authority]:
        listener = Authority(tmp_path / "listener")
        listener.issue("gateway", GATEWAY_NAME)
        listener.issue("app", "app.payments.svc")
        config = gateway_config(chain.folder, chain.sidecar.port)
        for key, name in (("certificate", "gateway.crt"), ("key", "gateway.key"), ("client_ca", "ca.crt")):
            config["listen"][key] = str(listener.folder / name)
        config["callers"] = str(tmp_path / "callers.yaml")
        (tmp_path / "callers.yaml").write_text(callers_text())
        config["limits"].update(limits)
        started.append(Edge(tmp_path / "own", config))
        return started[-1].wait_until_up(), listener

    yield start
    for edge in started:
        edge.stop()


def serial_shown(edge: Edge, context: ssl.SSLContext) -> int:
    with (
        socket.create_connection(("127.0.0.1", edge.port)) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        shown = connection.getpeercert(binary_form=True)
    assert shown
    return x509.load_der_x509_certificate(shown).serial_number


def serial_in(path: Path) -> int:
    return x509.load_pem_x509_certificate(path.read_bytes()).serial_number


def test_a_renewed_certificate_is_used_without_a_restart_or_dropped_connections(chain: Site, own_gateway):
    edge, authority = own_gateway()
    context = authority.client("app")
    with httpx.Client(verify=context, trust_env=False) as client:
        assert client.get(edge.url + "/v1/models", headers=bearer(KEYS[WORKLOAD])).status_code == 200
        old = serial_shown(edge, context)
        certificate, _ = authority.issue("gateway", GATEWAY_NAME)
        edge.wait_for_line("certificate", result="renewed")
        assert serial_shown(edge, context) == serial_in(certificate) != old
        assert client.get(edge.url + "/v1/models", headers=bearer(KEYS[WORKLOAD])).status_code == 200


def test_a_broken_renewed_certificate_keeps_the_working_one(chain: Site, own_gateway):
    edge, authority = own_gateway()
    old = serial_shown(edge, authority.client("app"))
    (authority.folder / "gateway.key").write_text("half a k")
    problem = edge.wait_for_line("certificate")
    assert "listen.certificate" in problem["result"]
    assert serial_shown(edge, authority.client("app")) == old


def test_clients_of_a_replaced_ca_are_refused(chain: Site, own_gateway):
    edge, old = own_gateway()
    new = Authority(old.folder / "new", "next-ca")
    new.issue("app", "app.payments.svc")
    old_ca = old.path.read_bytes()
    old.path.write_bytes(new.path.read_bytes())
    edge.wait_for_line("certificate", result="renewed")
    (old.folder / "server-ca.crt").write_bytes(old_ca)

    def status(leaf: Path) -> int:
        context = ssl.create_default_context(cafile=str(old.folder / "server-ca.crt"))
        context.load_cert_chain(leaf / "app.crt", leaf / "app.key")
        with httpx.Client(verify=context, trust_env=False) as client:
            return client.get(edge.url + "/v1/models", headers=bearer(KEYS[WORKLOAD])).status_code

    assert status(new.folder) == 200
    with pytest.raises(httpx.TransportError):
        status(old.folder)


def test_the_gateways_own_client_certificate_is_renewed_too(chain: Site, own_gateway):
    edge, authority = own_gateway()
    with httpx.Client(verify=authority.client("app"), trust_env=False) as client:

        def ask() -> int:
            return client.post(edge.url + CHAT, json=chat(), headers=bearer(KEYS[WORKLOAD])).status_code

        try:
            chain.authority.issue("gateway", "someone-else.svc")
            edge.wait_for_line("certificate", result="renewed")
            assert ask() == 502, "the sidecar must not know the new name"
        finally:
            chain.authority.issue("gateway", GATEWAY_NAME)
        end = time.monotonic() + 5
        while ask() != 200:
            assert time.monotonic() < end, "the certificate was not renewed"
            time.sleep(0.2)


def start_stream(edge: Edge, authority: Authority, events: list[str]) -> threading.Thread:
    def read() -> None:
        headers = bearer(KEYS[WORKLOAD])
        with (
            httpx.Client(verify=authority.client("app"), trust_env=False, timeout=20) as client,
            client.stream("POST", edge.url + CHAT, json=chat(stream=True), headers=headers) as response,
        ):
            events.extend(line for line in response.iter_lines() if line.startswith("data: "))

    thread = threading.Thread(target=read)
    thread.start()
    return thread


def refuses(edge: Edge, authority: Authority, seconds: float = 5) -> bool:
    """Whether the edge stops accepting connections. The socket closes shortly after the line that reports it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            httpx.get(edge.url + "/v1/models", verify=authority.client("app"), trust_env=False)
        except httpx.TransportError:
            return True
        time.sleep(0.05)
    return False


def test_after_sigterm_a_running_stream_finishes_and_new_requests_are_refused(chain: Site, own_gateway):
    edge, authority = own_gateway()
    chain.model.reset("slow")
    events: list[str] = []
    reading = start_stream(edge, authority, events)
    assert chain.model.words_sent.wait(5)
    edge.process.terminate()
    edge.wait_for_line("draining")
    assert edge.health().status_code == 503
    assert refuses(edge, authority), "a gateway that drains still took requests after 5 s"
    reading.join(15)
    assert events[-1] == "data: [DONE]"
    assert len(events) >= len(WORDS)
    assert edge.process.wait(10) == 0


def test_an_open_connection_does_not_keep_the_process_running(chain: Site, own_gateway):
    edge, authority = own_gateway()  # a request may take 10 s, and so may draining
    with httpx.Client(verify=authority.client("app"), trust_env=False) as client:
        assert client.get(edge.url + "/v1/models", headers=bearer(KEYS[WORKLOAD])).status_code == 200
        began = time.monotonic()
        edge.process.terminate()
        assert edge.process.wait(20) == 0
        assert time.monotonic() - began < 8


def test_a_stream_beyond_the_drain_time_ends_with_a_visible_error(chain: Site, own_gateway):
    edge, authority = own_gateway(drain_timeout_s=0.5)
    chain.model.reset("endless")
    events: list[str] = []
    reading = start_stream(edge, authority, events)
    assert chain.model.words_sent.wait(5)
    edge.process.terminate()
    assert edge.process.wait(10) == 0
    reading.join(5)
    assert json.loads(events[-1].removeprefix("data: "))["error"]["code"] == "shutting_down"
    assert chain.model.cancelled.wait(5)


def test_a_request_beyond_its_time_limit_is_504_and_a_stream_ends_with_an_error(chain: Site, own_gateway):
    edge, authority = own_gateway(request_timeout_s=1)
    with httpx.Client(base_url=edge.url, verify=authority.client("app"), trust_env=False) as client:
        chain.model.reset("stall")
        response = client.post(CHAT, json=chat(), headers=bearer(KEYS[WORKLOAD]))
        assert (response.status_code, response.json()["error"]["code"]) == (504, "timeout")
        assert chain.model.cancelled.wait(5)
        chain.model.reset("endless")
        text = client.post(CHAT, json=chat(stream=True), headers=bearer(KEYS[WORKLOAD])).text
        assert '"code":"timeout"' in text
        assert "[DONE]" not in text


def test_a_request_writes_one_log_line_and_is_counted(chain: Site):
    response = chain.ask(key=KEYS["claims"], model="claims", stream=True)
    line = chain.gateway.wait_for_line("request", request_id=response.headers["x-request-id"])
    expected = {
        "mode": "gateway",
        "class": "restricted",
        "workload": "claims",
        "path": CHAT,
        "status": 200,
        "code": "ok",
        "stream": True,
        "prompt_tokens": 7,
        "completion_tokens": 5,
        "bytes_out": len(response.content),
    }
    assert {key: line[key] for key in expected} == expected
    labels = {"class": "restricted", "workload": "claims", "model": "claims"}
    assert chain.gateway.metric("isthmus_requests_total", **labels, status="200") >= 1
    assert chain.gateway.metric("isthmus_tokens_total", **labels, kind="completion") >= 5
    assert chain.gateway.health().text == "ok\n"
    assert chain.gateway.health("/v1/models").status_code == 404


def test_a_port_in_use_is_reported_in_one_paragraph(chain: Site, tmp_path: Path):
    config = gateway_config(chain.folder, chain.sidecar.port)
    config["listen"]["port"] = chain.gateway.port
    edge = Edge(tmp_path / "second", config)
    assert edge.process.wait(10) == 3
    assert "listen.port" in edge.output()
    assert "Traceback" not in edge.output()

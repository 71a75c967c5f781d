"""Revoked callers are no longer served, whatever is already running: keys, certificates, connections, streams."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from ruamel.yaml import YAML

from tests.edge.certificates import Authority
from tests.edge.conftest import GATEWAY_NAME, KEYS, WORKLOAD, Site, bearer, callers_text, chat, gateway_config
from tests.edge.processes import Edge

CHAT = "/v1/chat/completions"


@dataclass
class OwnGateway:
    """A separate gateway with the revocation list of its own CA."""

    edge: Edge
    authority: Authority
    folder: Path

    def client(self, leaf: str = "app") -> httpx.Client:
        return httpx.Client(
            base_url=self.edge.url, verify=self.authority.client(leaf), trust_env=False, timeout=20
        )


@pytest.fixture
def stack(chain: Site, tmp_path: Path) -> Iterator[OwnGateway]:
    authority = Authority(tmp_path / "listener")
    for name, server_name in (
        ("gateway", GATEWAY_NAME),
        ("app", "app.payments.svc"),
        ("other", "b.payments.svc"),
    ):
        authority.issue(name, server_name)
    config = gateway_config(chain.folder, chain.sidecar.port)
    files = (("certificate", "gateway.crt"), ("key", "gateway.key"), ("client_ca", "ca.crt"))
    config["listen"].update({key: str(authority.folder / name) for key, name in files})
    config["listen"]["crl"] = str(authority.revoke())
    config["callers"] = str(tmp_path / "callers.yaml")
    config["limits"]["request_timeout_s"] = 60
    config["limits"]["drain_timeout_s"] = 5
    (tmp_path / "callers.yaml").write_text(callers_text())
    edge = Edge(tmp_path / "own", config).wait_until_up()
    yield OwnGateway(edge, authority, tmp_path)
    edge.stop()


def stream_until_its_end(stack: OwnGateway, events: list[str]) -> threading.Thread:
    """Reads a stream to its end in a thread."""

    def read() -> None:
        with (
            stack.client() as client,
            client.stream("POST", CHAT, json=chat(stream=True), headers=bearer(KEYS[WORKLOAD])) as answer,
        ):
            events.extend(line for line in answer.iter_lines() if line)

    thread = threading.Thread(target=read)
    thread.start()
    return thread


def test_a_stream_ends_when_its_key_is_revoked(chain: Site, stack: OwnGateway):
    chain.model.reset("endless")
    events: list[str] = []
    reading = stream_until_its_end(stack, events)
    assert chain.model.words_sent.wait(10)
    (stack.folder / "callers.yaml").write_text(callers_text({"claims": KEYS["claims"]}))
    began = time.monotonic()
    reading.join(30)
    assert not reading.is_alive()
    assert time.monotonic() - began < 15
    assert json.loads(events[-1].removeprefix("data: "))["error"]["code"] == "invalid_api_key"
    assert chain.model.cancelled.wait(5)
    assert stack.edge.wait_for_line("request", stream=True)["code"] == "invalid_api_key"


def test_a_revoked_certificate_is_refused_on_new_and_open_connections(stack: OwnGateway):
    with stack.client() as client, stack.client("other") as other_client:
        for connected in (client, other_client):
            assert connected.get("/v1/models", headers=bearer(KEYS[WORKLOAD])).status_code == 200
        stack.authority.revoke("app")
        stack.edge.wait_for_line("certificate", result="renewed")
        with pytest.raises(httpx.TransportError):
            client.get("/v1/models", headers=bearer(KEYS[WORKLOAD]))
        assert other_client.get("/v1/models", headers=bearer(KEYS[WORKLOAD])).status_code == 200
    with stack.client() as again, pytest.raises(httpx.TransportError):
        again.get("/v1/models", headers=bearer(KEYS[WORKLOAD]))


def test_an_unreadable_revocation_list_keeps_the_previous_one(stack: OwnGateway):
    stack.authority.revoke("app")
    stack.edge.wait_for_line("certificate", result="renewed")
    (stack.authority.folder / "ca.crl").write_text("half a l")
    end = time.monotonic() + 20
    while not any("listen.crl" in line["result"] for line in stack.edge.lines("certificate")):
        assert time.monotonic() < end
        time.sleep(0.1)
    with stack.client() as client, pytest.raises(httpx.TransportError):
        client.get("/v1/models", headers=bearer(KEYS[WORKLOAD]))


def test_an_expired_revocation_list_admits_nobody(stack: OwnGateway):
    stack.authority.revoke(days=-1)
    stack.edge.wait_for_line("certificate", result="renewed")
    with stack.client() as client, pytest.raises(httpx.TransportError):
        client.get("/v1/models", headers=bearer(KEYS[WORKLOAD]))


def rewrite(stack: OwnGateway, **changes: Any) -> None:
    path = stack.folder / "own" / "config.yaml"
    config = YAML(typ="safe").load(path.read_text())
    with path.open("w") as stream:
        YAML().dump({**config, **changes}, stream)


def test_sighup_with_an_invalid_file_keeps_the_configuration(stack: OwnGateway):
    rewrite(stack, colour="red")
    stack.edge.process.send_signal(signal.SIGHUP)
    assert "colour" in stack.edge.wait_for_line("configuration")["result"]
    with stack.client() as client:
        assert client.get("/v1/models", headers=bearer(KEYS[WORKLOAD])).status_code == 200


def test_sighup_lets_streams_end_and_restarts_with_the_new_file(chain: Site, stack: OwnGateway):
    chain.model.reset("slow")
    events: list[str] = []
    reading = stream_until_its_end(stack, events)
    assert chain.model.words_sent.wait(10)
    rewrite(stack, limits={"max_body_bytes": 1024, "request_timeout_s": 60, "drain_timeout_s": 5})
    pid = stack.edge.process.pid
    stack.edge.process.send_signal(signal.SIGHUP)
    reading.join(20)
    assert events[-1] == "data: [DONE]", "the stream was cut"
    end = time.monotonic() + 60
    while len(stack.edge.lines("started")) < 2:
        assert stack.edge.process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.1)
    stack.edge.wait_until_up()
    assert stack.edge.process.pid == pid
    with stack.client() as client:
        body = chat(messages=[{"role": "user", "content": "x" * 2000}])
        assert client.post(CHAT, json=body, headers=bearer(KEYS[WORKLOAD])).status_code == 413

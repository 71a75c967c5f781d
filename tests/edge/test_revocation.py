"""Who may call no more is not served from then on, whatever runs already: keys, certificates, connections, streams."""

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
class Own:
    """A gateway of the test's own, with a revocation list of its own authority."""

    edge: Edge
    authority: Authority
    folder: Path

    def client(self, leaf: str = "app") -> httpx.Client:
        return httpx.Client(
            base_url=self.edge.url, verify=self.authority.client(leaf), trust_env=False, timeout=20
        )


@pytest.fixture
def own(chain: Site, tmp_path: Path) -> Iterator[Own]:
    authority = Authority(tmp_path / "listener")
    for name, known in (("gateway", GATEWAY_NAME), ("app", "app.payments.svc"), ("other", "b.payments.svc")):
        authority.issue(name, known)
    config = gateway_config(chain.folder, chain.sidecar.port)
    files = (("certificate", "gateway.crt"), ("key", "gateway.key"), ("client_ca", "ca.crt"))
    config["listen"].update({key: str(authority.folder / name) for key, name in files})
    config["listen"]["crl"] = str(authority.revoke())
    config["callers"] = str(tmp_path / "callers.yaml")
    config["limits"]["request_timeout_s"] = 60
    config["limits"]["drain_timeout_s"] = 5
    (tmp_path / "callers.yaml").write_text(callers_text())
    edge = Edge(tmp_path / "own", config).wait_until_up()
    yield Own(edge, authority, tmp_path)
    edge.stop()


def stream_until_its_end(own: Own, seen: list[str]) -> threading.Thread:
    """Reads a stream in a thread of its own."""

    def read() -> None:
        with (
            own.client() as client,
            client.stream("POST", CHAT, json=chat(stream=True), headers=bearer(KEYS[WORKLOAD])) as answer,
        ):
            seen.extend(line for line in answer.iter_lines() if line)

    thread = threading.Thread(target=read)
    thread.start()
    return thread


def test_a_stream_ends_when_its_key_is_taken_back(chain: Site, own: Own):
    chain.model.reset("endless")
    seen: list[str] = []
    reading = stream_until_its_end(own, seen)
    assert chain.model.words_sent.wait(10)
    (own.folder / "callers.yaml").write_text(callers_text({"claims": KEYS["claims"]}))
    began = time.monotonic()
    reading.join(30)
    assert not reading.is_alive()
    assert time.monotonic() - began < 15
    assert json.loads(seen[-1].removeprefix("data: "))["error"]["code"] == "invalid_api_key"
    assert chain.model.cancelled.wait(5)
    assert own.edge.wait_for_line("request", stream=True)["code"] == "invalid_api_key"


def test_a_revoked_certificate_is_refused_on_new_connections_and_on_those_that_are_open(own: Own):
    with own.client() as client, own.client("other") as other:
        for each in (client, other):
            assert each.get("/v1/models", headers=bearer(KEYS[WORKLOAD])).status_code == 200
        own.authority.revoke("app")
        own.edge.wait_for_line("certificate", result="renewed")
        with pytest.raises(httpx.TransportError):
            client.get("/v1/models", headers=bearer(KEYS[WORKLOAD]))
        assert other.get("/v1/models", headers=bearer(KEYS[WORKLOAD])).status_code == 200
    with own.client() as again, pytest.raises(httpx.TransportError):
        again.get("/v1/models", headers=bearer(KEYS[WORKLOAD]))


def test_a_revocation_list_that_cannot_be_read_keeps_the_one_that_works(own: Own):
    own.authority.revoke("app")
    own.edge.wait_for_line("certificate", result="renewed")
    (own.authority.folder / "ca.crl").write_text("half a l")
    end = time.monotonic() + 20
    while not any("listen.crl" in line["result"] for line in own.edge.lines("certificate")):
        assert time.monotonic() < end
        time.sleep(0.1)
    with own.client() as client, pytest.raises(httpx.TransportError):
        client.get("/v1/models", headers=bearer(KEYS[WORKLOAD]))


def test_a_revocation_list_that_is_too_old_lets_nobody_in(own: Own):
    own.authority.revoke(days=-1)
    own.edge.wait_for_line("certificate", result="renewed")
    with own.client() as client, pytest.raises(httpx.TransportError):
        client.get("/v1/models", headers=bearer(KEYS[WORKLOAD]))


def rewrite(own: Own, **changes: Any) -> None:
    path = own.folder / "own" / "config.yaml"
    config = YAML(typ="safe").load(path.read_text())
    with path.open("w") as stream:
        YAML().dump({**config, **changes}, stream)


def test_a_hang_up_with_a_file_that_is_wrong_changes_nothing(own: Own):
    rewrite(own, colour="red")
    own.edge.process.send_signal(signal.SIGHUP)
    assert "colour" in own.edge.wait_for_line("configuration")["result"]
    with own.client() as client:
        assert client.get("/v1/models", headers=bearer(KEYS[WORKLOAD])).status_code == 200


def test_a_hang_up_lets_streams_end_and_begins_anew_with_the_new_file(chain: Site, own: Own):
    chain.model.reset("slow")
    seen: list[str] = []
    reading = stream_until_its_end(own, seen)
    assert chain.model.words_sent.wait(10)
    rewrite(own, limits={"max_body_bytes": 1024, "request_timeout_s": 60, "drain_timeout_s": 5})
    pid = own.edge.process.pid
    own.edge.process.send_signal(signal.SIGHUP)
    reading.join(20)
    assert seen[-1] == "data: [DONE]", "the stream was cut"
    end = time.monotonic() + 60
    while len(own.edge.lines("started")) < 2:
        assert own.edge.process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.1)
    own.edge.wait_until_up()
    assert own.edge.process.pid == pid
    with own.client() as client:
        body = chat(messages=[{"role": "user", "content": "x" * 2000}])
        assert client.post(CHAT, json=body, headers=bearer(KEYS[WORKLOAD])).status_code == 413

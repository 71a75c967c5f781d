"""The translator behind a forward proxy, with certificate authorities of the organisation."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from edge.config import ConfigError, load
from tests.edge.certificates import Authority
from tests.edge.fake_bedrock import FakeBedrock
from tests.edge.processes import Edge
from tests.edge.test_translator import CHAT, ENVIRONMENT, GATEWAY, NAME, PROFILE, chat, start

HOST = "bedrock-runtime.eu-central-1.test"
"""No resolver knows this name, so it can be reached through the proxy only."""


class Proxy:
    """A proxy that opens a tunnel to the endpoint for each CONNECT, whatever the requested name."""

    def __init__(self, port: int) -> None:
        self.port, self.asked = port, []
        self.server = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.getsockname()[1]}"

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self._tunnel, args=[client], daemon=True).start()

    def _tunnel(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head and (piece := client.recv(4096)):
            head += piece
        self.asked.append(head.split(b"\r\n")[0].decode())
        upstream = socket.create_connection(("127.0.0.1", self.port))
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        for source, target in ((client, upstream), (upstream, client)):
            threading.Thread(target=_pump, args=[source, target], daemon=True).start()


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while piece := source.recv(65536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Authority, FakeBedrock, Proxy, Edge]]:
    folder = tmp_path_factory.mktemp("outbound")
    authority = Authority(folder)
    for name, dns in (
        ("translator", "internal-translator.isthmus-internal.svc"),
        ("gateway", GATEWAY),
        ("aws", HOST),
    ):
        authority.issue(name, dns)
    bedrock = FakeBedrock()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "aws.crt", folder / "aws.key")
    bedrock.socket = context.wrap_socket(bedrock.socket, server_side=True)
    proxy = Proxy(bedrock.server_address[1])
    outbound = {"proxy": proxy.url, "no_proxy": ["127.0.0.1"], "ca": str(authority.path)}
    edge = start(folder / "edge", authority, f"https://{HOST}", ENVIRONMENT, outbound, "public")
    try:
        yield authority, bedrock, proxy, edge.wait_until_up(180)
    finally:
        edge.stop()
        bedrock.shutdown()
        bedrock.server_close()
        proxy.server.close()


def test_requests_use_the_configured_proxy_and_certificate_authorities(bank):
    authority, bedrock, proxy, edge = bank
    context = authority.client("gateway")
    with httpx.Client(base_url=edge.url, verify=context, trust_env=False, timeout=60) as client:
        answer = client.post(CHAT, json=chat())
    assert answer.status_code == 200, answer.text + edge.output()
    assert set(proxy.asked) == {f"CONNECT {HOST}:443 HTTP/1.1"}, "the environment names another proxy"
    assert len(bedrock.requests) == 1


def config(tmp_path: Path, outbound: dict[str, Any], data_class: str = "internal") -> Path:
    model = {"name": NAME, "region": "eu-central-1", "inference_profile": PROFILE}
    listen = {"host": "127.0.0.1", "port": 1, "certificate": "a", "key": "b", "client_ca": "c"}
    data = {
        **{"mode": "translator", "class": data_class, "listen": listen, "allowed_clients": [GATEWAY]},
        **{"health": {"host": "127.0.0.1", "port": 2}, "models": [model], "outbound": outbound},
    }
    from ruamel.yaml import YAML

    with (tmp_path / "config.yaml").open("w") as stream:
        YAML().dump(data, stream)
    return tmp_path / "config.yaml"


@pytest.mark.parametrize(
    "proxy", ["http://user:word@10.0.0.1:3128", "https://10.0.0.1:3128", "http://proxy:3128"]
)
def test_a_proxy_with_a_host_name_or_credentials_is_refused(tmp_path: Path, proxy: str):
    with pytest.raises(ConfigError, match=r"outbound\.proxy"):
        load(config(tmp_path, {"proxy": proxy}))


def test_a_proxy_is_refused_above_public_and_authorities_for_confidential_requests(tmp_path: Path):
    with pytest.raises(ConfigError, match="for class public only"):
        load(config(tmp_path, {"proxy": "http://10.0.0.1:3128"}))
    for outbound in ({"proxy": "http://10.0.0.1:3128"}, {"ca": "/etc/isthmus/authorities/ca.crt"}):
        with pytest.raises(ConfigError, match="private endpoints only"):
            load(config(tmp_path, outbound, "confidential"))


def test_a_ca_file_without_certificates_stops_the_translator_at_start(tmp_path: Path):
    import sys

    (tmp_path / "ca.crt").write_text("nothing of the kind")
    code = (
        "from pathlib import Path; from edge.config import load; from edge.translator import prepare_environment;"
        f"prepare_environment(load(Path({str(config(tmp_path, {'ca': str(tmp_path / 'ca.crt')}))!r})).outbound)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "no certificates of authorities in it (outbound.ca)" in done.stderr

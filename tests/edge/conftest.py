"""Fixtures: the restricted class of a site on loopback, application → gateway → sidecar → fake model server."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.edge.certificates import Authority
from tests.edge.fake_model import MODEL, FakeModel
from tests.edge.postgres import Postgres
from tests.edge.processes import Edge, free_port
from tests.edge.weighing import FILES, Store
from tests.s3_service import s3_service

WORKLOAD = "transaction-narratives"
GATEWAY_NAME = "restricted-gateway.isthmus-restricted.svc"
MODEL_NAME = "restricted-llama-70b.isthmus-restricted.svc"
KEYS = {name: f"key-of-{name}" for name in (WORKLOAD, "claims", "down", "misnamed", "unrouted")}


@dataclass
class Site:
    """The running chain of processes, and its certificates and keys."""

    folder: Path
    authority: Authority
    model: FakeModel
    sidecar: Edge
    gateway: Edge
    callers: Path
    client: httpx.Client

    def ask(self, key: str | None = KEYS[WORKLOAD], **fields: Any) -> httpx.Response:
        """Send a chat completion through the gateway, with an application's certificate."""
        return self.client.post("/v1/chat/completions", json=chat(**fields), headers=bearer(key))


def chat(**fields: Any) -> dict[str, Any]:
    return {"model": WORKLOAD, "messages": [{"role": "user", "content": "IBAN DE02 1203"}], **fields}


def bearer(key: str | None) -> dict[str, str]:
    return {} if key is None else {"authorization": f"Bearer {key}"}


def callers_text(keys: Mapping[str, str] = KEYS) -> str:
    """The content of a callers file with these keys and their workloads."""
    lines = [
        f"  - {{key_sha256: {hashlib.sha256(key.encode()).hexdigest()}, workload: {workload}}}\n"
        for workload, key in keys.items()
    ]
    return "callers:\n" + "".join(lines)


def code_of(response: httpx.Response) -> str:
    """The error code of a response in OpenAI's error format."""
    error = response.json()["error"]
    assert set(error) == {"message", "type", "code"}
    return error["code"]


def gateway_config(folder: Path, sidecar_port: int, certificate: str = "gateway") -> dict[str, Any]:
    """Configuration of a restricted gateway. Workload `down` has a closed port, `misnamed` a server with another
    name.
    """
    url = f"https://127.0.0.1:{sidecar_port}"
    routes = [
        {"workload": WORKLOAD, "url": url, "server_name": MODEL_NAME, "model": MODEL},
        {"workload": "claims", "url": url, "server_name": MODEL_NAME, "model": MODEL},
        {
            "workload": "down",
            "url": f"https://127.0.0.1:{free_port()}",
            "server_name": MODEL_NAME,
            "model": MODEL,
        },
        {"workload": "misnamed", "url": url, "server_name": "other.isthmus-restricted.svc", "model": MODEL},
    ]
    return {
        "mode": "gateway",
        "class": "restricted",
        "site": "fra1",
        "listen": {
            "certificate": str(folder / f"{certificate}.crt"),
            "key": str(folder / f"{certificate}.key"),
            "client_ca": str(folder / "ca.crt"),
        },
        "callers": str(folder / "callers.yaml"),
        "upstream_tls": {
            "certificate": str(folder / f"{certificate}.crt"),
            "key": str(folder / f"{certificate}.key"),
            "ca": str(folder / "ca.crt"),
        },
        "limits": {"max_body_bytes": 65536, "connect_timeout_s": 2, "request_timeout_s": 10},
        "routes": routes,
    }


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("edge")
    authority = Authority(folder)
    authority.issue("gateway", GATEWAY_NAME)
    authority.issue("sidecar", MODEL_NAME)
    authority.issue("app", "app.payments.svc")
    callers = folder / "callers.yaml"
    callers.write_text(callers_text())
    model = FakeModel()
    sidecar = Edge(
        folder / "sidecar",
        {
            "mode": "sidecar",
            "class": "restricted",
            "listen": {
                "certificate": str(folder / "sidecar.crt"),
                "key": str(folder / "sidecar.key"),
                "client_ca": str(authority.path),
            },
            "allowed_clients": [GATEWAY_NAME],
            "upstream": model.url,
            "limits": {"max_body_bytes": 65536, "connect_timeout_s": 2, "request_timeout_s": 30},
        },
    )
    gateway = Edge(folder / "gateway", gateway_config(folder, sidecar.port))
    client = httpx.Client(base_url=gateway.url, verify=authority.client("app"), trust_env=False, timeout=20)
    try:
        sidecar.wait_until_up()
        gateway.wait_until_up()
        yield Site(folder, authority, model, sidecar, gateway, callers, client)
    finally:
        client.close()
        gateway.stop()
        sidecar.stop()
        model.shutdown()
        model.server_close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def chain(site: Site) -> Site:
    """The running site, with its model server reset."""
    site.model.reset()
    return site


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def store(model: Path, tmp_path: Path) -> Iterator[Store]:
    with s3_service() as url:
        yield Store(url, model, tmp_path)

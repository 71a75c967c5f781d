"""Replacing a CA while gateway and sidecar run: no request fails, and at the end the old CA is refused."""

from __future__ import annotations

import shutil
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from edge.config import ConfigError, check
from tests.edge.certificates import Authority
from tests.edge.conftest import (
    GATEWAY_NAME,
    KEYS,
    MODEL_NAME,
    WORKLOAD,
    bearer,
    callers_text,
    chat,
    gateway_config,
)
from tests.edge.fake_model import FakeModel
from tests.edge.processes import Edge


@dataclass
class Rollover:
    """A gateway and a sidecar with their own Secrets, and a bundle of further CAs that both trust."""

    old: Authority
    new: Authority
    bundle: Path
    secrets: Path
    gateway: Edge
    sidecar: Edge

    def trust(self, *authorities: Authority) -> None:
        """Write the bundle, as trust-manager does."""
        text = b"".join(authority.path.read_bytes() for authority in authorities)
        replaced = self.bundle.with_suffix(".next")
        replaced.write_bytes(text)
        replaced.rename(self.bundle)

    def renew(self, name: str, authority: Authority) -> None:
        """Replace a Secret's files, as cert-manager does when the issuer uses another CA."""
        copy_secret(authority, name, self.secrets / name)

    def ask(self, authority: Authority) -> int:
        """Status of a chat request with a client certificate of this CA. 0: TLS fails."""
        context = ssl.create_default_context(cadata=self.old.path.read_text() + self.new.path.read_text())
        context.load_cert_chain(authority.folder / "app.crt", authority.folder / "app.key")
        with httpx.Client(verify=context, trust_env=False, timeout=10) as client:
            try:
                return client.post(
                    f"{self.gateway.url}/v1/chat/completions", json=chat(), headers=bearer(KEYS[WORKLOAD])
                ).status_code
            except httpx.TransportError:
                return 0


def copy_secret(authority: Authority, name: str, secret: Path) -> None:
    secret.mkdir(exist_ok=True)
    for source, target in ((f"{name}.key", "tls.key"), (f"{name}.crt", "tls.crt"), ("ca.crt", "ca.crt")):
        shutil.copy(authority.folder / source, secret / f"{target}.next")
        (secret / f"{target}.next").rename(secret / target)


def settle(edge: Edge, seen_count: int) -> int:
    """Wait until the process has loaded changes, after `seen_count` earlier ones. Returns the new count."""
    deadline = time.monotonic() + 30
    while (count := renewals(edge)) <= seen_count:
        assert time.monotonic() < deadline, "the change was not taken up"
        time.sleep(0.1)
    # The listener and each upstream report separately, and a Secret's files change one after the other.
    while True:
        time.sleep(2.5)
        if renewals(edge) == count:
            return count
        count = renewals(edge)


def renewals(edge: Edge) -> int:
    return len([line for line in edge.lines("certificate") if line["result"] == "renewed"])


def listen(secret: Path, bundle: Path) -> dict[str, Any]:
    return {
        "certificate": str(secret / "tls.crt"),
        "key": str(secret / "tls.key"),
        "client_ca": str(secret / "ca.crt"),
        "client_ca_bundles": [str(bundle)],
    }


@pytest.fixture
def rollover(tmp_path: Path) -> Iterator[Rollover]:
    old, new = Authority(tmp_path / "old", "old-ca"), Authority(tmp_path / "new", "new-ca")
    secrets, bundle = tmp_path / "secrets", tmp_path / "bundle.crt"
    secrets.mkdir()
    for authority in (old, new):
        authority.issue("gateway", GATEWAY_NAME)
        authority.issue("sidecar", MODEL_NAME)
        authority.issue("app", "app.payments.svc")
    for name in ("gateway", "sidecar"):
        copy_secret(old, name, secrets / name)
    bundle.write_bytes(old.path.read_bytes())
    (tmp_path / "callers.yaml").write_text(callers_text())
    model = FakeModel()
    limits = {"max_body_bytes": 65536, "connect_timeout_s": 2, "request_timeout_s": 30}
    sidecar = Edge(
        tmp_path / "sidecar",
        {
            "mode": "sidecar",
            "class": "restricted",
            "listen": listen(secrets / "sidecar", bundle),
            "allowed_clients": [GATEWAY_NAME],
            "upstream": model.url,
            "limits": limits,
        },
    )
    config = gateway_config(tmp_path, sidecar.port)
    config["listen"] = listen(secrets / "gateway", bundle)
    upstream: dict[str, Any] = config["listen"] | {
        "ca": str(secrets / "gateway" / "ca.crt"),
        "ca_bundles": [str(bundle)],
    }
    config["upstream_tls"] = {
        key: value for key, value in upstream.items() if not key.startswith("client_ca")
    }
    gateway = Edge(tmp_path / "gateway", config)
    try:
        sidecar.wait_until_up()
        gateway.wait_until_up()
        yield Rollover(old, new, bundle, secrets, gateway, sidecar)
    finally:
        gateway.stop()
        sidecar.stop()
        model.shutdown()
        model.server_close()


def test_a_ca_is_replaced_without_a_restart_and_without_failed_requests(rollover: Rollover) -> None:
    old, new = rollover.old, rollover.new
    assert rollover.ask(old) == 200
    assert rollover.ask(new) == 0, "the new CA is not known yet"

    rollover.trust(old, new)
    gateway, sidecar = settle(rollover.gateway, 0), settle(rollover.sidecar, 0)
    assert (rollover.ask(old), rollover.ask(new)) == (200, 200), "both are let in during the overlap"

    rollover.renew("sidecar", new)
    sidecar = settle(rollover.sidecar, sidecar)
    assert rollover.ask(old) == 200, "a gateway of the old CA calls a model server of the new one"

    rollover.renew("gateway", new)
    gateway = settle(rollover.gateway, gateway)
    assert (rollover.ask(old), rollover.ask(new)) == (200, 200)

    rollover.trust(new)
    settle(rollover.gateway, gateway)
    settle(rollover.sidecar, sidecar)
    assert rollover.ask(new) == 200
    assert rollover.ask(old) == 0, "the old CA is out at the end"


def test_a_broken_ca_bundle_keeps_the_previous_one(rollover: Rollover) -> None:
    rollover.trust(rollover.old, rollover.new)
    settle(rollover.gateway, 0)
    rollover.bundle.write_text("not a certificate")
    deadline = time.monotonic() + 15
    while not any(
        "client_ca_bundles" in str(line.get("result")) for line in rollover.gateway.lines("certificate")
    ):
        assert time.monotonic() < deadline, "the broken bundle is not reported"
        time.sleep(0.1)
    assert (rollover.ask(rollover.old), rollover.ask(rollover.new)) == (200, 200)


def test_bundles_without_a_ca_are_refused(tmp_path: Path) -> None:
    config: dict[str, Any] = gateway_config(tmp_path, 8443) | {"class": "public"}
    shown: dict[str, Any] = config["listen"]
    config["listen"] = {**shown, "host": "127.0.0.1", "port": 1, "client_ca_bundles": ["x.crt"]}
    del config["listen"]["client_ca"]
    config["health"] = {"host": "127.0.0.1", "port": 2}
    with pytest.raises(ConfigError, match="client_ca_bundles needs client_ca"):
        check(config, tmp_path / "config.yaml")

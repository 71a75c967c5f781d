"""A gateway of class internal for third-party benchmarks: plain HTTP for the client, a capturing model server.

The gateway speaks mutual TLS alone, so a tunnel of the test's own stands before it. The benchmark's capture is the
model server beyond the site, behind a sidecar. Answers are looked through for secrets, as the class demands, and by a
guard for personal data; English is read by the model of the detector's image.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.local.models import entity_model
from tests.edge.certificates import Authority
from tests.edge.conftest import callers_text
from tests.edge.fake_model import MODEL
from tests.edge.processes import Edge, free_port
from tests.edge.screening.standing import GATEWAY, MODELS

# Without names that a model finds: their streams are held by the line, and the benchmark counts events.
WORKLOAD, KEY = "outside", "key-of-outside"
PERSONAL = [
    "EMAIL_ADDRESS", "PHONE_NUMBER", "CREDIT_CARD", "IBAN_CODE", "US_SSN", "US_ITIN", "IP_ADDRESS", "MAC_ADDRESS",
    "DATE_OF_BIRTH", "ADDRESS", "UK_NINO", "UK_NHS",
]  # fmt: skip


@dataclass
class BenchmarkedGateway:
    """The URL for the benchmark, and the port that its capture must use."""

    url: str
    """URL with `/v1`."""
    capture_port: int
    gateway: Edge


class Tunnel:
    """A tunnel from plain TCP on loopback to the gateway's TLS, with a client certificate."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self._to, self._context = port, context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._join, args=(client,), daemon=True).start()

    def _join(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            plain = socket.create_connection(("127.0.0.1", self._to))
            with self._context.wrap_socket(plain, server_hostname="127.0.0.1") as gateway:
                back = threading.Thread(target=_copy, args=(gateway, client), daemon=True)
                back.start()
                _copy(client, gateway)
                back.join(30)

    def close(self) -> None:
        self._listener.close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def start_gateway(folder: Path) -> Iterator[BenchmarkedGateway]:
    """Start everything except the capture, which the benchmark starts itself."""
    authority = Authority(folder)
    authority.issue("gateway", GATEWAY)
    authority.issue("models", MODELS)
    authority.issue("app", "app.internal.svc")
    (folder / "callers.yaml").write_text(callers_text({WORKLOAD: KEY}))
    capture = free_port()
    sidecar = Edge(
        folder / "sidecar",
        {
            "mode": "sidecar",
            "class": "internal",
            "listen": _tls(folder, "models"),
            "allowed_clients": [GATEWAY],
            "upstream": f"http://127.0.0.1:{capture}",
        },
    )
    rules = {"languages": ["en"], "models": [{"file": str(entity_model())}]}
    detector = Edge(
        folder / "detector", {"mode": "detector", "class": "internal", "rules": rules, "workers": 1}
    )
    gateway = Edge(folder / "gateway", _gateway(folder, detector.port, sidecar.port))
    tunnel = Tunnel(gateway.port, authority.client("app"))
    try:
        for process in (detector, gateway, sidecar):
            process.wait_until_up()
        yield BenchmarkedGateway(f"http://127.0.0.1:{tunnel.port}/v1", capture, gateway)
    finally:
        tunnel.close()
        for process in (gateway, detector, sidecar):
            process.stop()


def _gateway(folder: Path, detector: int, sidecar: int) -> dict[str, Any]:
    beyond = {"url": f"https://127.0.0.1:{sidecar}", "server_name": MODELS, "model": MODEL, "site": "aws"}
    return {
        "mode": "gateway",
        "class": "internal",
        "site": "fra1",
        "listen": _tls(folder, "gateway"),
        "callers": str(folder / "callers.yaml"),
        "upstream_tls": _tls(folder, "gateway", ca="ca"),
        "limits": {"connect_timeout_s": 2, "request_timeout_s": 60},
        "routes": [{"workload": WORKLOAD, **beyond}],
        "screening": {
            "detector": f"http://127.0.0.1:{detector}",
            "limit_s": 30,
            "languages": ["en"],
            "guards": [{"name": "personal", "on": "outputs", "entities": PERSONAL, "then": "redact"}],
        },
    }


def _tls(folder: Path, name: str, ca: str = "client_ca") -> dict[str, str]:
    return {"certificate": f"{folder}/{name}.crt", "key": f"{folder}/{name}.key", ca: f"{folder}/ca.crt"}

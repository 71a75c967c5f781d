"""Replicas of one model as real processes, on loopback addresses that one host name lists, and gateways before them.

Each gateway runs in a mount namespace of its own with a hosts file that the test writes, as a resolver would answer
for a headless Service.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.edge.audit.audited import UNSHARE, mounts
from tests.edge.certificates import Authority
from tests.edge.conftest import bearer
from tests.edge.fake_model import USAGE, FakeModel
from tests.edge.processes import Edge, free_port

WORKLOAD, KEY = "chats", "key-of-chats"
GATEWAY, SERVER = "internal-gateway.isthmus-internal.svc", "llama.isthmus-internal.svc"
HOST = "llama-replicas.isthmus-internal.svc"
"""The name that lists the replicas. Their certificate has `SERVER`."""
MODEL = "llama"
CHAT = "/v1/chat/completions"


class CachingModel(FakeModel):
    """A model server with a prefix cache. It computes one prompt at a time, and only what is not cached."""

    def __init__(self) -> None:
        self._cache: set[int] = set()
        self._prefill, self._counted = threading.Lock(), threading.local()
        self.prompt_tokens = self.cached_tokens = 0
        super().__init__()

    @property
    def usage(self) -> Any:
        return getattr(self._counted, "usage", USAGE)

    @usage.setter
    def usage(self, usage: Any) -> None:
        self._counted.usage = usage

    def prepare(self, request: dict[str, Any]) -> None:
        text = json.dumps(request["messages"])
        blocks = [hash(text[:end]) for end in range(BLOCK_CHARACTERS, len(text) + 1, BLOCK_CHARACTERS)]
        with self._prefill:
            cached = 16 * sum(1 for _ in takewhile(self._cache.__contains__, blocks))
            tokens = 16 * len(blocks) + 1
            self.prompt_tokens, self.cached_tokens = self.prompt_tokens + tokens, self.cached_tokens + cached
            time.sleep((tokens - cached) * PREFILL_S)
            self._cache.update(blocks)
        details = {"cached_tokens": cached, "audio_tokens": None}
        self.usage = {
            **{"prompt_tokens": tokens, "completion_tokens": 5, "total_tokens": tokens + 5},
            "prompt_tokens_details": details,
        }


BLOCK_CHARACTERS = 64
PREFILL_S = 0.0001
"""Seconds for each token of a prompt that is not cached: 10,000 tokens a second."""


def write_hosts(folder: Path, host: str, addresses: Sequence[str], most: int) -> None:
    """Let the host name list these addresses, at most `most`, for processes within `hosts_of` the folder."""
    lines = "".join(f"{address} {host}\n" for address in addresses)
    # In place, because the file is mounted, and of one length, so that no reader sees a part of it.
    text = f"127.0.0.1 localhost\n{lines}".ljust(100 * (most + 1)) + "\n"
    file = os.open(folder / "hosts", os.O_WRONLY | os.O_CREAT)
    os.pwrite(file, text.encode(), 0)
    os.close(file)


def hosts_of(folder: Path) -> list[str]:
    """Command that starts a process which finds hosts in the folder's file only."""
    (folder / "nsswitch.conf").write_text("hosts: files\n")
    binds = [f"mount --bind {folder}/{file} /etc/{file}" for file in ("hosts", "nsswitch.conf")]
    return [*UNSHARE, "sh", "-c", " && ".join([*binds, 'exec "$@"']), "sh"]


class Fleet:
    """Replicas with a fake model server each, and the gateways that a test starts."""

    def __init__(
        self, folder: Path, count: int, model: Callable[[], FakeModel] = FakeModel, **limits: Any
    ) -> None:
        if not mounts():
            pytest.skip("needs mount namespaces (unshare)")
        self.folder, self.authority = folder, Authority(folder)
        for name, server_name in (("gateway", GATEWAY), ("model", SERVER), ("app", "app.svc")):
            self.authority.issue(name, server_name)
        digest = hashlib.sha256(KEY.encode()).hexdigest()
        (folder / "callers.yaml").write_text(
            f"callers:\n  - {{key_sha256: {digest}, workload: {WORKLOAD}}}\n"
        )
        self.limits = {
            "probe_s": 0.1,
            "connect_timeout_s": 2,
            "request_timeout_s": 30,
            "drain_timeout_s": 10,
            **limits,
        }
        self.settings: dict[str, Any] = {}
        """More sections of the configuration of gateways that start from now on."""
        self.port = free_port()
        self.models = [model() for _ in range(count)]
        self._started = 0
        self.sidecars = [self.start_sidecar(number) for number in range(count)]
        self.gateways: list[Edge] = []
        self.clients: list[httpx.Client] = []
        self.list_replicas(range(count))
        for sidecar in self.sidecars:
            sidecar.wait_until_up()

    @staticmethod
    def address(number: int) -> str:
        """The loopback address of a replica."""
        return f"127.0.0.{number + 2}"

    def list_replicas(self, numbers: Sequence[int]) -> None:
        """Let the host name list these replicas. None: the name cannot be resolved."""
        write_hosts(self.folder, HOST, [self.address(number) for number in numbers], len(self.models))

    def start_sidecar(self, number: int, certificate: str = "model") -> Edge:
        """Start the sidecar of a replica."""
        files = {"certificate": f"{self.folder}/{certificate}.crt", "key": f"{self.folder}/{certificate}.key"}
        self._started += 1
        return Edge(
            self.folder / f"sidecar-{number}-{self._started}",
            {
                **{"mode": "sidecar", "class": "internal", "allowed_clients": [GATEWAY]},
                "listen": {
                    **files,
                    **{
                        "client_ca": str(self.authority.path),
                        "host": self.address(number),
                        "port": self.port,
                    },
                },
                "upstream": self.models[number].url,
                "limits": {"drain_timeout_s": 10},
            },
        )

    def start_gateway(self, **place: Any) -> Edge:
        """Start a gateway, whose place has these settings, and a client for it."""
        files = {
            key: str(self.folder / f"gateway.{end}") for key, end in (("certificate", "crt"), ("key", "key"))
        }
        url = f"https://{HOST}:{self.port}"
        route = {"workload": WORKLOAD, "url": url, "server_name": SERVER, "model": MODEL, "by_replica": True}
        config = {
            **{"mode": "gateway", "class": "internal", "site": "fra1"},
            "listen": {**files, "client_ca": str(self.authority.path)},
            "upstream_tls": {**files, "ca": str(self.authority.path)},
            **{"callers": str(self.folder / "callers.yaml"), "limits": self.limits},
            "routes": [{**route, "target": "onprem-vllm", **place}],
            **self.settings,
        }
        gateway = Edge(self.folder / f"gateway-{len(self.gateways)}", config, within=hosts_of(self.folder))
        self.gateways.append(gateway)
        self.clients.append(
            httpx.Client(
                base_url=gateway.url,
                **{"verify": self.authority.client("app"), "trust_env": False, "timeout": 60},  # type: ignore[arg-type]
            )
        )
        return gateway.wait_until_up()

    def ask(self, text: str = "hi", gateway: int = 0, **fields: Any) -> httpx.Response:
        """Send a chat through a gateway."""
        body = {"model": WORKLOAD, "messages": [{"role": "user", "content": text}], **fields}
        return self.clients[gateway].post(CHAT, json=body, headers=bearer(KEY))

    def counts(self) -> list[int]:
        """Number of requests that each replica received."""
        return [len(model.received) for model in self.models]

    def states(self, gateway: int = 0) -> dict[str, float]:
        """Replicas by state, as the gateway reports them."""
        edge = self.gateways[gateway]
        return {
            state: edge.metric("isthmus_endpoint_replicas", state=state)
            for state in ("good", "bad", "draining")
        }

    def wait_for_states(self, gateway: int = 0, **expected: float) -> None:
        """Wait until the gateway reports these replicas by state."""
        end = time.monotonic() + 30
        while not expected.items() <= (states := self.states(gateway)).items():
            assert time.monotonic() < end, states
            time.sleep(0.05)

    def reset(self) -> None:
        """Let the name list all replicas, reset their models, and wait until every gateway considers them good."""
        for model in self.models:
            model.reset()
        self.list_replicas(range(len(self.models)))
        for number in range(len(self.gateways)):
            self.wait_for_states(number, good=len(self.models), bad=0, draining=0)

    def stop(self) -> None:
        for client in self.clients:
            client.close()
        for edge in (*self.gateways, *self.sidecars):
            edge.stop()
        for model in self.models:
            model.shutdown()
            model.server_close()

"""The restricted class's edges at their places in the site, by their rendered configurations, and who is around."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from tests.edge.certificates import Authority
from tests.edge.fake_model import FakeModel
from tests.edge.processes import Edge
from tests.fences.recording import Recorder
from tests.fences.rendered_site import AWS, INTERNET, Site

APP, SPACE = "app-restricted/app", "isthmus-restricted"
GATEWAY, MODEL = f"{SPACE}/restricted-gateway", f"{SPACE}/restricted-qwen3-32b"
INTERNAL = ("isthmus-internal/internal-gateway", "isthmus-internal/internal-translator")
WORKLOAD = "transaction-narratives"
CLOUD = "bedrock-runtime.eu-central-1.amazonaws.com"
MODEL_PORT = 8000
ELSEWHERE = {AWS: 443, INTERNET: 443, **dict.fromkeys(INTERNAL, 8443)}
"""Where a restricted prompt must never come, and the port at which somebody waits for it."""
KEYS = {name: f"key-of-{name}" for name in (WORKLOAD, *ELSEWHERE)}


class Stage:
    """What stays while edges come and go: the model server with its sidecar, and a recorder in each wrong place."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.site, self.folder = site, folder
        self._stack = contextlib.ExitStack()
        self.authority = Authority(folder)
        for name in (GATEWAY, MODEL):
            self.authority.issue(_file(name), f"{_file(name)}.{SPACE}.svc")
        self.authority.issue("app", "app.app-restricted.svc")
        self.authority.issue("cloud", CLOUD)
        lines = [
            f"  - {{key_sha256: {hashlib.sha256(key.encode()).hexdigest()}, workload: '{workload}'}}\n"
            for workload, key in KEYS.items()
        ]
        (folder / "callers.yaml").write_text("callers:\n" + "".join(lines))
        try:
            with site.hosts[MODEL].entered():
                self.model = self._stack.enter_context(_ended(FakeModel(("127.0.0.1", MODEL_PORT))))
            self.wrong = {name: self._recorder(name, port) for name, port in ELSEWHERE.items()}
            config = self._at_home(site.edge_config(SPACE, _file(MODEL)), MODEL)
            self._stack.enter_context(self.running(MODEL, config))
        except BaseException:
            self.close()
            raise

    def _recorder(self, name: str, port: int) -> Recorder:
        with self.site.hosts[name].entered():
            recorder = Recorder(self.authority, "cloud", (self.site.addresses[name], port))
        return self._stack.enter_context(_ended(recorder))

    def _at_home(self, config: dict[str, Any], name: str) -> dict[str, Any]:
        """A rendered configuration with its files where they are here."""
        pair = {
            "certificate": str(self.folder / f"{_file(name)}.crt"),
            "key": str(self.folder / f"{_file(name)}.key"),
        }
        config["listen"] |= {**pair, "client_ca": str(self.authority.path)}
        if config["mode"] == "gateway":
            config["upstream_tls"] = {**pair, "ca": str(self.authority.path)}
            config["callers"] = str(self.folder / "callers.yaml")
            # No sealer stands here, so no writer would ever be registered; records are held to elsewhere, and so are
            # held answers, whose database stands nowhere here either.
            for part in ("audit", "reviews", "database", "salt_key", "workloads"):
                config.pop(part)
            for route in config["routes"]:
                # What the pod's hosts file and the service do: the name is the pod's address.
                route["url"] = f"https://{self.site.addresses[MODEL]}:8443"
        return config

    def gateway_config(self) -> dict[str, Any]:
        """As it is rendered."""
        return self._at_home(self.site.edge_config(SPACE, _file(GATEWAY)), GATEWAY)

    def broken_config(self) -> dict[str, Any]:
        """Beside the workload's own route one to each wrong place, by the name that the server there shows."""
        config = self.gateway_config()
        for name, port in ELSEWHERE.items():
            url = f"https://{self.site.addresses[name]}:{port}"
            config["routes"].append({"workload": name, "url": url, "server_name": CLOUD, "model": "claude"})
        return config

    @contextlib.contextmanager
    def running(self, name: str, config: dict[str, Any], program: str = "edge") -> Iterator[Edge]:
        """An edge in its pod's namespace, until the end of the block."""
        with self.site.hosts[name].entered():
            edge = Edge(self.folder / f"{_file(name)}-{program}", config, program=program, forked=False)
            try:
                edge.wait_until_up()
            except BaseException:
                edge.stop()
                raise
        try:
            yield edge
        finally:
            edge.stop()

    @contextlib.contextmanager
    def application(self) -> Iterator[httpx.Client]:
        """The class's application, which knows the gateway's address; the thread is at its place meanwhile."""
        with (
            self.site.hosts[APP].entered(),
            httpx.Client(
                base_url=f"https://{self.site.addresses[GATEWAY]}:8443",
                verify=self.authority.client("app"),
                trust_env=False,
                timeout=30,
            ) as client,
        ):
            yield client

    def ask(
        self, client: httpx.Client, prompt: str, workload: str = WORKLOAD, **fields: Any
    ) -> httpx.Response:
        """A chat completion with the workload's own key."""
        body = {"model": workload, "messages": [{"role": "user", "content": prompt}], **fields}
        return self.send(client, body, workload)

    def send(
        self, client: httpx.Client, body: Any, workload: str = WORKLOAD, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        return client.post(
            "/v1/chat/completions",
            json=body,
            headers={"authorization": f"Bearer {KEYS[workload]}", **(headers or {})},
            extensions={"sni_hostname": f"{_file(GATEWAY)}.{SPACE}.svc"},
        )

    def astray(self) -> dict[str, int]:
        """Connections that came to a wrong place, by the place."""
        return {name: listener.connections for name, listener in self.wrong.items() if listener.connections}

    def clear(self) -> None:
        for listener in (self.model, *self.wrong.values()):
            listener.reset()

    def close(self) -> None:
        self._stack.close()


def _file(name: str) -> str:
    return name.rpartition("/")[2]


@contextlib.contextmanager
def _ended(server: FakeModel) -> Iterator[Any]:
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()

"""A gateway with callers and counts in a real PostgreSQL: mutual TLS, sidecars and fake model servers."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from ruamel.yaml import YAML

from edge import keys
from tests.edge.certificates import Authority
from tests.edge.conftest import GATEWAY_NAME
from tests.edge.fake_model import FakeModel
from tests.edge.postgres import Door, Postgres
from tests.edge.processes import Edge

MODEL_NAMES = tuple(f"model-{letter}.isthmus-restricted.svc" for letter in "abc")
SALT_KEY = "5a" * 32


@dataclass
class GatewayDatabase:
    """A folder with all files, and a database of its own behind a TLS proxy (`Door`)."""

    folder: Path
    postgres: Postgres
    database: str
    authority: Authority
    door: Door

    def keys(self, *arguments: str) -> str:
        """Run `python -m edge.keys`, which must succeed. Returns its output."""
        file = self.folder / "admin.yaml"
        YAML().dump(self.postgres.administrator(self.database), file)
        out, errors = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(errors):
            code = keys.main(["--database", str(file), *arguments])
        assert code == 0, errors.getvalue()
        return out.getvalue().strip()

    def issue(self, workload: str, data_class: str = "restricted", *more: str) -> str:
        return self.keys("issue", "--workload", workload, "--class", data_class, *more)

    def ask_database(self, statement: str) -> list[Any]:
        return self.postgres.ask(statement, self.database)

    def access(self) -> dict[str, Any]:
        """Section `database` of a gateway's configuration."""
        password = self.folder / "database-password"
        password.write_text("gateway-s3cret\n")
        return {
            **{"host": "127.0.0.1", "port": self.door.port, "name": self.database},
            **{"user": f"{self.database}_gateway", "password": str(password)},
            "ca": str(self.authority.path),
        }


@contextmanager
def start_database(
    folder: Path, postgres: Postgres, name: str, authority: Authority
) -> Iterator[GatewayDatabase]:
    """Create the tables, and a database user for gateways."""
    postgres.ask(f"CREATE DATABASE {name}")
    postgres.ask(f"CREATE ROLE {name}_gateway LOGIN PASSWORD 'gateway-s3cret'")
    database = GatewayDatabase(
        folder, postgres, name, authority, Door(postgres, *authority.issue("db", "db.isthmus-restricted.svc"))
    )
    try:
        database.keys("migrate", "--gateway-user", f"{name}_gateway")
        yield database
    finally:
        database.door.close()


@dataclass
class Counted(GatewayDatabase):
    """The database, the sidecars and the gateways of a test."""

    models: list[FakeModel] = field(default_factory=list)
    sidecars: list[Edge] = field(default_factory=list)
    gateways: list[Edge] = field(default_factory=list)
    clients: dict[tuple[int, str | None], httpx.Client] = field(default_factory=dict)

    def place(self, at: int = 0, model: str = "llama", **more: Any) -> dict[str, Any]:
        return {"url": self.sidecars[at].url, "server_name": MODEL_NAMES[at], "model": model, **more}

    def start(self, **changes: Any) -> Edge:
        """Start one more replica of the gateway."""
        files = {"certificate": str(self.folder / "gateway.crt"), "key": str(self.folder / "gateway.key")}
        (self.folder / "salt").write_text(SALT_KEY)
        config: dict[str, Any] = {
            **{"mode": "gateway", "class": "restricted", "site": "fra1"},
            "listen": {**files, "client_ca": str(self.authority.path)},
            "upstream_tls": {**files, "ca": str(self.authority.path)},
            "salt_key": str(self.folder / "salt"),
            "database": self.access(),
            "limits": {"connect_timeout_s": 2, "request_timeout_s": 10, "probe_s": 0.2},
            **changes,
        }
        self.gateways.append(Edge(self.folder / f"gateway-{len(self.gateways)}", config))
        return self.gateways[-1]

    def post(
        self,
        gateway: int,
        path: str,
        body: dict[str, Any],
        headers: dict[str, str],
        client: str | None = "app",
    ) -> httpx.Response:
        key = (gateway, client)
        if key not in self.clients:
            self.clients[key] = httpx.Client(
                base_url=self.gateways[gateway].url,
                verify=self.authority.client(client),
                trust_env=False,
                timeout=20,
            )
        return self.clients[key].post(path, json=body, headers=headers)

    def chat(
        self, key: str | None, model: str, gateway: int = 0, client: str = "app", **fields: Any
    ) -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": "IBAN DE02 1203"}], **fields}
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        return self.post(gateway, "/v1/chat/completions", body, headers, client)


@contextmanager
def counted(
    folder: Path, postgres: Postgres, name: str, models: list[FakeModel], data_class: str = "restricted"
) -> Iterator[Counted]:
    """Create the tables and start a sidecar for each model. The test starts the gateways."""
    with ExitStack() as ending:
        authority = Authority(folder)
        authority.issue("gateway", GATEWAY_NAME)
        authority.issue("app", "app.payments.svc")
        authority.issue("claims", "claims.payments.svc")
        base = ending.enter_context(start_database(folder, postgres, name, authority))
        counted_site = Counted(**vars(base), models=models)
        for number, model in enumerate(models):
            ending.callback(model.server_close)
            ending.callback(model.shutdown)
            authority.issue(f"model-{number}", MODEL_NAMES[number])
            listen = {
                "certificate": str(folder / f"model-{number}.crt"),
                "key": str(folder / f"model-{number}.key"),
                "client_ca": str(authority.path),
            }
            config = {"mode": "sidecar", "class": data_class, "listen": listen, "upstream": model.url}
            counted_site.sidecars.append(
                Edge(folder / f"sidecar-{number}", {**config, "allowed_clients": [GATEWAY_NAME]})
            )
            ending.callback(counted_site.sidecars[-1].stop)
        ending.callback(lambda: [gateway.stop() for gateway in counted_site.gateways])
        ending.callback(lambda: [client.close() for client in counted_site.clients.values()])
        yield counted_site

"""A gateway that holds answers and the review desk, on one real PostgreSQL, with a sealer."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from ruamel.yaml import YAML

from edge import reviewers
from edge.audit.chain_files import record_files
from edge.classes import CLASS_DEMANDS, DataClass
from edge.config.database import DatabaseConfig
from edge.database import Database
from tests.edge.audit.audited import WRAPPING_KEY, settings
from tests.edge.audit.harness import AuditSite
from tests.edge.confidence.making import DIGEST
from tests.edge.counted import Counted, counted
from tests.edge.fake_model import FakeModel
from tests.edge.postgres import Postgres
from tests.edge.processes import Edge

SECRET = "IBAN DE02 1203"
"""Text in the prompt of `Counted.chat`."""
SAID = "Paid to Muster"
"""Beginning of the fake model's answer."""
RULE = {"below_confidence": 0.8, "domain": "payments"}
WORKLOADS: list[dict[str, Any]] = [
    {"name": "credit", "impact": "high", "review": RULE, "clients": []},
    {"name": "claims", "impact": "material", "review": RULE},
    {"name": "bound", "impact": "high", "review": RULE, "clients": ["claims.payments.svc"]},
]


@dataclass
class Reviewed:
    """The gateway, the review service and their database."""

    made: Counted
    audit_site: AuditSite
    folder: Path
    desk_config: dict[str, Any]
    gateway_config: dict[str, Any]
    desks: list[Edge] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)
    clients: dict[tuple[str, str], httpx.Client] = field(default_factory=dict)

    @property
    def gateway(self) -> Edge:
        return self.made.gateways[-1]

    @property
    def desk(self) -> Edge:
        return self.desks[-1]

    def start_desk(self) -> Edge:
        config = {**self.desk_config, "listen": {**self.desk_config["listen"]}}
        self.desks.append(Edge(self.folder / f"desk-{len(self.desks)}", config))
        return self.desks[-1]

    def start_gateway(self) -> Edge:
        return self.made.start(**self.gateway_config)

    def end(self) -> None:
        """Kill the processes. An orderly end takes three seconds each, and has its own tests."""
        for edge in (*self.desks, *self.made.gateways, *self.made.sidecars):
            edge.process.kill()
            edge.process.wait(10)

    def key(self, workload: str = "credit") -> str:
        """Issue a caller's key for the workload."""
        if workload not in self.keys:
            self.keys[workload] = self.made.issue(workload, self.desk_config["class"])
        return self.keys[workload]

    def reviewer(self, name: str, *more: str, data_class: str = "restricted") -> str:
        """Run `python -m edge.reviewers issue`, and return the printed key."""
        return self.command("issue", "--reviewer", name, "--class", data_class, *more)

    def command(self, *arguments: str, code: int = 0) -> str:
        file = self.folder / "admin.yaml"
        YAML().dump(self.made.postgres.administrator(self.made.database), file)
        out, errors = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(errors):
            ended = reviewers.main(["--database", str(file), *arguments])
        assert ended == code, errors.getvalue()
        return out.getvalue().strip()

    def client(self, edge: Edge, certificate: str = "app") -> httpx.Client:
        key = (edge.url, certificate)
        if key not in self.clients:
            self.clients[key] = httpx.Client(
                base_url=edge.url,
                verify=self.made.authority.client(certificate),
                trust_env=False,
                timeout=20,
            )
        return self.clients[key]

    def ask(self, workload: str = "credit", **fields: Any) -> httpx.Response:
        """Send a chat completion."""
        body = {"model": workload, "messages": [{"role": "user", "content": SECRET}], **fields}
        headers = {"authorization": f"Bearer {self.key(workload)}"}
        return self.client(self.gateway).post("/v1/chat/completions", json=body, headers=headers)

    def hold(self, workload: str = "credit", **fields: Any) -> str:
        """Send a request whose answer is held. Returns the answer's id."""
        answer = self.ask(workload, **fields)
        assert answer.status_code == 202, answer.text
        return answer.json()["id"]

    def look(self, answer_id: str, workload: str = "credit") -> httpx.Response:
        headers = {"authorization": f"Bearer {self.key(workload)}"}
        return self.client(self.gateway).get(f"/v1/reviews/{answer_id}", headers=headers)

    def at_desk(
        self, key: str | None, method: str, path: str, certificate: str = "app", **more: Any
    ) -> httpx.Response:
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        return self.client(self.desk, certificate).request(
            method, f"/v1/reviews{path}", headers=headers, **more
        )

    def claim(self, key: str | None, answer_id: str, certificate: str = "app") -> dict[str, Any]:
        claim = self.at_desk(key, "POST", f"/{answer_id}/claim", certificate)
        assert claim.status_code == 200, claim.text
        return claim.json()

    def act(
        self, key: str | None, answer_id: str, act: str, claimed: dict[str, Any] | None = None, **more: Any
    ) -> httpx.Response:
        """Claim the answer if needed, and act on it."""
        claimed = claimed or self.claim(key, answer_id)
        body = {"version": claimed["version"], "sha256": claimed["sha256"], **more}
        if act != "approve":
            body.setdefault("reason", "wrong-amount")
        return self.at_desk(key, "POST", f"/{answer_id}/{act}", json=body)

    def sql(self, statement: str) -> list[Any]:
        return self.made.ask_database(statement)

    def database(self, user: str) -> Database:
        """The database as one of the two processes' users sees it."""
        password = self.folder / f"{user}-password"
        password.write_text(f"{user}-s3cret")
        plain = self.made.postgres.administrator(self.made.database)
        login = {"user": f"{self.made.database}_{user}", "password": password}
        return Database(DatabaseConfig(**{**plain, **login}))

    def as_user(self, user: str, statement: str, *values: Any) -> list[Any]:
        async def once() -> list[Any]:
            database = self.database(user)
            try:
                return await database.fetch(statement, *values)
            finally:
                await database.close()

        return asyncio.run(once())

    def records(self, kind: str, answer_id: str | None = None) -> list[dict[str, Any]]:
        records = []
        for folder in sorted(self.audit_site.records.iterdir()):
            for _, path in record_files(folder):
                lines = [json.loads(line) for line in path.read_bytes().splitlines() if line.endswith(b"}")]
                records += [
                    line for line in lines if line["kind"] == kind and answer_id in (None, line.get("id"))
                ]
        return sorted(records, key=lambda record: record["time"])


@contextmanager
def reviewed(
    folder: Path,
    postgres: Postgres,
    name: str,
    workloads: list[dict[str, Any]] | None = None,
    desk: dict[str, Any] | None = None,
    data_class: DataClass = "restricted",
    door: bool = True,
    gateway: dict[str, Any] | None = None,
    interfaces: Sequence[str] = (),
    **reviews: Any,
) -> Iterator[Reviewed]:
    """Start both processes and a sealer, which runs during the context.

    Without `door`, PostgreSQL is used directly on loopback, because the door is a thread of this process.
    """
    with ExitStack() as ending:
        counted_site = ending.enter_context(counted(folder, postgres, name, [FakeModel()], data_class))
        postgres.ask(f"CREATE ROLE {name}_reviews LOGIN PASSWORD 'reviews-s3cret'")
        counted_site.keys("migrate", "--gateway-user", f"{name}_gateway", "--reviews-user", f"{name}_reviews")
        counted_site.authority.issue("desk", "reviews.isthmus-restricted.svc")
        counted_site.authority.issue("erika", "erika.people.bank")
        audit_site = AuditSite.at(folder / "audit")
        (folder / "wrapping.key").write_text(WRAPPING_KEY)
        (folder / "keys").mkdir()
        (folder / "reviews-password").write_text("reviews-s3cret")
        holding = {"keys": str(folder / "keys"), "wrapping_key": str(folder / "wrapping.key")}
        known_workloads = workloads or WORKLOADS
        access = counted_site.access()
        if not door:
            access = {**access, "port": postgres.port}
            del access["ca"]
        gateway_config = {
            "class": data_class,
            "database": access,
            "workloads": known_workloads,
            "routes": [
                {
                    **counted_site.place(model_digest=DIGEST),
                    **{"workload": workload["name"], "interfaces": list(interfaces)},
                }
                for workload in known_workloads
            ],
            "audit": settings(folder, audit_site),
            "reviews": {**holding, "keep_days": 7, **reviews},
            **(gateway or {}),
        }
        desk_config: dict[str, Any] = {
            "mode": "reviews",
            "class": data_class,
            "site": "fra1",
            "listen": {
                "certificate": str(folder / "desk.crt"),
                "key": str(folder / "desk.key"),
                "client_ca": str(counted_site.authority.path),
            },
            "database": {
                **access,
                "user": f"{name}_reviews",
                "password": str(folder / "reviews-password"),
            },
            "audit": settings(folder, audit_site, name="desk-0"),
            "held": holding,
            **(desk or {}),
        }
        all_of_it = Reviewed(counted_site, audit_site, folder, desk_config, gateway_config)
        ending.callback(lambda: [client.close() for client in all_of_it.clients.values()])
        ending.callback(all_of_it.end)
        if CLASS_DEMANDS[data_class].unsealed_s_max is not None:
            ending.enter_context(sealing(audit_site, data_class))
        all_of_it.start_gateway()
        all_of_it.start_desk()
        for edge in (*counted_site.sidecars, all_of_it.gateway, all_of_it.desk):
            edge.wait_until_up()
        all_of_it.gateway.wait_until_well()
        all_of_it.desk.wait_until_well()
        yield all_of_it


@contextmanager
def sealing(audit_site: AuditSite, data_class: str = "restricted") -> Iterator[None]:
    """Run a sealer during the context, as beside a gateway."""
    over = threading.Event()

    def seal() -> None:
        sealer = audit_site.sealer(data_class=data_class)
        while not over.wait(0.2):
            with contextlib.suppress(OSError, shutil.Error):
                sealer.seal()

    thread = threading.Thread(target=seal, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(10)

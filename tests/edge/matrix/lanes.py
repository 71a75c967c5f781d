"""Starts gateways of several classes, each with its own model. Some have a translator, which calls a fake cloud.

Each class has two gateways. The callers of one are in a file, those of the other in one PostgreSQL for all classes.

All certificates come from one authority and there is no network policy, so that only the edge's own rules separate the
classes. `tests/fences` tests the network policies.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from edge.redaction import Detector
from tests.edge.audit.audited import Audited, full, mounts, on_a_small_disk, seen_at, settings
from tests.edge.audit.harness import AuditSite
from tests.edge.certificates import Authority
from tests.edge.conftest import callers_text, gateway_config
from tests.edge.counted import GatewayDatabase, start_database
from tests.edge.fake_bedrock import FakeBedrock
from tests.edge.fake_model import MODEL, Answering
from tests.edge.matrix.screening import rules, screening
from tests.edge.postgres import Postgres
from tests.edge.processes import Edge, free_port
from tests.edge.screening.fake_detector import FakeDetector

CLASSES = ("public", "internal", "confidential", "restricted")
BEYOND = ("public", "internal", "confidential")
"""Classes that may have a translator."""
PROFILE = "eu.anthropic.claude-haiku-4-5-20251001-v1:0"
CHAT_PATH, EMBEDDINGS_PATH = "/v1/chat/completions", "/v1/embeddings"
KINDS = ("chat", "embed", "down", "both-down", "cloud", "overflow")
"""Workloads of each class, by their models: working ones, ones without a reachable model, one in the cloud, and one
with an unreachable model and an overflow to the cloud if there is a translator."""
COUNTED_KINDS: dict[str, dict[str, Any]] = {
    "free": {},
    "rate": {"requests_per_minute": 1, "tokens_per_minute": 50_000},
    "budget": {"usd_per_month": 0.1},
}
"""Workloads of the gateway with PostgreSQL, and their limits. `rate` and `budget` allow one request, but not a
second."""
PRICE = {"prompt": 1000.0, "completion": 10_000.0}
"""USD for a million tokens. An answer of the fake model costs 0.057 USD."""
AWS_IDENTITY = {"AWS_ACCESS_KEY_ID": "AKIDDUMMY", "AWS_SECRET_ACCESS_KEY": "dummy-secret"}


@dataclass
class Lane:
    """One class: its gateway, its model, and the client of its application."""

    data_class: str
    folder: Path
    gateway: Edge
    model: Answering
    client: httpx.Client
    keyless: httpx.Client
    """A client without certificate."""
    translated: bool
    audited: Audited
    """Its audit records. They have no disk of their own if this process may not mount one."""
    own_disk: bool
    counted: Lane | None = None
    """The same class behind the gateway with PostgreSQL."""
    database: GatewayDatabase | None = None
    """The database of this gateway's keys. None: the keys are in a file."""
    screened: Lane | None = None
    """The same class behind a gateway with guards and a detector that can fail."""
    detector: FakeDetector | None = None
    issued: list[str] = field(default_factory=list)

    def workload(self, kind: str = "chat") -> str:
        return f"{self.data_class}-{kind}"

    def key(self, kind: str = "chat") -> str:
        return keys(self.data_class)[self.workload(kind)]

    def issue(self, kind: str, data_class: str = "") -> str:
        """Issue a key in the database, for this class unless `data_class` is given."""
        assert self.database is not None
        self.issued.append(self.database.issue(self.workload(kind), data_class or self.data_class))
        return self.issued[-1]

    @property
    def secrets(self) -> list[str]:
        """Every key that a request of this lane may have."""
        return [*keys(self.data_class).values(), *self.issued]

    @property
    def callers(self) -> Path:
        return _callers(self.folder, self.data_class)

    @contextlib.contextmanager
    def without(self, workload: str) -> Iterator[None]:
        """The lane while one workload's key is revoked."""
        good = self.callers.read_text()
        other_keys = {name: key for name, key in keys(self.data_class).items() if name != workload}
        self.callers.write_text(callers_text(other_keys))
        try:
            yield
        finally:
            self.callers.write_text(good)

    @contextlib.contextmanager
    def full_disk(self) -> Iterator[None]:
        """The lane while the disk of its audit records is full. The next writer waits for a seal."""
        fill = self.audited.seen_at / "fill"
        full(fill)
        try:
            while "audit_unwritable" not in self.audited.ask(None).text:
                pass  # until the last page of the current file is full too
            yield
        finally:
            fill.unlink()

    @contextlib.contextmanager
    def unsealed(self) -> Iterator[None]:
        """The lane without its sealer, and with a writer that no seal contains."""
        with self.full_disk():
            pass
        self.audited.wait_until("audit unregistered")
        try:
            yield
        finally:
            self.audited.seal_newcomer()

    @contextlib.contextmanager
    def behaving(self, behaviour: str) -> Iterator[None]:
        """The lane with a misbehaving model."""
        self.model.reset(behaviour)
        try:
            yield
        finally:
            self.model.behaviour = "ok"


@dataclass
class MatrixSetup:
    """All lanes, and the fake cloud that all translators call."""

    authority: Authority
    lanes: dict[str, Lane]
    cloud: FakeBedrock
    database: GatewayDatabase

    @contextlib.contextmanager
    def without_database(self) -> Iterator[None]:
        """Stop PostgreSQL while the context is open. Afterwards every gateway reaches it again."""
        with self.database.postgres.down():
            yield
        for lane in self.lanes.values():
            assert lane.counted is not None
            lane.counted.gateway.wait_until_well()

    def seal(self) -> None:
        """Seal every record so far."""
        for lane in self.lanes.values():
            assert lane.counted is not None
            lane.audited.seal()
            lane.counted.audited.seal()
            assert lane.screened is not None
            lane.screened.audited.seal()

    def places(self) -> dict[str, str]:
        """Everything that each place has received since `clear`, by the place's name."""
        received = {
            _model_of(name): b"\n".join(lane.model.received).decode() for name, lane in self.lanes.items()
        }
        return {**received, "the cloud": "\n".join(map(repr, self.cloud.requests))}

    def clear(self) -> None:
        for lane in self.lanes.values():
            lane.model.reset()
        self.cloud.reset()


def _model_of(data_class: str) -> str:
    return f"{data_class}'s model"


def keys(data_class: str) -> dict[str, str]:
    """A key for each workload. Keys look random and are the same in each run."""
    names = [f"{data_class}-{kind}" for kind in KINDS]
    return {name: hashlib.sha256(f"matrix {name}".encode()).hexdigest() for name in names}


@contextlib.contextmanager
def start_setup(
    folder: Path, classes: Sequence[str], postgres: Postgres, *, translators: bool
) -> Iterator[MatrixSetup]:
    """Start everything. Without `translators` no class has a workload in the cloud, because LiteLLM starts slowly."""
    authority = Authority(folder)
    authority.issue("app", "app.payments.svc")
    with contextlib.ExitStack() as stack:
        cloud = stack.enter_context(_serving(FakeBedrock()))
        database = stack.enter_context(start_database(folder, postgres, "matrix", authority))
        detector = stack.enter_context(_serving(FakeDetector(Detector(rules(folder)))))
        waiting: list[Edge] = []

        def start(
            name: str,
            config: dict[str, Any],
            environment: dict[str, str] | None = None,
            within: Sequence[str] = (),
        ) -> Edge:
            edge = Edge(folder / name, config, environment, within=within)
            stack.callback(edge.stop)
            waiting.append(edge)
            return edge

        lanes: dict[str, Lane] = {}
        own_disk = mounts()
        for data_class in classes:
            model = stack.enter_context(_serving(Answering()))
            for kind in ("gateway", "sidecar", "translator"):
                authority.issue(f"{data_class}-{kind}", _name(data_class, kind))
            sidecar = start(f"{data_class}-sidecar", _sidecar(folder, data_class, model.url))
            translator = None
            if translators and data_class in BEYOND:
                config = _translator(folder, data_class, cloud.url)
                translator = start(f"{data_class}-translator", config, AWS_IDENTITY)
            _callers(folder, data_class).write_text(callers_text(keys(data_class)))
            config = _gateway(folder, data_class, sidecar, translator)
            audit_site, counting_place = (
                AuditSite.at(folder / f"{data_class}-{purpose}") for purpose in ("audit", "counted")
            )
            # A public gateway's records may wait for their seal. Here they may not, so that its row has results.
            config["audit"] = settings(audit_site.root, audit_site, max_unsealed_s=180)
            gateway = start(
                f"{data_class}-gateway", config, within=on_a_small_disk(audit_site, "4m") if own_disk else ()
            )
            config = _counting(folder, data_class, sidecar, database)
            config["audit"] = settings(counting_place.root, counting_place, max_unsealed_s=180)
            counting = start(f"{data_class}-counting", config)
            screened_place = AuditSite.at(folder / f"{data_class}-screened")
            config = screening(_gateway(folder, data_class, sidecar, None), detector.url)
            config["audit"] = settings(screened_place.root, screened_place, max_unsealed_s=180)
            screener = start(f"{data_class}-screener", config)
            clients = [
                stack.enter_context(
                    httpx.Client(
                        base_url=edge.url, verify=authority.client(file), trust_env=False, timeout=30
                    )
                )
                for edge in (gateway, counting, screener)
                for file in ("app", None)
            ]
            app, keyless, counted_app, counted_keyless, screened_app, screened_keyless = clients
            heard = Audited(screener, screened_place, screened_app, screened_place.records)
            screened = Lane(
                *(data_class, folder, screener, model, screened_app, screened_keyless, False, heard, False),
                detector=detector,
            )
            beyond = translator is not None
            audited = Audited(counting, counting_place, counted_app, counting_place.records)
            counted = Lane(
                *(data_class, folder, counting, model, counted_app, counted_keyless, beyond, audited, False),
                database=database,
            )
            audited = Audited(
                gateway,
                audit_site,
                clients[0],
                seen_at(audit_site, gateway) if own_disk else audit_site.records,
            )
            lanes[data_class] = Lane(
                *(data_class, folder, gateway, model, app, keyless, beyond, audited, own_disk), counted
            )
            lanes[data_class].screened = screened
        # All are told to stop before the first one is waited for.
        stack.callback(lambda: [edge.process.terminate() for edge in waiting])
        for edge in waiting:
            edge.wait_until_up(180)
        for lane in lanes.values():
            lane.audited.seal_newcomer()
            assert lane.counted is not None
            lane.counted.audited.seal_newcomer()
            assert lane.screened is not None
            lane.screened.audited.seal_newcomer()
        yield MatrixSetup(authority, lanes, cloud, database)


def _name(data_class: str, kind: str) -> str:
    return f"{data_class}-{kind}.isthmus-{data_class}.svc"


def _callers(folder: Path, data_class: str) -> Path:
    return folder / f"{data_class}-callers.yaml"


def _listen(folder: Path, leaf: str) -> dict[str, str]:
    return {
        "certificate": str(folder / f"{leaf}.crt"),
        "key": str(folder / f"{leaf}.key"),
        "client_ca": str(folder / "ca.crt"),
    }


def _sidecar(folder: Path, data_class: str, upstream: str) -> dict[str, Any]:
    return {
        **{"mode": "sidecar", "class": data_class, "upstream": upstream},
        "listen": _listen(folder, f"{data_class}-sidecar"),
        "allowed_clients": [_name(data_class, "gateway")],
    }


def _translator(folder: Path, data_class: str, endpoint: str) -> dict[str, Any]:
    model = {
        "name": "haiku",
        "region": "eu-central-1",
        "inference_profile": PROFILE,
        "endpoint_url": endpoint,
    }
    return {
        **{"mode": "translator", "class": data_class, "models": [model]},
        "listen": _listen(folder, f"{data_class}-translator"),
        "allowed_clients": [_name(data_class, "gateway")],
    }


def _gateway(folder: Path, data_class: str, sidecar: Edge, translator: Edge | None) -> dict[str, Any]:
    """The configuration of the boundary tests' gateway, with the routes of this class."""

    def place(edge: Edge | None, kind: str, model: str) -> dict[str, str]:
        url = edge.url if edge else f"https://127.0.0.1:{free_port()}"
        return {"url": url, "server_name": _name(data_class, kind), "model": model}

    targets: dict[str, dict[str, Any]] = {
        "chat": place(sidecar, "sidecar", MODEL),
        "embed": {**place(sidecar, "sidecar", "bge"), "task": "embedding"},
        "down": place(None, "sidecar", MODEL),
        "both-down": {
            **place(None, "sidecar", MODEL),
            "canary": {**place(None, "sidecar", MODEL), "percent": 50.0},
        },
    }
    beside: dict[str, Any] = place(None, "sidecar", MODEL)
    targets["overflow"] = beside
    if translator is not None:
        targets["cloud"] = place(translator, "translator", "haiku")
        beside["overflow"] = targets["cloud"]
    config = gateway_config(folder, sidecar.port, f"{data_class}-gateway")
    config |= {"class": data_class, "callers": str(_callers(folder, data_class))}
    config["routes"] = [{"workload": f"{data_class}-{kind}", **target} for kind, target in targets.items()]
    if data_class == "public":
        del config["listen"]["client_ca"]  # the class requires TLS
    return config


def _counting(folder: Path, data_class: str, sidecar: Edge, database: GatewayDatabase) -> dict[str, Any]:
    """The same with PostgreSQL, and with one model for all workloads."""
    config = _gateway(folder, data_class, sidecar, None)
    del config["callers"]
    place = {**config["routes"][0], "usd_per_million_tokens": PRICE}
    names = {f"{data_class}-{kind}": allowance for kind, allowance in COUNTED_KINDS.items()}
    return {
        **config,
        "database": database.access(),
        "workloads": [{"name": name, "allowance": allowance} for name, allowance in names.items()],
        "routes": [{**place, "workload": name} for name in names],
    }


@contextlib.contextmanager
def _serving(server: Any) -> Iterator[Any]:
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()

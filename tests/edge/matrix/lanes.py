"""The matrix's classes at run time: their gateways, their models, and what each place has received."""

from __future__ import annotations

import contextlib
import hashlib
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx

from tests.edge.audit.audited import Audited, full
from tests.edge.conftest import callers_text
from tests.edge.counted import GatewayDatabase
from tests.edge.fake_bedrock import FakeBedrock
from tests.edge.fake_model import Answering
from tests.edge.issuer import Issuer
from tests.edge.processes import Edge
from tests.edge.screening.fake_detector import FakeDetector

CLASSES = ("public", "internal", "confidential", "restricted")
BEYOND = ("public", "internal", "confidential")
"""Classes that may have a translator."""
NOBODY, OWN, CLOUD = "nobody", "its class's model", "the cloud"
REDACTED = "its class's model, redacted"
"""Places that a prompt may reach."""
PROFILE = "eu.anthropic.claude-haiku-4-5-20251001-v1:0"
CHAT_PATH, EMBEDDINGS_PATH = "/v1/chat/completions", "/v1/embeddings"
GatewayKind = Literal["plain", "counted", "screened", "replicated"]
"""The gateways of each class: with callers in a file; with callers in PostgreSQL, and people; with a detector and
guards; with a model whose host name lists its replicas."""
KINDS = (
    *("chat", "embed", "down", "both-down", "cloud", "overflow"),
    *("fallback", "fallback-cloud", "stray", "replicas"),
)
"""Workloads of each class, by their models: working ones, ones without a reachable model, one in the cloud, and ones
with an unreachable model and another place: an overflow to the cloud if there is a translator, a fallback within the
class, one in the cloud, and fallbacks of other classes. The last one has two replicas."""
SPARE_MODEL = "small"
"""The model that a fallback within the class asks for."""
COUNTED_KINDS: dict[str, dict[str, Any]] = {
    "free": {},
    "rate": {"requests_per_minute": 1, "tokens_per_minute": 50_000},
    "budget": {"usd_per_month": 0.1},
}
"""Workloads of the gateway with PostgreSQL, and their limits. `rate` and `budget` allow one request, but not a
second."""
GROUPS = {"free": "clerks", "rate": "heads"}
"""People's groups by the workload that they may use, at the gateway with PostgreSQL."""


@dataclass
class Replica:
    """The second model server of a class, whose sidecar a case may kill."""

    model: Answering
    start_sidecar: Callable[[], Edge]
    sidecar: Edge

    def restart(self) -> None:
        """Start the sidecar again, after its end."""
        self.sidecar = self.start_sidecar().wait_until_up()


@dataclass
class Lane:
    """One class at one of its gateways, with its models and the client of its application."""

    data_class: str
    folder: Path
    gateway: Edge
    model: Answering
    second: Replica
    tls: ssl.SSLContext
    """The application's certificate, and the CA that it trusts."""
    client: httpx.Client
    keyless: httpx.Client
    """A client without certificate."""
    audited: Audited
    """Its audit records."""
    own_disk: bool = False
    """Whether the records have a disk of their own. Not if this process may not mount one."""
    translated: bool = False
    database: GatewayDatabase | None = None
    """The database of this gateway's keys. None: the keys are in a file."""
    detector: FakeDetector | None = None
    """The detector of this gateway, which can fail."""
    issuer: Issuer | None = None
    """The issuer of people's tokens at this gateway."""
    beside: dict[GatewayKind, Lane] = field(default_factory=dict)
    """The same class at its other gateways. Without mounts none has replicas."""
    issued: list[str] = field(default_factory=list)

    @property
    def every(self) -> list[Lane]:
        """The class at each of its gateways."""
        return [self, *self.beside.values()]

    def workload(self, kind: str = "chat") -> str:
        return f"{self.data_class}-{kind}"

    def key(self, kind: str = "chat") -> str:
        return keys(self.data_class)[self.workload(kind)]

    def issue(self, kind: str, data_class: str = "") -> str:
        """Issue a key in the database, for this class unless `data_class` is given."""
        assert self.database is not None
        self.issued.append(self.database.issue(self.workload(kind), data_class or self.data_class))
        return self.issued[-1]

    def token(self, kind: str) -> str:
        """An access token of a person whose group may use a workload of this kind."""
        assert self.issuer is not None
        self.issued.append(self.issuer.token([GROUPS[kind]]))
        return self.issued[-1]

    @property
    def secrets(self) -> list[str]:
        """Every key and token that a request of this lane may have."""
        return [*keys(self.data_class).values(), *self.issued]

    @property
    def callers(self) -> Path:
        return callers_file(self.folder, self.data_class)

    @property
    def jwks(self) -> Path:
        return jwks_file(self.folder, self.data_class)

    @contextlib.contextmanager
    def callers_changed(self, text: str) -> Iterator[None]:
        """The lane with this text as its callers' file."""
        good = self.callers.read_text()
        replace_file(self.callers, text)
        try:
            yield
        finally:
            replace_file(self.callers, good)

    def without(self, workload: str) -> contextlib.AbstractContextManager[None]:
        """The lane while one workload's key is revoked."""
        other_keys = {name: key for name, key in keys(self.data_class).items() if name != workload}
        return self.callers_changed(callers_text(other_keys))

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
    """All lanes, the models of all classes, and the fake cloud that all translators call."""

    lanes: dict[str, Lane]
    models: dict[str, tuple[Answering, ...]]
    """The model servers by class. There are at least two classes, also if one has no lane."""
    cloud: FakeBedrock
    database: GatewayDatabase

    @contextlib.contextmanager
    def without_database(self) -> Iterator[None]:
        """Stop PostgreSQL while the context is open. Afterwards every gateway reaches it again."""
        with self.database.postgres.down():
            yield
        for lane in self.lanes.values():
            lane.beside["counted"].gateway.wait_until_well()

    def seal(self) -> None:
        """Seal every record so far."""
        for lane in self.lanes.values():
            for at_gateway in lane.every:
                at_gateway.audited.seal()

    def places(self) -> dict[str, list[str]]:
        """Every request that each place has received since `clear`, by the place's name."""
        received = {
            model_of(data_class): [raw.decode() for model in models for raw in model.received]
            for data_class, models in self.models.items()
        }
        return {**received, CLOUD: [repr(request) for request in self.cloud.requests]}

    def clear(self) -> None:
        for models in self.models.values():
            for model in models:
                model.reset()
        self.cloud.reset()


def model_of(data_class: str) -> str:
    """The name of the place that a class's model servers are."""
    return f"{data_class}'s model"


def keys(data_class: str) -> dict[str, str]:
    """A key for each workload. Keys look random and are the same in each run."""
    names = [f"{data_class}-{kind}" for kind in KINDS]
    return {name: hashlib.sha256(f"matrix {name}".encode()).hexdigest() for name in names}


def server_name(data_class: str, kind: str) -> str:
    """The name in the certificate of a class's process: `gateway`, `sidecar` or `translator`."""
    return f"{data_class}-{kind}.isthmus-{data_class}.svc"


def callers_file(folder: Path, data_class: str) -> Path:
    return folder / f"{data_class}-callers.yaml"


def jwks_file(folder: Path, data_class: str) -> Path:
    return folder / f"{data_class}-jwks.json"


def replace_file(file: Path, text: str) -> None:
    """Replace a file in one step, as Kubernetes does, so that no reader sees a part of it."""
    new = file.with_suffix(".new")
    new.write_text(text)
    new.replace(file)

"""Starts gateways of several classes, each with its own models. Some have a translator, which calls a fake cloud.

Each class has up to four gateways (`GatewayKind`). One PostgreSQL serves all classes.

All certificates come from one authority and there is no network policy, so that only the edge's own rules separate the
classes. `tests/fences` tests the network policies.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from edge.redaction import Detector
from tests.edge.audit.audited import Audited, mounts, on_a_small_disk, seen_at, settings
from tests.edge.audit.harness import AuditSite
from tests.edge.certificates import Authority
from tests.edge.conftest import callers_text
from tests.edge.counted import GatewayDatabase, start_database
from tests.edge.fake_bedrock import FakeBedrock
from tests.edge.fake_model import Answering
from tests.edge.issuer import Issuer
from tests.edge.matrix import configurations
from tests.edge.matrix.configurations import SECOND_ADDRESS, Servers, replicas_host
from tests.edge.matrix.lanes import (
    BEYOND,
    CLASSES,
    GatewayKind,
    Lane,
    MatrixSetup,
    Replica,
    callers_file,
    keys,
    server_name,
)
from tests.edge.matrix.screening import rules, screening
from tests.edge.postgres import Postgres
from tests.edge.processes import Edge
from tests.edge.replica_fleet import hosts_of, write_hosts
from tests.edge.screening.fake_detector import FakeDetector

AWS_IDENTITY = {"AWS_ACCESS_KEY_ID": "AKIDDUMMY", "AWS_SECRET_ACCESS_KEY": "dummy-secret"}


@contextlib.contextmanager
def start_setup(
    folder: Path, classes: Sequence[str], postgres: Postgres, *, translators: bool
) -> Iterator[MatrixSetup]:
    """Start everything. Without `translators` no class has a workload in the cloud, because LiteLLM starts slowly."""
    with contextlib.ExitStack() as stack:
        authority = Authority(folder)
        authority.issue("app", "app.payments.svc")
        cloud = stack.enter_context(_serving(FakeBedrock()))
        database = stack.enter_context(start_database(folder, postgres, "matrix", authority))
        starter = _Starter(folder, stack, authority)
        beyond = [data_class for data_class in classes if translators and data_class in BEYOND]
        # Another class is there in any case, to which a fallback could lead.
        servers = {
            data_class: starter.servers(data_class, cloud.url if data_class in beyond else None)
            for data_class in (classes if len(classes) > 1 else CLASSES)
        }
        detector = stack.enter_context(_serving(FakeDetector(Detector(rules(folder)))))
        lanes = {data_class: starter.lane(data_class, servers, database, detector) for data_class in classes}
        # All are told to stop before the first one is waited for.
        stack.callback(lambda: [edge.process.terminate() for edge in starter.started])
        for edge in starter.started:
            edge.wait_until_up(180)
        for lane in lanes.values():
            for at_gateway in lane.every:
                at_gateway.audited.seal_newcomer()
        models = {data_class: (own.model, own.second.model) for data_class, own in servers.items()}
        yield MatrixSetup(lanes, models, cloud, database)


@dataclass
class _Starter:
    """Starts processes, which end with `stack`."""

    folder: Path
    stack: contextlib.ExitStack
    authority: Authority
    started: list[Edge] = field(default_factory=list)
    mounts: bool = field(default_factory=mounts)

    def servers(self, data_class: str, cloud: str | None) -> Servers:
        """The model servers of a class, and its translator if it has a cloud."""
        for kind in ("gateway", "sidecar", "translator"):
            self.authority.issue(f"{data_class}-{kind}", server_name(data_class, kind))
        model, second_model = (self.stack.enter_context(_serving(Answering())) for _ in range(2))
        sidecar = self._start(
            f"{data_class}-sidecar", configurations.sidecar(self.folder, data_class, model.url)
        )
        config = configurations.sidecar(self.folder, data_class, second_model.url)
        config["listen"] |= {"host": SECOND_ADDRESS, "port": sidecar.port}
        start_second = partial(Edge, self.folder / f"{data_class}-second", config)
        second = Replica(second_model, start_second, start_second())
        self.started.append(second.sidecar)
        self.stack.callback(lambda: second.sidecar.stop())
        translator = None
        if cloud is not None:
            config = configurations.translator(self.folder, data_class, cloud)
            translator = self._start(f"{data_class}-translator", config, AWS_IDENTITY)
        return Servers(model, sidecar, second, translator)

    def lane(
        self,
        data_class: str,
        servers: Mapping[str, Servers],
        database: GatewayDatabase,
        detector: FakeDetector,
    ) -> Lane:
        """A class with its gateways."""
        folder, own = self.folder, servers[data_class]
        callers_file(folder, data_class).write_text(callers_text(keys(data_class)))
        issuer = Issuer()
        lane = self._at_gateway(
            data_class, "plain", own, configurations.plain(folder, data_class, servers), small=self.mounts
        )
        lane.translated = own.translator is not None
        config = configurations.counted(folder, data_class, own, database)
        counted = lane.beside["counted"] = self._at_gateway(data_class, "counted", own, config)
        counted.translated, counted.database, counted.issuer = lane.translated, database, issuer
        counted.jwks.write_text(issuer.published())
        config = screening(configurations.screened(folder, data_class, own), detector.url)
        screened = lane.beside["screened"] = self._at_gateway(data_class, "screened", own, config)
        screened.detector = detector
        if self.mounts:
            hosts = folder / f"{data_class}-hosts"
            hosts.mkdir()
            addresses = ["127.0.0.1", SECOND_ADDRESS]
            write_hosts(hosts, replicas_host(data_class), addresses, len(addresses))
            config = configurations.replicated(folder, data_class, own)
            lane.beside["replicated"] = self._at_gateway(
                data_class, "replicated", own, config, hosts_of(hosts)
            )
        return lane

    def _at_gateway(
        self,
        data_class: str,
        kind: GatewayKind,
        own: Servers,
        config: dict[str, Any],
        within: Sequence[str] = (),
        *,
        small: bool = False,
    ) -> Lane:
        """A class at a gateway with audit records. `small`: they are on a small disk of their own."""
        site = AuditSite.at(self.folder / f"{data_class}-{kind}-records")
        # A public gateway's records may wait for their seal. Here they may not, so that its row has results.
        config["audit"] = settings(site.root, site, max_unsealed_s=180)
        gateway = self._start(
            f"{data_class}-{kind}", config, within=on_a_small_disk(site, "4m") if small else within
        )
        tls = self.authority.client("app")
        app, keyless = (
            self.stack.enter_context(
                httpx.Client(base_url=gateway.url, verify=context, trust_env=False, timeout=30)
            )
            for context in (tls, self.authority.client(None))
        )
        audited = Audited(gateway, site, app, seen_at(site, gateway) if small else site.records)
        return Lane(
            data_class,
            self.folder,
            gateway,
            own.model,
            own.second,
            tls,
            app,
            keyless,
            audited,
            own_disk=small,
        )

    def _start(
        self,
        name: str,
        config: dict[str, Any],
        environment: dict[str, str] | None = None,
        within: Sequence[str] = (),
    ) -> Edge:
        edge = Edge(self.folder / name, config, environment, within=within)
        self.stack.callback(edge.stop)
        self.started.append(edge)
        return edge


@contextlib.contextmanager
def _serving(server: Any) -> Iterator[Any]:
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()

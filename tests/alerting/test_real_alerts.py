"""Real faults of running processes, seen by a real Prometheus and Alertmanager with the rules that a platform renders.

Each fault declares first which alerts reach the webhook; no other may. Windows are a fifteenth of those rendered.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from components.observability.prometheus_rules import class_groups
from sandbox.local import alert_inbox
from sandbox.local.monitoring import Target
from tests.alerting.watching import HEARTBEAT, MODEL_PROBES, Watching, watching
from tests.blueprints import bank
from tests.edge.audit.harness import AuditSite, exchange
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
from tests.s3_service import client as s3_client
from tests.s3_service import s3_service

pytestmark = pytest.mark.service

CLASS, ENDPOINT = "restricted", "restricted-qwen3-32b"
NAMESPACE = f"isthmus-{CLASS}"

NEVER_HERE = {
    # Nobody is refused before the gateway knows who asks.
    "isthmus_refusals_total",
    # This gateway writes no records.
    "isthmus_audit_unsealed_seconds",
    "isthmus_audit_failures_total",
    # The name of the model lists no replicas, no limit of requests is set, and nobody can stop a workload.
    "isthmus_endpoint_replicas",
    "isthmus_endpoint_unresolved",
    "isthmus_endpoint_limit",
    "isthmus_workload_stopped",
    # Nobody asks for a stream, which alone has these times.
    *(f"isthmus_time_to_first_token_seconds_{part}" for part in ("bucket", "count")),
    *(f"isthmus_time_per_output_token_seconds_{part}" for part in ("bucket", "count")),
}
"""What rules select and these processes do not export."""


def rules() -> list[dict[str, Any]]:
    """The rules of the bank's restricted class, with a detector beside its gateway. No loader runs here."""
    platform = bank.platform()
    screening = next(gateway.screening for gateway in platform.gateways if gateway.screening is not None)
    gateways = [
        gateway.model_copy(update={"screening": screening, "usage": None})
        if gateway.class_ == CLASS
        else gateway
        for gateway in platform.gateways
    ]
    platform = platform.model_copy(update={"gateways": gateways})
    return class_groups(platform, platform.site("fra1"), CLASS)


@dataclass
class Watched:
    """The processes of a class, those that watch them, and the alerts that came."""

    watching: Watching
    authority: Authority
    gateway: Edge
    edges: dict[str, Edge]
    store: ExitStack
    writer: Any
    over: threading.Event = field(default_factory=threading.Event)

    def take_store(self) -> None:
        """End the store, and write records that wait for a seal then."""
        self.store.close()
        exchange(self.writer, "a")

    def ask(self) -> None:
        """Send ten requests a second until the end."""
        with httpx.Client(
            base_url=self.gateway.url, verify=self.authority.client("app"), trust_env=False, timeout=20
        ) as client:
            while not self.over.wait(0.1):
                client.post("/v1/chat/completions", json=chat(), headers=bearer(KEYS[WORKLOAD]))


def sidecar_config(folder: Path, authority: Authority, model: FakeModel) -> dict[str, Any]:
    return {
        "mode": "sidecar",
        "class": CLASS,
        "listen": {
            "certificate": str(folder / "sidecar.crt"),
            "key": str(folder / "sidecar.key"),
            "client_ca": str(authority.path),
        },
        "allowed_clients": [GATEWAY_NAME],
        "upstream": model.url,
    }


def detector_config() -> dict[str, Any]:
    return {"mode": "detector", "class": CLASS, "rules": {"languages": ["de"]}, "workers": 1}


def sealer_config(folder: Path, audit_site: AuditSite, url: str) -> dict[str, Any]:
    (folder / "sealer.pem").write_bytes(audit_site.private)
    (folder / "credentials").write_text("[default]\naws_access_key_id = a\naws_secret_access_key = b\n")
    s3_client(url).create_bucket(Bucket="records", ObjectLockEnabledForBucket=True)
    store = {
        **{"endpoint": url, "region": "us-east-1", "bucket": "records", "prefix": "fra1"},
        **{"credentials": str(folder / "credentials"), "retention_days": 1825},
    }
    return {
        **{"mode": "sealer", "class": CLASS, "site": "fra1", "every_s": 1, "store": store},
        **{"records": str(audit_site.records), "seals": str(audit_site.seals)},
        "signing_key": str(folder / "sealer.pem"),
    }


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    authority = Authority(folder)
    for name, host in (("gateway", GATEWAY_NAME), ("sidecar", MODEL_NAME), ("app", "app.payments.svc")):
        authority.issue(name, host)
    (folder / "callers.yaml").write_text(callers_text())
    model = FakeModel()
    audit_site = AuditSite.at(folder)
    writer = audit_site.writer()
    with ExitStack() as store:
        url = store.enter_context(s3_service())
        edges = {
            "sidecar": Edge(folder / "sidecar", sidecar_config(folder, authority, model)),
            "sealer": Edge(folder / "sealer", sealer_config(folder, audit_site, url)),
            "detector": Edge(folder / "detector", detector_config()),
        }
        config = gateway_config(folder, edges["sidecar"].port)
        config["routes"] = config["routes"][:1]
        config["model_probes"] = MODEL_PROBES
        edges["gateway"] = Edge(folder / "gateway", config)
        for edge in edges.values():
            edge.wait_until_up()
        targets = [
            Target(NAMESPACE, f"{CLASS}-gateway", "health", edges["gateway"].health_port),
            Target(NAMESPACE, f"{CLASS}-gateway", "detector", edges["detector"].health_port),
            Target(NAMESPACE, ENDPOINT, "health", edges["sidecar"].health_port),
            Target(f"{NAMESPACE}-sealer", f"{CLASS}-sealer", "health", edges["sealer"].health_port),
        ]
        with watching(folder / "monitoring", rules(), targets) as programs:
            site = Watched(programs, authority, edges["gateway"], edges, store, writer)
            asking = threading.Thread(target=site.ask)
            asking.start()
            try:
                yield site
            finally:
                site.over.set()
                asking.join(30)
                for edge in edges.values():
                    edge.process.kill()
                    edge.process.wait(10)


def test_three_faults_reach_the_webhook_as_the_declared_alerts_and_nothing_else_does(
    watched: Watched,
) -> None:
    # The certificates of tests end within three days.
    firing = HEARTBEAT | {("CertificateEndsSoon", "ticket")}
    watched.watching.expect(firing)

    # The detector's process is killed. It does not serve this gateway's requests, so no goal is missed.
    watched.edges["detector"].process.kill()
    firing |= {("DetectorDown", "page")}
    watched.watching.expect(firing)

    # The store of records is gone: the sealer runs and answers scrapes, and cannot seal.
    watched.take_store()
    firing |= {("ServiceDown", "page")}
    watched.watching.expect(firing)

    # The pod of the only replica is killed: nothing answers scrapes there, and requests fail.
    watched.edges["sidecar"].process.kill()
    firing |= {
        ("ModelDown", "page"),
        ("ModelNotAnswering", "page"),
        ("EndpointNotGood", "ticket"),
        ("AvailabilityBudgetBurns", "page"),
        ("AvailabilityBudgetBurns", "ticket"),
    }
    watched.watching.expect(firing)
    for notice in alert_inbox.read_notices(watched.watching.file):
        assert notice.labels["class"] == CLASS
        assert notice.annotations["runbook"].startswith("docs/runbooks.md#")
        texts = json.dumps(notice.annotations)
        assert "error calling" not in texts, "a text of an alert could not be written"
    assert watched.watching.without_data() == NEVER_HERE

"""Ten further faults of running processes, each on a site of its own, in the soak (`test_real_alerts` has three).

The table declares which alerts reach the webhook. No other may. Windows are a fifteenth of those rendered.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from components.observability.prometheus_rules import class_groups
from isthmus.contracts.platform.model.callers import Allowance
from sandbox.local.monitoring import Target
from tests.alerting.watching import HEARTBEAT, MODEL_PROBES, Alerts, Watching, watching
from tests.blueprints import bank
from tests.edge.certificates import Authority
from tests.edge.conftest import GATEWAY_NAME, WORKLOAD, bearer, chat
from tests.edge.counted import MODEL_NAMES
from tests.edge.postgres import Postgres
from tests.edge.processes import Edge
from tests.edge.reviews.reviewed import RULE, Reviewed, reviewed

pytestmark = [pytest.mark.service, pytest.mark.soak]

CLASS, ENDPOINT, HELD = "restricted", "restricted-qwen3-32b", "held-narratives"
NAMESPACE = f"isthmus-{CLASS}"
TOKENS = 100_000
"""Limit of the workload for a month."""
UNSEALED_S = 40
"""The platform states it; the gateway here refuses nothing before the 180 s of its class."""
FIRST_DEADLINE_H = 5 / 3600
ANSWER_MS, SLOW_S = 2500.0, 4.0
"""Goal of the whole answer, and an answer that misses it."""
ASKERS = 6


def rules() -> list[dict[str, Any]]:
    """The rules of the bank's restricted class with one gateway, two model replicas and a workload that holds."""
    platform = bank.platform()
    gateway = next(gateway for gateway in platform.gateways if gateway.class_ == CLASS)
    (workload,) = gateway.workloads
    assert gateway.audit is not None
    assert workload.slo is not None
    changed = gateway.model_copy(
        update={
            "replicas": 1,
            "usage": None,  # no loader runs here
            "audit": gateway.audit.model_copy(update={"max_unsealed_s": UNSEALED_S}),
            "workloads": [
                workload.model_copy(
                    update={
                        "allowance": Allowance(tokens_per_month=TOKENS),
                        # Answers that may be held are not relayed as they are generated: they have no first token.
                        "slo": workload.slo.model_copy(update={"answer_p95_ms": ANSWER_MS}),
                    }
                ),
                workload.model_copy(update={"name": HELD, "slo": None}),
            ],
        }
    )
    endpoints = [
        endpoint.model_copy(update={"replicas": 2}) if endpoint.id == ENDPOINT else endpoint
        for endpoint in platform.endpoints
    ]
    platform = platform.model_copy(update={"gateways": [changed], "endpoints": endpoints})
    return class_groups(platform, platform.site("fra1"), CLASS)


@dataclass
class Faulty:
    """The processes of a class with a database, and those that watch them."""

    site: Reviewed
    second_replica: Edge
    watching: Watching

    def answer_slowly(self) -> None:
        answers = threading.Event()
        self.site.made.models[0].prepare = lambda request: void(answers.wait(SLOW_S))

    def fail(self) -> None:
        self.site.made.models[0].reset("status-500")

    def hang(self) -> None:
        """The model takes requests and answers none. Its health and metrics are as before, and nobody calls it."""
        self.site.made.models[0].reset("stall")

    def shorten_certificate(self) -> None:
        self.site.made.authority.days = 1
        self.site.made.authority.issue("gateway", GATEWAY_NAME)

    def take_store(self) -> None:
        """The sealer cannot write any more. One record waits for its seal."""
        store = self.site.audit_site.root / "store"
        store.rename(store.with_name("gone"))
        store.write_text("")
        self.site.ask(WORKLOAD)

    def shut_database(self) -> None:
        self.site.made.door.shut()

    def end_prometheus(self) -> None:
        self.watching.programs["prometheus"].kill()

    def hold(self) -> None:
        self.site.hold(HELD)

    def use_budget(self) -> None:
        self.site.made.models[0].usage = {
            "prompt_tokens": int(TOKENS * 0.85),
            "completion_tokens": 5,
            "total_tokens": int(TOKENS * 0.85) + 5,
        }
        assert self.site.ask(WORKLOAD).status_code == 200

    def end_replica(self) -> None:
        self.second_replica.process.kill()


def void(_: object) -> None:
    """Nothing, of a value that is not needed."""


@dataclass(frozen=True)
class Fault:
    """What happens, and the alerts that it must bring beside the heartbeat."""

    name: str
    begin: Callable[[Faulty], None]
    alerts: Alerts
    asks: bool = False
    """Whether callers send requests meanwhile."""
    heartbeat: bool = True


def tickets(*names: str) -> Alerts:
    return frozenset((name, "ticket") for name in names)


def pages(*names: str) -> Alerts:
    return frozenset((name, "page") for name in names)


def burns(goal: str) -> Alerts:
    return pages(f"{goal}BudgetBurns") | tickets(f"{goal}BudgetBurns")


FAULTS = (
    Fault("the model answers slowly", Faulty.answer_slowly, burns("AnswerTime"), asks=True),
    Fault(
        "the model answers with errors",
        Faulty.fail,
        burns("Availability") | pages("ModelNotAnswering"),
        asks=True,
    ),
    Fault("the model hangs", Faulty.hang, pages("ModelNotAnswering")),
    Fault("a certificate ends tomorrow", Faulty.shorten_certificate, tickets("CertificateEndsSoon")),
    Fault("the sealer cannot write", Faulty.take_store, tickets("RecordsNotSealed")),
    Fault(
        "the database is down",
        Faulty.shut_database,
        # The gateway does not learn whose requests it refuses, so no workload's budget counts them.
        pages("CallersNotRecognised"),
        asks=True,
    ),
    Fault("Prometheus is down", Faulty.end_prometheus, frozenset(), heartbeat=False),
    Fault("nobody decides on a held answer", Faulty.hold, tickets("HeldAnswersOverdue")),
    Fault("a month's tokens are nearly used", Faulty.use_budget, tickets("MonthNearlyUsed")),
    Fault("a replica is missing", Faulty.end_replica, tickets("ModelReplicasMissing")),
)


@contextmanager
def faulty(folder: Path, postgres: Postgres, name: str) -> Iterator[Faulty]:
    workloads = [
        {"name": WORKLOAD, "impact": "low", "review": RULE, "allowance": {"tokens_per_month": TOKENS}},
        {"name": HELD, "impact": "high", "review": RULE},
    ]
    probes = {"model_probes": MODEL_PROBES}
    with reviewed(folder, postgres, name, workloads, gateway=probes, decide_h=FIRST_DEADLINE_H) as site:
        listen = {
            "certificate": str(folder / "model-0.crt"),
            "key": str(folder / "model-0.key"),
            "client_ca": str(site.made.authority.path),
        }
        second = Edge(
            folder / "second-replica",
            {
                **{"mode": "sidecar", "class": CLASS, "listen": listen, "upstream": site.made.models[0].url},
                "allowed_clients": [GATEWAY_NAME, *MODEL_NAMES],
            },
        ).wait_until_up()
        for workload in (WORKLOAD, HELD):
            site.key(workload)
        targets = [
            Target(NAMESPACE, f"{CLASS}-gateway", "health", site.gateway.health_port),
            *(
                Target(NAMESPACE, ENDPOINT, "health", edge.health_port)
                for edge in (*site.made.sidecars, second)
            ),
            Target(f"{NAMESPACE}-reviews", f"{CLASS}-reviews", "health", site.desk.health_port),
        ]
        try:
            with watching(folder / "monitoring", rules(), targets, copies=True) as programs:
                yield Faulty(site, second, programs)
        finally:
            second.process.kill()
            second.process.wait(10)


@contextmanager
def asking(site: Reviewed) -> Iterator[None]:
    """Callers who send requests, some of each second, until the context ends."""
    over = threading.Event()

    def ask() -> None:
        context = site.made.authority.client("app")
        with httpx.Client(base_url=site.gateway.url, verify=context, trust_env=False, timeout=30) as client:
            while not over.wait(0.3):
                with suppress(httpx.HTTPError):
                    client.post("/v1/chat/completions", json=chat(), headers=bearer(site.key(WORKLOAD)))

    askers = [threading.Thread(target=ask) for _ in range(ASKERS)]
    for asker in askers:
        asker.start()
    try:
        yield
    finally:
        over.set()
        for asker in askers:
            asker.join(30)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.replace(" ", "-"))
def test_a_fault_brings_its_declared_alerts_to_the_webhook_and_no_others(
    fault: Fault, postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Authority, "days", 30)
    with faulty(tmp_path / "site", postgres, f"fault{FAULTS.index(fault)}") as site:
        site.watching.expect(HEARTBEAT)
        fault.begin(site)
        expected = fault.alerts | HEARTBEAT if fault.heartbeat else fault.alerts
        if fault.asks:
            with asking(site.site):
                site.watching.expect(expected)
        else:
            site.watching.expect(expected)

"""A gateway at which people sign on, and the issuer of their tokens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from edge.redaction import Detector, Rules
from tests.edge.issuer import AUDIENCE, CHAT, ISSUER, Issuer
from tests.edge.postgres import Postgres
from tests.edge.reviews.reviewed import SECRET, Reviewed, reviewed
from tests.edge.screening.fake_detector import FakeDetector

DIRK: dict[str, Any] = {"sub": "dirk", "email": "dirk@bank.example"}

OFFERED = ["responses", "messages"]


class SignedOn:
    """A gateway that accepts tokens, and the issuer."""

    def __init__(self, site: Reviewed, issuer: Issuer) -> None:
        self.site, self.issuer = site, issuer

    def send(
        self, method: str, path: str, token: str, certificate: str = "app", **more: Any
    ) -> httpx.Response:
        headers = {"authorization": f"Bearer {token}", **more.pop("headers", {})}
        client = self.site.client(self.site.gateway, certificate)
        return client.request(method, f"/v1{path}", headers=headers, **more)

    def ask(self, token: str, model: str = "credit", certificate: str = "app", **more: Any) -> httpx.Response:
        headers = more.pop("headers", {})
        body = {"model": model, "messages": [{"role": "user", "content": SECRET}], **more}
        return self.send("POST", "/chat/completions", token, certificate, json=body, headers=headers)


@contextmanager
def people_at_a_gateway(
    postgres: Postgres, folder: Path, database: str, **reviews: Any
) -> Iterator[SignedOn]:
    """A gateway with four workloads: answers of `credit` are held, those of `claims` are delivered.

    Those of `guarded` are held if a guard suspects an attack in the prompt. `reviews`: further settings of it.
    """
    issuer = Issuer()
    file = folder / "jwks.json"
    file.write_text(issuer.published())
    tokens = {
        "issuer": ISSUER,
        "audiences": [AUDIENCE],
        "clients": [CHAT],
        "through": ["app.payments.svc"],
        "jwks_file": str(file),
        "workloads": [
            {"workload": "credit", "groups": ["clerks", "heads"]},
            {"workload": "claims", "groups": ["heads"]},
            {"workload": "bound", "groups": ["strangers"]},
            {"workload": "guarded", "groups": ["press"]},
        ],
        "owners": [{"workload": "claims", "groups": ["claims-owners"]}],
    }
    workloads: list[dict[str, Any]] = [
        {"name": "credit", "impact": "high", "review": {"domain": "payments", "below_confidence": 0.8}},
        {
            "name": "claims",
            "impact": "low",
            "review": {"domain": "payments", "below_confidence": 0.8},
            "allowance": {"tokens_per_month": 1_000_000},
        },
        {
            "name": "bound",
            "impact": "low",
            "review": {"domain": "x", "below_confidence": 0.8},
            "clients": ["y.svc"],
        },
        {"name": "guarded", "impact": "low", "review": {"domain": "payments", "below_confidence": 0.8}},
    ]
    guard = {"name": "attacks", "on": "prompts", "entities": ["PROMPT_ATTACK"], "then": "review"}
    detector = FakeDetector(Detector(Rules()))
    screening = {"detector": detector.url, "guards": [{**guard, "workloads": ["guarded"]}]}
    more = {"tokens": tokens, "screening": screening}
    try:
        with reviewed(
            folder, postgres, database, workloads, gateway=more, interfaces=OFFERED, **reviews
        ) as site:
            yield SignedOn(site, issuer)
    finally:
        detector.shutdown()
        detector.server_close()

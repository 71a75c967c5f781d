"""People who signed on: they call with access tokens, in their own name, for the workloads of their groups."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.edge.conftest import code_of
from tests.edge.issuer import AUDIENCE, CHAT, ISSUER, Issuer
from tests.edge.postgres import Postgres
from tests.edge.reviews.reviewed import SECRET, Reviewed, reviewed

DIRK: dict[str, Any] = {"sub": "dirk", "email": "dirk@bank.example"}


class SignedOn:
    """A gateway that accepts tokens, and the issuer."""

    def __init__(self, site: Reviewed, issuer: Issuer) -> None:
        self.site, self.issuer = site, issuer

    def send(
        self, method: str, path: str, token: str, certificate: str = "app", **more: Any
    ) -> httpx.Response:
        headers = {"authorization": f"Bearer {token}"}
        client = self.site.client(self.site.gateway, certificate)
        return client.request(method, f"/v1{path}", headers=headers, **more)

    def ask(self, token: str, model: str = "credit", certificate: str = "app", **more: Any) -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": SECRET}], **more}
        return self.send("POST", "/chat/completions", token, certificate, json=body)


@pytest.fixture(scope="module")
def signed_on(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignedOn]:
    folder, issuer = tmp_path_factory.mktemp("people"), Issuer()
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
        ],
    }
    workloads: list[dict[str, Any]] = [
        {"name": "credit", "impact": "high", "review": {"domain": "payments", "below_confidence": 0.8}},
        {"name": "claims", "impact": "low", "review": {"domain": "payments", "below_confidence": 0.8}},
        {
            "name": "bound",
            "impact": "low",
            "review": {"domain": "x", "below_confidence": 0.8},
            "clients": ["y.svc"],
        },
    ]
    with reviewed(folder, postgres, "people", workloads, gateway={"tokens": tokens}) as site:
        yield SignedOn(site, issuer)


def models(answer: httpx.Response) -> list[str]:
    return [entry["id"] for entry in answer.json()["data"]]


def test_a_person_sees_and_uses_the_models_of_all_their_groups(signed_on: SignedOn):
    head, clerk = signed_on.issuer.token(["heads"]), signed_on.issuer.token(["clerks"])
    assert models(signed_on.send("GET", "/models", head)) == ["credit", "claims"]
    assert models(signed_on.send("GET", "/models", clerk)) == ["credit"]
    assert signed_on.ask(head, "claims").status_code == 200
    assert signed_on.ask(head, "credit").status_code == 202
    assert code_of(signed_on.ask(clerk, "claims")) == "model_not_found"


def test_a_person_without_a_group_gets_no_workload_and_is_told_why(signed_on: SignedOn):
    refused = signed_on.ask(signed_on.issuer.token(["guests"]))
    assert (refused.status_code, code_of(refused)) == (403, "no_workload")
    assert "groups" in refused.json()["error"]["message"]
    assert code_of(signed_on.ask(signed_on.issuer.token(None))) == "no_workload"


def test_a_token_widens_neither_the_certificate_nor_a_workloads_clients(signed_on: SignedOn):
    token = signed_on.issuer.token(["clerks"])
    assert code_of(signed_on.ask(token, certificate="desk")) == "wrong_client"
    assert code_of(signed_on.ask(signed_on.issuer.token(["strangers"]), "bound")) == "no_workload"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("some-opaque-token", "opaque_token"),
        ("isk_" + "x" * 43, "invalid_api_key"),
        ("e30.e30.x", "token_algorithm"),
    ],
)
def test_what_is_no_token_is_refused_with_its_cause(signed_on: SignedOn, value: str, expected: str):
    refused = signed_on.ask(value)
    assert (refused.status_code, code_of(refused)) == (401, expected)


def test_keys_work_beside_tokens(signed_on: SignedOn):
    assert signed_on.site.ask("claims").status_code == 200


def test_the_record_has_a_pseudonym_and_nothing_has_the_name(signed_on: SignedOn):
    site, token = signed_on.site, signed_on.issuer.token(["heads"])
    answers = [signed_on.ask(token, "claims", user="somebody-else") for _ in range(2)]
    whos = [site.records("outcome", answer.headers["x-request-id"])[0]["who"] for answer in answers]
    assert whos[0] == whos[1]
    assert whos[0]["workload"] == "claims"
    assert whos[0]["identity"].startswith("person:u-")
    other = signed_on.ask(signed_on.issuer.token(["heads"], **DIRK), "claims")
    assert site.records("outcome", other.headers["x-request-id"])[0]["who"] != whos[0]
    written = b"".join(path.read_bytes() for path in site.audit_site.records.rglob("*") if path.is_file())
    for text in (b"clara@bank", b"dirk@bank", token.encode(), b"heads"):
        assert text not in written
        assert text.decode() not in site.gateway.output()
    assert "clara" not in json.dumps([model.received for model in site.made.models], default=str)


def test_a_held_answer_is_seen_by_the_person_who_asked_and_by_no_colleague(signed_on: SignedOn):
    site, clara, dirk = (
        signed_on.site,
        signed_on.issuer.token(["clerks"]),
        signed_on.issuer.token(["clerks"], **DIRK),
    )
    answer_id = signed_on.ask(clara).json()["id"]
    assert signed_on.send("GET", f"/reviews/{answer_id}", clara).json()["status"] == "held"
    refused = signed_on.send("GET", f"/reviews/{answer_id}", dirk)
    assert (refused.status_code, code_of(refused)) == (404, "review_not_found")
    for name in ("anna@bank", "bert@bank"):
        assert site.act(site.reviewer(name), answer_id, "approve").status_code == 200
    assert signed_on.send("GET", f"/reviews/{answer_id}", clara).status_code == 200
    assert signed_on.send("GET", f"/reviews/{answer_id}", dirk).status_code == 404


def test_a_person_cannot_review_the_answer_to_their_own_request(signed_on: SignedOn):
    site = signed_on.site
    answer_id = signed_on.ask(signed_on.issuer.token(["clerks"])).json()["id"]
    key = site.reviewer("clara@bank.example")
    refused = site.at_desk(key, "POST", f"/{answer_id}/claim")
    assert (refused.status_code, code_of(refused)) == (403, "own_request")


def test_an_expired_token_gets_nothing(signed_on: SignedOn):
    assert code_of(signed_on.ask(signed_on.issuer.token(["clerks"], iat=1, exp=200))) == "expired_token"

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


def test_feedback_comes_from_the_person_who_asked_and_from_nobody_else(signed_on: SignedOn):
    site, clara = signed_on.site, signed_on.issuer.token(["heads"])
    answer = signed_on.ask(clara, "claims")
    said = {"id": answer.json()["id"], "rating": "down", "reason": "out-of-date"}
    given = signed_on.send("POST", "/feedback", clara, json=said)
    request_id = answer.headers["x-request-id"]
    assert given.json() == {"id": request_id, "object": "feedback", "rating": "down", "reason": "out-of-date"}
    dirk = signed_on.issuer.token(["heads"], **DIRK)
    refused = signed_on.send("POST", "/feedback", dirk, json=said)
    assert (refused.status_code, code_of(refused)) == (404, "request_not_found")
    by_key = signed_on.send("POST", "/feedback", site.key("claims"), json=said)
    assert (by_key.status_code, code_of(by_key)) == (403, "people_only")
    (record,) = site.records("feedback", request_id)
    assert (record["rating"], record["reason"], record["who"]["workload"]) == (
        "down",
        "out-of-date",
        "claims",
    )
    assert record["who"]["identity"].startswith("person:u-")
    changed = signed_on.send("POST", "/feedback", clara, json={**said, "rating": "up", "reason": ""})
    assert changed.status_code == 200
    rows = site.sql("SELECT rating, reason FROM isthmus.feedback")
    assert [(row["rating"], row["reason"]) for row in rows] == [(1, "")]
    assert site.audit_site.verify(records=site.audit_site.records).findings == []


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"rating": "up"}, "request_not_found"),
        ({"id": "x" * 32, "rating": "up"}, "request_not_found"),
        ({"id": 5, "rating": "up"}, "request_not_found"),
        ({"id": "0" * 32, "rating": "good"}, "invalid_rating"),
        ({"id": "0" * 32, "rating": "up", "reason": "The clerk said no."}, "invalid_reason"),
        ({"id": "0" * 32, "rating": "up", "text": "x"}, "unknown_field"),
    ],
)
def test_feedback_that_cannot_be_taken_is_refused_with_its_cause(
    signed_on: SignedOn, body: dict[str, Any], expected: str
):
    refused = signed_on.send("POST", "/feedback", signed_on.issuer.token(["heads"]), json=body)
    assert code_of(refused) == expected


def test_a_persons_requests_are_forgotten_after_a_month(signed_on: SignedOn):
    site, clara = signed_on.site, signed_on.issuer.token(["heads"])
    answer = signed_on.ask(clara, "claims")
    site.sql("UPDATE isthmus.asked SET delete_at = now() - interval '1 s'")
    said = {"id": answer.json()["id"], "rating": "up"}
    assert code_of(signed_on.send("POST", "/feedback", clara, json=said)) == "request_not_found"


def opened(signed_on: SignedOn, token: str, **more: Any) -> httpx.Response:
    """A case about an answer that the person got."""
    answer = signed_on.ask(token, "claims")
    said = answer.json()["choices"][0]["message"]["content"]
    messages = [{"role": "user", "content": SECRET}, {"role": "assistant", "content": said}]
    body = {"id": answer.json()["id"], "question": "Is this the new rate?", "messages": messages, **more}
    return signed_on.send("POST", "/cases", token, json=body)


def test_a_reviewer_replies_to_a_case_and_only_its_person_reads_the_reply(signed_on: SignedOn):
    site, clara = signed_on.site, signed_on.issuer.token(["heads"])
    case = opened(signed_on, clara)
    assert (case.status_code, case.json()["status"]) == (201, "open")
    case_id = case.json()["id"]
    assert case.headers["location"] == f"/v1/cases/{case_id}"
    key = site.reviewer("rita@bank")
    claimed = site.claim(key, case_id)
    assert (claimed["why"], claimed["asked"]["question"]) == (["asked"], "Is this the new rate?")
    assert claimed["asked"]["messages"][0]["content"] == SECRET
    assert (
        site.act(key, case_id, "correct", claimed, texts=["No, the old one."]).json()["status"] == "approved"
    )
    read = signed_on.send("GET", f"/cases/{case_id}", clara).json()
    assert (read["status"], read["reply"]) == ("answered", "No, the old one.")
    for other in (signed_on.issuer.token(["heads"], **DIRK), site.key("claims")):
        assert signed_on.send("GET", f"/cases/{case_id}", other).status_code in (403, 404)
    assert code_of(signed_on.send("GET", f"/reviews/{case_id}", clara)) == "review_not_found"
    acts = [record["act"] for record in site.records("review", case_id)]
    assert acts == ["open", "claim", "correct", "give"]
    assert "No, the old one." not in site.gateway.output() + site.desk.output()


def test_a_reviewer_confirms_an_answer_or_closes_the_case_with_a_reason(signed_on: SignedOn):
    site, clara = signed_on.site, signed_on.issuer.token(["heads"])
    key = site.reviewer("rolf@bank")
    confirmed, closed = (opened(signed_on, clara).json()["id"] for _ in range(2))
    site.act(key, confirmed, "approve")
    site.act(key, closed, "reject", reason="not-ours", note="Ask the branch.")
    read = signed_on.send("GET", f"/cases/{confirmed}", clara).json()
    assert (read["status"], read["confirmed"]) == ("answered", True)
    read = signed_on.send("GET", f"/cases/{closed}", clara).json()
    assert (read["status"], read["reason"], read["note"]) == ("closed", "not-ours", "Ask the branch.")


def test_nobody_opens_a_case_about_anothers_request_or_answers_their_own(signed_on: SignedOn):
    site, clara = signed_on.site, signed_on.issuer.token(["heads"])
    answer_id = signed_on.ask(clara, "claims").json()["id"]
    dirk = signed_on.issuer.token(["heads"], **DIRK)
    assert code_of(opened(signed_on, dirk, id=answer_id)) == "request_not_found"
    case_id = opened(signed_on, clara).json()["id"]
    refused = site.at_desk(site.reviewer("clara@bank.example"), "POST", f"/{case_id}/claim")
    assert code_of(refused) == "own_request"


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"question": ""}, "invalid_question"),
        ({"question": "x" * 4001}, "invalid_question"),
        ({"messages": []}, "invalid_messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "invalid_messages"),
        ({"messages": [{"role": "user", "content": "x", "name": "y"}]}, "invalid_messages"),
        ({"messages": [{"role": "user", "content": "x" * 100_001}]}, "invalid_messages"),
        ({"more": 1}, "unknown_field"),
    ],
)
def test_a_case_that_cannot_be_taken_is_refused_with_its_cause(
    signed_on: SignedOn, more: dict[str, Any], expected: str
):
    assert code_of(opened(signed_on, signed_on.issuer.token(["heads"]), **more)) == expected

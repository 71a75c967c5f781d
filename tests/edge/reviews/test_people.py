"""People who signed on: they call with access tokens, in their own name, for the workloads of their groups."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from edge.audit.content import Hmacs
from edge.callers.store import digest_of, id_of
from tests.edge.audit.audited import SITE_KEY
from tests.edge.conftest import code_of
from tests.edge.fake_model import WORDS
from tests.edge.postgres import Postgres
from tests.edge.reviews.reviewed import SECRET
from tests.edge.reviews.signing_on import DIRK, SignedOn, people_at_a_gateway


@pytest.fixture(scope="module")
def signed_on(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignedOn]:
    with people_at_a_gateway(postgres, tmp_path_factory.mktemp("people"), "people") as site:
        yield site


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
    ("path", "fields"),
    [
        ("/responses", {"input": SECRET}),
        ("/messages", {"max_tokens": 9, "messages": [{"role": "user", "content": SECRET}]}),
    ],
)
def test_feedback_finds_an_answer_of_every_interface_by_its_id(
    signed_on: SignedOn, path: str, fields: dict[str, Any]
):
    clara = signed_on.issuer.token(["heads"])
    answer = signed_on.send("POST", path, clara, json={"model": "claims", **fields})
    assert answer.status_code == 200, answer.text
    given = signed_on.send("POST", "/feedback", clara, json={"id": answer.json()["id"], "rating": "up"})
    assert given.json()["id"] == answer.headers["x-request-id"]


def test_an_application_names_its_request_and_feedback_finds_it_by_that_name(signed_on: SignedOn):
    clara, dirk = signed_on.issuer.token(["heads"]), signed_on.issuer.token(["heads"], **DIRK)
    for token in (dirk, clara):
        answer = signed_on.ask(token, "claims", headers={"x-client-request-id": "message-7"})
    said = {"id": "message-7", "rating": "up"}
    given = signed_on.send("POST", "/feedback", clara, json=said)
    assert given.json()["id"] == answer.headers["x-request-id"]
    unnamed = signed_on.ask(clara, "claims", headers={"x-client-request-id": "no name, a text"})
    assert unnamed.status_code == 200
    assert code_of(signed_on.send("POST", "/feedback", clara, json={**said, "id": "message-8"})) == (
        "request_not_found"
    )


def test_a_person_sees_the_list_of_their_own_held_answers_and_cases(signed_on: SignedOn):
    site, erna = signed_on.site, signed_on.issuer.token(["heads"], sub="erna", email="erna@bank.example")
    assert signed_on.send("GET", "/reviews", erna).json() == {"object": "list", "data": []}
    held = signed_on.ask(erna).json()["id"]
    case = opened(signed_on, erna).json()["id"]
    listed = signed_on.send("GET", "/reviews", erna).json()["data"]
    assert [(entry["id"], entry["object"], entry["status"], entry["workload"]) for entry in listed] == [
        (case, "case", "open", "claims"),
        (held, "review", "held", "credit"),
    ]
    assert SECRET not in json.dumps(listed)
    assert signed_on.send("GET", "/reviews", signed_on.issuer.token(["heads"], **DIRK)).json()["data"] == []
    refused = signed_on.send("GET", "/reviews", site.key("claims"))
    assert (refused.status_code, code_of(refused)) == (403, "people_only")


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


def asked_and_answered(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    """A conversation of questions and answers."""
    roles = ("user", "assistant")
    return [{"role": role, "content": text} for pair in pairs for role, text in zip(roles, pair, strict=True)]


def turns_of(signed_on: SignedOn, token: str, answer_id: str, messages: list[dict[str, str]]) -> list[str]:
    """The marks that a reviewer of the case sees, which are on record."""
    site = signed_on.site
    body = {"id": answer_id, "question": "Right?", "messages": messages}
    case = signed_on.send("POST", "/cases", token, json=body)
    assert case.status_code == 201, case.text
    assert "turns" not in case.json(), "the person does not learn what is on record"
    turns = site.claim(site.reviewer("rosa@bank"), case.json()["id"])["turns"]
    assert site.records("review", case.json()["id"])[0]["turns"] == turns
    return turns


@pytest.mark.parametrize("stream", [False, True])
def test_a_case_shows_which_turns_match_the_record(signed_on: SignedOn, stream: bool):
    clara = signed_on.issuer.token(["heads"], sub=f"clara-{stream}")
    answer = signed_on.ask(clara, "claims", stream=stream)
    request_id, said = answer.headers["x-request-id"], "".join(WORDS)
    assert turns_of(signed_on, clara, request_id, asked_and_answered((SECRET, said))) == ["matches"] * 2
    changed = asked_and_answered(("Who is it?", "Nobody."), (SECRET, "Paid to me."))
    assert turns_of(signed_on, clara, request_id, changed) == [
        *("not-on-record", "not-on-record", "matches", "differs")
    ]


def test_a_conversation_is_compared_with_the_persons_own_requests_only(signed_on: SignedOn):
    dirk, eva = (signed_on.issuer.token(["heads"], sub=name) for name in ("dirk-2", "eva-2"))
    question = "Who is dismissed?"
    theirs = [{"role": "user", "content": question}]
    assert signed_on.ask(dirk, "claims", messages=theirs).status_code == 200
    own = signed_on.ask(eva, "claims")
    messages = asked_and_answered((question, "".join(WORDS)), (SECRET, "".join(WORDS)))
    turns = turns_of(signed_on, eva, own.json()["id"], messages)
    assert turns[0] == "differs", "the answer is hers too; the question is not, and was never compared"
    assert turns[1:] == ["matches"] * 3


def test_an_answer_that_people_released_is_compared_with_their_words(signed_on: SignedOn):
    site, fred = signed_on.site, signed_on.issuer.token(["heads"], sub="fred")
    answer_id = signed_on.ask(fred).json()["id"]
    (outcome,) = site.records("outcome", answer_id)
    assert outcome["answer"] == [], "nothing left"
    site.act(site.reviewer("anna2@bank"), answer_id, "correct", texts=["Paid to nobody."])
    assert site.act(site.reviewer("bert2@bank"), answer_id, "approve").status_code == 200
    given = signed_on.send("GET", f"/reviews/{answer_id}", fred)
    assert given.json()["choices"][0]["message"]["content"] == "Paid to nobody."
    hmacs = Hmacs(bytes.fromhex(SITE_KEY)).answers(answer_id, ["Paid to nobody."])
    by_act = {record["act"]: record.get("answer") for record in site.records("review", answer_id)}
    assert by_act == {"claim": None, "correct": hmacs, "approve": hmacs, "give": hmacs}
    assert turns_of(signed_on, fred, answer_id, asked_and_answered((SECRET, "Paid to nobody."))) == [
        *("matches", "matches")
    ]
    model_words = asked_and_answered((SECRET, "".join(WORDS)))
    assert turns_of(signed_on, fred, answer_id, model_words) == ["matches", "differs"]


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


class Load:
    """Threads that ask all the time, each with the newest credential."""

    def __init__(self, people: SignedOn, credential: str, threads: int = 6) -> None:
        self.people, self.credential = people, credential
        self.statuses: list[int | str] = []
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self._ask) for _ in range(threads)]

    def __enter__(self) -> Load:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.ending.set()
        for thread in self.threads:
            thread.join()

    def answered(self, more: int = 20) -> None:
        """Wait for so many more answers."""
        enough, end = len(self.statuses) + more, time.monotonic() + 60
        while len(self.statuses) < enough:
            assert time.monotonic() < end, "nobody is answered"
            time.sleep(0.02)

    def _ask(self) -> None:
        while not self.ending.is_set():
            answer = self.people.ask(self.credential, "claims")
            self.statuses.append(200 if answer.status_code == 200 else answer.text)


def until_accepted(people: SignedOn, credential: str) -> None:
    """Wait until the gateway knows what is new."""
    end = time.monotonic() + 30
    while (answer := people.ask(credential, "claims")).status_code != 200:
        assert time.monotonic() < end, answer.text
        time.sleep(0.1)


def replace(file: Path, text: str) -> None:
    """Replace a file at once, as the volumes of Kubernetes do: half a file of keys is refused."""
    (new := file.with_suffix(".new")).write_text(text)
    new.replace(file)


def test_nobody_is_refused_while_the_issuers_keys_rotate_under_load(signed_on: SignedOn):
    jwks = Path(signed_on.site.gateway_config["tokens"]["jwks_file"])
    old = new = signed_on.issuer.token(["heads"])
    until_accepted(signed_on, old)
    with Load(signed_on, old) as load:
        load.answered()
        for _ in range(2):
            signed_on.issuer.rotate()
            replace(
                jwks, signed_on.issuer.published()
            )  # the issuer shows its next key before it signs with it
            new = signed_on.issuer.token(["heads"])
            until_accepted(signed_on, new)
            load.credential = new
            load.answered()
    assert set(load.statuses) == {200}
    del signed_on.issuer.keys[:-1]
    replace(jwks, signed_on.issuer.published())
    end = time.monotonic() + 30
    while signed_on.ask(old, "claims").status_code == 200:
        assert time.monotonic() < end, "a key that the issuer withdrew is still believed"
        time.sleep(0.1)
    assert signed_on.ask(new, "claims").status_code == 200


def test_nobody_is_refused_while_a_workloads_key_rotates_under_load(signed_on: SignedOn):
    made = signed_on.site.made
    scope = ("--workload", "claims", "--class", "restricted")
    old = made.keys("issue", *scope)
    until_accepted(signed_on, old)
    with Load(signed_on, old) as load:
        load.answered()
        new = made.keys("rotate", *scope, "--overlap-h", "1")
        until_accepted(signed_on, new)
        load.credential = new
        load.answered()
    assert set(load.statuses) == {200}
    made.keys("revoke", id_of(digest_of(old)))
    end = time.monotonic() + 30
    while signed_on.ask(old, "claims").status_code == 200:
        assert time.monotonic() < end, "a revoked key is still believed"
        time.sleep(0.1)
    assert signed_on.ask(new, "claims").status_code == 200


SOURCES = [
    {"title": "Terms", "text": "Rent is due.", "url": "https://wiki.bank.example/"},
    {"title": "L", "text": "x"},
]


def test_reviewers_get_the_sources_of_the_request_and_no_model_does(signed_on: SignedOn):
    site = signed_on.site
    answer_id = site.hold(sources=SOURCES)
    claimed = site.claim(site.reviewer("sofie@bank"), answer_id)
    assert claimed["sources"] == SOURCES
    assert "sources" not in claimed["asked"]
    assert site.made.models[0].received != []
    assert all(b"Rent is due" not in received for received in site.made.models[0].received)
    assert "Rent is due" not in site.gateway.output()


@pytest.mark.parametrize(
    "source",
    [
        {"title": "T", "text": "x", "url": "http://wiki.bank.example/"},
        {"title": "T", "text": "x", "url": "javascript:alert(1)"},
        {"title": "T", "text": "x", "url": "https://wiki.bank.example/ x"},
        {"title": "T", "text": "x" * 20_001},
        {"title": "", "text": "x"},
        {"title": "T", "text": "\ud800"},
        {"title": "T"},
        {"title": "T", "text": "x", "page": 3},
    ],
)
def test_a_source_that_cannot_be_shown_is_refused(signed_on: SignedOn, source: dict[str, Any]):
    key, body = (
        signed_on.site.key("claims"),
        {"model": "claims", "messages": [{"role": "user", "content": "x"}]},
    )
    sent = json.dumps({**body, "sources": [source]}).encode()
    as_json = {"content-type": "application/json"}
    refused = signed_on.send("POST", "/chat/completions", key, content=sent, headers=as_json)
    assert refused.status_code == 400
    assert code_of(refused) in ("invalid_sources", "unknown_field", "malformed_json")

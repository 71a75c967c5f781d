"""Appeals against decisions, and the legal basis of cases."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from edge.audit.records import canonical, digest
from edge.database import DatabaseDown
from tests.edge.conftest import code_of
from tests.edge.fake_model import WORDS
from tests.edge.postgres import Postgres
from tests.edge.reviews.reviewed import SECRET
from tests.edge.reviews.signing_on import DIRK, SignedOn, people_at_a_gateway

pytestmark = pytest.mark.service
NOTICE = {"en": "Reviewers read what you send.", "de": "Prüfende lesen, was Sie senden."}
CASES = {"legal_basis": "legitimate-interests", "notice": NOTICE, "appeal_days": 14}
COPY = """
INSERT INTO isthmus.held (id, class, site, workload, task, subject, not_by, why, approvers, content, decide_by,
    escalated_for, delete_at, appeal_of)
SELECT md5($2), class, site, workload, $3, subject, '{}', '{appeal}', 1, content, decide_by,
    escalated_for, delete_at, $1
FROM isthmus.held WHERE id = $1 RETURNING id, not_by, state
"""
"""An appeal by the gateway's user, who may not decide and keeps nobody away."""


@pytest.fixture(scope="module")
def signed_on(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignedOn]:
    folder = tmp_path_factory.mktemp("appeals")
    with people_at_a_gateway(postgres, folder, "appeals", cases=CASES) as site:
        yield site


@pytest.fixture(scope="module")
def keys(signed_on: SignedOn) -> dict[str, str]:
    """Keys of two reviewers and of three seniors."""
    names = {"anna": [], "bert": [], "sara": ["--senior"], "sven": ["--senior"], "siri": ["--senior"]}
    return {name: signed_on.site.reviewer(f"{name}@bank", *more) for name, more in names.items()}


def rejected(signed_on: SignedOn, token: str, key: str) -> str:
    """The id of an answer that a reviewer has rejected."""
    answer_id = signed_on.ask(token).json()["id"]
    rejection = signed_on.site.act(key, answer_id, "reject", reason="wrong-amount", note="It was 21 EUR.")
    assert rejection.status_code == 200, rejection.text
    return answer_id


def change(signed_on: SignedOn, held_id: str, what: str) -> None:
    """Change a held answer as only its database's administrator can."""
    statement = "UPDATE isthmus.held SET :what WHERE id = ':id'"
    signed_on.site.sql(statement.replace(":what", what).replace(":id", held_id))


def appeal(signed_on: SignedOn, token: str, answer_id: str, **more: Any) -> httpx.Response:
    body = {"appeal_of": answer_id, "question": "It was 12 EUR.", "confirmed": True, **more}
    return signed_on.send("POST", "/cases", token, json=body)


def test_an_appeal_carries_the_decision_and_a_senior_changes_it(signed_on: SignedOn, keys: dict[str, str]):
    site, clara = signed_on.site, signed_on.issuer.token(["clerks"])
    answer_id = rejected(signed_on, clara, keys["anna"])
    seen = signed_on.send("GET", f"/reviews/{answer_id}", clara).json()
    assert (seen["status"], seen["note"]) == ("rejected", "It was 21 EUR.")
    assert seen["appeal_by"] > seen["decided_at"]
    opened = appeal(signed_on, clara, answer_id)
    assert (opened.status_code, opened.json()["appeal_of"]) == (201, answer_id)
    case_id = opened.json()["id"]
    claimed = site.claim(keys["sara"], case_id)
    assert claimed["why"] == ["appeal"]
    assert claimed["asked"]["question"] == "It was 12 EUR."
    assert claimed["asked"]["messages"][0]["content"] == SECRET
    assert claimed["texts"] == ["".join(WORDS)]
    assert claimed["decision"] == {"status": "rejected", "reason": "wrong-amount", "note": "It was 21 EUR."}
    changed = site.act(keys["sara"], case_id, "correct", claimed, texts=["Paid 12 EUR."])
    assert changed.json()["status"] == "approved", changed.text
    read = signed_on.send("GET", f"/cases/{case_id}", clara).json()
    assert (read["status"], read["reply"], read["appeal_of"]) == ("answered", "Paid 12 EUR.", answer_id)
    records = site.records("review", case_id)
    assert [record["act"] for record in records] == ["open", "claim", "correct", "give"]
    assert (records[0]["reason"], records[0]["appeal_of"], records[0]["state"]) == (
        *("appeal", answer_id, "escalated"),
    )
    assert site.audit_site.verify(records=site.audit_site.records).findings == []


def test_a_senior_lets_the_decision_stand(signed_on: SignedOn, keys: dict[str, str]):
    site, clara = signed_on.site, signed_on.issuer.token(["clerks"])
    case_id = appeal(signed_on, clara, rejected(signed_on, clara, keys["anna"])).json()["id"]
    assert site.act(keys["sara"], case_id, "approve").status_code == 200
    read = signed_on.send("GET", f"/cases/{case_id}", clara).json()
    assert (read["status"], read["upheld"]) == ("answered", True)
    assert "confirmed" not in read


def test_only_seniors_decide_and_nobody_who_decided_the_original(signed_on: SignedOn, keys: dict[str, str]):
    site, clara = signed_on.site, signed_on.issuer.token(["clerks"])
    case_id = appeal(signed_on, clara, rejected(signed_on, clara, keys["sara"])).json()["id"]
    refused = site.at_desk(keys["bert"], "POST", f"/{case_id}/claim")
    assert (refused.status_code, code_of(refused)) == (403, "not_senior")
    refused = site.at_desk(keys["sara"], "POST", f"/{case_id}/claim")
    assert (refused.status_code, code_of(refused)) == (403, "own_appeal")
    listed = [
        {row["id"] for row in site.at_desk(keys[name], "GET", "?state=escalated").json()["data"]}
        for name in ("sara", "sven")
    ]
    assert [case_id in ids for ids in listed] == [False, True]
    own = site.reviewer("clara@bank.example", "--senior")
    assert code_of(site.at_desk(own, "POST", f"/{case_id}/claim")) == "own_appeal"
    assert site.act(keys["sven"], case_id, "approve").status_code == 200


def test_the_database_keeps_those_who_decided_away_whatever_the_gateway_states(
    signed_on: SignedOn, keys: dict[str, str]
):
    site, clara = signed_on.site, signed_on.issuer.token(["clerks"])
    answer_id = rejected(signed_on, clara, keys["siri"])
    (row,) = site.as_user("gateway", COPY, answer_id, "one", "case")
    assert "siri@bank" in row["not_by"]
    assert any(name.startswith("key:") for name in row["not_by"]), "and the account, whatever its name"
    assert row["state"] == "escalated"
    claim = "SELECT outcome FROM isthmus.review_act($1, 'claim', $2, $3, true, 0, '', NULL, NULL, NULL, 60)"
    outcomes = [
        site.as_user("reviews", claim, row["id"], name, [])[0]["outcome"]
        for name in ("siri@bank", "sven@bank")
    ]
    assert outcomes == ["own", "done"]
    with pytest.raises(DatabaseDown):
        site.as_user("gateway", COPY, answer_id, "two", "case")  # a second appeal
    waits = signed_on.ask(clara).json()["id"]
    for values in ((waits, "three", "case"), (row["id"], "four", "case")):
        with pytest.raises(DatabaseDown):
            site.as_user("gateway", COPY, *values)  # against what is undecided, or against an appeal


@pytest.mark.parametrize("act", ["approve", "correct", "expire"])
def test_a_corrected_or_expired_answer_can_be_appealed_and_an_approved_one_cannot(
    signed_on: SignedOn, keys: dict[str, str], act: str
):
    site, clara = signed_on.site, signed_on.issuer.token(["clerks"])
    answer_id = signed_on.ask(clara).json()["id"]
    if act == "expire":
        change(signed_on, answer_id, "state = 'expired', decided_at = now(), reason = 'deadline'")
    else:
        texts: dict[str, Any] = {"texts": ["Paid 1 EUR."]} if act == "correct" else {}
        site.act(keys["anna"], answer_id, act, **texts)
        assert site.act(keys["bert"], answer_id, "approve").json()["status"] == "approved"
    opened = appeal(signed_on, clara, answer_id)
    if act == "approve":
        assert (opened.status_code, code_of(opened)) == (409, "not_appealable")
        return
    claimed = site.claim(keys["sara"], opened.json()["id"])
    if act == "correct":
        assert claimed["texts"] == ["Paid 1 EUR."]
        assert claimed["decision"]["status"] == "corrected"
        return
    assert claimed["decision"] == {"status": "expired", "reason": "deadline"}


def test_a_corrected_answer_says_until_when_it_can_be_appealed(signed_on: SignedOn, keys: dict[str, str]):
    site, clara = signed_on.site, signed_on.issuer.token(["clerks"])
    answer_id = signed_on.ask(clara).json()["id"]
    site.act(keys["anna"], answer_id, "correct", texts=["Paid 1 EUR."])
    site.act(keys["bert"], answer_id, "approve")
    corrected = signed_on.send("GET", f"/reviews/{answer_id}", clara).json()
    (entry,) = (e for e in signed_on.send("GET", "/reviews", clara).json()["data"] if e["id"] == answer_id)
    assert corrected["review"] == {"status": "corrected", "appeal_by": entry["appeal_by"]}


def test_a_person_appeals_once_in_time_and_only_for_themselves(signed_on: SignedOn, keys: dict[str, str]):
    site, clara = signed_on.site, signed_on.issuer.token(["clerks"])
    answer_id = rejected(signed_on, clara, keys["anna"])
    for other, expected in (
        (signed_on.issuer.token(["clerks"], **DIRK), "review_not_found"),
        (site.key("credit"), "people_only"),
    ):
        assert code_of(appeal(signed_on, other, answer_id)) == expected
    case_id = appeal(signed_on, clara, answer_id).json()["id"]
    again = appeal(signed_on, clara, answer_id)
    assert (again.status_code, code_of(again)) == (409, "not_appealable")
    assert "appeal_by" not in signed_on.send("GET", f"/reviews/{answer_id}", clara).json()
    assert code_of(appeal(signed_on, clara, case_id)) == "review_not_found", "no appeal against an appeal"
    late = rejected(signed_on, clara, keys["anna"])
    change(signed_on, late, "decided_at = decided_at - interval '14 days'")
    assert code_of(appeal(signed_on, clara, late)) == "not_appealable"
    listed = {e["id"]: e for e in signed_on.send("GET", "/reviews", clara).json()["data"]}
    assert listed[case_id]["appeal_of"] == answer_id
    assert not {"appeal_by"} & listed[answer_id].keys()


def test_an_appeal_that_nobody_decides_expires(signed_on: SignedOn, keys: dict[str, str]):
    clara = signed_on.issuer.token(["clerks"])
    case_id = appeal(signed_on, clara, rejected(signed_on, clara, keys["anna"])).json()["id"]
    change(signed_on, case_id, "decide_by = now()")
    end = time.monotonic() + 10
    while signed_on.send("GET", f"/cases/{case_id}", clara).json()["status"] != "expired":
        assert time.monotonic() < end
        time.sleep(0.1)


# --- The legal basis


def test_a_person_reads_the_notice_first_and_it_is_kept_with_the_case(
    signed_on: SignedOn, keys: dict[str, str]
):
    site, clara = signed_on.site, signed_on.issuer.token(["heads"])
    assert signed_on.send("GET", "/cases/notice", clara).json() == {"object": "case_notice", **CASES}
    assert code_of(signed_on.send("GET", "/cases/notice", site.key("claims"))) == "people_only"
    answer = signed_on.ask(clara, "claims").json()["id"]
    body = {"id": answer, "question": "Right?", "messages": [{"role": "user", "content": SECRET}]}
    for confirmed in ({}, {"confirmed": False}):
        refused = signed_on.send("POST", "/cases", clara, json={**body, **confirmed})
        assert (refused.status_code, code_of(refused)) == (400, "notice_unconfirmed")
    case = signed_on.send("POST", "/cases", clara, json={**body, "confirmed": True})
    assert case.status_code == 201, case.text
    (opened,) = site.records("review", case.json()["id"])
    assert (opened["legal_basis"], opened["notice"]) == (
        "legitimate-interests",
        digest(canonical(NOTICE)),
    )


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"question": " "}, "invalid_question"),
        ({"confirmed": "yes"}, "invalid_confirmed"),
        ({"confirmed": False}, "notice_unconfirmed"),
        ({"messages": []}, "unknown_field"),
        ({"appeal_of": 5}, "review_not_found"),
    ],
)
def test_an_appeal_that_cannot_be_taken_is_refused_with_its_cause(
    signed_on: SignedOn, more: dict[str, Any], expected: str
):
    token = signed_on.issuer.token(["clerks"])
    assert code_of(appeal(signed_on, token, "0" * 32, **more)) == expected

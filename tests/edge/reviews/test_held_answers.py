"""The running gateway and review desk: which answers are held, who may decide, what is released and recorded."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from edge.database.held_answers import WAITING_AGES
from tests.edge.conftest import code_of
from tests.edge.reviews.reviewed import SAID, SECRET, Reviewed

ROWS = (
    "SELECT * FROM isthmus.held",
    "SELECT * FROM isthmus.review_votes",
    "SELECT * FROM isthmus.review_acts",
)


def test_an_answer_is_held_until_two_people_approve_it_and_released_unchanged(
    site: Reviewed, people: dict[str, str]
):
    answer = site.ask()
    answer_id = answer.json()["id"]
    assert (answer.status_code, answer.json()["status"]) == (202, "held")
    assert answer_id == answer.headers["x-request-id"]
    assert answer.headers["location"] == f"/v1/reviews/{answer_id}"
    assert SAID not in answer.text
    assert site.act(people["anna"], answer_id, "approve").json()["status"] == "held"
    waiting = site.look(answer_id)
    assert (waiting.status_code, waiting.json()["status"]) == (202, "held")
    assert site.act(people["bert"], answer_id, "approve", reason="checked").json()["status"] == "approved"
    released = site.look(answer_id)
    assert (released.status_code, released.headers["x-isthmus-review"]) == (200, "approved")
    assert released.json()["choices"][0]["message"]["content"].startswith(SAID)
    assert released.json()["model"] == "credit"
    assert released.content == site.look(answer_id).content, "who did not hear it may come again"


def test_the_records_of_a_review_hold_who_when_and_why_but_no_content(site: Reviewed, people: dict[str, str]):
    answer_id = site.hold(user="max@example.org")
    claimed = site.claim(people["anna"], answer_id)
    note = "The amount on page 2 is in Franken."
    site.act(people["anna"], answer_id, "approve", claimed, note=note)
    site.act(people["bert"], answer_id, "approve", reason="checked")
    site.look(answer_id)
    (outcome,) = site.records("outcome", answer_id)
    assert (outcome["status"], outcome["ended_well"]) == (202, True)
    assert outcome["held"] == {"why": ["impact", "no-score"], "sha256": claimed["sha256"], "kept": True}
    records = site.records("review", answer_id)
    acts = [
        (record["act"], record["who"].get("reviewer"), record["reason"], record["state"])
        for record in records
    ]
    assert acts == [
        ("claim", "anna@bank", "", "held"),
        ("approve", "anna@bank", "good", "held"),
        ("claim", "bert@bank", "", "held"),
        ("approve", "bert@bank", "checked", "approved"),
        ("give", None, "approved", "approved"),
    ]
    assert [record["version"] for record in records] == [1, 2, 3, 4, 4]
    assert {record["sha256"] for record in records} == {claimed["sha256"]}
    assert all(record["who"]["identity"].startswith("key:") for record in records)
    times = [record["time"] for record in records]
    assert times == sorted(times)
    written = b"".join(path.read_bytes() for path in site.audit_site.records.rglob("*") if path.is_file())
    rows = str([dict(row) for statement in ROWS for row in site.sql(statement)]).encode()
    for text in (SECRET, SAID, "Muster", "max@example", "Franken"):
        assert text.encode() not in written
        assert text.encode() not in rows, "the database saw plaintext"
    logs = (site.gateway.output() + site.desk.output()).encode()
    assert not any(text.encode() in logs for text in (SECRET, SAID, "Franken", *people.values()))
    proof = site.audit_site.verify(records=site.audit_site.records)
    assert proof.findings == [], "a chain with such records is as good as before"


def test_a_person_with_several_keys_approves_only_once(site: Reviewed, people: dict[str, str]):
    answer_id, second_key = site.hold(), site.reviewer("anna@bank", "--senior")
    site.act(people["anna"], answer_id, "approve")
    again = site.act(second_key, answer_id, "approve")
    assert (again.status_code, code_of(again)) == (409, "already_approved")
    assert site.look(answer_id).status_code == 202


def test_a_corrected_answer_is_marked_and_needs_approval_by_a_second_person(
    site: Reviewed, people: dict[str, str]
):
    answer_id = site.hold()
    site.act(people["anna"], answer_id, "approve")
    fixed = site.act(people["bert"], answer_id, "correct", texts=["Paid to Beispiel AG"], note="wrong payee")
    assert fixed.json()["status"] == "held", "the words that anna approved are gone"
    claimed = site.claim(people["anna"], answer_id)
    assert claimed["texts"] == ["Paid to Beispiel AG"]
    assert claimed["approved_by"] == ["bert@bank"]
    assert claimed["asked"]["messages"][0]["content"] == SECRET
    assert claimed["notes"] == [{"by": "bert@bank", "act": "correct", "note": "wrong payee"}]
    assert site.act(people["anna"], answer_id, "approve", claimed).json()["status"] == "approved"
    released = site.look(answer_id)
    assert released.headers["x-isthmus-review"] == "corrected"
    assert released.json()["review"]["status"] == "corrected"
    assert set(released.json()["review"]) == {"status", "appeal_by"}
    assert released.json()["choices"][0]["message"]["content"] == "Paid to Beispiel AG"


def test_a_rejected_answer_is_reported_with_its_reason_and_never_released(
    site: Reviewed, people: dict[str, str]
):
    answer_id = site.hold()
    site.act(people["anna"], answer_id, "approve")
    site.act(people["bert"], answer_id, "reject", reason="wrong-amount", note="Ask again with the invoice.")
    rejected = site.look(answer_id)
    assert rejected.status_code == 200
    assert rejected.json()["status"] == "rejected"
    assert (rejected.json()["reason"], rejected.json()["note"]) == (
        "wrong-amount",
        "Ask again with the invoice.",
    )
    assert SAID not in rejected.text
    late = site.at_desk(people["anna"], "POST", f"/{answer_id}/claim")
    assert (late.status_code, code_of(late)) == (409, "already_decided")


def test_an_escalated_answer_is_decided_by_seniors_with_new_votes(site: Reviewed, people: dict[str, str]):
    answer_id, other_senior = site.hold(), site.reviewer("other@bank", "--senior")
    site.act(people["anna"], answer_id, "approve")
    assert site.act(people["bert"], answer_id, "escalate", reason="unsure").json()["status"] == "escalated"
    assert site.look(answer_id).json()["status"] == "escalated"
    refused = site.at_desk(people["anna"], "POST", f"/{answer_id}/claim")
    assert (refused.status_code, code_of(refused)) == (403, "not_senior")
    assert site.act(people["senior"], answer_id, "approve").json()["status"] == "escalated"
    assert site.act(other_senior, answer_id, "approve").json()["status"] == "approved"
    assert site.look(answer_id).status_code == 200


def test_only_the_workload_that_asked_sees_its_held_answer(site: Reviewed):
    answer_id = site.hold()
    for answer in (
        site.look(answer_id, "claims"),
        site.look("0" * 32),
        site.look("x"),
        site.look(answer_id.upper()),
    ):
        assert (answer.status_code, code_of(answer)) == (404, "review_not_found")
    keyless = site.client(site.gateway).get(f"/v1/reviews/{answer_id}")
    assert keyless.status_code == 401
    assert site.client(site.gateway).post(f"/v1/reviews/{answer_id}/approve").status_code == 404


@pytest.mark.parametrize("workload", ["claims", "bound"])
def test_another_workload_cannot_reach_a_held_answer(site: Reviewed, people: dict[str, str], workload: str):
    waiting, approved = site.hold(), site.hold()
    for name in ("anna", "bert"):
        site.act(people[name], approved, "approve")
    assert site.look(approved).status_code == 200
    claims_to_be = {
        "x-isthmus-workload": "credit",
        "x-forwarded-user": "credit",
        "x-http-method-override": "GET",
    }
    headers = {**claims_to_be, "authorization": f"Bearer {site.key(workload)}"}
    client = site.client(site.gateway, "claims")
    for answer_id in (waiting, approved):
        paths = (
            *(
                f"/v1/reviews/{answer_id}",
                f"/v1/reviews/{answer_id}?workload=credit",
                f"/v1/reviews/{answer_id.upper()}",
            ),
            *(
                f"/v1/reviews/{answer_id}%00",
                f"/v1/reviews/{answer_id}/",
                f"/v1/reviews/x%2f..%2f{answer_id}",
                "/v1/reviews/",
            ),
            *(
                f"/v1/reviews/{answer_id}/claim",
                f"/v1/reviews/{answer_id}/approve",
                f"/v1/models/{answer_id}",
            ),
            f"/v1/models/..%2freviews%2f{answer_id}",
        )
        for path in paths:
            for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
                answer = client.request(method, path, headers=headers)
                assert answer.status_code in (404, 405), (method, path)
                assert SAID not in answer.text
    listed = client.get("/v1/reviews", headers=headers)
    assert listed.status_code == 403, "a person's list, and a key is no person"
    assert SAID not in listed.text
    assert site.records("review", waiting) == [], "nobody has done anything with it"
    assert [record["act"] for record in site.records("review", approved)].count("give") == 1
    assert site.look(waiting).json()["status"] == "held"


def test_a_caller_cannot_choose_the_id_of_a_held_answer(site: Reviewed, people: dict[str, str]):
    answer_id = site.hold()
    body = {"model": "claims", "messages": [{"role": "user", "content": SECRET}]}
    for name in ("x-request-id", "x-correlation-id", "idempotency-key", "x-isthmus-review"):
        headers = {"authorization": f"Bearer {site.key('claims')}", name: answer_id}
        answer = site.client(site.gateway).post("/v1/chat/completions", json=body, headers=headers)
        assert (answer.status_code, answer.json()["status"]) == (202, "held")
        assert answer_id not in (answer.json()["id"], answer.headers["x-request-id"])
        site.act(people["anna"], answer.json()["id"], "reject")
    (row,) = site.sql(f"SELECT workload, state FROM isthmus.held WHERE id = '{answer_id}'")  # noqa: S608
    assert (row["workload"], row["state"]) == ("credit", "held")


def test_an_approval_applies_to_a_single_answer(site: Reviewed, people: dict[str, str]):
    first, second = site.hold(), site.hold()
    of_one, of_other = (site.claim(people["anna"], answer_id) for answer_id in (first, second))
    assert of_one["version"] == of_other["version"]
    assert of_one["sha256"] != of_other["sha256"], "the same words, and yet not the same answer"
    for claimed in (of_one, {**of_other, "sha256": of_one["sha256"]}, {**of_other, "sha256": ""}):
        refused = site.act(people["anna"], second, "approve", claimed)
        assert code_of(refused) in ("changed", "invalid_sha256"), refused.text
    assert site.act(people["anna"], first, "approve", of_one).status_code == 200
    stale = site.act(people["anna"], first, "approve", of_one)
    assert (stale.status_code, code_of(stale)) in (
        (409, "not_claimed"),
        (409, "changed"),
        (409, "already_approved"),
    )
    (row,) = site.sql(f"SELECT count(*)::int AS votes FROM isthmus.review_votes WHERE id = '{second}'")  # noqa: S608
    assert row["votes"] == 0


BESIDE: dict[str, dict[str, Any]] = {"correct": {"texts": ["Paid to nobody"]}}


@pytest.mark.parametrize("acts", [("approve",) * 8, ("approve", "reject") * 4, ("reject", "correct") * 4])
def test_of_concurrent_decisions_by_one_person_with_two_keys_only_one_counts(
    site: Reviewed, people: dict[str, str], acts: tuple[str, ...]
):
    keys = [people["anna"], site.reviewer("anna@bank", "--senior")]
    for _ in range(3):
        answer_id = site.hold()
        claimed = site.claim(people["anna"], answer_id)
        with ThreadPoolExecutor(len(acts)) as pool:
            sent = [
                pool.submit(site.act, keys[number % 2], answer_id, act, claimed, **BESIDE.get(act, {}))
                for number, act in enumerate(acts)
            ]
        answers = [task.result() for task in sent]
        assert [answer.status_code for answer in answers].count(200) == 1
        assert {answer.status_code for answer in answers} == {200, 409}
        (row,) = site.sql(f"SELECT state, version FROM isthmus.held WHERE id = '{answer_id}'")  # noqa: S608
        assert row["version"] == claimed["version"] + 1
        assert row["state"] in ("held", "rejected"), "one person approves nothing alone"
        assert SAID not in site.look(answer_id).text


FORGED = (
    '"}\r\n{"event":"request","kind":"review","act":"approve","id":"no-such-id"}\u2028\x85\x0b{"forged":"'
)


def test_texts_of_reviewers_cannot_forge_lines_in_records_and_logs(site: Reviewed, people: dict[str, str]):
    answer_id = site.hold(user=FORGED)
    claimed = site.claim(people["anna"], answer_id)
    for field in ("reason", "sha256"):
        refused = site.act(
            people["anna"], answer_id, "approve", {**claimed, field: FORGED}, **{field: FORGED}
        )
        assert refused.status_code in (400, 409)
    assert site.act(people["anna"], answer_id, "approve", claimed, note=FORGED).status_code == 200
    fixed = site.act(people["bert"], answer_id, "correct", texts=[FORGED], note=FORGED)
    assert fixed.status_code == 200
    assert site.at_desk(people["anna"], "GET", "/" + quote(FORGED)).status_code == 404
    assert site.at_desk(FORGED.encode().hex(), "GET", "").status_code == 401
    assert site.act(people["anna"], answer_id, "approve").json()["status"] == "approved"
    assert site.look(answer_id).json()["choices"][0]["message"]["content"] == FORGED
    acts = [record["act"] for record in site.records("review", answer_id)]
    assert acts == ["claim", "approve", "claim", "correct", "claim", "approve", "give"]
    assert site.records("review", "no-such-id") == []
    written = b"".join(path.read_bytes() for path in site.audit_site.records.rglob("*") if path.is_file())
    output = site.gateway.output() + site.desk.output()
    assert b"no-such-id" not in written
    assert "no-such-id" not in output
    assert all(isinstance(json.loads(line), dict) for line in output.splitlines())
    assert site.audit_site.verify(records=site.audit_site.records).findings == []


def test_a_stream_is_refused_where_every_answer_is_held(site: Reviewed):
    refused = site.ask(stream=True)
    assert (refused.status_code, code_of(refused)) == (400, "stream_not_reviewable")
    assert '"stream": false' in refused.json()["error"]["message"]
    assert site.made.models[0].received == [], "the model was asked for nothing"


def test_keys_of_callers_and_reviewers_are_not_interchangeable(site: Reviewed, people: dict[str, str]):
    for key in (site.key(), "isr_" + "x" * 43, "certificate", None):
        assert site.at_desk(key, "GET", "").status_code == 401
    answer = site.client(site.gateway).get(
        "/v1/models", headers={"authorization": f"Bearer {people['anna']}"}
    )
    assert answer.status_code == 401


def test_the_requester_and_the_workloads_client_may_not_decide_on_its_answer(
    site: Reviewed, people: dict[str, str]
):
    answer_id = site.hold(user=" Anna@Bank")
    refused = site.at_desk(people["anna"], "POST", f"/{answer_id}/claim")
    assert (refused.status_code, code_of(refused)) == (403, "own_request")
    assert answer_id not in [
        entry["id"] for entry in site.at_desk(people["anna"], "GET", "?limit=200").json()["data"]
    ]
    assert site.claim(people["bert"], answer_id)["id"] == answer_id
    (row,) = site.sql("SELECT not_by FROM isthmus.held ORDER BY held_at DESC LIMIT 1")
    site.sql(
        "UPDATE isthmus.held SET not_by = not_by || '{certificate:erika.people.bank}' WHERE state = 'held'"
    )
    try:
        refused = site.at_desk(None, "POST", f"/{answer_id}/claim", "erika")
        assert (refused.status_code, code_of(refused)) == (403, "own_request")
    finally:
        site.sql("UPDATE isthmus.held SET not_by = array_remove(not_by, 'certificate:erika.people.bank')")
    assert row["not_by"][0].startswith("key:")


def test_client_certificates_of_a_workload_are_excluded_from_its_reviews(site: Reviewed):
    body = {"model": "bound", "messages": [{"role": "user", "content": SECRET}]}
    headers = {"authorization": f"Bearer {site.key('bound')}"}
    answer = site.client(site.gateway, "claims").post("/v1/chat/completions", json=body, headers=headers)
    assert answer.status_code == 202
    (row,) = site.sql("SELECT not_by FROM isthmus.held WHERE workload = 'bound'")
    assert "certificate:claims.payments.svc" in row["not_by"]


def test_a_certificate_identifies_a_reviewer_if_the_file_says_so(site: Reviewed, people: dict[str, str]):
    answer_id = site.hold()
    claimed = site.claim(None, answer_id, "erika")
    body = {"version": claimed["version"], "sha256": claimed["sha256"]}
    assert site.at_desk(None, "POST", f"/{answer_id}/approve", "erika", json=body).status_code == 200
    assert site.at_desk(None, "GET", "", "app").status_code == 401
    (approval,) = [record for record in site.records("review", answer_id) if record["act"] == "approve"]
    assert approval["who"]["identity"] == "certificate:erika.people.bank"


def test_a_reviewer_sees_only_the_workloads_of_the_key_and_nothing_after_revocation(
    site: Reviewed, people: dict[str, str]
):
    answer_id = site.hold()
    assert site.at_desk(people["narrow"], "GET", "").json()["data"] == []
    hidden = site.at_desk(people["narrow"], "POST", f"/{answer_id}/claim")
    assert (hidden.status_code, code_of(hidden)) == (404, "review_not_found")
    gone = site.reviewer("gone@bank")
    assert site.at_desk(gone, "GET", f"/{answer_id}").json()["state"] == "held"
    site.command("revoke", "gone@bank")
    assert code_of(site.at_desk(gone, "GET", f"/{answer_id}")) == "revoked_api_key"
    other_reviewer = site.reviewer("else@bank", data_class="internal")
    assert code_of(site.at_desk(other_reviewer, "GET", "")) == "wrong_class"


@pytest.mark.parametrize(
    "user",
    [
        "an\u200bna@bank",
        "ANNA@BANK\u00a0",
        "\uff41nna@bank",
        "\u00e1nna@bank",
        "anna@bank\ufe0f\u034f\U000e0041",
    ],
)
def test_reviewer_names_that_look_the_same_are_one_person(site: Reviewed, people: dict[str, str], user: str):
    refused = site.at_desk(people["anna"], "POST", f"/{site.hold(user=user)}/claim")
    assert (refused.status_code, code_of(refused)) == (403, "own_request")


def test_the_user_of_a_request_must_be_a_text(site: Reviewed):
    for user in (["anna@bank"], {"name": "anna@bank"}, 7):
        refused = site.ask(user=user)
        assert (refused.status_code, code_of(refused)) == (400, "invalid_user")


def test_an_impossible_answer_id_is_404(site: Reviewed, people: dict[str, str]):
    for answer_id in ("%00", "x", "0" * 31, "\u0663" * 32):
        for method, path in (("GET", f"/{answer_id}"), ("POST", f"/{answer_id}/claim")):
            refused = site.at_desk(people["anna"], method, path)
            assert (refused.status_code, code_of(refused)) == (404, "review_not_found"), answer_id
        assert site.look(answer_id).status_code == 404


def test_waiting_answers_are_listed_in_pages_with_the_oldest_first(site: Reviewed):
    key = site.reviewer("lister@bank", "--workload", "claims")
    ids = [site.hold("claims") for _ in range(5)]
    listed_ids, after = [], ""
    for _ in range(4):
        page = site.at_desk(key, "GET", f"?limit=2{after}").json()
        listed_ids += [entry["id"] for entry in page["data"]]
        if page["next"] is None:
            break
        after = "&after=" + page["next"].replace("+", "%2B")
    assert listed_ids == ids
    first = site.at_desk(key, "GET", "?limit=1").json()["data"][0]
    assert (first["why"], first["domain"], first["approvers"]) == (["no-score"], "payments", 2)
    assert SECRET not in json.dumps(first)
    naive, unknown_id = "2026-11-01T00:00:00", "0" * 32
    for query in (
        *("?limit=0", "?limit=x", "?limit=\u00b2", "?limit=\u0663", "?limit=%00"),
        *("?state=approved", "?order=asc", "?after=x"),
        *(f"?after={naive}~{unknown_id}", f"?after={naive}%2B00:00~x%00", f"?after={naive}%2B00:00"),
    ):
        assert site.at_desk(key, "GET", query).status_code == 400


def test_a_decision_must_name_the_version_and_digest_that_were_read(site: Reviewed, people: dict[str, str]):
    answer_id = site.hold()
    claimed = site.claim(people["anna"], answer_id)
    second_claim = site.at_desk(people["bert"], "POST", f"/{answer_id}/claim")
    assert (second_claim.status_code, code_of(second_claim)) == (409, "claimed")
    for wrong, code in (
        ({"version": claimed["version"] - 1}, "changed"),
        ({"sha256": "0" * 64}, "changed"),
        ({"version": "1"}, "invalid_version"),
        ({"sha256": None}, "invalid_sha256"),
        ({"reason": "It says IBAN DE02"}, "invalid_reason"),
        ({"note": 3}, "invalid_note"),
        ({"texts": ["x"]}, "unknown_field"),
    ):
        versioned = {"version": claimed["version"], "sha256": claimed["sha256"], **wrong}
        refused = site.at_desk(people["anna"], "POST", f"/{answer_id}/approve", json=versioned)
        assert code_of(refused) == code, refused.text
    released = site.at_desk(
        people["anna"], "POST", f"/{answer_id}/release", json={"version": claimed["version"]}
    )
    assert released.status_code == 200
    late = site.act(people["anna"], answer_id, "approve", {**claimed, "version": claimed["version"] + 1})
    assert (late.status_code, code_of(late)) == (409, "not_claimed")
    assert site.claim(people["bert"], answer_id)["version"] == claimed["version"] + 2


def test_reviewer_keys_are_printed_once_and_listed_without_their_digests(
    site: Reviewed, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    key = site.reviewer(
        "listed@bank", "--workload", "credit", "--workload", "claims", "--senior", "--days", "3"
    )
    listed = [json.loads(line) for line in site.command("list").splitlines()]
    (mine,) = [entry for entry in listed if entry["reviewer"] == "listed@bank"]
    assert (mine["workloads"], mine["senior"], mine["state"]) == (["credit", "claims"], True, "valid")
    assert key not in json.dumps(listed)
    site.command("revoke", mine["id"])
    assert code_of(site.at_desk(key, "GET", "")) == "revoked_api_key"
    site.command("revoke", "0" * 12, code=1)
    with pytest.raises(SystemExit) as stopped:
        site.command("issue", "--reviewer", "Anna@Bank", "--class", "restricted")
    assert stopped.value.code == 2


def test_the_age_of_what_waits_is_that_of_the_oldest_and_what_was_delivered_or_planted_does_not_count(
    site: Reviewed,
):
    def ages() -> dict[str, tuple[float, float]]:
        rows = site.as_user("reviews", WAITING_AGES, "restricted", "fra1")
        return {row["workload"]: (row["oldest_s"], row["overdue_s"]) for row in rows}

    def change(answer_id: str, changes: str) -> None:
        site.sql(f"UPDATE isthmus.held SET {changes} WHERE id = '{answer_id}'")  # noqa: S608 (constants)

    site.sql("DELETE FROM isthmus.held")
    assert ages() == {}
    old, delivered, planted, decided = (site.hold() for _ in range(4))
    site.hold()
    for answer_id in (old, delivered, planted, decided):
        change(answer_id, "held_at = held_at - interval '5 hours', first_due = held_at - interval '2 hours'")
    change(old, "state = 'escalated'")
    change(delivered, "delivered = true, held_at = held_at - interval '9 hours'")
    change(planted, "planted = true, held_at = held_at - interval '9 hours'")
    change(decided, "state = 'expired', held_at = held_at - interval '9 hours'")
    assert ages() == {"credit": (pytest.approx(5 * 3600, abs=60), pytest.approx(2 * 3600, abs=60))}
    change(old, "state = 'rejected'")
    assert ages() == {"credit": (pytest.approx(30, abs=30), 0)}, "an answer in time is not overdue"

"""Reviewers race for answers at two desks while processes are killed: no answer is lost or released twice."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from isthmus.reports.audit.report import AuditReport
from tests.edge.postgres import Postgres
from tests.edge.reviews.racing import kind, raced
from tests.edge.reviews.reviewed import reviewed

FINAL = {
    "approve": "approved",
    "correct": "approved",
    "escalate": "approved",
    "reject": "rejected",
    "left": "expired",
}


@pytest.mark.timeout(7200)
@pytest.mark.parametrize(
    ("count", "kills"),
    [(80, 2), pytest.param(10_000, 12, marks=pytest.mark.soak)],
    ids=["some", "ten thousand"],
)
def test_in_a_race_with_killed_processes_every_answer_ends_once_as_recorded(
    postgres: Postgres, tmp_path_factory: pytest.TempPathFactory, count: int, kills: int
):
    folder = tmp_path_factory.mktemp("race")
    desk = {"claim_s": 2}
    with reviewed(folder, postgres, f"race{count}", desk=desk, door=False, decide_h=100) as site:
        site.start_desk().wait_until_up().wait_until_well()
        race, seconds = raced(site, count, kills)
        rows = {row["id"]: row for row in site.sql("SELECT id, state, edition, version FROM isthmus.held")}
        votes = site.sql("SELECT v.* FROM isthmus.review_votes v JOIN isthmus.held h USING (id, edition)")
        acts = site.sql("SELECT * FROM isthmus.review_acts")
        records = site.records("review")
        outcomes = {record["id"]: record for record in site.records("outcome")}
    print(f"{len(race.told)} told, {len(rows)} held, {seconds:.0f} s: {dict(sorted(race.seen.items()))}")

    assert len(set(race.told)) == len(race.told) >= count
    assert set(race.told) <= set(rows), "an answer was lost"
    assert race.too_soon == []
    for answer_id, row in rows.items():
        assert row["state"] == FINAL[kind(answer_id)], answer_id
    assert set(race.given) == {answer_id for answer_id in race.told if rows[answer_id]["state"] == "approved"}
    corrected = {answer_id for answer_id, mark in race.given.items() if mark == "corrected"}
    assert corrected == {answer_id for answer_id in race.given if kind(answer_id) == "correct"}

    by = Counter(vote["id"] for vote in votes)
    assert all(by[answer_id] == 2 for answer_id in race.given), (
        "given out with fewer than two approvers, or approved twice"
    )
    ends: Counter[str] = Counter()
    for act in acts:
        ends[act["id"]] += act["version"] == rows[act["id"]]["version"]
    assert set(ends.values()) == {1}, "decided twice"
    the_record_says_it_all(rows, acts, records)
    for answer_id in race.told:
        assert outcomes[answer_id]["held"]["kept"] is True
        assert outcomes[answer_id]["status"] == 202
    site.audit_site.sealer().seal()
    report = AuditReport(datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
    proof = site.audit_site.verify(
        records=site.audit_site.records, on_record=lambda record, _: report.add(record)
    )
    assert proof.findings == []
    assert report.unapproved == []
    (counted,) = report.as_json()["reviews"]
    assert counted["given_out"] == len(race.given)
    assert counted["approved"] + counted["rejected"] + counted["expired"] >= len(rows)


def the_record_says_it_all(rows: dict[str, Any], acts: list[Any], records: list[dict[str, Any]]) -> None:
    """Check that each act has a record with person, time and reason. Only a crash explains a record without an act."""
    act_of: dict[tuple[Any, ...], dict[str, Any]] = {}
    for record in records:
        if record["act"] != "give":
            reviewer = record["who"]["reviewer"]
            act_of[record["id"], record["version"], record["act"], reviewer] = record
    for act in acts:
        record = act_of.pop((act["id"], act["version"], act["act"], act["by"]), None)
        assert record is not None, f"no record of {dict(act)}"
        assert record["time"]
        assert record["reason"] == act["reason"]
    print(f"{len(records)} records of acts, {len(act_of)} of acts that did not come to be")
    approved = {
        (record["id"], record["sha256"]): record["time"]
        for record in records
        if record["state"] == "approved" and record["act"] != "give"
    }
    for record in records:
        if record["act"] == "give":
            assert rows[record["id"]]["state"] == "approved"
            assert approved[record["id"], record["sha256"]] <= record["time"], (
                "given out before it was approved"
            )

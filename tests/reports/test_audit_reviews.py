"""What the audit's report says of held answers: how many ended how, and whether people had approved what left."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from isthmus.contracts.reference.handling import HANDLING
from isthmus.reports.audit.report import as_markdown, as_text
from tests.reports.test_audit_report import outcome, report

ONE, TWO = "1" * 64, "2" * 64


def act(name: str, reviewer: str = "", state: str = "held", sha256: str = ONE, **more: Any) -> dict[str, Any]:
    """A record of class restricted, of one held answer."""
    caller = {"workload": "claims", "reviewer": reviewer, "identity": "key:1"}
    return {
        **outcome("restricted", "onprem-vllm"),
        "kind": "review",
        **{"act": name, "who": caller, "state": state, "version": 1, "reason": "good", "sha256": sha256},
        **more,
    }


APPROVED = [act("approve", "anna"), act("approve", "bert", "approved"), act("give", state="approved")]


@pytest.mark.parametrize("order", permutations(range(3)))
def test_an_answer_with_two_approvals_is_clean_in_any_order(order: Any):
    audit = report()
    audit.add(outcome("restricted", "onprem-vllm", held={"why": ["impact"], "sha256": ONE, "kept": True}))
    for at in order:
        audit.add(APPROVED[at])
    assert audit.clean
    assert audit.as_json()["reviews"] == [
        {
            "class": "restricted",
            "site": "fra1",
            "held": 1,
            "approved": 1,
            "rejected": 0,
            "expired": 0,
            "given_out": 1,
            "delivered": 0,
            "looked_at": 0,
        }
    ]
    for form in (as_markdown(audit), as_text(audit)):
        assert "Held answers" in form


@pytest.mark.parametrize(
    "acts",
    [
        [act("approve", "anna")],
        [act("approve", "anna"), act("approve", "anna", version=2)],
        [act("approve", "anna"), act("approve", "bert", sha256=TWO)],
        [act("approve", "anna"), act("approve", "bert", id="another")],
        [act("approve", "anna"), act("claim", "bert")],
        [],
    ],
    ids=["one", "one twice", "other bytes", "another answer", "read only", "nobody"],
)
def test_an_answer_released_with_too_few_approvals_is_reported(
    acts: list[dict[str, Any]],
):
    audit = report()
    for record in [*acts, act("give", state="approved")]:
        audit.add(record)
    assert not audit.clean
    (sentence,) = audit.unapproved
    assert "of 2 approvals are on record" in sentence
    for form in (as_markdown(audit), as_text(audit)):
        assert "released with too few approvals" in form
        assert "No gateway routed" not in form


def test_a_correction_is_its_authors_approval_and_an_organisation_may_ask_for_more():
    corrected = [act("correct", "anna", sha256=TWO), act("approve", "bert", "approved", TWO)]
    audit = report()
    for record in [*corrected, act("give", state="approved", sha256=TWO)]:
        audit.add(record)
    assert audit.clean
    audit.handling = {"restricted": HANDLING["restricted"].model_copy(update={"approvers": 3})}
    assert not audit.clean


def test_earlier_approvals_are_valid_and_not_counted():
    audit = report()
    for record in APPROVED[:2]:
        audit.add({**record, "time": "2026-11-25T15:00:00.000Z"})
    audit.add(APPROVED[2])
    assert audit.clean
    assert audit.as_json()["reviews"][0]["approved"] == 0
    assert audit.as_json()["reviews"][0]["given_out"] == 1


def test_answers_ended_by_people_and_by_time_are_counted_separately():
    audit = report()
    audit.add(act("reject", "anna", "rejected", id="a"))
    audit.add(act("escalate", "", "escalated", id="b"))
    audit.add(act("expire", "", "expired", id="b"))
    assert [(row["rejected"], row["expired"]) for row in audit.as_json()["reviews"]] == [(1, 1)]


def test_answers_that_people_look_at_after_delivery_are_counted_apart_and_need_no_approval():
    audit = report()
    delivered = {"why": ["sampled"], "sha256": ONE, "kept": True, "delivered": True}
    for number in range(3):
        audit.add(outcome("restricted", "onprem-vllm", id=f"d{number}", held=delivered))
    audit.add(act("approve", "anna", "approved", id="d0"))
    audit.add(act("expire", state="expired", id="d1"))
    assert audit.clean
    [row] = audit.as_json()["reviews"]
    assert (row["held"], row["approved"], row["expired"]) == (0, 0, 0)
    assert (row["delivered"], row["looked_at"]) == (3, 1)


def test_a_persons_case_is_answered_by_one_reviewer_in_every_class():
    audit = report()
    for record in (
        act("open"),
        act("correct", "anna", "approved", TWO),
        act("give", state="approved", sha256=TWO),
    ):
        audit.add(record)
    assert audit.clean


@pytest.mark.parametrize("order", permutations(range(3)))
def test_a_planted_answer_counts_nowhere_and_must_not_be_released(order: Any):
    acts = [act("plant", planted=True), act("approve", "anna", planted=True)]
    acts.append(act("approve", "bert", "approved", planted=True))
    audit = report()
    for at in order:
        audit.add(acts[at])
    assert (audit.clean, audit.as_json()["reviews"]) == (True, [])
    audit.add(act("give", state="approved"))
    (sentence,) = audit.unapproved
    assert sentence.startswith("planted answer ")

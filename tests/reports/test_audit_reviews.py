"""What the audit's report says of held answers: how many ended how, and whether people had approved what left."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from isthmus.contracts.reference.handling import HANDLING
from isthmus.reports.audit.report import as_markdown, as_text
from tests.reports.test_audit_report import outcome, report

ONE, TWO = "1" * 64, "2" * 64


def act(name: str, by: str = "", state: str = "held", sha256: str = ONE, **more: Any) -> dict[str, Any]:
    """A record of class restricted, of one held answer."""
    who = {"workload": "claims", "reviewer": by, "identity": "key:1"}
    return {
        **outcome("restricted", "onprem-vllm"),
        "kind": "review",
        **{"act": name, "who": who, "state": state, "version": 1, "reason": "good", "sha256": sha256},
        **more,
    }


APPROVED = [act("approve", "anna"), act("approve", "bert", "approved"), act("give", state="approved")]


@pytest.mark.parametrize("order", permutations(range(3)))
def test_an_answer_that_two_have_approved_is_as_it_must_be_in_whatever_order_it_is_read(order: Any):
    made = report()
    made.add(outcome("restricted", "onprem-vllm", held={"why": ["impact"], "sha256": ONE, "kept": True}))
    for at in order:
        made.add(APPROVED[at])
    assert made.clean
    assert made.as_json()["reviews"] == [
        {
            "class": "restricted",
            "site": "fra1",
            "held": 1,
            "approved": 1,
            "rejected": 0,
            "expired": 0,
            "given_out": 1,
        }
    ]
    for form in (as_markdown(made), as_text(made)):
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
def test_an_answer_that_left_with_too_few_approvals_is_told_and_the_report_is_not_clean(
    acts: list[dict[str, Any]],
):
    made = report()
    for each in [*acts, act("give", state="approved")]:
        made.add(each)
    assert not made.clean
    (said,) = made.unapproved
    assert "of 2 approvals of it are on record" in said
    for form in (as_markdown(made), as_text(made)):
        assert "too few people had approved" in form
        assert "No gateway routed" not in form


def test_a_correction_is_its_authors_approval_and_an_organisation_may_ask_for_more():
    corrected = [act("correct", "anna", sha256=TWO), act("approve", "bert", "approved", TWO)]
    made = report()
    for each in [*corrected, act("give", state="approved", sha256=TWO)]:
        made.add(each)
    assert made.clean
    made.handling = {"restricted": HANDLING["restricted"].model_copy(update={"approvers": 3})}
    assert not made.clean


def test_what_was_approved_before_the_reports_time_counts_and_is_not_counted():
    made = report()
    for each in APPROVED[:2]:
        made.add({**each, "time": "2026-11-25T15:00:00.000Z"})
    made.add(APPROVED[2])
    assert made.clean
    assert made.as_json()["reviews"][0]["approved"] == 0
    assert made.as_json()["reviews"][0]["given_out"] == 1


def test_what_people_and_time_ended_is_counted_apart():
    made = report()
    made.add(act("reject", "anna", "rejected", id="a"))
    made.add(act("escalate", "", "escalated", id="b"))
    made.add(act("expire", "", "expired", id="b"))
    assert [(row["rejected"], row["expired"]) for row in made.as_json()["reviews"]] == [(1, 1)]

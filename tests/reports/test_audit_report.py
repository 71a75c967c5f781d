"""The audit's report: who asked what where, and every way in which a class may have gone where it may not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from isthmus.contracts.reference.handling import Exception_
from isthmus.reports.audit.report import AuditReport, as_markdown, as_text

DAY = datetime(2026, 11, 26, tzinfo=UTC)
TIME = "2026-11-26T15:00:00.000Z"


def report(**more: Any) -> AuditReport:
    return AuditReport(DAY, DAY.replace(day=27), **more)


def intent(class_: str, target: str | None, **more: Any) -> dict[str, Any]:
    return {
        "kind": "intent",
        "time": TIME,
        "id": "r1",
        "class": class_,
        "site": "fra1",
        "gateway": "gw-0",
        "who": {"workload": "claims", "team": "t", "identity": "key:1"},
        "to": {"target": target, "server": "m.svc"},
        **more,
    }


def outcome(class_: str, target: str | None, **more: Any) -> dict[str, Any]:
    return {
        **intent(class_, target),
        "kind": "outcome",
        "ran": {"target": target} if target else None,
        "ended_well": True,
        "tokens": {"prompt": 7, "completion": 5},
        "usd": 0.5,
        **more,
    }


ALLOWED = [
    ("public", "bedrock"),
    ("internal", "sagemaker"),
    ("confidential", "eks-vllm"),
    ("restricted", "onprem-vllm"),
]
FORBIDDEN = [
    ("confidential", "bedrock"),
    ("restricted", "bedrock"),
    ("restricted", "sagemaker"),
    ("restricted", "eks-vllm"),
    ("internal", None),
    ("restricted", None),
    ("secret", "onprem-vllm"),
    ("public", "elsewhere"),
]


@pytest.mark.parametrize(("class_", "target"), ALLOWED)
def test_a_call_where_a_class_may_run_is_clean(class_: str, target: str):
    audit = report()
    audit.add(intent(class_, target))
    assert audit.clean


@pytest.mark.parametrize(("class_", "target"), FORBIDDEN)
def test_a_call_where_a_class_may_not_run_or_of_unknown_place_is_a_violation(class_: str, target: str | None):
    audit = report()
    audit.add(intent(class_, target))
    assert not audit.clean
    assert len(audit.violations) == 1
    assert "r1" in audit.violations[0]


def test_an_intent_counts_even_where_nothing_is_known_of_its_end():
    audit = report()
    audit.add(intent("restricted", "bedrock"))
    assert audit.counts == {}
    assert "restricted work may not run on bedrock" in as_text(audit)


@pytest.mark.parametrize(("until", "clean"), [("2026-11-26", True), ("2026-11-25", False)])
def test_a_recorded_exception_opens_bedrock_for_its_workload_on_its_days(until: str, clean: bool):
    granted = Exception_(workload="claims", target="bedrock", who="ciso", reason="pilot", until=until)
    audit = report(exceptions=[granted])
    audit.add(intent("confidential", "bedrock"))
    assert audit.clean is clean


def test_records_of_other_days_are_not_looked_at():
    audit = report()
    audit.add(intent("restricted", "bedrock", time="2026-11-27T00:00:00.000Z"))
    audit.add(outcome("restricted", "onprem-vllm", time="2026-11-25T23:59:59.999Z"))
    assert audit.clean
    assert audit.counts == {}


def test_requests_are_counted_by_class_gateway_and_place_the_refused_ones_apart():
    audit = report()
    audit.add(outcome("restricted", "onprem-vllm"))
    audit.add(
        outcome("restricted", "onprem-vllm", ended_well=False, tokens={"prompt": None, "completion": None})
    )
    audit.add(outcome("restricted", None, usd=None))
    audit.add(outcome("public", "bedrock"))
    rows = audit.as_json()["requests"]
    assert [(row["class"], row["ran"], row["requests"], row["ended_well"]) for row in rows] == [
        ("public", "bedrock", 1, 1),
        ("restricted", "nowhere", 1, 1),
        ("restricted", "onprem-vllm", 2, 1),
    ]
    assert (rows[2]["prompt_tokens"], rows[2]["completion_tokens"], rows[2]["usd"]) == (7, 5, 1.0)


def test_altered_records_prove_nothing_and_are_reported():
    audit = report()
    audit.contradictions.append("s3://x: seals/000000000002.seal: its signature does not match")
    assert not audit.clean
    assert "No gateway" not in as_text(audit)
    assert "this report proves nothing" in as_text(audit)


def test_all_formats_agree_and_escape_outside_text():
    audit = report()
    audit.add(outcome("restricted", "onprem-vllm", gateway="gw|`<b>\u202e"))
    audit.gaps.append("request r9 has no outcome")
    markdown, text = as_markdown(audit), as_text(audit)
    assert "No gateway sent data to a place that its class forbids." in markdown
    assert "No gateway sent data to a place that its class forbids." in text
    for form in (markdown, text):
        assert "request r9 has no outcome" in form
        assert "\u202e" not in form
    assert "gw\\|" in markdown

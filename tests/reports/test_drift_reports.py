"""Reports of drift: the verdict, what is told in each format, and no markup or secret way out of a value."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from isthmus.contracts.reports.drift import Drift
from isthmus.contracts.reports.preview import DataPaths, Diagnostic
from isthmus.core.errors import InputError
from isthmus.reports.drift import markdown as drift_markdown
from isthmus.reports.drift import sarif as drift_sarif
from isthmus.reports.drift import text as drift_text
from isthmus.reports.drift import thresholds as drift_thresholds
from isthmus.reports.drift import wording as drift_wording
from tests.reports import drifts
from tests.reports.drifts import EXPECTED, FINDING, STACK, UNSEEN, drift, drifted, path
from tests.reports.reading_markdown import live, shape
from tests.reports.test_preview_escaping import hides
from tests.reports.test_preview_reports import SARIF

OPENED = DataPaths(before=[], after=[path()])
FAILED = [Diagnostic(severity="error", message="no answer")]


@pytest.mark.parametrize(
    ("drift_report", "expected"),
    [
        (drift(), "NO DRIFT"),
        (drift(EXPECTED), "NO DRIFT"),
        (drift(unseen=[UNSEEN], status="partial"), "PARTIAL"),
        (drift(drifted(), unseen=[UNSEEN], status="partial"), "DRIFT"),
        (drift(drifted("foreign")), "DRIFT"),
        (drift(policy=[FINDING]), "DRIFT"),
        (drift(data_paths=OPENED), "REFUSED"),
        (drift(data_paths=DataPaths(before=[path()], after=[path()])), "NO DRIFT"),
        (drift(data_paths=DataPaths(before=[path("allowed")], after=[path()])), "REFUSED"),
        (drift(data_paths=DataPaths(before=[], after=[path("undecided")])), "DRIFT"),
        (drift(policy=[FINDING.model_copy(update={"severity": "critical"})]), "REFUSED"),
        (drift(status="failed", diagnostics=FAILED), "FAILED"),
    ],
)
def test_a_verdict_is_one_word_and_unseen_parts_are_never_without_drift(drift_report: Drift, expected: str):
    assert drift_wording.verdict(drift_report) == expected
    assert expected in drift_text.text([drift_report]).splitlines()[0]
    assert expected in drift_markdown.comment([drift_report]).splitlines()[0]
    log = json.loads(drift_sarif.log([drift_report], {STACK: "stacks/Pulumi.bank-dev.yaml"}))
    jsonschema.Draft7Validator(SARIF).validate(log)
    execution_successful = log["runs"][0]["invocations"][0]["executionSuccessful"]
    assert execution_successful is (drift_report.status == "complete")


def test_every_format_shows_what_who_when_and_why():
    drift_report = drift(
        drifted(), drifted("foreign", name="miner"), EXPECTED, unseen=[UNSEEN], status="partial"
    )
    for text in (drift_text.text([drift_report]), drift_markdown.comment([drift_report])):
        for expected in (
            "kubectl-edit",
            "2026-11-26T15:00:00Z",
            "spec.replicas",
            "miner",
            "foreign",
            "403",
            "ScaledObject",
        ):
            assert expected in text
    results = json.loads(drift_sarif.log([drift_report], {STACK: "stacks/x.yaml"}))["runs"][0]["results"]
    assert [result["ruleId"] for result in results] == ["drift/changed", "drift/foreign"], (
        "expected changes are not results"
    )
    assert "kubectl-edit" in results[0]["message"]["text"]


def test_expected_drift_is_listed_last():
    text = drift_text.text([drift(drifted("gone"), EXPECTED)])
    assert text.index("gone Deployment server") < text.index("Changes expected by the platform")


def test_several_stacks_have_one_table_and_the_worst_word():
    comment = drift_markdown.comment([drift(), drift(drifted(), stack="other")])
    assert comment.startswith("**🔶 DRIFT** `bank-dev`, `other`")
    assert "| `bank-dev` | ✅ NO DRIFT |" in comment


def test_a_comment_is_cut_and_names_the_file_with_the_rest():
    many = drift(*(drifted(name=f"server-{index}", urn=f"u{index}") for index in range(2000)))
    assert drift_markdown.needs_rest([many])
    comment = drift_markdown.comment([many], "drift.whole.md")
    assert len(comment) <= drift_markdown.LIMIT
    assert "drift.whole.md" in comment
    assert "server-1999" in drift_markdown.full_comment([many])
    assert not drift_markdown.needs_rest([drift(drifted())])


def test_no_value_is_read_as_markup_and_none_speaks_to_a_terminal():
    hostile = drifts.hostile()
    comment = drift_markdown.comment([hostile])
    assert live(comment) == []
    assert shape(comment) == shape(drift_markdown.comment([drifts.hostile("tame")]))
    assert hides(comment) == hides(drift_text.text([hostile])) == set()
    assert drift_sarif.log([hostile], {}).isascii()


WORDS = [
    (drift(), [], ""),
    (drift(EXPECTED), ["drift", "high"], ""),
    (drift(drifted()), ["drift"], "1 drifted resource"),
    (drift(drifted()), ["critical"], ""),
    (drift(drifted()), ["medium"], "1 drifted resource of severity medium or above"),
    (drift(drifted("gone")), ["gone"], "1 gone resource"),
    (drift(drifted("gone")), ["foreign"], ""),
    (drift(drifted("foreign")), ["foreign"], "1 foreign resource"),
    (drift(data_paths=OPENED), ["critical"], "1 refused data path"),
    (drift(data_paths=OPENED), ["drift"], "1 refused data path"),
    (drift(policy=[FINDING]), ["high"], "1 finding of severity high or above"),
    (
        drift(data_paths=DataPaths(before=[], after=[path("undecided")])),
        ["undecided"],
        "1 undecided finding or data path",
    ),
    (drift(data_paths=DataPaths()), ["undecided"], "could not be determined"),
]


@pytest.mark.parametrize(("drift_report", "threshold", "reason"), WORDS)
def test_only_unexpected_drift_meets_a_threshold(drift_report: Drift, threshold: Any, reason: str):
    met = drift_thresholds.reasons_to_fail(
        [drift_report], drift_thresholds.parse(threshold or drift_thresholds.DEFAULT)
    )
    assert (reason in "; ".join(met)) if reason else (met == [])


def test_an_unknown_threshold_is_refused_with_the_nearest():
    with pytest.raises(InputError, match="Did you mean `foreign`"):
        drift_thresholds.parse(["foreing"])

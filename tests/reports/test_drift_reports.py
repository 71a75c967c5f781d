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
from tests.reports.drifts import EXPECTED, FINDING, STACK, UNSEEN, drift, one, path
from tests.reports.reading_markdown import live, shape
from tests.reports.test_preview_escaping import hides
from tests.reports.test_preview_reports import SARIF

OPENED = DataPaths(before=[], after=[path()])
FAILED = [Diagnostic(severity="error", message="no answer")]


@pytest.mark.parametrize(
    ("found", "word"),
    [
        (drift(), "NO DRIFT"),
        (drift(EXPECTED), "NO DRIFT"),
        (drift(unseen=[UNSEEN], status="partial"), "PARTIAL"),
        (drift(one(), unseen=[UNSEEN], status="partial"), "DRIFT"),
        (drift(one("foreign")), "DRIFT"),
        (drift(policy=[FINDING]), "DRIFT"),
        (drift(data_paths=OPENED), "REFUSED"),
        (drift(data_paths=DataPaths(before=[path()], after=[path()])), "NO DRIFT"),
        (drift(data_paths=DataPaths(before=[path("allowed")], after=[path()])), "REFUSED"),
        (drift(data_paths=DataPaths(before=[], after=[path("undecided")])), "DRIFT"),
        (drift(policy=[FINDING.model_copy(update={"severity": "critical"})]), "REFUSED"),
        (drift(status="failed", diagnostics=FAILED), "FAILED"),
    ],
)
def test_a_verdict_is_one_word_and_no_part_that_was_not_seen_is_without_drift(found: Drift, word: str):
    assert drift_wording.verdict(found) == word
    assert word in drift_text.text([found]).splitlines()[0]
    assert word in drift_markdown.comment([found]).splitlines()[0]
    log = json.loads(drift_sarif.log([found], {STACK: "stacks/Pulumi.bank-dev.yaml"}))
    jsonschema.Draft7Validator(SARIF).validate(log)
    whole = log["runs"][0]["invocations"][0]["executionSuccessful"]
    assert whole is (found.status == "complete")


def test_every_format_says_what_who_when_and_why():
    found = drift(one(), one("foreign", name="miner"), EXPECTED, unseen=[UNSEEN], status="partial")
    for said in (drift_text.text([found]), drift_markdown.comment([found])):
        for word in (
            "kubectl-edit",
            "2026-11-26T15:00:00Z",
            "spec.replicas",
            "miner",
            "not ours",
            "403",
            "ScaledObject",
        ):
            assert word in said
    results = json.loads(drift_sarif.log([found], {STACK: "stacks/x.yaml"}))["runs"][0]["results"]
    assert [each["ruleId"] for each in results] == ["drift/changed", "drift/foreign"], (
        "what was asked for is none"
    )
    assert "kubectl-edit" in results[0]["message"]["text"]


def test_what_the_platform_asked_for_comes_last():
    said = drift_text.text([drift(one("gone"), EXPECTED)])
    assert said.index("gone Deployment server") < said.index("What the platform asked for")


def test_several_stacks_have_one_table_and_the_worst_word():
    said = drift_markdown.comment([drift(), drift(one(), stack="other")])
    assert said.startswith("**🔶 DRIFT** `bank-dev`, `other`")
    assert "| `bank-dev` | ✅ NO DRIFT |" in said


def test_a_comment_is_cut_and_names_the_file_with_the_rest():
    many = drift(*(one(name=f"server-{index}", urn=f"u{index}") for index in range(2000)))
    assert drift_markdown.needs_rest([many])
    said = drift_markdown.comment([many], "drift.whole.md")
    assert len(said) <= drift_markdown.LIMIT
    assert "drift.whole.md" in said
    assert "server-1999" in drift_markdown.full_comment([many])
    assert not drift_markdown.needs_rest([drift(one())])


def test_no_value_is_read_as_markup_and_none_speaks_to_a_terminal():
    found = drifts.hostile()
    said = drift_markdown.comment([found])
    assert live(said) == []
    assert shape(said) == shape(drift_markdown.comment([drifts.hostile("tame")]))
    assert hides(said) == hides(drift_text.text([found])) == set()
    assert drift_sarif.log([found], {}).isascii()


WORDS = [
    (drift(), [], ""),
    (drift(EXPECTED), ["drift", "high"], ""),
    (drift(one()), ["drift"], "1 not as they were left"),
    (drift(one()), ["critical"], ""),
    (drift(one()), ["medium"], "1 drifts of severity medium or above"),
    (drift(one("gone")), ["gone"], "1 gone"),
    (drift(one("gone")), ["foreign"], ""),
    (drift(one("foreign")), ["foreign"], "1 not ours"),
    (drift(data_paths=OPENED), ["critical"], "1 refused data paths"),
    (drift(data_paths=OPENED), ["drift"], "1 refused data paths"),
    (drift(policy=[FINDING]), ["high"], "1 of severity high or above"),
    (drift(data_paths=DataPaths(before=[], after=[path("undecided")])), ["undecided"], "1 cannot be decided"),
    (drift(data_paths=DataPaths()), ["undecided"], "was not found out"),
]


@pytest.mark.parametrize(("found", "asked", "why"), WORDS)
def test_a_threshold_is_met_by_what_nobody_asked_for(found: Drift, asked: Any, why: str):
    met = drift_thresholds.reasons_to_fail([found], drift_thresholds.parse(asked or drift_thresholds.DEFAULT))
    assert (why in "; ".join(met)) if why else (met == [])


def test_a_threshold_that_there_is_not_is_named_with_the_nearest():
    with pytest.raises(InputError, match="Did you mean `foreign`"):
        drift_thresholds.parse(["foreing"])

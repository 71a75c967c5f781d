"""Evidence as an auditor reads it: nothing in it is markup, a formula or a word to the terminal."""

from __future__ import annotations

import csv
import io
from datetime import date

import pytest

from isthmus.contracts.reports.evidence import Evidence, NotChecked, Result, Row
from isthmus.contracts.reports.findings import Control
from isthmus.reports import evidence as evidence_report
from tests.reports.reading_markdown import shape

NIST = [Control(framework="NIST SP 800-53", version="Rev. 5", id=control) for control in ("SC-12", "AC-6")]


def row(result: Result, resource: str = "", **more: object) -> Row:
    fields = {
        "control": "Keys rotate",
        "supports": NIST,
        "check": "encryption/keys-rotate",
        "severity": "high",
    }
    return Row.model_validate({**fields, "resource": resource, "result": result, **more})


def evidence(*rows: Row) -> Evidence:
    return Evidence(
        stack="dev",
        of="rendering",
        as_of=date(2026, 11, 26),
        commit="abc",
        resources=3,
        digest="sha256:d",
        rows=list(rows),
        not_checked=[NotChecked(control="A person looks", supports=[], why="No resource carries it")],
    )


WHOLE = evidence(
    row("holds", "one"),
    row("holds", "two"),
    row("fails", "bad", said=["bad does not rotate"]),
    row("silenced", "old", said=["late"], owner="ana", reason="moves", until=date(2027, 1, 31)),
    row("not applicable", check="audit/cluster-logs", control="Logs are kept"),
)


def test_the_text_lists_failed_controls_first():
    lines = evidence_report.text(WHOLE).splitlines()
    assert lines[0] == "dev, 2026-11-26: 3 resources of its program (sha256:d), files of commit abc."
    assert lines[1] == "2 controls, 5 results: 1 fails, 1 silenced, 2 holds, 1 not applicable."
    text = "\n".join(lines)
    assert text.index("fails  enc") < text.index("silenced  enc") < text.index("holds  enc")
    assert "ana is responsible until 2027-01-31: moves" in text
    assert "holds  encryption/keys-rotate: Keys rotate [2 resources]" in text
    assert "supports NIST SP 800-53 Rev. 5: SC-12, AC-6" in text
    assert "not checked  A person looks" in text


def test_the_table_has_a_row_for_each_result_with_its_evidence():
    lines = list(csv.DictReader(io.StringIO(evidence_report.table(WHOLE))))
    assert [line["result"] for line in lines] == [*(row.result for row in WHOLE.rows), "not checked here"]
    assert {(line["as_of"], line["commit"], line["looked_at"], line["digest"]) for line in lines} == {
        ("2026-11-26", "abc", "rendering", "sha256:d")
    }
    assert lines[3]["until"] == "2027-01-31"


@pytest.mark.parametrize("name", ["=1+1", "+cmd", "-2", "@SUM(A1)", "\t=1"])
def test_no_cell_is_a_formula(name: str):
    [line, _] = csv.DictReader(io.StringIO(evidence_report.table(evidence(row("holds", name)))))
    assert not line["resource"].startswith(("=", "+", "-", "@", "\t"))


EVIL = "a|b `x` [link](http://evil) <img src=x> @team #1\n# head \x1b[2J\u202e"


def test_no_value_is_markup_or_speaks_to_the_terminal():
    hurt = evidence(row("fails", EVIL, said=[EVIL], owner=EVIL, reason=EVIL))
    for render in (evidence_report.text, evidence_report.markdown, evidence_report.table):
        text = render(hurt)
        assert "\x1b" not in text
        assert "\u202e" not in text
    tame = evidence(row("fails", "x", said=["x"], owner="x", reason="x"))
    assert shape(evidence_report.markdown(hurt)) == shape(evidence_report.markdown(tame))


def test_markdown_has_a_table_for_each_control():
    markdown = evidence_report.markdown(WHOLE)
    assert markdown.count("\n## ") == 3
    assert "| `bad` |  | **fails** | `bad does not rotate` |" in markdown
    assert "the whole stack" not in markdown

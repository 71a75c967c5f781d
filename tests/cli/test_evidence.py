"""`isthmus evidence` of the bank: reproducible output, and clear messages for invalid input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from isthmus.contracts.reports.evidence import Evidence
from policies.evaluation.registry import RULES
from tests.cli.conftest import Isthmus

DAY = ("--as-of", "2026-11-26")


def test_evidence_of_the_bank_covers_every_rule_and_is_reproducible(isthmus: Isthmus, tmp_path: Path):
    first = isthmus("evidence", "bank-dev", *DAY, "--format", "json")
    assert first.code == 0, first.err
    evidence = Evidence.model_validate(json.loads(first.out))
    assert (evidence.stack, evidence.of, evidence.as_of.isoformat()) == (
        "bank-dev",
        "rendering",
        "2026-11-26",
    )
    assert list(dict.fromkeys(row.check for row in evidence.rows)) == [rule.id for rule in RULES]
    assert {row.result for row in evidence.rows} == {"holds", "not applicable"}
    keys = [row for row in evidence.rows if row.check == "encryption/keys-rotate"]
    assert len(keys) > 1
    assert {key.type for key in keys} == {"aws:kms/key:Key"}
    assert evidence.not_checked
    again = isthmus("evidence", "bank-dev", *DAY, "--format", "json", "-o", tmp_path / "evidence.json")
    assert again.code == 0, again.err
    assert (tmp_path / "evidence.json").read_text() == first.out


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("nobody",), 2, "unknown stack `nobody`"),
        (("bank-dev", "--as-of", "yesterday"), 2, "`yesterday` is not a date"),
        (("bank-dev", "-o", "/no/such/folder/file"), 3, "the folder does not exist"),
    ],
)
def test_invalid_evidence_options_give_one_paragraph(
    isthmus: Isthmus, args: tuple[str, ...], code: int, message: str
):
    done = isthmus("evidence", *args)
    assert (done.code, done.out) == (code, "")
    assert message in done.err
    assert "Traceback" not in done.err

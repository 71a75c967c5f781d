"""`isthmus evidence` of the bank, as its program asks for it: the same bytes each time; clear words for bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from isthmus.contracts.reports.evidence import Evidence
from policies.evaluation.registry import RULES
from tests.cli.conftest import Isthmus

DAY = ("--as-of", "2026-11-26")


def test_the_bank_is_asked_by_every_rule_and_says_the_same_twice(isthmus: Isthmus, tmp_path: Path):
    first = isthmus("evidence", "bank-dev", *DAY, "--format", "json")
    assert first.code == 0, first.err
    said = Evidence.model_validate(json.loads(first.out))
    assert (said.stack, said.of, said.as_of.isoformat()) == ("bank-dev", "rendering", "2026-11-26")
    assert list(dict.fromkeys(each.check for each in said.rows)) == [rule.id for rule in RULES]
    assert {each.result for each in said.rows} == {"holds", "not applicable"}
    keys = [each for each in said.rows if each.check == "encryption/keys-rotate"]
    assert len(keys) > 1
    assert {each.type for each in keys} == {"aws:kms/key:Key"}
    assert said.not_checked
    again = isthmus("evidence", "bank-dev", *DAY, "--format", "json", "-o", tmp_path / "evidence.json")
    assert again.code == 0, again.err
    assert (tmp_path / "evidence.json").read_text() == first.out


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("nobody",), 2, "there is no stack `nobody`"),
        (("bank-dev", "--as-of", "yesterday"), 2, "`yesterday` is not a date"),
        (("bank-dev", "-o", "/no/such/folder/file"), 3, "there is no such folder"),
    ],
)
def test_bad_input_is_one_paragraph(isthmus: Isthmus, args: tuple[str, ...], code: int, words: str):
    done = isthmus("evidence", *args)
    assert (done.code, done.out) == (code, "")
    assert words in done.err
    assert "Traceback" not in done.err

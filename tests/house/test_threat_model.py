"""The threat model names a test for everything that it says is stopped, and each of them is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "threat-model.md").read_text()
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def rows() -> list[str]:
    """Every row of a table whose last column says what shows it."""
    rows_found, within = [], False
    for line in TEXT.splitlines():
        if not line.startswith("|"):
            within = False
        elif line.endswith("| shown by |"):
            within = True
        elif within and not line.startswith("|---"):
            rows_found.append(line)
    return rows_found


def test_every_test_that_the_threat_model_names_is_there():
    tests_named = set(NAMED.findall(TEXT))
    assert len(tests_named) > 60
    gone = [
        f"{file}::{name}"
        for file, name in sorted(tests_named)
        if not (ROOT / file).is_file() or f"\ndef {name}(" not in (ROOT / file).read_text()
    ]
    assert gone == []


@pytest.mark.parametrize("row", rows())
def test_every_row_names_a_test(row: str):
    assert NAMED.findall(row.split("|")[-2]), f"nothing shows it: {row}"


def test_every_named_threat_has_its_remaining_risk_stated():
    sections = re.split(r"^## ", TEXT, flags=re.M)[1:]
    actors = [section for section in sections if "| shown by |" in section]
    assert len(actors) >= 10
    assert [actor.splitlines()[0] for actor in actors if "*Left.*" not in actor] == []

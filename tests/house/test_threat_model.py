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
    found, within = [], False
    for line in TEXT.splitlines():
        if not line.startswith("|"):
            within = False
        elif line.endswith("| shown by |"):
            within = True
        elif within and not line.startswith("|---"):
            found.append(line)
    return found


def test_every_test_that_the_threat_model_names_is_there():
    named = set(NAMED.findall(TEXT))
    assert len(named) > 60
    gone = [
        f"{file}::{name}"
        for file, name in sorted(named)
        if not (ROOT / file).is_file() or f"\ndef {name}(" not in (ROOT / file).read_text()
    ]
    assert gone == []


@pytest.mark.parametrize("row", rows())
def test_every_row_names_a_test(row: str):
    assert NAMED.findall(row.split("|")[-2]), f"nothing shows it: {row}"


def test_whoever_is_named_has_what_is_left_said():
    sections = re.split(r"^## ", TEXT, flags=re.M)[1:]
    actors = [each for each in sections if "| shown by |" in each]
    assert len(actors) >= 10
    assert [each.splitlines()[0] for each in actors if "*Left.*" not in each] == []

"""Ways out by editing files: each fence is asked alone, and refuses what the table says."""

from __future__ import annotations

import pytest

from tests.blueprints.bank import ROOT
from tests.fences import rows


@pytest.mark.parametrize("fence", rows.FENCES)
def test_no_fence_refuses_the_bank_itself(fence: rows.Fence):
    assert not rows.REFUSES[fence](rows.start())


@pytest.mark.parametrize("row", rows.ROWS)
def test_each_fence_alone_refuses_what_the_table_says(row: str):
    data = rows.edited(row)
    assert {fence for fence in rows.FENCES if rows.REFUSES[fence](data)} == rows.ROWS[row].refused_by


def test_the_threat_model_has_the_table():
    assert rows.table() in (ROOT / "docs" / "threat-model.md").read_text("utf-8"), (
        "write the output of `python -m tests.fences.rows`"
    )

"""`isthmus verify` where there is nothing to look at."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Isthmus


def test_without_a_cluster_that_answers_a_pool_is_neither_well_nor_ill(isthmus: Isthmus, project: Path):
    ran = isthmus("verify", "bank-dev", "--project", project)
    assert ran.code == 3, "the surroundings are at fault"
    assert "isthmus sandbox up" in ran.err
    assert "signs of" not in ran.err

"""`isthmus verify` without a reachable cluster."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Isthmus


def test_without_a_reachable_cluster_no_pool_is_called_healthy_or_unhealthy(isthmus: Isthmus, project: Path):
    result = isthmus("verify", "bank-dev", "--project", project)
    assert result.code == 3, "the surroundings are at fault"
    assert "isthmus sandbox up" in result.err
    assert "signs of" not in result.err

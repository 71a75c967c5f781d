"""A route leads to more than its first place: what takes its overflow, and what is as good."""

from __future__ import annotations

import pytest

from tests.broken_graphs.changes import replace_text
from tests.graph.test_paths import CONFIG, changed, worse

FIRST = "- workload: transaction-narratives\n"
BEYOND = "{url: 'https://api.openai.com:443', server_name: api.openai.com, model: x}"


@pytest.mark.parametrize(
    "endpoint", [f"  overflow: {BEYOND}\n", f"  also: [{BEYOND}]\n", f"  canary: {BEYOND}\n"]
)
def test_each_place_of_a_restricted_route_is_looked_at(endpoint: str) -> None:
    paths = worse(changed(CONFIG, "restricted-gateway-config", replace_text(FIRST, FIRST + endpoint)))
    assert any(verdict == "refused" and "is a cloud's" in reason for verdict, reason in paths.values()), paths

"""A route leads to all of its endpoints: the first one, its overflow, its alternatives and its canary."""

from __future__ import annotations

import pytest

from tests.broken_graphs.changes import replace_text
from tests.graph.test_paths import CONFIG, changed, worse

FIRST = "- workload: transaction-narratives\n"
BEYOND = "{url: 'https://api.openai.com:443', server_name: api.openai.com, model: x}"


@pytest.mark.parametrize(
    "endpoint", [f"  overflow: {BEYOND}\n", f"  also: [{BEYOND}]\n", f"  canary: {BEYOND}\n"]
)
def test_every_endpoint_of_a_restricted_route_is_checked(endpoint: str) -> None:
    paths = worse(changed(CONFIG, "restricted-gateway-config", replace_text(FIRST, FIRST + endpoint)))
    assert any(verdict == "refused" and "is a cloud's" in reason for verdict, reason in paths.values()), paths

"""The share of requests that a canary gets."""

from __future__ import annotations

import pytest

from edge.canary_split import Split


@pytest.mark.parametrize("percent", [0.1, 1, 2.5, 33.333, 50, 99])
def test_the_canarys_share_is_exact_over_any_thousand_requests(percent: float) -> None:
    split = Split(percent)
    for _ in range(3):
        canary_count = sum(split.next() for _ in range(1000))
        assert abs(canary_count - percent * 10) < 1

"""Replicas of a gateway, computed from the planned load."""

from __future__ import annotations

import pytest

from isthmus.contracts.platform.lookups.gateway_size import copies, planned_copies
from tests.contracts.bank import requirements


@pytest.mark.parametrize(
    ("rps", "tokens", "expected"),
    [
        (0.1, 1, 2),  # never one alone
        (350, 0, 2),  # one copy at 70 % carries it, and the other may be away
        (351, 0, 3),
        (0, 6700 * 0.7, 2),
        (0, 6700 * 0.7 + 1, 3),
        (1000, 33500, 11),
    ],
)
def test_gateway_replicas_carry_the_load_at_seventy_percent_when_one_is_lost(
    rps: float, tokens: float, expected: int
) -> None:
    assert copies(rps, tokens) == expected


def test_more_cpu_keeps_the_number_of_gateway_replicas_and_less_cpu_raises_it() -> None:
    assert copies(1000, 0, cpu=4) == copies(1000, 0)
    assert copies(1000, 0, cpu=0.5) > copies(1000, 0)


def test_gateway_replicas_follow_from_peak_and_tokens_in_the_requirements() -> None:
    (internal,) = [workload for workload in requirements().workloads if workload.name == "policy-assistant"]
    assert (internal.traffic.peak_rps, internal.traffic.output_tokens.mean) == (6.0, 350)
    assert planned_copies([internal]) == 2
    assert planned_copies([internal] * 5) == copies(30, 10500) == 4

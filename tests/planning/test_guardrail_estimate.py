"""The estimate of what Bedrock charges for guardrails: text units, prices, and the share of requests that go there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from bench.replay import read
from isthmus.planning.options.option import OnApi
from isthmus.planning.output.guardrail_estimate import guardrail_usd
from isthmus.planning.sizing import demand
from isthmus.planning.solver.program import Solution
from tests.planning.test_planner import bank


def chosen(name: str, share: float) -> Solution:
    """A solution that sends a share of one workload's requests to Bedrock, and nothing else."""
    api = OnApi.__new__(OnApi)
    parts = {
        workload["name"]: [(api, share, share)] if workload["name"] == name else []
        for workload in bank()["workloads"]
    }
    choices = {key: SimpleNamespace(parts=value) for key, value in parts.items()}
    return cast(Solution, SimpleNamespace(choices=choices))


@pytest.mark.parametrize("name", ["policy-assistant", "campaign-copy"])
def test_each_thousand_characters_are_a_unit_for_filters_and_one_for_personal_data(name: str):
    requirements = read(bank())
    workload: Any = requirements.workload(name)
    asked = demand.of_workload(workload)
    units = -(-asked.lengths.prompt * 4 // 1000) + -(-asked.lengths.output * 4 // 1000)
    expected = asked.requests * units * (0.15 + 0.10) / 1000
    assert guardrail_usd(requirements, chosen(name, 1.0)) == {name: pytest.approx(expected)}
    assert guardrail_usd(requirements, chosen(name, 0.25)) == {name: pytest.approx(expected / 4)}
    assert guardrail_usd(requirements, chosen(name, 0.0)) == {}

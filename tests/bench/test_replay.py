"""Plans replayed in the simulator: the bank's holds, and one with too little is seen not to."""

from __future__ import annotations

import random

import pytest

from bench import replay
from isthmus.core import yaml_files
from isthmus.planning import planner


@pytest.fixture(scope="module")
def bank() -> tuple[replay.Requirements, replay.Plan]:
    requirements = replay.read(yaml_files.load(replay.BANK).data)
    return requirements, planner.make_plan(requirements, replay.OFFERS, replay.TODAY).plan


def test_the_bank_s_plan_holds_at_the_peak_and_after_the_loss(
    bank: tuple[replay.Requirements, replay.Plan],
) -> None:
    assert replay.find_violations(*bank, seed=1) == []


def test_a_plan_with_too_few_replicas_violates_its_slo(bank: tuple[replay.Requirements, replay.Plan]) -> None:
    requirements, plan = bank
    endpoints = [
        endpoint.model_copy(update={"replicas": 1}) if endpoint.replicas else endpoint
        for endpoint in plan.endpoints
    ]
    violations = replay.find_violations(
        requirements, plan.model_copy(update={"endpoints": endpoints}), seed=1
    )
    assert any(
        "transaction-narratives" in violation and "at the peak" in violation for violation in violations
    )


def test_random_requirements_are_valid() -> None:
    chance = random.Random(5)
    for _ in range(20):
        assert replay.read(replay.random_requirements(chance)).digest

"""A workload's budget without an amount is left out where its team has a budget."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from isthmus.blueprints import assembly
from isthmus.core.errors import InputError
from tests.blueprints import bank


def budgets(overrides: dict[str, Any]) -> list[str]:
    platform = assembly.platform(bank.STACKS, bank.STACK, overrides, sandbox=True, lock=bank.LOCK)
    return [budget.name for budget in platform.budgets]


def test_the_amount_of_a_team_need_not_be_stated_for_its_workloads_again() -> None:
    assert "policy-assistant" not in budgets(bank.overrides()), "the bank states it for the team hr"


def test_an_amount_that_is_stated_for_a_workload_stays() -> None:
    overrides = copy.deepcopy(bank.overrides())
    overrides["budgets"].append({"name": "policy-assistant", "monthly_usd": 3000})
    assert "policy-assistant" in budgets(overrides)


def test_a_workload_of_no_team_needs_an_amount() -> None:
    overrides = copy.deepcopy(bank.overrides())
    del overrides["teams"]
    with pytest.raises(InputError, match="policy-assistant"):
        budgets(overrides)

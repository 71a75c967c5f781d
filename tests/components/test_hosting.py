"""What the package's plugin makes of the engine's values before a component sees them."""

import asyncio
import json
from typing import Any

import pulumi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.__main__ import HOSTED
from components.base.hosting import Host, restore_integers

SCHEMA: dict[str, Any] = json.loads(Host(HOSTED, "isthmus", None, "0.1.0").schema)  # type: ignore[arg-type]
INTEGER = {"type": "integer"}


def inputs(kind: str) -> dict[str, Any]:
    return {"type": "object", "properties": SCHEMA["resources"][f"isthmus:index:{kind}"]["inputProperties"]}


def test_whole_numbers_are_whole_wherever_they_stand() -> None:
    inputs_given = {"siteAsn": 65010.0, "amazonAsn": 64512.0, "name": "x", "classes": ["internal"]}
    assert repr(restore_integers(inputs_given, inputs("SiteLink"), SCHEMA["types"])) == repr(
        {"siteAsn": 65010, "amazonAsn": 64512, "name": "x", "classes": ["internal"]}
    )
    budget = {"alertPct": [80.0, 100.0], "monthlyUsd": 500.0}
    converted = restore_integers({"budgets": [budget], "anomalyUsd": 5.0}, inputs("Budgets"), SCHEMA["types"])
    assert repr(converted) == repr(
        {"budgets": [{"alertPct": [80, 100], "monthlyUsd": 500.0}], "anomalyUsd": 5.0}
    ), "dollars are no whole numbers, percents are"


def test_late_outputs_are_converted_to_whole_numbers() -> None:
    async def later() -> Any:
        later = restore_integers(
            {"retentionDays": pulumi.Output.from_input(400.0)}, inputs("AuditTrail"), SCHEMA["types"]
        )
        return await later["retentionDays"].future()

    assert repr(asyncio.run(later())) == "400"


@given(st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: not number.is_integer()))
def test_a_fractional_number_is_left_to_the_component(number: float) -> None:
    assert restore_integers(number, INTEGER, {}) == number


@given(st.integers(min_value=-(2**53), max_value=2**53))
def test_every_integer_that_a_float_can_hold_comes_through(number: int) -> None:
    assert repr(restore_integers(float(number), INTEGER, {})) == repr(number)


@pytest.mark.parametrize("value", ["1.0", True, None, [], {}])
def test_nothing_else_is_touched(value: Any) -> None:
    assert restore_integers(value, INTEGER, {}) is value or restore_integers(value, INTEGER, {}) == value

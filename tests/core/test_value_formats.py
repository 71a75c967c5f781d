"""How errors say what a value must look like: by example, never by a regular expression."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge import review_domains
from edge.config import notifier
from isthmus.contracts.platform import overrides
from isthmus.core import value_formats
from isthmus.core.errors import InputError

CONTRACTS = Path(overrides.__file__).parents[1]
OF_THE_EDGE = [Path(str(module.__file__)) for module in (review_domains, notifier)]
"""Models of the edge that are parts of a contract."""
PATTERNS = sorted(
    {
        pattern
        for file in (*CONTRACTS.rglob("*.py"), *OF_THE_EDGE)
        for pattern in re.findall(r"""pattern=r"(.+?)"\s*\)""", file.read_text("utf-8"))
    }
)


def test_every_pattern_of_the_contracts_has_a_description():
    assert len(PATTERNS) > 15
    assert set(PATTERNS) == set(value_formats.DESCRIPTIONS)


@pytest.mark.parametrize(
    "pattern", [pattern for pattern in PATTERNS if "like" in value_formats.DESCRIPTIONS[pattern]]
)
def test_the_examples_are_of_the_form(pattern: str):
    for example in re.findall(r"`([^`]+)`", value_formats.DESCRIPTIONS[pattern]):
        assert re.fullmatch(pattern, example), f"{example} is not of the form {pattern}"


def message_for(part: str, **values: object) -> str:
    with pytest.raises(InputError) as caught:
        overrides.check({part: [{"name": "frankfurt", **values}]})
    return str(caught.value)


def test_a_duration_with_a_unit_is_refused_with_the_unit_of_the_key():
    assert "`24h` is not valid: expected a whole number of hours" in message_for(
        "trust", certificate_hours="24h"
    )
    assert "`1h` is not valid: expected a whole number of seconds" in message_for(
        "trust", session_seconds="1h"
    )
    assert "expected a number of USD" in message_for("budgets", monthly_usd="many")


def test_a_boolean_is_not_an_amount():
    assert "`true` is not valid: expected a number of USD" in message_for("budgets", monthly_usd=True)


def test_a_wrong_id_is_refused_with_an_example():
    assert "`my-vpc` is not valid: expected a VPC's id like" in message_for("networks", vpc="my-vpc")
    assert "`10.80.0.0` is not valid: expected a network like `10.40.0.0/16`" in message_for(
        "networks", cidr="10.80.0.0"
    )
    with pytest.raises(InputError, match=r"expected a quantity like `8`, `500m` or `64Gi`"):
        overrides.check({"endpoints": [{"id": "one", "memory": "64GiB"}]})

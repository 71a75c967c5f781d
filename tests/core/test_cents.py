"""Dividing amounts to the cent."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.core.cents import divide, rounded_parts, to_cents

amounts = st.decimals("-100000", "100000", places=10)


@given(st.dictionaries(st.text(max_size=3), amounts, max_size=12))
def test_rounded_parts_add_up_and_each_is_less_than_a_cent_off(parts: dict[str, Decimal]):
    rounded = rounded_parts(parts)
    assert sum(rounded.values(), Decimal(0)) == to_cents(sum(parts.values(), Decimal(0)))
    assert all(abs(rounded[key] - part) < Decimal("0.01") for key, part in parts.items())


@given(
    st.integers(-10_000_000, 10_000_000),
    st.dictionaries(st.text(max_size=3), st.decimals(0, 10**12, places=3), min_size=1, max_size=12),
)
def test_a_divided_amount_adds_up(cents: int, weights: dict[str, Decimal]):
    amount = Decimal(cents) / 100
    if not any(weights.values()):
        with pytest.raises(ValueError, match="no positive weight"):
            divide(amount, weights)
        return
    parts = divide(amount, weights)
    assert sum(parts.values(), Decimal(0)) == amount
    assert all(parts[key] == 0 for key, weight in weights.items() if weight == 0 and amount >= 0)


def test_the_missing_cents_go_to_the_largest_remainders():
    assert divide(Decimal("10.00"), {"a": Decimal(1), "b": Decimal(1), "c": Decimal(1)}) == {
        "a": Decimal("3.34"),
        "b": Decimal("3.33"),
        "c": Decimal("3.33"),
    }

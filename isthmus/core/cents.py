"""Divides amounts so that the parts add up to the whole, to the cent."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from typing import TypeVar

Key = TypeVar("Key")
CENT = Decimal("0.01")


def to_cents(amount: Decimal) -> Decimal:
    """Round an amount to cents (half to even)."""
    return amount.quantize(CENT, ROUND_HALF_EVEN)


def rounded_parts(parts: Mapping[Key, Decimal]) -> dict[Key, Decimal]:
    """Round parts to cents so that they add up to their rounded sum.

    The method of the largest remainder: all parts are rounded down, and the missing cents go to the parts that lost
    most. Equal remainders: the earlier part first.
    """
    floors = {key: part.quantize(CENT, ROUND_FLOOR) for key, part in parts.items()}
    total = to_cents(sum(parts.values(), Decimal(0)))
    missing = int((total - sum(floors.values(), Decimal(0))) / CENT)
    by_remainder = sorted(parts, key=lambda key: floors[key] - parts[key])
    for key in by_remainder[:missing]:
        floors[key] += CENT
    return floors


def divide(amount: Decimal, weights: Mapping[Key, Decimal]) -> dict[Key, Decimal]:
    """Divide an amount of whole cents in the proportion of weights, to the cent.

    Raises `ValueError` without a positive weight.
    """
    total = sum(weights.values(), Decimal(0))
    if total <= 0:
        raise ValueError("there is no positive weight to divide by")
    shares = {key: amount * weight / total for key, weight in weights.items()}
    largest = max(shares, key=lambda key: weights[key])
    # What the division itself rounds off (28 digits) must not move a cent.
    shares[largest] += amount - sum(shares.values(), Decimal(0))
    return rounded_parts(shares)

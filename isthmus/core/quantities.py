"""Kubernetes quantities as numbers."""

from __future__ import annotations

from decimal import Decimal

from isthmus.core.errors import InputError

_UNITS = {
    "": 1,
    "m": Decimal("0.001"),
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}


def amount(quantity: str) -> Decimal:
    """A quantity as a number of its base unit: "500m" is 0.5, "64Gi" is 64 × 2^30."""
    digits = quantity.rstrip("kmMGTi")
    unit = quantity[len(digits) :]
    if unit not in _UNITS or not digits.replace(".", "", 1).isdigit():
        raise InputError(f"'{quantity}' is not a quantity", fix='Write e.g. "8", "500m" or "64Gi"')
    return Decimal(digits) * _UNITS[unit]

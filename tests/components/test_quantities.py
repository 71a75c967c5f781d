"""Sums of Kubernetes quantities."""

from decimal import Decimal

import pytest

from components.cluster.quantities import amount, as_cpu, as_memory
from isthmus.core.errors import InputError


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [("8", 8), ("500m", Decimal("0.5")), ("0.5", Decimal("0.5")), ("64Gi", 64 * 2**30), ("2G", 2 * 10**9)],
)
def test_a_quantity_is_a_number_of_its_base_unit(quantity: str, expected: Decimal | int) -> None:
    assert amount(quantity) == expected


@pytest.mark.parametrize("quantity", ["", "64GB", "-1", "1e3", "many", "Gi"])
def test_an_invalid_quantity_is_an_error_with_its_value(quantity: str) -> None:
    with pytest.raises(InputError, match="is not a quantity"):
        amount(quantity)


def test_sums_are_rounded_up() -> None:
    assert as_cpu(amount("8") + amount("500m")) == "9"
    assert as_memory(amount("64Gi") + amount("512Mi")) == "65Gi"

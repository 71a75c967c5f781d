"""Sums of Kubernetes quantities, for quotas."""

from decimal import Decimal

from isthmus.core.quantities import amount as amount


def as_cpu(total: Decimal) -> str:
    """Whole CPUs, rounded up."""
    return str(int(total.to_integral_value(rounding="ROUND_CEILING")))


def as_memory(total: Decimal) -> str:
    """Whole GiB, rounded up."""
    return f"{int((total / 2**30).to_integral_value(rounding='ROUND_CEILING'))}Gi"

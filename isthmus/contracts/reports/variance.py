"""Plan against actual, and the forecast of a month: `isthmus usage variance` and `isthmus usage forecast`.

Amounts are whole cents in USD.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from isthmus.contracts.vocabulary import Part


class Effects(Part):
    """What a difference of actual cost and plan is made of. The effects add up to `difference`, to the cent."""

    plan: Decimal
    actual: Decimal
    difference: Decimal
    load: Decimal
    """More or fewer requests of the workload, at planned shares and costs of a request."""
    mix: Decimal
    """Other shares of the endpoints, at planned costs of a request."""
    efficiency: Decimal
    """More or fewer tokens, or GPU time, for a request, at planned prices."""
    price: Decimal
    """Other prices."""
    not_planned: Decimal
    """Cost at an endpoint where the plan has no price or no requests for the workload."""


class VarianceRow(Part):
    """A workload at an endpoint."""

    workload: str
    endpoint: str
    planned_requests: int | None
    """None: the plan cannot say."""
    requests: int
    """Answered ones."""
    effects: Effects


class Variance(Part):
    """The plan compared with what was used."""

    stack: str
    begin: date
    end: date
    """First and last day. The plan counts in proportion to the hours."""
    rows: list[VarianceRow]
    total: Effects
    notes: list[str]


class ForecastRow(Part):
    """The forecast of a part of the usage."""

    name: str
    """The team or the workload; `all` for the whole stack."""
    so_far: Decimal
    """Cost until `through`."""
    expected: Decimal | None
    """Cost at the end of the month. None: not known."""
    low: Decimal | None
    high: Decimal | None
    """80 % of months end between `low` and `high`."""
    method: str
    """How it is computed, or why it is not known."""


class Forecast(Part):
    """The cost of a month at its end."""

    stack: str
    month: str
    through: date
    """The last day that counts."""
    days_observed: int
    rows: list[ForecastRow]

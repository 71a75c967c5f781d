"""Rented AWS instances among a plan's cost items, read back from the items' titles."""

from __future__ import annotations

import re
from dataclasses import dataclass

from isthmus.contracts.plan.document import CostItem

_TITLE = re.compile(
    r"(?P<site>[^,]+), (?P<count>\d+) x (?P<instance>\S+) \((?P<purchase>[^)]+)\), (?P<sensitivity>[a-z]+)"
    r"(?:, (?P<model>.+))?"
)


@dataclass(frozen=True)
class RentedInstances:
    """The instances of a cost item, read back from its title."""

    site: str
    count: int
    instance: str
    purchase: str
    sensitivity: str
    model: str | None
    """The model that they serve alone; None if the class shares them."""


def rented_instances(item: CostItem) -> RentedInstances | None:
    """Return the instances of an item; None for an item of another kind."""
    match = _TITLE.fullmatch(item.what) if item.unit == "hours" else None
    if match is None:
        return None
    parts = match.groupdict()
    return RentedInstances(
        parts["site"],
        int(parts["count"]),
        parts["instance"],
        parts["purchase"],
        parts["sensitivity"],
        parts["model"],
    )

"""Catalogue of grid carbon factors: the yearly average carbon intensity of electricity, by country.

The data and their licence are described in `data/NOTICE`; `scripts/grid_factors.py` makes them anew.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from isthmus.planning.catalogues import tables


@dataclass(frozen=True)
class GridFactor:
    """The carbon intensity of a country's electricity."""

    country: str
    """Jurisdiction code: ISO 3166-1 alpha-2 in lower case, `uk` for the United Kingdom."""
    name: str
    g_co2e_per_kwh: float
    source: str
    as_of: str


@functools.cache
def _factors() -> dict[str, GridFactor]:
    return {
        row["country"]: GridFactor(
            row["country"],
            row["name"],
            row["g_co2e_per_kwh"],
            row["evidence"]["source"],
            row["evidence"]["as_of"],
        )
        for row in tables.rows("grid_factors")
    }


def find(jurisdiction: str) -> GridFactor | None:
    """Return the factor of a country; None for a union such as `eu`, whose members differ too much for a mean."""
    return _factors().get(jurisdiction)

"""Prices of AWS parts that a platform pays for by the hour, the month or the gigabyte, and of guardrails by text unit.

A site states its own price first, as `sites[].prices.interface-endpoint: {usd_per_hour: 0.012, as_of: "2026-11-01"}`.
Then comes the region's row in `data/fixed_prices.json`, then a row that holds in every region. Where a region has
no row, the price is us-east-1's with `REGIONAL_MARKUP`, and the plan marks it `estimated`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from isthmus.core.errors import InputError
from isthmus.planning.catalogues import stated_prices, tables

Unit = Literal["hour", "month", "GB month", "GB", "thousand text units"]

REGIONAL_MARKUP = 1.25
"""Factor on us-east-1's price where a region's own is not known. AWS's European regions cost 5 to 25 % more than
us-east-1 in the rows that `data/fixed_prices.json` has for both (interface endpoints, load balancers, Fargate)."""

REFERENCE_REGION = "us-east-1"

_KEYS: Mapping[str, str] = {
    "hour": "usd_per_hour",
    "month": "usd_per_month",
    "GB month": "usd_per_gb_month",
    "GB": "usd_per_gb",
    "thousand text units": "usd_per_thousand_text_units",
}


@dataclass(frozen=True)
class UnitPrice:
    """USD for one `unit` of an item, with its evidence."""

    usd: float
    unit: str
    kind: str
    """`given`, `list-price` or `estimated`."""
    source: str
    as_of: str


@functools.cache
def _rows() -> dict[tuple[str, str | None], dict[str, Any]]:
    return {(row["item"], row["region"]): row for row in tables.rows("fixed_prices")}


@functools.cache
def item_names() -> tuple[str, ...]:
    """Items that `sites[].prices` may name."""
    return tuple(sorted({item for item, _ in _rows()}))


def unit_price(item: str, region: str, site_prices: Mapping[str, Any]) -> UnitPrice:
    """The price of an item of `fixed_prices.json` in a region.

    Raises `InputError` where the site's own price is not a number or has no date, and `KeyError` for an unknown item.
    """
    unit = _unit(item)
    if item in site_prices:
        return _site_price(item, unit, site_prices[item])
    row = _rows().get((item, region)) or _rows().get((item, None))
    if row is not None:
        return UnitPrice(row["usd"], unit, **row["evidence"])
    reference = _rows()[item, REFERENCE_REGION]
    evidence = reference["evidence"]
    return UnitPrice(
        usd=round(reference["usd"] * REGIONAL_MARKUP, 6),
        unit=unit,
        kind="estimated",
        source=f"{REGIONAL_MARKUP} times the price in {REFERENCE_REGION} ({evidence['source']}); "
        f"no price in {region} is known, so state `sites[].prices.{item}`",
        as_of=evidence["as_of"],
    )


def _unit(item: str) -> str:
    return next(row["unit"] for (name, _), row in _rows().items() if name == item)


def _site_price(item: str, unit: str, row: Any) -> UnitPrice:
    where, key = f"sites[].prices.{item}", _KEYS[unit]
    fix = f'Write {{{key}: 0.1, as_of: "2026-11-25"}}'
    price = stated_prices.mapping(row, item, where, fix)
    if key not in price:
        raise InputError(f"the price of {item} has no `{key}`", where=where, fix=fix)
    usd = stated_prices.number(price[key], key, where, below=1e5, fix=fix)
    source, as_of = stated_prices.evidence(row, where)
    return UnitPrice(usd, unit, "given", source, as_of)

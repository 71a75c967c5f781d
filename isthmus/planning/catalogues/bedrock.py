"""Amazon Bedrock's catalogue: which model can be called how from a region, and what a token costs there.

A price belongs to a model called in one way from one region. A profile's row without a region holds in each of
its source regions; where AWS lists other prices by source region, those rows name it. What has no row has no price, and
what has no price is not choosable: never free, never another region's.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from isthmus.contracts.reference import inference_profiles
from isthmus.planning.catalogues import stated_prices, tables


@dataclass(frozen=True)
class Price:
    """What a token costs, USD a million."""

    input: float
    output: float
    request: float
    """USD a request besides."""
    kind: str
    """`list-price`, or `given` by the requirements."""
    source: str
    as_of: str


@dataclass(frozen=True)
class Call:
    """One way to call a model from a region."""

    model: str
    region: str
    profile: str | None
    destinations: tuple[str, ...]
    """Every region that a request may be served in."""
    price: Price
    context: int


@functools.cache
def _models() -> dict[str, dict[str, Any]]:
    return {row["model"]: row for row in tables.rows("bedrock_models")}


@functools.cache
def _prices() -> dict[tuple[str, str, str], dict[str, Any]]:
    rows = tables.rows("bedrock_prices")
    return {(row["model"], row["profile"] or "", row["region"] or ""): row for row in rows}


def ids() -> tuple[str, ...]:
    return tuple(_models())


def named(candidate: str) -> str | None:
    """The Bedrock id of a candidate: its own, or that of the open model which Bedrock serves under a hub's name."""
    if candidate in _models():
        return candidate
    return next((id for id, row in sorted(_models().items()) if row["hub"] == candidate), None)


def task(model: str) -> str:
    return str(_models()[model]["task"])


def calls(model: str, region: str, given: dict[str, Any] | None = None) -> list[Call]:
    """Every way to call the model from the region that has a price, by itself first, then by profile.

    `given`: the requirements' own prices of the site (`sites[].prices`), which go before the catalogue's.
    """
    row = _models()[model]
    ways: list[tuple[str | None, str]] = [] if row["direct"] is False else [(None, "")]
    ways += sorted(
        (each.profile, each.profile.partition(".")[0])
        for each in inference_profiles.rows()
        if each.source_region == region and inference_profiles.model_of(each.profile) == model
    )
    found = []
    for profile, prefix in ways:
        price = given_price(given or {}, profile or model, model) or _listed(model, prefix, region)
        if price is not None:
            places = inference_profiles.destinations(profile, region)
            found.append(Call(model, region, profile, places, price, row["context_tokens"]))
    return found


def _listed(model: str, prefix: str, region: str) -> Price | None:
    known = _prices()
    row = known.get((model, prefix, region)) or (known.get((model, prefix, "")) if prefix else None)
    if row is None or row["input_usd_per_mtok"] is None:
        return None
    told = row["evidence"]
    output, request = row["output_usd_per_mtok"] or 0.0, row["request_usd"] or 0.0
    return Price(row["input_usd_per_mtok"], output, request, told["kind"], told["source"], told["as_of"])


def given_price(given: dict[str, Any], *names: str) -> Price | None:
    """The organisation's own price of a profile or model. Raises `InputError` for one that is none.

    Its shape: `{input_usd_per_mtok, output_usd_per_mtok, request_usd?, source?, as_of}`.
    """
    for name in names:
        if name not in given:
            continue
        row = given[name]
        where = f"sites[].prices.{name}"
        fix = 'Write {input_usd_per_mtok: 3, output_usd_per_mtok: 15, as_of: "2026-11-25"}'
        row = stated_prices.mapping(row, name, where, fix)
        told = [
            stated_prices.number(row.get(key, default), key, where, below=1e6, fix=fix)
            for key, default in (
                ("input_usd_per_mtok", None),
                ("output_usd_per_mtok", None),
                ("request_usd", 0.0),
            )
        ]
        source, as_of = stated_prices.evidence(row, where)
        return Price(told[0], told[1], told[2], "given", source, as_of)
    return None

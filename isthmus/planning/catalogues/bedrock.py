"""Catalogue of Amazon Bedrock: how each model can be called from a region, and what a token costs there.

A price applies to a model, a way to call it and a region. A profile's row without a region applies in all its source
regions, except where a row names the region. A model without a price in a region cannot be chosen there.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from isthmus.contracts.reference import inference_profiles
from isthmus.planning.catalogues import stated_prices, tables


@dataclass(frozen=True)
class Price:
    """The price of tokens, USD a million."""

    input: float
    output: float
    request: float
    """USD a request, in addition."""
    kind: str
    """`list-price`, or `given` by the requirements."""
    source: str
    as_of: str
    cached: float | None = None
    """USD a million tokens of prompts that the provider's cache had. None: not known."""


@dataclass(frozen=True)
class Call:
    """One way to call a model from a region."""

    model: str
    region: str
    profile: str | None
    destinations: tuple[str, ...]
    """All regions that may serve a request."""
    price: Price
    context: int


@dataclass(frozen=True)
class Ending:
    """When Amazon ends a model, as far as is known."""

    on: str
    """YYYY-MM-DD: requests fail from this day on."""
    by: str
    """Who says so."""
    is_final: bool
    """Whether AWS states the day. A list of others may mean the first possible day."""
    is_over: bool
    """Whether the model had ended when the catalogue was written."""


@functools.cache
def _models() -> dict[str, dict[str, Any]]:
    return {row["model"]: row for row in tables.rows("bedrock_models")}


@functools.cache
def _prices() -> dict[tuple[str, str, str], dict[str, Any]]:
    rows = tables.rows("bedrock_prices")
    return {(row["model"], row["profile"] or "", row["region"] or ""): row for row in rows}


def ids() -> tuple[str, ...]:
    return tuple(_models())


def bedrock_id(candidate: str) -> str | None:
    """Return the Bedrock id of a candidate, which may be a Bedrock id or the hub's name; None if Bedrock lacks it."""
    if candidate in _models():
        return candidate
    return next((id for id, row in sorted(_models().items()) if row["hub"] == candidate), None)


def task(model: str) -> str:
    return str(_models()[model]["task"])


def ending(model: str) -> Ending | None:
    """When Amazon ends the model; None if no day is known."""
    row = _models()[model]
    ends = row["ends"]
    if ends is None:
        return None
    is_over = ends["is_final"] and ends["on"][:7] < row["evidence"]["as_of"][:7]
    return Ending(ends["on"], ends["by"], ends["is_final"], is_over)


def calls(model: str, region: str, site_prices: dict[str, Any] | None = None) -> list[Call]:
    """Return all priced ways to call the model from the region: directly first, then by inference profile.

    `site_prices`: prices of the requirements (`sites[].prices`), which take precedence over the catalogue.
    """
    row = _models()[model]
    call_ids: list[tuple[str | None, str]] = [] if row["direct"] is False else [(None, "")]
    call_ids += sorted(
        (profile.profile, profile.profile.partition(".")[0])
        for profile in inference_profiles.rows()
        if profile.source_region == region and inference_profiles.model_of(profile.profile) == model
    )
    priced_calls = []
    for profile, prefix in call_ids:
        price = site_price(site_prices or {}, profile or model, model) or _listed_price(model, prefix, region)
        if price is not None:
            destinations = inference_profiles.destinations(profile, region)
            priced_calls.append(Call(model, region, profile, destinations, price, row["context_tokens"]))
    return priced_calls


def _listed_price(model: str, prefix: str, region: str) -> Price | None:
    prices = _prices()
    row = prices.get((model, prefix, region)) or (prices.get((model, prefix, "")) if prefix else None)
    if row is None or row["input_usd_per_mtok"] is None:
        return None
    evidence = row["evidence"]
    output, request = row["output_usd_per_mtok"] or 0.0, row["request_usd"] or 0.0
    return Price(
        row["input_usd_per_mtok"],
        output,
        request,
        evidence["kind"],
        evidence["source"],
        evidence["as_of"],
        row["cache_read_usd_per_mtok"],
    )


def site_price(site_prices: dict[str, Any], *names: str) -> Price | None:
    """Return the price that the requirements state for a profile or model; None if they state none.

    Raises `InputError` for a price that cannot be read.

    Its shape: `{input_usd_per_mtok, output_usd_per_mtok, cache_read_usd_per_mtok?, request_usd?, source?, as_of}`.
    """
    for name in names:
        if name not in site_prices:
            continue
        row = site_prices[name]
        where = f"sites[].prices.{name}"
        fix = 'Write {input_usd_per_mtok: 3, output_usd_per_mtok: 15, as_of: "2026-11-25"}'
        row = stated_prices.mapping(row, name, where, fix)
        prompt, output, request = (
            stated_prices.number(row.get(key, default), key, where, below=1e6, fix=fix)
            for key, default in (
                ("input_usd_per_mtok", None),
                ("output_usd_per_mtok", None),
                ("request_usd", 0.0),
            )
        )
        cached = row.get("cache_read_usd_per_mtok")
        if cached is not None:
            cached = stated_prices.number(cached, "cache_read_usd_per_mtok", where, below=1e6, fix=fix)
        source, as_of = stated_prices.evidence(row, where)
        return Price(prompt, output, request, "given", source, as_of, cached)
    return None

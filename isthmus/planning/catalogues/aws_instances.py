"""Catalogue of AWS instances with GPUs: their regions, and the price of an hour by service, region and purchase.

A price applies to its own region, service and purchase only. An instance without a price there cannot be chosen.
Prices of the requirements (`sites[].prices`) take precedence over the catalogue:

    g6e.12xlarge: {usd_per_hour: 13.1, as_of: "2026-11-01"}                  on demand, for EKS
    g6e.12xlarge/reserved-12: {usd_per_hour: 8.2, as_of: "2026-11-01"}       committed for 12 months
    ml.g6e.12xlarge: {usd_per_hour: 16.4, as_of: "2026-11-01"}               SageMaker
    eks-cluster: {usd_per_hour: 0.1, as_of: "2026-11-01"}                    a cluster's control plane
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from isthmus.planning.catalogues import stated_prices, tables

CLUSTER = "eks-cluster"
ON_DEMAND = "on-demand"
_NAME = re.compile(r"(?P<type>(ml\.)?[a-z0-9-]+\.[a-z0-9]+)(/reserved-(?P<months>\d{1,3}))?")


@dataclass(frozen=True)
class Instance:
    """One type."""

    type: str
    gpu: str
    gpus: int
    vcpus: int
    memory_gib: float
    regions: tuple[str, ...]


@dataclass(frozen=True)
class Rate:
    """The price of an hour, and its terms."""

    usd_per_hour: float
    purchase: str
    """`on-demand`, or `reserved-N` for N months."""
    kind: str
    source: str
    as_of: str


@functools.cache
def all_instances() -> tuple[Instance, ...]:
    return tuple(
        Instance(row["type"], row["gpu"], row["gpus"], row["vcpus"], row["memory_gib"], tuple(row["regions"]))
        for row in tables.rows("instances")
    )


@functools.cache
def _prices() -> dict[tuple[str, str, str], dict[str, Any]]:
    """On-demand prices by service, instance and region. Capacity blocks are left out, because they end after months."""
    return {
        (row["service"], row["instance"], row["region"] or ""): row
        for row in tables.rows("instance_prices")
        if row["purchase"] == ON_DEMAND
    }


def offered_instances(region: str) -> list[Instance]:
    """Return the instances that the region offers."""
    return [instance for instance in all_instances() if region in instance.regions]


def find(type: str) -> Instance:
    """Return an instance by its type, with or without `ml.`. Raises `StopIteration` for an unknown type."""
    name = type.removeprefix("ml.")
    return next(instance for instance in all_instances() if instance.type == name)


def cheapest_rate(
    instance: Instance, service: str, region: str, site_prices: Mapping[str, Any], most_months: int
) -> Rate | None:
    """Return the cheapest rate of an instance under `ec2` or `sagemaker`, committed for at most `most_months`."""
    name = instance.type if service == "ec2" else f"ml.{instance.type}"
    rates = [
        _site_rate(site_prices[key], key, f"reserved-{months}" if months else ON_DEMAND)
        for key in site_prices
        if (match := _NAME.fullmatch(key)) and match["type"] == name
        if (months := int(match["months"] or 0)) <= most_months
    ]
    if not any(rate.purchase == ON_DEMAND for rate in rates):
        rates += [] if (listed := _listed_rate(service, name, region)) is None else [listed]
    return min(rates, key=lambda rate: (rate.usd_per_hour, rate.purchase), default=None)


def cluster_rate(region: str, site_prices: Mapping[str, Any]) -> Rate | None:
    """Return the rate of an EKS cluster's control plane in standard support; None if no price is known."""
    if CLUSTER in site_prices:
        return _site_rate(site_prices[CLUSTER], CLUSTER, ON_DEMAND)
    return _listed_rate("eks", "cluster", region) or _listed_rate("eks", "cluster", "")


def is_priceable(name: str) -> bool:
    """Whether a key of `sites[].prices` names an instance or a cluster."""
    match = _NAME.fullmatch(name)
    known_types = {instance.type for instance in all_instances()}
    return name == CLUSTER or (match is not None and match["type"].removeprefix("ml.") in known_types)


def priceable_names() -> tuple[str, ...]:
    """Return the names of instances that `sites[].prices` may have."""
    return (
        *(instance.type for instance in all_instances()),
        *(f"ml.{instance.type}" for instance in all_instances()),
        CLUSTER,
    )


def _listed_rate(service: str, name: str, region: str) -> Rate | None:
    row = _prices().get((service, name, region))
    if row is None:
        return None
    evidence = row["evidence"]
    return Rate(row["usd_per_hour"], row["purchase"], evidence["kind"], evidence["source"], evidence["as_of"])


def check_site_price(name: str, row: Any) -> None:
    """Raises `InputError` for an organisation's price that cannot be read."""
    _site_rate(row, name, "on-demand")


def _site_rate(row: Any, name: str, purchase: str) -> Rate:
    """Return the rate that the requirements state. Raises `InputError` for a price that cannot be read."""
    where = f"sites[].prices.{name}"
    fix = 'Write it like `{usd_per_hour: 13.1, as_of: "2026-11-25"}`'
    value = stated_prices.mapping(row, name, where, fix).get("usd_per_hour")
    hour = stated_prices.number(value, "usd_per_hour", where, below=1e5, fix=fix)
    source, as_of = stated_prices.evidence(row, where)
    return Rate(hour, purchase, "given", source, as_of)

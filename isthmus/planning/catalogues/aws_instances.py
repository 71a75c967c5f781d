"""AWS's instances with GPUs: where they are offered, and what an hour costs by service, region and purchase.

A price holds for its own region, service and purchase. What has none is not choosable there: never free, and never
another region's. The requirements' own prices of a site go before the catalogue's (`sites[].prices`):

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
    """What an hour costs, and on what terms."""

    usd_per_hour: float
    purchase: str
    """`on-demand`, or `reserved-N` for N months."""
    kind: str
    source: str
    as_of: str


@functools.cache
def every() -> tuple[Instance, ...]:
    return tuple(
        Instance(row["type"], row["gpu"], row["gpus"], row["vcpus"], row["memory_gib"], tuple(row["regions"]))
        for row in tables.rows("instances")
    )


@functools.cache
def _prices() -> dict[tuple[str, str, str], dict[str, Any]]:
    """On demand, by service, instance and region. Capacity blocks end after months: nothing stays up on them."""
    return {
        (row["service"], row["instance"], row["region"] or ""): row
        for row in tables.rows("instance_prices")
        if row["purchase"] == ON_DEMAND
    }


def offered(region: str) -> list[Instance]:
    """What the region offers, by type."""
    return [each for each in every() if region in each.regions]


def find(type: str) -> Instance:
    """By its type, `ml.` or not. Raises `KeyError`."""
    name = type.removeprefix("ml.")
    return next(each for each in every() if each.type == name)


def rate(
    instance: Instance, service: str, region: str, given: Mapping[str, Any], most_months: int
) -> Rate | None:
    """The cheapest hour of an instance under `ec2` or `sagemaker`, committed for `most_months` at most."""
    name = instance.type if service == "ec2" else f"ml.{instance.type}"
    rates = [
        _given(given[key], key, f"reserved-{months}" if months else ON_DEMAND)
        for key in given
        if (of := _NAME.fullmatch(key)) and of["type"] == name
        if (months := int(of["months"] or 0)) <= most_months
    ]
    if not any(each.purchase == ON_DEMAND for each in rates):
        rates += [] if (listed := _listed(service, name, region)) is None else [listed]
    return min(rates, key=lambda each: (each.usd_per_hour, each.purchase), default=None)


def cluster(region: str, given: Mapping[str, Any]) -> Rate | None:
    """An hour of an EKS cluster's control plane, in standard support."""
    if CLUSTER in given:
        return _given(given[CLUSTER], CLUSTER, ON_DEMAND)
    return _listed("eks", "cluster", region) or _listed("eks", "cluster", "")


def priced(name: str) -> bool:
    """Whether a key of `sites[].prices` names an instance or a cluster."""
    of = _NAME.fullmatch(name)
    known = {each.type for each in every()}
    return name == CLUSTER or (of is not None and of["type"].removeprefix("ml.") in known)


def names() -> tuple[str, ...]:
    """What `sites[].prices` may name of instances."""
    return (*(each.type for each in every()), *(f"ml.{each.type}" for each in every()), CLUSTER)


def _listed(service: str, name: str, region: str) -> Rate | None:
    row = _prices().get((service, name, region))
    if row is None:
        return None
    told = row["evidence"]
    return Rate(row["usd_per_hour"], row["purchase"], told["kind"], told["source"], told["as_of"])


def check_given(name: str, row: Any) -> None:
    """Raises `InputError` for an organisation's price that cannot be read."""
    _given(row, name, "on-demand")


def _given(row: Any, name: str, purchase: str) -> Rate:
    """The organisation's own price. Raises `InputError` for one that is none."""
    where = f"sites[].prices.{name}"
    fix = 'Write it like `{usd_per_hour: 13.1, as_of: "2026-11-25"}`'
    value = stated_prices.mapping(row, name, where, fix).get("usd_per_hour")
    hour = stated_prices.number(value, "usd_per_hour", where, below=1e5, fix=fix)
    source, as_of = stated_prices.evidence(row, where)
    return Rate(hour, purchase, "given", source, as_of)

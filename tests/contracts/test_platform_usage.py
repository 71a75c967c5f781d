"""The usage ledger in the platform: where it may be, whom its loader is, and what of it people approve."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from isthmus.contracts.platform import overrides
from isthmus.contracts.platform.deciding_fields import decides
from isthmus.contracts.platform.lookups.usage import loader_places, loader_settings, named_workloads
from isthmus.contracts.platform.protections import protections
from isthmus.contracts.platform.stated_values import stated_values
from isthmus.core.errors import InputError, Refused
from tests import private
from tests.contracts.bank import platform_data, refused

Change = Callable[[dict[str, Any]], object]
LEDGER = {
    **{"host": "usage.fra1.bank.example", "address": "10.40.0.31"},
    **{"secret": "usage", "store_secret": "records-reader"},
}


def data(*at: int) -> dict[str, Any]:
    """The bank with a ledger of restricted work, or of these gateways."""
    platform = platform_data()
    for index in at or (0,):
        platform["gateways"][index]["usage"] = {"ledger": dict(LEDGER)}
    return platform


def ledger(data: dict[str, Any], at: int = 0) -> dict[str, Any]:
    return data["gateways"][at]["usage"]["ledger"]


def test_a_platform_states_what_its_loader_reads_and_fills() -> None:
    platform = overrides.validate(data())
    gateway = platform.gateways[0]
    settings = loader_settings(platform, gateway)
    assert settings is not None
    assert (settings["database"]["name"], settings["store"]["prefix"]) == ("usage", "fra1/restricted")
    assert loader_places(platform, gateway) == {("10.40.0.31", 5432), ("10.40.0.9", 443)}


def test_a_platform_without_a_ledger_has_no_loader() -> None:
    platform = overrides.validate(platform_data())
    assert all(loader_settings(platform, gateway) is None for gateway in platform.gateways)


def test_the_class_says_whether_people_are_named_in_the_ledger() -> None:
    restricted, confidential, *_ = _gateways()
    assert named_workloads(restricted) == []
    assert named_workloads(confidential) == [workload.name for workload in confidential.workloads]


def _gateways() -> list[Any]:
    platform = data(0, 1)
    ledger(platform, 1)["name"] = "usage_confidential"
    return overrides.validate(platform).gateways


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda d: ledger(d).update(address="52.94.0.1"),
            "usage.ledger.address: usage of class restricted would go to 52.94.0.1, which is outside the networks",
        ),
        (lambda d: ledger(d).update(address="10.80.0.9"), "would go to 10.80.0.9"),
        (
            lambda d: ledger(d).update(host="usage.rds.amazonaws.com"),
            "usage of class restricted must stay on-prem, but 'usage.rds.amazonaws.com' is a cloud host",
        ),
        (
            lambda d: ledger(d).update(store_secret="restricted-sealer"),
            "usage.ledger.store_secret: the loader of gateway restricted-fra1 would get the sealer's Secret",
        ),
        (
            lambda d: d["gateways"][1].update(usage={"ledger": dict(LEDGER)}),
            "class restricted and class confidential have the same ledger usage at usage.fra1.bank.example",
        ),
        (
            lambda d: (
                d["gateways"][0].update(database={"host": "db.fra1.bank.example", "address": "10.40.0.21"}),
                ledger(d).update(user="gateway"),
            ),
            "have the same database user gateway",
        ),
    ],
)
def test_a_ledger_that_opens_a_class_is_refused_with_its_place(change: Change, message: str) -> None:
    assert message in refused((Refused, InputError), change, data())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: ledger(d).pop("secret"), "usage.ledger.secret"),
        (lambda d: ledger(d).update(since=0), "usage.ledger.since"),
        (lambda d: ledger(d).update(hosts="x"), "hosts"),
    ],
)
def test_a_ledger_that_cannot_work_is_refused_with_its_place(change: Change, message: str) -> None:
    assert message in refused(InputError, change, data())


def test_a_ledger_of_a_gateway_in_aws_is_refused_with_what_to_do() -> None:
    platform = private.data()
    platform["gateways"][0]["usage"] = {"ledger": {**LEDGER, "address": "10.80.40.40"}}
    message = refused(InputError, lambda _: None, platform)
    assert "runs in AWS, and Isthmus runs loaders on-prem only" in message
    assert "run the loader yourself (docs/usage.md, Run a loader)" in message


def test_classes_below_restricted_may_share_a_ledger() -> None:
    gateways = overrides.validate(data(1, 2)).gateways
    assert all(gateway.usage is not None for gateway in gateways[1:3])


def test_another_ledger_is_shown_to_people() -> None:
    at = "gateways.usage."
    assert decides(at + "by_person", False, True)
    assert not decides(at + "by_person", True, False)
    assert not decides(at + "ledger.since", 1, 20)
    assert any("10.40.0.31" in value.value for value in stated_values(overrides.validate(data())))
    before, after = (protections(overrides.validate(platform)) for platform in (data(), _moved()))
    label = "usage ledger of gateway restricted-fra1"
    assert before[label].strength != after[label].strength
    secret = "usage.ledger.store_secret of gateway restricted-fra1"
    assert before[secret].strength == "records-reader"


def _moved() -> dict[str, Any]:
    platform = data()
    ledger(platform)["address"] = "10.40.0.32"
    return platform

"""A loader as made breaks no rule, and each change of it that the platform does not state is reported."""

from __future__ import annotations

import json
from typing import Any

import pytest

from isthmus.contracts.platform.model.platform import Platform
from policies.audit import usage_loader
from tests.components.conftest import Engine, build
from tests.components.platforms import bank
from tests.components.test_usage_loader import LEDGER, NAME, NAMESPACE, POD, ledgered
from tests.policies.test_review_desk import (
    RULES,
    Change,
    configured,
    found,
    in_namespace,
    let_in,
    let_out,
    reported_only_by,
)

pytestmark = pytest.mark.whole

NETWORK, CONFIG, SERVER = f"{NAME}-network", f"{NAME}-config", f"{NAME}-server"
APART = (*RULES, *usage_loader.RULES)


@pytest.fixture(scope="module")
def made() -> tuple[Engine, Platform]:
    engine, platform = Engine(), ledgered(bank())
    build(engine, platform)
    return engine, Platform.model_validate(platform)


@pytest.mark.parametrize("at", [0, 1])
def test_no_rule_of_the_pack_reports_more_than_without_a_loader(at: int) -> None:
    assert reported_only_by(bank(), ledgered(bank(), at)) == set()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (let_out(**in_namespace("isthmus-confidential")), f"lets {NAMESPACE} reach namespace isthmus-conf"),
        (let_out(ipBlock={"cidr": "0.0.0.0/0"}), f"lets {NAMESPACE} reach 0.0.0.0/0"),
        (let_out(ipBlock={"cidr": "10.40.0.99/32"}), f"lets {NAMESPACE} reach 10.40.0.99/32"),
        (let_in(in_namespace("default"), 9090), f"lets namespace default call {NAMESPACE}"),
    ],
)
def test_another_way_out_or_in_is_reported(
    made: tuple[Engine, Platform], change: Change, message: str
) -> None:
    assert any(message in reported for reported in found(made, NETWORK, change, APART))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda config: config["database"].update(password="hunter2"), "has database.password in plain text"),
        (lambda config: config["database"].update(host="db.elsewhere.example"), "is a loader with database"),
        (lambda config: config["store"].update(bucket="elsewhere"), "is a loader with store"),
        (
            lambda config: config.update(public_key="/etc/isthmus/config/k.pem"),
            "is a loader with public_key",
        ),
        (lambda config: config.update(named_workloads=["other"]), "is a loader with named_workloads"),
        (lambda config: config.update(since=400), "is a loader with since"),
    ],
)
def test_other_settings_of_a_loader_are_reported_without_secrets(
    made: tuple[Engine, Platform], change: Change, message: str
) -> None:
    reported = found(made, CONFIG, configured(change), APART)
    assert any(message in line for line in reported)
    assert not any("hunter2" in line for line in reported)


def test_the_secret_of_the_sealer_in_the_loaders_pod_is_reported(made: tuple[Engine, Platform]) -> None:
    def change(inputs: dict[str, Any]) -> None:
        text = json.dumps(inputs).replace(LEDGER["store_secret"], "confidential-sealer")
        inputs.update(json.loads(text))

    reported = found(made, SERVER, change, APART)
    assert any("mounts the Secret confidential-sealer, which the platform does" in line for line in reported)


def test_another_program_in_the_loaders_pod_is_reported(made: tuple[Engine, Platform]) -> None:
    def change(inputs: dict[str, Any]) -> None:
        inputs["spec"]["template"]["spec"]["containers"][0]["command"] = ["sh", "-c", "sleep 1"]

    assert any(POD in line or NAME in line for line in found(made, SERVER, change, APART))


def test_a_loader_that_the_platform_does_not_state_is_reported(made: tuple[Engine, Platform]) -> None:
    engine, platform = made
    stated = platform.model_dump(mode="json", by_alias=True, exclude_none=True)
    for gateway in stated["gateways"]:
        gateway.pop("usage", None)
    reported = found((engine, Platform.model_validate(stated)), rules=APART)
    for message in (
        f"{SERVER} loads a usage ledger, and the platform states none",
        f"{CONFIG} loads a usage ledger, and the platform states none",
    ):
        assert any(message in line for line in reported), message

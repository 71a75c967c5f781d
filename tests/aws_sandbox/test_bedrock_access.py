"""Whether an account may call a model: as boto3 asks it, and as it can be set."""

from __future__ import annotations

import urllib.error
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.aws_sandbox.driver import REGION, World

LITE = "amazon.nova-lite-v1:0"
ALL = {
    "modelId": LITE,
    "agreementAvailability": {"status": "AVAILABLE"},
    "authorizationStatus": "AUTHORIZED",
    "entitlementAvailability": "AVAILABLE",
    "regionAvailability": "AVAILABLE",
}


def availability(world: World, model: str = LITE) -> dict[str, Any]:
    answer = world.boto("bedrock").get_foundation_model_availability(modelId=model)
    del answer["ResponseMetadata"]
    return answer


def put(world: World, **access: str) -> None:
    world.put("/isthmus/bedrock/access", {"region": REGION, "modelId": LITE, "access": access})


def test_an_account_may_call_what_its_region_has_until_it_is_told_otherwise(world: World) -> None:
    assert availability(world) == ALL
    put(world, agreement="NOT_AVAILABLE")
    put(world, entitlement="NOT_AVAILABLE")
    actual = availability(world)
    assert actual["agreementAvailability"] == {"status": "NOT_AVAILABLE"}
    assert actual["entitlementAvailability"] == "NOT_AVAILABLE"
    assert actual["authorizationStatus"] == "AUTHORIZED"
    world.forget()
    assert availability(world) == ALL


def test_another_account_s_access_is_its_own(world: World) -> None:
    body = {"region": REGION, "modelId": LITE, "access": {"agreement": "PENDING"}, "account": "210987654321"}
    world.put("/isthmus/bedrock/access", body)
    assert availability(world) == ALL


def test_an_agreement_that_failed_says_why(world: World) -> None:
    put(world, agreement="ERROR")
    assert availability(world)["agreementAvailability"]["errorMessage"]
    world.forget()


def test_a_model_that_the_region_has_not_is_not_found(world: World) -> None:
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        availability(world, "amazon.titan-embed-text-v2:0")


@pytest.mark.parametrize(
    "body",
    [
        b"[",
        [],
        {"region": REGION, "modelId": LITE},
        {"region": REGION, "access": {}},
        {"modelId": LITE, "access": {}},
        {"region": REGION, "modelId": "amazon.nobody-v1:0", "access": {}},
        {"region": REGION, "modelId": LITE, "access": {"agreement": "YES"}},
        {"region": REGION, "modelId": LITE, "access": {"mood": "AVAILABLE"}},
        {"region": REGION, "modelId": LITE, "access": {"agreement": ["AVAILABLE"]}},
    ],
)
def test_a_wrong_setting_changes_nothing(world: World, body: Any) -> None:
    with pytest.raises(urllib.error.HTTPError) as refusal:
        world.put("/isthmus/bedrock/access", body)
    assert refusal.value.code == 400
    assert availability(world) == ALL

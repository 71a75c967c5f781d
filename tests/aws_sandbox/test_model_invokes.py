"""What a program asks about Bedrock's models and the account's quotas."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.contracts.reference import inference_profiles
from sandbox.aws.beside.service_quotas import _ROWS
from tests.aws_sandbox.driver import REGION, Client, Refusal, World

MODEL = "aws:bedrockfoundation/getModel:getModel"
QUOTA = "aws:servicequotas/getServiceQuota:getServiceQuota"
HAIKU = "Cross-region model inference tokens per minute for Anthropic Claude Haiku 4.5"
LITE = "Cross-region model inference tokens per minute for Amazon Nova Lite"


# -- models


def test_a_model_that_a_profile_of_the_region_calls_is_there(client: Client) -> None:
    answer = client.invoke(MODEL, modelId="amazon.nova-lite-v1:0")
    arn = f"arn:aws:bedrock:{REGION}::foundation-model/amazon.nova-lite-v1:0"
    assert answer["modelArn"] == arn
    assert answer["providerName"] == "Amazon"
    assert client.invoke(MODEL, modelId=arn)["id"] == "amazon.nova-lite-v1:0"


def test_a_model_is_where_the_table_calls_or_routes_to_it_and_nowhere_else(
    client: Client, world: World
) -> None:
    world.forget()
    for row in inference_profiles.rows():
        model = inference_profiles.model_of(row.profile)
        for region in (row.source_region, *row.destination_regions):
            answer = client.invoke(MODEL, modelId=model, region=region)
            partition = "aws-us-gov" if region.startswith("us-gov-") else "aws"
            assert answer["modelArn"] == f"arn:{partition}:bedrock:{region}::foundation-model/{model}"
    with pytest.raises(Refusal, match="ResourceNotFoundException"):
        client.invoke(MODEL, modelId="amazon.nova-lite-v1:0", region="sa-east-1")


@pytest.mark.parametrize("model", ["amazon.titan-embed-text-v2:0", "eu.amazon.nova-lite-v1:0"])
def test_a_model_that_nobody_knows_there_is_not_found(client: Client, model: str) -> None:
    with pytest.raises(Refusal, match="ResourceNotFoundException") as refusal:
        client.invoke(MODEL, modelId=model)
    assert model in str(refusal.value)


def test_a_model_without_its_id_is_refused(client: Client) -> None:
    with pytest.raises(Refusal, match="`modelId` is required"):
        client.invoke(MODEL)


def test_a_model_can_be_added_to_a_region_until_the_sandbox_forgets(client: Client, world: World) -> None:
    titan = "amazon.titan-embed-text-v2:0"
    entry = {"modelId": titan, "modelName": "Titan Embeddings", "inputModalities": ["TEXT"]}
    world.put("/isthmus/bedrock/models", {"region": REGION, "models": [entry]})
    answer = client.invoke(MODEL, modelId=titan)
    assert (answer["modelName"], answer["inputModalities"]) == ("Titan Embeddings", ["TEXT"])
    listed = world.boto("bedrock").list_foundation_models(byProvider="amazon")["modelSummaries"]
    assert titan in [model["modelId"] for model in listed]
    with pytest.raises(Refusal):
        client.invoke(MODEL, modelId=titan, region="eu-west-1")
    world.forget()
    with pytest.raises(Refusal):
        client.invoke(MODEL, modelId=titan)


@pytest.mark.parametrize(
    "body",
    [b"[", [], {"region": REGION}, {"models": []}, {"region": REGION, "models": [{"modelName": "no id"}]}],
)
def test_a_wrong_list_of_models_changes_nothing(world: World, body: Any) -> None:
    with pytest.raises(urllib.error.HTTPError) as refusal:
        world.put("/isthmus/bedrock/models", body)
    with refusal.value:
        assert refusal.value.code == 400


# -- quotas


def test_a_quota_is_found_by_its_name_and_by_its_code(client: Client, world: World) -> None:
    world.forget()
    answer = client.invoke(QUOTA, serviceCode="bedrock", quotaName=HAIKU)
    assert answer["quotaCode"] == "L-58BE175A"
    assert answer["value"] == answer["defaultValue"] > 0
    assert answer["arn"] == f"arn:aws:servicequotas:{REGION}:123456789012:bedrock/L-58BE175A"
    assert client.invoke(QUOTA, serviceCode="bedrock", quotaCode="L-58BE175A") == answer


def test_a_quota_is_what_was_set_for_the_region_until_the_sandbox_forgets(
    client: Client, world: World
) -> None:
    before = client.invoke(QUOTA, serviceCode="bedrock", quotaName=LITE)
    world.put("/isthmus/service-quotas", {"region": REGION, "quotas": [{"quotaName": LITE, "value": 4000}]})
    answer = client.invoke(QUOTA, serviceCode="bedrock", quotaName=LITE)
    assert answer == {**before, "value": 4000}, "AWS's own value stays"
    assert client.invoke(QUOTA, serviceCode="bedrock", quotaName=LITE, region="eu-west-1")["value"] != 4000
    world.forget()
    assert client.invoke(QUOTA, serviceCode="bedrock", quotaName=LITE) == before


def test_a_quota_that_the_sandbox_does_not_know_can_be_added(client: Client, world: World) -> None:
    entry = {"serviceCode": "ec2", "quotaCode": "L-ABCDEF01", "quotaName": "P instances", "value": 0}
    world.put("/isthmus/service-quotas", {"region": REGION, "quotas": [entry]})
    answer = client.invoke(QUOTA, serviceCode="ec2", quotaName="P instances")
    assert (answer["value"], answer["quotaCode"], answer["defaultValue"]) == (0, "L-ABCDEF01", 0)


def test_moto_s_quotas_are_still_there(client: Client, world: World) -> None:
    answer = client.invoke(QUOTA, serviceCode="vpc", quotaCode="L-45FE3B85")
    assert answer["value"] == 5
    listed = world.boto("service-quotas").list_aws_default_service_quotas(ServiceCode="vpc")["Quotas"]
    assert len(listed) > 5


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"quotaName": HAIKU}, "`serviceCode` is required"),
        ({"serviceCode": "bedrock"}, "set either `quotaCode` or `quotaName`"),
        ({"serviceCode": "bedrock", "quotaCode": "L-58BE175A", "quotaName": HAIKU}, "not both"),
        ({"serviceCode": "bedrock", "quotaName": "Tokens"}, "no quota with the name `Tokens`"),
        ({"serviceCode": "bedrock", "quotaCode": "L-00000000"}, "NoSuchResourceException"),
        ({"serviceCode": "nothing", "quotaName": "x"}, "NoSuchResourceException"),
    ],
)
def test_a_quota_that_is_not_there_is_refused_in_words(
    client: Client, args: dict[str, str], message: str
) -> None:
    with pytest.raises(Refusal, match=message):
        client.invoke(QUOTA, **args)


@pytest.mark.parametrize(
    "quota",
    [
        {"quotaName": LITE},
        {"quotaName": LITE, "value": -1},
        {"quotaName": LITE, "value": True},
        {"quotaName": LITE, "value": "many"},
        {"quotaName": "unknown", "value": 1},
        "text",
    ],
)
def test_a_wrong_quota_changes_nothing(client: Client, world: World, quota: Any) -> None:
    before = client.invoke(QUOTA, serviceCode="bedrock", quotaName=LITE)
    right = {"quotaName": LITE, "value": before["value"] + 1}
    with pytest.raises(urllib.error.HTTPError) as refusal:
        world.put("/isthmus/service-quotas", {"region": REGION, "quotas": [right, quota]})
    with refusal.value:
        assert refusal.value.code == 400
    assert client.invoke(QUOTA, serviceCode="bedrock", quotaName=LITE) == before


def test_the_list_of_quotas_comes_in_pages(world: World) -> None:
    boto = world.boto("service-quotas")
    pages = boto.get_paginator("list_service_quotas").paginate(
        ServiceCode="bedrock", PaginationConfig={"PageSize": 3}
    )
    actual = [quota["QuotaCode"] for page in pages for quota in page["Quotas"]]
    assert actual == sorted(row.code for row in _ROWS)


@settings(max_examples=25, deadline=None)
@given(value=st.floats(min_value=0, max_value=1e10, allow_nan=False), row=st.sampled_from(_ROWS))
def test_any_value_that_is_set_is_answered(value: float, row: Any) -> None:
    from sandbox.aws.beside.service_quotas import get_service_quota, put_quotas
    from sandbox.aws.pages import PageRequest
    from sandbox.aws.service_frame import ServiceRequest

    body = {"region": "eu-west-3", "quotas": [{"quotaCode": row.code, "value": value}]}
    put_quotas(PageRequest("PUT", "/", "", {}, json.dumps(body).encode(), "123456789012"))
    request = ServiceRequest({"ServiceCode": "bedrock", "QuotaCode": row.code}, "eu-west-3", "123456789012")
    assert get_service_quota(request)["Quota"]["Value"] == value

"""Where a model of a translator's configuration is served: service, private endpoint and regions."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.core.pulumi_values import UNKNOWN
from isthmus.engine.render.recorder import Resource
from isthmus.graph.data_path.model_services import Served, called_model, is_public_host
from isthmus.graph.resources.resources import Graph
from tests.graph.small_stacks import private_endpoint, private_url
from tests.policies.making import resource_of

MODEL = "amazon.nova-lite-v1:0"
EUROPEAN = f"eu.{MODEL}"
PROFILE_ARN = "arn:aws:bedrock:eu-central-1:1:inference-profile/"
MODEL_ARN = "arn:aws:bedrock:eu-central-1::foundation-model/"


def called(*resources: Resource, **entry: Any) -> Served:
    return called_model(Graph(resources), {"name": "m", "region": "eu-central-1", **entry})


@pytest.mark.parametrize(
    "entry",
    [
        {"model_id": MODEL},
        {"model_id": f"{MODEL_ARN}{MODEL}"},
        {"model_id": f"{MODEL_ARN}{MODEL}", "region": "us-east-1"},
        {"model_id": f"arn:aws:bedrock:::foundation-model/{MODEL}"},
        {"inference_profile": MODEL},
    ],
)
def test_a_model_without_a_profile_is_served_in_the_region_of_the_call_or_of_its_arn(
    entry: dict[str, Any],
) -> None:
    model = called(**entry)
    assert (model.regions, model.anywhere, model.unknown) == (("eu-central-1",), "", "")


@pytest.mark.parametrize(
    "entry",
    [
        {"model_id": EUROPEAN},
        {"model_id": f"{PROFILE_ARN}{EUROPEAN}"},
        {"model_id": f"{PROFILE_ARN}{EUROPEAN}", "region": "us-east-1"},
        {"model_id": f"arn:aws:bedrock:eu-central-1:${{aws.account}}:inference-profile/{EUROPEAN}"},
        {"inference_profile": EUROPEAN},
        {"inference_profile": EUROPEAN, "model_id": MODEL},
    ],
)
def test_a_profile_is_served_in_every_region_of_its_geography(entry: dict[str, Any]) -> None:
    model = called(**entry)
    assert len(model.regions) > 1
    assert all(region.startswith("eu-") for region in model.regions)
    assert (model.anywhere, model.unknown) == ("", "")


def test_a_global_profile_may_be_served_anywhere() -> None:
    for key in ("model_id", "inference_profile"):
        model = called(**{key: f"global.{MODEL}"})
        assert model.anywhere
        assert model.regions == ()


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"model_id": "x"},
        {"model_id": UNKNOWN},
        {"model_id": "${other.arn}"},
        {"model_id": f"{PROFILE_ARN}${{other.id}}"},
        {"model_id": f"arn:aws:bedrock:eu-central-1:{UNKNOWN}:inference-profile/{EUROPEAN}"},
        {"model_id": "eu.amazon.model-that-nobody-knows-v1:0"},
        {"model_id": "xx.amazon.nova-lite-v1:0"},
        {"model_id": "eu.nobody.nova-lite-v1:0"},
        {"model_id": f"us.{MODEL}"},
        {"model_id": "arn:aws:bedrock:eu-central-1:1:application-inference-profile/x.y"},
        {"model_id": "arn:aws:bedrock:eu-central-1:1:provisioned-model/x.y"},
        {"model_id": "arn:aws:bedrock:eu-central-1:1:prompt-router/x.y"},
        {"model_id": MODEL, "provider": "other"},
    ],
)
def test_a_model_whose_regions_cannot_be_told_is_unknown(entry: dict[str, Any]) -> None:
    model = called(**entry)
    assert model.unknown
    assert not model.anywhere


@pytest.mark.parametrize("provider", [None, "bedrock"])
def test_a_model_of_bedrock_needs_no_provider(provider: str | None) -> None:
    model = called(model_id=MODEL, provider=provider)
    assert (model.service, model.unknown) == ("bedrock", "")


def test_a_profile_of_the_stack_is_served_where_the_profile_it_copies_is() -> None:
    source = {"modelSource": {"copyFrom": f"{PROFILE_ARN}{EUROPEAN}"}}
    profile = resource_of("aws:bedrock/inferenceProfile:InferenceProfile", "mine", source)
    model = called(profile, model_id="${mine.arn}")
    assert (len(model.regions) > 1, model.unknown) == (True, "")
    empty = resource_of("aws:bedrock/inferenceProfile:InferenceProfile", "mine", {})
    assert called(empty, model_id="${mine.arn}").unknown


def test_a_provisioned_throughput_of_the_stack_is_served_where_its_model_is() -> None:
    kind = "aws:bedrock/provisionedModelThroughput:ProvisionedModelThroughput"
    throughput = resource_of(kind, "mine", {"modelArn": f"{MODEL_ARN}{MODEL}"})
    model = called(throughput, model_id="${mine.arn}")
    assert (model.regions, model.unknown) == (("eu-central-1",), "")


def test_the_region_of_the_endpoints_name_counts_beside_that_of_the_call() -> None:
    """The owner of the host decides who answers."""
    for url in (private_url(region="us-east-1"), "https://bedrock-runtime.us-east-1.amazonaws.com"):
        assert called(model_id=MODEL, endpoint_url=url).regions == ("eu-central-1", "us-east-1")
    assert called(model_id=MODEL, endpoint_url="https://proxy.example").regions == ("eu-central-1",)


def test_a_model_is_called_by_a_private_endpoint_of_its_own_service_only() -> None:
    door = private_endpoint()
    for service, provider, is_called in (
        ("bedrock-runtime", "bedrock", True),
        ("bedrock-runtime", "sagemaker", False),
        ("runtime.sagemaker", "sagemaker", True),
        ("runtime.sagemaker", "bedrock", False),
        ("s3", "bedrock", False),
    ):
        model = called(door, endpoint_url=private_url(service), provider=provider, model_id=MODEL)
        assert (model.endpoint is not None) == is_called
    assert called(endpoint_url=private_url(), model_id=MODEL).endpoint is None


@pytest.mark.parametrize(
    ("name", "inputs", "regions"),
    [
        ("llama", {"name": "llama"}, ("eu-central-1",)),
        ("${hosted.name}", {"name": "llama"}, ("eu-central-1",)),
        ("llama", {"name": "llama", "region": "us-east-1"}, ("us-east-1",)),
        ("other", {"name": "llama"}, ()),
        ("${other.name}", {"name": "llama"}, ()),
        (None, {"name": ""}, ()),
        (None, {}, ()),
    ],
)
def test_sagemaker_serves_in_the_region_of_an_endpoint_of_the_stack(
    name: str | None, inputs: dict[str, Any], regions: tuple[str, ...]
) -> None:
    hosted = resource_of("aws:sagemaker/endpoint:Endpoint", "hosted", inputs)
    model = called(hosted, provider="sagemaker", endpoint=name)
    assert (model.service, model.regions, not model.unknown) == ("sagemaker", regions, bool(regions))


def test_a_model_is_named_by_its_entry_or_else_by_its_endpoint() -> None:
    assert called(endpoint="llama").name == "m"
    assert called(name=None, endpoint="llama").name == "llama"


@pytest.mark.parametrize(
    ("url", "is_public"),
    [
        ("", True),
        ("https://", True),
        ("https://bedrock-runtime.eu-central-1.amazonaws.com", True),
        ("https://vpce-1.bedrock-runtime.eu-central-1.vpce.amazonaws.com", False),
        ("https://vpce-1.bedrock-runtime.eu-central-1.vpce.amazonaws.com.:443/x", False),
        ("https://vpce-1.bedrock-runtime.cn-north-1.vpce.amazonaws.com.cn", False),
        ("https://x.vpce.amazonaws.com.evil.example", True),
        ("https://evil.example/x.vpce.amazonaws.com", True),
    ],
)
def test_only_names_of_private_endpoints_are_no_public_hosts(url: str, is_public: bool) -> None:
    assert is_public_host(url) == is_public

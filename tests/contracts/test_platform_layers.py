"""What a layer gives the one above, and how they agree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from isthmus.contracts.platform import layers as platform_layers
from isthmus.contracts.platform.checked import CheckedPlatform
from isthmus.contracts.platform.model.aws.sagemaker import SageMaker
from isthmus.contracts.platform.model.platform import Endpoint, Platform
from isthmus.core.errors import EnvironmentFault
from tests import hosted, private
from tests.contracts import test_platform_serving
from tests.contracts.bank import DIGEST, platform_data
from tests.contracts.test_platform_model import parse


def changed(**endpoint: Any) -> Platform:
    data = platform_data()
    data["endpoints"][0] |= endpoint
    return parse(data)


def digests(platform: Platform) -> dict[str, str]:
    return {each: platform_layers.digest(platform, each) for each in platform_layers.LAYERS}


WAS = digests(parse(platform_data()))


@pytest.mark.parametrize(
    "release",
    [
        {"weights": {"uri": "pvc://other", "volume": "other", "digest": DIGEST}},
        {"max_num_seqs": 7},
        {"max_model_len": 2048},
        {"engine_args": ["--enable-prefix-caching"]},
        {"load_timeout_s": 3600},
        {"certificate_secret": "own"},
    ],
)
def test_a_release_of_a_model_is_no_news_below_serving(release: dict[str, Any]):
    now = digests(changed(**release))
    assert now["serving"] != WAS["serving"]
    assert (now["platform"], now["foundation"]) == (WAS["platform"], WAS["foundation"])


def test_more_cpus_are_the_platforms_too_whose_quota_holds_them():
    now = digests(changed(cpu="12"))
    assert now["platform"] != WAS["platform"]
    assert now["foundation"] == WAS["foundation"]


def test_a_network_is_news_for_every_layer_and_a_trail_for_the_foundation():
    data = platform_data()
    data["networks"][0]["flow_log_days"] = 731
    now = digests(parse(data))
    assert (now["foundation"], now["platform"]) != (WAS["foundation"], WAS["platform"])
    data = platform_data()
    data["audit"][0]["retention_days"] = 4000
    now = digests(parse(data))
    assert now["foundation"] != WAS["foundation"]
    assert now["platform"] == WAS["platform"]


def test_what_the_foundation_keeps_or_takes_over_is_news_for_it():
    platform = parse(platform_data())
    for change in ({"lifecycle": "disposable"}, {"imports": {"Vpc bank-frankfurt-network-vpc": "vpc-1"}}):
        now = digests(platform.model_copy(update=change))
        assert now["foundation"] != digests(platform)["foundation"], change


def fetched(**store: Any) -> Platform:
    return parse(
        test_platform_serving.changed(
            lambda data: test_platform_serving.weigh(
                data, store={**test_platform_serving.STORE, **store}, digest="sha256:" + "c" * 64
            )
        )
    )


def test_fetched_weights_are_news_below_serving_where_they_lie_in_another_place_alone():
    first = digests(fetched())
    data = test_platform_serving.changed(test_platform_serving.weigh)
    assert digests(parse(data))["platform"] == first["platform"], "another digest"
    assert digests(parse(data))["serving"] != first["serving"]
    for change in ({"address": "10.40.3.11"}, {"endpoint": "https://s3.fra1.bank.example:9001"}):
        now = digests(fetched(**change))
        assert now["platform"] != first["platform"], change
        assert now["foundation"] == first["foundation"]


def test_a_namespace_that_is_to_hold_a_claim_for_the_first_time_is_the_platforms_news():
    image = {"uri": "oci://registry.example/w@" + DIGEST, "digest": DIGEST}
    assert digests(changed(weights=image))["platform"] != WAS["platform"]


def hosted_with(change: Callable[[dict[str, Any]], object]) -> dict[str, str]:
    data = hosted.platform()
    change(hosted.endpoint(data))
    return digests(CheckedPlatform.model_validate(data))


@pytest.mark.parametrize(
    ("change", "news"),
    [
        (lambda one: one["weights"].update(digest=DIGEST), ["serving"]),
        (lambda one: one.update(replicas=4), ["serving"]),
        (lambda one: one["sagemaker"].pop("autoscaling"), ["serving"]),
        (lambda one: one["sagemaker"]["capture"].update(sampling_pct=20), ["serving"]),
        (lambda one: one["weights"].update(uri="s3://insurer-weights/v2/"), ["platform", "serving"]),
        (lambda one: one["sagemaker"].pop("shadow"), ["platform", "serving"]),
        (lambda one: one["sagemaker"].pop("capture"), ["platform", "serving"]),
    ],
)
def test_a_hosted_models_release_is_news_below_serving_where_roles_fetch_from_elsewhere(
    change: Callable[[dict[str, Any]], object], news: list[str]
):
    was, now = hosted_with(lambda _: None), hosted_with(change)
    assert [layer for layer in platform_layers.LAYERS if now[layer] != was[layer]] == news


def test_serving_reaches_an_account_where_it_has_a_model_there_and_no_cluster_where_it_has_none():
    platform = CheckedPlatform.model_validate(hosted.platform())

    def sites(*serves: str) -> list[str]:
        found = platform_layers.reached(platform, "serving", frozenset(serves))
        assert found.networks == []
        return sorted(site.kind for site in found.sites)

    assert sites(hosted.HOSTED) == ["aws"]
    assert sites(hosted.RESTRICTED) == ["on-prem"]
    assert sites(hosted.HOSTED, hosted.RESTRICTED) == ["aws", "on-prem"]


def test_serving_in_eks_reaches_the_account_whose_cluster_it_is_in():
    platform = private.platform()
    (model,) = [each for each in platform.endpoints if each.target == "eks-vllm"]
    assert [
        site.kind for site in platform_layers.reached(platform, "serving", frozenset({model.id})).sites
    ] == ["aws"]
    assert platform_layers.reached(platform, "serving", frozenset()).sites == []


def test_a_platform_that_tells_no_address_of_its_cluster_is_of_another_version():
    platform = private.platform()
    said = given(layer="platform", digest=platform_layers.digest(platform, "platform"))
    with pytest.raises(EnvironmentFault, match="does not give the address of the cluster at frankfurt"):
        platform_layers.taken(said, platform, "bank", "platform", "bank-platform")


def test_a_platform_that_tells_no_names_of_hosted_models_is_of_another_version():
    platform = CheckedPlatform.model_validate(hosted.platform())
    said = given(layer="platform", digest=platform_layers.digest(platform, "platform"))
    with pytest.raises(EnvironmentFault, match=f"does not give the names of {hosted.HOSTED} on SageMaker"):
        platform_layers.taken(said, platform, "bank", "platform", "bank-platform")


def test_the_fields_of_a_release_are_an_endpoints():
    assert set(platform_layers._OF_A_RELEASE) <= set(Endpoint.model_fields)
    assert set(platform_layers._OF_A_HOSTED_RELEASE) <= set(SageMaker.model_fields)
    assert set(platform_layers._FOUNDATION) | set(platform_layers._NOT_PLATFORM) <= set(Platform.model_fields)


def given(**more: Any) -> dict[str, Any]:
    return {
        "isthmus": "v1",
        "estate": "bank",
        "layer": "foundation",
        "digest": WAS["foundation"],
        "networks": {"frankfurt": {"vpc_id": "vpc-1", "subnets": ["s-1"], "route_tables": ["r-1"]}},
        "records": {"frankfurt": {"bucket": "arn:aws:s3:::records"}},
        **more,
    }


def take(said: Any) -> platform_layers.Given:
    return platform_layers.taken(said, parse(platform_data()), "bank", "foundation", "bank-foundation")


def test_what_fits_is_taken_with_its_types():
    assert take(given()).networks["frankfurt"].subnets == ["s-1"]


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        (None, r"layer foundation of estate bank is not up.*Run `isthmus up bank-foundation` first"),
        ({}, "is not up"),
        (given(digest="sha256:" + "0" * 64), "stands as another plan or other overrides say"),
        (given(estate="other"), "was built as layer foundation of estate other"),
        (given(layer="platform"), "was built as layer platform of estate bank"),
        (given(isthmus="v0"), "another version of Isthmus"),
        (given(networks={"frankfurt": {"vpc_id": "vpc-1"}}), "another version of Isthmus"),
        (given(more=1), "another version of Isthmus"),
        (given(records={}), "another version of Isthmus: it does not give the records of frankfurt"),
        ("text", "another version of Isthmus"),
    ],
)
def test_what_does_not_fit_is_refused_and_says_what_to_run(said: Any, wrong: str):
    with pytest.raises(EnvironmentFault, match=wrong) as caught:
        take(said)
    assert "stack bank-foundation" in str(caught.value)


def test_a_layer_reaches_only_where_it_makes_something():
    platform = parse(platform_data())
    kinds = {
        layer: {site.kind for site in platform_layers.reached(platform, layer).sites}
        for layer in ("all", *platform_layers.LAYERS)
    }
    assert kinds == {
        "all": {"aws", "on-prem"},
        "foundation": {"aws"},
        "platform": {"aws", "on-prem"},
        "serving": {"on-prem"},
    }
    assert platform_layers.reached(platform, "foundation").endpoints == []
    assert platform_layers.reached(platform, "all") == platform

"""Layers of an estate: what a change affects, and the outputs that a layer gives to the next one."""

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
    return {layer: platform_layers.digest(platform, layer) for layer in platform_layers.LAYERS}


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
def test_a_release_of_a_model_changes_only_the_serving_layer(release: dict[str, Any]):
    now = digests(changed(**release))
    assert now["serving"] != WAS["serving"]
    assert (now["platform"], now["foundation"]) == (WAS["platform"], WAS["foundation"])


def test_more_cpus_of_an_endpoint_change_the_quota_in_the_platform_layer():
    now = digests(changed(cpu="12"))
    assert now["platform"] != WAS["platform"]
    assert now["foundation"] == WAS["foundation"]


def test_a_network_changes_every_layer_and_a_trail_only_the_foundation():
    data = platform_data()
    data["networks"][0]["flow_log_days"] = 731
    now = digests(parse(data))
    assert (now["foundation"], now["platform"]) != (WAS["foundation"], WAS["platform"])
    data = platform_data()
    data["audit"][0]["retention_days"] = 4000
    now = digests(parse(data))
    assert now["foundation"] != WAS["foundation"]
    assert now["platform"] == WAS["platform"]


def test_retained_and_adopted_resources_change_the_foundation_layer():
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


def test_fetched_weights_change_lower_layers_only_if_they_move_to_another_store():
    first = digests(fetched())
    data = test_platform_serving.changed(test_platform_serving.weigh)
    assert digests(parse(data))["platform"] == first["platform"], "another digest"
    assert digests(parse(data))["serving"] != first["serving"]
    for change in ({"address": "10.40.3.11"}, {"endpoint": "https://s3.fra1.bank.example:9001"}):
        now = digests(fetched(**change))
        assert now["platform"] != first["platform"], change
        assert now["foundation"] == first["foundation"]


def test_the_first_claim_of_a_namespace_changes_the_platform_layer():
    image = {"uri": "oci://registry.example/w@" + DIGEST, "digest": DIGEST}
    assert digests(changed(weights=image))["platform"] != WAS["platform"]


def hosted_with(change: Callable[[dict[str, Any]], object]) -> dict[str, str]:
    data = hosted.platform()
    change(hosted.endpoint(data))
    return digests(CheckedPlatform.model_validate(data))


@pytest.mark.parametrize(
    ("change", "news"),
    [
        (lambda endpoint: endpoint["weights"].update(digest=DIGEST), ["serving"]),
        (lambda endpoint: endpoint.update(replicas=4), ["serving"]),
        (lambda endpoint: endpoint["sagemaker"].pop("autoscaling"), ["serving"]),
        (lambda endpoint: endpoint["sagemaker"]["capture"].update(sampling_pct=20), ["serving"]),
        (
            lambda endpoint: endpoint["weights"].update(uri="s3://insurer-weights/v2/"),
            ["platform", "serving"],
        ),
        (lambda endpoint: endpoint["sagemaker"].pop("shadow"), ["platform", "serving"]),
        (lambda endpoint: endpoint["sagemaker"].pop("capture"), ["platform", "serving"]),
    ],
)
def test_a_hosted_models_release_changes_the_platform_layer_if_roles_fetch_from_another_store(
    change: Callable[[dict[str, Any]], object], news: list[str]
):
    before, now = hosted_with(lambda _: None), hosted_with(change)
    assert [layer for layer in platform_layers.LAYERS if now[layer] != before[layer]] == news


def test_serving_reaches_only_accounts_and_clusters_with_its_models():
    platform = CheckedPlatform.model_validate(hosted.platform())

    def sites(*serves: str) -> list[str]:
        reached_part = platform_layers.with_sites_of_layer(platform, "serving", frozenset(serves))
        assert reached_part.networks == []
        return sorted(site.kind for site in reached_part.sites)

    assert sites(hosted.HOSTED) == ["aws"]
    assert sites(hosted.RESTRICTED) == ["on-prem"]
    assert sites(hosted.HOSTED, hosted.RESTRICTED) == ["aws", "on-prem"]


def test_serving_in_eks_reaches_the_account_whose_cluster_it_is_in():
    platform = private.platform()
    (model,) = [endpoint for endpoint in platform.endpoints if endpoint.target == "eks-vllm"]
    assert [
        site.kind
        for site in platform_layers.with_sites_of_layer(platform, "serving", frozenset({model.id})).sites
    ] == ["aws"]
    assert platform_layers.with_sites_of_layer(platform, "serving", frozenset()).sites == []


def test_a_platform_layer_without_cluster_addresses_is_refused_as_another_version():
    platform = private.platform()
    gives = layer_outputs(layer="platform", digest=platform_layers.digest(platform, "platform"))
    with pytest.raises(
        EnvironmentFault, match="the stack was deployed by another version of Isthmus: its output lacks the"
    ):
        platform_layers.read_output(gives, platform, "bank", "platform", "bank-platform")


def test_a_platform_layer_without_hosted_model_names_is_refused_as_another_version():
    platform = CheckedPlatform.model_validate(hosted.platform())
    gives = layer_outputs(layer="platform", digest=platform_layers.digest(platform, "platform"))
    with pytest.raises(EnvironmentFault, match=f"its output lacks the names of {hosted.HOSTED} on SageMaker"):
        platform_layers.read_output(gives, platform, "bank", "platform", "bank-platform")


def test_release_fields_exist_on_endpoints_and_platforms():
    assert set(platform_layers._RELEASE_FIELDS) <= set(Endpoint.model_fields)
    assert set(platform_layers._SAGEMAKER_RELEASE_FIELDS) <= set(SageMaker.model_fields)
    assert set(platform_layers._FOUNDATION_FIELDS) | set(platform_layers._FIELDS_NOT_OF_PLATFORM) <= set(
        Platform.model_fields
    )


def layer_outputs(**more: Any) -> dict[str, Any]:
    return {
        "isthmus": "v1",
        "estate": "bank",
        "layer": "foundation",
        "digest": WAS["foundation"],
        "networks": {"frankfurt": {"vpc_id": "vpc-1", "subnets": ["s-1"], "route_tables": ["r-1"]}},
        "records": {"frankfurt": {"bucket": "arn:aws:s3:::records"}},
        **more,
    }


def take(gives: Any) -> platform_layers.Given:
    return platform_layers.read_output(gives, parse(platform_data()), "bank", "foundation", "bank-foundation")


def test_a_matching_layer_output_is_read_with_its_types():
    assert take(layer_outputs()).networks["frankfurt"].subnets == ["s-1"]


@pytest.mark.parametrize(
    ("gives", "wrong"),
    [
        (
            None,
            r"layer foundation of estate bank has not been deployed.*Run `isthmus up bank-foundation` first",
        ),
        ({}, "layer foundation of estate bank has not been deployed"),
        (layer_outputs(digest="sha256:" + "0" * 64), "was deployed from another plan or other overrides"),
        (layer_outputs(estate="other"), "was built as layer foundation of estate other"),
        (layer_outputs(layer="platform"), "was built as layer platform of estate bank"),
        (layer_outputs(isthmus="v0"), "another version of Isthmus"),
        (layer_outputs(networks={"frankfurt": {"vpc_id": "vpc-1"}}), "another version of Isthmus"),
        (layer_outputs(more=1), "another version of Isthmus"),
        (
            layer_outputs(records={}),
            "another version of Isthmus: its output lacks where the audit records of frankfurt are",
        ),
        ("text", "another version of Isthmus"),
    ],
)
def test_a_mismatched_layer_output_is_refused_with_the_command_to_run(gives: Any, wrong: str):
    with pytest.raises(EnvironmentFault, match=wrong) as caught:
        take(gives)
    assert "stack bank-foundation" in str(caught.value)


def test_a_layer_uses_only_the_sites_in_which_it_creates_resources():
    platform = parse(platform_data())
    kinds = {
        layer: {site.kind for site in platform_layers.with_sites_of_layer(platform, layer).sites}
        for layer in ("all", *platform_layers.LAYERS)
    }
    assert kinds == {
        "all": {"aws", "on-prem"},
        "foundation": {"aws"},
        "platform": {"aws", "on-prem"},
        "serving": {"on-prem"},
    }
    assert platform_layers.with_sites_of_layer(platform, "foundation").endpoints == []
    assert platform_layers.with_sites_of_layer(platform, "all") == platform

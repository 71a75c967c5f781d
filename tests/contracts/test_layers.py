"""What a layer gives the one above, and how they agree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from isthmus.contracts import layers
from isthmus.contracts.errors import EnvironmentFault, InputError
from isthmus.contracts.platform import Endpoint, Platform
from tests import hosted
from tests.components import fargate
from tests.contracts import test_platform_serving
from tests.contracts.bank import DIGEST, platform_data
from tests.contracts.test_platform import parse


def changed(**endpoint: Any) -> Platform:
    data = platform_data()
    data["endpoints"][0] |= endpoint
    return parse(data)


def digests(platform: Platform) -> dict[str, str]:
    return {each: layers.digest(platform, each) for each in layers.LAYERS}


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


def test_the_fields_of_a_release_are_an_endpoints():
    assert set(layers._OF_A_RELEASE) <= set(Endpoint.model_fields)
    assert set(layers._FOUNDATION) | set(layers._NOT_PLATFORM) <= set(Platform.model_fields)


def given(**more: Any) -> dict[str, Any]:
    return {
        "isthmus": "v1",
        "estate": "bank",
        "layer": "foundation",
        "digest": WAS["foundation"],
        "networks": {"frankfurt": {"vpc_id": "vpc-1", "subnets": ["s-1"], "route_tables": ["r-1"]}},
        **more,
    }


def take(said: Any) -> layers.Given:
    return layers.taken(said, parse(platform_data()), "bank", "foundation", "bank-foundation")


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
        layer: {site.kind for site in layers.reached(platform, layer).sites}
        for layer in ("all", *layers.LAYERS)
    }
    assert kinds == {
        "all": {"aws", "on-prem"},
        "foundation": {"aws"},
        "platform": {"aws", "on-prem"},
        "serving": {"on-prem"},
    }
    assert layers.reached(platform, "foundation").endpoints == []
    assert layers.reached(platform, "all") == platform


PEOPLE = {"members": [{"name": "ops", "role": "platform", "groups": ["oidc:ops"]}]}


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: parse({**platform_data(), "people": PEOPLE}), "there are `people`"),
        (lambda: parse({**platform_data(), "imports": {"Key bank-key": "id"}}), "there are `imports`"),
        (lambda: parse(test_platform_serving.changed(test_platform_serving.route(1))), "has a router"),
        (
            lambda: parse(test_platform_serving.changed(test_platform_serving.weigh)),
            "has its weights fetched",
        ),
        (lambda: Platform.model_validate(fargate.cloud()), "runs on Fargate"),
        (lambda: Platform.model_validate(hosted.platform()), "runs on sagemaker"),
    ],
)
def test_what_layers_do_not_know_is_refused_by_its_name(make: Callable[[], Platform], says: str):
    with pytest.raises(InputError, match=f"{says}, which layers do not know in this version") as refused:
        layers.may_be_laid(make(), "stacks/Pulumi.a.yaml")
    assert refused.value.where == "stacks/Pulumi.a.yaml"
    assert "as one stack" in refused.value.todo

"""Bedrock prices: each belongs to one way to call a model from one region, and is used for no other."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.core.errors import InputError
from isthmus.planning.catalogues import bedrock

HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"
LITE = "amazon.nova-lite-v1:0"


def test_the_price_of_a_profile_applies_in_all_of_its_source_regions() -> None:
    for region in ("eu-central-1", "eu-west-1", "eu-north-1"):
        [call] = [call for call in bedrock.calls(HAIKU, region) if call.profile]
        assert (call.price.input, call.price.output) == (1.1, 5.5)
        assert region in call.destinations


def test_a_price_for_the_source_region_is_preferred() -> None:
    prices = {region: bedrock.calls(LITE, region)[-1].price.input for region in ("eu-central-1", "eu-west-3")}
    assert prices == {"eu-central-1": 0.078, "eu-west-3": 0.088}


def test_a_region_without_a_price_does_not_use_the_price_of_another_region() -> None:
    # The profile can be called from there, and no list names a price.
    assert bedrock.calls(LITE, "eu-south-1") == []
    assert bedrock.calls(HAIKU, "sa-east-1") == []


def test_a_model_that_needs_a_profile_is_never_called_directly() -> None:
    assert all(call.profile for call in bedrock.calls(HAIKU, "us-east-1"))


def test_a_global_profile_is_never_planned() -> None:
    assert not any(
        (call.profile or "").startswith("global.") for call in bedrock.calls(HAIKU, "eu-central-1")
    )


def test_an_open_model_is_found_under_the_hub_s_name() -> None:
    assert bedrock.bedrock_id("openai/gpt-oss-120b") == "openai.gpt-oss-120b-1:0"
    assert bedrock.bedrock_id(HAIKU) == HAIKU
    assert bedrock.bedrock_id("meta-llama/Nobody") is None


def test_a_price_of_the_organisation_overrides_the_catalogue() -> None:
    own_prices = {HAIKU: {"input_usd_per_mtok": 0.5, "output_usd_per_mtok": 2, "as_of": "2026-11-01"}}
    [call] = [call for call in bedrock.calls(HAIKU, "eu-central-1", own_prices) if call.profile]
    assert (call.price.input, call.price.kind, call.price.as_of) == (0.5, "given", "2026-11-01")
    assert call.price.cached is None, "no price of cached tokens is stated"
    own_prices[HAIKU]["cache_read_usd_per_mtok"] = 0.05
    [call] = [call for call in bedrock.calls(HAIKU, "eu-central-1", own_prices) if call.profile]
    assert call.price.cached == 0.05


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (3, "is `3`, not a mapping"),
        ({"input_usd_per_mtok": 1, "as_of": "2026-11-01"}, "output_usd_per_mtok is None"),
        ({"input_usd_per_mtok": -1, "output_usd_per_mtok": 1, "as_of": "x"}, "input_usd_per_mtok is -1"),
        (
            {"input_usd_per_mtok": 1, "output_usd_per_mtok": 1, "cache_read_usd_per_mtok": "x", "as_of": "x"},
            "cache_read_usd_per_mtok is 'x'",
        ),
        ({"input_usd_per_mtok": True, "output_usd_per_mtok": 1, "as_of": "x"}, "is True"),
        ({"input_usd_per_mtok": 1, "output_usd_per_mtok": 1}, "the price has no date"),
    ],
)
def test_an_invalid_price_is_refused_with_the_wrong_value(row: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        bedrock.calls(HAIKU, "eu-central-1", {HAIKU: row})

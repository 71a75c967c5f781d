"""A model's `config.json` is read into an architecture that matches its published parameters and its code."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.core.errors import InputError
from isthmus.planning.catalogues import model_config, models

LLAMA = next(row["config"] for row in models.rows() if row["id"] == "meta-llama/Llama-3.1-8B-Instruct")
BEYOND = {
    "deepseek-ai/DeepSeek-V3.2": "a layer for speculation",
    "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-BF16": "a layer for speculation",
    "nvidia/NVIDIA-Nemotron-3-Ultra-550B-A55B-BF16": "a layer for speculation",
    "Qwen/Qwen3-Next-80B-A3B-Instruct": "a layer for speculation",
    "zai-org/GLM-4.7": "a layer for speculation",
    "zai-org/GLM-5.1": "a layer for speculation",
    "zai-org/GLM-5.2": "a layer for speculation",
    "Qwen/Qwen3-Embedding-8B": "stores no output embedding, though its configuration does not tie it",
}
"""Models whose published total counts what is not served as text, or less than is served."""


@pytest.mark.parametrize("row", models.rows(), ids=lambda row: row["id"])
def test_counted_parameters_match_the_published_ones(row: dict[str, Any]) -> None:
    counted = model_config.architecture(row["config"], row["id"]).total
    published = row["parameters"]["total"]
    if row["id"] in BEYOND:
        assert abs(counted / published - 1) < 0.09, BEYOND[row["id"]]
    elif "multimodal" in row["tags"]:
        # The vision tower is published with the text model.
        assert -0.001 < published / counted - 1 < 0.12
    else:
        assert counted == pytest.approx(published, rel=0.009)


@pytest.mark.parametrize(
    ("id", "active"),
    [
        ("Qwen/Qwen3-30B-A3B", 3.3e9),
        ("Qwen/Qwen3-235B-A22B", 22e9),
        ("mistralai/Mixtral-8x7B-Instruct-v0.1", 12.9e9),
        ("deepseek-ai/DeepSeek-V3", 37e9),
        ("openai/gpt-oss-120b", 5.1e9),
        ("openai/gpt-oss-20b", 3.6e9),
        ("nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-BF16", 12e9),
    ],
)
def test_the_active_parameters_of_an_expert_model_are_as_published(id: str, active: float) -> None:
    assert models.find_model(id).architecture.active == pytest.approx(active, rel=0.09)


def cache_of_token(id: str, gpus: int) -> int:
    """Elements that one of `gpus` keeps of each further token."""
    caches = models.find_model(id).architecture.caches
    return sum(cache.of_token(gpus) for cache in caches if cache.kind != "state")


def test_a_kv_cache_stores_two_vectors_per_layer_and_head() -> None:
    assert cache_of_token("meta-llama/Llama-3.1-8B-Instruct", 1) * 2 == 131_072


def test_every_gpu_stores_the_whole_latent_cache() -> None:
    model = "deepseek-ai/DeepSeek-V3"
    assert cache_of_token(model, 1) == cache_of_token(model, 8) == 61 * (512 + 64)


def test_kv_heads_are_replicated_if_there_are_fewer_heads_than_gpus() -> None:
    model = "Qwen/Qwen3-30B-A3B"
    assert cache_of_token(model, 4) == cache_of_token(model, 8)
    assert cache_of_token(model, 2) == 2 * cache_of_token(model, 4)


def test_sliding_window_layers_cache_no_more_than_their_window() -> None:
    model = models.find_model("google/gemma-3-27b-it").architecture
    [full] = [cache for cache in model.caches if cache.kind == "full"]
    [window] = [cache for cache in model.caches if cache.kind == "window"]
    assert (full.layers, window.layers, window.window) == (10, 52, 1024)
    long = model.cache_of_sequence(32768, 1, 2) - model.cache_of_sequence(16384, 1, 2)
    assert long == 16384 * full.of_token(1) * 2


def test_the_state_of_mamba_layers_does_not_grow_with_the_sequence() -> None:
    model = models.find_model("nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16").architecture
    short, long = model.cache_of_sequence(0, 1, 2), model.cache_of_sequence(1000, 1, 2)
    assert short > 0
    assert long - short == 1000 * 6 * 2 * 2 * 128 * 2


def test_a_window_that_the_engine_ignores_is_not_used() -> None:
    kinds = [cache.kind for cache in models.find_model("Qwen/Qwen2.5-7B-Instruct").architecture.caches]
    assert kinds == ["full"]


def test_the_text_model_inside_a_multimodal_one_is_read() -> None:
    multimodal = {"model_type": "gemma3", "text_config": LLAMA, "vision_config": {"hidden_size": 1}}
    assert model_config.architecture(multimodal) == model_config.architecture(LLAMA)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"model_type": "llamma"},
            r"`model_type` is `llamma`, which Isthmus cannot size. Fix: Did you mean `llama`\?",
        ),
        ({"model_type": None}, "`model_type` is missing"),
        ({"hidden_size": None}, "`hidden_size` is missing"),
        ({"hidden_size": "4096"}, "`hidden_size` is '4096', not a whole number"),
        ({"hidden_size": True}, "not a whole number"),
        ({"num_hidden_layers": -3}, "`num_hidden_layers` is -3"),
        ({"num_attention_heads": 0}, "`num_attention_heads` is 0"),
        ({"layer_types": ["full_attention"]}, "lists 1 layers, but the model has 32"),
        ({"layer_types": ["telepathy"] * 32}, "layer type `telepathy` is not supported"),
    ],
)
def test_an_unsupported_model_configuration_is_refused_with_the_reason(
    change: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        model_config.architecture({**LLAMA, **change}, "mine/config.json")
    assert str(caught.value).startswith("mine/config.json: ")


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 1 << 40), st.text(max_size=5), st.lists(st.text(max_size=3))
)


@given(st.dictionaries(st.sampled_from(sorted(LLAMA)), VALUES))
def test_a_malformed_model_configuration_always_gives_an_input_error(change: dict[str, Any]) -> None:
    try:
        architecture = model_config.architecture({**LLAMA, **change})
    except InputError:
        return
    assert architecture.total >= architecture.embedding > 0
    assert all(cache.layers > 0 for cache in architecture.caches)

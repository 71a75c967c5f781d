"""The arguments of `vllm serve`."""

from typing import Any, cast

import pytest

from components.onprem.model_args import ModelServerArgs
from components.onprem.vllm import LORA_RANKS, arguments
from isthmus.contracts import vllm_flags
from isthmus.contracts.errors import InputError
from tests.components.platforms import DIGEST


def given(**more: Any) -> list[str]:
    weights = {"uri": "pvc://claim/llama/v1", "digest": DIGEST, **more.pop("weights", {})}
    args = {"id": "llama", "model": "meta-llama/Llama", "weights": weights, **more}
    return arguments(cast(ModelServerArgs, args), "endpoints.llama")


EVERYTHING: dict[str, Any] = {
    "precision": "fp8",
    "tensor_parallel": 4,
    "max_model_len": 16384,
    "max_num_seqs": 64,
    "gpu_memory_utilization": 0.92,
    "kv_cache_dtype": "fp8",
    "adapters": [{"name": "kyc", "rank": 20}, {"name": "aml", "rank": 8, "path": "lora/aml"}],
    "engine_args": ["--max-num-batched-tokens=8192", "--no-enable-chunked-prefill"],
}


@pytest.mark.parametrize("settings", [{}, {"precision": "bf16"}, EVERYTHING])
def test_every_flag_is_one_that_the_version_knows(settings: dict[str, Any]) -> None:
    flags = [each.partition("=")[0] for each in given(**settings) if each.startswith("-")]
    assert len(flags) > 8
    assert [flag for flag in flags if not vllm_flags.is_known(flag)] == []


def test_the_plans_settings_are_arguments() -> None:
    made = given(**EVERYTHING)
    assert made[0] == "/models/llama/v1"
    for each in (
        "--served-model-name=meta-llama/Llama",
        "--tensor-parallel-size=4",
        "--max-model-len=16384",
        "--max-num-seqs=64",
        "--gpu-memory-utilization=0.92",
        "--kv-cache-dtype=fp8",
        "--enable-prefix-caching",
        "--no-enable-chunked-prefill",
    ):
        assert each in made, each


def test_fp8_from_bf16_weights_is_quantized_while_loading() -> None:
    assert "--quantization=fp8" in given(precision="fp8")
    stored = given(precision="fp8", weights={"precision": "fp8"})
    assert not [each for each in stored if each.startswith("--quantization")], "the checkpoint says it itself"


def test_a_precision_that_cannot_be_reached_is_refused() -> None:
    with pytest.raises(InputError, match="stored in bf16 cannot be served in int4"):
        given(precision="int4")


def test_adapters_are_served_under_their_names() -> None:
    made = given(**EVERYTHING)
    at = made.index("--lora-modules")
    assert made[at + 1 : at + 3] == ["kyc=/models/adapters/kyc", "aml=/models/lora/aml"]
    assert "--max-loras=2" in made
    assert "--max-lora-rank=32" in made, f"20 is rounded up to one of {LORA_RANKS}"


def test_without_adapters_lora_is_off() -> None:
    assert not [each for each in given() if "lora" in each]


@pytest.mark.parametrize("flag", ["--swap-space=4", "--disable-log-requests"])
def test_a_flag_that_is_gone_is_refused(flag: str) -> None:
    with pytest.raises(InputError, match="has no flag"):
        given(engine_args=[flag])


@pytest.mark.parametrize("flag", ["--host=0.0.0.0", "--api-key=x", "--trust-remote-code"])
def test_a_flag_that_opens_the_engine_is_refused(flag: str) -> None:
    with pytest.raises(InputError, match="may not be given"):
        given(engine_args=[flag])


@pytest.mark.parametrize(
    "flag", ["--enable-log-requests", "--enable_log_outputs", "--enable-log-outputs=true"]
)
def test_a_flag_that_would_write_prompts_into_the_log_is_refused(flag: str) -> None:
    with pytest.raises(InputError, match="may not be given: prompts and answers are in no log"):
        given(engine_args=[flag])


def test_another_version_of_vllm_is_refused() -> None:
    with pytest.raises(InputError, match=r"0\.32\.0 is asked for"):
        given(engine_version="0.32.0")
    assert given(engine_version="v0.33.0") == given()

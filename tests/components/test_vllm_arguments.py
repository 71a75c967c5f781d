"""The arguments of `vllm serve`."""

from typing import Any, cast

import pytest

from components.serving import vllm_arguments
from components.serving.arguments import ModelServerArgs
from components.serving.vllm_arguments import LORA_RANKS, vllm_serve_arguments
from isthmus.contracts.reference import vllm_flags
from isthmus.core.errors import InputError
from tests.components.platforms import DIGEST


def server_args(**more: Any) -> list[str]:
    weights = {"uri": "pvc://claim/llama/v1", "digest": DIGEST, **more.pop("weights", {})}
    args = {"id": "llama", "model": "meta-llama/Llama", "weights": weights, **more}
    return vllm_serve_arguments(cast(ModelServerArgs, args), "endpoints.llama")


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
    flags = [argument.partition("=")[0] for argument in server_args(**settings) if argument.startswith("-")]
    assert len(flags) > 8
    assert [flag for flag in flags if not vllm_flags.is_known(flag)] == []


def test_the_plans_settings_are_arguments() -> None:
    args = server_args(**EVERYTHING)
    assert args[0] == "/models/llama/v1"
    for argument in (
        "--served-model-name=meta-llama/Llama",
        "--tensor-parallel-size=4",
        "--max-model-len=16384",
        "--max-num-seqs=64",
        "--gpu-memory-utilization=0.92",
        "--kv-cache-dtype=fp8",
        "--enable-prefix-caching",
        "--no-enable-chunked-prefill",
    ):
        assert argument in args, argument


def test_fp8_from_bf16_weights_is_quantized_while_loading() -> None:
    assert "--quantization=fp8" in server_args(precision="fp8")
    stored = server_args(precision="fp8", weights={"precision": "fp8"})
    assert not [argument for argument in stored if argument.startswith("--quantization")], (
        "the checkpoint says it itself"
    )


def test_a_precision_that_cannot_be_reached_is_refused() -> None:
    with pytest.raises(InputError, match="stored in bf16 cannot be served in int4"):
        server_args(precision="int4")


def test_adapters_are_served_under_their_names() -> None:
    args = server_args(**EVERYTHING)
    at = args.index("--lora-modules")
    assert args[at + 1 : at + 3] == ["kyc=/models/adapters/kyc", "aml=/models/lora/aml"]
    assert "--max-loras=2" in args
    assert "--max-lora-rank=32" in args, f"20 is rounded up to one of {LORA_RANKS}"


def test_without_adapters_lora_is_off() -> None:
    assert not [argument for argument in server_args() if "lora" in argument]


@pytest.mark.parametrize("flag", ["--swap-space=4", "--disable-log-requests"])
def test_a_flag_that_is_gone_is_refused(flag: str) -> None:
    with pytest.raises(InputError, match="has no flag"):
        server_args(engine_args=[flag])


@pytest.mark.parametrize("flag", ["--host=0.0.0.0", "--api-key=x", "--trust-remote-code"])
def test_a_flag_that_opens_the_engine_is_refused(flag: str) -> None:
    with pytest.raises(InputError, match="may not be set in engine_args"):
        server_args(engine_args=[flag])


@pytest.mark.parametrize(
    "flag", ["--enable-log-requests", "--enable_log_outputs", "--enable-log-outputs=true"]
)
def test_a_flag_that_would_write_prompts_into_the_log_is_refused(flag: str) -> None:
    with pytest.raises(InputError, match="may not be set in engine_args: prompts and answers are in no log"):
        server_args(engine_args=[flag])


def test_another_version_of_vllm_is_refused() -> None:
    with pytest.raises(InputError, match=r"0\.32\.0 is not supported"):
        server_args(engine_version="0.32.0")
    assert server_args(engine_version="v0.33.0") == server_args()


@pytest.mark.parametrize(
    ("model", "tools", "reasoning"),
    [
        ("Qwen/Qwen3-8B", "hermes", "qwen3"),
        ("Qwen/Qwen3-30B-A3B-Instruct-2507", "hermes", None),
        ("meta-llama/Llama-3.3-70B-Instruct", "llama3_json", None),
        ("openai/gpt-oss-120b", "openai", "openai_gptoss"),
        ("deepseek-ai/DeepSeek-V3-0324", "deepseek_v3", None),
        ("deepseek-ai/DeepSeek-R1-0528", "deepseek_v3", "deepseek_r1"),
        ("mistralai/Mistral-Small-3.2-24B-Instruct-2506", "mistral", None),
        ("mistralai/Mistral-Medium-3.5-128B", "mistral", "mistral"),
    ],
)
def test_tools_and_reasoning_are_read_by_the_parsers_of_the_models_family(
    model: str, tools: str, reasoning: str | None
) -> None:
    args = server_args(model=model)
    assert "--enable-auto-tool-choice" in args
    assert f"--tool-call-parser={tools}" in args
    assert [argument for argument in args if argument.startswith("--reasoning-parser")] == (
        [f"--reasoning-parser={reasoning}"] if reasoning else []
    )
    assert [
        argument
        for argument in args
        if argument.startswith("--") and not vllm_flags.is_known(argument.partition("=")[0])
    ] == []


@pytest.mark.parametrize(
    ("model", "template"),
    [
        ("deepseek-ai/DeepSeek-R1", "tool_chat_template_deepseekr1.jinja"),
        ("deepseek-ai/DeepSeek-V3", "tool_chat_template_deepseekv3.jinja"),
        ("deepseek-ai/DeepSeek-V3.1", "tool_chat_template_deepseekv31.jinja"),
    ],
)
def test_a_model_whose_own_template_lists_no_tools_takes_the_one_in_vllms_image(
    model: str, template: str
) -> None:
    assert f"--chat-template=/vllm-workspace/examples/{template}" in server_args(model=model)


def test_a_model_whose_own_template_lists_tools_keeps_it() -> None:
    for model in ("Qwen/Qwen3-8B", "meta-llama/Llama-3.1-8B-Instruct", "mistralai/Mistral-7B-Instruct-v0.3"):
        assert not [
            argument for argument in server_args(model=model) if argument.startswith("--chat-template")
        ], model


def test_stated_parsers_and_template_win_over_the_profile() -> None:
    args = server_args(
        model="deepseek-ai/DeepSeek-R1",
        tool_call_parser="hermes",
        reasoning_parser="none",
        chat_template="tools.jinja",
    )
    assert "--tool-call-parser=hermes" in args
    assert "--chat-template=/models/tools.jinja" in args
    assert not [argument for argument in args if argument.startswith("--reasoning-parser")]
    own_template = server_args(
        model="deepseek-ai/DeepSeek-R1", tool_call_parser="none", chat_template="model"
    )
    assert not [
        argument
        for argument in own_template
        if argument.startswith(("--enable-auto", "--tool-call", "--chat-template"))
    ]


def test_a_flag_among_engine_args_wins_and_is_given_once() -> None:
    args = server_args(model="Qwen/Qwen3-8B", engine_args=["--tool_call_parser=qwen3_xml"])
    assert [argument for argument in args if "tool" in argument and "parser" in argument] == [
        "--tool_call_parser=qwen3_xml"
    ]
    assert "--enable-auto-tool-choice" in args


def test_a_model_of_a_stated_family_is_served_as_that_family() -> None:
    assert "--reasoning-parser=qwen3" in server_args(model="bank/kyc", model_family="qwen3")
    with pytest.raises(InputError, match=r"endpoints\.llama\.model_family.*Did you mean `qwen3`"):
        server_args(model="bank/kyc", model_family="qwen33")


@pytest.mark.parametrize(
    ("key", "value"), [("tool_call_parser", "llama"), ("reasoning_parser", "r1"), ("chat_template", "../x")]
)
def test_a_value_that_would_end_the_pod_at_its_start_is_refused(key: str, value: str) -> None:
    with pytest.raises(InputError, match=rf"endpoints\.llama\.{key}"):
        server_args(**{key: value})


def test_a_guard_calls_no_tools_and_a_pooling_model_has_no_parser() -> None:
    guard = server_args(model="openai/gpt-oss-safeguard-20b", task="guard")
    assert "--reasoning-parser=openai_gptoss" in guard
    assert "--enable-auto-tool-choice" not in guard
    assert not [
        argument
        for argument in server_args(model="Qwen/Qwen3-Embedding-8B", task="embedding")
        if "parser" in argument
    ]


def test_a_setting_becomes_the_flag_of_its_name_and_an_unset_one_is_omitted() -> None:
    settings = {"max_num_seqs": 64, "gpu_memory_utilization": 0.9, "kv_cache_dtype": None, "model": "m"}
    assert vllm_arguments.vllm_flags(settings) == ["--max-num-seqs=64", "--gpu-memory-utilization=0.9"]


@pytest.mark.parametrize(("value", "flag"), [(True, "--enforce-eager"), (False, "--no-enforce-eager")])
def test_a_setting_that_is_true_or_false_becomes_a_flag_without_a_value(
    value: bool, flag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vllm_arguments, "VLLM_FLAGS", ("enforce_eager",))
    assert vllm_arguments.vllm_flags({"enforce_eager": value}) == [flag]

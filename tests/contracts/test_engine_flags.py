"""Arguments of `vllm serve` that may carry classified data out of the pod, in every spelling that vLLM reads."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.contracts.reference import engine_flags, vllm_flags
from isthmus.core.errors import Refused
from tests.contracts.bank import refused

LEAKING = [
    ["--tool-parser-plugin=/models/parser.py"],
    ["--reasoning-parser-plugin", "/models/parser.py"],
    ["--worker-extension-cls=models.Extension"],
    ["--logits-processors=models:Processor"],
    ["--middleware=models.copy"],
    ["--log_level=debug"],
    ["--log-level", "DEBUG"],
    ["--uvicorn-log-level=trace"],
    ["--enable_log_requests"],
    ["--log-config-file=/models/log.json"],
    ["--kv-transfer-config", '{"kv_connector": "LMCacheConnectorV1", "kv_role": "kv_both"}'],
    ["--kv_transfer_config.kv_connector=NixlConnector"],
    ["--kv-events-config={}"],
    ["--otlp-traces-endpoint=http://10.9.9.9:4317"],
    ["--otlp-traces=http://10.9.9.9:4317"],
    ["--structured-outputs-config", '{"reasoning_parser_plugin": "/models/parser.py"}'],
    ["--structured-outputs-config.reasoning_parser_plugin=/models/parser.py"],
    ["--distributed-executor-backend=models.Executor"],
    ["--config=/models/more.yaml"],
    ["--host", "10.9.9.9"],
    ["--seed=1", "--tool-server=10.9.9.9:8000"],
]


@pytest.mark.parametrize("arguments", LEAKING, ids=" ".join)
def test_a_flag_that_leaks_is_known_in_every_spelling(arguments: list[str]):
    assert [judged.effect for judged in engine_flags.judge_arguments(arguments)][-1] == "leaks"


@pytest.mark.parametrize(
    "arguments",
    [
        ["/models", "-tp", "4", "--max_num_seqs", "64", "--seed=-1"],
        ["-O3", "--no-enable-log-requests", "--no-enable-prefix-caching", "--log-level=warning"],
        ["--lora-modules", "kyc=/models/adapters/kyc", "fields=/models/adapters/fields"],
        ['--default-chat-template-kwargs={"thinking": true}'],
        ['--speculative-config={"method":"eagle3","model":"/models/eagle","num_speculative_tokens":3}'],
        ["--host=127.0.0.1", "--distributed-executor-backend=mp", "--master-addr=$(VLLM_HOST_IP)"],
    ],
    ids=" ".join,
)
def test_flags_that_isthmus_renders_and_models_need_keep_data_in_the_pod(arguments: list[str]):
    assert {judged.effect for judged in engine_flags.judge_arguments(arguments)} == {"keeps"}


@pytest.mark.parametrize(
    "argument",
    [
        "--profiler-config={}",
        "--log-error-stack",
        "--a-flag-of-tomorrow",
        "--master-addr=10.9.9.9",
        "--load-format=tensorizer",
        '--speculative-config={"method": "custom_class", "model": "x.Y"}',
        "-zz",
    ],
)
def test_any_other_flag_is_unknown(argument: str):
    assert [judged.effect for judged in engine_flags.judge_arguments([argument])] == ["unknown"]


def test_every_flag_of_the_tables_is_one_of_the_pinned_vllm_and_is_in_one_table():
    names = [
        flag
        for table in (engine_flags.KEEPS, engine_flags.LEAKS)
        for group in table.values()
        for flag in group
    ]
    assert set(names) <= vllm_flags.flags()
    assert len(names) == len(set(names))
    assert set(engine_flags.ALIASES.values()) <= vllm_flags.flags()


def test_an_owner_of_a_model_may_change_only_flags_that_keep_data():
    judged = engine_flags.judge_arguments(f"{flag}=1" for flag in vllm_flags.OWNER_FLAGS)
    assert {entry.effect for entry in judged} == {"keeps"}


@pytest.mark.parametrize("index", [0, 1], ids=["restricted", "confidential"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["--seed=1", "--kv-transfer-config={}"],
        ["--seed=1", "--log-level", "debug"],
        ["--seed=1", "--tool_parser_plugin=/models/p.py"],
    ],
    ids=" ".join,
)
def test_a_leaking_flag_is_refused_for_sensitive_classes(index: int, arguments: list[str]):
    def change(data: dict[str, Any]) -> None:
        data["endpoints"][index]["engine_args"] = arguments

    message = refused(Refused, change)
    assert "].engine_args[1]" in message
    assert "could leave" in message

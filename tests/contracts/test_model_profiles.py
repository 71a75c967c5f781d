"""Profiles of model families: every model of the catalogue has one, and vLLM has every parser that a profile names."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from isthmus.contracts.reference import model_profiles, vllm_flags
from isthmus.core.errors import FieldError, InputError
from isthmus.planning.catalogues import models
from tests.contracts.bank import platform_data
from tests.contracts.test_platform_model import parse, refused

PROFILES = model_profiles.profiles()


def endpoint(**more: Any) -> Any:
    """The bank's second endpoint, as its platform has it with these values."""
    data = platform_data()
    for key in ("cpu", "memory"):
        data["endpoints"][1].pop(key, None)
    data["endpoints"][1].update(more)
    return parse(data).endpoints[1]


@pytest.mark.parametrize("model", models.ids())
def test_every_model_of_the_catalogue_belongs_to_a_known_family(model: str) -> None:
    assert model_profiles.find_profile(model) is not None


@pytest.mark.parametrize("row", models.rows(), ids=lambda row: row["id"])
def test_a_model_that_calls_tools_or_reasons_has_a_parser_or_a_note_that_says_why_not(
    row: dict[str, Any],
) -> None:
    profile = model_profiles.find_profile(row["id"])
    assert profile is not None
    if row["task"] != "chat":
        return
    assert profile.tool_call_parser or "tool-use" not in row["tags"] or profile.note, row["id"]
    assert profile.reasoning_parser or "reasoning" not in row["tags"] or profile.note, row["id"]


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.family)
def test_a_profile_names_parsers_of_the_pinned_vllm_with_source_and_date(
    profile: model_profiles.ModelProfile,
) -> None:
    model_profiles.check_parsers(profile.tool_call_parser, profile.reasoning_parser)
    for row in (profile, profile.size):
        assert row.source
        assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", row.as_of)
    assert profile.chat_template is None or profile.chat_template.startswith("/vllm-workspace/examples/")


def test_profiles_and_flags_come_from_one_version_of_vllm() -> None:
    profiles = json.loads(Path(model_profiles.__file__).with_name("model_profiles.json").read_text("utf-8"))
    assert profiles["vllm"] == vllm_flags.VERSION
    assert len(model_profiles.families()) == len(set(model_profiles.families()))


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("RedHatAI/Meta-Llama-3.1-70B-Instruct-FP8", "llama-3"),
        ("nvidia/DeepSeek-R1-0528-NVFP4", "deepseek-r1"),
        ("bank/kyc-qwen3-8b-v2", "qwen3"),
        ("Qwen/Qwen3-8B", "qwen3"),
        ("mistralai/Magistral-Small-2506", "mistral-reasoning"),
    ],
)
def test_a_derived_model_belongs_to_the_family_in_its_name(model: str, family: str) -> None:
    profile = model_profiles.find_profile(model)
    assert profile is not None
    assert profile.family == family


def test_an_unknown_model_has_no_family_and_gets_the_size_of_a_text_model() -> None:
    assert model_profiles.find_profile("bank/own-model") is None
    assert model_profiles.size_of("bank/own-model").cpus(1) == 8
    assert "tool_call_parser" in model_profiles.unknown_family("e", "bank/own-model")


@pytest.mark.parametrize("gpus", [1, 2, 4, 8])
def test_cpus_and_memory_grow_with_gpus_and_exceed_vllms_processes(gpus: int) -> None:
    for profile in PROFILES:
        assert profile.size.cpus(gpus) >= 2 * (2 + gpus), "a core, two threads, for each of 2 + N processes"
        assert profile.size.memory(2 * gpus) > profile.size.memory(gpus) >= 64
    assert model_profiles.min_cpus(gpus) == 2 + gpus


def test_an_endpoint_without_cpu_and_memory_gets_those_of_its_profile() -> None:
    assert (endpoint().cpu, endpoint().memory) == ("8", "64Gi")
    wide = endpoint(model="bank/own-model", tensor_parallel=4, gpus=4, replicas=1, survive="none")
    assert (wide.cpu, wide.memory, wide.load_timeout_s) == ("14", "112Gi", 1800)


def test_a_stated_value_wins_over_the_profile() -> None:
    configured = endpoint(cpu="3", memory="20Gi", load_timeout_s=600)
    assert (configured.cpu, configured.memory, configured.load_timeout_s) == ("3", "20Gi", 600)


def test_a_parser_that_vllm_does_not_have_is_refused_with_the_nearest_name() -> None:
    def change(data: dict[str, Any]) -> None:
        data["endpoints"][1]["tool_call_parser"] = "llama_json"

    message = refused(InputError, change)
    assert "tool_call_parser" in message
    assert "no tool call parser `llama_json`. Fix: Did you mean `llama" in message


def test_a_family_that_does_not_exist_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(FieldError, match="`qwen-3` is not a family") as caught:
        model_profiles.find_profile("bank/own", "qwen-3")
    assert "Did you mean `qwen3`" in caught.value.fix


@pytest.mark.parametrize("path", ["../../etc/passwd", "{{ messages }}", "a b"])
def test_a_chat_template_must_be_a_path_without_parent_folders(path: str) -> None:
    with pytest.raises(InputError, match="chat_template"):
        endpoint(chat_template=path)


def test_a_bedrock_endpoint_with_a_vllm_parser_is_refused() -> None:
    def change(data: dict[str, Any]) -> None:
        cloud = next(endpoint for endpoint in data["endpoints"] if endpoint["target"] == "bedrock")
        cloud["reasoning_parser"] = "qwen3"

    assert "runs on Amazon Bedrock" in refused(InputError, change)


@pytest.mark.parametrize(
    ("streams", "millicores"), [(None, 1000), (256, 1000), (1024, 1000), (128, 650), (1, 300)]
)
def test_a_sidecar_gets_one_core_at_256_streams_and_less_below(streams: int | None, millicores: int) -> None:
    assert model_profiles.sidecar_millicores(streams) == millicores


def test_the_serving_page_in_docs_shows_the_current_profiles() -> None:
    from scripts.model_profiles_table import DOC, fill_document

    text = DOC.read_text("utf-8")
    assert text == fill_document(text), "write it with `python -m scripts.model_profiles_table`"

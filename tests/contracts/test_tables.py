"""Tables of facts: GPUs, inference profiles, vLLM's flags. Unknown names are refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from isthmus.contracts.hardware.gpus import GPUS
from isthmus.contracts.reference import inference_profiles as profiles
from isthmus.contracts.reference import jurisdictions, vllm_flags
from isthmus.core.errors import FieldError, InputError, IsthmusError, Refused, Where

HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"


def test_gpus_are_known_by_id_and_product():
    assert all(gpu.id == key for key, gpu in GPUS.items())
    assert len({gpu.product for gpu in GPUS.values()}) == len(GPUS)
    assert GPUS["h100-sxm-80gb"].product == "NVIDIA-H100-80GB-HBM3"
    for gpu in GPUS.values():
        label = int(re.search(r"-(\d+)gb$", gpu.id)[1])  # pyright: ignore[reportOptionalSubscript]
        assert 0.9 * label < gpu.memory_mib / 1024 * 1.074 < 1.1 * label, f"{gpu.id} is not its label's size"


def test_every_profiles_row_has_a_source_and_a_date():
    for row in profiles.rows():
        assert row.source.startswith("https://")
        assert re.fullmatch(r"\d{4}-\d{2}(-\d{2})?", row.as_of)
        assert list(row.destination_regions) == sorted(set(row.destination_regions))


def test_each_region_of_the_profiles_has_a_known_jurisdiction():
    for row in profiles.rows():
        for region in (row.source_region, *row.destination_regions):
            jurisdictions.region_jurisdiction(region)


def test_the_banks_profiles_stay_in_the_eu_from_frankfurt():
    for model in (HAIKU, "amazon.nova-lite-v1:0"):
        for region in profiles.destinations(f"eu.{model}", "eu-central-1"):
            assert jurisdictions.is_within(jurisdictions.region_jurisdiction(region), "eu")


def test_an_eu_profile_from_london_reaches_london():
    assert "eu-west-2" in profiles.destinations(f"eu.{HAIKU}", "eu-west-2")


def test_a_call_without_a_profile_stays_in_its_region():
    assert profiles.destinations(None, "eu-central-1") == ("eu-central-1",)


def test_an_unknown_profile_or_source_region_is_refused_with_alternatives():
    with pytest.raises(InputError, match=r"Or call this profile from one of: ca-central-1, us-east-1"):
        profiles.destinations(f"us.{HAIKU}", "eu-central-1")
    with pytest.raises(InputError, match=r"Did you mean `eu\.amazon\.nova-lite-v1:0`"):
        profiles.destinations("eu.amazon.nova-lit-v1:0", "eu-central-1")
    with pytest.raises(Refused, match="every commercial region"):
        profiles.destinations(f"global.{HAIKU}", "eu-central-1")


def test_the_model_of_a_profile_follows_from_its_id():
    assert profiles.model_of(f"eu.{HAIKU}") == HAIKU


def test_vllm_flags_are_accepted_in_all_their_spellings():
    vllm_flags.check_args(
        [
            "--max-num-seqs",
            "64",
            "--gpu-memory-utilization=0.9",
            "--enable-lora",
            "--no-enable-prefix-caching",
            "--max_lora_rank",
            "-1",
            "--host",
            "127.0.0.1",
        ]
    )


def test_an_unknown_flag_is_refused_with_the_nearest_one():
    with pytest.raises(InputError, match=r"has no flag `--max-model-length`.*`--max-model-len`"):
        vllm_flags.check_args(["--max-model-length=4096"])
    with pytest.raises(InputError, match="has no flag `-tp`"):
        vllm_flags.check_args(["-tp", "4"])


@pytest.mark.parametrize("flag", sorted(vllm_flags.RESERVED))
def test_a_flag_that_bypasses_the_contract_is_refused(flag: str):
    assert vllm_flags.is_known(flag), "a reserved flag that vLLM does not know guards nothing"
    for spelling in (flag, f"{flag}=x", flag.replace("-", "_").replace("__", "--", 1)):
        with pytest.raises(InputError, match="may not be set in engine_args"):
            vllm_flags.check_engine_args([spelling])


def test_an_error_names_place_problem_and_fix_in_one_paragraph():
    error = InputError("the key `a` is missing", where=Where("f.yaml", 3, "b.c"), fix="Add it")
    assert str(error) == "f.yaml:3 b.c: the key `a` is missing. Fix: Add it."
    assert str(InputError("wrong", fix="Did you mean `x`?")) == "wrong. Fix: Did you mean `x`?"
    assert [kind.exit_code for kind in (Refused, InputError)] == [1, 2]


def test_an_error_inside_a_validator_carries_its_path():
    assert FieldError("x", "a", 1, fix="y").path == ("a", 1)
    assert not isinstance(FieldError("x"), IsthmusError)


def test_an_owner_of_a_model_may_change_only_flags_that_the_pinned_vllm_has():
    assert [flag for flag in vllm_flags.OWNER_FLAGS if flag not in vllm_flags.flags()] == []
    assert not set(vllm_flags.OWNER_FLAGS) & set(vllm_flags.RESERVED)


def test_the_people_page_in_docs_lists_the_flags_that_a_model_owner_may_change():
    page = Path("docs/people.md").read_text("utf-8")
    paragraph = next(
        part for part in page.split("\n\n") if part.startswith("**What a model's owner may change.")
    )
    assert tuple(re.findall(r"`(--[a-z-]+)`", paragraph)) == vllm_flags.OWNER_FLAGS

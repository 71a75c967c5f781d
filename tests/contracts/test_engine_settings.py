"""vLLM flags of an endpoint: which fields become flags, and how they are written."""

from __future__ import annotations

import pytest

from isthmus.contracts.platform.lookups import engine_settings
from isthmus.contracts.reference.vllm_flags import check_engine_args


@pytest.mark.parametrize("name", engine_settings.VLLM_FLAGS)
def test_the_pinned_vllm_knows_the_flag_of_every_marked_field(name: str) -> None:
    check_engine_args([f"--{name.replace('_', '-')}=1"])


def test_a_setting_becomes_the_flag_of_its_name_and_an_unset_one_is_omitted() -> None:
    settings = {"max_num_seqs": 64, "gpu_memory_utilization": 0.9, "kv_cache_dtype": None, "model": "m"}
    assert engine_settings.vllm_flags(settings) == ["--max-num-seqs=64", "--gpu-memory-utilization=0.9"]


@pytest.mark.parametrize(("value", "flag"), [(True, "--enforce-eager"), (False, "--no-enforce-eager")])
def test_a_setting_that_is_true_or_false_becomes_a_flag_without_a_value(
    value: bool, flag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_settings, "VLLM_FLAGS", ("enforce_eager",))
    assert engine_settings.vllm_flags({"enforce_eager": value}) == [flag]

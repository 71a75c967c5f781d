"""The memory model compared with real engines: which started, which did not, and how many tokens their caches held."""

from __future__ import annotations

import collections
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.planning.catalogues import gpus, model_config, models
from isthmus.planning.catalogues.architecture import Architecture
from isthmus.planning.catalogues.precision import BYTES, CACHE_BYTES
from isthmus.planning.sizing import memory
from isthmus.planning.sizing.memory import GIB, Memory, Settings

DATA = Path(__file__).with_name("data")
ROWS: list[dict[str, Any]] = json.loads((DATA / "memory_rows.json").read_text("utf-8"))
OTHERS: dict[str, dict[str, Any]] = json.loads((DATA / "memory_models.json").read_text("utf-8"))
"""Configurations of models that the rows are of and the catalogue has not."""
SAME = {
    "BatsResearch/bonito-v1": "mistralai/Mistral-7B-Instruct-v0.3",
    "Qwen/Qwen2-7B": "Qwen/Qwen2.5-7B-Instruct",
    "Qwen/Qwen2-7B-Instruct": "Qwen/Qwen2.5-7B-Instruct",
    "Qwen/Qwen3-235B-A22B-FP8": "Qwen/Qwen3-235B-A22B",
    "RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic": "meta-llama/Llama-3.3-70B-Instruct",
    "meta-llama/Llama-3.1-405B-Instruct-FP8": "meta-llama/Llama-3.1-405B-Instruct",
    "meta-llama/Llama-3.1-70B": "meta-llama/Llama-3.1-70B-Instruct",
    "meta-llama/Llama-3.1-8B": "meta-llama/Llama-3.1-8B-Instruct",
    "meta-llama/Meta-Llama-3-8B": "meta-llama/Llama-3.1-8B-Instruct",
}
"""Models of the same layers."""
FIRST_V1 = (0, 8)


def engine_of(row: dict[str, Any]) -> tuple[int, int]:
    """vLLM's version; where a row does not say it, the last that took more memory for drawing tokens."""
    pieces = (row["engine_version"] or "").lstrip("v").split(".")
    if len(pieces) > 1 and pieces[0].isdigit() and pieces[1].isdigit():
        return int(pieces[0]), int(pieces[1])
    return (0, 6) if row["evidence"]["as_of"] < "2025-02" else (0, 16)


def known_architecture(row: dict[str, Any]) -> tuple[Architecture, float] | None:
    """The architecture, and bytes of weights beside the text model's."""
    precision = row["precision"].replace("fp16", "bf16")
    if row["model"] in OTHERS:
        return model_config.architecture(OTHERS[row["model"]]), 0.0
    id = SAME.get(row["model"], row["model"])
    if id not in models.ids():
        return None
    find = models.find_model(id)
    return find.architecture, find.extra_weight_bytes(precision)


def usable_of(row: dict[str, Any]) -> float | None:
    if row["usable_mib"]:
        return row["usable_mib"]
    if row["gpu"] not in gpus.ids():
        return None
    card = gpus.find(row["gpu"])
    return card.slice(row["mig_profile"]).usable_mib if row["mig_profile"] else card.usable_mib


def left_out(row: dict[str, Any]) -> str | None:
    """Why a row says nothing about today's engines; None where it does."""
    if engine_of(row) < FIRST_V1:
        return "an engine before V1, which profiles another way"
    if known_architecture(row) is None:
        return "a model with layers that are not sized (a vision model with cross attention)"
    return None if usable_of(row) else "a card whose memory is not known"


def judged(row: dict[str, Any]) -> Memory:
    architecture_found, usable = known_architecture(row), usable_of(row)
    assert architecture_found is not None
    assert usable is not None
    model, beside = architecture_found
    large = row["gpu"] in gpus.ids() and gpus.find(row["gpu"]).large and not row["mig_profile"]
    settings = Settings(
        max_model_len=row["max_model_len"] or min(model.context, 8192),
        utilization=row["gpu_memory_utilization"] or 0.9,
        max_num_seqs=row["max_num_seqs"],
        max_num_batched_tokens=row["max_num_batched_tokens"],
        cache_dtype=row["kv_dtype"],
        graphs=not row["enforce_eager"],
        engine=engine_of(row),
    )
    return memory.measure_memory(
        model,
        precision=row["precision"].replace("fp16", "bf16"),
        usable_mib=usable,
        settings=settings,
        tensor_parallel=row["tensor_parallel"],
        pipeline_parallel=row["pipeline_parallel"],
        large_card=large,
        extra_bytes=beside,
    )


USED = [row for row in ROWS if left_out(row) is None]


def test_enough_logged_runs_exist_and_all_have_a_source(capsys: pytest.CaptureFixture[str]) -> None:
    missing = collections.Counter(reason for row in ROWS if (reason := left_out(row)))
    fails = [row for row in USED if not row["starts"]]
    slices = [row for row in USED if row["mig_profile"]]
    tokens = [row for row in USED if row["kv_cache_tokens"]]
    with capsys.disabled():
        print(
            f"\nmemory: {len(USED)} rows of {len(ROWS)}: {len(fails)} that fail, {len(slices)} on MIG slices, "
            f"{len(tokens)} with tokens; left out: {dict(missing)}"
        )
    assert len(USED) >= 30
    assert len(fails) >= 5
    assert len(slices) >= 3
    assert all(row["evidence"]["source"] and row["evidence"]["as_of"] for row in ROWS)


def test_no_failed_run_is_predicted_to_start() -> None:
    assert [row["id"] for row in USED if not row["starts"] and judged(row).starts] == []


def test_at_least_nineteen_of_twenty_started_runs_are_predicted_to_start() -> None:
    started = [row for row in USED if row["starts"]]
    missed = [row["id"] for row in started if not judged(row).starts]
    assert len(missed) <= 0.05 * len(started), missed


@pytest.mark.parametrize(
    "row", [row for row in USED if row["kv_cache_tokens"] and row["kv_gib"]], ids=lambda row: row["id"]
)
def test_predicted_tokens_of_a_cache_of_known_size_equal_the_log(row: dict[str, Any]) -> None:
    architecture_found = known_architecture(row)
    assert architecture_found is not None
    tokens = memory.cache_tokens(
        architecture_found[0],
        row["kv_gib"] * GIB,
        row["tensor_parallel"],
        row["pipeline_parallel"],
        CACHE_BYTES[row["kv_dtype"]],
    )
    assert tokens == pytest.approx(row["kv_cache_tokens"], rel=0.012)


STATED = [
    row for row in USED if row["kv_cache_tokens"] and row["max_num_seqs"] and row["max_num_batched_tokens"]
]


@pytest.mark.parametrize(
    "row", [row for row in STATED if engine_of(row) >= (0, 17)], ids=lambda row: row["id"]
)
def test_tokens_predicted_from_the_settings_alone_match_the_log(row: dict[str, Any]) -> None:
    assert judged(row).cache_tokens == pytest.approx(row["kv_cache_tokens"], rel=0.05)


@pytest.mark.parametrize("row", [row for row in USED if row["weights_gib"]], ids=lambda row: row["id"])
def test_predicted_size_of_the_weights_matches_the_log(row: dict[str, Any]) -> None:
    # A quantised repository may leave more or less in 16 bits than the usual one, a vision tower has copies.
    architecture_found = known_architecture(row)
    rel = 0.01 if row["precision"] == "bf16" and not (architecture_found and architecture_found[1]) else 0.065
    assert judged(row).weights == pytest.approx(row["weights_gib"], rel=rel, abs=0.06)


LLAMA = models.find_model("meta-llama/Llama-3.1-8B-Instruct").architecture


def llama(**changes: Any) -> Memory:
    arguments = {"precision": "bf16", "usable_mib": 81082.0, "settings": Settings(8192), **changes}
    return memory.measure_memory(LLAMA, **arguments)


def test_a_model_that_does_not_fit_is_reported_with_the_missing_memory() -> None:
    assert "the weights take 15.0 GiB of a GPU that has 9.8" in llama(usable_mib=9984).why
    assert "leave no cache on a GPU with 17.6 GiB" in llama(usable_mib=18000).why
    assert (
        "one sequence of 131,072 tokens needs 16.00 GiB"
        in llama(usable_mib=30000, settings=Settings(131072)).why
    )


def test_an_8_bit_cache_holds_twice_the_tokens() -> None:
    eight = llama(settings=Settings(8192, cache_dtype="fp8"))
    assert eight.cache_tokens == pytest.approx(2 * llama().cache_tokens, abs=32)


def test_adapters_reduce_the_cache() -> None:
    adapters = [memory.Adapter(16, 84.0)] * 4
    with_them = llama(settings=Settings(8192, adapters=adapters))
    assert with_them.cache == pytest.approx(llama().cache - 4 * 84 / 1024)


def test_pipeline_stages_divide_layers_and_cache() -> None:
    two = llama(pipeline_parallel=2)
    # The last stage has the output embedding, so it has more than half.
    assert 0.5 <= two.weights / llama().weights < 0.56
    assert two.cache_tokens > 1.9 * llama().cache_tokens


SETTINGS = st.builds(
    Settings,
    max_model_len=st.integers(16, 131072),
    utilization=st.floats(0.3, 1.0),
    max_num_seqs=st.integers(1, 2048),
    max_num_batched_tokens=st.integers(256, 32768),
    cache_dtype=st.sampled_from(["auto", "fp8"]),
)
MODELS = st.sampled_from([models.find_model(id) for id in models.ids()])


@given(
    MODELS, st.sampled_from(sorted(BYTES)), SETTINGS, st.integers(5000, 275000), st.sampled_from([1, 2, 4, 8])
)
def test_more_gpu_memory_never_reduces_the_cache_and_the_parts_never_exceed_the_gpu(
    model: models.Model, precision: str, settings: Settings, usable: int, degree: int
) -> None:
    less, more = (
        memory.measure_memory(
            model.architecture, precision=precision, usable_mib=mib, settings=settings, tensor_parallel=degree
        )
        for mib in (usable, usable + 4096)
    )
    assert more.cache_tokens >= less.cache_tokens
    assert more.starts or not less.starts
    if less.starts:
        sum_of_parts = less.weights + less.activations + less.outside + less.adapters + less.cache
        assert sum_of_parts <= less.usable * settings.utilization + 1e-6
        assert less.longest <= less.cache
    else:
        assert less.why

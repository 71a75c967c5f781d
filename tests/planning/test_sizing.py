"""How many GPUs a load needs: enough to meet its targets, or the reason why no number is enough."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.core.errors import InputError
from isthmus.planning.catalogues import gpus, models
from isthmus.planning.sizing import question
from isthmus.planning.sizing import size as sizing
from isthmus.planning.sizing.size import SizeAnswer

USUAL: dict[str, Any] = {
    "prompt": 2400,
    "output": 450,
    "prompt_p95": 6000,
    "output_p95": 900,
    "hit": 0.0,
    "precision": None,
    "tensor_parallel": None,
    "pipeline_parallel": 1,
    "mig": None,
    "rate": None,
    "callers": None,
    "ttft_ms": None,
    "tpot_ms": None,
    "burst": 1.0,
    "max_model_len": None,
    "max_num_seqs": None,
    "cache_dtype": "auto",
    "utilization": 0.9,
}


def size(
    model: str = "meta-llama/Llama-3.3-70B-Instruct", gpu: str = "h100-sxm-80gb", **changes: Any
) -> SizeAnswer:
    return sizing.answer_question(
        question.build_question(models.find_model(model), gpus.find(gpu), **{**USUAL, **changes})
    )


def test_the_banks_restricted_workload_needs_four_gpus() -> None:
    answer = size(precision="fp8", rate=3.9, ttft_ms=2500, tpot_ms=60)
    assert (answer.fits, answer.min_gpus, answer.tensor_parallel) == (True, 4, 2)
    assert answer.throughput_tokens_per_s == pytest.approx(3.9 * 450, rel=0.01)
    assert answer.evidence["kind"] == "interpolated"
    low, high = answer.interval["tpot_ms"]
    assert low < (answer.tpot_ms or 0) < high <= 60


def test_an_unmeasured_gpu_is_estimated_with_less_certainty() -> None:
    sure = size("meta-llama/Llama-3.1-8B-Instruct", "h100-sxm-80gb", precision="fp8", rate=1)
    less = size("meta-llama/Llama-3.1-8B-Instruct", "l4-24gb", precision="fp8", rate=1)
    assert (sure.evidence["kind"], less.evidence["kind"]) == ("interpolated", "estimated")

    def reach(answer: SizeAnswer) -> float:
        return answer.interval["tpot_ms"][1] / answer.interval["tpot_ms"][0]

    assert reach(less) > 1.3 * reach(sure)


def test_a_custom_precision_of_weights_is_estimated_for_any_model() -> None:
    answer = size("Qwen/Qwen3-32B", "l40s-48gb", precision="int4", rate=0.1)
    assert answer.evidence["kind"] == "estimated"
    assert answer.weights_gib == pytest.approx(18.4, rel=0.05)


def test_a_model_that_does_not_fit_has_a_reason_for_each_tensor_parallel_size() -> None:
    answer = size("meta-llama/Llama-3.1-405B-Instruct", "l4-24gb", precision="bf16")
    assert (answer.fits, answer.min_gpus, answer.throughput_tokens_per_s) == (False, None, None)
    assert [note.split(":")[0] for note in answer.notes] == [
        f"with tensor parallelism {degree}" for degree in (1, 2, 4, 8)
    ]


def test_unreachable_targets_are_reported_with_the_latency_of_a_single_request() -> None:
    answer = size(rate=1, ttft_ms=5)
    assert (answer.fits, answer.min_gpus) == (True, None)
    assert any("even a single request" in note for note in answer.notes)


def test_without_a_load_the_maximum_throughput_within_the_targets_is_given() -> None:
    free, bound = (
        size(precision="fp8", tensor_parallel=4),
        size(precision="fp8", tensor_parallel=4, tpot_ms=25),
    )
    assert (bound.throughput_tokens_per_s or 0) < (free.throughput_tokens_per_s or 0)
    assert (bound.tpot_ms or 99) <= 25
    for answer in (free, bound):
        low, high = answer.interval["throughput_tokens_per_s"]
        assert low <= (answer.throughput_tokens_per_s or 0) <= high


def test_an_embedding_model_is_sized_by_its_input_tokens() -> None:
    answer = size("BAAI/bge-m3", "l4-24gb", output=0, output_p95=None, prompt_p95=None, prompt=300, rate=50)
    assert (answer.min_gpus, answer.tpot_ms, answer.kv_cache_tokens) == (1, None, 0)
    assert any("it reads 15,000 tokens a second" in note for note in answer.notes)


def test_a_mig_slice_is_slower_than_its_whole_gpu() -> None:
    whole_card = size("meta-llama/Llama-3.1-8B-Instruct", tensor_parallel=1)
    part = size("meta-llama/Llama-3.1-8B-Instruct", mig="3g.40gb")
    assert 0 < (part.throughput_tokens_per_s or 0) < 0.6 * (whole_card.throughput_tokens_per_s or 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"precision": "fp7"}, r"--precision: `fp7` is not a known precision\. Fix: Did you mean `fp8`\?"),
        (
            {"precision": "nvfp4"},
            r"--precision: h100-sxm-80gb does not support nvfp4\. Fix: Choose one of: bf16",
        ),
        (
            {"precision": "mxfp4"},
            "--precision: meta-llama/Llama-3.3-70B-Instruct is not published in mxfp4",
        ),
        ({"prompt": 200_000, "prompt_p95": None}, "--prompt-tokens: prompt and answer have 200,450 tokens"),
        (
            {"tensor_parallel": 3},
            r"--tp: 64 attention heads do not divide by 3\. Fix: Choose one of: 1, 2, 4, 8",
        ),
        ({"mig": "1g.10gb", "tensor_parallel": 2}, "--tp: a model cannot be spread over MIG slices"),
        ({"rate": 1.0, "callers": 2.0}, "--concurrency: --rps and --concurrency both set the load"),
        ({"rate": -1.0}, "--rps: -1 is not above 0"),
        ({"rate": math.nan}, "--rps: nan is not above 0"),
        ({"callers": 0.5}, "--concurrency: 0.5 is less than 1. Fix: Set it to 1 or more"),
        ({"ttft_ms": 0.0}, "--ttft-ms: 0 is not above 0"),
        ({"hit": 1.0}, "--prefix-hit: 1 is not between 0 and 1"),
        ({"utilization": 1.5}, "--gpu-memory-utilization: 1.5 is not between"),
        ({"prompt_p95": 100}, "--prompt-p95: the 95th percentile 100 is below the mean 2400"),
        (
            {"max_model_len": 100},
            "--max-model-len: prompt and answer have 2,850 tokens, more than --max-model-len 100",
        ),
        (
            {"output": 0, "output_p95": None},
            "--output-tokens: meta-llama/Llama-3.3-70B-Instruct is a chat model",
        ),
    ],
)
def test_an_impossible_value_is_refused_with_its_option(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        size(**changes)


def test_output_tokens_for_an_embedding_model_are_refused() -> None:
    with pytest.raises(InputError, match="is a model for embedding, so it generates no tokens"):
        size("BAAI/bge-m3", "l4-24gb", output=20)


CHOICES = st.sampled_from([models.find_model(id) for id in models.ids()])


@given(
    CHOICES,
    st.sampled_from(sorted(gpus.ids())),
    st.integers(1, 4000),
    st.integers(1, 1000),
    st.floats(0.01, 200),
    st.sampled_from([None, 300.0, 3000.0]),
    st.sampled_from([None, 20.0, 100.0]),
)
def test_more_load_never_needs_fewer_gpus_and_every_figure_has_evidence(
    model: models.Model,
    gpu: str,
    prompt: int,
    output: int,
    rate: float,
    ttft: float | None,
    tpot: float | None,
) -> None:
    def ask(load: float) -> SizeAnswer | None:
        written = output if model.task in ("chat", "guard") else 0
        arguments = {**USUAL, "prompt": prompt, "output": written, "prompt_p95": None, "output_p95": None}
        arguments |= {"rate": load, "ttft_ms": ttft, "tpot_ms": tpot}
        try:
            return sizing.answer_question(question.build_question(model, gpus.find(gpu), **arguments))
        except InputError:
            return None

    less, more = ask(rate), ask(rate * 3)
    if less is None or more is None:
        assert less is more
        return
    assert (less.min_gpus is None) == (more.min_gpus is None) or more.min_gpus is None
    if less.min_gpus is None or more.min_gpus is None:
        return
    assert less.min_gpus <= more.min_gpus
    for answer in (less, more):
        assert answer.evidence["kind"] in ("interpolated", "estimated")
        assert answer.evidence["source"]
        if ttft is not None:
            assert (answer.ttft_ms or 0) <= ttft
        if tpot is not None and answer.tpot_ms is not None:
            assert answer.tpot_ms <= tpot
        figures = [value for value in asdict(answer).values() if isinstance(value, float)]
        assert all(math.isfinite(value) for value in figures)

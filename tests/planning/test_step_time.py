"""Step times: measured on a grid, between and beyond its points, from the data sheet, and calibrated."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.planning.catalogues import gpus, models
from isthmus.planning.sizing import measured_steps
from isthmus.planning.sizing.measured_steps import Calibrated, Calibration
from isthmus.planning.sizing.roofline import Roofline
from isthmus.planning.sizing.step_time import BATCHES, CONTEXTS, PROMPTS, Grid

GRID = Grid(
    tuple(100 * tokens for tokens in PROMPTS),
    tuple(tuple(5000 + 10 * batch + batch * context // 100 for context in CONTEXTS) for batch in BATCHES),
)


def test_step_times_at_grid_points_equal_the_measurements() -> None:
    assert GRID.prefill(1024) == pytest.approx(102.4)
    assert GRID.decode(8, 4096) == pytest.approx((5000 + 80 + 8 * 4096 // 100) / 1000)


def test_step_times_are_interpolated_between_and_extrapolated_beyond_grid_points() -> None:
    assert GRID.prefill(1500) == pytest.approx(150)
    assert GRID.prefill(262144) == pytest.approx(26214.4)
    assert GRID.decode(12, 4096) == pytest.approx((GRID.decode(8, 4096) + GRID.decode(16, 4096)) / 2)
    assert GRID.decode(1024, 4096) > 1.9 * GRID.decode(512, 4096) - 5


def test_a_step_takes_no_less_than_the_smallest_grid_point() -> None:
    assert GRID.prefill(1) == GRID.prefill(128)
    assert GRID.decode(0, 0) == GRID.decode(1, 256)


@given(st.floats(1, 200000), st.floats(1, 200000))
def test_more_tokens_never_take_less_time(first: float, second: float) -> None:
    low, high = sorted((first, second))
    assert GRID.prefill(low) <= GRID.prefill(high) * (1 + 1e-9)


CASES = sorted(measured_steps.all_grids())[::97]


@pytest.mark.parametrize("case", CASES, ids=lambda case: " ".join(map(str, case)))
def test_every_measured_grid_is_complete_and_positive(case: tuple[str, str, str, int]) -> None:
    find = measured_steps.find_grid(*case)
    assert find is not None
    steps, source = find
    assert (steps, source) == measured_steps.all_grids()[case]
    assert "measured under vLLM 0." in source
    assert all(value > 0 for value in steps.prefill_us)
    assert len(steps.decode_us) == len(BATCHES)
    assert all(len(row) == len(CONTEXTS) and min(row) > 0 for row in steps.decode_us)
    assert case[0] in models.ids()
    assert case[1] in gpus.ids()


def test_a_combination_that_was_not_measured_has_no_grid() -> None:
    assert measured_steps.find_grid("meta-llama/Llama-3.1-8B-Instruct", "l4-24gb", "bf16", 1) is None


def test_the_most_specific_calibration_is_used() -> None:
    exact = measured_steps.calibration("llama", "h100-sxm-80gb", "fp8", sparse=False)
    same_card = measured_steps.calibration("llama", "h100-sxm-80gb", "bf16", sparse=False)
    other_card = measured_steps.calibration("llama", "l40s-48gb", "bf16", sparse=False)
    assert exact.rows > 0
    assert exact.spread < same_card.spread
    assert (same_card.rows, other_card.rows) == (0, 0)
    assert other_card != measured_steps.calibration("mixtral", "l40s-48gb", "bf16", sparse=True)


def test_a_calibration_scales_step_times_and_adds_an_overhead() -> None:
    calibrated = Calibrated(GRID, Calibration(2.0, 3.0, 1.5, 0.1, 9))
    assert calibrated.prefill(1024) == pytest.approx(2 * 102.4 + 1.5)
    assert calibrated.decode(8, 4096) == pytest.approx(3 * GRID.decode(8, 4096) + 1.5)


def roof(
    gpu: str, precision: str = "bf16", degree: int = 1, model: str = "meta-llama/Llama-3.1-8B-Instruct"
) -> Roofline:
    return Roofline(models.find_model(model).architecture, gpus.find(gpu).card, precision, degree)


def test_a_faster_gpu_and_more_gpus_shorten_the_step() -> None:
    for slow, fast in (
        ("l4-24gb", "l40s-48gb"),
        ("l40s-48gb", "h100-sxm-80gb"),
        ("h100-sxm-80gb", "b200-sxm-180gb"),
    ):
        assert roof(fast).prefill(4096) < roof(slow).prefill(4096)
        assert roof(fast).decode(32, 2048) < roof(slow).decode(32, 2048)
    assert roof("h100-sxm-80gb", degree=4).decode(1, 2048) < roof("h100-sxm-80gb").decode(1, 2048)


def test_decoding_one_token_takes_at_least_the_time_to_read_the_weights() -> None:
    for gpu in gpus.ids():
        card = gpus.find(gpu).card
        least = (
            2
            * models.find_model("meta-llama/Llama-3.1-8B-Instruct").architecture.dense
            / (card.bandwidth_gb_s * 1e6)
        )
        assert roof(gpu).decode(1, 1) > least


def test_a_small_batch_reads_the_weights_of_few_experts() -> None:
    roofline = roof("h100-sxm-80gb", model="Qwen/Qwen3-30B-A3B")
    assert roofline.decode(1, 1) < roofline.decode(64, 1) / 2


@given(st.sampled_from(sorted(gpus.ids())), st.integers(1, 512), st.integers(1, 65536))
def test_the_roofline_grows_with_batch_and_context(gpu: str, batch: int, context: int) -> None:
    roofline = roof(gpu)
    assert roofline.decode(batch, context) <= roofline.decode(batch + 1, context) + 1e-9
    assert roofline.decode(batch, context) <= roofline.decode(batch, context + 100) + 1e-9
    assert math.isfinite(roofline.prefill(context))

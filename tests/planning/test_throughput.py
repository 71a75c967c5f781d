"""Predicted throughput compared with measured runs of vLLM, with the rules of `scripts/fit_throughput.py`.

The calibration that is shipped was fitted to all runs, so what judges it here is fitted anew to half of the
configurations, and the other half is compared.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import pytest

from isthmus.planning.catalogues import gpus, models
from isthmus.planning.sizing import load, measured_steps
from isthmus.planning.sizing.measured_steps import Calibrated, Calibration
from isthmus.planning.sizing.roofline import Roofline
from isthmus.planning.sizing.speed import EIGHTY_PERCENT_DEVIATIONS
from isthmus.planning.sizing.step_time import StepTimes
from scripts.fit_throughput import fit_calibration, log_ratio
from tests.planning.runs import Run, aside, everything, kept_runs, most, usable

Key = tuple[str, str, str]


def key(run: Run) -> Key:
    return models.find_model(run.model).architecture.kind, run.gpu, run.precision


def measured(run: Run) -> StepTimes:
    return measured_steps.all_grids()[run.case][0]


@functools.cache
def inside() -> dict[Key, list[Run]]:
    """Runs of cases that the grid has, by what a calibration is of; only where enough are kept to fit one."""
    groups: dict[Key, list[Run]] = {}
    for run in usable()[0]:
        if run.case in measured_steps.all_grids():
            groups.setdefault(key(run), []).append(run)
    return {name: runs for name, runs in groups.items() if len(kept_runs(runs)) >= 8}


@functools.cache
def by_half() -> dict[Key, Calibration]:
    return {name: fit_calibration(kept_runs(runs), measured) for name, runs in inside().items()}


@functools.cache
def held_out() -> tuple[tuple[Run, float], ...]:
    """Every run kept aside, and the logarithm of predicted by measured."""
    return tuple(
        (run, log_ratio(run, Calibrated(measured(run), by_half()[name])))
        for name, runs in inside().items()
        for run in aside(runs)
    )


def within(values: list[float], ratio: float) -> float:
    return sum(abs(value) <= math.log(ratio) for value in values) / len(values)


def test_ninety_percent_of_held_out_runs_are_within_a_factor_of_1_3(
    capsys: pytest.CaptureFixture[str],
) -> None:
    values = [value for _, value in held_out()]
    runs, left = usable()
    with capsys.disabled():
        print(
            f"\nthroughput: {len(everything())} runs, {len(runs)} used, {len(values)} kept aside; left out: {left}"
        )
        print(f"throughput in the grid: {within(values, 1.3):.1%} within 1.3")
    assert len(values) > 300
    assert within(values, 1.3) >= 0.9


def shipped(run: Run) -> Calibration:
    model = models.find_model(run.model).architecture
    return measured_steps.calibration(model.kind, run.gpu, run.precision, sparse=model.expert_count > 0)


def test_intervals_contain_80_percent_of_runs_and_overpromise_for_at_most_5_percent() -> None:
    inside_it, broken = [], []
    for run, value in held_out():
        reach = EIGHTY_PERCENT_DEVIATIONS * shipped(run).spread
        inside_it.append(abs(value) <= reach)
        broken.append(value - reach > math.log(1.1))
    assert sum(inside_it) / len(inside_it) >= 0.8
    assert sum(broken) / len(broken) <= 0.05


def roof(run: Run) -> Roofline:
    return Roofline(models.find_model(run.model).architecture, gpus.find(run.gpu).card, run.precision, run.tp)


def left_out(part: Callable[[Run], str]) -> list[tuple[Run, float]]:
    """Each run by a roofline calibrated to runs that share neither its card, or neither its kind of model."""
    runs = usable()[0]
    runs_left_out = []
    for name in sorted({part(run) for run in runs}):
        calibration = fit_calibration([run for run in runs if part(run) != name][::6], roof)
        runs_left_out += [
            (run, log_ratio(run, Calibrated(roof(run), calibration))) for run in runs if part(run) == name
        ]
    return runs_left_out


@pytest.mark.parametrize(
    "part", [lambda run: run.gpu, lambda run: key(run)[0]], ids=["one GPU", "one kind of model"]
)
def test_the_roofline_without_one_gpu_or_model_is_within_a_factor_of_1_6(
    part: Callable[[Run], str], capsys: pytest.CaptureFixture[str]
) -> None:
    runs_left_out = left_out(part)
    values = [value for _, value in runs_left_out]
    spread = measured_steps.calibrations()[("roofline", "*", "*")].spread
    with capsys.disabled():
        print(f"\nroofline, left out by turns: {len(values)} runs, {within(values, 1.6):.1%} within 1.6")
    assert within(values, 1.6) >= 0.8
    assert within(values, math.exp(EIGHTY_PERCENT_DEVIATIONS * spread)) >= 0.8
    too_much = [value - EIGHTY_PERCENT_DEVIATIONS * spread > math.log(1.1) for value in values]
    assert sum(too_much) / len(too_much) <= 0.05


def test_the_spread_of_the_time_to_first_token_is_as_documented(capsys: pytest.CaptureFixture[str]) -> None:
    values = []
    for runs in inside().values():
        for run in runs:
            if most(run) >= run.callers:
                steps = Calibrated(measured(run), shipped(run))
                predicted = load.serve_callers(steps, run.lengths, run.callers, most(run))
                values.append(math.log(predicted.ttft_mean / run.ttft_ms))
    with capsys.disabled():
        print(
            f"\nTTFT: {len(values)} runs, {within(values, 1.5):.1%} within 1.5, {within(values, 2):.1%} within 2"
        )
    assert within(values, math.exp(EIGHTY_PERCENT_DEVIATIONS * load.TTFT_SPREAD)) >= 0.8


def test_a_run_faster_than_its_gpu_allows_is_discarded() -> None:
    assert usable()[1]["a series of which a run is faster than its card can be (its prompts were cached)"] > 0

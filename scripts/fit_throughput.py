"""Fits the roofline model to the measured grid and calibrates both with runs of whole engines. Prints the accuracy.

    PYTHONPATH=. .venv/bin/python scripts/fit_throughput.py [--write]

Reads `step_times.jsonl` and `tests/planning/data/throughput_runs.jsonl` (1,058 runs of vLLM with a fixed number of
callers, from aiconfigurator-core 0.12.0's `silicon_sample.csv`, Apache-2.0). Writes `calibration.json` and prints the
roofline's constants for `isthmus/planning/sizing/roofline.py`. It follows the rules of the tests: it skips runs that
are faster than the GPU's data sheet allows, and holds out half of the configurations.
"""

from __future__ import annotations

import dataclasses
import json
import math
import statistics
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from isthmus.planning.catalogues import gpus, models, tables
from isthmus.planning.sizing import measured_steps
from isthmus.planning.sizing.measured_steps import Calibrated, Calibration
from isthmus.planning.sizing.roofline import ReachedShares, Roofline
from isthmus.planning.sizing.speed import EIGHTY_PERCENT_DEVIATIONS
from isthmus.planning.sizing.step_time import BATCHES, CONTEXTS, PROMPTS, Grid, StepTimes
from tests.planning.runs import Run, aside, kept_runs, rate, usable

DATA = Path(tables.DATA)
Groups = dict[tuple[str, str, str], list[Run]]
"""Runs by kind of model, GPU and precision."""
Row = tuple[str, str, str, Calibration]
"""Kind or shape of model, GPU, precision, and their calibration."""


def descend(
    loss: Callable[[list[float]], float], start: list[float], steps: list[float], rounds: int = 60
) -> list[float]:
    """Minimise the loss along one axis after the other. The steps shrink when no axis improves it."""
    best_loss, point = loss(start), list(start)
    for _ in range(rounds):
        has_moved = False
        for axis, step in enumerate(steps):
            for sign in (1, -1):
                candidate = list(point)
                candidate[axis] += sign * step
                if (value := loss(candidate)) < best_loss - 1e-12:
                    best_loss, point, has_moved = value, candidate, True
        if not has_moved:
            steps = [step / 2 for step in steps]
    return point


def log_ratio(run: Run, steps: StepTimes) -> float:
    """The logarithm of predicted throughput divided by measured throughput."""
    return math.log(rate(run, steps) / run.measured)


def huber(value: float) -> float:
    """The Huber loss: the weight of a large error grows linearly, not with its square."""
    return value * value if abs(value) < 0.3 else 0.6 * abs(value) - 0.09


def fit_calibration(
    runs: list[Run], steps: Callable[[Run], StepTimes], least_spread: float = 0.0
) -> Calibration:
    """The calibration whose three numbers bring the step times closest to the runs."""

    def calibration_of(point: list[float]) -> Calibration:
        return Calibration(math.exp(point[0]), math.exp(point[1]), max(0.0, point[2]), 0.0, len(runs))

    def loss(point: list[float]) -> float:
        calibration = calibration_of(point)
        # The prior keeps the numbers near 0 (no correction) if there are few runs.
        prior = 0.3 * (point[0] ** 2 + point[1] ** 2) + 0.02 * point[2] ** 2
        return prior + sum(huber(log_ratio(run, Calibrated(steps(run), calibration))) for run in runs)

    calibration = calibration_of(descend(loss, [0.0, 0.0, 0.5], [0.2, 0.2, 0.5]))
    errors = [log_ratio(run, Calibrated(steps(run), calibration)) for run in runs]
    spread = math.sqrt(statistics.fmean(value * value for value in errors)) if errors else 0.0
    return dataclasses.replace(calibration, spread=max(least_spread, spread))


def fit_roofline(sample: list[tuple[Grid, Roofline]], rounds: int = 40) -> ReachedShares:
    """The constants of the roofline that bring it closest to the points of the grid."""
    names = [field.name for field in dataclasses.fields(ReachedShares)]
    start = [math.log(getattr(ReachedShares(), name)) for name in names]

    def loss(point: list[float]) -> float:
        fit = ReachedShares(**{name: math.exp(value) for name, value in zip(names, point, strict=True)})
        if max(fit.compute, fit.reading, fit.cache, fit.link, fit.experts) > 1:
            return 1e9
        total = 0.0
        for grid, roofline in sample:
            candidate = dataclasses.replace(roofline, fit=fit)
            for tokens in PROMPTS[1 : len(grid.prefill_us) : 2]:
                total += huber(math.log(candidate.prefill(tokens) / grid.prefill(tokens)))
            for batch in BATCHES[::2]:
                for context in CONTEXTS[:4:2]:
                    total += huber(math.log(candidate.decode(batch, context) / grid.decode(batch, context)))
        return total

    best_point = descend(loss, start, [0.2] * len(names), rounds)
    return ReachedShares(
        **{name: round(math.exp(value), 4) for name, value in zip(names, best_point, strict=True)}
    )


def report(name: str, values: Iterable[float], within: float) -> None:
    ratios = sorted(math.exp(value) for value in values)
    if not ratios:
        return
    inside = sum(1 / within <= ratio <= within for ratio in ratios) / len(ratios)
    print(
        f"{name:60} {len(ratios):5} runs, median {statistics.median(ratios):.2f}, {inside:6.1%} within {within}x"
    )


def roof_of(run: Run, fit: ReachedShares | None = None) -> Roofline:
    model, gpu = models.find_model(run.model), gpus.find(run.gpu)
    roofline = Roofline(model.architecture, gpu.card, run.precision, run.tp)
    return roofline if fit is None else dataclasses.replace(roofline, fit=fit)


def sample_of(skip_gpu: str = "", skip_kind: str = "") -> list[tuple[Grid, Roofline]]:
    """Every 23rd case of the grid, with its roofline."""
    cases = sorted(measured_steps.all_grids().items())
    sample = []
    for (id, gpu, precision, degree), (grid, _) in cases[::23]:
        model = models.find_model(id)
        if gpu != skip_gpu and model.architecture.kind != skip_kind:
            sample.append((grid, Roofline(model.architecture, gpus.find(gpu).card, precision, degree)))
    return sample


def main() -> int:
    runs, left_out = usable()
    for reason, count in sorted(left_out.items()):
        print(f"left out {count}: {reason}")
    grids = measured_steps.all_grids()
    inside = [run for run in runs if run.case in grids]
    print(f"{len(runs)} runs, {len(inside)} of them in the grid\n")

    def steps(run: Run) -> StepTimes:
        return grids[run.case][0]

    groups: Groups = {}
    for run in inside:
        groups.setdefault((_kind(run), run.gpu, run.precision), []).append(run)
    rows = [*calibrate_groups(groups, steps), *calibrate_shapes(groups, steps)]
    fit = fit_roofline(sample_of())
    print(f"\n{fit}")
    report("roofline, all runs", [log_ratio(run, roof_of(run, fit)) for run in runs], 1.6)
    spread = _enough(roofline_errors(runs))
    calibration = fit_calibration(runs[::2], lambda run: roof_of(run, fit))
    rows.append(("roofline", "*", "*", dataclasses.replace(calibration, spread=spread, rows=0)))
    if "--write" in sys.argv:
        write(rows)
    return 0


def calibrate_groups(groups: Groups, steps: Callable[[Run], StepTimes]) -> list[Row]:
    """A calibration for each kind, GPU and precision with enough runs."""
    rows, all_judged = [], []
    for key, members in sorted(groups.items()):
        if len(kept_runs(members)) < 8:
            continue
        # Held-out runs judge the fit. The written calibration uses all runs.
        half = fit_calibration(kept_runs(members), steps)
        judged = [log_ratio(run, Calibrated(steps(run), half)) for run in aside(members)]
        report(f"grid, kept aside: {' '.join(key)}", judged, 1.3)
        all_judged += judged
        rows.append((*key, fit_calibration(members, steps, least_spread=_enough(judged))))
    report("grid, kept aside: all", all_judged, 1.3)
    return rows


def calibrate_shapes(groups: Groups, steps: Callable[[Run], StepTimes]) -> list[Row]:
    """Calibrations of dense and expert models, for each GPU and for all others."""
    rows, errors = [], []
    for shape in ("dense", "experts"):
        members = {key: group for key, group in groups.items() if _shape(group[0]) == shape}
        kind_errors = _left_out(members, steps, 0)
        report(f"grid, one kind of {shape} model left out", kind_errors, 1.3)
        gpu_errors = _left_out(members, steps, 1)
        report(f"grid, one GPU left out: {shape}", gpu_errors, 1.3)
        errors += [*kind_errors, *gpu_errors]
        for gpu in sorted({key[1] for key in members}):
            gpu_runs = [run for key, group in members.items() if key[1] == gpu for run in group]
            calibration = fit_calibration(gpu_runs, steps, least_spread=_enough(kind_errors))
            rows.append((shape, gpu, "*", dataclasses.replace(calibration, rows=0)))
        # GPUs without any measured engine may have larger errors than the ones left out here.
        calibration = fit_calibration(
            [run for group in members.values() for run in group],
            steps,
            least_spread=max(0.2, _enough(kind_errors), _enough(gpu_errors)),
        )
        rows.append((shape, "*", "*", dataclasses.replace(calibration, rows=0)))
    report("grid, one kind of model or one GPU left out", errors, 1.6)
    return rows


def roofline_errors(runs: list[Run]) -> list[float]:
    """The errors of the roofline for each GPU and each model kind, when the fit has no runs of it."""
    errors = []
    for gpu in sorted({run.gpu for run in runs}):
        fit = fit_roofline(sample_of(skip_gpu=gpu), 15)
        others = [run for run in runs[::4] if run.gpu != gpu]
        errors += _judge_roofline(gpu, [run for run in runs if run.gpu == gpu], others, fit)
    for kind in sorted({_kind(run) for run in runs}):
        fit = fit_roofline(sample_of(skip_kind=kind), 15)
        others = [run for run in runs if _kind(run) != kind]
        errors += _judge_roofline(kind, [run for run in runs if _kind(run) == kind], others[::4], fit)
    report("roofline, one GPU or one kind of model left out", errors, 1.6)
    return errors


def _judge_roofline(name: str, runs: list[Run], others: list[Run], fit: ReachedShares) -> list[float]:
    calibration = fit_calibration(others, lambda run: roof_of(run, fit))
    judged = [log_ratio(run, Calibrated(roof_of(run, fit), calibration)) for run in runs]
    report(f"roofline, left out: {name}", judged, 1.6)
    return judged


def write(rows: list[Row]) -> None:
    lines = [
        json.dumps(
            {"kind": kind, "gpu": gpu, "precision": precision}
            | {name: round(value, 4) for name, value in dataclasses.asdict(calibration).items()}
        )
        for kind, gpu, precision, calibration in rows
    ]
    draft = DATA / "calibration.part"
    draft.write_text("[\n" + ",\n".join(lines) + "\n]\n", "utf-8")
    draft.replace(DATA / "calibration.json")


def _kind(run: Run) -> str:
    return models.find_model(run.model).architecture.kind


def _shape(run: Run) -> str:
    return "experts" if models.find_model(run.model).architecture.expert_count else "dense"


def _left_out(groups: Groups, steps: Callable[[Run], StepTimes], key_part: int) -> list[float]:
    """The errors of each group with a calibration from other model kinds (`key_part` 0) or from other GPUs (1)."""
    errors = []
    for name in sorted({key[key_part] for key in groups}):
        other_runs = [run for key, group in groups.items() if key[key_part] != name for run in group[::2]]
        calibration = fit_calibration(other_runs, steps)
        errors += [
            log_ratio(run, Calibrated(steps(run), calibration))
            for key, group in groups.items()
            if key[key_part] == name
            for run in group
        ]
    return errors


def _enough(values: list[float]) -> float:
    """A standard deviation whose 80 % interval contains four of five `values`.

    Its low end exceeds the measured figure by more than a tenth in at most one of 25 cases. The tests allow one of 20.
    """
    reach = sorted(abs(value) for value in values)[int(0.8 * len(values))]
    high = sorted(values)[int(0.96 * len(values))] - math.log(1.1)
    return max(reach, high) / EIGHTY_PERCENT_DEVIATIONS


if __name__ == "__main__":
    sys.exit(main())

"""Fit the roofline to the measured grid, and both to measured runs of whole engines; say how well they do.

    PYTHONPATH=. .venv/bin/python scripts/fit_throughput.py [--write]

Reads `step_times.jsonl` and `tests/planning/data/throughput_runs.jsonl` (1,058 runs of vLLM with a fixed number of
callers, from aiconfigurator-core 0.12.0's `silicon_sample.csv`, Apache-2.0). Writes `calibration.json` and prints the
roofline's constants for `isthmus/planning/sizing/roofline.py`. The same rules as the tests': runs that are faster
than the card's data sheet allows are left out, and half of the configurations are kept aside.
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


def descend(
    loss: Callable[[list[float]], float], start: list[float], steps: list[float], rounds: int = 60
) -> list[float]:
    """The least loss by going along one axis after the other; steps shrink when nothing gets better."""
    best, at = loss(start), list(start)
    for _ in range(rounds):
        moved = False
        for axis, step in enumerate(steps):
            for sign in (1, -1):
                tried = list(at)
                tried[axis] += sign * step
                if (value := loss(tried)) < best - 1e-12:
                    best, at, moved = value, tried, True
        if not moved:
            steps = [step / 2 for step in steps]
    return at


def off(run: Run, steps: StepTimes) -> float:
    """Logarithm of predicted by measured throughput."""
    return math.log(rate(run, steps) / run.measured)


def huber(value: float) -> float:
    """A run that is far off counts less than by its square."""
    return value * value if abs(value) < 0.3 else 0.6 * abs(value) - 0.09


def fit_calibration(runs: list[Run], steps: Callable[[Run], StepTimes], least: float = 0.0) -> Calibration:
    """Three numbers that bring the step times closest to the runs."""

    def made(at: list[float]) -> Calibration:
        return Calibration(math.exp(at[0]), math.exp(at[1]), max(0.0, at[2]), 0.0, len(runs))

    def loss(at: list[float]) -> float:
        by = made(at)
        # Few runs do not move the numbers far from what all runs say.
        prior = 0.3 * (at[0] ** 2 + at[1] ** 2) + 0.02 * at[2] ** 2
        return prior + sum(huber(off(run, Calibrated(steps(run), by))) for run in runs)

    by = made(descend(loss, [0.0, 0.0, 0.5], [0.2, 0.2, 0.5]))
    left = [off(run, Calibrated(steps(run), by)) for run in runs]
    spread = math.sqrt(statistics.fmean(value * value for value in left)) if left else 0.0
    return dataclasses.replace(by, spread=max(least, spread))


def fit_roofline(sample: list[tuple[Grid, Roofline]], rounds: int = 40) -> ReachedShares:
    """The roofline's constants that bring it closest to the grid's points."""
    names = [each.name for each in dataclasses.fields(ReachedShares)]
    start = [math.log(getattr(ReachedShares(), name)) for name in names]

    def loss(at: list[float]) -> float:
        fit = ReachedShares(**{name: math.exp(value) for name, value in zip(names, at, strict=True)})
        if max(fit.compute, fit.reading, fit.cache, fit.link, fit.experts) > 1:
            return 1e9
        total = 0.0
        for known, roof in sample:
            tried = dataclasses.replace(roof, fit=fit)
            for tokens in PROMPTS[1 : len(known.prefill_us) : 2]:
                total += huber(math.log(tried.prefill(tokens) / known.prefill(tokens)))
            for batch in BATCHES[::2]:
                for context in CONTEXTS[:4:2]:
                    total += huber(math.log(tried.decode(batch, context) / known.decode(batch, context)))
        return total

    at = descend(loss, start, [0.2] * len(names), rounds)
    return ReachedShares(**{name: round(math.exp(value), 4) for name, value in zip(names, at, strict=True)})


def report(name: str, values: Iterable[float], within: float) -> None:
    ratios = sorted(math.exp(value) for value in values)
    if not ratios:
        return
    inside = sum(1 / within <= ratio <= within for ratio in ratios) / len(ratios)
    print(
        f"{name:60} {len(ratios):5} runs, median {statistics.median(ratios):.2f}, {inside:6.1%} within {within}x"
    )


def roof_of(run: Run, fit: ReachedShares | None = None) -> Roofline:
    known, gpu = models.find_model(run.model), gpus.find(run.gpu)
    made = Roofline(known.architecture, gpu.card, run.precision, run.tp)
    return made if fit is None else dataclasses.replace(made, fit=fit)


def sample_of(skip_gpu: str = "", skip_kind: str = "") -> list[tuple[Grid, Roofline]]:
    """Every so many cases of the grid."""
    cases = sorted(measured_steps.all_grids().items())
    found = []
    for (id, gpu, precision, degree), (known, _) in cases[::23]:
        model = models.find_model(id)
        if gpu != skip_gpu and model.architecture.kind != skip_kind:
            found.append((known, Roofline(model.architecture, gpus.find(gpu).card, precision, degree)))
    return found


def main() -> int:
    runs, left_out = usable()
    for why, count in sorted(left_out.items()):
        print(f"left out {count}: {why}")
    everything = measured_steps.all_grids()
    inside = [run for run in runs if run.case in everything]
    print(f"{len(runs)} runs, {len(inside)} of them in the grid\n")

    def steps(run: Run) -> StepTimes:
        return everything[run.case][0]

    groups: dict[tuple[str, str, str], list[Run]] = {}
    for run in inside:
        groups.setdefault(
            (models.find_model(run.model).architecture.kind, run.gpu, run.precision), []
        ).append(run)
    rows, held = [], []
    for key, members in sorted(groups.items()):
        if len(kept_runs(members)) < 8:
            continue
        # What is kept aside judges the fit; what is written is fitted to all.
        half = fit_calibration(kept_runs(members), steps)
        judged = [off(run, Calibrated(steps(run), half)) for run in aside(members)]
        report(f"grid, kept aside: {' '.join(key)}", judged, 1.3)
        held += judged
        whole = fit_calibration(members, steps, least=_enough(judged))
        rows.append((*key, whole))
    report("grid, kept aside: all", held, 1.3)
    loose = []
    for shape in ("dense", "experts"):
        mine = {key: each for key, each in groups.items() if _shape(each[0]) == shape}
        spread = _left_out(mine, steps, 0)
        report(f"grid, one kind of {shape} model left out", spread, 1.3)
        report(f"grid, one GPU left out: {shape}", far := _left_out(mine, steps, 1), 1.3)
        loose += [*spread, *far]
        for gpu in sorted({key[1] for key in mine}):
            members = [run for key, each in mine.items() if key[1] == gpu for run in each]
            by = fit_calibration(members, steps, least=_enough(spread))
            rows.append((shape, gpu, "*", dataclasses.replace(by, rows=0)))
        # Cards of which nobody has measured a whole engine may be off by more than those left out here.
        by = fit_calibration(
            [run for each in mine.values() for run in each],
            steps,
            least=max(0.2, _enough(spread), _enough(far)),
        )
        rows.append((shape, "*", "*", dataclasses.replace(by, rows=0)))
    report("grid, one kind of model or one GPU left out", loose, 1.6)

    fit = fit_roofline(sample_of())
    print(f"\n{fit}")
    bare = [off(run, roof_of(run, fit)) for run in runs]
    report("roofline, all runs", bare, 1.6)
    outside = []
    for gpu in sorted({run.gpu for run in runs}):
        fitted = fit_roofline(sample_of(skip_gpu=gpu), 15)
        by = fit_calibration(
            [run for run in runs[::4] if run.gpu != gpu], lambda run, f=fitted: roof_of(run, f)
        )
        judged = [off(run, Calibrated(roof_of(run, fitted), by)) for run in runs if run.gpu == gpu]
        report(f"roofline, left out: {gpu}", judged, 1.6)
        outside += judged
    for kind in sorted({models.find_model(run.model).architecture.kind for run in runs}):
        fitted = fit_roofline(sample_of(skip_kind=kind), 15)
        mine = [run for run in runs if models.find_model(run.model).architecture.kind == kind]
        rest = [run for run in runs if models.find_model(run.model).architecture.kind != kind]
        by = fit_calibration(rest[::4], lambda run, f=fitted: roof_of(run, f))
        judged = [off(run, Calibrated(roof_of(run, fitted), by)) for run in mine]
        report(f"roofline, left out: {kind}", judged, 1.6)
        outside += judged
    report("roofline, one GPU or one kind of model left out", outside, 1.6)
    roofed = fit_calibration(runs[::2], lambda run: roof_of(run, fit))
    rows.append(("roofline", "*", "*", dataclasses.replace(roofed, spread=_enough(outside), rows=0)))
    if "--write" in sys.argv:
        lines = [
            json.dumps(
                {"kind": kind, "gpu": gpu, "precision": precision}
                | {name: round(value, 4) for name, value in dataclasses.asdict(by).items()}
            )
            for kind, gpu, precision, by in rows
        ]
        part = DATA / "calibration.part"
        part.write_text("[\n" + ",\n".join(lines) + "\n]\n", "utf-8")
        part.replace(DATA / "calibration.json")
    return 0


def _shape(run: Run) -> str:
    return "experts" if models.find_model(run.model).architecture.expert_count else "dense"


def _left_out(
    groups: dict[tuple[str, str, str], list[Run]], steps: Callable[[Run], StepTimes], part: int
) -> list[float]:
    """How far off each group is by a fit to those that share neither its kind (part 0) nor its GPU (part 1)."""
    found = []
    for name in sorted({key[part] for key in groups}):
        others = [run for key, each in groups.items() if key[part] != name for run in each[::2]]
        by = fit_calibration(others, steps)
        found += [
            off(run, Calibrated(steps(run), by))
            for key, each in groups.items()
            if key[part] == name
            for run in each
        ]
    return found


def _enough(values: list[float]) -> float:
    """A standard deviation whose 80 % interval holds four of five of `values`, and whose low end is kept.

    Kept: it exceeds the measured by more than a tenth in at most one of 25 (the tests allow one of 20).
    """
    reach = sorted(abs(value) for value in values)[int(0.8 * len(values))]
    high = sorted(values)[int(0.96 * len(values))] - math.log(1.1)
    return max(reach, high) / EIGHTY_PERCENT_DEVIATIONS


if __name__ == "__main__":
    sys.exit(main())

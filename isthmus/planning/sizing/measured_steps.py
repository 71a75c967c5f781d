"""Reads measured step times by model, GPU, precision and tensor parallelism, and their calibration.

`step_times.jsonl` has a line for each case (made by `scripts/throughput_grid.py`). `calibration.json` corrects them by
measured runs of whole engines (`scripts/fit_throughput.py`). Reading one line takes 10 ms, all lines 0.3 s.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from isthmus.planning.catalogues import tables
from isthmus.planning.sizing.step_time import Grid, StepTimes

SOURCE = "aiconfigurator 0.12.0 (NVIDIA, Apache-2.0), kernels measured under vLLM {vllm}"
AS_OF = "2026-10"


@dataclass(frozen=True)
class Calibration:
    """Correction of step times by measured runs of whole engines: factors, and a constant for each step."""

    prefill: float
    decode: float
    step_ms: float
    spread: float
    """Standard deviation of the logarithm of the remaining error."""
    rows: int
    """Number of measured runs that it was fitted to; 0: fitted to runs of other models and cards."""


@dataclass(frozen=True)
class Calibrated:
    """Step times, calibrated."""

    steps: StepTimes
    by: Calibration

    def prefill(self, tokens: float) -> float:
        return self.steps.prefill(tokens) * self.by.prefill + self.by.step_ms

    def decode(self, batch: float, context: float) -> float:
        return self.decode_at(context)(batch)

    def decode_at(self, context: float) -> Callable[[float], float]:
        decode = self.steps.decode_at(context)
        return lambda batch: decode(batch) * self.by.decode + self.by.step_ms


def find_grid(model: str, gpu: str, precision: str, tensor_parallel: int) -> tuple[Grid, str] | None:
    """Return the grid of one case and its source; None if it was not measured."""
    prefix = _line_prefix(model, gpu, precision, tensor_parallel)
    with (tables.DATA / "step_times.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith(prefix):
                return _grid_from_row(json.loads(line))
    return None


@functools.cache
def all_grids() -> dict[tuple[str, str, str, int], tuple[Grid, str]]:
    """All cases."""
    grids: dict[tuple[str, str, str, int], tuple[Grid, str]] = {}
    with (tables.DATA / "step_times.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            grids[(row["model"], row["gpu"], row["precision"], row["tp"])] = _grid_from_row(row)
    return grids


def _line_prefix(model: str, gpu: str, precision: str, tensor_parallel: int) -> str:
    """Return the first characters of the line of a case, as the script writes it."""
    return f'{{"model":{json.dumps(model)},"gpu":"{gpu}","precision":"{precision}","tp":{tensor_parallel},'


def _grid_from_row(row: dict[str, Any]) -> tuple[Grid, str]:
    grid = Grid(tuple(row["prefill_us"]), tuple(tuple(row_us) for row_us in row["decode_us"]))
    return grid, SOURCE.format(vllm=row["vllm"])


@functools.cache
def calibrations() -> dict[tuple[str, str, str], Calibration]:
    """By the model's kind, GPU and precision; `dense` and `experts` are for other kinds, `roofline` for no grid."""
    return {
        (row["kind"], row["gpu"], row["precision"]): Calibration(
            row["prefill"], row["decode"], row["step_ms"], row["spread"], row["rows"]
        )
        for row in tables.rows("calibration")
    }


def calibration(kind: str, gpu: str, precision: str, *, sparse: bool) -> Calibration:
    """Return the closest calibration: same model kind, GPU and precision; else dense or expert models on that GPU;
    else on all GPUs."""
    known_calibrations, shape = calibrations(), "experts" if sparse else "dense"
    for key in ((kind, gpu, precision), (shape, gpu, "*"), (shape, "*", "*")):
        if key in known_calibrations:
            return known_calibrations[key]
    raise LookupError(shape)

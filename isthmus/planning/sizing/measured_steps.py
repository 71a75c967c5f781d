"""The measured grid: step times by model, GPU, precision and tensor parallelism, and what whole engines say of them.

`step_times.jsonl` holds a line for each (`scripts/throughput_grid.py` makes it); `calibration.json` what measured runs
of whole engines say of them (`scripts/fit_throughput.py`). Reading one line takes 10 ms, all of them 0.3 s.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from typing import Any

from isthmus.planning.catalogues import tables
from isthmus.planning.sizing.step_time import Grid, StepTimes

SOURCE = "aiconfigurator 0.12.0 (NVIDIA, Apache-2.0), kernels measured under vLLM {vllm}"
AS_OF = "2026-10"


@dataclass(frozen=True)
class Calibration:
    """What measured runs of whole engines say of step times: how much longer, and what a step costs besides."""

    prefill: float
    decode: float
    step_ms: float
    spread: float
    """Standard deviation of the logarithm of what is left."""
    rows: int
    """Measured runs that it was fitted to; 0: those of other models and cards."""


@dataclass(frozen=True)
class Calibrated:
    """Step times, calibrated."""

    steps: StepTimes
    by: Calibration

    def prefill(self, tokens: float) -> float:
        return self.steps.prefill(tokens) * self.by.prefill + self.by.step_ms

    def decode(self, batch: float, context: float) -> float:
        return self.steps.decode(batch, context) * self.by.decode + self.by.step_ms


def find(model: str, gpu: str, precision: str, tensor_parallel: int) -> tuple[Grid, str] | None:
    """The grid of one case, and its source; None where nobody measured it."""
    begin = _begin(model, gpu, precision, tensor_parallel)
    with (tables.DATA / "step_times.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith(begin):
                return _of_row(json.loads(line))
    return None


@functools.cache
def everything() -> dict[tuple[str, str, str, int], tuple[Grid, str]]:
    """All cases."""
    found: dict[tuple[str, str, str, int], tuple[Grid, str]] = {}
    with (tables.DATA / "step_times.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            found[(row["model"], row["gpu"], row["precision"], row["tp"])] = _of_row(row)
    return found


def _begin(model: str, gpu: str, precision: str, tensor_parallel: int) -> str:
    """What the line of a case begins with, as the script writes it."""
    return f'{{"model":{json.dumps(model)},"gpu":"{gpu}","precision":"{precision}","tp":{tensor_parallel},'


def _of_row(row: dict[str, Any]) -> tuple[Grid, str]:
    grid = Grid(tuple(row["prefill_us"]), tuple(tuple(each) for each in row["decode_us"]))
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
    """The closest: of the same kind of model on the same GPU in the same precision; else of dense models, or of those
    with experts, on that GPU; else on all."""
    known, shape = calibrations(), "experts" if sparse else "dense"
    for key in ((kind, gpu, precision), (shape, gpu, "*"), (shape, "*", "*")):
        if key in known:
            return known[key]
    raise LookupError(shape)

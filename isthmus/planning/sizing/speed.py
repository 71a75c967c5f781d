"""Finds the step times of a model on a GPU by the best available evidence, and their uncertainty."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from isthmus.planning.catalogues.gpus import Card, GpuKind, Slice
from isthmus.planning.catalogues.models import Model
from isthmus.planning.sizing import measured_steps
from isthmus.planning.sizing.measured_steps import Calibrated, Calibration
from isthmus.planning.sizing.roofline import Roofline
from isthmus.planning.sizing.step_time import StepTimes

HOP_MS = 1.0
"""Milliseconds from one node of a pipeline to the next. An assumption; no measurement was found."""
EIGHTY_PERCENT_DEVIATIONS = 1.2816
"""Standard deviations on either side that hold 80 % of a normal distribution."""


@dataclass(frozen=True)
class ScaledSteps:
    """Step times that take `by` times as long."""

    steps: StepTimes
    by: float

    def prefill(self, tokens: float) -> float:
        return self.steps.prefill(tokens) * self.by

    def decode(self, batch: float, context: float) -> float:
        return self.decode_at(context)(batch)

    def decode_at(self, context: float) -> Callable[[float], float]:
        decode = self.steps.decode_at(context)
        return lambda batch: decode(batch) * self.by


@dataclass(frozen=True)
class Pipelined:
    """Step times of a pipeline over nodes, whose stages work on different parts of the batch.

    A step takes as long as one node takes for its part of the batch, plus the hops between nodes. Overlap of prefills
    is not assumed.
    """

    steps: StepTimes
    stages: int

    def prefill(self, tokens: float) -> float:
        return self.steps.prefill(tokens) + HOP_MS * (self.stages - 1)

    def decode(self, batch: float, context: float) -> float:
        return self.decode_at(context)(batch)

    def decode_at(self, context: float) -> Callable[[float], float]:
        decode = self.steps.decode_at(context)
        return lambda batch: decode(max(1.0, batch / self.stages)) + HOP_MS * (self.stages - 1)


@dataclass(frozen=True)
class Speed:
    """Step times, and where they come from."""

    steps: StepTimes
    kind: str
    """`interpolated` in the measured grid, or `estimated` from the data sheet."""
    source: str
    as_of: str
    spread: float
    """Standard deviation of the logarithm of predicted by measured throughput."""
    note: str

    def at(self, deviations: float) -> StepTimes:
        """Step times so many standard deviations slower."""
        return ScaledSteps(self.steps, math.exp(deviations * self.spread))


def find_speed(
    model: Model,
    gpu: GpuKind,
    precision: str,
    tensor_parallel: int,
    *,
    cache_bytes: float = 2.0,
    slice: Slice | None = None,
    stages: int = 1,
) -> Speed:
    """Return measured step times if the grid has the case and the cache has 16 bits; else the roofline estimate.

    `stages`: nodes of a pipeline. No pipeline was measured, so its figures are always estimates.
    """
    if stages > 1:
        single_node = find_speed(model, gpu, precision, tensor_parallel, cache_bytes=cache_bytes)
        note = f"{single_node.note}; no measurements exist for a pipeline over {stages} nodes"
        return replace(
            single_node,
            steps=Pipelined(single_node.steps, stages),
            kind="estimated",
            spread=single_node.spread * 1.5,
            note=note,
        )
    measured_grid = None
    if slice is None and cache_bytes == 2.0:
        measured_grid = measured_steps.find_grid(model.id, gpu.id, precision, tensor_parallel)
    if measured_grid:
        steps, source = measured_grid
        calibration = measured_steps.calibration(
            model.architecture.kind, gpu.id, precision, sparse=model.architecture.expert_count > 0
        )
        return Speed(
            Calibrated(steps, calibration),
            "interpolated",
            source,
            measured_steps.AS_OF,
            calibration.spread,
            _calibration_note(calibration, model, gpu),
        )
    calibration = measured_steps.calibrations()[("roofline", "*", "*")]
    card = gpu.card if slice is None else _slice_card(gpu.card, slice)
    roofline = Roofline(model.architecture, card, precision, tensor_parallel, cache_bytes)
    # The spread was measured without slices, weight-only quantisation and encoders, so it is widened for them.
    spread_factor = 1.3 if slice or precision in ("int8", "int4") or model.architecture.encoder else 1.0
    note = "no measurements of this case: estimated from the data sheet, at the shares of it that measured GPUs reach"
    return Speed(
        Calibrated(roofline, calibration),
        "estimated",
        gpu.source,
        gpu.as_of,
        calibration.spread * spread_factor,
        note,
    )


def _calibration_note(calibration: Calibration, model: Model, gpu: GpuKind) -> str:
    if calibration.rows:
        return (
            f"calibrated by {calibration.rows} measured runs of {model.architecture.kind} models on {gpu.id}"
        )
    return "calibrated by measured runs of other models and cards"


def _slice_card(card: Card, slice: Slice) -> Card:
    """Return the card with the arithmetic and bandwidth of a MIG slice."""
    return replace(
        card,
        bandwidth_gb_s=card.bandwidth_gb_s * slice.bandwidth,
        bf16_tflops=card.bf16_tflops * slice.compute,
        fp8_tflops=card.fp8_tflops and card.fp8_tflops * slice.compute,
        fp4_tflops=card.fp4_tflops and card.fp4_tflops * slice.compute,
    )

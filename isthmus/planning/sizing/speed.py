"""Step times of a model on a GPU by the best evidence there is, and how far they may be off."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from isthmus.planning.catalogues.gpus import Card, GpuKind, Slice
from isthmus.planning.catalogues.models import Model
from isthmus.planning.sizing import measured_steps
from isthmus.planning.sizing.measured_steps import Calibrated, Calibration
from isthmus.planning.sizing.roofline import Roofline
from isthmus.planning.sizing.step_time import StepTimes

HOP_MS = 1.0
"""From one node of a pipeline to the next: an assumption of ours, no measurement was found."""
EIGHTY = 1.2816
"""Standard deviations on either side that hold 80 % of a normal distribution."""


@dataclass(frozen=True)
class Slower:
    """Step times that take `by` times as long."""

    steps: StepTimes
    by: float

    def prefill(self, tokens: float) -> float:
        return self.steps.prefill(tokens) * self.by

    def decode(self, batch: float, context: float) -> float:
        return self.steps.decode(batch, context) * self.by


@dataclass(frozen=True)
class Pipelined:
    """Step times of a pipeline over nodes: batches follow one another through its stages.

    A sequence waits for every stage, in each of which a part of the batch is at work: a step takes as long as one node
    would take for that part, and the way between nodes besides. That prefills overlap is not counted on.
    """

    steps: StepTimes
    stages: int

    def prefill(self, tokens: float) -> float:
        return self.steps.prefill(tokens) + HOP_MS * (self.stages - 1)

    def decode(self, batch: float, context: float) -> float:
        return self.steps.decode(max(1.0, batch / self.stages), context) + HOP_MS * (self.stages - 1)


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
        return Slower(self.steps, math.exp(deviations * self.spread))


def of(
    model: Model,
    gpu: GpuKind,
    precision: str,
    tensor_parallel: int,
    *,
    cache_bytes: float = 2.0,
    part: Slice | None = None,
    stages: int = 1,
) -> Speed:
    """The measured grid where it has the case and the cache is of 16 bits; else the data sheet's roofline.

    `stages`: nodes of a pipeline. None was measured, so that its figures are estimates whatever its nodes' are.
    """
    if stages > 1:
        one = of(model, gpu, precision, tensor_parallel, cache_bytes=cache_bytes)
        note = f"{one.note}; a pipeline over {stages} nodes was measured by nobody"
        return replace(
            one, steps=Pipelined(one.steps, stages), kind="estimated", spread=one.spread * 1.5, note=note
        )
    found = None
    if part is None and cache_bytes == 2.0:
        found = measured_steps.find(model.id, gpu.id, precision, tensor_parallel)
    if found:
        steps, source = found
        by = measured_steps.calibration(
            model.architecture.kind, gpu.id, precision, sparse=model.architecture.expert_count > 0
        )
        return Speed(
            Calibrated(steps, by),
            "interpolated",
            source,
            measured_steps.AS_OF,
            by.spread,
            _calibrated(by, model, gpu),
        )
    by = measured_steps.calibrations()[("roofline", "*", "*")]
    card = gpu.card if part is None else _of_slice(gpu.card, part)
    roof = Roofline(model.architecture, card, precision, tensor_parallel, cache_bytes)
    # Slices, quantisations by weights alone and encoders were not among the runs that the spread is of.
    wider = 1.3 if part or precision in ("int8", "int4") or model.architecture.encoder else 1.0
    note = "no measurements of this case: from the card's data sheet, at the parts of it that measured cards reach"
    return Speed(Calibrated(roof, by), "estimated", gpu.source, gpu.as_of, by.spread * wider, note)


def _calibrated(by: Calibration, model: Model, gpu: GpuKind) -> str:
    if by.rows:
        return f"calibrated by {by.rows} measured runs of {model.architecture.kind} models on {gpu.id}"
    return "calibrated by measured runs of other models and cards"


def _of_slice(card: Card, part: Slice) -> Card:
    """The part of a card's arithmetic and bandwidth that a MIG slice has."""
    return replace(
        card,
        bandwidth_gb_s=card.bandwidth_gb_s * part.bandwidth,
        bf16_tflops=card.bf16_tflops * part.compute,
        fp8_tflops=card.fp8_tflops and card.fp8_tflops * part.compute,
        fp4_tflops=card.fp4_tflops and card.fp4_tflops * part.compute,
    )

"""Measured runs of vLLM with a fixed number of callers, and which of them the tests can use."""

from __future__ import annotations

import collections
import functools
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from isthmus.planning.catalogues import gpus, models
from isthmus.planning.catalogues.precision import active_bytes
from isthmus.planning.sizing import load, memory
from isthmus.planning.sizing.step_time import StepTimes

FILE = Path(__file__).with_name("data") / "throughput_runs.jsonl"


@dataclass(frozen=True)
class Run:
    """One measured run: `callers` ask again as soon as they are answered."""

    model: str
    gpu: str
    precision: str
    tp: int
    ep: int
    isl: int
    osl: int
    callers: int
    ttft_ms: float
    tpot_ms: float
    vllm: str

    @property
    def measured(self) -> float:
        """Requests a second."""
        return 1000 * self.callers / (self.ttft_ms + (self.osl - 1) * self.tpot_ms)

    @property
    def case(self) -> tuple[str, str, str, int]:
        return self.model, self.gpu, self.precision, self.tp

    @property
    def lengths(self) -> load.Lengths:
        return load.Lengths(self.isl, self.osl, self.isl, self.osl)

    @property
    def is_aside(self) -> bool:
        """Half of the configurations, not of the rows: one that was measured twice is wholly on one side."""
        key = f"{self.case} {self.isl} {self.osl} {self.callers}"
        return hashlib.sha256(key.encode()).digest()[0] % 2 == 1


@functools.cache
def everything() -> tuple[Run, ...]:
    return tuple(Run(*json.loads(line)) for line in FILE.read_text("utf-8").splitlines())


def usable() -> tuple[list[Run], dict[str, int]]:
    """Runs that can be what they say, and how many are left out for which reason."""
    out: collections.Counter[str] = collections.Counter()
    impossible = {_series(run) for run in everything() if run.measured > fastest(run)}
    usable_runs = []
    for run in everything():
        if run.model not in models.ids():
            out["a model that the catalogue has not"] += 1
        elif _series(run) in impossible:
            out["a series of which a run is faster than its card can be (its prompts were cached)"] += 1
        elif run.ep > 1:
            out["experts spread over GPUs, which is not sized"] += 1
        else:
            usable_runs.append(run)
    return usable_runs, dict(out)


def _series(run: Run) -> tuple[str, str, str, str]:
    return run.model, run.gpu, run.precision, run.vllm


def fastest(run: Run) -> float:
    """Requests a second at the whole of the data sheet's arithmetic and bandwidth."""
    if run.model not in models.ids():
        return float("inf")
    model, card = models.find_model(run.model).architecture, gpus.find(run.gpu).card
    peak = card.bf16_tflops
    if run.precision != "bf16":
        peak = max(card.fp8_tflops or 0, peak)
    if run.precision == "nvfp4":
        peak = max(card.fp4_tflops or 0, peak)
    prefill = 2 * (model.active - model.head) * run.isl / (peak * 1e12 * run.tp)
    cache_read = run.callers * model.cache_of_sequence(run.isl, run.tp, 1.0)
    read = (active_bytes(model, run.precision, run.callers) / run.tp + cache_read) / (
        card.bandwidth_gb_s * 1e9
    )
    return 1 / (prefill + run.osl * read / run.callers)


def kept_runs(runs: Iterable[Run]) -> list[Run]:
    return [run for run in runs if not run.is_aside]


def aside(runs: Iterable[Run]) -> list[Run]:
    return [run for run in runs if run.is_aside]


@functools.cache
def most(run: Run) -> float:
    """Sequences that the cache lets run at once."""
    model, gpu = models.find_model(run.model), gpus.find(run.gpu)
    measure = memory.measure_memory(
        model.architecture,
        precision=run.precision,
        usable_mib=gpu.usable_mib,
        settings=memory.Settings(max_model_len=run.isl + run.osl),
        tensor_parallel=run.tp,
        large_card=gpu.large,
    )
    if not measure.starts:
        return run.callers
    return max(1.0, min(run.callers, measure.cache_tokens / (run.isl + run.osl / 2)))


def rate(run: Run, steps: StepTimes) -> float:
    """Requests a second, as predicted."""
    return load.closed_loop_rate(steps, run.lengths, run.callers, most(run))

"""Checks whether a model fits GPUs of a kind, and computes the load that one replica carries within its goals."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from isthmus.planning.catalogues import gpus, models
from isthmus.planning.sizing import load, memory, rounding, speed
from isthmus.planning.sizing.demand import Demand
from isthmus.planning.sizing.memory import Adapter, Memory, Settings
from isthmus.planning.sizing.rounding import Goals
from isthmus.planning.sizing.speed import Speed

MAX_NUM_SEQS = 256
"""Upper limit of `--max-num-seqs` of planned endpoints."""
UTILIZATION = 0.9


@dataclass(frozen=True, eq=False)
class Fit:
    """Memory and speed of a model on GPUs of a kind. Created once for each case, and compared by identity."""

    model: str
    degree: int
    memory: Memory
    speed: Speed
    max_model_len: int
    adapters: tuple[Adapter, ...]
    stages: int = 1
    """Nodes of a replica."""


@functools.lru_cache(maxsize=4096)
def fit_model(
    model_id: str,
    gpu: str,
    precision: str,
    degree: int,
    context: int,
    adapters: tuple[Adapter, ...],
    *,
    mig: str | None = None,
    stages: int = 1,
) -> Fit | str:
    """Return memory and speed on `degree` cards (or a MIG slice) of each of `stages` nodes, or why it does not fit."""
    model, card = models.find_model(model_id), gpus.find(gpu)
    slice = card.slice(mig) if mig else None
    if precision not in card.precisions:
        return f"the GPU does not support {precision}"
    max_model_len = min(context, model.context) if model.context else context
    memory_use = memory.measure_memory(
        model.architecture,
        precision=precision,
        usable_mib=slice.usable_mib if slice and slice.usable_mib else card.usable_mib,
        settings=Settings(max_model_len, UTILIZATION, max_num_seqs=MAX_NUM_SEQS, adapters=adapters),
        tensor_parallel=degree,
        pipeline_parallel=stages,
        large_card=card.large and slice is None,
        extra_bytes=model.extra_weight_bytes(precision),
    )
    if not memory_use.starts:
        return memory_use.why
    model_speed = speed.find_speed(model, card, precision, degree, slice=slice, stages=stages)
    return Fit(model_id, degree, memory_use, model_speed, max_model_len, adapters, stages)


def max_running_requests(fit: Fit, lengths: load.Lengths) -> float:
    """Return how many requests of this shape can run at once, by cache and settings."""
    tokens = int(lengths.prompt + lengths.output)
    architecture = models.find_model(fit.model).architecture
    return memory.max_running_requests(architecture, fit.memory, tokens, MAX_NUM_SEQS, fit.degree, fit.stages)


def keeps_goals(fit: Fit, max_running: float, workload_demand: Demand, rate: float, goals: Goals) -> bool:
    """Whether one replica keeps the goals at `rate` requests a second, at the slow end of the interval."""
    share = load.LoadShare(workload_demand.lengths, rate, workload_demand.burst)
    return _keeps_all_goals(fit, [share], [goals], max_running)


@functools.lru_cache(maxsize=65536)
def goodput(fit: Fit, workload_demand: Demand, goals: Goals) -> float:
    """Return the requests a second that one replica carries within the goals, at the slow end; 0 if none."""
    max_running = max_running_requests(fit, workload_demand.lengths)
    high = load.capacity(fit.speed.at(speed.EIGHTY_PERCENT_DEVIATIONS), workload_demand.lengths, max_running)
    return _largest_passing(lambda rate: keeps_goals(fit, max_running, workload_demand, rate, goals), high)


@functools.lru_cache(maxsize=4096)
def shared_load_factor(fit: Fit, demands: tuple[Demand, ...]) -> float:
    """Return the multiple of all rates that one replica carries within every goal, at the slow end; 0 if none.

    It is lower than the sum of the separate loads suggests if short answers share a replica with long prompts.
    """
    max_running = _shared_max_running(fit, demands)
    slow = fit.speed.at(speed.EIGHTY_PERCENT_DEVIATIONS)
    high = min(
        load.capacity(slow, demand.lengths, max_running_requests(fit, demand.lengths)) / demand.rate
        for demand in demands
    )
    return _largest_passing(lambda factor: _keeps_shared_goals(fit, demands, factor, max_running), high)


def carries_together(fit: Fit, demands: tuple[Demand, ...], factor: float) -> bool:
    """Whether one replica carries this multiple of all rates within every goal, at the slow end."""
    return _keeps_shared_goals(fit, demands, factor, _shared_max_running(fit, demands))


def _shared_max_running(fit: Fit, demands: tuple[Demand, ...]) -> float:
    weights = [demand.rate * max(demand.lengths.output, 1e-9) for demand in demands]
    total_weight = math.fsum(weights)

    def running(lengths: Sequence[float]) -> float:
        """Mean over the requests that run at any time."""
        return (
            math.fsum(weight * value for weight, value in zip(weights, lengths, strict=True)) / total_weight
        )

    prompt, output = (
        running([demand.lengths.prompt for demand in demands]),
        running([demand.lengths.output for demand in demands]),
    )
    return max_running_requests(fit, load.Lengths(prompt, output, prompt, output))


def _keeps_shared_goals(fit: Fit, demands: tuple[Demand, ...], factor: float, max_running: float) -> bool:
    shares = [load.LoadShare(demand.lengths, demand.rate * factor, demand.burst) for demand in demands]
    goals = [demand.goals for demand in demands]
    return _keeps_all_goals(fit, shares, goals, max_running)


def _keeps_all_goals(
    fit: Fit,
    shares: Sequence[load.LoadShare],
    goals: Sequence[Goals],
    max_running: float,
) -> bool:
    """Whether one replica keeps the goals of all that share it, at the slow end."""
    slow = load.serve_shares(fit.speed.at(speed.EIGHTY_PERCENT_DEVIATIONS), shares, max_running)
    if not slow or not all(rounding.may_hold(late, goal) for late, goal in zip(slow, goals, strict=True)):
        return False
    middle = load.serve_shares(fit.speed.steps, shares, max_running)
    return bool(middle) and all(
        rounding.goals_hold(late, usual, goal)
        for late, usual, goal in zip(slow, middle or [], goals, strict=True)
    )


def _largest_passing(passes: Callable[[float], bool], high: float) -> float:
    """Return the largest value below `high` that passes; 0 if none does."""
    if not passes(high * 1e-4):
        return 0.0
    low = 0.0
    for _ in range(14):
        middle = (low + high) / 2
        low, high = (middle, high) if passes(middle) else (low, middle)
    return low

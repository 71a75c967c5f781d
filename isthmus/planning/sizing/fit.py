"""How a model runs on GPUs of a kind, and how much of a workload one replica carries within its goals."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from isthmus.planning.catalogues import gpus, models
from isthmus.planning.sizing import load, memory, rounding, speed
from isthmus.planning.sizing.demand import Demand
from isthmus.planning.sizing.memory import Adapter, Memory, Settings
from isthmus.planning.sizing.speed import Speed

MOST_SEQS = 256
"""`--max-num-seqs` of every endpoint that is planned, at most."""
UTILIZATION = 0.9


@dataclass(frozen=True, eq=False)
class Fit:
    """How a model runs on GPUs of a kind: its memory and its speed. Made once a case, and compared by being it."""

    model: str
    degree: int
    memory: Memory
    speed: Speed
    max_model_len: int
    adapters: tuple[Adapter, ...]
    stages: int = 1
    """Nodes of a replica."""


@functools.lru_cache(maxsize=4096)
def fit(
    id: str,
    gpu: str,
    precision: str,
    degree: int,
    context: int,
    adapters: tuple[Adapter, ...],
    *,
    mig: str | None = None,
    stages: int = 1,
) -> Fit | str:
    """How the model runs on `degree` cards, or a slice of one, of each of `stages` nodes; or why it does not."""
    model, card = models.find(id), gpus.find(gpu)
    part = card.slice(mig) if mig else None
    if precision not in card.precisions:
        return f"the card does not compute in {precision}"
    longest = min(context, model.context) if model.context else context
    found = memory.measure(
        model.architecture,
        precision=precision,
        usable_mib=part.usable_mib if part and part.usable_mib else card.usable_mib,
        settings=Settings(longest, UTILIZATION, max_num_seqs=MOST_SEQS, adapters=adapters),
        tensor_parallel=degree,
        pipeline_parallel=stages,
        large_card=card.large and part is None,
        beside=model.beside(precision),
    )
    if not found.starts:
        return found.why
    how = speed.of(model, card, precision, degree, part=part, stages=stages)
    return Fit(id, degree, found, how, longest, adapters, stages)


def at_once(fit: Fit, lengths: load.Lengths) -> float:
    """Requests of this shape that the cache and the settings let run at once."""
    tokens = int(lengths.prompt + lengths.output)
    known = models.find(fit.model).architecture
    return memory.at_once(known, fit.memory, tokens, MOST_SEQS, fit.degree, fit.stages)


def kept(fit: Fit, most: float, wanted: Demand, rate: float, ttft: float | None, tpot: float | None) -> bool:
    """Whether one replica keeps the goals at `rate` requests a second, at the slow end of the interval."""
    slow = load.serve(fit.speed.at(speed.EIGHTY), wanted.lengths, rate, most, wanted.burst)
    middle = load.serve(fit.speed.steps, wanted.lengths, rate, most, wanted.burst)
    return rounding.holds(slow, middle, ttft, tpot)


@functools.lru_cache(maxsize=65536)
def carried(fit: Fit, wanted: Demand, ttft: float | None, tpot: float | None) -> float:
    """Requests a second that one replica carries within the goals, at the slow end of the interval; 0 for none."""
    most = at_once(fit, wanted.lengths)
    high = load.capacity(fit.speed.at(speed.EIGHTY), wanted.lengths, most)
    return _largest(lambda rate: kept(fit, most, wanted, rate, ttft, tpot), high)


@functools.lru_cache(maxsize=4096)
def together(fit: Fit, wanted: tuple[Demand, ...]) -> float:
    """The multiple of all their rates that one replica carries within every goal, at the slow end; 0 for none.

    Less than what the sum of their loads would have it where short answers stand beside long prompts.
    """
    weights = [each.rate * max(each.lengths.output, 1e-9) for each in wanted]
    whole = math.fsum(weights)

    def running(values: Sequence[float]) -> float:
        """Mean over those that run at any time."""
        return math.fsum(weight * value for weight, value in zip(weights, values, strict=True)) / whole

    prompt, output = (
        running([each.lengths.prompt for each in wanted]),
        running([each.lengths.output for each in wanted]),
    )
    most = at_once(fit, load.Lengths(prompt, output, prompt, output))
    slow, middle = fit.speed.at(speed.EIGHTY), fit.speed.steps

    def all_kept(times: float) -> bool:
        parts = [load.Part(each.lengths, each.rate * times, each.burst) for each in wanted]
        ends = [load.share_out(steps, parts, most) for steps in (slow, middle)]
        return all(ends) and all(
            rounding.holds(late, usual, each.ttft_ms, each.tpot_ms)
            for late, usual, each in zip(*(end or [] for end in ends), wanted, strict=True)
        )

    high = min(load.capacity(slow, each.lengths, at_once(fit, each.lengths)) / each.rate for each in wanted)
    return _largest(all_kept, high)


def _largest(holds: Callable[[float], bool], high: float) -> float:
    """The largest value below `high` that holds; 0 for none."""
    if not holds(high * 1e-4):
        return 0.0
    low = 0.0
    for _ in range(14):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low

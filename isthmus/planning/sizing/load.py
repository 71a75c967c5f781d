"""What a replica does under a load: the rate it sustains, and how long its answers take.

An engine that batches continuously shares its steps among prefills and sequences that decode. So a request costs
its prefill, and its share of the decoding steps; what is left of the engine's time decides how long a new one waits:

- a decoding step over B sequences takes d(B), and while a share λp of the time goes to prefills (λ requests a second
  of p seconds each) the next token takes d(B) / (1 - λp); B itself is λ times how long a request decodes;
- a request's first token waits for the prefills before it (Pollaczek and Khinchine's wait, which bursts and long
  prompts lengthen), and for its own, between which the others' tokens are made;
- a whole answer meets few large prefills, some answers many: a gamma distribution gives what 95 % of them see.

The closed form for a fixed number of callers was compared with measured runs (docs/sizing.md), the rest with a
discrete-event simulation that shares nothing with it (bench/simulate.py).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from isthmus.planning.sizing.step_time import StepTimes

LOUD = 0.97
"""Above this share of the engine's time nothing is promised: waits grow without bound."""
PACKED = 2048
"""Tokens of several prompts that the engine takes into one step."""
FRONT_MS = 7.3
"""Between request and engine: HTTP, tokens, scheduling. With the next three fitted to the TTFT of 792 runs."""
FIRST_STEPS = 3.6
"""Decoding steps of the others that pass besides until a first token is out."""
_WAVE, _WAVE_POWER = 0.105, 0.92
TTFT_SPREAD = 0.32
"""Of the logarithm of predicted by measured TTFT, where 80 % of the runs lie: 83 % within 1.5 times, 96 % within 2."""
_ROUNDS = 26
BATCHED = 8192
_P95_OF_NORMAL = 1.645
_GAUSS = ((-2.8570, 0.0113), (-1.3556, 0.2221), (0.0, 0.5333), (1.3556, 0.2221), (2.8570, 0.0113))
"""Gauss and Hermite's five points, for means over a normal distribution."""
_SWING = 2.33
"""Standard deviations of the running sequences that the cache must hold besides: 1 % of the time is above."""
_P95 = math.log(20)
"""How many means the 95th percentile of an exponential wait is."""


@dataclass(frozen=True)
class Lengths:
    """Tokens of a request, by mean and 95th percentile."""

    prompt: float
    output: float
    prompt_p95: float
    output_p95: float
    hit: float = 0.0
    """Part of the prompt that is in the prefix cache already."""

    @property
    def context(self) -> float:
        """Tokens that a sequence has on average while it decodes."""
        return self.prompt + self.output / 2

    @functools.cached_property
    def stretch(self) -> float:
        """How much longer the answer is that a look at a running sequence finds: long ones run longer. At most 4."""
        return min(4.0, math.exp(_sigma(self.output, self.output_p95) ** 2))

    @functools.cached_property
    def longer(self) -> float:
        """Tokens that a running sequence has, looked at at any time."""
        return self.prompt + self.output * self.stretch / 2


@dataclass(frozen=True)
class Served:
    """One replica under one load."""

    rate: float
    """Requests a second."""
    running: float
    """Sequences that decode at once, on average."""
    running_p95: float
    busy: float
    """Part of the engine's time that is used, of what the cache and `max_num_seqs` let it use; 1: no more is served."""
    ttft_mean: float
    ttft_p95: float
    tpot_mean: float
    tpot_p95: float
    """Milliseconds."""


def prefill(steps: StepTimes, prompt: float, hit: float) -> float:
    """Milliseconds of a prompt's prefill, without what the prefix cache has."""
    known = prompt * hit
    whole = steps.prefill(prompt)
    if known < 1:
        return whole
    # Never less than what is left would take by itself.
    return max(whole - steps.prefill(known), min(whole, steps.prefill(prompt - known)))


def share(steps: StepTimes, lengths: Lengths) -> float:
    """Milliseconds of the engine's time that a request's prefill takes under load: short prompts share a step."""
    alone = prefill(steps, lengths.prompt, lengths.hit)
    tokens = lengths.prompt * (1 - lengths.hit)
    if tokens >= PACKED:
        return alone
    return min(alone, steps.prefill(PACKED) * tokens / PACKED)


def closed(steps: StepTimes, lengths: Lengths, callers: float, most: float) -> float:
    """Requests a second when so many callers send their next one as soon as they are answered.

    `most`: sequences that the cache and the settings let run at once.
    """
    running = max(1.0, min(callers, most))
    own = share(steps, lengths) if running > 1 else prefill(steps, lengths.prompt, lengths.hit)
    return 1000 / (own + lengths.output * steps.decode(running, lengths.context) / running)


def capacity(steps: StepTimes, lengths: Lengths, most: float) -> float:
    """Requests a second that a replica sustains at all, however long they take."""
    return closed(steps, lengths, most, most) * LOUD


@dataclass(frozen=True)
class Part:
    """What one workload sends to a replica, at so many requests a second."""

    lengths: Lengths
    rate: float
    burst: float = 1.0


def serve(
    steps: StepTimes, lengths: Lengths, rate: float, most: float, burst: float = 1.0, batched: float = BATCHED
) -> Served | None:
    """One replica at `rate` requests a second; None where it does not keep up.

    `burst`: the coefficient of variation of the times between arrivals (1: as if by chance). `batched`: tokens that
    the engine takes into one step.
    """
    found = share_out(steps, [Part(lengths, rate, burst)], most, batched)
    return found[0] if found else None


def share_out(
    steps: StepTimes, parts: Sequence[Part], most: float, batched: float = BATCHED
) -> list[Served] | None:
    """What each of several workloads meets on one replica; None where it does not keep up.

    All wait for, and are slowed by, the prefills of all: short answers beside long prompts are slowed the most.
    """
    rate = math.fsum(each.rate for each in parts)
    # Short prompts share a step, so each takes less than it would alone.
    alone = [_prefills(steps, each.lengths) for each in parts]
    packed = [_packed(steps, each.lengths) for each in parts]
    own, square = (
        _mean(parts, [found[power] * by ** (power + 1) for found, by in zip(alone, packed, strict=True)])
        for power in (0, 1)
    )
    spent = rate * own / 1000
    running = _running(steps, parts, spent, most)
    if running is None:
        return None
    longer = _longer(parts)
    step = steps.decode(max(running, 1.0), longer)
    part = min(1.0, _mean(parts, [each.lengths.prompt * (1 - each.lengths.hit) for each in parts]) / batched)
    burst = math.sqrt(_mean(parts, [each.burst**2 for each in parts]))
    wait, tail = _wait(rate, own + step * part, square / own**2 if own else 0.0, burst)
    high = min(most, running + _P95_OF_NORMAL * math.sqrt(running * max(1.0, burst)))
    swing = (steps.decode(max(high, 1.0), longer) - step) / _P95_OF_NORMAL
    around = FRONT_MS + FIRST_STEPS * step
    # In bursts the number of prefills that an answer meets varies more, by the square of their coefficient.
    uneven = max(0.0, square + (burst**2 - 1) * own**2)
    served = []
    for each, (mean, _) in zip(parts, alone, strict=True):
        before = own + step * part + wait
        tpot, tpot_p95 = _further(each.lengths, rate, (own, uneven, spent), (step, swing), before)
        served.append(
            Served(
                rate=each.rate,
                running=running,
                running_p95=high,
                busy=max(spent, running / most, _used(steps, parts, most)),
                ttft_mean=around + mean + wait,
                ttft_p95=around + prefill(steps, each.lengths.prompt_p95, each.lengths.hit) + tail,
                tpot_mean=tpot,
                tpot_p95=max(tpot, tpot_p95),
            )
        )
    return served


def _mean(parts: Sequence[Part], values: Sequence[float]) -> float:
    """Over requests."""
    whole = math.fsum(each.rate for each in parts)
    return math.fsum(each.rate * value for each, value in zip(parts, values, strict=True)) / whole


def _longer(parts: Sequence[Part]) -> float:
    """Tokens that a running sequence has, looked at at any time: long answers are met more often."""
    weights = [each.rate * max(each.lengths.output, 1e-9) for each in parts]
    longer = math.fsum(weight * each.lengths.longer for weight, each in zip(weights, parts, strict=True))
    return longer / math.fsum(weights)


def _packed(steps: StepTimes, lengths: Lengths) -> float:
    return share(steps, lengths) / max(prefill(steps, lengths.prompt, lengths.hit), 1e-9)


def _used(steps: StepTimes, parts: Sequence[Part], most: float) -> float:
    """Part of what the cache and the settings let be served."""
    return math.fsum(each.rate / (capacity(steps, each.lengths, most) / LOUD) for each in parts)


def _prefills(steps: StepTimes, lengths: Lengths) -> tuple[float, float]:
    """Mean and mean square of a prefill's milliseconds over the lengths of prompts."""
    sigma = _sigma(lengths.prompt, lengths.prompt_p95)
    if sigma == 0:
        one = prefill(steps, lengths.prompt, lengths.hit)
        return one, one * one
    middle = math.log(lengths.prompt) - sigma * sigma / 2
    found = [
        (prefill(steps, math.exp(middle + sigma * node), lengths.hit), weight) for node, weight in _GAUSS
    ]
    return sum(value * weight for value, weight in found), sum(
        value * value * weight for value, weight in found
    )


def _running(steps: StepTimes, parts: Sequence[Part], spent: float, most: float) -> float | None:
    """Sequences that decode at once: the fixed point of Little's law.

    None where there is none, or where its swings would fill the cache: an engine that runs out of it throws work away.
    """
    if spent >= LOUD:
        return None

    context = _longer(parts)
    tokens = math.fsum(each.rate * each.lengths.output for each in parts) / 1000
    each = tokens / (1 - spent)

    def needed(running: float) -> float:
        return each * steps.decode(running, context)

    if needed(most) > most * LOUD:
        return None
    low, high = 0.0, most
    for _ in range(_ROUNDS):
        middle = (low + high) / 2
        low, high = (middle, high) if needed(max(middle, 1e-9)) > middle else (low, middle)
    running = max(high, min(1.0, tokens * steps.decode(1, context)))
    stretch = max(each.lengths.stretch for each in parts)
    return running if running + _SWING * math.sqrt(running * stretch) <= max(most, 1.0) else None


def _wait(rate: float, service: float, square: float, burst: float) -> tuple[float, float]:
    """Milliseconds that a request waits for others' prefills (Pollaczek and Khinchine), and what of it at p95.

    `square`: the mean square of a prefill by its mean's square.
    """
    used = min(rate * service / 1000, LOUD)
    if used <= 0:
        return 0.0, 0.0
    wait = used * service * (burst**2 + max(0.0, square - 1)) / (2 * (1 - used))
    # Of those that wait at all the wait is close to exponential.
    return wait, max(0.0, wait / used * (math.log(used) + _P95))


def _further(
    lengths: Lengths,
    rate: float,
    prefills: tuple[float, float, float],
    decode: tuple[float, float],
    before: float,
) -> tuple[float, float]:
    """Milliseconds a further token takes over a whole answer, on average and at the 95th percentile of answers.

    An answer is slowed by the prefills that come while it is made, and by those that were queued behind its own: few
    large ones, so some answers meet many. `before`: milliseconds until its prefill was done, while others queued.
    `swing`: the standard deviation of a step, by how many run.
    Checked against a discrete-event simulation (bench/simulate.py).
    """
    own, square, spent = prefills
    step, swing = decode
    left = 1 - spent
    a_ms = rate / 1000
    tokens, stretch = max(1.0, lengths.output - 1), lengths.stretch
    behind = a_ms * before * own
    slowed = step * spent / left + behind * stretch / (tokens * left)
    spread_behind = behind * (square / own if own else 0.0) + behind**2
    variance = step * a_ms * square * stretch / (tokens * left**3)
    variance += (spread_behind / left**2 + behind * a_ms * square / left**3) * (stretch / tokens) ** 2
    variance += (swing / left) ** 2
    return step / left, step + _gamma_p95(slowed, variance)


def _gamma_p95(mean: float, variance: float) -> float:
    """95th percentile of a gamma distribution (Wilson and Hilferty's cube root)."""
    if mean <= 0 or variance <= 0:
        return max(mean, 0.0)
    shape = max(0.25, mean * mean / variance)
    return mean * max(0.0, 1 - 1 / (9 * shape) + _P95_OF_NORMAL / (3 * math.sqrt(shape))) ** 3


def callers(steps: StepTimes, lengths: Lengths, count: float, most: float) -> Served:
    """A replica whose `count` callers ask again as soon as they are answered; at most `most` of them run."""
    rate = closed(steps, lengths, count, most)
    own, spent = prefill(steps, lengths.prompt, lengths.hit), share(steps, lengths)
    running = max(1.0, min(count, most))
    step = steps.decode(running, lengths.context)
    tpot = step / (1 - min(rate * spent / 1000, LOUD))
    # Answers of one length end together, so callers come in waves: fitted, not derived.
    wave = _WAVE * spent * max(0.0, running - 1) ** _WAVE_POWER
    ttft = FRONT_MS + own + FIRST_STEPS * step + wave
    # Who does not run waits until others have ended.
    queued = max(0.0, count - most) / rate * 1000
    return Served(rate, running, running, 1.0, ttft + queued, ttft + wave + queued, tpot, tpot)


def _sigma(mean: float, p95: float) -> float:
    """The log-normal's parameter for a length with this mean and 95th percentile; at most what a percentile allows."""
    if p95 <= mean:
        return 0.0
    inside = _P95_OF_NORMAL**2 - 2 * math.log(p95 / mean)
    return _P95_OF_NORMAL - math.sqrt(max(0.0, inside))

"""Model of a replica under load: the rate that it sustains, and the latency of its answers.

An engine with continuous batching shares its steps between prefills and decoding sequences. A request costs its
prefill and its share of the decoding steps. The engine's remaining time decides how long a new request waits:

- A decoding step over B sequences takes d(B). Prefills take a share λp of the time (λ requests a second of p seconds
  each), so the next token takes d(B) / (1 - λp). B is λ times how long a request decodes.
- The first token waits for earlier prefills (Pollaczek and Khinchine's formula; bursts and long prompts lengthen it)
  and for its own prefill. Tokens of other requests are generated in between.
- A whole answer meets few large prefills, and some answers meet many. A gamma distribution gives the 95th percentile.

The closed form for a fixed number of callers was compared with measured runs (docs/sizing.md). The rest was compared
with an independent discrete-event simulation (bench/simulate.py).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from isthmus.planning.sizing.step_time import StepTimes

MAX_BUSY = 0.97
"""Highest planned share of the engine's time. Above it, waits grow without bound."""
PACKED_PREFILL_TOKENS = 2048
"""Tokens of short prompts that the engine combines into one step."""
FRONTEND_MS = 7.3
"""Milliseconds of HTTP, tokenising and scheduling. Fitted with the next three to the TTFT of 792 runs."""
FIRST_TOKEN_STEPS = 3.6
"""Decoding steps of other requests until a first token is out."""
_WAVE, _WAVE_POWER = 0.105, 0.92
TTFT_SPREAD = 0.32
"""Spread of the logarithm of predicted by measured TTFT that holds 80 % of the runs. 83 % of the runs lie within 1.5
times of the prediction, 96 % within 2 times."""
_BISECTION_ROUNDS = 26
BATCHED_TOKENS = 8192
_P95_OF_NORMAL = 1.645
_GAUSS_HERMITE_POINTS = (
    (-2.8570, 0.0113),
    (-1.3556, 0.2221),
    (0.0, 0.5333),
    (1.3556, 0.2221),
    (2.8570, 0.0113),
)
"""Five points of the Gauss-Hermite quadrature, for means over a normal distribution."""
_RUNNING_MARGIN = 2.33
"""Standard deviations of running sequences that the cache must hold in addition. It is exceeded 1 % of the time."""
_P95 = math.log(20)
"""The 95th percentile of an exponential wait, as a multiple of its mean."""


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
        """Mean tokens of a sequence while it decodes."""
        return self.prompt + self.output / 2

    @functools.cached_property
    def stretch(self) -> float:
        """Length of the answers running at any time, by the mean length. Long answers run longer, so it is above 1.
        At most 4."""
        return min(4.0, math.exp(_lognormal_sigma(self.output, self.output_p95) ** 2))

    @functools.cached_property
    def longer(self) -> float:
        """Mean tokens of the sequences running at any time."""
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
    """Used share of the engine's time, within what the cache and `max_num_seqs` allow. At 1 the replica is full."""
    ttft_mean: float
    ttft_p95: float
    tpot_mean: float
    tpot_p95: float
    """Milliseconds."""


def prefill_ms(steps: StepTimes, prompt: float, hit: float) -> float:
    """Return the milliseconds of a prompt's prefill, without the part in the prefix cache."""
    cached_tokens = prompt * hit
    full_ms = steps.prefill(prompt)
    if cached_tokens < 1:
        return full_ms
    # The rest of the prompt takes at least as long as a prompt of its length.
    return max(full_ms - steps.prefill(cached_tokens), min(full_ms, steps.prefill(prompt - cached_tokens)))


def prefill_share_ms(steps: StepTimes, lengths: Lengths) -> float:
    """Return the milliseconds of engine time of a prefill under load, where short prompts share a step."""
    alone = prefill_ms(steps, lengths.prompt, lengths.hit)
    tokens = lengths.prompt * (1 - lengths.hit)
    if tokens >= PACKED_PREFILL_TOKENS:
        return alone
    return min(alone, steps.prefill(PACKED_PREFILL_TOKENS) * tokens / PACKED_PREFILL_TOKENS)


def closed_loop_rate(steps: StepTimes, lengths: Lengths, callers: float, max_running: float) -> float:
    """Return the requests a second of `callers` who send the next request as soon as they are answered.

    `max_running`: sequences that can run at once, by cache and settings.
    """
    running = max(1.0, min(callers, max_running))
    own_prefill = (
        prefill_share_ms(steps, lengths) if running > 1 else prefill_ms(steps, lengths.prompt, lengths.hit)
    )
    return 1000 / (own_prefill + lengths.output * steps.decode(running, lengths.context) / running)


def capacity(steps: StepTimes, lengths: Lengths, max_running: float) -> float:
    """Return the requests a second that a replica sustains, whatever their latency."""
    return closed_loop_rate(steps, lengths, max_running, max_running) * MAX_BUSY


@dataclass(frozen=True)
class LoadShare:
    """The requests of one workload to a replica, at `rate` requests a second."""

    lengths: Lengths
    rate: float
    burst: float = 1.0


def serve_workload(
    steps: StepTimes,
    lengths: Lengths,
    rate: float,
    max_running: float,
    burst: float = 1.0,
    batched: float = BATCHED_TOKENS,
) -> Served | None:
    """Return one replica's latency at `rate` requests a second; None if it cannot keep up.

    `burst`: coefficient of variation of the times between arrivals (1: random arrivals). `batched`: tokens that the
    engine processes in one step.
    """
    outcomes = serve_shares(steps, [LoadShare(lengths, rate, burst)], max_running, batched)
    return outcomes[0] if outcomes else None


def serve_shares(
    steps: StepTimes, shares: Sequence[LoadShare], max_running: float, batched: float = BATCHED_TOKENS
) -> list[Served] | None:
    """Return the latency of each workload that shares a replica; None if the replica cannot keep up.

    All requests wait for the prefills of all workloads. Short answers beside long prompts are slowed most.
    """
    rate = math.fsum(share.rate for share in shares)
    # Short prompts share a step, so each takes less time than alone.
    alone = [_prefill_moments(steps, share.lengths) for share in shares]
    packed = [_packing_factor(steps, share.lengths) for share in shares]
    mean_prefill, mean_square = (
        _request_mean(
            shares,
            [moments[power] * factor ** (power + 1) for moments, factor in zip(alone, packed, strict=True)],
        )
        for power in (0, 1)
    )
    prefill_busy = rate * mean_prefill / 1000
    running = _running_sequences(steps, shares, prefill_busy, max_running)
    if running is None:
        return None
    running_tokens = _mean_running_tokens(shares)
    step = steps.decode(max(running, 1.0), running_tokens)
    chunk_part = min(
        1.0,
        _request_mean(shares, [share.lengths.prompt * (1 - share.lengths.hit) for share in shares]) / batched,
    )
    burst = math.sqrt(_request_mean(shares, [share.burst**2 for share in shares]))
    relative_square = mean_square / mean_prefill**2 if mean_prefill else 0.0
    wait, tail = _queue_wait(rate, mean_prefill + step * chunk_part, relative_square, burst)
    high = min(max_running, running + _P95_OF_NORMAL * math.sqrt(running * max(1.0, burst)))
    step_deviation = (steps.decode(max(high, 1.0), running_tokens) - step) / _P95_OF_NORMAL
    overhead = FRONTEND_MS + FIRST_TOKEN_STEPS * step
    # With bursts, the number of prefills during an answer varies more, by the square of the coefficient.
    prefill_variance = max(0.0, mean_square + (burst**2 - 1) * mean_prefill**2)
    busy = max(prefill_busy, running / max_running, _capacity_used(steps, shares, max_running))
    served = []
    for share, (mean, _) in zip(shares, alone, strict=True):
        first_token_delay = mean_prefill + step * chunk_part + wait
        tpot, tpot_p95 = _time_per_token(
            share.lengths,
            rate,
            (mean_prefill, prefill_variance, prefill_busy),
            (step, step_deviation),
            first_token_delay,
        )
        served.append(
            Served(
                rate=share.rate,
                running=running,
                running_p95=high,
                busy=busy,
                ttft_mean=overhead + mean + wait,
                ttft_p95=overhead + prefill_ms(steps, share.lengths.prompt_p95, share.lengths.hit) + tail,
                tpot_mean=tpot,
                tpot_p95=max(tpot, tpot_p95),
            )
        )
    return served


def _request_mean(shares: Sequence[LoadShare], values: Sequence[float]) -> float:
    """Return the mean of the shares' values over requests."""
    total_rate = math.fsum(share.rate for share in shares)
    return math.fsum(share.rate * value for share, value in zip(shares, values, strict=True)) / total_rate


def _mean_running_tokens(shares: Sequence[LoadShare]) -> float:
    """Return the mean tokens of the sequences running at any time. Long answers run longer, so they weigh more."""
    weights = [share.rate * max(share.lengths.output, 1e-9) for share in shares]
    token_sum = math.fsum(
        weight * share.lengths.longer for weight, share in zip(weights, shares, strict=True)
    )
    return token_sum / math.fsum(weights)


def _packing_factor(steps: StepTimes, lengths: Lengths) -> float:
    return prefill_share_ms(steps, lengths) / max(prefill_ms(steps, lengths.prompt, lengths.hit), 1e-9)


def _capacity_used(steps: StepTimes, shares: Sequence[LoadShare], max_running: float) -> float:
    """Return the used part of the capacity that cache and settings allow."""
    return math.fsum(
        share.rate / (capacity(steps, share.lengths, max_running) / MAX_BUSY) for share in shares
    )


def _prefill_moments(steps: StepTimes, lengths: Lengths) -> tuple[float, float]:
    """Return mean and mean square of a prefill's milliseconds over the distribution of prompt lengths."""
    sigma = _lognormal_sigma(lengths.prompt, lengths.prompt_p95)
    if sigma == 0:
        single = prefill_ms(steps, lengths.prompt, lengths.hit)
        return single, single * single
    log_median = math.log(lengths.prompt) - sigma * sigma / 2
    points = [
        (prefill_ms(steps, math.exp(log_median + sigma * node), lengths.hit), weight)
        for node, weight in _GAUSS_HERMITE_POINTS
    ]
    return sum(value * weight for value, weight in points), sum(
        value * value * weight for value, weight in points
    )


def _running_sequences(
    steps: StepTimes, shares: Sequence[LoadShare], prefill_busy: float, max_running: float
) -> float | None:
    """Return the sequences that decode at once: the fixed point of Little's law.

    None if no such point exists, or if peaks would fill the cache, because the engine then discards work.
    """
    if prefill_busy >= MAX_BUSY:
        return None

    context = _mean_running_tokens(shares)
    tokens = math.fsum(share.rate * share.lengths.output for share in shares) / 1000
    decode_time_share = tokens / (1 - prefill_busy)

    decode = steps.decode_at(context)

    def needed(running: float) -> float:
        return decode_time_share * decode(running)

    if needed(max_running) > max_running * MAX_BUSY:
        return None
    low, high = 0.0, max_running
    for _ in range(_BISECTION_ROUNDS):
        middle = (low + high) / 2
        low, high = (middle, high) if needed(max(middle, 1e-9)) > middle else (low, middle)
    running = max(high, min(1.0, tokens * decode(1)))
    stretch = max(share.lengths.stretch for share in shares)
    return (
        running if running + _RUNNING_MARGIN * math.sqrt(running * stretch) <= max(max_running, 1.0) else None
    )


def _queue_wait(rate: float, service: float, relative_square: float, burst: float) -> tuple[float, float]:
    """Return mean and 95th percentile of the milliseconds that a request waits for prefills of other requests.

    Uses Pollaczek and Khinchine's formula. `relative_square`: the mean square of a prefill by the square of its mean.
    """
    busy = min(rate * service / 1000, MAX_BUSY)
    if busy <= 0:
        return 0.0, 0.0
    wait = busy * service * (burst**2 + max(0.0, relative_square - 1)) / (2 * (1 - busy))
    # The wait of those that wait at all is close to exponential.
    return wait, max(0.0, wait / busy * (math.log(busy) + _P95))


def _time_per_token(
    lengths: Lengths,
    rate: float,
    prefills: tuple[float, float, float],
    decode: tuple[float, float],
    delay: float,
) -> tuple[float, float]:
    """Return the milliseconds per further token of an answer: the mean and the 95th percentile of answers.

    An answer is slowed by prefills that arrive while it is generated, and by those queued behind its own prefill.
    These are few and large, so some answers meet many. `prefills`: mean milliseconds, variance and busy share.
    `decode`: milliseconds of a step and their standard deviation. `delay`: milliseconds until its prefill was done.
    Checked against a discrete-event simulation (bench/simulate.py).
    """
    mean_prefill, mean_square, prefill_busy = prefills
    step, step_deviation = decode
    decode_part = 1 - prefill_busy
    arrivals_per_ms = rate / 1000
    tokens, stretch = max(1.0, lengths.output - 1), lengths.stretch
    queued_prefill = arrivals_per_ms * delay * mean_prefill
    mean_slowdown = step * prefill_busy / decode_part + queued_prefill * stretch / (tokens * decode_part)
    queued_variance = (
        queued_prefill * (mean_square / mean_prefill if mean_prefill else 0.0) + queued_prefill**2
    )
    variance = step * arrivals_per_ms * mean_square * stretch / (tokens * decode_part**3)
    variance += (
        queued_variance / decode_part**2 + queued_prefill * arrivals_per_ms * mean_square / decode_part**3
    ) * (stretch / tokens) ** 2
    variance += (step_deviation / decode_part) ** 2
    return step / decode_part, step + _gamma_p95(mean_slowdown, variance)


def _gamma_p95(mean: float, variance: float) -> float:
    """Return the 95th percentile of a gamma distribution (Wilson and Hilferty's approximation)."""
    if mean <= 0 or variance <= 0:
        return max(mean, 0.0)
    shape = max(0.25, mean * mean / variance)
    return mean * max(0.0, 1 - 1 / (9 * shape) + _P95_OF_NORMAL / (3 * math.sqrt(shape))) ** 3


def serve_callers(steps: StepTimes, lengths: Lengths, caller_count: float, max_running: float) -> Served:
    """A replica whose `count` callers ask again as soon as they are answered; at most `most` of them run."""
    rate = closed_loop_rate(steps, lengths, caller_count, max_running)
    own_prefill, shared_prefill = (
        prefill_ms(steps, lengths.prompt, lengths.hit),
        prefill_share_ms(steps, lengths),
    )
    running = max(1.0, min(caller_count, max_running))
    step = steps.decode(running, lengths.context)
    tpot = step / (1 - min(rate * shared_prefill / 1000, MAX_BUSY))
    # Answers of one length end together, so callers arrive in waves. The formula is fitted, not derived.
    wave = _WAVE * shared_prefill * max(0.0, running - 1) ** _WAVE_POWER
    ttft = FRONTEND_MS + own_prefill + FIRST_TOKEN_STEPS * step + wave
    # Requests above the limit wait until others have ended.
    queued = max(0.0, caller_count - max_running) / rate * 1000
    return Served(rate, running, running, 1.0, ttft + queued, ttft + wave + queued, tpot, tpot)


def _lognormal_sigma(mean: float, p95: float) -> float:
    """Return sigma of the log-normal distribution with this mean and 95th percentile, limited to a possible value."""
    if p95 <= mean:
        return 0.0
    inside = _P95_OF_NORMAL**2 - 2 * math.log(p95 / mean)
    return _P95_OF_NORMAL - math.sqrt(max(0.0, inside))

"""What a replica does under a load: the rate it sustains, and how long its answers take.

An engine that batches continuously shares its steps among prefills and sequences that decode. So a request costs
its prefill, and its share of the decoding steps; what is left of the engine's time decides how long a new one waits:

- a decoding step over B sequences takes d(B), and while a share λp of the time goes to prefills (λ requests a second
  of p seconds each) the next token takes d(B) / (1 - λp); B itself is λ times how long a request decodes;
- a request's first token waits for the prefills before it (Pollaczek and Khinchine's wait, which a peak of
  arrivals and long prompts lengthen), and for its own, between which the others' tokens are made.

The closed form for a fixed number of callers was compared with 960 measured runs (docs/sizing.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from isthmus.planning.steps import StepTimes

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
_ROUNDS = 60
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
    return steps.prefill(prompt) - (steps.prefill(known) if known >= 1 else 0.0)


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


def serve(steps: StepTimes, lengths: Lengths, rate: float, most: float, burst: float = 1.0) -> Served | None:
    """One replica at `rate` requests a second; None where it does not keep up.

    `burst`: the coefficient of variation of the times between arrivals (1: as if by chance).
    """
    own = prefill(steps, lengths.prompt, lengths.hit)
    spent = rate * share(steps, lengths) / 1000
    running = _running(steps, lengths, rate, spent, most)
    if running is None:
        return None
    high = min(most, running + 1.645 * math.sqrt(running) * max(1.0, burst))
    tpot = steps.decode(running, lengths.context) / (1 - spent)
    tpot_p95 = max(tpot, steps.decode(high, lengths.context) / (1 - spent))
    ttft, ttft_p95 = _first_token(steps, lengths, rate, own, running, burst)
    full = running / most
    return Served(
        rate=rate,
        running=running,
        running_p95=high,
        busy=max(spent, full, rate / (capacity(steps, lengths, most) / LOUD)),
        ttft_mean=ttft,
        ttft_p95=ttft_p95,
        tpot_mean=tpot,
        tpot_p95=tpot_p95,
    )


def _running(steps: StepTimes, lengths: Lengths, rate: float, spent: float, most: float) -> float | None:
    """Sequences that decode at once: the fixed point of Little's law; None where there is none below `most`."""
    if spent >= LOUD:
        return None

    def needed(running: float) -> float:
        step = steps.decode(running, lengths.context) / (1 - spent)
        return rate * lengths.output * step / 1000

    if needed(most) > most * LOUD:
        return None
    low, high = 0.0, most
    for _ in range(_ROUNDS):
        middle = (low + high) / 2
        low, high = (middle, high) if needed(max(middle, 1e-9)) > middle else (low, middle)
    return max(high, min(1.0, rate * lengths.output * steps.decode(1, lengths.context) / 1000))


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


def _first_token(
    steps: StepTimes, lengths: Lengths, rate: float, own: float, running: float, burst: float
) -> tuple[float, float]:
    """Milliseconds until the first token, on average and at the 95th percentile."""
    step = steps.decode(max(running, 1.0), lengths.context)
    long = prefill(steps, lengths.prompt_p95, lengths.hit)
    # A prefill is cut into steps, each of which carries a token of every sequence that decodes.
    service = share(steps, lengths) + step
    used = min(rate * service / 1000, LOUD)
    spread = _spread(lengths.prompt, lengths.prompt_p95)
    wait = used * service * (burst**2 + spread**2) / (2 * (1 - used))
    # Of those that wait at all the wait is close to exponential.
    waiting = wait / used if used > 0 else 0.0
    tail = max(0.0, waiting * (math.log(used) + _P95)) if used > 0 else 0.0
    around = FRONT_MS + FIRST_STEPS * step
    return around + own + wait, around + long + tail


def _spread(mean: float, p95: float) -> float:
    """Coefficient of variation of a log-normal length with this mean and 95th percentile; at most 3."""
    if p95 <= mean:
        return 0.0
    ratio = math.log(p95 / mean)
    inside = 1.645**2 - 2 * ratio
    sigma = 1.645 - math.sqrt(inside) if inside > 0 else 1.645
    return min(3.0, math.sqrt(math.expm1(sigma**2)))

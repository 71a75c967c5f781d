"""A second opinion on the planner's queueing model: an engine that batches continuously, step by step.

It shares the step times with `isthmus.planning.sizing.load` and nothing else: no formula of waits or of shares, but a
scheduler as vLLM's V1 engine has it, with blocks, chunked prefill and preemption. Kept apart on purpose, so that an
error of the one is not an error of the other.

    python -m bench.simulate MODEL GPU PRECISION TP REPLICAS RPS PROMPT OUTPUT

PROMPT and OUTPUT are tokens: a mean, all of one length, or `MEAN:P95`.
"""

from __future__ import annotations

import heapq
import math
import random
import statistics
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from isthmus.planning.sizing.step_time import StepTimes

BLOCK = 16
"""Tokens of a block of the cache."""
FRONT_MS = 7.0
"""Added to every first token: HTTP, tokens, scheduling."""
_Z95 = statistics.NormalDist().inv_cdf(0.95)
_WIDEST = math.exp(_Z95**2 / 2)
"""No log-normal length has a 95th percentile of more than 3.87 times its mean."""


@dataclass(frozen=True)
class Stream:
    """Requests of one kind. Lengths are log-normal, and of one length where mean and 95th percentile are equal."""

    name: str
    rate: float
    """Requests a second over all replicas."""
    cv: float
    """Coefficient of variation of the times between arrivals: 0 a metronome, 1 by chance, more in bursts."""
    prompt_mean: float
    prompt_p95: float
    output_mean: float
    output_p95: float
    hit: float = 0.0
    """Part of the prompt that is in the prefix cache already."""

    def __post_init__(self) -> None:
        if self.rate < 0 or self.cv < 0 or not 0 <= self.hit <= 1:
            raise ValueError(f"{self.name}: rate and cv are at least 0, hit is between 0 and 1")
        for mean, p95 in ((self.prompt_mean, self.prompt_p95), (self.output_mean, self.output_p95)):
            if not 0 < mean <= p95 <= mean * _WIDEST:
                raise ValueError(
                    f"{self.name}: a 95th percentile is between 1 and {_WIDEST:.2f} times the mean"
                )


@dataclass(frozen=True)
class Seen:
    """What the requests of one stream met that arrived after the warm-up. Milliseconds."""

    name: str
    requests: int
    ttft_p50: float
    ttft_p95: float
    tpot_p50: float
    tpot_p95: float
    """NaN where no request had a second token."""
    e2e_p95: float
    finished: int
    unfinished: int
    present: float
    """Requests that wait or run in all replicas, on average over the time that is counted."""
    stay_s: float
    """Seconds from arrival to the last token, on average over those that finished."""
    preempted: int
    """Times that one lost its blocks and began again."""
    pairs: tuple[tuple[float, float], ...] = field(repr=False)
    """TTFT and TPOT of each that finished; a TPOT of 0 where the answer has one token."""

    def kept(self, ttft: float, tpot: float) -> float:
        """Share of the requests that finished within both targets, milliseconds."""
        within = sum(1 for first, next_ in self.pairs if first <= ttft and next_ <= tpot)
        return within / self.requests if self.requests else 1.0


@dataclass(slots=True, eq=False)
class _Request:
    """One request on its way."""

    number: int
    stream: int
    arrived: float
    prompt: int
    output: int
    known: int
    target: int
    """Tokens to prefill before the next one comes: the prompt, and what it had made when it was preempted."""
    done: int = 0
    """Tokens of `target` that the cache has."""
    made: int = 0
    """Tokens of the answer when its prefill ended; while it decodes the step says how many."""
    blocks: int = 0
    """Taken for the prefill; while it decodes they follow from its context."""
    lead: int = 0
    """While it decodes: its context less the number of the step."""
    last_step: int = 0
    preempted: int = 0
    first: float = math.inf
    ended: float = math.inf


class _Replica:
    """One engine. Cost of a step does not grow with its batch: what all decoding sequences do is kept as sums."""

    def __init__(self, steps: StepTimes, blocks: int, max_num_seqs: int, batched_tokens: int) -> None:
        self.steps, self.free = steps, blocks
        self.max_num_seqs, self.batched_tokens = max_num_seqs, batched_tokens
        self.waiting: deque[_Request] = deque()
        self.running: dict[int, _Request] = {}
        """In the order of admission: the youngest is the last."""
        self.prefilling: list[_Request] = []
        self.batch = 0
        """Sequences that decode, and below the sum of their contexts; by `lead % BLOCK` how many there are."""
        self.context = 0
        self.phases = [0] * BLOCK
        self.lasts: list[tuple[int, int, int, _Request]] = []
        """A heap by last step. An entry of an earlier life of its request is void."""
        self.step = 0
        self.step_ends = math.inf
        self.ended: list[_Request] = []
        """Since the last look."""
        self.known_decode: dict[tuple[int, int], float] = {}

    @property
    def load(self) -> int:
        return len(self.waiting) + len(self.running)

    def add(self, request: _Request, now: float) -> None:
        self.waiting.append(request)
        if self.step_ends == math.inf:
            self._begin(now)

    def advance(self, now: float) -> None:
        """All steps that end by now."""
        while self.step_ends <= now:
            ended = self.step_ends
            self._end(ended)
            self._begin(ended)

    def _begin(self, now: float) -> None:
        full = False
        # Each decoding sequence whose last block is full takes one more.
        while (needed := self.phases[-self.step % BLOCK]) > self.free:
            self._preempt()
            full = True
        self.free -= needed
        took = self._decode_ms() if self.batch else 0.0
        chunks = self._prefill(self.batched_tokens - self.batch, admit=not full)
        if not self.batch and not chunks:
            self.step_ends = math.inf
            return
        self.step_ends = now + (took + self._prefill_ms(chunks)) / 1000

    def _preempt(self) -> None:
        """The youngest loses its blocks, and what it has made it computes again."""
        _, youngest = self.running.popitem()
        if youngest.done < youngest.target:
            self.free += youngest.blocks
            self.prefilling.remove(youngest)
        else:
            self._leave(youngest, youngest.lead + self.step)
            youngest.made = youngest.output - (youngest.last_step - self.step + 1)
            youngest.target = youngest.prompt + youngest.made
        youngest.done = 0
        youngest.preempted += 1
        self.waiting.appendleft(youngest)

    def _leave(self, request: _Request, context: int) -> None:
        """It decodes no longer."""
        self.free += -(-context // BLOCK)
        self.batch -= 1
        self.context -= context
        self.phases[request.lead % BLOCK] -= 1

    def _decode_ms(self) -> float:
        # Contexts to the nearest block: most steps are then like one that was asked about already.
        key = self.batch, round(self.context / self.batch / BLOCK)
        if key not in self.known_decode:
            self.known_decode[key] = self.steps.decode(self.batch, max(1, key[1] * BLOCK))
        return self.known_decode[key]

    def _prefill(self, budget: int, *, admit: bool) -> list[tuple[int, int]]:
        """Give out the step's tokens, first come, first served: what each had, and what it gets."""
        chunks: list[tuple[int, int]] = []
        for request in self._next_to_prefill(admit=admit):
            tokens = min(request.target - request.done, budget)
            chunks.append((request.done, tokens))
            request.done += tokens
            budget -= tokens
            if budget <= 0:
                break
        return chunks

    def _next_to_prefill(self, *, admit: bool) -> Iterator[_Request]:
        """Those half done, then those that the cache and the settings admit, as long as anybody asks for more."""
        yield from list(self.prefilling)
        while admit and self.waiting and len(self.running) < self.max_num_seqs:
            request = self.waiting[0]
            request.blocks = -(-request.target // BLOCK)
            if request.blocks > self.free:
                return
            self.waiting.popleft()
            self.free -= request.blocks
            request.done = request.known
            self.running[request.number] = request
            self.prefilling.append(request)
            yield request

    def _prefill_ms(self, chunks: list[tuple[int, int]]) -> float:
        """Prompts from their beginning share a step as if they were one; a later part costs what it adds."""
        prefill = self.steps.prefill
        fresh = sum(tokens for had, tokens in chunks if not had)
        # Measured grids are not monotonic everywhere: more tokens are never taken for less time.
        took = sum(max(0.0, prefill(had + tokens) - prefill(had)) for had, tokens in chunks if had)
        took += prefill(fresh) if fresh else 0.0
        # Where nothing decodes the weights are read for these tokens alone, and a step has a least time.
        return took if self.batch else max(took, prefill(sum(tokens for _, tokens in chunks)))

    def _end(self, now: float) -> None:
        self.context += self.batch
        while self.lasts and self.lasts[0][0] <= self.step:
            _, _, preempted, request = heapq.heappop(self.lasts)
            if preempted == request.preempted:
                self._leave(request, request.lead + self.step + 1)
                self._finish(request, now)
        self.step += 1
        for each in self.prefilling:
            if each.done == each.target:
                self._token_of_prefill(each, now)
        self.prefilling = [each for each in self.prefilling if each.done < each.target]

    def _token_of_prefill(self, request: _Request, now: float) -> None:
        """The step that ends a prefill makes a token; from the next on the sequence decodes."""
        request.first = min(request.first, now)
        request.made += 1
        if request.made >= request.output:
            self.free += request.blocks
            return self._finish(request, now)
        request.lead = request.target - self.step
        request.last_step = self.step + request.output - request.made - 1
        self.batch += 1
        self.context += request.target
        self.phases[request.lead % BLOCK] += 1
        heapq.heappush(self.lasts, (request.last_step, request.number, request.preempted, request))

    def _finish(self, request: _Request, now: float) -> None:
        request.ended = now
        self.ended.append(self.running.pop(request.number))


def replay(
    steps: StepTimes,
    streams: Sequence[Stream],
    *,
    replicas: int,
    cache_tokens: int,
    max_num_seqs: int = 256,
    batched_tokens: int = 8192,
    seconds: float = 600,
    warm_up: float = 60,
    seed: int = 1,
) -> dict[str, Seen]:
    """Play the streams against so many replicas; what those met that arrived between `warm_up` and `seconds`.

    A request goes to the replica with the fewest. `cache_tokens`, `max_num_seqs` and `batched_tokens` are each
    replica's; lengths are cut to what its cache holds, as `max_model_len` would. The load goes on after `seconds`
    until all who are counted have ended, at most half as long again: who has not by then is unfinished, and who has
    no first token counts with the wait so far. Raises `ValueError` for settings under which nothing runs.
    """
    if replicas < 1 or cache_tokens < 2 * BLOCK or not 0 < max_num_seqs < batched_tokens:
        raise ValueError("it takes a replica, two blocks of cache, and more tokens a step than sequences")
    if not 0 <= warm_up < seconds:
        raise ValueError("the warm-up ends before the run does")
    blocks = cache_tokens // BLOCK
    longest = blocks * BLOCK
    engines = [_Replica(steps, blocks, max_num_seqs, batched_tokens) for _ in range(replicas)]
    last, left = seconds * 1.5, 0
    everyone: list[_Request] = []
    arrivals = heapq.merge(*(_arrivals(each, at, seed) for at, each in enumerate(streams)))
    for number, (now, stream, prompt, output) in enumerate(arrivals):
        for engine in engines:
            engine.advance(min(now, last))
            left -= sum(warm_up <= each.arrived <= seconds for each in engine.ended)
            engine.ended.clear()
        if now > last or (now > seconds and not left):
            break
        output = min(output, longest - 1)
        prompt = min(prompt, longest - output)
        # Of a prompt that is known at all the last token is computed again: the next one follows from it.
        known = min(int(prompt * streams[stream].hit), prompt - 1)
        request = _Request(number, stream, now, prompt, output, known, target=prompt)
        everyone.append(request)
        left += warm_up <= now <= seconds
        min(engines, key=lambda each: each.load).add(request, now)
    for engine in engines:
        engine.advance(last)
    return {
        each.name: _seen(each.name, [one for one in everyone if one.stream == at], warm_up, seconds, last)
        for at, each in enumerate(streams)
    }


def _arrivals(stream: Stream, at: int, seed: int) -> Iterator[tuple[float, int, int, int]]:
    """When, which stream, tokens of prompt and answer; without end. Lengths do not depend on when they come."""
    if not stream.rate:
        return
    gaps, lengths = random.Random(f"{seed} {at} gaps"), random.Random(f"{seed} {at} lengths")
    now = -gaps.random() / stream.rate
    while True:
        cv = stream.cv
        now += gaps.gammavariate(cv**-2, cv**2 / stream.rate) if cv else 1 / stream.rate
        prompt = _length(lengths, stream.prompt_mean, stream.prompt_p95)
        output = _length(lengths, stream.output_mean, stream.output_p95)
        if now >= 0:
            yield now, at, prompt, output


def _length(chance: random.Random, mean: float, p95: float) -> int:
    """Log-normal: p95 = mean · exp(z·σ - σ²/2), of whose two roots the smaller is the one without a monstrous tail."""
    sigma = _Z95 - math.sqrt(max(0.0, _Z95**2 - 2 * math.log(p95 / mean)))
    drawn = math.exp(math.log(mean) - sigma**2 / 2 + sigma * chance.gauss(0, 1)) if sigma else mean
    return max(1, round(drawn))


def _seen(name: str, requests: list[_Request], begin: float, end: float, last: float) -> Seen:
    counted = [each for each in requests if begin <= each.arrived <= end]
    ended = [each for each in counted if each.ended < math.inf]
    firsts = [(min(each.first, last) - each.arrived) * 1000 + FRONT_MS for each in counted]
    tpots = [(each.ended - each.first) * 1000 / max(1, each.output - 1) for each in ended]
    nexts = [tpot for each, tpot in zip(ended, tpots, strict=True) if each.output > 1]
    first_of_ended = [first for each, first in zip(counted, firsts, strict=True) if each.ended < math.inf]
    present = sum(max(0.0, min(end, each.ended) - max(begin, each.arrived)) for each in requests)
    return Seen(
        name=name,
        requests=len(counted),
        ttft_p50=_percentile(firsts, 0.5),
        ttft_p95=_percentile(firsts, 0.95),
        tpot_p50=_percentile(nexts, 0.5),
        tpot_p95=_percentile(nexts, 0.95),
        e2e_p95=_percentile([(each.ended - each.arrived) * 1000 + FRONT_MS for each in ended], 0.95),
        finished=len(ended),
        unfinished=len(counted) - len(ended),
        present=present / (end - begin),
        stay_s=statistics.fmean(each.ended - each.arrived for each in ended) if ended else math.nan,
        preempted=sum(each.preempted for each in counted),
        pairs=tuple(zip(first_of_ended, tpots, strict=True)),
    )


def _percentile(values: list[float], part: float) -> float:
    """The smallest value that so large a part does not exceed."""
    return sorted(values)[max(0, math.ceil(part * len(values)) - 1)] if values else math.nan


def main(words: Sequence[str]) -> int:
    """Print what the planner predicts beside what simulated engines do."""
    # Here and not above: what is simulated may not depend on what it is compared with.
    from isthmus.planning.catalogues import gpus, models
    from isthmus.planning.sizing import load, speed
    from isthmus.planning.sizing import size as sizing

    model, gpu, precision, degree = models.find_model(words[0]), gpus.find(words[1]), words[2], int(words[3])
    replicas, rate = int(words[4]), float(words[5])
    (prompt, *prompts), (output, *outputs) = ([float(each) for each in word.split(":")] for word in words[6:])
    prompt_p95, output_p95 = (*prompts, prompt)[0], (*outputs, output)[0]
    lengths = load.Lengths(prompt, output, prompt_p95, output_p95)
    answer = sizing.answer_question(sizing.Question(model, gpu, precision, lengths, tensor_parallel=degree))
    if not answer.fits:
        print("\n".join(answer.notes), file=sys.stderr)
        return 1
    most, steps = answer.max_concurrency, speed.find_speed(model, gpu, precision, degree).steps
    told = load.serve_workload(steps, lengths, rate / replicas, most)
    stream = Stream("all", rate, 1, prompt, prompt_p95, output, output_p95)
    # Where layers forget, more sequences fit than the log's count of tokens says.
    cache = max(answer.kv_cache_tokens, int(most * (prompt + output)))
    sequences, tokens = (1024, 8192) if gpu.large else (256, 2048)
    seen = replay(
        steps, [stream], replicas=replicas, cache_tokens=cache, max_num_seqs=sequences, batched_tokens=tokens
    )["all"]
    print(f"{'p95, ms':10}{'predicted':>12}{'simulated':>12}")
    for name in ("ttft_p95", "tpot_p95"):
        mine = f"{getattr(told, name):.1f}" if told else "not served"
        print(f"{name:10}{mine:>12}{getattr(seen, name):12.1f}")
    print(f"{seen.requests} requests, {seen.unfinished} unfinished, {seen.preempted} preempted")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]) if len(sys.argv) == 9 else __doc__)

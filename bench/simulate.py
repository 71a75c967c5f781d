"""Simulates a serving engine with continuous batching step by step, to check the planner's queueing model.

It shares only the step times with `isthmus.planning.sizing.load`. Instead of queueing formulas it has a scheduler like
that of vLLM's V1 engine, with blocks, chunked prefill and preemption. The two are separate on purpose, so that an error
in one is not in the other.

    python -m bench.simulate MODEL GPU PRECISION TP REPLICAS RPS PROMPT OUTPUT

PROMPT and OUTPUT are token counts: one length for all requests, or `MEAN:P95`.
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
"""Tokens in a block of the KV cache."""
FRONT_MS = 7.0
"""Time added to every first token, for HTTP, tokenization and scheduling."""
_Z95 = statistics.NormalDist().inv_cdf(0.95)
_WIDEST = math.exp(_Z95**2 / 2)
"""No log-normal length has a 95th percentile of more than 3.87 times its mean."""


@dataclass(frozen=True)
class Stream:
    """Requests of one kind. Lengths are log-normal, or constant if mean and 95th percentile are equal."""

    name: str
    rate: float
    """Requests a second over all replicas."""
    cv: float
    """Coefficient of variation of the times between arrivals: 0 is regular, 1 is random, more means bursts."""
    prompt_mean: float
    prompt_p95: float
    output_mean: float
    output_p95: float
    hit: float = 0.0
    """Share of the prompt that is already in the prefix cache."""

    def __post_init__(self) -> None:
        if self.rate < 0 or self.cv < 0 or not 0 <= self.hit <= 1:
            raise ValueError(f"{self.name}: rate and cv are at least 0, hit is between 0 and 1")
        for mean, p95 in ((self.prompt_mean, self.prompt_p95), (self.output_mean, self.output_p95)):
            if not 0 < mean <= p95 <= mean * _WIDEST:
                raise ValueError(
                    f"{self.name}: a 95th percentile is between 1 and {_WIDEST:.2f} times the mean"
                )


@dataclass(frozen=True)
class StreamResult:
    """The figures of one stream, for requests that arrived after the warm-up. Times are in milliseconds."""

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
    """Average number of requests that wait or run in all replicas, over the counted time."""
    stay_s: float
    """Average seconds from arrival to the last token, over the requests that finished."""
    preempted: int
    """How often a request lost its blocks and began again."""
    pairs: tuple[tuple[float, float], ...] = field(repr=False)
    """TTFT and TPOT of each finished request. TPOT is 0 if the answer has one token."""


@dataclass(slots=True, eq=False)
class EngineRequest:
    """The state of one request."""

    number: int
    stream: int
    arrived: float
    prompt: int
    output: int
    cached: int
    target: int
    """Tokens to prefill: the prompt, and the tokens that it had generated before a preemption."""
    done: int = 0
    """Tokens of `target` that are in the cache."""
    generated: int = 0
    """Tokens of the answer when its prefill ended. While it decodes, the count follows from the step."""
    blocks: int = 0
    """Blocks taken for the prefill. While it decodes, the count follows from its context."""
    lead: int = 0
    """While it decodes: its context minus the number of the step."""
    last_step: int = 0
    preempted: int = 0
    first_token_at: float = math.inf
    ended_at: float = math.inf


class Engine:
    """One engine. It keeps sums over all decoding sequences, so the cost of a step does not grow with the batch."""

    def __init__(self, steps: StepTimes, blocks: int, max_num_seqs: int, batched_tokens: int) -> None:
        self.steps, self.free = steps, blocks
        self.max_num_seqs, self.batched_tokens = max_num_seqs, batched_tokens
        self.waiting: deque[EngineRequest] = deque()
        self.running: dict[int, EngineRequest] = {}
        """Requests in the order of admission. The youngest is the last."""
        self.prefilling: list[EngineRequest] = []
        self.batch = 0
        """Number of decoding sequences. `context` is the sum of their contexts, `phases` counts them by
        `lead % BLOCK`."""
        self.context = 0
        self.phases = [0] * BLOCK
        self.lasts: list[tuple[int, int, int, EngineRequest]] = []
        """A heap of requests by their last step. An entry from before a preemption is ignored."""
        self.step = 0
        self.step_ends = math.inf
        self.ended: list[EngineRequest] = []
        """Requests that ended since the caller last cleared this list."""
        self.decode_times: dict[tuple[int, int], float] = {}

    @property
    def load(self) -> int:
        return len(self.waiting) + len(self.running)

    def cached(self, request: EngineRequest) -> int:
        """Tokens of the prompt that the cache has when its prefill begins."""
        return request.cached

    def add(self, request: EngineRequest, now: float) -> None:
        self.waiting.append(request)
        if self.step_ends == math.inf:
            self._begin(now)

    def advance(self, now: float) -> None:
        """Run all steps that end by `now`."""
        while self.step_ends <= now:
            ended = self.step_ends
            self._end(ended)
            self._begin(ended)

    def _begin(self, now: float) -> None:
        full = False
        # Each decoding sequence whose last block is full needs another block.
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
        """Take the blocks of the youngest request. It must prefill its generated tokens again."""
        _, youngest = self.running.popitem()
        if youngest.done < youngest.target:
            self.free += youngest.blocks
            self.prefilling.remove(youngest)
        else:
            self._leave(youngest, youngest.lead + self.step)
            youngest.generated = youngest.output - (youngest.last_step - self.step + 1)
            youngest.target = youngest.prompt + youngest.generated
        youngest.done = 0
        youngest.preempted += 1
        self.waiting.appendleft(youngest)

    def _leave(self, request: EngineRequest, context: int) -> None:
        """Remove a request from the decoding batch and free its blocks."""
        self.free += -(-context // BLOCK)
        self.batch -= 1
        self.context -= context
        self.phases[request.lead % BLOCK] -= 1

    def _decode_ms(self) -> float:
        # Contexts are rounded to a block, so that most steps hit the cache of step times.
        key = self.batch, round(self.context / self.batch / BLOCK)
        if key not in self.decode_times:
            self.decode_times[key] = self.steps.decode(self.batch, max(1, key[1] * BLOCK))
        return self.decode_times[key]

    def _prefill(self, budget: int, *, admit: bool) -> list[tuple[int, int]]:
        """Distribute the token budget of a step, first come, first served.

        Returns, for each request, the tokens that it had and the tokens that it gets.
        """
        chunks: list[tuple[int, int]] = []
        for request in self._next_to_prefill(admit=admit):
            tokens = min(request.target - request.done, budget)
            chunks.append((request.done, tokens))
            request.done += tokens
            budget -= tokens
            if budget <= 0:
                break
        return chunks

    def _next_to_prefill(self, *, admit: bool) -> Iterator[EngineRequest]:
        """Requests with an unfinished prefill, then waiting requests that the cache and the settings admit."""
        yield from list(self.prefilling)
        while admit and self.waiting and len(self.running) < self.max_num_seqs:
            request = self.waiting[0]
            request.blocks = -(-request.target // BLOCK)
            if request.blocks > self.free:
                return
            self.waiting.popleft()
            self.free -= request.blocks
            request.done = self.cached(request)
            self.running[request.number] = request
            self.prefilling.append(request)
            yield request

    def _prefill_ms(self, chunks: list[tuple[int, int]]) -> float:
        """Milliseconds of prefill chunks. First chunks cost as much as one joint prompt; a later chunk costs what it
        adds to its prompt."""
        prefill = self.steps.prefill
        fresh = sum(tokens for had, tokens in chunks if not had)
        # Measured step times do not always grow with the tokens, so a negative difference counts as 0.
        took = sum(max(0.0, prefill(had + tokens) - prefill(had)) for had, tokens in chunks if had)
        took += prefill(fresh) if fresh else 0.0
        # Without a decoding batch the step reads the weights for these tokens alone, so it has a minimum time.
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
        self.prefilling = [request for request in self.prefilling if request.done < request.target]

    def _token_of_prefill(self, request: EngineRequest, now: float) -> None:
        """The step that ends a prefill generates the first token. The sequence decodes from the next step."""
        request.first_token_at = min(request.first_token_at, now)
        request.generated += 1
        if request.generated >= request.output:
            self.free += request.blocks
            return self._finish(request, now)
        request.lead = request.target - self.step
        request.last_step = self.step + request.output - request.generated - 1
        self.batch += 1
        self.context += request.target
        self.phases[request.lead % BLOCK] += 1
        heapq.heappush(self.lasts, (request.last_step, request.number, request.preempted, request))

    def _finish(self, request: EngineRequest, now: float) -> None:
        request.ended_at = now
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
) -> dict[str, StreamResult]:
    """Simulate the streams on `replicas` replicas. The figures cover requests that arrive from `warm_up` to `seconds`.

    A request goes to the replica with the fewest requests. `cache_tokens`, `max_num_seqs` and `batched_tokens` are for
    one replica. Lengths are cut to its cache, like `max_model_len` does. The load continues after `seconds` until all
    counted requests have ended, for at most `seconds` / 2. A request that has not ended by then is unfinished; without
    a first token it counts with its wait so far. Raises `ValueError` for settings with which nothing can run.
    """
    if replicas < 1 or cache_tokens < 2 * BLOCK or not 0 < max_num_seqs < batched_tokens:
        raise ValueError("it takes a replica, two blocks of cache, and more tokens a step than sequences")
    if not 0 <= warm_up < seconds:
        raise ValueError("the warm-up ends before the run does")
    blocks = cache_tokens // BLOCK
    longest = blocks * BLOCK
    engines = [Engine(steps, blocks, max_num_seqs, batched_tokens) for _ in range(replicas)]
    last, counted_left = seconds * 1.5, 0
    requests: list[EngineRequest] = []
    arrivals = heapq.merge(*(_arrivals(stream, index, seed) for index, stream in enumerate(streams)))
    for number, (now, stream, prompt, output) in enumerate(arrivals):
        for engine in engines:
            engine.advance(min(now, last))
            counted_left -= sum(warm_up <= request.arrived <= seconds for request in engine.ended)
            engine.ended.clear()
        if now > last or (now > seconds and not counted_left):
            break
        output = min(output, longest - 1)
        prompt = min(prompt, longest - output)
        # The engine always computes the last token of a cached prompt, because the next token follows from it.
        cached_tokens = min(int(prompt * streams[stream].hit), prompt - 1)
        request = EngineRequest(number, stream, now, prompt, output, cached_tokens, target=prompt)
        requests.append(request)
        counted_left += warm_up <= now <= seconds
        min(engines, key=lambda engine: engine.load).add(request, now)
    for engine in engines:
        engine.advance(last)
    return {
        stream.name: _result(
            stream.name, [request for request in requests if request.stream == index], warm_up, seconds, last
        )
        for index, stream in enumerate(streams)
    }


def _arrivals(stream: Stream, index: int, seed: int) -> Iterator[tuple[float, int, int, int]]:
    """Endless arrivals: time, stream, tokens of prompt and answer. Lengths do not depend on the arrival rate."""
    if not stream.rate:
        return
    gaps, lengths = random.Random(f"{seed} {index} gaps"), random.Random(f"{seed} {index} lengths")
    now = -gaps.random() / stream.rate
    while True:
        cv = stream.cv
        now += gaps.gammavariate(cv**-2, cv**2 / stream.rate) if cv else 1 / stream.rate
        prompt = _length(lengths, stream.prompt_mean, stream.prompt_p95)
        output = _length(lengths, stream.output_mean, stream.output_p95)
        if now >= 0:
            yield now, index, prompt, output


def _length(random_source: random.Random, mean: float, p95: float) -> int:
    """A log-normal length: p95 = mean · exp(z·σ - σ²/2). Of its two roots, the smaller σ has no extreme tail."""
    sigma = _Z95 - math.sqrt(max(0.0, _Z95**2 - 2 * math.log(p95 / mean)))
    length = math.exp(math.log(mean) - sigma**2 / 2 + sigma * random_source.gauss(0, 1)) if sigma else mean
    return max(1, round(length))


def _result(name: str, requests: list[EngineRequest], begin: float, end: float, last: float) -> StreamResult:
    counted = [request for request in requests if begin <= request.arrived <= end]
    finished = [request for request in counted if request.ended_at < math.inf]
    firsts = [(min(request.first_token_at, last) - request.arrived) * 1000 + FRONT_MS for request in counted]
    tpots = [
        (request.ended_at - request.first_token_at) * 1000 / max(1, request.output - 1)
        for request in finished
    ]
    later_tokens = [tpot for request, tpot in zip(finished, tpots, strict=True) if request.output > 1]
    first_of_ended = [
        first for request, first in zip(counted, firsts, strict=True) if request.ended_at < math.inf
    ]
    present = sum(max(0.0, min(end, request.ended_at) - max(begin, request.arrived)) for request in requests)
    return StreamResult(
        name=name,
        requests=len(counted),
        ttft_p50=_percentile(firsts, 0.5),
        ttft_p95=_percentile(firsts, 0.95),
        tpot_p50=_percentile(later_tokens, 0.5),
        tpot_p95=_percentile(later_tokens, 0.95),
        e2e_p95=_percentile(
            [(request.ended_at - request.arrived) * 1000 + FRONT_MS for request in finished], 0.95
        ),
        finished=len(finished),
        unfinished=len(counted) - len(finished),
        present=present / (end - begin),
        stay_s=statistics.fmean(request.ended_at - request.arrived for request in finished)
        if finished
        else math.nan,
        preempted=sum(request.preempted for request in counted),
        pairs=tuple(zip(first_of_ended, tpots, strict=True)),
    )


def _percentile(values: list[float], part: float) -> float:
    """The smallest value that at least `part` of the values do not exceed."""
    return sorted(values)[max(0, math.ceil(part * len(values)) - 1)] if values else math.nan


def main(arguments: Sequence[str]) -> int:
    """Print the planner's prediction and the simulated figures."""
    # Imported here, because the simulator must not depend on the code that it checks.
    from isthmus.planning.catalogues import gpus, models
    from isthmus.planning.sizing import load, speed
    from isthmus.planning.sizing import size as sizing

    model, gpu, precision, tensor_parallel = (
        models.find_model(arguments[0]),
        gpus.find(arguments[1]),
        arguments[2],
        int(arguments[3]),
    )
    replicas, rate = int(arguments[4]), float(arguments[5])
    (prompt, *prompts), (output, *outputs) = (
        [float(text) for text in argument.split(":")] for argument in arguments[6:]
    )
    prompt_p95, output_p95 = (*prompts, prompt)[0], (*outputs, output)[0]
    lengths = load.Lengths(prompt, output, prompt_p95, output_p95)
    answer = sizing.answer_question(
        sizing.Question(model, gpu, precision, lengths, tensor_parallel=tensor_parallel)
    )
    if not answer.fits:
        print("\n".join(answer.notes), file=sys.stderr)
        return 1
    max_running, steps = (
        answer.max_concurrency,
        speed.find_speed(model, gpu, precision, tensor_parallel).steps,
    )
    prediction = load.serve_workload(steps, lengths, rate / replicas, max_running)
    stream = Stream("all", rate, 1, prompt, prompt_p95, output, output_p95)
    # With sliding-window layers, more sequences fit than the number of cache tokens suggests.
    cache = max(answer.kv_cache_tokens, int(max_running * (prompt + output)))
    sequences, tokens = (1024, 8192) if gpu.large else (256, 2048)
    result = replay(
        steps, [stream], replicas=replicas, cache_tokens=cache, max_num_seqs=sequences, batched_tokens=tokens
    )["all"]
    print(f"{'p95, ms':10}{'predicted':>12}{'simulated':>12}")
    for name in ("ttft_p95", "tpot_p95"):
        predicted = f"{getattr(prediction, name):.1f}" if prediction else "not served"
        print(f"{name:10}{predicted:>12}{getattr(result, name):12.1f}")
    print(f"{result.requests} requests, {result.unfinished} unfinished, {result.preempted} preempted")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]) if len(sys.argv) == 9 else __doc__)

"""Compares ways of choosing the replica of a request, in a simulation with prefix caches.

    python -m bench.prefix_routing [MODEL GPU PRECISION TP] [--replicas N] [--seconds S] [--gateways N] [--seed N]

The replicas are the engines of `bench.simulate` with a cache of their own, and their step times come from the planner's
grid. `prefix` is the edge's own code. `oracle` knows every replica's cache and remaining work, and sends a request to
where its first token comes first, within the same bound of requests in flight. `unbounded` is the oracle without that
bound. Conversations wait for their answers, as people and agents do.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import math
import random
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from bench.simulate import BLOCK, FRONT_MS, Engine, EngineRequest
from edge.routing.prefixes import SLACK, PrefixCache, Prompt, ReplicaChooser
from isthmus.planning.sizing.step_time import StepTimes

CHARACTERS = 4
"""Characters of a token, as in English text."""
WAYS = ("round robin", "least load", "prefix", "oracle", "unbounded")
WARM_UP = 0.2
"""First part of the time. Its requests do not count."""


@dataclass(frozen=True)
class Traffic:
    """Conversations of one kind. Numbers of tokens are means of exponential lengths, at least 16."""

    name: str
    shared: tuple[int, ...]
    """Tokens of each text that conversations share. A conversation begins with one of them, the first most often."""
    turns: tuple[int, int]
    """Fewest and most turns of a conversation."""
    first: int
    """Tokens of the first message after the shared text."""
    message: int
    """Tokens of each further message."""
    answer: int
    pause_s: float
    """Mean seconds between an answer and the next message."""
    utilisation: float = 0.6
    """Part of a replica's time that the traffic takes where nothing is cached. It sets the rate."""


TRAFFICS = (
    Traffic("chat", (400,), (2, 10), 150, 60, 200, 12.0),
    Traffic("RAG", tuple(2000 + 60 * (number % 97) for number in range(160)), (1, 2), 60, 60, 150, 10.0),
    Traffic("agents", (3000, 2500, 2200, 1800), (8, 25), 300, 500, 60, 1.5),
    Traffic("nothing shared", (), (1, 1), 1500, 0, 200, 1.0),
)


class CachingEngine(Engine):
    """An engine that keeps the blocks of finished prompts as long as it has room."""

    def __init__(self, steps: StepTimes, blocks: int, max_num_seqs: int, batched_tokens: int) -> None:
        super().__init__(steps, blocks, max_num_seqs, batched_tokens)
        self.known: OrderedDict[int, None] = OrderedDict()
        self.texts: dict[int, list[int]] = {}
        """Block hashes of each request's prompt by its number."""
        self.hits = 0

    def matched(self, blocks: Sequence[int]) -> int:
        """Tokens of a prompt that are in the cache."""
        return BLOCK * sum(1 for _ in itertools.takewhile(self.known.__contains__, blocks))

    def cached(self, request: EngineRequest) -> int:
        tokens = min(self.matched(self.texts[request.number]), request.prompt - 1)
        self.hits += tokens if not request.preempted else 0
        request.cached = tokens
        return tokens

    def keep(self, blocks: Sequence[int]) -> None:
        """Note the blocks of a prompt that was computed."""
        for block in reversed(blocks):
            self.known[block] = None
            self.known.move_to_end(block)
        while len(self.known) > max(0, self.free):
            self.known.popitem(last=False)

    def remaining_ms(self) -> float:
        """Milliseconds of prefill that a new request waits for."""
        waiting = sum(
            self._uncached_ms(request.target, self.matched(self.texts[request.number]))
            for request in self.waiting
        )
        return waiting + sum(self._uncached_ms(request.target, request.done) for request in self.prefilling)

    def first_token_ms(self, tokens: int, blocks: Sequence[int]) -> float:
        """Milliseconds until the first token of a request that comes now."""
        decode = self._decode_ms() if self.batch else 0.0
        return self.remaining_ms() + decode + self._uncached_ms(tokens, self.matched(blocks))

    def _uncached_ms(self, tokens: int, cached: int) -> float:
        return self.steps.prefill(tokens) - (self.steps.prefill(cached) if cached else 0.0)


@dataclass
class _Replica:
    """A replica as one gateway sees it."""

    address: str
    running: int = 0
    prefixes: PrefixCache = field(default_factory=PrefixCache)


@dataclass
class _Session:
    text: str
    turns: int
    random: random.Random


@dataclass(frozen=True)
class Result:
    """The figures of one way."""

    way: str
    requests: int
    hit: float
    """Share of the prompts' tokens that were cached."""
    ttft_p50: float
    ttft_p95: float


class Simulation:
    """One way of routing under one traffic."""

    def __init__(
        self,
        way: str,
        traffic: Traffic,
        engines: list[CachingEngine],
        *,
        rate: float,
        gateways: int,
        seed: int,
    ) -> None:
        """`rate`: conversations a second."""
        self.way, self.traffic, self.engines, self.rate = way, traffic, engines, rate
        self._random = random.Random(f"{seed} {traffic.name}")
        self._turn = itertools.count()
        self._gateways = [
            [_Replica(f"10.0.0.{n}:8443") for n in range(len(engines))] for _ in range(gateways)
        ]
        for replica in itertools.chain.from_iterable(self._gateways):
            replica.prefixes.resize(engines[0].free * BLOCK)
        self._choosers = [ReplicaChooser() for _ in self._gateways]
        self._running: dict[int, tuple[_Session, _Replica, CachingEngine, str]] = {}
        self._shared = [_text(self._random, tokens) for tokens in traffic.shared]
        self.done: list[EngineRequest] = []

    def run(self, seconds: float) -> Result:
        """Simulate and return the figures of the requests after the warm-up."""
        due = [(at, number, session) for number, (at, session) in enumerate(self._sessions(seconds))]
        heapq.heapify(due)
        numbers = itertools.count()
        while due or self._running:
            steps_end = min(engine.step_ends for engine in self.engines)
            now = min(due[0][0] if due else math.inf, steps_end)
            if now > 2 * seconds:
                break
            for engine in self.engines:
                engine.advance(now)
                for request in engine.ended:
                    if (next_turn := self._end(request)) is not None:
                        heapq.heappush(due, next_turn)
                engine.ended.clear()
            while due and due[0][0] <= now:
                _, _, session = heapq.heappop(due)
                self._begin(next(numbers), session, now)
        counted = [request for request in self.done if WARM_UP * seconds <= request.arrived <= seconds]
        firsts = sorted((request.first_token_at - request.arrived) * 1000 + FRONT_MS for request in counted)
        tokens = sum(request.prompt for request in counted)
        return Result(
            self.way,
            len(counted),
            sum(request.cached for request in counted) / max(1, tokens),
            firsts[len(firsts) // 2],
            firsts[int(len(firsts) * 0.95)],
        )

    def _sessions(self, seconds: float) -> Iterator[tuple[float, _Session]]:
        now, traffic = 0.0, self.traffic
        weights = [1 / (1 + number) ** 0.7 for number in range(len(self._shared))]
        while (now := now + self._random.expovariate(self.rate)) < seconds:
            source = random.Random(self._random.random())
            shared = source.choices(self._shared, weights)[0] if self._shared else ""
            session = _Session(
                shared + _text(source, _length(source, traffic.first)), source.randint(*traffic.turns), source
            )
            yield now, session

    def _begin(self, number: int, session: _Session, now: float) -> None:
        tokens, blocks = len(session.text) // CHARACTERS, _block_hashes(session.text)
        replicas = self._random.choice(self._gateways)
        chosen = self._choose(session.text, tokens, blocks, replicas)
        engine, replica = self.engines[chosen], replicas[chosen]
        replica.running += 1
        engine.texts[number] = blocks
        output = _length(session.random, self.traffic.answer)
        request = EngineRequest(number, 0, now, tokens, output, 0, target=tokens)
        answer = _text(session.random, output)
        self._running[number] = session, replica, engine, answer
        engine.add(request, now)

    def _choose(self, text: str, tokens: int, blocks: list[int], replicas: list[_Replica]) -> int:
        turn = next(self._turn)
        if self.way == "round robin":
            return turn % len(replicas)
        if self.way in ("oracle", "unbounded"):
            most = math.ceil(SLACK * (1 + sum(engine.load for engine in self.engines)) / len(self.engines))
            most = most if self.way == "oracle" else math.inf
            return min(
                (number for number, engine in enumerate(self.engines) if engine.load <= most),
                key=lambda number: self.engines[number].first_token_ms(tokens, blocks),
            )
        chosen = None
        prompt = Prompt("", text)
        if self.way == "prefix":
            chooser = self._choosers[self._gateways.index(replicas)]
            chosen = chooser.choose(prompt, replicas)
        if chosen is None:
            order = [*range(turn % len(replicas), len(replicas)), *range(turn % len(replicas))]
            chosen = replicas[min(order, key=lambda number: replicas[number].running)]
        chosen.prefixes.add(prompt.chunks)
        return replicas.index(chosen)

    def _end(self, request: EngineRequest) -> tuple[float, int, _Session] | None:
        """End a request. The next turn of its conversation, if there is one."""
        session, replica, engine, answer = self._running.pop(request.number)
        replica.running -= 1
        self.done.append(request)
        session.text += answer
        engine.keep(_block_hashes(session.text))
        del engine.texts[request.number]
        session.turns -= 1
        if not session.turns:
            return None
        session.text += _text(session.random, _length(session.random, self.traffic.message))
        pause = session.random.expovariate(1 / self.traffic.pause_s)
        return request.ended_at + pause, request.number, session


def _text(source: random.Random, tokens: int) -> str:
    return source.randbytes(tokens * CHARACTERS // 2).hex()


def _length(source: random.Random, mean: int) -> int:
    return 16 + int(source.expovariate(1 / (mean - 16)))


def _block_hashes(text: str) -> list[int]:
    size, hashed, hashes = BLOCK * CHARACTERS, 0, []
    for start in range(0, len(text) - size + 1, size):
        hashed = hash((hashed, text[start : start + size]))
        hashes.append(hashed)
    return hashes


def conversations_a_second(traffic: Traffic, steps: StepTimes, replicas: int) -> float:
    """The rate of conversations that takes `utilisation` of the replicas without any cached token."""
    shared = sum(traffic.shared) / len(traffic.shared) if traffic.shared else 0
    turns, busy_ms, context = sum(traffic.turns) / 2, 0.0, shared + traffic.first
    for _ in range(round(turns)):
        busy_ms += steps.prefill(context) + traffic.answer * steps.decode(32, context) / 32
        context += traffic.answer + traffic.message
    return traffic.utilisation * replicas * 1000 / busy_ms


def compare(
    traffic: Traffic,
    engine: Callable[[], CachingEngine],
    *,
    replicas: int,
    seconds: float,
    gateways: int = 1,
    seed: int = 1,
    ways: Sequence[str] = WAYS,
) -> dict[str, Result]:
    """The figures of each way under the same traffic."""
    rate = conversations_a_second(traffic, engine().steps, replicas)
    return {
        way: Simulation(
            way, traffic, [engine() for _ in range(replicas)], rate=rate, gateways=gateways, seed=seed
        ).run(seconds)
        for way in ways
    }


def planned_engine(model: str, gpu: str, precision: str, tensor_parallel: int) -> Callable[[], CachingEngine]:
    """Makes engines with the step times and the cache that the planner computes."""
    from isthmus.planning.catalogues import gpus, models
    from isthmus.planning.sizing import load, speed
    from isthmus.planning.sizing import size as sizing

    found_model, found_gpu = models.find_model(model), gpus.find(gpu)
    answer = sizing.answer_question(
        sizing.Question(
            found_model,
            found_gpu,
            precision,
            load.Lengths(2000, 200, 4000, 400),
            tensor_parallel=tensor_parallel,
        )
    )
    steps = speed.find_speed(found_model, found_gpu, precision, tensor_parallel).steps
    sequences, tokens = (1024, 8192) if found_gpu.large else (256, 2048)
    return lambda: CachingEngine(steps, answer.kv_cache_tokens // BLOCK, sequences, tokens)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench.prefix_routing")
    parser.add_argument("model", nargs="?", default="meta-llama/Llama-3.3-70B-Instruct")
    parser.add_argument("gpu", nargs="?", default="h100-sxm-80gb")
    parser.add_argument("precision", nargs="?", default="fp8")
    parser.add_argument("tp", nargs="?", type=int, default=2)
    parser.add_argument("--replicas", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--gateways", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    engine = planned_engine(options.model, options.gpu, options.precision, options.tp)
    print(f"{'traffic':16}{'way':14}{'requests':>10}{'cached':>9}{'TTFT p50':>11}{'p95, ms':>10}")
    for traffic in TRAFFICS:
        results = compare(
            traffic,
            engine,
            replicas=options.replicas,
            seconds=options.seconds,
            gateways=options.gateways,
            seed=options.seed,
        )
        for way, result in results.items():
            print(
                f"{traffic.name:16}{way:14}{result.requests:10}{result.hit:9.1%}"
                f"{result.ttft_p50:11.0f}{result.ttft_p95:10.0f}"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

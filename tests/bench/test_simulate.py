"""The simulated engine: what must hold of any queue, and of one that batches continuously."""

from __future__ import annotations

import ast
import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import simulate
from bench.simulate import FRONT_MS, Stream, StreamResult, replay

PLENTY = 10_000_000


class Plain:
    """A millisecond for ten tokens of prompt; ten for a step, and a tenth more for each sequence."""

    def prefill(self, tokens: float) -> float:
        return tokens / 10

    def decode(self, batch: float, context: float) -> float:
        return 10 + batch / 10

    def decode_at(self, context: float) -> Callable[[float], float]:
        return lambda batch: self.decode(batch, context)


class Attentive(Plain):
    """A millisecond more for each million of tokens that are read."""

    def decode(self, batch: float, context: float) -> float:
        return super().decode(batch, context) + batch * context / 1_000_000


STEPS = Plain()
CHAT = Stream("chat", 2, 1, 1000, 2500, 200, 500)
FIXED = Stream("fixed", 2, 1, 1000, 1000, 200, 200)
TOP = 1000 / (100 + 199 * (10 + 256 / 10) / 256)
"""Requests a second of `FIXED` that 256 sequences at once make: a prefill, and their part of 199 steps each."""


def simulate_single(
    stream: Stream = CHAT,
    *,
    steps: Plain = STEPS,
    replicas: int = 1,
    cache_tokens: int = PLENTY,
    max_num_seqs: int = 256,
    seconds: float = 600,
    seed: int = 1,
) -> StreamResult:
    return replay(
        steps,
        [stream],
        replicas=replicas,
        cache_tokens=cache_tokens,
        max_num_seqs=max_num_seqs,
        seconds=seconds,
        seed=seed,
    )[stream.name]


def at(rate: float, stream: Stream = CHAT, **changes: float) -> Stream:
    return dataclasses.replace(stream, rate=rate, **changes)


def test_a_request_alone_takes_its_prefill_and_its_steps() -> None:
    result = simulate_single(at(0.1, FIXED, cv=0))
    assert (result.ttft_p50, result.ttft_p95) == pytest.approx((100 + FRONT_MS, 100 + FRONT_MS))
    assert (result.tpot_p50, result.tpot_p95) == pytest.approx((10.1, 10.1))
    assert result.e2e_p95 == pytest.approx(100 + 199 * 10.1 + FRONT_MS)
    assert result.requests == result.finished == 54


def test_under_a_light_load_a_first_token_waits_for_little_more_than_a_step() -> None:
    # One other decodes nearly always: what is left of its step, then a step that has its token and the prefill.
    result = simulate_single(at(1, FIXED, cv=0, output_mean=96, output_p95=96))
    assert 100 + FRONT_MS <= result.ttft_p50 <= 100 + 2 * 10.2 + FRONT_MS
    by_step = simulate_single(at(1, FIXED, cv=0, output_mean=120, output_p95=120))
    assert by_step.ttft_p50 == pytest.approx(100 + 10.1 * 1.5 + FRONT_MS, abs=10.1 / 2 + 0.2)


@pytest.mark.parametrize("rate", [2, 6, 9, 20])
def test_throughput_does_not_exceed_the_limit_of_the_step_times(rate: float) -> None:
    # Past `seconds` the engine works on for half as long at most.
    result = simulate_single(at(rate, FIXED), seconds=300)
    assert result.finished <= TOP * (450 if result.unfinished else 300)


def test_a_saturated_engine_makes_what_its_steps_allow() -> None:
    result = simulate_single(at(20, FIXED), seconds=600)
    # Of those that arrived after the warm-up it served all it could until the end, at 900 s.
    warm_up = 20 * 60
    assert result.finished + warm_up == pytest.approx(TOP * 900, rel=0.03)


@pytest.mark.parametrize("stream", [at(4), at(4, FIXED), at(3, cv=2)])
def test_littles_law_holds(stream: Stream) -> None:
    result = simulate_single(stream, seconds=3000)
    came = result.requests / (3000 - 60)
    assert came == pytest.approx(stream.rate, rel=0.05)
    assert result.present == pytest.approx(came * result.stay_s, rel=0.05)


def test_an_engine_below_its_capacity_finishes_every_request() -> None:
    assert simulate_single(at(5)).unfinished == 0


def test_overload_leaves_requests_unfinished_and_waits_grow_with_time() -> None:
    short, long = simulate_single(at(20), seconds=200), simulate_single(at(20), seconds=400)
    assert short.unfinished > 0
    assert long.ttft_p95 > 1.5 * short.ttft_p95 > 10 * simulate_single(at(4)).ttft_p95


def test_a_second_replica_helps() -> None:
    single, double = simulate_single(at(6)), simulate_single(at(6), replicas=2)
    assert double.ttft_p95 < single.ttft_p95 / 2
    assert double.tpot_p95 < single.tpot_p95


def test_two_replicas_do_at_least_as_well_as_one_with_half_of_the_load() -> None:
    # The shortest queue beats a coin: of two replicas with double the load.
    assert simulate_single(at(8), replicas=2).ttft_p95 < simulate_single(at(4)).ttft_p95


def test_prefix_hits_help_but_use_cache_space() -> None:
    cold, warm = simulate_single(at(6)), simulate_single(at(6, hit=0.8))
    assert warm.ttft_p50 < cold.ttft_p50 / 2
    assert warm.tpot_p95 < cold.tpot_p95
    tight = simulate_single(at(6, FIXED, hit=0.8), cache_tokens=4 * 1200)
    assert tight.ttft_p95 > 2 * simulate_single(at(6, FIXED, hit=0.8)).ttft_p95


def test_a_fully_cached_prompt_still_computes_its_last_token() -> None:
    assert simulate_single(at(0.1, FIXED, cv=0, hit=1)).ttft_p50 == pytest.approx(0.1 + FRONT_MS)


def test_a_seed_reproduces_a_run_and_another_seed_changes_it() -> None:
    assert simulate_single(seed=1) == simulate_single(seed=1)
    assert simulate_single(seed=1).pairs != simulate_single(seed=2).pairs


def test_streams_share_an_engine_and_are_counted_apart() -> None:
    batch = Stream("batch", 0.2, 1, 8000, 16000, 400, 800)
    results = replay(STEPS, [CHAT, batch], replicas=1, cache_tokens=PLENTY)
    assert results["chat"].requests == pytest.approx(2 * 540, rel=0.15)
    assert results["batch"].requests == pytest.approx(0.2 * 540, rel=0.4)
    assert results["chat"].ttft_p95 > simulate_single(CHAT).ttft_p95


def test_a_small_cache_makes_requests_wait() -> None:
    free, tight = simulate_single(at(3)), simulate_single(at(3), cache_tokens=10_000)
    assert free.preempted == 0
    assert tight.ttft_p95 > 2 * free.ttft_p95
    assert tight.requests == free.requests == tight.finished


def test_a_preempted_request_still_gets_all_its_tokens() -> None:
    # Two of 320 tokens start in a cache of 480, and only one can end there: the other begins again.
    stream = Stream("long", 1, 1, 160, 160, 160, 160)
    free, tight = simulate_single(stream), simulate_single(stream, cache_tokens=480)
    assert tight.preempted > 0 == free.preempted
    assert tight.finished == free.finished == free.requests
    assert tight.tpot_p95 > free.tpot_p95


def test_every_block_is_freed() -> None:
    stream = Stream("long", 2, 2, 100, 300, 100, 300)
    engine = simulate.Engine(STEPS, 60, 8, 512)
    arrivals = simulate._arrivals(stream, 0, 1)
    for number, (now, _, prompt, output) in zip(range(400), arrivals, strict=False):
        engine.advance(now)
        output_tokens = min(output, 480)
        prompt_tokens = min(prompt, 480)
        engine.add(
            simulate.EngineRequest(
                number, 0, now, prompt_tokens, output_tokens, cached=0, target=prompt_tokens
            ),
            now,
        )
    engine.advance(1e9)
    assert len(engine.ended) == 400
    assert sum(request.preempted for request in engine.ended) > 0
    assert (engine.free, engine.batch, engine.context, engine.load) == (60, 0, 0, 0)
    assert not any(engine.phases)


def test_the_number_of_running_requests_stays_within_the_settings() -> None:
    free, few = simulate_single(at(3)), simulate_single(at(3), max_num_seqs=4)
    assert few.ttft_p95 > free.ttft_p95
    assert few.tpot_p95 < free.tpot_p95 + 0.1


def test_a_longer_context_makes_a_step_longer() -> None:
    steps = Attentive()
    long = at(0.05, FIXED, cv=0, prompt_mean=50_000, prompt_p95=50_000)
    assert simulate_single(long, steps=steps).tpot_p50 == pytest.approx(10.1 + 0.0501, abs=0.002)


def test_short_prompts_share_a_step_and_a_long_one_is_cut() -> None:
    engine = simulate.Engine(STEPS, 100_000, 256, 1024)
    for number, prompt in enumerate((100, 100, 2000)):
        engine.add(simulate.EngineRequest(number, 0, 0.0, prompt, 2, cached=0, target=prompt), 0.0)
    # The first came alone; then its token, and 1,023 of the others' 2,100; then the second's, and the rest.
    engine.advance(1e9)
    first, second, third = sorted(engine.ended, key=lambda request: request.number)
    assert first.first_token_at == pytest.approx(0.010)
    assert second.first_token_at == pytest.approx(0.010 + 0.0101 + 0.1023)
    assert third.first_token_at == pytest.approx(second.first_token_at + 0.0101 + 0.1023 + 0.0054, abs=1e-9)


@pytest.mark.parametrize("rate", [3, 6])
def test_regular_arrivals_wait_less_than_bursts(rate: float) -> None:
    metronome, chance, bursts = (simulate_single(at(rate, FIXED, cv=cv)) for cv in (0, 1, 3))
    assert metronome.ttft_p95 < chance.ttft_p95 < bursts.ttft_p95
    assert metronome.requests == pytest.approx(rate * 540, abs=1)


def test_lengths_have_the_requested_mean_and_95th_percentile() -> None:
    arrivals = simulate._arrivals(Stream("all", 1, 1, 1000, 3000, 50, 50), 0, 1)
    drawn = [next(arrivals) for _ in range(20_000)]
    prompts = sorted(arrival[2] for arrival in drawn)
    assert sum(prompts) / len(prompts) == pytest.approx(1000, rel=0.05)
    assert prompts[19_000] == pytest.approx(3000, rel=0.05)
    assert {arrival[3] for arrival in drawn} == {50}


def test_answers_of_one_token_have_no_time_per_token() -> None:
    result = simulate_single(at(2, FIXED, output_mean=1, output_p95=1))
    assert math.isnan(result.tpot_p50)
    assert result.finished == result.requests


@pytest.mark.parametrize(
    "wrong", [{"replicas": 0}, {"cache_tokens": 16}, {"max_num_seqs": 8192}, {"seconds": 60}]
)
def test_settings_with_which_nothing_can_run_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"takes|ends"):
        simulate_single(**wrong)  # pyright: ignore[reportArgumentType]


def test_a_percentile_that_no_log_normal_length_has_is_refused() -> None:
    with pytest.raises(ValueError, match="percentile"):
        at(1, prompt_p95=999)
    with pytest.raises(ValueError, match="percentile"):
        at(1, prompt_p95=4000)


def test_the_simulator_shares_no_code_with_the_model_that_it_checks() -> None:
    tree = ast.parse(Path(simulate.__file__).read_text("utf-8"))
    top = [ast.unparse(node) for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert [statement for statement in top if "isthmus" in statement] == [
        "from isthmus.planning.sizing.step_time import StepTimes"
    ]

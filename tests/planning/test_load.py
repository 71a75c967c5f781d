"""A replica under load: waiting times grow with it, and a rate beyond its capacity gets no latency."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.planning.sizing import load
from isthmus.planning.sizing.load import Lengths, LoadShare


class Plain:
    """A millisecond for ten tokens of prompt; ten for a step, and a twentieth more for each sequence."""

    def prefill(self, tokens: float) -> float:
        return tokens / 10

    def decode(self, batch: float, context: float) -> float:
        return 10 + batch / 20

    def decode_at(self, context: float) -> Callable[[float], float]:
        return lambda batch: self.decode(batch, context)


STEPS = Plain()
CHAT = Lengths(3000, 300, 6000, 600)


def test_concurrent_callers_share_the_time_of_the_engine() -> None:
    # A request costs 300 ms of prefill and its part of 300 steps of 10.5 ms that ten share.
    assert load.closed_loop_rate(STEPS, CHAT, 10, 100) == pytest.approx(1000 / (300 + 300 * 10.5 / 10))


def test_more_callers_than_the_cache_holds_are_served_no_faster() -> None:
    assert load.closed_loop_rate(STEPS, CHAT, 500, 50) == load.closed_loop_rate(STEPS, CHAT, 50, 50)


def test_an_unsustainable_rate_has_no_latency() -> None:
    top = load.capacity(STEPS, CHAT, 100)
    assert load.serve_workload(STEPS, CHAT, top * 0.9, 100) is not None
    assert load.serve_workload(STEPS, CHAT, top * 1.1, 100) is None


def test_a_tiny_load_has_no_queueing_time() -> None:
    served = load.serve_workload(STEPS, CHAT, 1e-6, 100)
    assert served is not None
    assert served.tpot_mean == pytest.approx(STEPS.decode(1, 1), rel=0.01)
    least = load.FRONTEND_MS + load.FIRST_TOKEN_STEPS * 10.05 + 300
    assert served.ttft_mean == pytest.approx(least, rel=0.01)
    assert served.ttft_p95 > served.ttft_mean


def test_cached_prompt_tokens_are_not_computed_again() -> None:
    cached = Lengths(3000, 300, 6000, 600, hit=0.5)
    assert load.prefill_ms(STEPS, 3000, 0.5) == pytest.approx(150)
    assert load.capacity(STEPS, cached, 100) > load.capacity(STEPS, CHAT, 100)


def test_bursts_of_requests_lengthen_the_waiting_time() -> None:
    calm, burst = (load.serve_workload(STEPS, CHAT, 2.0, 100, cv) for cv in (1.0, 3.0))
    assert calm is not None
    assert burst is not None
    assert burst.ttft_p95 > calm.ttft_p95
    assert burst.tpot_p95 > calm.tpot_p95


def test_two_equal_workloads_cost_as_much_as_one_of_their_sum() -> None:
    halves = load.serve_shares(STEPS, [LoadShare(CHAT, 0.5), LoadShare(CHAT, 0.5)], 100)
    serve = load.serve_workload(STEPS, CHAT, 1.0, 100)
    assert halves is not None
    assert serve is not None
    for half in halves:
        assert (half.ttft_p95, half.tpot_p95) == pytest.approx((serve.ttft_p95, serve.tpot_p95))


def test_short_answers_are_slowed_the_most_by_long_prompts_of_others() -> None:
    short, long = Lengths(700, 20, 1600, 30), Lengths(3000, 300, 6000, 600)
    alone = load.serve_workload(STEPS, short, 1.0, 100)
    beside = load.serve_shares(STEPS, [LoadShare(short, 1.0), LoadShare(long, 1.0)], 100)
    assert alone is not None
    assert beside is not None
    assert beside[0].tpot_p95 > 2 * alone.tpot_p95
    assert beside[0].tpot_p95 > beside[1].tpot_p95
    assert load.serve_shares(STEPS, [LoadShare(short, 1.0), LoadShare(long, 4.0)], 100) is None


def test_an_embedding_request_has_no_decode_steps() -> None:
    read = Lengths(300, 0, 300, 0)
    served = load.serve_workload(STEPS, read, 10, 256)
    assert served is not None
    assert served.running == pytest.approx(0, abs=1e-3)
    assert load.closed_loop_rate(STEPS, read, 64, 256) == pytest.approx(1000 / 30)


def test_the_spread_of_lengths_follows_from_mean_and_p95() -> None:
    assert load._lognormal_sigma(100, 100) == 0
    sigma = 0.8
    mean, p95 = math.exp(sigma**2 / 2), math.exp(1.645 * sigma)
    assert load._lognormal_sigma(mean, p95) == pytest.approx(sigma, rel=0.01)


def test_long_prompts_weigh_more_than_their_share_if_prefill_is_quadratic() -> None:
    class Square(Plain):
        def prefill(self, tokens: float) -> float:
            return tokens**2 / 1e5

    mean, square = load._prefill_moments(Square(), Lengths(1000, 10, 2000, 10))
    sigma = load._lognormal_sigma(1000, 2000)
    assert mean == pytest.approx(10 * math.exp(sigma**2), rel=0.02)
    assert square > mean**2


def test_a_load_that_nearly_fills_the_cache_gets_no_prediction() -> None:
    served = load.serve_workload(STEPS, CHAT, 1.0, 100)
    assert served is not None
    assert load.serve_workload(STEPS, CHAT, 1.0, served.running * 1.2) is None


def test_p95_time_per_token_exceeds_the_mean_because_of_prefills() -> None:
    served = load.serve_workload(STEPS, CHAT, 2.0, 200)
    assert served is not None
    assert served.tpot_p95 > 1.2 * served.tpot_mean


LENGTHS = st.builds(
    lambda prompt, output, more, hit: Lengths(prompt, output, prompt * more, output * more, hit),
    st.floats(1, 20000),
    st.floats(1, 4000),
    st.floats(1, 4),
    st.floats(0, 0.95),
)


@given(LENGTHS, st.floats(0.01, 0.99), st.floats(1, 500))
def test_a_heavier_load_is_never_served_faster(lengths: Lengths, part: float, most: float) -> None:
    top = load.capacity(STEPS, lengths, most)
    lighter, heavier = (
        load.serve_workload(STEPS, lengths, top * part * factor, most) for factor in (0.5, 1.0)
    )
    if heavier is None:
        return
    assert lighter is not None
    assert lighter.running <= heavier.running + 1e-9
    assert lighter.tpot_mean <= heavier.tpot_mean + 1e-9
    assert lighter.ttft_p95 <= heavier.ttft_p95 + 1e-6
    assert heavier.running <= most
    assert heavier.tpot_p95 >= heavier.tpot_mean
    # Little's law: as many run as come while one is answered.
    if heavier.running > 1:
        needed = heavier.rate * lengths.output * heavier.tpot_mean / 1000
        assert heavier.running == pytest.approx(needed, rel=0.01, abs=0.01)

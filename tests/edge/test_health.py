"""Health of endpoints and shares of GPU time, with a clock that the test controls."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config import Place
from edge.openai_api import Refusal
from edge.routing import Unsent, Upstream, UpstreamCall
from edge.routing.endpoint import Broken
from edge.routing.gpu_time import Sharing
from edge.routing.health import FIRST_S, IN_A_ROW, LONGEST_S, Health
from edge.routing.replica import Replica
from edge.usage_accounts import cost


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_failing_endpoint_is_paused_twice_as_long_each_time():
    clock = Clock()
    health = Health(clock)
    pauses = []
    for _ in range(IN_A_ROW - 1):
        health.refused()
        assert health.good, "one replica of several may be dead"
    for _ in range(8):
        assert health.good
        health.refused()
        began = clock.now
        while not health.good:
            clock.now += 0.5
        pauses.append(clock.now - began)
    assert pauses == [FIRST_S, 2, 4, 8, 16, LONGEST_S, LONGEST_S, LONGEST_S]
    health.took()
    for _ in range(IN_A_ROW):
        health.refused()
    assert not health.good
    clock.now += FIRST_S
    assert health.good, "what it took in between began the count anew"


def test_an_endpoint_that_serves_between_failures_is_never_paused():
    health = Health(Clock())
    for _ in range(20):
        for _ in range(IN_A_ROW - 1):
            health.refused()
        assert health.good
        health.took()


def test_several_simultaneous_failures_pause_an_endpoint_only_once():
    clock = Clock()
    health = Health(clock)
    for _ in range(50):
        health.refused()
    clock.now = FIRST_S
    assert health.good


def test_a_health_probe_overrides_failures_and_successes():
    clock = Clock()
    health = Health(clock)
    health.said(False)
    assert not health.good
    health.refused()
    health.said(True)
    assert health.good, "one that came back is asked at once"


# Steps: seconds that pass, and the requests that begin or end.
STEPS = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 4)), max_size=40)


@given(STEPS)
def test_shares_of_gpu_time_add_up_to_the_busy_time(steps: list[tuple[int, int]]):
    clock = Clock()
    sharing = Sharing(clock)
    entered: dict[int, float] = {}
    shares, busy = [0.0], 0.0
    for passed, request in [*steps, *((1, request_number) for request_number in range(5))]:
        busy += passed if entered else 0
        clock.now += passed
        if request in entered:
            shares.append(sharing.leave(entered.pop(request)))
        else:
            entered[request] = sharing.enter()
    for request in list(entered):
        shares.append(sharing.leave(entered.pop(request)))
    assert sum(shares) == pytest.approx(busy)
    assert min(shares) >= 0


def test_requests_of_other_gateways_reduce_the_share_of_gpu_time():
    clock = Clock()
    sharing = Sharing(clock)
    began = sharing.enter()
    sharing.report(4)
    clock.now += 8
    assert sharing.leave(began) == 2


def test_what_other_gateways_run_is_not_forgotten_when_a_request_of_this_one_ends():
    clock = Clock()
    sharing = Sharing(clock)
    ending, staying = sharing.enter(), sharing.enter()
    sharing.report(5)
    sharing.leave(ending)
    clock.now += 8
    assert sharing.leave(staying) == 2


class Failing:
    """An endpoint that fails as the test says."""

    def __init__(self, error: httpx.HTTPError) -> None:
        self.error, self.replicas = error, [Replica("https://m.svc:8443", _unused, 5)]

    async def post(
        self, path: str, headers: dict[str, str], body: bytes, *, replica: Replica, fresh: bool
    ) -> Any:
        raise self.error


async def _unused(url: str, fresh: bool) -> bytes | None:
    raise AssertionError("this replica is not probed")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx.ConnectError(""), Unsent),
        (httpx.ConnectTimeout(""), Unsent),
        (httpx.PoolTimeout(""), Unsent),
        (httpx.ReadTimeout(""), Refusal),
        (httpx.ReadError(""), Broken),
        (httpx.WriteError(""), Broken),
        (httpx.RemoteProtocolError(""), Broken),
    ],
)
def test_a_request_that_may_still_run_is_never_sent_again(error: httpx.HTTPError, kind: type[Refusal]):
    endpoint: Any = Failing(error)
    opened = UpstreamCall(Upstream(Place(**PLACE), endpoint, "m"))
    for _ in range(IN_A_ROW - 1):
        endpoint.replicas[0].health.refused()
    with pytest.raises(Refusal) as caught:
        asyncio.run(opened.send("/v1/chat/completions", b"{}", {}))
    assert type(caught.value) is kind
    assert endpoint.replicas[0].health.good is (kind is Refusal)


PLACE: Any = {"url": "https://m.svc:8443", "server_name": "m.svc", "model": "m"}


@pytest.mark.parametrize(
    ("priced", "expected"),
    [
        ({}, (40.0, None)),
        ({"gpus": 4, "usd_per_gpu_hour": 2.5}, (40.0, 40 / 3600 * 2.5)),
        ({"usd_per_million_tokens": {"prompt": 3, "completion": 15}}, (40.0, (3 * 1000 + 15 * 100) / 1e6)),
    ],
)
def test_a_request_is_priced_by_gpu_time_or_tokens_or_not_at_all(priced: dict, expected: tuple):
    assert cost(Place(**PLACE, **priced), 40.0, 1000, 100) == pytest.approx(expected)
    assert cost(Place(**PLACE), None, 1000, 100) == (None, None)


@pytest.mark.parametrize(("cached", "usd"), [(None, 3 * 1000), (0.3, 3 * 400 + 0.3 * 600), (0, 3 * 400)])
def test_cached_tokens_have_their_own_price_where_it_is_known(cached: float | None, usd: float):
    priced: dict = {"usd_per_million_tokens": {"prompt": 3, "completion": 15, "cached": cached}}
    place = Place(**PLACE, **priced)
    assert cost(place, None, 1000, 100, cached=600)[1] == pytest.approx((usd + 15 * 100) / 1e6)

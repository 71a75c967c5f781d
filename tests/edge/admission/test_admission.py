"""Which requests wait for an endpoint, which go to the overflow instead, and how long they may wait."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from edge.admission import Admission, Who
from edge.openai_api import Refusal
from tests.edge.admission.virtual_time import FakeEndpoint, run

CHAT = "/v1/chat/completions"


class FakeModel:
    """What admission uses of a routed model."""

    def __init__(self, *endpoints: FakeEndpoint, overflow: bool = False, unlimited: bool = False) -> None:
        self.endpoints, self.overflow, self.unlimited = list(endpoints), overflow, unlimited
        self.full = self.has_fallback = False
        self.route = SimpleNamespace(workload="claims")

    def limited_of(self, variant: str) -> list[FakeEndpoint]:
        return [] if variant else self.endpoints

    def has_unlimited(self, variant: str) -> bool:
        return self.unlimited

    def overflow_when_full(self, path: str) -> bool:
        return self.overflow

    def overflows_now(self, path: str) -> bool:
        return self.full


def admission_of(model: FakeModel, **workload: Any) -> Admission:
    defaults = {"name": "claims", "slo": None, "mode": "interactive", "weight": 1}
    config = SimpleNamespace(
        limits=SimpleNamespace(probe_s=1.0, request_timeout_s=60.0),
        workloads=[SimpleNamespace(**{**defaults, **workload})],
    )
    return Admission(cast(Any, config), cast(Any, SimpleNamespace(models=[model])))


def who(caller: str = "a", number: int = 0) -> Who:
    return Who("claims", caller, False, {"messages": [{"role": "user", "content": str(number)}]})


def goal(ttft_ms: float) -> dict[str, Any]:
    return {"slo": SimpleNamespace(ttft_p95_ms=ttft_ms)}


def test_an_endpoint_without_concurrency_admits_everybody():
    async def ask() -> Any:
        model = FakeModel()
        admission = admission_of(model)
        admission.check(cast(Any, model), CHAT, who())
        return await admission.enter(cast(Any, model), CHAT, "", who())

    assert run(ask) == (None, False)


def test_what_would_wait_too_long_goes_to_the_overflow_and_is_not_refused():
    async def ask() -> tuple[Any, Any]:
        model = FakeModel(FakeEndpoint(1), overflow=True)
        admission = admission_of(model, **goal(1000))
        taken, _ = await admission.enter(cast(Any, model), CHAT, "", who())
        admission.check(cast(Any, model), CHAT, who("b"))
        instead = await admission.enter(cast(Any, model), CHAT, "", who("b"))
        assert taken is not None
        taken.release()
        return instead, model.endpoints[0].window.running

    assert run(ask) == ((None, True), 0)


def test_where_the_overflow_comes_first_nobody_waits():
    async def ask() -> Any:
        model = FakeModel(FakeEndpoint(1), overflow=True)
        model.full = True
        return await admission_of(model).enter(cast(Any, model), CHAT, "", who())

    assert run(ask) == (None, False)


def test_a_place_without_a_limit_takes_what_the_others_have_no_room_for():
    async def ask() -> list[bool]:
        model = FakeModel(FakeEndpoint(1), unlimited=True)
        admission = admission_of(model)
        slots = [await admission.enter(cast(Any, model), CHAT, "", who(str(number))) for number in range(3)]
        return [slot is not None for slot, _ in slots]

    assert run(ask) == [True, False, False]


def test_a_request_that_cannot_begin_in_time_is_refused_before_anything_is_done_for_it():
    async def ask() -> Refusal:
        model = FakeModel(FakeEndpoint(1))
        admission = admission_of(model, **goal(100))
        slot, _ = await admission.enter(cast(Any, model), CHAT, "", who())
        assert slot is not None
        await asyncio.sleep(5.0)
        slot.release()  # so long do requests take
        await admission.enter(cast(Any, model), CHAT, "", who())
        with pytest.raises(Refusal) as refused:
            admission.check(cast(Any, model), CHAT, who("b"))
        return refused.value

    refusal = run(ask)
    assert (refusal.status, refusal.code) == (429, "model_busy")
    assert int(refusal.headers["retry-after"]) >= 1


def test_what_another_model_may_serve_is_not_refused_before_it_was_asked():
    async def ask() -> None:
        model = FakeModel(FakeEndpoint(1))
        admission = admission_of(model, **goal(100))
        slot, _ = await admission.enter(cast(Any, model), CHAT, "", who())
        assert slot is not None
        await asyncio.sleep(5.0)
        slot.release()
        await admission.enter(cast(Any, model), CHAT, "", who())
        model.has_fallback = True
        admission.check(cast(Any, model), CHAT, who("b"))

    run(ask)


def test_a_new_limit_of_the_queue_follows_from_the_goal_and_from_what_the_model_takes():
    async def ask() -> float:
        model = FakeModel(FakeEndpoint(1))
        for _ in range(50):
            model.endpoints[0].window.first_token(0.5)
        admission = admission_of(model, **goal(2000))
        ask = admission._ask(cast(Any, model.endpoints), who())
        return ask.wait_s

    assert 1.2 <= run(ask) <= 1.4  # 0.9 × 2 s, less the model's own half a second


def test_requests_of_a_batch_workload_stand_back():
    async def ask() -> bool:
        model = FakeModel(FakeEndpoint(1))
        return admission_of(model, mode="batch")._ask(cast(Any, model.endpoints), who()).batch

    assert run(ask)

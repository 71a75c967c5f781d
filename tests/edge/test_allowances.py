"""Limits that two gateway replicas enforce together on one real PostgreSQL, and what they account."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from edge.allowance import estimate
from tests.edge.conftest import bearer, code_of
from tests.edge.counted import Counted, counted
from tests.edge.fake_model import FakeModel
from tests.edge.postgres import Postgres

DEAR = ("dear", "unserved", "last")
BURST: dict[str, Any] = {"messages": [{"role": "user", "content": "x"}], "stream": True, "max_tokens": 100}
PROMPT, ANSWER = estimate(BURST)
BURSTS: dict[str, tuple[dict[str, Any], str, int]] = {
    "burst-requests": ({"requests_per_minute": 20}, "rate_limited", 20),
    "burst-tokens": ({"tokens_per_minute": 2000}, "rate_limited", 2000 // (PROMPT + ANSWER)),
    "burst-month": ({"tokens_per_month": 2000}, "budget_exhausted", 2000 // (PROMPT + ANSWER)),
    "burst-usd": ({"usd_per_month": 20}, "budget_exhausted", int(20 // (PROMPT * 0.001 + ANSWER * 0.01))),
}
"""By workload: its limit, the code of refused requests, and the number of requests like `BURST` that fit."""
TAKEN = 12
"""Tokens of one exchange with the fake model: 7 of the prompt and 5 of the answer."""


@pytest.fixture(scope="module")
def running(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counted]:
    with counted(tmp_path_factory.mktemp("limits"), postgres, "limits", [FakeModel(), FakeModel()]) as site:
        by_token: dict[str, Any] = {"usd_per_million_tokens": {"prompt": 1000, "completion": 10_000}}
        cached: dict[str, Any] = {
            "usd_per_million_tokens": {**by_token["usd_per_million_tokens"], "cached": 100}
        }
        by_gpu: dict[str, Any] = {"gpus": 4, "usd_per_gpu_hour": 3600}
        config: dict[str, Any] = {
            "teams": [{"name": "payments", "allowance": {"requests_per_minute": 60}}, {"name": "insurance"}],
            "workloads": [
                {"name": "narratives", "team": "payments"},
                {"name": "scoring", "team": "payments"},
                {"name": "left"},
                {"name": "slow", "allowance": {"tokens_per_minute": 400}},
                *({"name": name, "team": "insurance", "allowance": {"usd_per_month": 0.5}} for name in DEAR),
                {"name": "aborting", "allowance": {"usd_per_month": 10}},
                *(
                    {"name": name, "allowance": {"tokens_per_month": 100_000}}
                    for name in ("abroad", "measured")
                ),
                {"name": "strange"},
                {"name": "repeating"},
                {"name": "free", "team": "insurance"},
                {"name": "leaving", "allowance": {"requests_per_minute": 10}},
                *({"name": name, "allowance": limit} for name, (limit, _, _) in BURSTS.items()),
            ],
            "routes": [
                {**site.place(), "workload": "narratives"},
                {**site.place(), "workload": "scoring"},
                {**site.place(), "workload": "slow"},
                {**site.place(), "workload": "left"},
                *({**site.place(**by_token), "workload": name} for name in DEAR),
                {**site.place(1, **by_gpu), "workload": "free", "name": "big"},
                {**site.place(**by_token), "workload": "aborting"},
                {**site.place(**by_token, target="onprem-vllm"), "workload": "strange"},
                {**site.place(**cached), "workload": "repeating"},
                *({**site.place(), "workload": name} for name in ("abroad", "measured")),
                {**site.place(), "workload": "leaving"},
                *({**site.place(**by_token), "workload": name} for name in BURSTS),
            ],
        }
        for _ in range(2):
            site.start(**config)
        for edge in (*site.sidecars, *site.gateways):
            edge.wait_until_up()
        yield site


@pytest.fixture
def site(running: Counted) -> Counted:
    for model in running.models:
        model.reset()
    return running


def at_a_minutes_beginning(site: Counted) -> None:
    """Wait until a minute begins, so that none ends during the test."""
    (row,) = site.ask_database("SELECT extract(second FROM clock_timestamp())::float8 AS at")
    if row["at"] > 50:
        time.sleep(60.2 - row["at"])


def test_the_rate_limit_of_a_team_applies_to_all_replicas_and_workloads_together(site: Counted):
    at_a_minutes_beginning(site)
    names = {name: site.issue(name) for name in ("narratives", "scoring")}

    def ask(number: int) -> httpx.Response:
        name = ("narratives", "scoring")[number // 2 % 2]
        return site.chat(names[name], name, number % 2)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(120)))
    statuses = [answer.status_code for answer in answers]
    assert 60 - 60 // 20 <= statuses.count(200) <= 60
    assert set(statuses) == {200, 429}
    assert len(site.models[0].received) == statuses.count(200)
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert code_of(refused) == "rate_limited"
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert "team payments may take 60 requests a minute" in refused.json()["error"]["message"].lower()
    assert site.gateways[0].metric("isthmus_refusals_total", code="rate_limited", team="payments") > 0


def ask_at_once(
    site: Counted, key: str, model: str, count: int, timeout: float = 20, **fields: Any
) -> list[str]:
    """Send requests at the same time, half of them to each replica. Returns `200`, an error code or `left` for
    each.
    """
    body = {**BURST, "model": model, **fields}

    async def run() -> list[str]:
        context = site.authority.client("app")
        start = asyncio.Event()
        limits = httpx.Limits(max_connections=count)
        clients = [
            httpx.AsyncClient(
                base_url=gateway.url, verify=context, trust_env=False, timeout=timeout, limits=limits
            )
            for gateway in site.gateways[:2]
        ]

        async def ask_once(number: int) -> str:
            await start.wait()
            try:
                answer = await clients[number % 2].post(
                    "/v1/chat/completions", json=body, headers=bearer(key)
                )
            except httpx.ReadTimeout:
                return "left"
            return "200" if answer.status_code == 200 else code_of(answer)

        tasks = [asyncio.create_task(ask_once(number)) for number in range(count)]
        start.set()
        try:
            return await asyncio.gather(*tasks)
        finally:
            for client in clients:
                await client.aclose()

    return asyncio.run(run())


@pytest.mark.parametrize("workload", BURSTS)
def test_concurrent_requests_at_two_replicas_exceed_no_limit(site: Counted, workload: str):
    _, code, most = BURSTS[workload]
    at_a_minutes_beginning(site)
    site.models[0].reset("slow")  # nothing is settled before the last request was sent
    became = ask_at_once(site, site.issue(workload), workload, 60)
    assert set(became) == {"200", code}
    # A replica may hold a twentieth of the minute's limit, or one request's amount, that the other one lacks.
    assert most - 2 <= became.count("200") <= most
    assert len(site.models[0].received) == became.count("200")


def test_a_client_that_disconnects_still_counts_against_the_rate_limit(site: Counted):
    at_a_minutes_beginning(site)
    key = site.issue("leaving")
    site.models[0].reset("stall")
    for _ in range(3):
        became = ask_at_once(site, key, "leaving", 20, timeout=1, stream=False)
        assert set(became) <= {"left", "rate_limited"}
    assert 9 <= len(site.models[0].received) <= 10
    site.models[0].reset()
    assert code_of(site.chat(key, "leaving")) == "rate_limited"


def test_tokens_are_reserved_before_a_request_and_counted_after_it(site: Counted):
    at_a_minutes_beginning(site)
    key = site.issue("slow")
    answers = [site.chat(key, "slow", number % 2, max_tokens=30) for number in range(40)]
    admitted = sum(answer.status_code == 200 for answer in answers)
    # A request reserves its whole max_tokens, and returns the unused part.
    assert 400 - 2 * 60 <= admitted * TAKEN <= 400
    too_long = site.chat(key, "slow", max_tokens=1000)
    assert (too_long.status_code, code_of(too_long)) == (400, "request_over_limit")
    assert "max_tokens" in too_long.json()["error"]["message"]


def test_a_spent_budget_is_402_until_the_month_ends(site: Counted):
    key = site.issue("dear")
    # 7 × 0.001 + 5 × 0.01 = 0.057 USD for each request. The reservation before is about 0.06.
    answers = [site.chat(key, "dear", max_tokens=5) for _ in range(15)]
    paid = [answer.status_code for answer in answers].count(200)
    assert 7 <= paid <= 8
    spent = answers[-1]
    assert (spent.status_code, code_of(spent)) == (402, "budget_exhausted")
    assert "0.50 USD a month" in spent.json()["error"]["message"]
    assert int(spent.headers["retry-after"]) > 60
    assert site.chat(key, "dear", 1, max_tokens=5).status_code == 402, "the other copy knows it too"


def test_failed_and_rejected_requests_are_not_counted(site: Counted):
    key = site.issue("unserved")
    site.models[0].reset("status-503")
    for _ in range(30):
        assert site.chat(key, "unserved", max_tokens=5).status_code == 503
    site.models[0].reset("status-400")
    for _ in range(100):
        assert site.chat(key, "unserved", max_tokens=5).status_code == 400
    site.models[0].reset()
    assert site.chat(key, "unserved", max_tokens=5).status_code == 200


def test_an_abandoned_stream_is_counted_by_the_tokens_that_were_sent(site: Counted):
    key = site.issue("left")
    body = {"model": "left", "messages": [{"role": "user", "content": "x"}], "stream": True, "max_tokens": 30}
    site.chat(key, "left")  # creates the client
    site.models[0].reset("endless")
    with site.clients[(0, "app")].stream(
        "POST", "/v1/chat/completions", json=body, headers=bearer(key)
    ) as read:
        lines = read.iter_lines()
        for _ in range(60):
            next(lines)
    assert site.models[0].cancelled.wait(5)
    line = site.gateways[0].wait_for_line("request", workload="left", stream=True)
    assert line["prompt_tokens"] is None, "no count is made up in the record"
    end = time.monotonic() + 10
    while time.monotonic() < end:
        rows = site.ask_database(
            "SELECT sum(completion_tokens)::int AS n FROM isthmus.accounts WHERE workload = 'left'"
        )
        if (rows[0]["n"] or 0) >= 25:
            break
        time.sleep(0.2)
    else:
        raise AssertionError("what was written is not accounted")


def accounted(site: Counted, workload: str, *, requests: int) -> Any:
    """The workload's sums, once they include this number of requests."""
    sums = "coalesce(sum(requests), 0)::int AS requests, sum(completion_tokens)::bigint AS completion, sum(usd) AS usd"
    end = time.monotonic() + 15
    while True:
        (row,) = site.ask_database(f"SELECT {sums} FROM isthmus.accounts WHERE workload = '{workload}'")  # noqa: S608
        if row["requests"] >= requests:
            return row
        assert time.monotonic() < end, f"{row['requests']} of {requests} requests are accounted"
        time.sleep(0.2)


def leave(site: Counted, key: str, **fields: Any) -> None:
    """Send a request, and disconnect before the answer."""
    body = {"messages": [{"role": "user", "content": "x"}], **fields}
    with contextlib.suppress(httpx.TimeoutException):
        site.clients[(0, "app")].post(
            "/v1/chat/completions", json=body, headers=bearer(key), timeout=httpx.Timeout(10, read=0.5)
        )


def test_an_abandoned_answer_costs_its_reservation(site: Counted):
    key = site.issue("aborting")
    before = accounted(site, "aborting", requests=0)["requests"]
    site.chat(key, "aborting", max_tokens=5)  # creates the client
    site.models[0].reset("stall")
    for _ in range(3):
        leave(site, key, model="aborting", max_tokens=100)
    row = accounted(site, "aborting", requests=before + 4)
    assert row["completion"] >= 3 * 100, "three answers of 100 tokens were begun and not read"
    assert row["usd"] >= 3 * 100 * 0.01
    for _ in range(15):  # adds 15 USD, over the budget of 10
        leave(site, key, model="aborting", max_tokens=100)
    refused = site.chat(key, "aborting", max_tokens=100)
    assert (refused.status_code, code_of(refused)) == (402, "budget_exhausted")


def test_a_stream_event_counts_by_the_tokens_of_its_text(site: Counted):
    key = site.issue("left")
    before = accounted(site, "left", requests=0)
    site.models[0].reset("endless")
    site.models[0].words = ["word " * 4000, " and more"]
    body = {"model": "left", "messages": [{"role": "user", "content": "x"}], "stream": True}
    site.chat(key, "strange")  # creates the client
    with site.clients[(0, "app")].stream(
        "POST", "/v1/chat/completions", json=body, headers=bearer(key)
    ) as read:
        next(read.iter_lines())
    assert site.models[0].cancelled.wait(5)
    row = accounted(site, "left", requests=before["requests"] + 1)
    assert row["completion"] - (before["completion"] or 0) >= 4000


def test_usage_in_every_stream_event_is_counted_but_not_forwarded(site: Counted):
    answer = site.chat(site.issue("strange"), "strange", stream=True)
    assert site.models[0].last_body()["stream_options"]["continuous_usage_stats"] is True
    assert '"usage"' not in answer.text


def test_tokens_that_the_model_s_cache_had_cost_their_own_price(site: Counted):
    key = site.issue("repeating")
    details: dict[str, Any] = {"prompt_tokens_details": {"cached_tokens": 60}}
    site.models[0].usage = {"prompt_tokens": 100, "completion_tokens": 1, **details}
    answer = site.chat(key, "repeating")
    line = site.gateways[0].wait_for_line("request", request_id=answer.headers["x-request-id"])
    assert line["usd"] == pytest.approx((40 * 1000 + 60 * 100 + 10_000) / 1e6)


STRANGE = [
    {"prompt_tokens": 10**20, "completion_tokens": 5},
    {"prompt_tokens": -1, "completion_tokens": -5},
    {"prompt_tokens": float("nan"), "completion_tokens": float("inf")},
    {"prompt_tokens": "7", "completion_tokens": [5]},
    {"prompt_tokens": True, "completion_tokens": None},
    {"prompt_tokens": 1, "completion_tokens": 10**19},
    [1, 2],
]


def test_an_implausible_usage_is_ignored_and_the_request_still_accounted(site: Counted):
    key, other_key = site.issue("strange"), site.issue("free")
    before, other_counts = accounted(site, "strange", requests=0), accounted(site, "free", requests=0)
    for usage in STRANGE:
        for stream in (False, True):
            site.models[0].reset()
            site.models[0].usage = usage
            answer = site.chat(key, "strange", max_tokens=50, stream=stream)
            assert answer.status_code == 200
            line = site.gateways[0].wait_for_line("request", request_id=answer.headers["x-request-id"])
            assert line["usd"] >= 0
            for name in ("prompt_tokens", "completion_tokens"):
                assert line[name] is None or 0 <= line[name] <= 10_000_000
    assert site.chat(other_key, "big").status_code == 200
    row = accounted(site, "strange", requests=before["requests"] + 2 * len(STRANGE))
    assert row["usd"] > 0
    assert 0 < row["completion"] < 10**6
    accounted(site, "free", requests=other_counts["requests"] + 1)
    assert site.gateways[0].metric("isthmus_tokens_total", workload="strange") < 10**6


def test_parallel_requests_without_a_maximum_do_not_exceed_a_budget(site: Counted):
    key = site.issue("abroad")
    site.models[0].reset()
    # The model generates as much as allowed: the gateway's `max_tokens` equals the reservation.
    assert site.chat(key, "abroad").status_code == 200
    max_tokens = site.models[0].last_body()["max_tokens"]
    site.models[0].usage = {"prompt_tokens": 7, "completion_tokens": max_tokens}
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: site.chat(key, "abroad"), range(64)))
    served = [answer.status_code for answer in answers].count(200)
    assert served * (max_tokens + 7) <= 100_000, "the month's tokens are passed"
    assert {answer.status_code for answer in answers} == {200, 402}


def test_gpu_time_is_divided_among_concurrent_requests_and_priced(site: Counted):
    key = site.issue("free")
    site.models[1].reset("slow")  # a stream of 1.6 s
    before = site.gateways[0].metric("isthmus_gpu_seconds_total", model="big")
    began = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: site.chat(key, "big", stream=True), range(4)))
    took = time.monotonic() - began
    assert {answer.status_code for answer in answers} == {200}
    lines = [line for line in site.gateways[0].lines("request") if line.get("model") == "big"][-4:]
    total = sum(line["gpu_seconds"] for line in lines)
    # Four GPUs, busy while any of the four requests runs. Not four times that.
    assert 4 * 1.5 <= total <= 4 * took
    assert all(line["usd"] == pytest.approx(line["gpu_seconds"], rel=1e-4) for line in lines), (
        "1 USD a GPU-second"
    )
    assert site.gateways[0].metric("isthmus_gpu_seconds_total", model="big") - before == pytest.approx(total)
    assert site.gateways[0].metric("isthmus_cost_usd_total", team="insurance", model="big") >= total * 0.99


def test_sums_by_team_workload_and_model_are_stored_when_a_replica_ends(site: Counted):
    key = site.issue("last")
    for _ in range(3):
        assert site.chat(key, "last", 1, max_tokens=5).status_code == 200
    assert site.gateways[1].stop() == 0
    (row,) = site.ask_database("SELECT * FROM isthmus.accounts WHERE workload = 'last'")
    assert (row["class"], row["site"], row["team"], row["model"]) == (
        "restricted",
        "fra1",
        "insurance",
        "last",
    )
    assert row["endpoint"] == f"model-a.isthmus-restricted.svc:{site.sidecars[0].port}"
    assert (row["requests"], row["prompt_tokens"], row["completion_tokens"]) == (3, 21, 15)
    assert row["usd"] == pytest.approx(3 * 0.057)
    (used,) = site.ask_database("SELECT amount FROM isthmus.used WHERE scope LIKE '%last'")
    assert used["amount"] == 3 * 57_000, "its lease was given back"


def test_the_used_share_of_a_months_limit_is_a_metric(site: Counted):
    key = site.issue("measured")
    assert site.chat(key, "measured").status_code == 200
    limited = {"name": "measured", "allowance": {"tokens_per_month": 100_000}}
    late = site.start(
        workloads=[limited, {"name": "left"}],
        routes=[{**site.place(), "workload": name} for name in ("measured", "left")],
    )
    try:
        late.wait_until_up()
        labels = {"of": "workload", "limited": "measured", "unit": "tokens"}
        end = time.monotonic() + 20
        while not (share := late.metric("isthmus_month_used_ratio", **labels)):
            assert time.monotonic() < end, "the share is not exported"
            time.sleep(0.1)
        assert 12 / 100_000 <= share < 1
        assert 'limited="left"' not in late.health("/metrics").text, "a workload without a limit has a share"
    finally:
        late.stop()
        site.gateways.remove(late)

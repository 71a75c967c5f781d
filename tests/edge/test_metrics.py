"""Histograms of streams: times to the first and between tokens, with the workloads' goals as boundaries."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from edge.config.gateway import Slo
from edge.exchange import Exchange
from edge.metrics import Metrics
from tests.edge.conftest import KEYS, WORKLOAD, Site, bearer, chat, gateway_config
from tests.edge.processes import Edge

FIRST, BETWEEN = "isthmus_time_to_first_token_seconds", "isthmus_time_per_output_token_seconds"


@pytest.fixture(scope="module")
def timed(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    config = gateway_config(site.folder, site.sidecar.port)
    config["workloads"] = [
        {"name": route["workload"], "slo": {"ttft_p95_ms": 770, "tpot_p95_ms": 77}}
        for route in config["routes"]
    ]
    edge = Edge(tmp_path_factory.mktemp("timed"), config).wait_until_up()
    yield edge
    edge.stop()


def ask(edge: Edge, site: Site, **fields: object) -> httpx.Response:
    with httpx.Client(base_url=edge.url, verify=site.authority.client("app"), trust_env=False) as client:
        answer = client.post("/v1/chat/completions", json=chat(**fields), headers=bearer(KEYS[WORKLOAD]))
    assert answer.status_code == 200, answer.text
    return answer


def test_a_stream_is_timed_to_its_first_token_and_between_tokens(timed: Edge, chain: Site):
    labels = {"workload": WORKLOAD, "class": "restricted"}
    before = timed.metric(f"{FIRST}_count", **labels), timed.metric(f"{BETWEEN}_sum", **labels)
    chain.model.reset("slow")
    ask(timed, chain, stream=True)
    assert timed.metric(f"{FIRST}_count", **labels) == before[0] + 1
    assert timed.metric(f"{BETWEEN}_sum", **labels) > before[1]


def test_the_time_between_tokens_is_that_from_the_first_to_the_last_by_their_number():
    exchange = Exchange("POST")
    exchange.first_token_s, exchange.last_token_s, exchange.completion_tokens = 1.0, 3.0, 5
    assert exchange.time_per_output_token_s == 0.5


def test_the_goals_of_workloads_are_boundaries(timed: Edge, chain: Site):
    ask(timed, chain, stream=True)
    text = timed.health("/metrics").text
    assert f'{FIRST}_bucket{{class="restricted",le="0.77",model="{WORKLOAD}"' in text
    assert f'{BETWEEN}_bucket{{class="restricted",le="0.077",model="{WORKLOAD}"' in text
    assert 'isthmus_request_duration_seconds_bucket{class="restricted",le="0.77"' not in text


def test_whole_answers_and_several_answers_have_no_time_to_the_first_token(timed: Edge, chain: Site):
    before = timed.metric(f"{FIRST}_count")
    ask(timed, chain)
    ask(timed, chain, stream=True, n=2)
    assert timed.metric(f"{FIRST}_count") == before


def test_the_time_in_the_queue_is_counted_where_a_request_waited():
    metrics = Metrics("internal", [Slo(ttft_p95_ms=3000)])
    waited, passed = Exchange("POST"), Exchange("POST")
    waited.queued_s = 2.9
    for exchange in (waited, passed):
        metrics.entered()
        metrics.add(exchange, 4.0)
    text = metrics.text().decode()
    assert (
        'isthmus_queue_seconds_bucket{class="internal",le="3.0",model="",team="",variant="",workload=""} 1.0'
        in text
    )
    assert (
        'isthmus_queue_seconds_bucket{class="internal",le="2.0",model="",team="",variant="",workload=""} 0.0'
        in text
    )


def test_the_health_port_serves_neither_prompts_nor_answers_nor_keys(timed: Edge, chain: Site):
    messages = [{"role": "user", "content": "Overdraft of Anna Muster", "name": "anna"}]
    answer = ask(timed, chain, messages=messages, user="clara@bank.example")
    words = answer.json()["choices"][0]["message"]["content"]
    metrics, *others = (timed.health(path).text for path in ("/metrics", "/health", "/live"))
    assert f'workload="{WORKLOAD}"' in metrics
    assert others == ["ok\n", "ok\n"]
    for secret in ("Overdraft", "Muster", "anna", "clara", words, KEYS[WORKLOAD], "app.payments"):
        assert secret not in metrics, f"{secret!r} is served to whoever reads metrics"


def test_one_token_has_no_time_between_tokens():
    exchange = Exchange("POST")
    exchange.note_text()
    exchange.completion_tokens = 1
    assert exchange.first_token_s is not None
    assert exchange.time_per_output_token_s is None


def test_a_workload_without_waiting_answers_has_the_age_0():
    metrics = Metrics("restricted")
    set_ages = metrics.held_ages()
    set_ages({"credit": (90.0, 30.0)})
    text = metrics.text().decode()
    assert 'isthmus_held_oldest_seconds{class="restricted",workload="credit"} 90.0' in text
    assert 'isthmus_held_overdue_seconds{class="restricted",workload="credit"} 30.0' in text
    set_ages({})
    assert 'isthmus_held_overdue_seconds{class="restricted",workload="credit"} 0.0' in metrics.text().decode()

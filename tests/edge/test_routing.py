"""Routing inside a class: the real gateway before two model servers, and the real translator for overflow."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.edge.certificates import Authority
from tests.edge.conftest import bearer, code_of
from tests.edge.fake_bedrock import FakeBedrock
from tests.edge.fake_model import FakeModel
from tests.edge.processes import Edge, free_port
from tests.edge.test_translator import ENVIRONMENT, GATEWAY, NAME, start

MODELS = ("model-a.isthmus-internal.svc", "model-b.isthmus-internal.svc")
TRANSLATOR = "internal-translator.isthmus-internal.svc"
BURST, KEPT, HALF, SPARED = "burst", "kept", "half", "spared"
CHAT = "/v1/chat/completions"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@dataclass
class Site:
    models: list[FakeModel]
    bedrock: FakeBedrock
    gateway: Edge
    client: httpx.Client
    names: list[str]
    """Names of the model servers and of the translator in the accounts."""

    def ask(self, workload: str = KEPT, path: str = CHAT, **fields: Any) -> httpx.Response:
        text = {"messages": [{"role": "user", "content": "hi"}]} if "chat" in path else {"prompt": "hi"}
        body = {"model": workload, **text, **fields}
        return self.client.post(path, json=body, headers=bearer(f"key-of-{workload}"))

    def counts(self) -> tuple[int, ...]:
        """Number of requests that each model server and Bedrock received."""
        return (*(len(model.received) for model in self.models), len(self.bedrock.requests))

    def behave(self, *behaviours: str, waiting: tuple[int, int] = (0, 0)) -> None:
        """Set the model servers' behaviour, and wait until the gateway has probed it."""
        for model, behaviour, count in zip(self.models, behaviours, waiting, strict=True):
            model.reset(behaviour)
            model.metrics = f'vllm:num_requests_waiting{{engine="0"}} {count}.0\n'
        self.bedrock.reset()
        well = [float(behaviour not in ("status-503", "ill")) for behaviour in behaviours]
        expected = {
            "good": well,
            "waiting": [count if good else 0 for count, good in zip(waiting, well, strict=True)],
            "running": [0, 0],
        }
        end = time.monotonic() + 20
        while (states := {metric: self.seen(metric) for metric in expected}) != expected:
            assert time.monotonic() < end, states
            time.sleep(0.05)

    def seen(self, metric: str) -> list[float]:
        return [self.gateway.metric(f"isthmus_endpoint_{metric}", endpoint=name) for name in self.names[:2]]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("routing")
    authority = Authority(folder)
    for name, server_name in (("gateway", GATEWAY), ("translator", TRANSLATOR), ("app", "app.intranet.svc")):
        authority.issue(name, server_name)
    bedrock, models = FakeBedrock(), [FakeModel(), FakeModel()]
    translator = start(folder / "translator", authority, bedrock.url, ENVIRONMENT)
    sidecars = [_sidecar(folder, authority, name, model) for name, model in zip(MODELS, models, strict=True)]
    gateway = Edge(folder / "edge", _config(folder, authority, sidecars, translator))
    client = httpx.Client(base_url=gateway.url, verify=authority.client("app"), trust_env=False, timeout=20)
    try:
        for edge in (gateway, *sidecars):
            edge.wait_until_up()
        translator.wait_until_up(180)
        names = [
            f"{name}:{edge.port}"
            for name, edge in zip((*MODELS, TRANSLATOR), (*sidecars, translator), strict=True)
        ]
        yield Site(models, bedrock, gateway, client, names)
    finally:
        client.close()
        for edge in (gateway, *sidecars, translator):
            edge.stop()
        for fake in (bedrock, *models):
            fake.shutdown()
            fake.server_close()


def _sidecar(folder: Path, authority: Authority, name: str, model: FakeModel) -> Edge:
    certificate, key = authority.issue(name, name)
    listen = {"certificate": str(certificate), "key": str(key), "client_ca": str(authority.path)}
    config = {"mode": "sidecar", "class": "internal", "listen": listen, "upstream": model.url}
    return Edge(folder / f"of-{name}", {**config, "allowed_clients": [GATEWAY]})


def _config(folder: Path, authority: Authority, sidecars: list[Edge], translator: Edge) -> dict[str, Any]:
    files = {"certificate": str(folder / "gateway.crt"), "key": str(folder / "gateway.key")}
    first, second = (
        {"url": sidecar.url, "server_name": name, "model": "llama"}
        for sidecar, name in zip(sidecars, MODELS, strict=True)
    )
    closed = {**first, "url": f"https://127.0.0.1:{free_port()}"}
    overflow = {"url": translator.url, "server_name": TRANSLATOR, "model": NAME, "when_waiting": 5}
    lines = "".join(
        f"  - {{key_sha256: {hashlib.sha256(f'key-of-{name}'.encode()).hexdigest()}, workload: {name}}}\n"
        for name in (BURST, KEPT, HALF, SPARED)
    )
    (folder / "callers.yaml").write_text(f"callers:\n{lines}")
    return {
        **{"mode": "gateway", "class": "internal", "site": "fra1"},
        "listen": {**files, "client_ca": str(authority.path)},
        "upstream_tls": {**files, "ca": str(authority.path)},
        "callers": str(folder / "callers.yaml"),
        "limits": {"connect_timeout_s": 2, "request_timeout_s": 10, "probe_s": 0.1},
        "routes": [
            {**first, "workload": KEPT, "also": [second]},
            {
                **{**first, "workload": BURST, "also": [second], "overflow": overflow},
                **{"interfaces": ["completions"], "cache_salt": "team/x"},
            },
            {**closed, "workload": HALF, "also": [second]},
            {**first, "workload": SPARED, "fallback": [{**second, "model": "small"}]},
        ],
    }


@pytest.fixture
def site(running: Site) -> Site:
    running.behave("ok", "ok")
    return running


def test_requests_are_spread_evenly_over_equal_endpoints(site: Site):
    assert {site.ask().status_code for _ in range(20)} == {200}
    assert site.counts() == (10, 10, 0)


def test_a_request_goes_to_the_endpoint_with_fewer_running_requests(site: Site):
    site.behave("stall", "ok")
    threads = [threading.Thread(target=_patient, args=[site]) for _ in range(2)]
    threads[0].start()
    while not site.models[0].received:  # two model servers take turns, and one of them stalls
        if site.models[1].received and not threads[1].is_alive():
            threads[1] = threading.Thread(target=_patient, args=[site])
            threads[1].start()
        time.sleep(0.02)
    before = site.counts()
    assert {site.ask().status_code for _ in range(10)} == {200}
    assert site.counts() == (before[0], before[1] + 10, 0)


def _patient(site: Site) -> None:
    body = {"model": KEPT, "messages": [{"role": "user", "content": "hi"}]}
    with contextlib.suppress(httpx.TimeoutException):
        site.client.post(CHAT, json=body, headers=bearer(f"key-of-{KEPT}"), timeout=3)


def test_a_request_goes_to_the_endpoint_that_reports_fewer_waiting_requests(site: Site):
    site.behave("ok", "ok", waiting=(8, 0))
    assert {site.ask().status_code for _ in range(10)} == {200}
    assert site.counts() == (0, 10, 0)


def test_an_unhealthy_endpoint_is_skipped_until_it_is_healthy_again(site: Site):
    site.behave("ill", "ok")
    assert {site.ask().status_code for _ in range(10)} == {200}
    assert site.counts() == (0, 10, 0)
    site.behave("ok", "ok")
    assert {site.ask().status_code for _ in range(10)} == {200}
    assert site.counts() == (5, 5, 0)


def test_requests_refused_by_a_full_endpoint_are_served_once_by_the_other(site: Site):
    unsent = site.gateway.metric("isthmus_unsent_total", endpoint=site.names[0])
    site.behave("full", "ok")
    assert {site.ask().status_code for _ in range(20)} == {200}
    refused, served, _ = site.counts()
    assert served == 20
    assert 1 <= refused <= 10, "it was asked again and again"
    assert site.gateway.metric("isthmus_unsent_total", endpoint=site.names[0]) - unsent == refused
    line = site.gateway.wait_for_line("request", workload=KEPT, attempts=2)
    assert (line["status"], line["endpoint"]) == (200, site.names[1])


def test_an_unreachable_endpoint_fails_no_request(site: Site):
    assert {site.ask(HALF).status_code for _ in range(6)} == {200}
    assert site.counts() == (0, 6, 0)


def test_a_request_that_may_have_been_received_is_never_retried(site: Site):
    site.behave("status-500", "ok")
    answers = [site.ask().status_code for _ in range(20)]
    failed, served, _ = site.counts()
    assert (answers.count(502), answers.count(200)) == (failed, served)
    assert failed + served == 20
    site.behave("stall", "stall")
    with pytest.raises(httpx.TimeoutException):
        site.client.post(
            CHAT,
            json={"model": KEPT, "messages": [{"role": "user", "content": "hi"}]},
            headers=bearer(f"key-of-{KEPT}"),
            timeout=0.5,
        )
    assert sum(site.counts()) == 1


def test_only_a_workload_with_an_overflow_leaves_the_site_when_all_endpoints_fail(site: Site):
    site.behave("status-503", "status-503")
    assert site.ask(BURST).status_code == 200
    assert site.counts()[2] == 1
    bedrock_request = site.bedrock.requests[-1][2]
    assert "cache_salt" not in str(bedrock_request)
    refused = site.ask(KEPT)
    assert (refused.status_code, code_of(refused)) == (503, "model_unavailable")
    assert site.counts()[2] == 1, "a workload without an overflow went to AWS"
    line = site.gateway.wait_for_line("request", workload=BURST, endpoint=site.names[2])
    assert line["attempts"] == 1, "those that say they are ill were asked first"
    site.behave("ok", "ok")
    assert site.ask(BURST).status_code == 200
    assert site.counts()[2] == 0, "the site's own come first again"


def test_a_text_completion_never_leaves_the_site(site: Site):
    assert site.ask(BURST, "/v1/completions").status_code == 200
    site.behave("status-503", "status-503")
    assert site.ask(BURST, "/v1/completions").status_code == 503
    assert site.counts()[2] == 0


def test_requests_overflow_when_the_configured_queue_length_is_reached_everywhere(site: Site):
    site.behave("ok", "ok", waiting=(9, 4))
    assert site.ask(BURST).status_code == 200
    assert site.counts() == (0, 1, 0)
    site.behave("ok", "ok", waiting=(9, 5))
    assert site.ask(BURST).status_code == 200
    assert site.ask(KEPT).status_code == 200
    assert site.counts() == (0, 1, 1)


def test_with_all_endpoints_down_requests_are_503(site: Site):
    site.behave("status-503", "status-503")
    site.bedrock.reset("status-503")
    answer = site.ask(BURST)
    assert answer.status_code == 503
    assert code_of(answer) == "model_unavailable"


@pytest.mark.parametrize(
    ("sent", "passed"),
    [
        (TRACE, True),
        (TRACE.upper(), False),
        (TRACE.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32), False),
        ("00-IBAN-of-a-customer-01", False),
    ],
)
def test_a_trace_header_is_forwarded_to_the_model_and_nothing_else(site: Site, sent: str, passed: bool):
    headers = {**bearer(f"key-of-{KEPT}"), "traceparent": sent, "tracestate": "x=IBAN", "baggage": "y=IBAN"}
    body = {"model": KEPT, "messages": [{"role": "user", "content": "hi"}]}
    assert site.client.post(CHAT, json=body, headers=headers).status_code == 200
    (raw,) = [raw for model in site.models for raw in model.received]
    assert (f"traceparent: {sent}".encode() in raw.lower()) is passed
    assert b"IBAN" not in raw
    assert b"tracestate" not in raw.lower()
    if passed:
        assert site.gateway.wait_for_line("request", trace_id=TRACE.split("-")[1])["status"] == 200


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        ("status-503", "model_unavailable"),
        ("status-429", "model_busy"),
        ("status-500", "bad_gateway"),
        ("too-long", "context_length_exceeded"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_another_model_answers_what_the_own_one_cannot(
    site: Site, behaviour: str, code: str, *, stream: bool
):
    site.behave(behaviour, "ok")
    before = site.gateway.metric("isthmus_fallbacks_total", workload=SPARED, code=code)
    answer = site.ask(SPARED, stream=stream)
    assert answer.status_code == 200
    assert answer.headers["x-isthmus-fallback"] == code
    assert '"model":"spared"' in answer.text, "a caller's name of the model stays"
    (sent,) = site.models[1].received
    assert b'"model":"small"' in sent
    line = site.gateway.wait_for_line("request", workload=SPARED, fallback=code, stream=stream)
    assert (line["endpoint"], line["status"]) == (site.names[1], 200)
    assert site.gateway.metric("isthmus_fallbacks_total", workload=SPARED, code=code) == before + 1


def test_while_the_own_model_answers_there_is_no_fallback(site: Site):
    answer = site.ask(SPARED)
    assert answer.status_code == 200
    assert "x-isthmus-fallback" not in answer.headers
    assert site.counts() == (1, 0, 0)


def test_a_request_that_no_model_can_answer_gets_the_refusal_of_the_own_one(site: Site):
    site.behave("too-long", "status-503")
    answer = site.ask(SPARED)
    assert answer.status_code == 400
    assert code_of(answer) == "context_length_exceeded"
    assert "4096" in answer.text


def test_a_request_that_ends_connections_is_not_offered_to_another_model(site: Site):
    site.behave("die", "ok")
    assert site.ask(SPARED).status_code == 502
    assert site.counts()[1] == 0


def test_a_wrong_request_is_not_offered_to_another_model(site: Site):
    site.behave("status-400", "ok")
    assert site.ask(SPARED).status_code == 400
    assert site.counts()[1] == 0

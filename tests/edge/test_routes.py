"""Routes beyond a single chat model: canaries, cache salts, embeddings and reranking.

The real gateway between real mutual TLS, before fake model servers that count what they are asked.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.edge.certificates import Authority
from tests.edge.conftest import KEYS, bearer, callers_text, code_of
from tests.edge.fake_model import ORDER, VECTORS, Answering, FakeModel
from tests.edge.processes import Edge

pytestmark = pytest.mark.service

CHAT, EMBED, RERANK = "transaction-narratives", "claims", "down"
PRIMARY, NEXT = "llama-v1.isthmus-restricted.svc", "llama-v2.isthmus-restricted.svc"


@dataclass
class RoutedGateway:
    first: Answering
    second: Answering
    gateway: Edge
    client: httpx.Client

    def ask(self, workload: str, path: str = "/v1/chat/completions", **fields: Any) -> httpx.Response:
        messages = {"messages": [{"role": "user", "content": "IBAN"}]} if path.endswith("completions") else {}
        body = {"model": workload, **messages, **fields}
        return self.client.post(path, json=body, headers=bearer(KEYS[workload]))

    def clear(self) -> None:
        self.first.reset()
        self.second.reset()


def _sidecar(folder: Path, authority: Authority, name: str, model: FakeModel) -> Edge:
    authority.issue(name.partition(".")[0], name)
    listen = {
        "certificate": str(folder / f"{name.partition('.')[0]}.crt"),
        "key": str(folder / f"{name.partition('.')[0]}.key"),
        "client_ca": str(authority.path),
    }
    config = {"mode": "sidecar", "class": "restricted", "listen": listen, "upstream": model.url}
    return Edge(folder / name, {**config, "allowed_clients": ["restricted-gateway.isthmus-restricted.svc"]})


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RoutedGateway]:
    folder = tmp_path_factory.mktemp("routes")
    authority = Authority(folder)
    authority.issue("gateway", "restricted-gateway.isthmus-restricted.svc")
    authority.issue("app", "app.payments.svc")
    (folder / "callers.yaml").write_text(callers_text())
    first, second = Answering(), Answering()
    sidecars = [
        _sidecar(folder, authority, name, model) for name, model in ((PRIMARY, first), (NEXT, second))
    ]

    def place(at: int, name: str, model: str) -> dict[str, Any]:
        return {"url": sidecars[at].url, "server_name": name, "model": model}

    files = {"certificate": str(folder / "gateway.crt"), "key": str(folder / "gateway.key")}
    canary = {**place(1, NEXT, "llama-v2"), "percent": 10.0}
    gateway = Edge(
        folder / "edge",
        {
            **{"mode": "gateway", "class": "restricted", "site": "fra1"},
            "listen": {**files, "client_ca": str(authority.path)},
            "upstream_tls": {**files, "ca": str(authority.path)},
            "callers": str(folder / "callers.yaml"),
            "routes": [
                {
                    **place(0, PRIMARY, "llama-v1"),
                    "workload": CHAT,
                    "cache_salt": "payments",
                    "canary": canary,
                },
                {
                    **place(0, PRIMARY, "llama-v1"),
                    "workload": CHAT,
                    "name": "sampling",
                    "target": "onprem-vllm",
                    "also": [place(1, NEXT, "llama-v2")],
                },
                {**place(0, PRIMARY, "bge"), "workload": EMBED, "task": "embedding"},
                {**place(0, PRIMARY, "ranker"), "workload": RERANK, "task": "rerank"},
            ],
        },
    )
    client = httpx.Client(base_url=gateway.url, verify=authority.client("app"), trust_env=False, timeout=20)
    try:
        for edge in (*sidecars, gateway):
            edge.wait_until_up()
        yield RoutedGateway(first, second, gateway, client)
    finally:
        client.close()
        for edge in (gateway, *sidecars):
            edge.stop()
        for model in (first, second):
            model.shutdown()
            model.server_close()


@pytest.fixture
def stage(running: RoutedGateway) -> RoutedGateway:
    running.clear()
    return running


def models_of(server: FakeModel) -> set[str]:
    return {json.loads(raw.split(b"\r\n\r\n", 1)[1])["model"] for raw in server.received}


def ask_about(stage: RoutedGateway, number: int) -> httpx.Response:
    """Begin a conversation of its own."""
    return stage.ask(CHAT, messages=[{"role": "user", "content": f"IBAN {number}"}], model=CHAT, max_tokens=1)


def test_the_canary_gets_its_share_of_conversations_and_no_other(stage: RoutedGateway) -> None:
    total = 400
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda number: ask_about(stage, number), range(total)))
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["model"] for answer in answers} == {CHAT}, "callers do not learn which one answered"
    taken = len(stage.second.received)
    assert 10 <= taken <= 80, "10 % of them: 40, with a deviation of 6"
    assert len(stage.first.received) == total - taken
    assert (models_of(stage.first), models_of(stage.second)) == ({"llama-v1"}, {"llama-v2"})
    labels = {"class": "restricted", "workload": CHAT}
    assert stage.gateway.metric("isthmus_requests_total", **labels, variant="", status="200") == total - taken
    assert stage.gateway.metric("isthmus_requests_total", **labels, variant="canary", status="200") == taken
    assert stage.gateway.metric("isthmus_request_duration_seconds_count", **labels, variant="canary") == taken


def test_a_failing_canary_is_visible_affects_only_its_share_and_is_stopped(stage: RoutedGateway) -> None:
    stage.second.reset("status-500")
    answers = [ask_about(stage, number).status_code for number in range(200)]
    failed = answers.count(502)
    assert 1 <= failed <= 5, "it was well before"
    assert answers.count(200) == 200 - failed
    line = stage.gateway.wait_for_line("request", variant="canary", status=502)
    assert line["workload"] == CHAT
    stopped = stage.gateway.wait_for_line("canary_stopped")
    assert (stopped["workload"], stopped["model"], stopped["failed"]) == (CHAT, CHAT, failed)


def test_prefixes_are_cached_with_the_teams_salt_and_callers_cannot_set_one(stage: RoutedGateway) -> None:
    assert stage.ask(CHAT, stream=True).status_code == 200
    assert stage.first.last_body()["cache_salt"] == "payments"
    refused = stage.ask(CHAT, cache_salt="theirs")
    assert (refused.status_code, code_of(refused)) == (400, "unknown_field")
    assert len(stage.first.received) == 1, "and it does not get that far"


VLLM_FIELDS: dict[str, Any] = {
    "top_k": 20,
    "min_p": 0.1,
    "repetition_penalty": 1.1,
    "structured_outputs": {"choice": ["yes", "no"]},
    "chat_template_kwargs": {"enable_thinking": False},
    "bad_words": ["x"],
    "stop_token_ids": [7],
}


def test_vllm_fields_are_sent_to_vllm_and_nowhere_else(stage: RoutedGateway) -> None:
    for _ in range(6):
        assert stage.ask(CHAT, model="sampling", **VLLM_FIELDS).status_code == 200
    assert (len(stage.first.received), len(stage.second.received)) == (6, 0), (
        "the second is not known to be vLLM"
    )
    assert {name: stage.first.last_body()[name] for name in VLLM_FIELDS} == VLLM_FIELDS
    stage.clear()
    for name, value in VLLM_FIELDS.items():
        refused = stage.ask(CHAT, **{name: value})
        assert (refused.status_code, code_of(refused)) == (400, "unsupported_parameter"), name
        assert repr(name) in refused.json()["error"]["message"]
    assert stage.first.received == []


@pytest.mark.parametrize(
    "fields",
    [
        {"structured_outputs": {"structural_tag": "{}"}},
        {"chat_template_kwargs": {"chat_template": "{{ messages }}"}},
        {"top_k": "20"},
        {"top_k": 1.5},
        {"min_p": 2},
        {"stop_token_ids": [4111111111111111]},
        {"guided_json": {}},
        {"use_beam_search": True},
        {"prompt_logprobs": 1},
        {"vllm_xargs": {}},
    ],
)
def test_only_sampling_fields_of_vllm_pass(stage: RoutedGateway, fields: dict[str, Any]) -> None:
    assert stage.ask(CHAT, model="sampling", **fields).status_code == 400
    assert stage.first.received == []


def test_embeddings_pass_with_allow_listed_fields(stage: RoutedGateway) -> None:
    answer = stage.ask(EMBED, "/v1/embeddings", input=["one", "two"], encoding_format="float")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body.pop("id") == f"embd-{answer.headers['x-request-id']}"
    assert body == {k: v for k, v in VECTORS.items() if k not in ("id", "created", "secret")} | {
        "model": EMBED
    }
    assert stage.first.last_body() == {"model": "bge", "input": ["one", "two"], "encoding_format": "float"}
    line = stage.gateway.wait_for_line("request", path="/v1/embeddings", status=200)
    assert line["prompt_tokens"] == 3


def test_reranking_passes_with_allow_listed_fields(stage: RoutedGateway) -> None:
    answer = stage.ask(RERANK, "/v1/rerank", query="which", documents=["a", "b"], top_n=1)
    body = answer.json()
    assert body.pop("id") == f"rerank-{answer.headers['x-request-id']}"
    assert body == {k: v for k, v in ORDER.items() if k != "id"} | {"model": RERANK}
    assert stage.first.last_body() == {
        "model": "ranker",
        "query": "which",
        "documents": ["a", "b"],
        "top_n": 1,
    }


@pytest.mark.parametrize(
    ("workload", "path", "fields", "status", "code"),
    [
        (EMBED, "/v1/embeddings", {"input": []}, 400, "invalid_input"),
        (EMBED, "/v1/embeddings", {"input": [{"image_url": "http://a"}]}, 400, "invalid_input"),
        (EMBED, "/v1/embeddings", {"input": "x", "cache_salt": "y"}, 400, "unknown_field"),
        (
            RERANK,
            "/v1/rerank",
            {"query": "x", "documents": [{"content": "http://a"}]},
            400,
            "invalid_documents",
        ),
        (RERANK, "/v1/rerank", {"query": "", "documents": ["a"]}, 400, "invalid_query"),
        (EMBED, "/v1/chat/completions", {}, 404, "wrong_task"),
        (CHAT, "/v1/embeddings", {"input": "x"}, 404, "wrong_task"),
        (EMBED, "/v1/score", {}, 404, "not_found"),
    ],
)
def test_a_field_that_a_task_does_not_accept_never_reaches_a_model(
    stage: RoutedGateway, workload: str, path: str, fields: dict[str, Any], status: int, code: str
) -> None:
    answer = stage.ask(workload, path, **fields)
    assert (answer.status_code, code_of(answer)) == (status, code)
    assert not stage.first.received


def test_a_router_receives_the_workload_and_nothing_about_the_caller(tmp_path: Path) -> None:
    requests: list[dict[str, str]] = []

    class Router(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            requests.append({key.lower(): value for key, value in self.headers.items()})
            self.rfile.read(int(self.headers["content-length"]))
            body = json.dumps(ORDER).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing."""

    authority = Authority(tmp_path)
    for name, server_name in (
        ("gateway", "g.isthmus-restricted.svc"),
        ("router", PRIMARY),
        ("app", "app.x.svc"),
    ):
        authority.issue(name, server_name)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Router)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.path))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(tmp_path / "router.crt", tmp_path / "router.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (tmp_path / "callers.yaml").write_text(callers_text())
    files = {"certificate": str(tmp_path / "gateway.crt"), "key": str(tmp_path / "gateway.key")}
    url = f"https://127.0.0.1:{server.server_address[1]}"
    gateway = Edge(
        tmp_path / "edge",
        {
            **{"mode": "gateway", "class": "restricted", "site": "fra1"},
            "listen": {**files, "client_ca": str(authority.path)},
            "upstream_tls": {**files, "ca": str(authority.path)},
            "callers": str(tmp_path / "callers.yaml"),
            "routes": [
                {
                    "workload": RERANK,
                    "url": url,
                    "server_name": PRIMARY,
                    "model": "r",
                    "task": "rerank",
                    "named": True,
                }
            ],
        },
    )
    try:
        gateway.wait_until_up()
        with httpx.Client(base_url=gateway.url, verify=authority.client("app"), trust_env=False) as client:
            body = {"model": RERANK, "query": "x", "documents": ["a"]}
            headers = {**bearer(KEYS[RERANK]), "x-isthmus-workload": CHAT, "x-other": "1"}
            assert client.post("/v1/rerank", json=body, headers=headers).status_code == 200
    finally:
        gateway.stop()
        server.shutdown()
        server.server_close()
    (headers,) = requests
    assert headers["x-isthmus-workload"] == RERANK
    assert {"x-other", "authorization"} & set(headers) == set()

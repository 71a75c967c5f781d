"""Spans sent to a real trace collector: names and numbers of every request, and never its content."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.edge.conftest import KEYS, WORKLOAD, Site, bearer, chat, gateway_config
from tests.edge.processes import Edge

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


class Collector(ThreadingHTTPServer):
    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def spans(self) -> list[Any]:
        requests = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        return [
            span
            for request in requests
            for kind in request.resource_spans
            for scope in kind.scope_spans
            for span in scope.spans
        ]


class _Handler(BaseHTTPRequestHandler):
    server: Collector  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_POST(self) -> None:
        self.server.bodies.append(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector()
    yield server
    server.shutdown()
    server.server_close()


def attributes(span: Any) -> dict[str, Any]:
    return {
        attribute.key: getattr(attribute.value, attribute.value.WhichOneof("value"))
        for attribute in span.attributes
    }


def test_every_request_gives_a_span_below_its_callers_without_content(
    chain: Site, collector: Collector, tmp_path: Path
):
    config = gateway_config(chain.folder, chain.sidecar.port)
    config["class"] = "public"  # a public class may send traces without TLS
    config["traces"] = {"endpoint": f"http://127.0.0.1:{collector.server_address[1]}/v1/traces"}
    away = {"HTTP_PROXY": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    edge = Edge(tmp_path / "traced", config, away)
    headers = {**bearer(KEYS[WORKLOAD]), "traceparent": PARENT, "tracestate": "x=IBAN"}
    try:
        edge.wait_until_up()
        with httpx.Client(base_url=edge.url, verify=chain.authority.client("app"), trust_env=False) as client:
            path = "/v1/chat/completions"
            assert client.post(path, json=chat(), headers=headers).status_code == 200
            sent = chain.model.received[-1].lower()
            assert client.post(path, json=chat(stream=True), headers=headers).status_code == 200
            chain.model.reset("status-500")
            assert client.post(path, json=chat(), headers=bearer(KEYS[WORKLOAD])).status_code == 502
    finally:
        assert edge.stop() == 0, "what was not sent yet is sent at the end"
    answer_span, stream, failed = collector.spans()
    for span in (answer_span, stream):
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT.split("-")[2])
    assert f"traceparent: 00-{TRACE}-{answer_span.span_id.hex()}-01".encode() in sent, (
        "the model's parent is our span"
    )
    values = attributes(answer_span)
    assert (values["isthmus.workload"], values["http.response.status_code"]) == (WORKLOAD, 200)
    assert (values["gen_ai.usage.input_tokens"], values["gen_ai.usage.output_tokens"]) == (7, 5)
    assert answer_span.name == f"chat {WORKLOAD}"
    assert (values["gen_ai.operation.name"], values["gen_ai.request.model"]) == ("chat", WORKLOAD)
    assert "gen_ai.response.time_to_first_chunk" not in values
    assert attributes(stream)["gen_ai.response.time_to_first_chunk"] > 0
    assert attributes(stream)["gen_ai.request.stream"] is True
    assert not [key for key in values if "message" in key or "instructions" in key], "content is no attribute"
    assert attributes(failed)["isthmus.code"] == attributes(failed)["error.type"] == "bad_gateway"
    assert failed.trace_id.hex() != TRACE
    for body in collector.bodies:
        for secret in (b"IBAN", b"Muster", KEYS[WORKLOAD].encode()):
            assert secret not in body

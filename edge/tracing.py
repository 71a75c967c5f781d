"""Traces: a caller's `traceparent` is taken and passed on, and where a collector is named each request leaves a span.

A span holds names, numbers and codes of the journal's line. No other header of a trace is taken: `tracestate` and
`baggage` are free text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import (
    NoOpTracer,
    Span,
    SpanKind,
    StatusCode,
    Tracer,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.requests import Request

if TYPE_CHECKING:
    from edge.config.gateway import GatewayConfig, Traces
    from edge.exchange import Exchange

HEADER = "traceparent"
_SHAPE = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[01]")
_W3C = TraceContextTextMapPropagator()


def trace_header(request: Request) -> dict[str, str]:
    """The caller's trace as one header, where it sent exactly one that is well formed."""
    values = request.headers.getlist(HEADER)
    return {HEADER: values[0]} if len(values) == 1 and _SHAPE.fullmatch(values[0]) else {}


class Tracing:
    """Of one gateway."""

    def __init__(self, config: GatewayConfig) -> None:
        self._provider = None if config.traces is None else _provider(config, config.traces)
        self._tracer: Tracer = self._provider.get_tracer("isthmus.edge") if self._provider else NoOpTracer()

    def start(self, request: Request) -> Span:
        """The request's span, below its caller's."""
        context = _W3C.extract(trace_header(request))
        return self._tracer.start_span(f"POST {request.scope['path']}", context, kind=SpanKind.SERVER)

    def headers(self, span: Span) -> dict[str, str]:
        """What goes to the upstream: this span as its parent, or the caller's where we make none."""
        carrier: dict[str, str] = {}
        if span.get_span_context().is_valid:
            _W3C.inject(carrier, set_span_in_context(span))
        return {name: value for name, value in carrier.items() if name == HEADER}

    def end(self, span: Span, exchange: Exchange) -> None:
        """What became of the request."""
        for key in ("team", "workload", "model", "endpoint", "variant", "code"):
            if value := getattr(exchange, key):
                span.set_attribute(f"isthmus.{key}", value)
        counts = {
            "http.response.status_code": exchange.status or None,
            "gen_ai.usage.input_tokens": exchange.prompt_tokens,
            "gen_ai.usage.output_tokens": exchange.completion_tokens,
            "isthmus.gpu_seconds": exchange.gpu_seconds,
            "isthmus.usd": exchange.usd,
            "isthmus.attempts": exchange.attempts,
        }
        for key, value in counts.items():
            if value is not None:
                span.set_attribute(key, value)
        if exchange.code != "ok":
            span.set_status(StatusCode.ERROR)
        span.end()

    def close(self) -> None:
        """Send what was not sent yet; waits for a few seconds at most."""
        if self._provider is not None:
            self._provider.shutdown()


def trace_id(span: Span) -> str:
    """For the journal's line; empty where there is none."""
    context = span.get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else ""


def _provider(config: GatewayConfig, traces: Traces) -> Any:
    import requests
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    session = requests.Session()
    session.trust_env = False  # no proxy, no .netrc: the file names the one way
    exporter = OTLPSpanExporter(
        endpoint=traces.endpoint,
        certificate_file=str(traces.ca) if traces.ca else None,
        timeout=3,
        headers={},
        session=session,
    )
    attributes = {
        "service.name": "isthmus-gateway",
        "isthmus.class": config.data_class,
        "isthmus.site": config.site,
    }
    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(traces.share)),
        resource=Resource(attributes),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider

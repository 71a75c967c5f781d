"""Traces: forwards a caller's `traceparent`, and sends a span for each request if a collector is configured.

A span follows OpenTelemetry's GenAI conventions (version 1.44 of the semantic conventions) without their fields for
content: it has names, numbers and codes only. Other trace headers are dropped, because `tracestate` and `baggage` are
free text.
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
    """The caller's trace as one header, if the request has exactly one valid `traceparent`. Otherwise empty."""
    values = request.headers.getlist(HEADER)
    return {HEADER: values[0]} if len(values) == 1 and _SHAPE.fullmatch(values[0]) else {}


class Tracing:
    """The traces of one gateway."""

    def __init__(self, config: GatewayConfig) -> None:
        self._provider = None if config.traces is None else _provider(config, config.traces)
        self._tracer: Tracer = self._provider.get_tracer("isthmus.edge") if self._provider else NoOpTracer()

    def start(self, request: Request, operation: str, model: str) -> Span:
        """Start the span of a request, as a child of the caller's span. `model`: its name for callers."""
        context = _W3C.extract(trace_header(request))
        attributes = {
            "gen_ai.operation.name": operation,
            "gen_ai.request.model": model,
            "http.route": request.scope["path"],
        }
        return self._tracer.start_span(
            f"{operation} {model}", context, kind=SpanKind.SERVER, attributes=attributes
        )

    def headers(self, span: Span) -> dict[str, str]:
        """The trace header for the upstream: this span as the parent, or the caller's span if the gateway creates
        none.
        """
        carrier: dict[str, str] = {}
        if span.get_span_context().is_valid:
            _W3C.inject(carrier, set_span_in_context(span))
        return {name: value for name, value in carrier.items() if name == HEADER}

    def end(self, span: Span, exchange: Exchange) -> None:
        """Add the outcome of the request to its span, and end the span."""
        for key in ("team", "workload", "model", "endpoint", "variant", "fallback", "code"):
            if value := getattr(exchange, key):
                span.set_attribute(f"isthmus.{key}", value)
        values = {
            "http.response.status_code": exchange.status or None,
            "error.type": exchange.code if exchange.code != "ok" else None,
            "gen_ai.provider.name": exchange.provider or None,
            "gen_ai.request.stream": exchange.stream,
            "gen_ai.response.model": exchange.model if exchange.code == "ok" else None,
            "gen_ai.response.time_to_first_chunk": exchange.first_token_s,
            "gen_ai.usage.input_tokens": exchange.prompt_tokens,
            "gen_ai.usage.output_tokens": exchange.completion_tokens,
            "isthmus.gpu_seconds": exchange.gpu_seconds,
            "isthmus.usd": exchange.usd,
            "isthmus.attempts": exchange.attempts,
            "isthmus.queued_s": exchange.queued_s,
        }
        for key, value in values.items():
            if value is not None:
                span.set_attribute(key, value)
        if exchange.code != "ok":
            span.set_status(StatusCode.ERROR)
        span.end()

    def close(self) -> None:
        """Send the remaining spans. Waits a few seconds at most."""
        if self._provider is not None:
            self._provider.shutdown()


def trace_id(span: Span) -> str:
    """The trace id for the journal's line. Empty if there is none."""
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
    session.trust_env = False  # ignore proxies and .netrc: the configuration names the only path
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

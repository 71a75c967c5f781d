"""The interface between a mode and the process: application, health, metrics, background work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from edge.deadlines import Deadline
from edge.metrics import Metrics
from edge.openai_api import EXCEPTION_HANDLERS
from edge.tls import Watch


@dataclass
class State:
    """State that both listeners of a process share."""

    metrics: Metrics
    running: set[Deadline] = field(default_factory=set)
    draining: bool = False
    app: ASGIApp | None = None
    """The application with its journal, as the listener serves it. Background work sends requests to it."""
    is_revoked: Callable[[bytes | None], bool] = lambda certificate: False
    """Whether a client's certificate (DER) is revoked now."""


@dataclass
class Service:
    """The application of a mode, and the functions through which the process runs it."""

    app: ASGIApp
    paths: set[str]
    problem: Callable[[], Awaitable[str | None]]
    """Returns why requests cannot be served now, or None."""
    metrics: Callable[[], Awaitable[Response]]
    close: Callable[[], Awaitable[None]]
    watches: list[Watch] = field(default_factory=list)
    background: list[Callable[[], Coroutine[Any, Any, None]]] = field(default_factory=list)
    """Tasks that run until the process ends."""


def application(routes: list[Route]) -> Starlette:
    """An application with exactly these routes. Other requests get 404 or 405 in OpenAI's error format."""
    app = Starlette(routes=routes, exception_handlers=EXCEPTION_HANDLERS)
    app.router.redirect_slashes = False
    return app


def health_application(service: Service, state: State) -> Starlette:
    """The application of the plain HTTP listener: `/health`, `/live` and `/metrics`, for probes and monitoring."""

    async def live(request: Request) -> Response:
        # `/live` ignores dependencies: a restart would not repair a database that is down.
        return PlainTextResponse("ok\n")

    async def health(request: Request) -> Response:
        problem = "draining" if state.draining else await service.problem()
        return PlainTextResponse(f"{problem or 'ok'}\n", status_code=503 if problem else 200)

    async def metrics(request: Request) -> Response:
        return await service.metrics()

    async def missing(request: Request, error: Exception) -> Response:
        return PlainTextResponse("not served here\n", status_code=404)

    app = Starlette(
        routes=[
            Route(path, answer, methods=["GET"])
            for path, answer in (("/health", health), ("/live", live), ("/metrics", metrics))
        ],
        exception_handlers={404: missing},
    )
    app.router.redirect_slashes = False
    return app


def metrics_response(metrics: Metrics) -> Response:
    """The response with the metrics of this process in Prometheus' format."""
    return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

"""The sidecar: terminates mutual TLS for the class's gateway, beside a model server that listens on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route as HttpRoute

from edge.config import SidecarConfig
from edge.deadlines import Deadline, Relay, allowed_s, while_connected
from edge.openai_api import CHAT_PATH, COMPLETIONS_PATH, TOKENIZE_PATH, read_body
from edge.service import Service, State, application
from edge.tracing import trace_header
from edge.upstream import BROKEN, UNANSWERED, Client, is_broken, plain_headers, refusal_of

# vLLM serves more on the same port: loading adapters, sleeping, resetting caches, calling its workers.
POST_PATHS = (CHAT_PATH, COMPLETIONS_PATH, "/v1/embeddings", "/v1/rerank", TOKENIZE_PATH)
# The gateway reads health and queue length, and sends each request to the least busy server.
GET_PATHS = ("/v1/models", "/health", "/metrics")


class Sidecar:
    """A reverse proxy for a list of allowed paths. It passes bodies unchanged and replaces all headers."""

    def __init__(self, config: SidecarConfig, state: State) -> None:
        self._upstream, self._limits, self._state = config.upstream, config.limits, state
        # Plain HTTP on loopback, which the configuration requires.
        self._client = Client(config.limits, verify=False)

    def service(self) -> Service:
        """The sidecar as the process runs it."""
        routes = [HttpRoute(path, self.forward, methods=["POST"]) for path in POST_PATHS]
        routes += [HttpRoute(path, self.forward, methods=["GET"]) for path in GET_PATHS]
        return Service(
            app=application(routes),
            paths={*POST_PATHS, *GET_PATHS},
            problem=self._problem,
            metrics=self._metrics,
            close=self._client.aclose,
        )

    async def forward(self, request: Request) -> Response:
        """Forward one request, and relay the answer as it arrives."""
        deadline = Deadline(allowed_s(request, self._limits.request_timeout_s), self._state.running)
        handed_over = False
        try:
            body = None
            if request.method == "POST":
                body = await deadline.wait(read_body(request, self._limits.max_body_bytes))
            # The path comes from the list, not from the request. A query is dropped.
            path = next(path for path in (*POST_PATHS, *GET_PATHS) if path == request.scope["path"])
            async with while_connected(request.receive):
                response = await deadline.wait(self._open(request, path, body))
            handed_over = True
            kind = response.headers.get("content-type", "application/octet-stream")
            request.state.exchange.stream = kind.startswith("text/event-stream")
            return Relay(
                self._relay(response, deadline),
                deadline,
                response.aclose,
                status_code=response.status_code,
                headers={"content-type": kind},
            )
        except TimeoutError:
            raise deadline.refusal() from None
        finally:
            if not handed_over:
                deadline.done()

    async def _open(self, request: Request, path: str, body: bytes | None) -> httpx.Response:
        headers = plain_headers("application/json, text/event-stream") | trace_header(request)
        try:
            return await self._client.send(request.method, self._upstream + path, body=body, headers=headers)
        except httpx.HTTPError as error:
            refusal = refusal_of(error)
            if is_broken(error):
                refusal.headers[BROKEN] = "1"
            raise refusal from error

    async def _relay(self, response: httpx.Response, deadline: Deadline) -> AsyncIterator[bytes]:
        """The bytes of the body. If the upstream's body breaks, this raises and breaks the response, so that the
        gateway notices.
        """
        source = response.aiter_bytes()
        while (piece := await deadline.wait(anext(source, None))) is not None:
            yield piece

    async def _problem(self) -> str | None:
        try:
            response, _ = await self._client.get(self._upstream + "/health", 2)
        except UNANSWERED:
            return "the model server does not answer"
        return None if response.status_code == 200 else f"the model server says {response.status_code}"

    async def _metrics(self) -> Response:
        try:
            response, content = await self._client.get(self._upstream + "/metrics", 5)
        except UNANSWERED:
            return PlainTextResponse("the model server does not answer\n", status_code=503)
        kind = response.headers.get("content-type", "text/plain")
        return Response(content, status_code=response.status_code, headers={"content-type": kind})

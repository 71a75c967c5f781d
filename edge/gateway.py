"""The gateway of one class: known keys in, each to its one workload's endpoint, all else refused."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as HttpRoute

from edge import sse
from edge.callers import Callers, CallersUnreadable
from edge.config import GatewayConfig, Route
from edge.flow import Deadline, Relay, while_connected
from edge.journal import Exchange
from edge.openai_api import Refusal, dump, parse_object, read_body
from edge.service import Service, State, application, metrics_response
from edge.split import Split
from edge.tasks import TASKS, Task
from edge.upstream import Upstream, read_answer, refusal_of


class Gateway:
    """Routes and callers of one class. What a request says of class, tags or cloud is never read."""

    def __init__(self, config: GatewayConfig, state: State) -> None:
        self._limits, self._state = config.limits, state
        self._callers = Callers(config.callers)
        self._ways = {route.workload: _Way(route, config) for route in config.routes}
        self._tasks = {task.path: task for task in (TASKS[route.task] for route in config.routes)}
        self._started = int(time.time())

    def service(self) -> Service:
        """The gateway as the process runs it."""
        routes = [HttpRoute(path, self.ask, methods=["POST"]) for path in self._tasks]
        routes.append(HttpRoute("/v1/models", self.models, methods=["GET"]))
        return Service(
            app=application(routes),
            paths={*self._tasks, "/v1/models"},
            problem=self._problem,
            metrics=self._metrics,
            close=self._close,
            watches=[upstream.watch for way in self._ways.values() for upstream in way.upstreams],
        )

    async def models(self, request: Request) -> Response:
        """The caller's own workload, and no other."""
        workload = self._authenticate(request)
        model = {"id": workload, "object": "model", "created": self._started, "owned_by": "isthmus"}
        return JSONResponse({"object": "list", "data": [model] if workload in self._ways else []})

    async def ask(self, request: Request) -> Response:
        """One request for the workload's task; a chat completion whole or as a stream."""
        exchange: Exchange = request.state.exchange
        workload = self._authenticate(request)
        deadline = Deadline(self._limits.request_timeout_s, self._state.running)
        handed_over = False
        try:
            raw = await deadline.wait(read_body(request, self._limits.max_body_bytes))
            task = self._tasks[request.scope["path"]]
            asked = task.check(parse_object(raw))
            way = self._ways.get(workload)
            if way is None or asked["model"] != workload:
                raise Refusal(
                    404, "model_not_found", "This key has no model of this name; GET /v1/models lists it."
                )
            if TASKS[way.route.task] is not task:
                right = TASKS[way.route.task].path
                raise Refusal(404, "wrong_task", f"This workload's model is asked at {right}.")
            upstream, exchange.variant = way.next()
            stream = exchange.stream = asked.get("stream", False)
            wants_usage = bool(asked.pop("stream_options", {}).get("include_usage"))
            sent = {**asked, "model": upstream.route.model}
            if way.route.cache_salt is not None:
                # Never the caller's: who could choose it could look for what others have asked.
                sent["cache_salt"] = way.route.cache_salt
            if stream:
                sent["stream_options"] = {"include_usage": True}  # for our own count; taken out again below
            accept = "text/event-stream" if stream else "application/json"
            opening = while_connected(request, upstream.open(task.path, dump(sent), accept))
            response = await deadline.wait(opening)
            if not stream:
                return await self._whole(request, response, workload, task, deadline)
            if not response.headers.get("content-type", "").startswith("text/event-stream"):
                await response.aclose()
                raise Refusal(502, "bad_gateway", "The model server did not answer with a stream.")
            handed_over = True
            pieces = self._relay(response, workload, exchange, deadline, wants_usage)
            return Relay(pieces, deadline, response.aclose, headers=sse.HEADERS)
        except TimeoutError:
            raise deadline.refusal() from None
        finally:
            if not handed_over:
                deadline.done()

    async def _whole(
        self, request: Request, response: httpx.Response, workload: str, task: Task, deadline: Deadline
    ) -> Response:
        try:
            raw = await deadline.wait(while_connected(request, read_answer(response)))
            answer = json.loads(raw)
            if not isinstance(answer, dict) or task.holds not in answer:
                raise ValueError
        except httpx.HTTPError as error:
            raise refusal_of(error) from error
        except (ValueError, RecursionError):
            raise Refusal(502, "bad_gateway", "The model server's answer cannot be read.") from None
        request.state.exchange.note_usage(answer.get("usage"))
        return Response(dump(_renamed(answer, workload, task)), media_type="application/json")

    async def _relay(
        self,
        response: httpx.Response,
        workload: str,
        exchange: Exchange,
        deadline: Deadline,
        wants_usage: bool,
    ) -> AsyncIterator[bytes]:
        """The stream, event by event. However it breaks, the caller sees an error and no `[DONE]`."""
        source = sse.events(response.aiter_bytes())
        try:
            while (data := await deadline.wait(anext(source, None))) != sse.DONE_DATA:
                if data is None:
                    raise Refusal(502, "stream_cut", "The model's stream ended before it was complete.")
                chunk = json.loads(data)
                if not isinstance(chunk, dict) or "error" in chunk or "choices" not in chunk:
                    raise Refusal(502, "stream_failed", "The model server failed within the stream.")
                exchange.note_usage(chunk.get("usage"))
                if not wants_usage:
                    chunk.pop("usage", None)
                    if not chunk["choices"]:
                        continue
                yield sse.event(_renamed(chunk, workload, TASKS["chat"]))
            yield sse.DONE
            await deadline.wait(anext(source, None))  # to its end, so that the connection can serve again
        except Refusal as refusal:
            yield _error_event(exchange, refusal)
        except httpx.HTTPError:
            yield _error_event(
                exchange, Refusal(502, "stream_cut", "The model's stream broke before it was complete.")
            )
        except TimeoutError:
            yield _error_event(exchange, deadline.refusal())
        except (ValueError, RecursionError, sse.BrokenStream):
            yield _error_event(
                exchange, Refusal(502, "stream_failed", "The model server's stream cannot be read.")
            )

    def _authenticate(self, request: Request) -> str:
        """The workload that the key speaks for; raises Refusal 401 or, when callers are unknown, 503."""
        values = request.headers.getlist("authorization")
        scheme, _, key = values[0].partition(" ") if len(values) == 1 else ("", "", "")
        try:
            workload = self._callers.workload_of(key.strip())
        except CallersUnreadable:
            raise Refusal(
                503, "callers_unreadable", "The gateway cannot tell who may call; ask its operators."
            ) from None
        if scheme.lower() != "bearer" or not key.strip() or workload is None:
            raise Refusal(
                401, "invalid_api_key", "Send a key of this gateway as Authorization: Bearer <key>."
            )
        request.state.exchange.workload = workload
        return workload

    async def _problem(self) -> str | None:
        return "callers unreadable" if self._callers.problem() else None

    async def _metrics(self) -> Response:
        return metrics_response(self._state.metrics)

    async def _close(self) -> None:
        for way in self._ways.values():
            for upstream in way.upstreams:
                await upstream.close()


class _Way:
    """A workload's upstream, and its canary's where a share goes there."""

    def __init__(self, route: Route, config: GatewayConfig) -> None:
        self.route = route
        canary = route.of_canary()
        routes = [route, *([canary] if canary else [])]
        self.upstreams = [Upstream(each, config.upstream_tls, config.limits) for each in routes]
        self._split = Split(route.canary.percent) if route.canary else None

    def next(self) -> tuple[Upstream, str]:
        """Whose request this is; of a canary also the name by which it is counted apart."""
        if self._split is not None and self._split.next():
            return self.upstreams[1], "canary"
        return self.upstreams[0], ""


def _renamed(answer: dict[str, Any], workload: str, task: Task) -> dict[str, Any]:
    return {**{field: answer[field] for field in task.answer if field in answer}, "model": workload}


def _error_event(exchange: Exchange, refusal: Refusal) -> bytes:
    exchange.code = refusal.code
    return sse.event(refusal.body())

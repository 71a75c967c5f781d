"""The gateway of one class: it identifies callers and serves each workload its own models."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as HttpRoute

from edge import cases, sse
from edge.allowance import Allowances, Ledger, estimate
from edge.allowance.estimate import answers_with_text, count_answers, prompt_tokens, states_maximum
from edge.answers import answer_response, relay_stream
from edge.audit.auditor import Auditor, audited_of
from edge.audit.log import Unrecorded
from edge.cache_salt import Salts
from edge.callers import Caller, FileKeys, Identify, KeyStore, PostgresKeys
from edge.cases import Cases
from edge.confidence.selection import Scorers
from edge.config import GatewayConfig
from edge.database import Database, DatabaseDown
from edge.deadlines import Deadline, Relay, while_connected
from edge.exchange import Exchange
from edge.feedback import PATH as FEEDBACK_PATH
from edge.feedback import Feedback
from edge.openai_api import Refusal, dump, parse_object, read_body
from edge.request_context import RequestContext, price_of
from edge.request_fields import vllm_fields
from edge.reviews.gateway_holding import PATH as REVIEW_PATH
from edge.reviews.gateway_holding import AnswerHolder
from edge.reviews.stream_holding import StreamReview
from edge.revocation import while_allowed
from edge.routing import Endpoint, RoutedModel, Router, Unsent, Upstream, UpstreamCall
from edge.routing.route import send_to_first_available
from edge.screening import Screeners
from edge.service import Service, State, application, metrics_response
from edge.tasks import tasks_of
from edge.tracing import Tracing, trace_id
from edge.upstream import WORKLOAD, plain_headers
from edge.usage_accounts import Accounts

MODELS_PATH = "/v1/models"
MODEL_PATH = "/v1/models/{name}"
HEARD_S = 5.0
"""Maximum age in seconds of the database's last answer. The gateway serves requests only while the answer is newer."""
FLUSH_S = 1.0


class Gateway:
    """The gateway of one class. It never reads class, tags or cloud from a request."""

    def __init__(self, config: GatewayConfig, state: State) -> None:
        self._limits, self._state = config.limits, state
        self._database = Database(config.database) if config.database else None
        self._keys = _keys(config, self._database)
        self._ledger = Ledger(self._database) if self._database else None
        self._allowances = Allowances(config, self._ledger)
        self._accounts = Accounts(self._database, config.data_class, config.site) if self._database else None
        self._router, self._salts, self._tracing = Router(config), Salts(config), Tracing(config)
        self._scorers = Scorers(config)
        self._tasks = {task.path: task for route in config.routes for task in tasks_of(route)}
        self._screeners = Screeners(config) if config.screening else None
        self._auditor = Auditor(config, config.audit, state.metrics) if config.audit else None
        pseudonym = self._auditor.hmacs.subject if self._auditor else None
        self._identify = Identify(config, self._keys, pseudonym)
        self._holder: AnswerHolder | None = None
        if config.reviews is not None:
            assert self._database is not None, "the configuration has it"
            assert self._auditor is not None, "the configuration has it"
            self._holder = AnswerHolder(config, config.reviews, self._database, self._auditor)
        self._feedback: Feedback | None = None
        if config.tokens is not None and self._database is not None and self._auditor is not None:
            self._feedback = Feedback(self._database, self._auditor, config.data_class, config.site)
        self._cases = Cases(self._holder, self._feedback) if self._holder and self._feedback else None
        self._started = int(time.time())
        for endpoint in self._router.endpoints:
            state.metrics.watch(endpoint)

    def service(self) -> Service:
        """The gateway as the process runs it."""
        routes = [HttpRoute(path, self.ask, methods=["POST"]) for path in self._tasks]
        routes.append(HttpRoute(MODELS_PATH, self.models, methods=["GET"]))
        routes.append(HttpRoute("/v1/models/{name:path}", self.model, methods=["GET"]))
        if self._holder is not None:
            routes.append(HttpRoute(REVIEW_PATH, self.review, methods=["GET"]))
        if self._feedback is not None:
            routes.append(HttpRoute(FEEDBACK_PATH, self.feedback, methods=["POST"]))
        if self._cases is not None:
            routes.append(HttpRoute(cases.PATH, self.open_case, methods=["POST"]))
            routes.append(HttpRoute(cases.ONE_PATH, self.case, methods=["GET"]))
        endpoints, app = self._router.endpoints, application(routes)
        return Service(
            app=self._auditor.wrap(app, set(self._tasks)) if self._auditor else app,
            paths={*self._tasks, MODELS_PATH},
            problem=self._problem,
            metrics=self._metrics,
            close=self._close,
            watches=[endpoint.watch for endpoint in (*endpoints, *self._guard_endpoints())],
            background=[
                *(endpoint.probing for endpoint in endpoints),
                self._flushing,
                *([self._auditor.telling] if self._auditor else []),
                *([self._feedback.sweeping] if self._feedback else []),
                *([self._auditor.expiring] if self._auditor and self._auditor.keys else []),
            ],
        )

    async def models(self, request: Request) -> Response:
        """The models of the caller's own workload."""
        caller = await self._caller(request)
        models = [self._model_entry(name) for own in caller.own for name in self._router.models_of(own)]
        return JSONResponse({"object": "list", "data": models})

    async def model(self, request: Request) -> Response:
        """One model of the caller's own workload. Raises Refusal 404 for any other name."""
        name = request.path_params["name"]
        if not name:
            raise HTTPException(404)
        request.state.exchange.path = MODEL_PATH
        caller = await self._caller(request)
        if not any(name in self._router.models_of(own) for own in caller.own):
            raise _no_model()
        return JSONResponse(self._model_entry(name))

    def _model_entry(self, name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": self._started, "owned_by": "isthmus"}

    async def review(self, request: Request) -> Response:
        """A held answer of the caller's own workload."""
        assert self._holder is not None
        request.state.exchange.path = REVIEW_PATH
        return await self._holder.look(request.path_params["id"], await self._caller(request))

    async def feedback(self, request: Request) -> Response:
        """What a person says of an answer to their own request."""
        assert self._feedback is not None
        request.state.exchange.path = FEEDBACK_PATH
        return await self._for_person(request, self._feedback.give)

    async def open_case(self, request: Request) -> Response:
        """A person asks a reviewer about an answer to their own request."""
        assert self._cases is not None
        request.state.exchange.path = cases.PATH
        return await self._for_person(request, self._cases.open)

    async def _for_person(
        self, request: Request, work: Callable[[Request, Caller, int], Awaitable[Response]]
    ) -> Response:
        deadline = Deadline(self._limits.request_timeout_s, self._state.running)
        try:
            caller = await deadline.wait(self._caller(request))
            return await deadline.wait(work(request, caller, self._limits.max_body_bytes))
        except TimeoutError:
            raise deadline.refusal() from None
        finally:
            deadline.done()

    async def case(self, request: Request) -> Response:
        """A case of the person who opened it."""
        assert self._cases is not None
        request.state.exchange.path = cases.ONE_PATH
        return await self._cases.look(request.path_params["id"], await self._caller(request))

    async def ask(self, request: Request) -> Response:
        """Serve one request: identify, parse, reserve, screen, send, answer and account."""
        caller = await self._caller(request)
        deadline = Deadline(self._limits.request_timeout_s, self._state.running)
        context: RequestContext | None = None
        handed_over = False
        try:
            context = await self._parse_request(request, caller, deadline)
            context.exchange.settle = partial(context.settle, self._accounts)
            await self._reserve(context)
            if self._feedback is not None:
                await deadline.wait(self._feedback.asked(context.exchange, context.caller))
            if context.screen is not None:
                await deadline.wait(context.screen.prompt())
            async with while_connected(request.receive):
                call = await deadline.wait(self._send(context))
            answer = await self._answer(context, call)
            handed_over = isinstance(answer, Relay)
            return answer
        except TimeoutError:
            refusal = deadline.refusal()
            request.state.exchange.code, request.state.exchange.status = refusal.code, refusal.status
            raise refusal from None
        except Refusal as refusal:
            request.state.exchange.code, request.state.exchange.status = refusal.code, refusal.status
            raise
        finally:
            if context is None:
                deadline.done()
            elif not handed_over:
                await context.end(self._accounts, self._tracing.end)

    async def _caller(self, request: Request) -> Caller:
        """The caller of a request. Raises Refusal 401, 403 or 503."""
        caller = await self._identify.caller(request)
        exchange: Exchange = request.state.exchange
        exchange.workload, exchange.team, exchange.identity = caller.workload, caller.team, caller.identity
        exchange.person = caller.person
        if self._database is not None:
            try:
                await self._database.heard_within(HEARD_S)
            except DatabaseDown:
                raise Refusal(
                    503,
                    "accounts_unavailable",
                    "The gateway cannot count this request now; ask its operators.",
                ) from None
        return caller

    async def _parse_request(self, request: Request, caller: Caller, deadline: Deadline) -> RequestContext:
        """The request, checked against the fields of its task. Raises Refusal."""
        raw = await deadline.wait(read_body(request, self._limits.max_body_bytes))
        task = self._tasks[request.scope["path"]]
        payload = task.check(parse_object(raw))
        caller, routed_model = self._route_of(caller, payload["model"])
        served = tasks_of(routed_model.route)
        if task not in served:
            raise Refusal(404, "wrong_task", f"Send requests for this model to {served[0].path}.")
        exchange: Exchange = request.state.exchange
        exchange.workload, exchange.team = caller.workload, caller.team
        exchange.model, exchange.stream = routed_model.route.called, payload.get("stream", False)
        if self._holder is not None:
            self._holder.check_stream(caller.workload, task, exchange.stream)
        wants_usage = bool(payload.pop("stream_options", {}).get("include_usage"))
        span = self._tracing.start(request)
        exchange.trace_id = trace_id(span)
        answer_limit = None
        if answers_with_text(payload) and not states_maximum(payload):
            answer_limit = self._allowances.answer_tokens(
                caller, prompt_tokens(payload), count_answers(payload), self._limits.answer_tokens
            )
        expected = estimate(payload) if answer_limit is None else estimate(payload, answer_limit)
        screen = self._screeners.of(caller.workload, exchange, payload) if self._screeners else None
        return RequestContext(
            request,
            exchange,
            caller,
            deadline,
            span,
            task,
            routed_model,
            payload,
            wants_usage,
            expected,
            answer_limit,
            screen,
        )

    def _route_of(self, caller: Caller, model: str) -> tuple[Caller, RoutedModel]:
        """The caller as one of the workload that has the model, and its route. Raises Refusal 404."""
        for own in caller.own:
            if (routed_model := self._router.models_of(own).get(model)) is not None:
                return (self._identify.of_workload(caller, own) if caller.is_person else caller), routed_model
        raise _no_model()

    async def _reserve(self, context: RequestContext) -> None:
        """Reserve tokens and cost in the limits of workload and team. Raises Refusal 400, 402, 429 or 503."""
        highest_price = max(
            price_of(upstream, context.expected) for upstream in context.routed_model.upstreams
        )
        waiting = self._allowances.reserve(context.caller, sum(context.expected), highest_price)
        context.reservation = await context.deadline.wait(waiting)

    async def _send(self, context: RequestContext) -> UpstreamCall:
        """Send the request to the first endpoint that accepts it. Raises Refusal."""
        upstreams, context.exchange.variant = context.routed_model.next(context.task.path)

        async def send(upstream: Upstream, fresh: bool) -> UpstreamCall:
            if (vllm_only := vllm_fields(context.payload)) and not upstream.place.takes_vllm_fields:
                raise NotTaken(vllm_only[0])
            body = self._body(context, upstream, await self._payload_for(context, upstream))
            if (audited := audited_of(context.request)) is not None:
                await audited.intent(context.payload, upstream.place, lambda: context.settle(self._accounts))
            try:
                return await context.offer(upstream, body, self._headers(context), fresh=fresh)
            except Unsent:
                self._state.metrics.unsent(upstream.endpoint)
                raise

        return await send_to_first_available(upstreams, send)

    async def _answer(self, context: RequestContext, call: UpstreamCall) -> Response:
        """The response for the caller. A stream is relayed after the return."""
        response = call.response
        context.exchange.status = 200
        context.score_with(
            self._scorers.scorer(context.caller.workload, context.task, context.payload, call.upstream.place)
        )
        if not context.exchange.stream:
            answer = await answer_response(context, response)
            context.settle(self._accounts)
            score = context.scorer.score if context.scorer else None
            guards = context.exchange.reviewing
            return await self._holder.instead_of(context, answer, score, guards) if self._holder else answer
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            raise Refusal(502, "bad_gateway", "The model server did not answer with a stream.")

        async def record() -> None:
            if (audited := audited_of(context.request)) is not None:
                await audited.outcome(ended_well=True)

        review: StreamReview | None = None
        if self._holder is not None and self._holder.keeps(
            context.caller.workload, context.task, context.exchange.request_id
        ):
            review = StreamReview(self._holder, context, record)

        async def complete() -> None:
            context.settle(self._accounts)
            await (review.complete() if review is not None else record())

        events = relay_stream(context, response, complete)
        pieces = events if review is None else review.pieces(events)
        pieces = while_allowed(pieces, context, self._identify)
        end = partial(context.end, self._accounts, self._tracing.end)
        return Relay(pieces, context.deadline, end, headers=sse.HEADERS)

    async def _payload_for(self, context: RequestContext, upstream: Upstream) -> dict[str, Any]:
        """The caller's fields for the upstream, redacted if they leave the site. Raises Refusal."""
        if context.screen is None or self._screeners is None or not self._screeners.redacts(upstream.place):
            return context.payload
        return await context.screen.leaving()

    def _guard_endpoints(self) -> list[Endpoint]:
        return [judge.endpoint for judge in self._screeners.judges] if self._screeners else []

    def _body(self, context: RequestContext, upstream: Upstream, payload: dict[str, Any]) -> bytes:
        """The request body for the upstream: the caller's fields and those that the gateway adds."""
        body = {**payload, "model": upstream.place.model}
        if context.routed_model.salts(upstream):
            # If callers could choose the salt, response times would reveal to them what others have sent.
            body["cache_salt"] = self._salts.of(context.routed_model.route)
        workload = context.caller.workload
        if self._scorers.needs_logprobs(workload, context.task, context.payload, upstream.place):
            body["logprobs"] = True  # for the score; removed from the answer
        if context.limited_answer is not None:
            body["max_tokens"] = context.limited_answer  # the reserved amount
        if context.exchange.stream:
            # For the gateway's own count; removed from the answer. Only vLLM sends counts with each event.
            is_vllm = upstream.place.target in ("onprem-vllm", "eks-vllm")
            body["stream_options"] = {
                "include_usage": True,
                **({"continuous_usage_stats": True} if is_vllm else {}),
            }
        return dump(body)

    def _headers(self, context: RequestContext) -> dict[str, str]:
        headers = plain_headers("text/event-stream" if context.exchange.stream else "application/json")
        if context.routed_model.route.named:
            headers[WORKLOAD] = context.caller.workload
        return headers | self._tracing.headers(context.span)

    async def _flushing(self) -> None:
        """Report usage to the database in a loop. What fails is reported the next time."""
        while True:
            await asyncio.sleep(FLUSH_S)
            await self._flush()

    async def _flush(self, *, last: bool = False) -> None:
        try:
            if self._ledger is not None and self._accounts is not None:
                await self._ledger.flush(last=last)
                await self._accounts.flush()
        except DatabaseDown:
            pass  # requests are refused until the database answers

    async def _problem(self) -> str | None:
        if await self._keys.problem():
            return "callers unreadable"
        return self._auditor.log.problem() if self._auditor else None

    async def _metrics(self) -> Response:
        return metrics_response(self._state.metrics)

    async def _close(self) -> None:
        if self._auditor is not None:
            with contextlib.suppress(Unrecorded):
                await self._auditor.tell_refused()
            await self._auditor.log.close()
        await self._flush(last=True)
        for endpoint in self._router.endpoints:
            await endpoint.close()
        await asyncio.to_thread(self._tracing.close)
        if self._screeners is not None:
            await self._screeners.close()
        if self._database is not None:
            await self._database.close()


class NotTaken(Unsent):
    """The place does not accept vLLM fields. Another place of the route may accept them."""

    def __init__(self, field: str) -> None:
        super().__init__(
            400,
            "unsupported_parameter",
            f"The field {field!r} is a vLLM field, and no endpoint of this model accepts it now. Remove it, or ask the"
            " gateway's operators for `vllm_fields: true` where this model is served by vLLM.",
        )


def _no_model() -> Refusal:
    return Refusal(
        404, "model_not_found", "This key has no model of this name. GET /v1/models lists its models."
    )


def _keys(config: GatewayConfig, database: Database | None) -> KeyStore:
    if config.callers is not None:
        return FileKeys(config.callers, config.data_class)
    assert database is not None, "the configuration names one of the two"
    return PostgresKeys(database)

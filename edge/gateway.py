"""The gateway of one class: it identifies callers and serves each workload its own models."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as HttpRoute

from edge import cases, own_workloads, sse
from edge.admission import Admission, Who
from edge.allowance import Allowances, Ledger, Parallel, estimate
from edge.allowance.estimate import answers_with_text, count_answers, prompt_tokens, states_maximum
from edge.answers import relay_chunks, whole_answer, write_stream
from edge.audit.auditor import Auditor, audited_of
from edge.audit.log import Unrecorded
from edge.cache_salt import Salts
from edge.callers import Caller, FileKeys, Identify, KeyStore, PostgresKeys
from edge.callers.store import CallersUnreadable
from edge.canary import CanaryWatch, answer_judge, shadow
from edge.canary.answer_judge import AnswerJudge, judge_of
from edge.canary.moves import ReleaseMoves, ReleaseRules
from edge.canary.outcomes import Outcomes, release_of
from edge.canary.shadow import Shadow
from edge.canary.stops import CanaryStops
from edge.cases import Cases
from edge.confidence.selection import Scorers
from edge.config import GatewayConfig
from edge.database import Database, DatabaseDown
from edge.deadlines import TIMEOUT, Deadline, Relay, allowed_s, while_connected
from edge.exchange import Exchange
from edge.expiry import LOOK_S, CertificateExpiry
from edge.feedback import PATH as FEEDBACK_PATH
from edge.feedback import Feedback
from edge.model_probes import ModelProber
from edge.openai_api import TOKENIZE_PATH, Refusal, dump, parse_object, read_body
from edge.request_context import RequestContext, price_of
from edge.request_fields import vllm_fields
from edge.reviews.gateway_holding import LIST_PATH as REVIEWS_PATH
from edge.reviews.gateway_holding import PATH as REVIEW_PATH
from edge.reviews.gateway_holding import RETRY_S, AnswerHolder
from edge.reviews.stream_holding import StreamReview
from edge.revocation import while_allowed
from edge.routing import Endpoint, RoutedModel, Router, Unsent, Upstream, UpstreamCall
from edge.routing.endpoint import no_tokenizer
from edge.routing.route import CANARY, FALLBACK, send_to_first_available
from edge.screening import Screeners
from edge.service import Service, State, application, metrics_response
from edge.stops import StopWatch
from edge.stops.file import FileStops
from edge.stops.postgres import PostgresStops
from edge.stops.stop import StopSource
from edge.tasks import tasks_of
from edge.tracing import Tracing, trace_id
from edge.transit import OfGateway, Transit
from edge.upstream import WORKLOAD, plain_headers
from edge.usage_accounts import Accounts

MODELS_PATH = "/v1/models"
MODEL_PATH = "/v1/models/{name}"
HEARD_S = 5.0
"""Maximum age in seconds of the database's last answer. The gateway serves requests only while the answer is newer."""
FLUSH_S = 1.0
BATCH_PRIORITY = 1
"""vLLM's `priority` of lines of batches. Interactive requests have 0, and lower ones go first."""
CANARY_HEADER = "x-isthmus-canary"
"""Request header of evaluations: `true` asks the canary, whatever its share. Others' is ignored."""
VARIANT_HEADER = "x-isthmus-variant"
"""Tells an evaluation whose answer it has: `canary` or `in-use`. Other callers do not get it."""
FALLBACK_HEADER = "x-isthmus-fallback"
"""Response header: the code of the refusal for which another model answers."""


class Gateway:
    """The gateway of one class. It never reads class, tags or cloud from a request."""

    def __init__(self, config: GatewayConfig, state: State) -> None:
        self._class, self._site = config.data_class, config.site
        self._limits, self._state = config.limits, state
        self._database = Database(config.database) if config.database else None
        self._keys = _keys(config, self._database)
        self._ledger = Ledger(self._database) if self._database else None
        self._parallel = Parallel(self._database)
        self._allowances = Allowances(config, self._ledger, self._parallel)
        self._accounts = Accounts(self._database, config.data_class, config.site) if self._database else None
        self._router, self._salts, self._tracing = Router(config), Salts(config), Tracing(config)
        self._admission = Admission(config, self._router)
        self._scorers = Scorers(config)
        self._tasks = {task.path: task for route in config.routes for task in tasks_of(route)}
        self._screeners = Screeners(config) if config.screening else None
        self._auditor = Auditor(config, config.audit, state.metrics) if config.audit else None
        pseudonym = self._auditor.hmacs.subject if self._auditor else None
        self._identify = Identify(config, self._keys, pseudonym, state.is_revoked)
        workloads = {route.workload for route in config.routes}
        self._stops = StopWatch(_stop_source(config, self._database), workloads, state, self._auditor)
        self._feedback: Feedback | None = None
        if config.tokens is not None and self._database is not None and self._auditor is not None:
            self._feedback = Feedback(self._database, self._auditor, config.data_class, config.site)
        canary_key = self._auditor.hmacs.key if self._auditor else secrets.token_bytes(32)
        self._canaries = self._watch_canaries(config, canary_key)
        self._outcomes: Outcomes | None = None
        if self._database is not None and any(map(release_of, self._router.models)):
            place = config.data_class, config.site
            self._outcomes = Outcomes(self._database, *place, canary_key, state.metrics)
        self._judge = self._make_judge(canary_key)
        self._shadow = self._make_shadow(canary_key)
        self._prober: ModelProber | None = None
        if config.model_probes is not None:
            models = state.metrics.watch_models()
            self._prober = ModelProber(config.model_probes, self._router, models, self._is_used)
        self._own_workloads = own_workloads.OwnWorkloads(self._stops, self._allowances)
        self._holder: AnswerHolder | None = None
        if config.reviews is not None:
            assert self._database is not None, "the configuration has it"
            assert self._auditor is not None, "the configuration has it"
            self._holder = AnswerHolder(config, config.reviews, self._database, self._auditor, self._feedback)
        self._cases: Cases | None = None
        if self._holder is not None and self._feedback is not None and self._auditor is not None:
            assert config.reviews is not None, "there is a holder"
            key = self._auditor.hmacs.key
            self._cases = Cases(config.reviews.cases, self._holder, self._feedback, key)
        self._transit = self._make_transit(config)
        self._repeatable = self._transit.repeatable if self._transit else None
        self._started = int(time.time())
        for endpoint in self._router.endpoints:
            state.metrics.watch(endpoint)
        for name, path in (
            ("listen", config.listen.certificate),
            ("upstream", config.upstream_tls.certificate),
        ):
            state.metrics.watch_certificate(name, CertificateExpiry(path).left_s)

    def _watch_canaries(self, config: GatewayConfig, key: bytes) -> CanaryWatch:
        stops = moves = None
        if self._database is not None:
            place = (self._database, config.data_class, config.site, _name_of(config))
            stops, moves = CanaryStops(*place), ReleaseMoves(*place, _release_rules(config))
        return CanaryWatch(self._router.models, key, stops, moves, self._state.metrics, self._auditor)

    def _make_shadow(self, key: bytes) -> Shadow | None:
        canaries = [model.route.canary for model in self._router.models if model.route.canary is not None]
        if self._outcomes is None or not any(canary.shadow_percent for canary in canaries):
            return None
        screeners = self._screeners
        of_gateway = shadow.OfGateway(
            may_mirror=self._may_mirror,
            slot=lambda context: self._admission.enter_spare(context.routed_model, CANARY, _spare(context)),
            body=self._body,
            headers=self._headers,
            score=self._score,
            redacts=lambda upstream: screeners is not None and screeners.redacts(upstream.place),
        )
        limit_s = self._limits.request_timeout_s
        outcomes, metrics = self._outcomes, self._state.metrics
        return Shadow(of_gateway, key, outcomes, metrics, self._auditor, limit_s, self._judge)

    def _make_judge(self, key: bytes) -> AnswerJudge | None:
        judges = [judge_of(model, self._router.models_of) for model in self._router.models]
        if self._outcomes is None or self._database is None or not any(judges):
            return None
        screeners = self._screeners
        of_gateway = answer_judge.OfGateway(
            judge_of=lambda model: judge_of(model, self._router.models_of),
            may_judge=lambda model, judge: self._may_mirror(model) and self._is_used(judge, False),
            share=self._canaries.share_of,
            slot=lambda context, judge: self._admission.enter_spare(judge, "", _spare(context)),
            body=self._body,
            headers=self._headers,
            redacts=lambda upstream: screeners is not None and screeners.redacts(upstream.place),
        )
        return AnswerJudge(
            of_gateway,
            key,
            self._database,
            (self._class, self._site),
            self._outcomes,
            self._state.metrics,
            self._auditor,
            self._limits.request_timeout_s,
        )

    def _may_mirror(self, model: RoutedModel) -> bool:
        """Whether copies of requests may go to a model's canary now."""
        is_running = self._stops.message_of(model.route.workload) is None
        return is_running and self._canaries.is_informed and not self._canaries.is_stopped(model)

    def _is_used(self, model: RoutedModel, is_canary: bool) -> bool:
        """Whether callers can reach a model now. A canary: they, or copies of their requests."""
        is_running = self._stops.message_of(model.route.workload) is None
        if not is_canary:
            return is_running
        canary = model.route.canary
        has_shadow = canary is not None and canary.shadow_percent > 0 and not self._canaries.is_stopped(model)
        return is_running and (has_shadow or self._canaries.has_share(model))

    def _make_transit(self, config: GatewayConfig) -> Transit | None:
        if config.file_store is None or self._database is None or self._accounts is None:
            return None
        of_gateway = OfGateway(
            caller=self._caller,
            identify=self._identify,
            serves_batches=self._serves_batches,
            model_of=self._model_of_line,
            idle_replicas=self._idle_replicas,
            account=self._accounts.flush,
            endpoints=frozenset(path for path, task in self._tasks.items() if task.is_charged),
        )
        return Transit(config, config.file_store, self._database, self._state, of_gateway)

    def _serves_batches(self, caller: Caller) -> bool:
        return any(
            "batches" in routed_model.route.interfaces
            for own in caller.own
            for routed_model in self._router.models_of(own).values()
        )

    def _model_of_line(self, caller: Caller, path: str, body: dict[str, Any]) -> str:
        """Workload and model of a line of a batch. Raises Refusal."""
        if (task := self._tasks.get(path)) is None:
            raise Refusal(404, "wrong_task", f"This gateway does not serve {path}.")
        caller, routed_model = self._route_of(caller, task.check(body)["model"])
        if "batches" not in routed_model.route.interfaces:
            raise Refusal(400, "batches_not_served", "Batches are not served for this model.")
        if task not in tasks_of(routed_model.route):
            raise Refusal(404, "wrong_task", f"This model does not serve {path}.")
        return f"{caller.workload} {routed_model.route.called}"

    def _idle_replicas(self, model: str) -> int:
        """Replicas to which lines of a batch may be sent. A model that is gone refuses the line itself."""
        workload, _, name = model.partition(" ")
        routed_model = self._router.models_of(workload).get(name)
        return 1 if routed_model is None else routed_model.idle_replicas

    def service(self) -> Service:
        """The gateway as the process runs it."""
        routes = [HttpRoute(path, self.ask, methods=["POST"]) for path in self._tasks]
        routes.append(HttpRoute(MODELS_PATH, self.models, methods=["GET"]))
        routes.append(HttpRoute(own_workloads.PATH, self.workloads, methods=["GET"]))
        routes.append(HttpRoute("/v1/models/{name:path}", self.model, methods=["GET"]))
        if self._holder is not None:
            routes.append(HttpRoute(REVIEW_PATH, self.review, methods=["GET"]))
            routes.append(HttpRoute(REVIEWS_PATH, self.reviews, methods=["GET"]))
        if self._feedback is not None:
            routes.append(HttpRoute(FEEDBACK_PATH, self.feedback, methods=["POST"]))
        if self._cases is not None:
            routes.append(HttpRoute(cases.PATH, self.open_case, methods=["POST"]))
            routes.append(HttpRoute(cases.NOTICE_PATH, self.case_notice, methods=["GET"]))
            routes.append(HttpRoute(cases.ONE_PATH, self.case, methods=["GET"]))
        if self._transit is not None:
            routes += self._transit.routes()
        endpoints, app = self._router.endpoints, application(routes)
        app = self._auditor.wrap(app, set(self._tasks)) if self._auditor else app
        return Service(
            app=self._repeatable.wrap(app) if self._repeatable else app,
            paths={*self._tasks, MODELS_PATH, own_workloads.PATH},
            problem=self._problem,
            metrics=self._metrics,
            close=self._close,
            watches=[endpoint.watch for endpoint in (*endpoints, *self._guard_endpoints())],
            background=[
                *(endpoint.probing for endpoint in endpoints),
                self._admission.adapting,
                self._flushing,
                self._watching_keys,
                *([self._watching_limits] if self._ledger is not None else []),
                *([self._stops.watching, self._stops.telling] if self._stops.source is not None else []),
                *self._canaries.background,
                *([self._outcomes.flushing, self._outcomes.sweeping] if self._outcomes else []),
                *(self._prober.background if self._prober else []),
                *(self._transit.background if self._transit else []),
                *([self._auditor.telling] if self._auditor else []),
                *([self._feedback.sweeping] if self._feedback else []),
                *([self._auditor.expiring] if self._auditor and self._auditor.keys else []),
            ],
        )

    async def models(self, request: Request) -> Response:
        """The models of the caller's own workload."""
        caller = await self._caller(request)
        models = [self._model_entry(name) for own in caller.own for name in self._models_of(caller, own)]
        return JSONResponse({"object": "list", "data": models})

    async def workloads(self, request: Request) -> Response:
        """The caller's own workloads: in service or stopped, and for owners what they have used."""
        return await self._own_workloads.look(await self._caller(request))

    async def model(self, request: Request) -> Response:
        """One model of the caller's own workload. Raises Refusal 404 for any other name."""
        name = request.path_params["name"]
        if not name:
            raise HTTPException(404)
        request.state.exchange.path = MODEL_PATH
        caller = await self._caller(request)
        if not any(name in self._models_of(caller, own) for own in caller.own):
            raise _no_model()
        return JSONResponse(self._model_entry(name))

    def _model_entry(self, name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": self._started, "owned_by": "isthmus"}

    async def review(self, request: Request) -> Response:
        """A held answer of the caller's own workload."""
        assert self._holder is not None
        request.state.exchange.path = REVIEW_PATH
        return await self._holder.look(request.path_params["id"], await self._caller(request))

    async def reviews(self, request: Request) -> Response:
        """The held answers and cases of the person who asks."""
        assert self._holder is not None
        request.state.exchange.path = REVIEWS_PATH
        return await self._holder.list_own(await self._caller(request))

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

    async def case_notice(self, request: Request) -> Response:
        """What a person reads before they send a case."""
        assert self._cases is not None
        request.state.exchange.path = cases.NOTICE_PATH
        return await self._cases.notice(await self._caller(request))

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
        self._tasks[request.scope["path"]].begin(request.state.exchange)
        caller = await self._caller(request)
        deadline = Deadline(allowed_s(request, self._limits.request_timeout_s), self._state.running)
        context: RequestContext | None = None
        handed_over = False
        try:
            context = await self._parse_request(request, caller, deadline)
            context.exchange.settle = partial(context.settle, self._accounts)
            if self._repeatable is not None and "idempotency" in context.routed_model.route.interfaces:
                stored = await self._repeatable.begin(request, caller, context.payload, deadline)
                if stored is not None:
                    return stored
            if context.task.is_charged:  # a tokenizer needs no room on a GPU
                self._admission.check(context.routed_model, context.task.sent_to, _who(context))
            await self._reserve(context)
            if self._feedback is not None:
                asked = self._feedback.asked(request, context.exchange, context.caller, context.payload)
                await deadline.wait(asked)
            if context.screen is not None:
                await deadline.wait(context.screen.prompt())
            async with while_connected(request.receive):
                call = await deadline.wait(self._send(context))
            answer = await self._answer(context, call)
            if context.exchange.fallback:
                answer.headers[FALLBACK_HEADER] = context.exchange.fallback
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
        exchange: Exchange = request.state.exchange
        exchange.batch = getattr(request.state, "batch", "")  # first: a refused line names its batch too
        exchange.priority = "batch" if exchange.batch else "interactive"
        caller = await self._identify.caller(request)
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
        body = parse_object(raw)
        payload = task.check(body)
        caller, routed_model = self._route_of(caller, payload["model"])
        served = tasks_of(routed_model.route)
        if task not in served:
            paths = " or ".join(own.path for own in served)
            raise Refusal(
                404,
                "wrong_task",
                f"Send requests for this model to {paths}. A workload's `interfaces` open other paths.",
            )
        exchange: Exchange = request.state.exchange
        exchange.workload, exchange.team = caller.workload, caller.team
        exchange.evaluates = caller.evaluates
        exchange.model, exchange.stream = routed_model.route.called, payload.get("stream", False)
        await deadline.wait(self._stops.require_running(caller.workload))
        deadline.workload = caller.workload
        if self._holder is not None:
            self._holder.check_stream(caller.workload, task, exchange.stream)
        wants_usage = bool(payload.pop("stream_options", {}).get("include_usage")) or task.always_counts
        span = self._tracing.start(request, task.operation, routed_model.route.called)
        exchange.trace_id = trace_id(span)
        answer_limit = None
        if task.is_charged and answers_with_text(payload) and not states_maximum(payload):
            answer_limit = self._allowances.answer_tokens(
                caller, prompt_tokens(payload), count_answers(payload), self._limits.answer_tokens
            )
        expected = estimate(payload) if answer_limit is None else estimate(payload, answer_limit)
        if not task.is_charged:
            expected = exchange.prompt_tokens, exchange.completion_tokens = 0, 0
        screen = self._screeners.of(caller.workload, exchange, payload) if self._screeners else None
        return RequestContext(
            request,
            exchange,
            caller,
            deadline,
            span,
            task,
            routed_model,
            body,
            payload,
            wants_usage,
            expected,
            answer_limit,
            screen,
        )

    def _route_of(self, caller: Caller, model: str) -> tuple[Caller, RoutedModel]:
        """The caller as one of the workload that has the model, and its route. Raises Refusal 404."""
        for own in caller.own:
            if (routed_model := self._models_of(caller, own).get(model)) is not None:
                return (self._identify.of_workload(caller, own) if caller.is_person else caller), routed_model
        raise _no_model()

    def _models_of(self, caller: Caller, workload: str) -> dict[str, RoutedModel]:
        """The models of a workload that the caller may use, by name."""
        models = self._router.models_of(workload)
        if caller.models is None:
            return models
        return {name: model for name, model in models.items() if name in caller.models}

    async def _reserve(self, context: RequestContext) -> None:
        """Reserve tokens and cost in the limits that apply. Raises Refusal 400, 402, 429 or 503."""
        upstreams = context.routed_model.upstreams
        if self._allowances.has_usd_limit(context.caller) and not all(
            upstream.place.has_price for upstream in upstreams
        ):
            raise Refusal(
                503,
                "budget_unpriced",
                "This caller has a budget in USD, and a place of this model has no price; ask the gateway's operators.",
            )
        highest_price = max(price_of(upstream, context.expected) for upstream in upstreams)
        waiting = self._allowances.reserve(context.caller, sum(context.expected), highest_price)
        try:
            context.reservation = await context.deadline.wait(waiting)
        finally:
            context.exchange.headers += self._allowances.rate_headers(context.caller)

    async def _send(self, context: RequestContext) -> UpstreamCall:
        """Send the request to the first endpoint that accepts it, or to a fallback. Raises Refusal."""
        model = context.routed_model
        wanted = context.request.headers.get(CANARY_HEADER) == "true"
        is_canary = self._canaries.takes(model, context.exchange, context.payload, wanted=wanted)
        context.exchange.variant = variant = CANARY if is_canary else ""
        if context.caller.evaluates:
            context.exchange.headers.append((VARIANT_HEADER.encode(), (variant or "in-use").encode()))
        else:
            self._count_outcome(context, is_canary)
        try:
            return await self._send_to(context, variant)
        except Refusal as refusal:
            # The tokens of another model are no answer.
            can_move = context.task.is_charged and not context.is_for_own_model
            if not (can_move and model.may_fall_back(refusal, variant)):
                raise
            await context.leave_for_fallback(refusal)
            self._state.metrics.fallback(context.exchange)
            try:
                return await self._send_to(context, FALLBACK)
            except Refusal:
                raise refusal from None  # the caller asked for the own model

    def _count_outcome(self, context: RequestContext, is_canary: bool) -> None:
        """Count the request in the outcomes of a release, and mirror it, unless the release is stopped.

        Nothing is counted while the copy does not know the release's state: it then serves everybody in use.
        """
        model, canaries = context.routed_model, self._canaries
        if self._outcomes is None or release_of(model) is None:
            return
        if canaries.is_stopped(model) or not canaries.is_informed:
            return
        variant = "canary" if is_canary else "in-use"
        self._outcomes.watch(model, context.exchange, context.payload, variant)
        is_mirrored = self._shadow is not None and not is_canary and self._shadow.watch(context)
        if self._judge is not None:
            self._judge.watch(context, variant, is_mirrored=is_mirrored)

    async def _send_to(self, context: RequestContext, variant: str) -> UpstreamCall:
        """Wait until a variant of the route has room for the request, and send it. Raises Refusal."""
        path, model = context.task.sent_to, context.routed_model
        asked_at = time.monotonic()
        overflow = False
        if context.task.is_charged:
            context.slot, overflow = await self._admission.enter(model, path, variant, _who(context))
        first = None
        if context.slot is not None:
            first = context.slot.endpoint
            context.exchange.queued_s = round(time.monotonic() - asked_at, 4)
        upstreams = model.order(path, variant, first, payload=context.payload, overflow=overflow)
        if context.is_for_own_model:
            upstreams = model.without_overflow(upstreams)
        return await send_to_first_available(upstreams, partial(self._offer, context))

    async def _offer(self, context: RequestContext, upstream: Upstream, fresh: bool) -> UpstreamCall:
        """Record that the request goes to an upstream, and send it. Raises Refusal."""
        if (vllm_only := vllm_fields(context.payload)) and not upstream.place.takes_vllm_fields:
            raise NotTaken(vllm_only[0])
        if context.task.sent_to == TOKENIZE_PATH and upstream.place.target in ("bedrock", "sagemaker"):
            raise no_tokenizer()
        body = self._body(context, upstream, await self._payload_for(context, upstream))
        if (audited := audited_of(context.request)) is not None:
            await audited.intent(context.payload, upstream.place, lambda: context.settle(self._accounts))
        try:
            return await context.offer(upstream, body, self._headers(context), fresh=fresh)
        except Unsent:
            self._state.metrics.unsent(upstream.endpoint)
            raise

    async def _answer(self, context: RequestContext, call: UpstreamCall) -> Response:
        """The response for the caller. A stream is relayed after the return."""
        response = call.response
        context.exchange.status = 200
        self._score(context, call.upstream)
        if not context.exchange.stream:
            answer = await whole_answer(context, response)
            context.settle(self._accounts)
            self._stops.check(context.caller.workload)
            return await self._whole(context, answer)
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            raise Refusal(502, "bad_gateway", "The model server did not answer with a stream.")

        async def record() -> None:
            if (audited := audited_of(context.request)) is not None:
                await audited.outcome(ended_well=True)
            await self._note_answer(context)

        review: StreamReview | None = None
        if (
            self._holder is not None
            and not context.caller.evaluates
            and self._holder.keeps(context.caller.workload, context.task, context.exchange.request_id)
        ):
            review = StreamReview(self._holder, context, record)

        async def complete() -> None:
            context.settle(self._accounts)
            await (review.complete() if review is not None else record())

        chunks = relay_chunks(context, response, complete, at_once=review is None)
        parts = chunks if review is None else review.parts(chunks)
        parts = while_allowed(parts, context, self._identify)
        pieces = write_stream(parts, context.writer(), context.exchange)
        end = partial(context.end, self._accounts, self._tracing.end)
        return Relay(pieces, context.deadline, end, headers=sse.HEADERS)

    def _score(self, context: RequestContext, upstream: Upstream) -> None:
        """Let the answer be scored, if the workload wants it."""
        workload, place = context.caller.workload, upstream.place
        context.score_with(self._scorers.scorer(workload, context.task, context.payload, place))

    async def _whole(self, context: RequestContext, answer: dict[str, Any]) -> Response:
        """The response with a whole answer, or a 202 with a notice if people hold it. Raises Refusal 503."""
        notice = None
        if self._holder is not None and not context.caller.evaluates:
            score = context.scorer.score if context.scorer else None
            notice = await self._holder.decide(context, answer, score, context.exchange.reviewing)
        writer = context.writer()
        if notice is None:
            if context.exchange.answer is not None:
                context.exchange.answer.add(answer)
            await self._note_answer(context)
            return Response(writer.whole(answer), media_type="application/json")
        headers = {"location": REVIEW_PATH.format(id=context.exchange.request_id), "retry-after": RETRY_S}
        body = writer.whole_held(notice)
        return Response(body, status_code=202, headers=headers, media_type="application/json")

    async def _note_answer(self, context: RequestContext) -> None:
        """Note what a person gets, so that a case about it can be compared with it."""
        answer = context.exchange.answer
        if self._feedback is not None and context.caller.is_person and answer is not None:
            await context.deadline.wait(self._feedback.answered(context.exchange.request_id, answer.values()))

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
        if context.task.is_charged and context.routed_model.salts(upstream):
            # If callers could choose the salt, response times would reveal to them what others have sent.
            body["cache_salt"] = self._salts.of(context.routed_model.route)
        workload = context.caller.workload
        if self._scorers.needs_logprobs(workload, context.task, context.payload, upstream.place):
            body["logprobs"] = True  # for the score; removed from the answer
        if context.exchange.batch and upstream.place.takes_vllm_fields:
            body["priority"] = BATCH_PRIORITY
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
        headers[TIMEOUT] = f"{context.deadline.left_s:.3f}"
        return headers | self._tracing.headers(context.span)

    async def _flushing(self) -> None:
        """Report usage to the database in a loop. What fails is reported the next time."""
        while True:
            await asyncio.sleep(FLUSH_S)
            await self._flush()

    async def _watching_keys(self) -> None:
        """Export when keys expire, in a loop. Only workloads of this gateway are labels."""
        while True:
            with contextlib.suppress(CallersUnreadable):
                for workload, ends in (await self._keys.ends(self._class)).items():
                    if self._router.models_of(workload):
                        self._state.metrics.note_key_ends(workload, ends.first, ends.last)
            await asyncio.sleep(LOOK_S)

    async def _watching_limits(self) -> None:
        """Export what workloads and teams have used of their limits for this month, in a loop."""
        workloads = sorted({model.route.workload for model in self._router.models})
        while True:
            with contextlib.suppress(DatabaseDown):
                for uses in (await self._allowances.this_month(workloads)).values():
                    for use in uses:
                        self._state.metrics.note_month_used(use.of, use.unit, use.used / use.limit)
            await asyncio.sleep(LOOK_S)

    async def _flush(self, *, last: bool = False) -> None:
        try:
            if self._ledger is not None and self._accounts is not None:
                await self._ledger.flush(last=last)
                await self._parallel.flush(last=last)
                await self._accounts.flush()
                if last and self._outcomes is not None:
                    await self._outcomes.flush()
        except DatabaseDown:
            pass  # requests are refused until the database answers

    async def _problem(self) -> str | None:
        if await self._keys.problem():
            return "callers unreadable"
        if problem := self._stops.problem():
            return problem
        return self._auditor.log.problem() if self._auditor else None

    async def _metrics(self) -> Response:
        return metrics_response(self._state.metrics)

    async def _close(self) -> None:
        if self._shadow is not None:
            await self._shadow.close()
        if self._judge is not None:
            await self._judge.close()
        if self._transit is not None:
            await self._transit.close()
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


def _who(context: RequestContext) -> Who:
    caller, batch = context.caller, context.exchange.priority == "batch"
    return Who(caller.workload, caller.identity, batch, context.payload)


def _spare(context: RequestContext) -> Who:
    """Whose room a copy of a request takes: it comes after everything else."""
    return Who(context.caller.workload, context.caller.identity, True, context.payload)


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
        404, "model_not_found", "You may use no model of this name. GET /v1/models lists those you may use."
    )


def _release_rules(config: GatewayConfig) -> ReleaseRules:
    two_people = frozenset(
        route.workload for route in config.routes if route.canary is not None and route.canary.two_people
    )
    freezes = [(freeze.begin, freeze.end) for freeze in config.release_freezes]
    return ReleaseRules(config.releasers, two_people, freezes)


def _stop_source(config: GatewayConfig, database: Database | None) -> StopSource | None:
    if database is not None:
        return PostgresStops(database, config.data_class, config.site, _name_of(config))
    return FileStops(config.stops) if config.stops is not None else None


def _name_of(config: GatewayConfig) -> str:
    """The name of this gateway where people read it: without one of its records, the host's, which is the pod's."""
    return (config.audit.name if config.audit else None) or socket.gethostname().lower()


def _keys(config: GatewayConfig, database: Database | None) -> KeyStore:
    if config.callers is not None:
        return FileKeys(config.callers, config.data_class)
    assert database is not None, "the configuration names one of the two"
    return PostgresKeys(database)

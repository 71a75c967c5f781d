"""The proxy of a chat: it lets people with a verified token in, and passes their questions to the class's gateway.

Two listeners: the sign-on's proxy sends people's requests to one, the chat asks models at the other, on loopback. Each
request to the chat carries the token in a cookie. The chat sends the cookie with each question, and it is verified
again before the question leaves with the gateway's certificate.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route as HttpRoute

from edge.callers.session import HEADER
from edge.chats import open_webui, pages, start_page
from edge.chats.histories import Histories
from edge.chats.models import CASES_PATH, NOTICE_PATH, Models
from edge.chats.sign_on import COOKIE, SignOn, Visitor
from edge.config.chat import ChatConfig
from edge.deadlines import Deadline, Relay, while_connected
from edge.forms import read_form
from edge.journal import Journal, write_line
from edge.listeners import bind, plain_listener
from edge.openai_api import Refusal, read_at_most
from edge.service import Service, State, application, metrics_response
from edge.tls import client_context
from edge.upstream import UNANSWERED, Client, read_answer, refusal_of

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
ACCOUNT, NAME, ROLE = "x-isthmus-account", "x-isthmus-name", "x-isthmus-role"
"""Headers by which the chat knows the person. Only this proxy reaches the chat."""
MODELS_PATH = "/api/models"
RETRY_S = 2.0
MODELS_CONNECTIONS = 512
_HOP = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "host",
    )
)
_OURS = ("x-forwarded-", "x-isthmus-", "x-auth-request-", "x-real-ip", "forwarded")


class ChatProxy:
    """The proxy of one chat."""

    def __init__(self, config: ChatConfig, state: State) -> None:
        self._config, self._state, self._limits = config, state, config.limits
        self._sign_on = SignOn(config)
        self._chat = Client(config.limits, verify=False, passes_cookies=True)
        self._gateway = Client(config.limits, client_context(config.gateway_tls))
        self._models = Models(config, state, self._sign_on, self._gateway)
        self._is_set_up = not config.open_webui
        self._histories = Histories(config.history) if config.history is not None else None

    def service(self) -> Service:
        """The proxy as the process runs it."""
        routes = [
            HttpRoute(start_page.PATH, self.start, methods=["GET"]),
            HttpRoute(pages.PATH, self.requests, methods=["GET"]),
            HttpRoute(pages.ONE_PATH, self.one_request, methods=["GET"]),
            HttpRoute(pages.APPEAL_PATH, self.appeal, methods=["POST"]),
            HttpRoute(pages.SCRIPT_PATH, self.script, methods=["GET"]),
            HttpRoute(pages.STYLE_PATH, self.style, methods=["GET"]),
            HttpRoute("/{path:path}", self.forward, methods=METHODS),
        ]
        return Service(
            app=application(routes),
            paths={pages.PATH, start_page.PATH},
            problem=self._problem,
            metrics=self._metrics,
            close=self._close,
            background=[
                self._serving_models,
                self._setting_up,
                *([self._histories.sweeping] if self._histories else []),
            ],
        )

    async def forward(self, request: Request) -> Response:
        """Pass one request of a person to the chat."""
        visitor = await self._visitor(request)
        if isinstance(visitor, Response):
            return visitor
        if not self._is_set_up:
            raise Refusal(
                503, "starting", "The chat is starting. Try again in a minute.", {"retry-after": "5"}
            )
        deadline = Deadline(self._limits.request_timeout_s, self._state.running)
        handed_over = False
        try:
            body = await deadline.wait(read_at_most(request, self._limits.max_body_bytes))
            async with while_connected(request.receive):
                response = await deadline.wait(self._open(request, visitor, body))
                if request.scope["path"] == MODELS_PATH and response.status_code == 200:
                    return await deadline.wait(_own_models(response, visitor))
            handed_over = True
            relay = Relay(
                self._relay(response, deadline),
                deadline,
                response.aclose,
                status_code=response.status_code,
                headers={},
            )
            relay.raw_headers = [
                (name.lower(), value)
                for name, value in response.headers.raw
                if name.lower().decode("latin-1") not in _HOP
            ]
            return relay
        except TimeoutError:
            raise deadline.refusal() from None
        finally:
            if not handed_over:
                deadline.done()

    async def start(self, request: Request) -> Response:
        """A person's start page. It says so if the gateway does not answer."""
        visitor = await self._visitor(request)
        if isinstance(visitor, Response):
            return visitor
        workloads, requests = await asyncio.gather(
            self._listed("/v1/workloads", visitor), self._listed("/v1/reviews", visitor)
        )
        page = start_page.start_page(self._config, visitor, workloads, requests)
        return HTMLResponse(page, headers=pages.HEADERS)

    async def _listed(self, path: str, visitor: Visitor) -> list[dict[str, Any]] | None:
        """A list of the gateway. None if it does not answer or does not serve the path."""
        try:
            return (await self._models.get(path, visitor))["data"]
        except Refusal:
            return None

    async def requests(self, request: Request) -> Response:
        """The page of a person's held answers and questions."""
        visitor = await self._visitor(request)
        if isinstance(visitor, Response):
            return visitor
        listed = await self._models.get("/v1/reviews", visitor)
        return HTMLResponse(pages.requests_page(self._config, listed["data"]), headers=pages.HEADERS)

    async def one_request(self, request: Request) -> Response:
        """The page of one held answer or question."""
        visitor = await self._visitor(request)
        if isinstance(visitor, Response):
            return visitor
        kind, id_ = request.path_params["kind"], request.path_params["id"]
        try:
            shown = await self._models.get(f"/v1/{kind}/{quote(id_, safe='')}", visitor)
            appeal = ""
            if (until := pages.appeal_by(shown)) is not None:
                notice = (await self._models.get(NOTICE_PATH, visitor))["notice"]
                languages = request.headers.get("accept-language", "")
                appeal = pages.appeal_form(id_, until, pages.in_language(notice, languages))
        except Refusal as refusal:
            return self._refused(refusal)
        return HTMLResponse(pages.request_page(self._config, shown, appeal), headers=pages.HEADERS)

    async def appeal(self, request: Request) -> Response:
        """An appeal by the form on the page of a decided answer."""
        visitor = await self._visitor(request)
        if isinstance(visitor, Response):
            return visitor
        try:
            if request.headers.get("sec-fetch-site") != "same-origin":
                raise Refusal(403, "wrong_origin", "Send the form from the page of your request.")
            form = await read_form(request, self._limits.max_body_bytes)
            sent = {"appeal_of": request.path_params["id"], "question": form.get("question", "")}
            if "confirmed" in form:
                sent["confirmed"] = True
            case = await self._models.post(CASES_PATH, visitor, sent)
        except Refusal as refusal:
            return self._refused(refusal)
        return RedirectResponse(pages.ONE_PATH.format(kind="cases", id=case["id"]), 303, pages.HEADERS)

    def _refused(self, refusal: Refusal) -> Response:
        """The page that says why something cannot be shown or done."""
        page = pages.refusal_page(self._config, refusal)
        return HTMLResponse(page, status_code=refusal.status, headers=pages.HEADERS)

    async def script(self, request: Request) -> Response:
        """The script of the strip with the class."""
        await self._sign_on.visitor(request.headers.get(HEADER, ""))
        return Response(pages.strip_script(self._config), media_type="text/javascript")

    async def style(self, request: Request) -> Response:
        """The style of the strip with the class."""
        await self._sign_on.visitor(request.headers.get(HEADER, ""))
        return Response(pages.STRIP_STYLE, media_type="text/css")

    async def _visitor(self, request: Request) -> Visitor | Response:
        """The person, or a page that says why there is none, to a browser that opens one."""
        try:
            visitor = await self._sign_on.visitor(request.headers.get(HEADER, ""))
        except Refusal as refusal:
            if "text/html" not in request.headers.get("accept", ""):
                raise
            request.state.exchange.code = refusal.code
            return self._refused(refusal)
        request.state.exchange.person = visitor.person.name
        return visitor

    async def _open(self, request: Request, visitor: Visitor, body: bytes) -> httpx.Response:
        path = quote(request.scope["path"], safe="/%:@!$&'()*+,;=~-._")
        query = request.scope["query_string"].decode("latin-1")
        url = f"{self._config.chat}{path}{'?' + query if query else ''}"
        try:
            return await self._chat.send(
                request.method, url, body=body or None, headers=_headers(request, visitor)
            )
        except httpx.HTTPError as error:
            refusal = refusal_of(error)
            raise Refusal(
                refusal.status, "chat_unavailable", "The chat does not answer now. Try again."
            ) from error

    async def _relay(self, response: httpx.Response, deadline: Deadline) -> AsyncIterator[bytes]:
        source = response.aiter_raw()
        while (piece := await deadline.wait(anext(source, None))) is not None:
            yield piece

    async def _serving_models(self) -> None:
        """Serve the listener at which the chat asks models."""
        journal = Journal(
            self._models.application(),
            mode="chat",
            data_class=self._config.data_class,
            metrics=self._state.metrics,
            paths=self._models.paths,
        )
        place = self._config.inner
        server = plain_listener(journal, MODELS_CONNECTIONS)
        await server.serve(sockets=[bind(place.host, place.port, "inner.port")])

    async def _setting_up(self) -> None:
        """Give Open WebUI its functions and models, and no others, once it answers."""
        while not self._is_set_up:
            try:
                await open_webui.install(self._chat, self._config)
                self._is_set_up = True
            except (*UNANSWERED, ValueError, KeyError) as error:
                write_line("chat_set_up_failed", error=type(error).__name__)
                await asyncio.sleep(RETRY_S)
        await asyncio.Event().wait()

    async def _problem(self) -> str | None:
        try:
            response, _ = await self._chat.get(self._config.chat + "/health", 2)
        except UNANSWERED:
            return "the chat does not answer"
        if response.status_code != 200:
            return f"the chat says {response.status_code}"
        if self._histories is not None and not self._histories.is_ready:
            return "the database of conversations does not answer"
        return None if self._is_set_up else "the chat is not set up yet"

    async def _metrics(self) -> Response:
        return metrics_response(self._state.metrics)

    async def _close(self) -> None:
        await self._chat.aclose()
        if self._histories is not None:
            await self._histories.close()
        await self._gateway.aclose()


def _headers(request: Request, visitor: Visitor) -> dict[str, str]:
    """The headers of a person's request, without any that names a person, and with ours."""
    headers = {
        name: value
        for name, value in request.headers.items()
        if name not in _HOP and not name.startswith(_OURS) and name not in ("cookie", "content-length")
    }
    cookies = [
        f"{name}={value}"
        for name, value in request.cookies.items()
        if name != COOKIE and not name.startswith("_oauth2_proxy")
    ]
    return {
        **headers,
        "accept-encoding": "identity",
        "cookie": "; ".join([*cookies, f"{COOKIE}={visitor.token}"]),
        ACCOUNT: visitor.account,
        NAME: quote(visitor.person.name),
        ROLE: "user",
    }


async def _own_models(response: httpx.Response, visitor: Visitor) -> Response:
    """The chat's list of models, without those that the person may not use."""
    listed = json.loads(await read_answer(response))
    listed["data"] = [model for model in listed["data"] if model["id"] in visitor.workloads]
    return JSONResponse(listed)

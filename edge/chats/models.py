"""What the chat asks: questions, feedback and cases go to the gateway in the person's own name.

A held answer and the checks before it become texts that a chat shows. Events that only Open WebUI reads have the key
`event`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as HttpRoute

from edge import sse
from edge.chats import pages
from edge.chats.sign_on import COOKIE, SignOn, Visitor
from edge.config.chat import ChatConfig
from edge.deadlines import Deadline, Relay, while_connected
from edge.feedback import REFERENCE
from edge.openai_api import CHAT_PATH, Refusal, dump, parse_object, read_body
from edge.service import State, application
from edge.upstream import Client, plain_headers, read_answer, refusal_of

CASES_PATH, NOTICE_PATH = "/v1/cases", "/v1/cases/notice"
PASSED = {"/v1/feedback": "POST", CASES_PATH: "POST", NOTICE_PATH: "GET"}
"""Paths and methods of what passes unchanged."""
APART_S = 0.5
"""Pause around the confidence: the page of Open WebUI loses a status that comes together with the answer's end."""
CHECKED = "A check of this answer goes on. It comes when the check is done."


class Models:
    """The gateway as the chat sees it."""

    def __init__(self, config: ChatConfig, state: State, sign_on: SignOn, gateway: Client) -> None:
        self._config, self._state, self._sign_on, self._gateway = config, state, sign_on, gateway
        self.paths = {CHAT_PATH, "/v1/models", *PASSED}

    def application(self) -> Starlette:
        """The application of the loopback listener."""
        return application(
            [
                HttpRoute(CHAT_PATH, self.ask, methods=["POST"]),
                HttpRoute("/v1/models", self.models, methods=["GET"]),
                *(HttpRoute(path, self.passed, methods=[method]) for path, method in PASSED.items()),
            ]
        )

    async def get(self, path: str, visitor: Visitor) -> dict[str, Any]:
        """An object of the gateway. Raises Refusal, the gateway's own where it refused."""
        response = await self._send("GET", path, visitor, None)
        return _object(response, await read_answer(response))

    async def post(self, path: str, visitor: Visitor, sent: dict[str, Any]) -> dict[str, Any]:
        """Send an object to the gateway, and return its answer. Raises Refusal, the gateway's own where it refused."""
        response = await self._send("POST", path, visitor, dump(sent))
        return _object(response, await read_answer(response))

    async def models(self, request: Request) -> Response:
        """The workloads that the chat offers."""
        visitor = await self._visitor(request)
        models = [{"id": name, "object": "model"} for name in sorted(visitor.workloads)]
        return JSONResponse({"object": "list", "data": models})

    async def passed(self, request: Request) -> Response:
        """Feedback or a case, unchanged, or what a person reads before they send one."""
        visitor = await self._visitor(request)
        path = request.scope["path"]
        is_post = PASSED[path] == "POST"
        body = await read_body(request, self._config.limits.max_body_bytes) if is_post else None
        response = await self._send(PASSED[path], path, visitor, body)
        return Response(
            await read_answer(response), status_code=response.status_code, media_type="application/json"
        )

    async def ask(self, request: Request) -> Response:
        """A question. Raises Refusal."""
        visitor = await self._visitor(request)
        limits = self._config.limits
        deadline = Deadline(limits.request_timeout_s, self._state.running)
        handed_over = False
        try:
            body = parse_object(await deadline.wait(read_body(request, limits.max_body_bytes)))
            request.state.exchange.workload = str(body.get("model", ""))[:80]
            wants_stream = body.get("stream") is True
            reference = {REFERENCE: value} if (value := request.headers.get(REFERENCE)) else {}
            async with while_connected(request.receive):
                response = await deadline.wait(self._ask(body, visitor, reference))
            if not response.headers.get("content-type", "").startswith("text/event-stream"):
                answer = await deadline.wait(read_answer(response))
                return self._whole(response, answer, stream=wants_stream)
            handed_over = request.state.exchange.stream = True
            return Relay(self._stream(response, deadline), deadline, response.aclose, headers=sse.HEADERS)
        except TimeoutError:
            raise deadline.refusal() from None
        finally:
            if not handed_over:
                deadline.done()

    async def _ask(self, body: dict[str, Any], visitor: Visitor, headers: dict[str, str]) -> httpx.Response:
        """Send the question; without a stream if the gateway holds every answer of the workload."""
        if body.get("stream") is True:
            body = {**body, "stream_options": {"include_usage": True}}
            response = await self._send("POST", CHAT_PATH, visitor, dump(body), headers)
            if response.status_code != 400:
                return response
            answer = await read_answer(response)
            if _code(answer) != "stream_not_reviewable":
                return httpx.Response(400, content=answer, headers={"content-type": "application/json"})
            body = {key: value for key, value in body.items() if key not in ("stream", "stream_options")}
        return await self._send("POST", CHAT_PATH, visitor, dump(body), headers)

    async def _send(
        self,
        method: str,
        path: str,
        visitor: Visitor,
        body: bytes | None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        try:
            return await self._gateway.send(
                method,
                self._config.gateway + path,
                body=body,
                headers={
                    **plain_headers("application/json, text/event-stream"),
                    "authorization": f"Bearer {visitor.token}",
                    **(headers or {}),
                },
            )
        except httpx.HTTPError as error:
            refusal = refusal_of(error)
            raise Refusal(
                refusal.status, "gateway_unavailable", "The gateway does not answer now. Try again."
            ) from error

    async def _visitor(self, request: Request) -> Visitor:
        return await self._sign_on.visitor(request.cookies.get(COOKIE, ""))

    def _whole(self, response: httpx.Response, answer: bytes, *, stream: bool) -> Response:
        """A whole answer, or the words in place of a held one; as a stream if the chat asked for one."""
        if response.status_code not in (200, 202):
            return Response(answer, status_code=response.status_code, media_type="application/json")
        value = json.loads(answer)
        if response.status_code == 202:
            value = {**_chunk(value), "choices": [_said(pages.held_text(value))]}
        if not stream:
            return JSONResponse(value)
        events = [
            _status(self._named(str(value.get("model"))) + _confidence(value), done=True),
            sse.event({**value, "object": "chat.completion.chunk", "choices": _deltas(value["choices"])}),
            sse.DONE,
        ]
        return Response(b"".join(events), headers=sse.HEADERS)

    async def _stream(self, response: httpx.Response, deadline: Deadline) -> AsyncIterator[bytes]:
        """The gateway's events, and what they mean in words."""
        kind, is_checked, named, confidence = "", False, "", ""
        source = _lines(response.aiter_bytes())
        while (line := await deadline.wait(anext(source, None))) is not None:
            if line.startswith(b":"):
                if not is_checked:
                    is_checked = True
                    yield _status(CHECKED, done=False)
                yield line + b"\n\n"
            elif line.startswith(b"event:"):
                kind = line[6:].strip().decode()
            elif line.startswith(b"data:"):
                data = line[5:].strip()
                if data == sse.DONE_DATA:
                    if confidence:
                        await asyncio.sleep(APART_S)
                        yield _status(named + confidence, done=True)
                        await asyncio.sleep(APART_S)
                    yield sse.DONE
                    continue
                value = json.loads(data)
                if not named and isinstance(value.get("model"), str):
                    named = self._named(value["model"])
                    yield _status(named, done=True)
                confidence = _confidence(value) or confidence
                if kind == "review":
                    value = {**_chunk(value), "choices": _deltas([_said(pages.held_text(value))])}
                kind = ""
                yield sse.event(value)

    def _named(self, workload: str) -> str:
        """The model that answers."""
        model = self._config.model_names.get(workload)
        return f"Answered by {model or workload}"


def _confidence(answer: dict[str, Any]) -> str:
    """How sure the answer is, in words; empty if it has no score."""
    confidence = answer.get("confidence")
    if not isinstance(confidence, dict) or not isinstance(confidence.get("score"), int | float):
        return ""
    low = ", which is low: check the answer" if confidence.get("low") else ""
    return f" · confidence {confidence['score']:.2f}{low}"


async def _lines(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The lines of a stream that are not empty."""
    rest = b""
    async for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if stripped := line.rstrip(b"\r"):
                yield stripped


def _status(text: str, *, done: bool) -> bytes:
    return sse.event(
        {"event": {"type": "status", "data": {"description": text, "done": done}}, "choices": []}
    )


def _chunk(held: dict[str, Any]) -> dict[str, Any]:
    head = {key: held[key] for key in ("created", "model") if key in held}
    return {"id": f"chatcmpl-{held['id']}", "object": "chat.completion", "created": 0, "model": "", **head}


def _said(text: str) -> dict[str, Any]:
    return {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}


def _deltas(choices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"index": choice["index"], "delta": choice["message"], "finish_reason": choice.get("finish_reason")}
        for choice in choices
    ]


def _code(answer: bytes) -> str:
    try:
        return str(json.loads(answer)["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return ""


def _object(response: httpx.Response, answer: bytes) -> dict[str, Any]:
    """The object of an answer. Raises Refusal."""
    try:
        value = json.loads(answer)
        if response.status_code < 300:
            return value
        raise Refusal(response.status_code, str(value["error"]["code"]), str(value["error"]["message"]))
    except (ValueError, KeyError, TypeError):
        raise Refusal(502, "bad_gateway", "The gateway's answer cannot be read.") from None

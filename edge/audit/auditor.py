"""Records a gateway's requests: an intent before a request is forwarded, an outcome before its last byte leaves.

`Auditor.wrap` wraps the gateway's application and records the outcome of every request, however it ends. The gateway
calls `intent` before it forwards, and `outcome` before the `[DONE]` of a stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge.audit.chain_files import now
from edge.audit.content import MOST_ANSWER_BYTES, Hmacs, encrypt, key_name, reference
from edge.audit.keys import Keys, expire, read_key
from edge.audit.log import AuditLog, Unrecorded
from edge.config import AuditSettings, ConfigError, GatewayConfig, Place, ReviewsConfig
from edge.exchange import Exchange
from edge.journal import write_line
from edge.metrics import Metrics
from edge.openai_api import Refusal

EXPIRE_S = 3600.0
ANONYMOUS_S = 60.0
ANONYMOUS = 60
"""Refused requests of unknown callers that get a record each, per `ANONYMOUS_S`. One record counts the others."""


def audited_of(request: Request) -> AuditedRequest | None:
    """The audit state of a request. None in a gateway without audit records."""
    return getattr(request.state, "audited", None)


class Auditor:
    """A gateway's audit log, and the keys for content, which the log must not hold."""

    def __init__(
        self, config: GatewayConfig | ReviewsConfig, settings: AuditSettings, metrics: Metrics
    ) -> None:
        self.settings, self.data_class, self.site = settings, config.data_class, config.site
        self.hmacs = Hmacs(_key(settings.site_key, "audit.site_key"))
        self.keys: Keys | None = None
        if settings.content is not None:
            self.keys = Keys(
                settings.content.keys, _key(settings.content.wrapping_key, "audit.content.wrapping_key")
            )
        self.log = AuditLog(settings, config.data_class, config.site, metrics)
        self._anonymous = 0
        self._refused: dict[str, int] = {}
        self._since = now()

    def counts_only(self, exchange: Exchange) -> bool:
        """Whether a finished request is only counted: its caller is unknown, it was refused, and there were many.

        Otherwise callers without a key could fill the disk that every request depends on.
        """
        if exchange.identity or exchange.status != 401:
            return False
        self._anonymous += 1
        if self._anonymous <= ANONYMOUS:
            return False
        self._refused[exchange.code] = self._refused.get(exchange.code, 0) + 1
        return True

    async def tell_refused(self) -> None:
        """Record the number of refused requests that were only counted. Raises Unrecorded and keeps the counts."""
        self._anonymous = 0
        if not self._refused:
            self._since = now()
            return
        codes, self._refused = self._refused, {}
        try:
            await self.log.append("refused", {**self._place, "since": self._since, "codes": codes})
        except Unrecorded:
            for code, count in codes.items():
                self._refused[code] = self._refused.get(code, 0) + count
            raise
        self._since = now()

    async def telling(self) -> None:
        """Record the counted refusals every minute, in a loop."""
        while True:
            await asyncio.sleep(ANONYMOUS_S)
            with contextlib.suppress(Unrecorded):
                await self.tell_refused()

    async def review(self, fields: dict[str, Any]) -> None:
        """Record an act on a held answer durably. Raises Refusal 503; then the act must not happen."""
        await self._act("review", fields)

    async def feedback(self, fields: dict[str, Any]) -> None:
        """Record what a person says of an answer durably. Raises Refusal 503; then it is not stored."""
        await self._act("feedback", fields)

    async def reidentify(self, fields: dict[str, Any]) -> None:
        """Record that a person asks who a pseudonym is, or confirms it. Raises Refusal 503."""
        await self._act("reidentify", fields)

    async def stop(self, fields: dict[str, Any]) -> None:
        """Record what a person does to stop or restart a workload. Raises Refusal 503."""
        await self._act("stop", fields)

    async def gateway_stop(self, fields: dict[str, Any]) -> None:
        """Record that this gateway refuses a workload, or serves it again. Raises Unrecorded."""
        await self.log.append("stop", {**fields, **self._place})

    async def canary_stop(self, fields: dict[str, Any]) -> None:
        """Record that this gateway stopped a canary for good. Raises Unrecorded."""
        await self.log.append("canary", {**fields, **self._place})

    async def release_move(self, fields: dict[str, Any]) -> None:
        """Record that this gateway follows a move of a canary's release. Raises Unrecorded."""
        await self.log.append("move", {**fields, **self._place})

    @property
    def _place(self) -> dict[str, str]:
        return {"class": self.data_class, "site": self.site, "gateway": self.log.name}

    async def _act(self, kind: str, fields: dict[str, Any]) -> None:
        try:
            self.log.require_sealed()
            await self.log.append(kind, {**fields, **self._place})
        except Unrecorded as error:
            raise Refusal(503, error.code, f"{error.message} Send the request again later.") from None

    def wrap(self, app: ASGIApp, paths: set[str]) -> ASGIApp:
        """The application, which records the outcome of POST requests at these paths before their last byte leaves."""

        async def audited(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or scope["path"] not in paths or scope["method"] != "POST":
                await app(scope, receive, send)
                return
            request = AuditedRequest(self, scope["state"]["exchange"])
            request.exchange.answer = self.hmacs.answer(request.exchange.request_id)
            scope["state"]["audited"] = request
            try:
                await app(scope, receive, request.sender(send))
            finally:
                await request.end()

        return audited

    async def expiring(self) -> None:
        """Destroy expired keys every hour, in a loop."""
        while self.settings.content is not None:
            folder, today = self.settings.content.keys, datetime.now(UTC).date()
            try:
                count = await asyncio.to_thread(expire, folder, today)
            except OSError as error:
                write_line(
                    "audit_failed", error=type(error).__name__, reason=f"keys are not destroyed: {error}"
                )
            else:
                write_line("audit_expired", keys=count)
            await asyncio.sleep(EXPIRE_S)

    def days_of(self, workload: str) -> int | None:
        """Days for which the workload's content is kept. None: not at all."""
        return self.settings.content.days.get(workload) if self.settings.content else None


def _key(path: Any, name: str) -> bytes:
    try:
        return read_key(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{name}: {path} cannot be used: {error}.") from None


@dataclass
class AuditedRequest:
    """The audit state of one request."""

    auditor: Auditor
    exchange: Exchange
    attempts: list[dict[str, Any]] = field(default_factory=list)
    """Targets that the request was sent to, or was about to be, in order."""
    done: bool = False
    settle: Callable[[], None] = lambda: None
    """Computes the request's tokens and cost for the record."""
    held: dict[str, Any] | None = None
    """Why the answer is held for review, or None."""
    keeps_content: bool = True
    """Whether request and answer are kept, where the workload demands it. Not of a copy, which a record has already."""
    _price: dict[str, Any] | None = None
    _asked: dict[str, Any] | None = None
    _answer: bytearray = field(default_factory=bytearray)
    _cut: bool = False

    async def intent(self, request: dict[str, Any], place: Place, settle: Callable[[], None]) -> None:
        """Record durably that the request is about to go to a place. Raises Refusal 503; then it must not be sent."""
        auditor, self.settle, self._price = self.auditor, settle, _price_of(place)
        target = {
            "target": place.target,
            "server": place.server_name,
            "url": place.url,
            "model": place.model,
            "digest": place.model_digest,
        }
        self.attempts.append(target)
        if self.keeps_content and auditor.days_of(self.exchange.workload) is not None:
            self._asked = request
        fields = {
            **self._common(),
            "attempt": len(self.attempts),
            "to": target,
            "prompt": auditor.hmacs.prompt(request),
            "question": auditor.hmacs.question(self.exchange.request_id, request),
            "stream": self.exchange.stream,
        }
        try:
            auditor.log.require_sealed()
            await auditor.log.append("intent", fields)
        except Unrecorded as error:
            self.attempts.pop()
            raise Refusal(503, error.code, f"{error.message} Send the request again later.") from None

    async def outcome(self, *, ended_well: bool) -> None:
        """Record the outcome durably, once. Raises Refusal 503; then the last byte must not leave."""
        if self.done:
            return
        self.done = True
        self.settle()
        exchange = self.exchange
        if not self.attempts and self.auditor.counts_only(exchange):
            return
        content_line, content_reference = await self._content()
        fields = {
            **self._common(),
            "ran": self.attempts[-1] if self.attempts else None,
            "attempts": len(self.attempts),
            "status": exchange.status,
            "code": exchange.code,
            "ended_well": ended_well and exchange.code == "ok",
            "tokens": {
                "prompt": exchange.prompt_tokens,
                "cached": exchange.cached_tokens,
                "completion": exchange.completion_tokens,
            },
            "gpu_seconds": exchange.gpu_seconds,
            "price": self._price if self.attempts else None,
            "usd": exchange.usd,
            "answer": exchange.answer.values() if exchange.answer else [],
            "verdicts": exchange.verdicts,
            **({"fallback": exchange.fallback} if exchange.fallback else {}),
            "confidence": exchange.confidence,
            "ms": round((time.perf_counter() - exchange.started) * 1000),
            "content": content_reference,
            "held": self.held,
        }
        try:
            await self.auditor.log.append("outcome", fields, content_line)
        except Unrecorded as error:
            raise Refusal(503, error.code, f"{error.message} The answer is withheld.") from None

    def _common(self) -> dict[str, Any]:
        return {
            "id": self.exchange.request_id,
            "class": self.auditor.data_class,
            "site": self.auditor.site,
            "gateway": self.auditor.log.name,
            "policy": self.auditor.settings.policy,
            "who": {
                "workload": self.exchange.workload,
                "team": self.exchange.team,
                "identity": self.exchange.identity,
                **({"purpose": self.exchange.purpose} if self.exchange.purpose else {}),
            },
            **({"mirrors": self.exchange.mirrors} if self.exchange.mirrors else {}),
            **(
                {"judges": self.exchange.judges, "rubric": self.exchange.rubric}
                if self.exchange.judges
                else {}
            ),
            "model": self.exchange.model,
            "path": self.exchange.path,
        }

    async def _content(self) -> tuple[bytes, dict[str, str] | None]:
        """The encrypted content line, and the reference to it in the record. Raises Refusal 503."""
        days = self.auditor.days_of(self.exchange.workload)
        if self._asked is None or days is None or self.auditor.keys is None:
            return b"", None
        exchange = self.exchange
        subject = self.auditor.hmacs.subject_of(self._asked, exchange.request_id, exchange.person)
        key, day = key_name(subject, days), datetime.now(UTC).date().isoformat()
        try:
            line = await asyncio.to_thread(
                encrypt,
                self.auditor.keys,
                key,
                day,
                self.exchange.request_id,
                self._asked,
                bytes(self._answer),
                self._cut,
            )
        except (OSError, ValueError) as error:
            write_line("audit_failed", error=type(error).__name__, reason="a key cannot be made or read")
            raise Refusal(
                503,
                "audit_unwritable",
                "The gateway cannot keep what its class demands. The answer is withheld.",
            ) from None
        return line + b"\n", reference(line, key, day)

    def sender(self, send: Send) -> Send:
        """A wrapper of `send` that sends the last byte only when the outcome is durable."""
        withheld: list[Message] = []

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.exchange.status = message["status"]
                kind = dict(message.get("headers", [])).get(b"content-type", b"")
                if kind.startswith(b"text/event-stream"):
                    await send(message)
                else:
                    withheld.append(message)
                return
            if message["type"] == "http.response.body":
                self._hear(message.get("body", b""))
                if not message.get("more_body", False):
                    try:
                        await self.outcome(ended_well=self.exchange.status < 400)
                    except Refusal as refusal:
                        if not withheld:  # without `[DONE]` the client sees that the stream was cut
                            raise
                        self.exchange.code = refusal.code
                        body = self.exchange.error_body(refusal, self.exchange.request_id)
                        withheld[:], message = _refusal_messages(refusal.status, body)
            for first in withheld:
                await send(first)
            withheld.clear()
            await send(message)

        return sending

    def _hear(self, body: bytes) -> None:
        if self._asked is None or self.done:
            return
        room = MOST_ANSWER_BYTES - len(self._answer)
        self._answer += body[:room]
        self._cut = self._cut or len(body) > room

    async def end(self) -> None:
        """Record the outcome of a request that ended before its last byte."""
        if self.done:
            return
        if self.exchange.code == "ok":
            self.exchange.code = "client_closed_request"
        # The request may have been cancelled, but its outcome must be written.
        writing = asyncio.ensure_future(self.outcome(ended_well=False))
        with contextlib.suppress(Refusal):
            await asyncio.shield(writing)


def _price_of(place: Place) -> dict[str, Any] | None:
    """The price of a place, as the configuration states it. None: it has none."""
    if place.usd_per_million_tokens is not None:
        return {"usd_per_million_tokens": place.usd_per_million_tokens.model_dump(exclude_none=True)}
    return None if place.usd_per_gpu_hour is None else {"usd_per_gpu_hour": place.usd_per_gpu_hour}


def _refusal_messages(status: int, error: dict[str, Any]) -> tuple[list[Message], Message]:
    """The messages of an error that replaces the withheld answer."""
    body = json.dumps(error).encode()
    start: Message = {
        "type": "http.response.start",
        "status": status,
        "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())],
    }
    return [start], {"type": "http.response.body", "body": body, "more_body": False}

"""A call that comes again with the same idempotency token is not done again: it gets its first answer.

So AWS does for the operations whose models have such a token; moto does it for hardly any. An answer of
success is remembered, by token, until `POST /moto-api/reset`; the same token with another request is
done, where AWS would answer IdempotentParameterMismatch or the like.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sandbox.aws import accounts, query_protocol
from sandbox.aws.operation_lookup import Sent, sent
from sandbox.aws.request_body import read as read_body

NAMES = (
    "ClientToken",
    "clientToken",
    "ClientRequestToken",
    "clientRequestToken",
    "IdempotencyToken",
    "CreatorRequestId",
)
"""How the APIs in use name it, in a form or at the top of a JSON body; the last is Route 53 Resolver's."""
_RESET = "/moto-api/reset"
_MOST = 4096
"""Answers kept; the oldest go first."""


@dataclass(frozen=True)
class _Kept:
    status: str
    headers: list[tuple[str, str]]
    text: bytes


class Tokens:
    """A WSGI application: answers given before, and `behind` for everything else."""

    def __init__(self, behind: Any) -> None:
        self._behind = behind
        self._kept: dict[tuple[str, ...], _Kept] = {}
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ.get("PATH_INFO") == _RESET:
            self._kept.clear()
        key = _key(environ)
        if key is None:
            return self._behind(environ, start_response)
        kept = self._kept.get(key)
        if kept is None:
            kept = _heard(self._behind, environ)
            if kept.status.startswith("2"):
                self._keep(key, kept)
        start_response(kept.status, kept.headers)
        return [kept.text]

    def _keep(self, key: tuple[str, ...], kept: _Kept) -> None:
        with self._lock:
            self._kept[key] = kept
            while len(self._kept) > _MOST:
                del self._kept[next(iter(self._kept))]


def _key(environ: dict[str, Any]) -> tuple[str, ...] | None:
    """What says that two requests are the same, or None when the request has no token."""
    if environ.get("REQUEST_METHOD") not in ("POST", "PUT"):
        return None
    request = sent(environ)
    if request is None or request.signing_name == "s3":
        return None
    raw = read_body(environ)
    if not any(name.encode() in raw for name in NAMES) or not any(_token(request, raw)):
        return None
    whose = (accounts.of(environ, ""), request.signing_name, request.region)
    return (*whose, request.method, request.path, request.target, raw.decode())


def _token(request: Sent, raw: bytes) -> list[str]:
    if request.action:
        fields: Any = query_protocol.fields(raw)
    else:
        try:
            fields = json.loads(raw)
        except ValueError:
            return []
    return [str(fields[name]) for name in NAMES if name in fields] if isinstance(fields, dict) else []


def _heard(behind: Any, environ: dict[str, Any]) -> _Kept:
    said: list[Any] = []
    answer = behind(environ, lambda status, headers, *_: said.extend((status, headers)))
    try:
        text = b"".join(answer)
    finally:
        if hasattr(answer, "close"):
            answer.close()
    return _Kept(said[0], said[1], text)

"""Idempotency tokens: a repeated call with the same token is not executed again, but gets the first answer.

AWS does this for operations whose models have a token; moto does it for few. Successful answers are kept by token
until `POST /moto-api/reset`. The same token with other parameters is executed, where AWS would answer
IdempotentParameterMismatch or a similar error.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sandbox.aws import accounts, query_protocol
from sandbox.aws.operation_lookup import SignedRequest, parse_request
from sandbox.aws.request_body import read as read_body

NAMES = (
    "ClientToken",
    "clientToken",
    "ClientRequestToken",
    "clientRequestToken",
    "IdempotencyToken",
    "CreatorRequestId",
)
"""Names of the token in a form or at the top level of a JSON body. The last is Route 53 Resolver's."""
_RESET = "/moto-api/reset"
_MAX_RESPONSES = 4096
"""Number of answers that are kept. The oldest are deleted first."""


@dataclass(frozen=True)
class _StoredResponse:
    status: str
    headers: list[tuple[str, str]]
    text: bytes


class Tokens:
    """A WSGI application: repeats earlier answers by token, and passes other requests to `next_app`."""

    def __init__(self, next_app: Any) -> None:
        self._behind = next_app
        self._responses: dict[tuple[str, ...], _StoredResponse] = {}
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ.get("PATH_INFO") == _RESET:
            self._responses.clear()
        key = _request_key(environ)
        if key is None:
            return self._behind(environ, start_response)
        response = self._responses.get(key)
        if response is None:
            response = _call_app(self._behind, environ)
            if response.status.startswith("2"):
                self._store(key, response)
        start_response(response.status, response.headers)
        return [response.text]

    def _store(self, key: tuple[str, ...], response: _StoredResponse) -> None:
        with self._lock:
            self._responses[key] = response
            while len(self._responses) > _MAX_RESPONSES:
                del self._responses[next(iter(self._responses))]


def _request_key(environ: dict[str, Any]) -> tuple[str, ...] | None:
    """Return a key that is equal for two identical requests. None: the request has no token."""
    if environ.get("REQUEST_METHOD") not in ("POST", "PUT"):
        return None
    request = parse_request(environ)
    if request is None or request.signing_name == "s3":
        return None
    raw = read_body(environ)
    if not any(name.encode() in raw for name in NAMES) or not any(_find_tokens(request, raw)):
        return None
    scope = (accounts.account_of_request(environ, ""), request.signing_name, request.region)
    return (*scope, request.method, request.path, request.target, raw.decode())


def _find_tokens(request: SignedRequest, raw: bytes) -> list[str]:
    if request.action:
        fields: Any = query_protocol.fields(raw)
    else:
        try:
            fields = json.loads(raw)
        except ValueError:
            return []
    return [str(fields[name]) for name in NAMES if name in fields] if isinstance(fields, dict) else []


def _call_app(next_app: Any, environ: dict[str, Any]) -> _StoredResponse:
    start: list[Any] = []
    chunks = next_app(environ, lambda status, headers, *_: start.extend((status, headers)))
    try:
        text = b"".join(chunks)
    finally:
        if hasattr(chunks, "close"):
            chunks.close()
    return _StoredResponse(start[0], start[1], text)

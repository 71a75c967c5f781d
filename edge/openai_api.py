"""Reads request bodies and writes errors in the format of the OpenAI API.

The lists of fields are short on purpose. A request with any other field is refused, and the error names the field.
So callers cannot reach options of a model server or of LiteLLM (`fallbacks`, `api_base`, `metadata`, `cache_salt`,
`chat_template`, …).
"""

from __future__ import annotations

from collections.abc import Set
from typing import Any, TypeGuard

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse

from edge import strict_json

CHAT_PATH, COMPLETIONS_PATH = "/v1/chat/completions", "/v1/completions"
MESSAGES_PATH, TOKENIZE_PATH = "/v1/messages", "/tokenize"

_REASON_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
_TYPES = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    429: "rate_limit_error",
}


class Refusal(Exception):
    """An error response: HTTP status, code for programs, message for people."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers or {}

    def body(self) -> dict[str, dict[str, str]]:
        """The OpenAI shape of an error: `{"error": {"message", "type", "code"}}`."""
        kind = _TYPES.get(self.status) or ("api_error" if self.status >= 500 else "invalid_request_error")
        return {"error": {"message": self.message, "type": kind, "code": self.code}}


async def on_refusal(request: Request, error: Exception) -> JSONResponse:
    """Starlette's handler for `Refusal`."""
    assert isinstance(error, Refusal)
    return _answer(request, error)


async def on_http_exception(request: Request, error: Exception) -> JSONResponse:
    """Starlette's handler for its own 404 and 405."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        return _answer(
            request, Refusal(405, "method_not_allowed", "This method is not served on this route.")
        )
    return _answer(request, Refusal(error.status_code, "not_found", "This route is not served here."))


async def on_fault(request: Request, error: Exception) -> JSONResponse:
    """Starlette's handler for unexpected errors. The response contains no details."""
    return _answer(request, Refusal(500, "internal_error", "The edge failed on this request."))


EXCEPTION_HANDLERS: Any = {Refusal: on_refusal, HTTPException: on_http_exception, Exception: on_fault}


def _answer(request: Request, error: Refusal) -> JSONResponse:
    exchange = request.state.exchange
    exchange.code = error.code
    headers = error.headers | ({"www-authenticate": "Bearer"} if error.status == 401 else {})
    body = exchange.error_body(error, exchange.request_id)
    return JSONResponse(body, status_code=error.status, headers=headers)


def check_fields(body: dict[str, Any], accepted: Set[str]) -> None:
    """Raises Refusal 400 that names the first other field."""
    if unknown := sorted(body.keys() - accepted):
        raise bad_request("unknown_field", f"The field {unknown[0][:80]!r} is not accepted.")


def is_reason(value: object) -> TypeGuard[str]:
    """Whether it is a reason for programs to count: at most 40 characters of a-z, 0-9 and -."""
    return isinstance(value, str) and len(value) <= 40 and not set(value) - _REASON_CHARACTERS


async def read_body(request: Request, max_bytes: int) -> bytes:
    """Read the request's body, at most `max_bytes`. Raises Refusal 413, 415 or 499."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refusal(415, "unsupported_encoding", "Send the body without content-encoding.")
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        raise Refusal(415, "unsupported_media_type", "Send the body as application/json.")
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > max_bytes:
        raise _too_large(max_bytes, "body")
    body = await read_at_most(request, max_bytes)
    request.state.exchange.bytes_in = len(body)
    return body


async def read_at_most(request: Request, max_bytes: int, what: str = "body") -> bytes:
    """Read a body of any type. `what`: how the refusal calls it. Raises Refusal 413 or 499."""
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > max_bytes:
                raise _too_large(max_bytes, what)
    except ClientDisconnect:
        raise Refusal(499, "client_closed_request", "The client went away.") from None
    return bytes(body)


def _too_large(max_bytes: int, what: str) -> Refusal:
    return Refusal(413, "request_too_large", f"The {what} is larger than {max_bytes} bytes.")


def parse_object(body: bytes) -> dict[str, Any]:
    """The body as an unambiguous JSON object (`edge.strict_json`). Raises Refusal 400."""
    try:
        value = strict_json.parse(body)
    except strict_json.NotStrict as error:
        raise Refusal(400, "malformed_json", f"The body {error}. Send one JSON object in UTF-8.") from None
    if not isinstance(value, dict):
        raise Refusal(400, "malformed_json", "The body must be a JSON object.")
    return value


def dump(value: Any) -> bytes:
    """The value as compact JSON in UTF-8. Raises Refusal 400 for text that UTF-8 cannot encode, and for infinite
    numbers.
    """
    try:
        return strict_json.dump(value)
    except (ValueError, RecursionError):
        raise Refusal(
            400, "malformed_json", "The body holds text that is not valid Unicode, or an infinite number."
        ) from None


def bad_request(code: str, message: str) -> Refusal:
    return Refusal(400, code, message)

"""What the edge takes and gives of the OpenAI protocol: a body, an allow-list of its fields, and the error's shape.

The lists are short on purpose. A field that is not here is refused by name, so that no option of a
model server or of LiteLLM (`fallbacks`, `api_base`, `metadata`, `cache_salt`, `chat_template`, …)
can be reached by a caller.
"""

from __future__ import annotations

import json
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse

CHAT_PATH, COMPLETIONS_PATH = "/v1/chat/completions", "/v1/completions"

_COUNTS = ("n", "best_of", "max_tokens", "max_completion_tokens")
_TYPES = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    429: "rate_limit_error",
}


class Refusal(Exception):
    """An answer that is an error: status, a code for programs, a message for people."""

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
    """Starlette's handler for what nobody foresaw: no detail goes out."""
    return _answer(request, Refusal(500, "internal_error", "The edge failed on this request."))


EXCEPTION_HANDLERS: Any = {Refusal: on_refusal, HTTPException: on_http_exception, Exception: on_fault}


def _answer(request: Request, error: Refusal) -> JSONResponse:
    request.state.exchange.code = error.code
    headers = error.headers | ({"www-authenticate": "Bearer"} if error.status == 401 else {})
    return JSONResponse(error.body(), status_code=error.status, headers=headers)


async def read_body(request: Request, max_bytes: int) -> bytes:
    """The request's body, at most `max_bytes`; raises Refusal 413 or 415."""
    too_large = Refusal(413, "request_too_large", f"The body is larger than {max_bytes} bytes.")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refusal(415, "unsupported_encoding", "Send the body without content-encoding.")
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        raise Refusal(415, "unsupported_media_type", "Send the body as application/json.")
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > max_bytes:
        raise too_large
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > max_bytes:
                raise too_large
    except ClientDisconnect:
        raise Refusal(499, "client_closed_request", "The client went away.") from None
    request.state.exchange.bytes_in = len(body)
    return bytes(body)


def parse_object(body: bytes) -> dict[str, Any]:
    """The body as a JSON object; raises Refusal 400."""
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Refusal(400, "malformed_json", "The body is not valid JSON in UTF-8.") from None
    if not isinstance(value, dict):
        raise Refusal(400, "malformed_json", "The body must be a JSON object.")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(name)


def dump(value: Any) -> bytes:
    """JSON in UTF-8, compact; raises Refusal 400 for text that UTF-8 cannot hold."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except (UnicodeEncodeError, RecursionError):
        raise Refusal(400, "malformed_json", "The body holds text that is not valid Unicode.") from None


def known(body: dict[str, Any], fields: frozenset[str]) -> dict[str, Any]:
    """A request that has these fields only and names a model, without its null fields; raises Refusal 400."""
    for field in body:
        if field not in fields:
            raise bad("unknown_field", f"The field {field[:80]!r} is not accepted.")
    asked = {field: value for field, value in body.items() if value is not None}
    if not isinstance(asked.get("model"), str):
        raise bad("invalid_model", "The field 'model' must be a string.")
    for field in _COUNTS:
        # They are multiplied and held against budgets before any model looks at them.
        if field in asked and (type(asked[field]) is not int or not 0 <= asked[field] <= 10_000_000):
            raise bad(f"invalid_{field}", f"The field {field!r} must be a whole number that is not negative.")
    return asked


def check_stream(asked: dict[str, Any]) -> None:
    """`stream` and its options; raises Refusal 400."""
    if not isinstance(asked.get("stream", False), bool):
        raise bad("invalid_stream", "The field 'stream' must be true or false.")
    options = asked.get("stream_options", {})
    if not isinstance(options, dict) or set(options) - {"include_usage"}:
        raise bad("unknown_field", "The field 'stream_options' takes 'include_usage' only.")
    if options and not asked.get("stream"):
        raise bad("invalid_stream_options", "The field 'stream_options' needs 'stream': true.")


def bad(code: str, message: str) -> Refusal:
    return Refusal(400, code, message)

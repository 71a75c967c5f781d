"""Addresses of the endpoint that botocore's models do not describe.

They are the data plane of IAM Roles Anywhere, whose requests are signed with a certificate, and the sandbox's own
addresses under `/isthmus/`. Other requests are passed on.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.aws.loopback import is_loopback
from sandbox.aws.request_body import read as read_body
from sandbox.aws.service_frame import Refused

_SIGNING_NAME = re.compile(r"Credential=[^/]*/\d{8}/[a-z0-9-]+/([a-z0-9-]+)/aws4_request")


@dataclass(frozen=True)
class PageRequest:
    """One request."""

    method: str
    path: str
    """URL-encoded, without the query."""
    query: str
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes
    account: str

    def named_account(self) -> str:
        """Return the account that the body names, or the sandbox's own. Raises `Refused` if it is not 12 digits."""
        body = self.json()
        account = body.get("account", self.account) if isinstance(body, dict) else self.account
        if not isinstance(account, str) or not re.fullmatch(r"\d{12}", account):
            raise Refused("ValidationException", 400, "`account` must be an account's number, 12 digits.")
        return account

    def json(self) -> Any:
        """Return the body's JSON, `{}` for an empty body. Raises `Refused` if it is not JSON."""
        try:
            return json.loads(self.body) if self.body.strip() else {}
        except ValueError:
            raise Refused("SerializationException", 400, "The body is not JSON.") from None


@dataclass(frozen=True)
class Page:
    """One address. `answer` returns the status and the JSON, or raises `Refused`."""

    what: str
    """Description for the documentation."""
    method: str
    path: str
    answer: Callable[[PageRequest], tuple[int, Any]]
    signed_for: str = ""
    """The service in the scope of the signature. Empty: no signature is required."""


class Pages:
    """A WSGI application: serves the pages and passes other requests to `next_app`."""

    def __init__(self, pages: Iterable[Page], next_app: Any, account: str) -> None:
        self._pages = {(page.method, page.path): page for page in pages}
        self._behind = next_app
        self._account = account

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        raw = environ.get("RAW_URI") or environ.get("REQUEST_URI") or environ.get("PATH_INFO", "")
        path = raw.split("?", 1)[0]
        page = self._pages.get((environ["REQUEST_METHOD"], path))
        if page is None or not _is_signed_for(page, environ):
            return self._behind(environ, start_response)
        try:
            _check_host(page, environ)
            status, answer = page.answer(_read_request(environ, path, self._account))
            error_header = {}
        except Refused as error:
            status, answer = error.status, {"message": error.message}
            error_header = {"x-amzn-ErrorType": error.code}
        text = json.dumps(answer).encode()
        headers = {
            "Content-Type": "application/json",
            "Content-Length": str(len(text)),
            "x-amzn-RequestId": str(uuid.uuid4()),
            **error_header,
        }
        start_response(f"{status} {'OK' if status < 300 else 'Refused'}", list(headers.items()))
        return [text]


def _check_host(page: Page, environ: Mapping[str, Any]) -> None:
    """Raise `Refused` if a sandbox address is called by another host name: a website could make a browser call it."""
    host = environ.get("HTTP_HOST", "localhost").rsplit(":", 1)[0]
    if not page.signed_for and not is_loopback(host):
        raise Refused("AccessDeniedException", 403, f"{page.path} is for this machine only.")


def _is_signed_for(page: Page, environ: Mapping[str, Any]) -> bool:
    """Return True if the request is for this page's service: another service may have the same path."""
    if not page.signed_for:
        return True
    match = _SIGNING_NAME.search(environ.get("HTTP_AUTHORIZATION", ""))
    return match is not None and match[1] == page.signed_for


def _read_request(environ: dict[str, Any], path: str, account: str) -> PageRequest:
    headers = {
        name.removeprefix("HTTP_").replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_") or (name in ("CONTENT_TYPE", "CONTENT_LENGTH") and value)
    }
    raw = read_body(environ)
    return PageRequest(
        environ["REQUEST_METHOD"], path, environ.get("QUERY_STRING", ""), headers, raw, account
    )

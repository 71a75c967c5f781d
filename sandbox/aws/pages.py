"""What the endpoint serves that no model of botocore describes.

That is the data plane of IAM Roles Anywhere, whose requests are signed with a certificate, and the sandbox's
own addresses under `/isthmus/`. All else goes on.
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
class Got:
    """One request, as it came."""

    method: str
    path: str
    """Still encoded, without its query."""
    query: str
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes
    account: str

    def meant(self) -> str:
        """The account that the body names, or the sandbox's own. Raises `Refused` where it is no number."""
        body = self.json()
        named = body.get("account", self.account) if isinstance(body, dict) else self.account
        if not isinstance(named, str) or not re.fullmatch(r"\d{12}", named):
            raise Refused("ValidationException", 400, "`account` must be an account's number, 12 digits.")
        return named

    def json(self) -> Any:
        """The body's JSON, `{}` when it is empty. Raises `Refused` when it is none."""
        try:
            return json.loads(self.body) if self.body.strip() else {}
        except ValueError:
            raise Refused("SerializationException", 400, "The body is not JSON.") from None


@dataclass(frozen=True)
class Page:
    """One address: `answer` gives the status and the JSON, or raises `Refused`."""

    what: str
    """What it is to a reader of the documentation."""
    method: str
    path: str
    answer: Callable[[Got], tuple[int, Any]]
    signed_for: str = ""
    """The service in the scope of the signature; empty: no signature is asked for."""


class Pages:
    """A WSGI application: the pages, and `behind` for everything else."""

    def __init__(self, pages: Iterable[Page], behind: Any, account: str) -> None:
        self._pages = {(page.method, page.path): page for page in pages}
        self._behind = behind
        self._account = account

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        raw = environ.get("RAW_URI") or environ.get("REQUEST_URI") or environ.get("PATH_INFO", "")
        path = raw.split("?", 1)[0]
        page = self._pages.get((environ["REQUEST_METHOD"], path))
        if page is None or not _meant(page, environ):
            return self._behind(environ, start_response)
        try:
            _check_host(page, environ)
            status, answer = page.answer(_got(environ, path, self._account))
            kind = {}
        except Refused as error:
            status, answer = error.status, {"message": error.message}
            kind = {"x-amzn-ErrorType": error.code}
        text = json.dumps(answer).encode()
        headers = {
            "Content-Type": "application/json",
            "Content-Length": str(len(text)),
            "x-amzn-RequestId": str(uuid.uuid4()),
            **kind,
        }
        start_response(f"{status} {'OK' if status < 300 else 'Refused'}", list(headers.items()))
        return [text]


def _check_host(page: Page, environ: Mapping[str, Any]) -> None:
    """Raises `Refused` for the sandbox's own addresses under another machine's name: a browser may be lured."""
    host = environ.get("HTTP_HOST", "localhost").rsplit(":", 1)[0]
    if not page.signed_for and not is_loopback(host):
        raise Refused("AccessDeniedException", 403, f"{page.path} is for this machine only.")


def _meant(page: Page, environ: Mapping[str, Any]) -> bool:
    """Another service may have the same path."""
    if not page.signed_for:
        return True
    found = _SIGNING_NAME.search(environ.get("HTTP_AUTHORIZATION", ""))
    return found is not None and found[1] == page.signed_for


def _got(environ: dict[str, Any], path: str, account: str) -> Got:
    headers = {
        name.removeprefix("HTTP_").replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_") or (name in ("CONTENT_TYPE", "CONTENT_LENGTH") and value)
    }
    raw = read_body(environ)
    return Got(environ["REQUEST_METHOD"], path, environ.get("QUERY_STRING", ""), headers, raw, account)

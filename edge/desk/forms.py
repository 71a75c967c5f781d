"""Forms of the desk: who may send one, and what is in it.

A form is accepted from the desk's own pages only. Its `Origin` is the desk's, and its token belongs to the browser's
session and to the person. The cookie is `SameSite=Lax`, so that a page of another site cannot send it with a form.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from edge.openai_api import Refusal

SESSION = "__Host-isthmus-desk"
TOKEN = "csrf"  # noqa: S105 (the field's name)
_SESSION = re.compile(r"[A-Za-z0-9_-]{43}")


class FormGuard:
    """Makes and checks the tokens of forms. Every copy of the service has the same key."""

    def __init__(self, key: bytes, url: str) -> None:
        """`url`: the desk's origin."""
        self._key, self._url = key, url

    def session_of(self, request: Request) -> str:
        """The browser's session, or a new one. `keep` sends it."""
        value = request.cookies.get(SESSION, "")
        return value if _SESSION.fullmatch(value) else secrets.token_urlsafe(32)

    def keep(self, request: Request, session: str, response: Response) -> None:
        """Give the browser its session, unless it has it."""
        if request.cookies.get(SESSION) != session:
            response.set_cookie(SESSION, session, secure=True, httponly=True, samesite="lax", path="/")

    def token(self, session: str, identity: str) -> str:
        """The token of a person's forms in a session."""
        return hmac.new(self._key, f"{session}\n{identity}".encode(), hashlib.sha256).hexdigest()

    def check_origin(self, request: Request) -> None:
        """Raise Refusal 403 unless a page of the desk sent the request."""
        site = request.headers.get("sec-fetch-site", "same-origin")
        if request.headers.getlist("origin") != [self._url] or site != "same-origin":
            raise Refusal(403, "wrong_origin", "Forms are accepted from the pages of this desk only.")

    def check_token(self, session: str, identity: str, form: Mapping[str, str]) -> None:
        """Raise Refusal 403 unless the form was made for this person and session."""
        if not hmac.compare_digest(form.get(TOKEN, "").encode(), self.token(session, identity).encode()):
            raise Refusal(
                403,
                "stale_form",
                "The form is of another session. Open the page again and send it from there.",
            )

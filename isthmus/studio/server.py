"""Serves the studio on the loopback: the page, the draft, plans and comparisons.

A secret in the path keeps out whoever was not given the address. Other websites that a browser shows at the same time
are kept out by checks of the `Host` header (DNS rebinding) and of `Origin` and `Sec-Fetch-Site` (forged requests).
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from isthmus.blueprints.catalogue import blueprints
from isthmus.contracts import json_schemas
from isthmus.core import yaml_files
from isthmus.core.errors import InputError, IsthmusError
from isthmus.studio import jobs
from isthmus.studio.jobs import Draft, Outcome
from isthmus.studio.worker import Worker

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from isthmus.core.yaml_documents import PathOf
    from isthmus.studio.session import Session

HOSTS = ("127.0.0.1", "localhost")
_FILES = Path(__file__).with_name("page")
_TYPES = {"studio.js": "text/javascript", "studio.css": "text/css"}
_MOST_BODY = 4 << 20
"""Bytes of a request: a requirements file of a megabyte, and room."""
_PAGES_KEPT = 12
_SHELL_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'"
)
_Call = Callable[["Request"], Awaitable[Response]]


class Studio:
    """The application of one session."""

    def __init__(self, session: Session, today: str, secret: str | None = None) -> None:
        self.session, self.today = session, today
        self.secret = secret or secrets.token_urlsafe(24)
        self._planner, self._comparer = Worker(), Worker()
        self._pages: dict[int, str] = {}
        self._built: tuple[Draft, str] | None = None
        """The last plan that can be built: its draft and the text of its file."""

    def app(self, port: int) -> ASGIApp:
        """The ASGI application; `port` is the one that it is served on."""
        routes: list[tuple[str, str, _Call]] = [
            ("GET", "/", self._shell),
            ("GET", "/static/{name}", self._static),
            ("GET", "/page/{number:int}", self._page),
            ("GET", "/schema", self._schema),
            ("GET", "/draft", self._draft),
            ("GET", "/progress", self._progress),
            ("POST", "/edit", self._edit),
            ("POST", "/plan", self._plan),
            ("POST", "/keep", self._keep),
            ("POST", "/compare", self._compare),
            ("POST", "/save", self._save),
        ]
        return Starlette(
            routes=[Route(f"/{{secret}}{path}", call, methods=[method]) for method, path, call in routes],
            middleware=[Middleware(_Guard, secret=self.secret, port=port)],
            exception_handlers={IsthmusError: _refusal, RuntimeError: _failure},
            lifespan=self._lifespan,
        )

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        self._planner.warm()
        yield
        self._planner.stop()
        self._comparer.stop()

    # The page and its files

    async def _shell(self, _request: Request) -> Response:
        return _html((_FILES / "studio.html").read_text("utf-8"), _SHELL_POLICY)

    async def _static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _TYPES:
            return PlainTextResponse("there is no such file", 404)
        return Response((_FILES / name).read_bytes(), media_type=_TYPES[name], headers=_QUIET)

    async def _page(self, request: Request) -> Response:
        page = self._pages.get(request.path_params["number"])
        if page is None:
            return PlainTextResponse("this report is no longer kept: plan again", 404)
        return _html(page, _REPORT_POLICY)

    # The draft

    async def _schema(self, _request: Request) -> Response:
        names = [blueprint.name for blueprint in blueprints()]
        return _json({"schema": json_schemas.schema("requirements"), "blueprints": names})

    async def _draft(self, _request: Request) -> Response:
        return _json(await self._state())

    async def _edit(self, request: Request) -> Response:
        body = await _body(request)
        session, do = self.session, body.get("do")
        if do in ("set", "add", "remove"):
            _edit_at(session, do, _path(body.get("path")), body)
        elif do == "text":
            session.replace(_text(body.get("text")))
        elif do == "undo":
            session.undo()
        elif do == "redo":
            session.redo()
        elif do == "load":
            session.load()
        else:
            raise InputError("this is no edit", where="do")
        return _json(await self._state())

    async def _state(self) -> dict[str, Any]:
        session = self.session
        found = await asyncio.to_thread(jobs.mistakes, session.text, str(session.path))
        return {
            "file": session.path.name,
            "text": session.text,
            "data": session.data,
            "mistakes": [asdict(mistake) for mistake in found],
            "changed": session.is_changed,
            "undo": session.can_undo,
            "redo": session.can_redo,
            "kept": session.kept.label if session.kept is not None else None,
        }

    # Plans

    async def _plan(self, request: Request) -> Response:
        body = await _body(request)
        draft = self._asked(body)
        outcome: Outcome | None = await self._planner.run(
            "plan", draft, self.today, body.get("explain") is True
        )
        if outcome is None:
            return _json({"superseded": True}, 409)
        self._built = (draft, outcome.plan_text) if outcome.plan_text else None
        return _json(self._outcome(outcome))

    async def _progress(self, _request: Request) -> Response:
        working = self._planner if self._planner.seconds else self._comparer
        return _json({"seconds": round(working.seconds, 1), "doing": working.doing})

    async def _keep(self, request: Request) -> Response:
        self.session.kept = self._asked(await _body(request))
        return _json(await self._state())

    async def _compare(self, request: Request) -> Response:
        if self.session.kept is None:
            raise InputError(
                "nothing is kept to compare with", where="compare", fix="Choose `Keep this plan` first"
            )
        drafts: Sequence[Draft] = (self.session.kept, self._asked(await _body(request)))
        outcome: Outcome | None = await self._comparer.run("compare", drafts, self.today)
        if outcome is None:
            return _json({"superseded": True}, 409)
        return _json(self._outcome(outcome))

    def _asked(self, body: dict[str, Any]) -> Draft:
        factor, blueprint = body.get("scale", 1), body.get("blueprint") or None
        if isinstance(factor, bool) or not isinstance(factor, (int, float)) or not 0 < factor <= 1000:
            raise InputError("the load must be above 0 and at most 1,000 times", where="scale")
        if blueprint is not None and blueprint not in [known.name for known in blueprints()]:
            raise InputError("there is no such blueprint", where="blueprint")
        return self.session.draft(float(factor), blueprint)

    def _outcome(self, outcome: Outcome) -> dict[str, Any]:
        number = 0
        if outcome.page:
            number = max(self._pages, default=0) + 1
            self._pages[number] = outcome.page
            for old in sorted(self._pages)[:-_PAGES_KEPT]:
                del self._pages[old]
        return {
            "sentence": outcome.sentence,
            "page": number,
            "feasible": outcome.feasible,
            "monthly_usd": outcome.monthly_usd,
            "mistakes": [asdict(mistake) for mistake in outcome.mistakes],
            "notes": list(outcome.notes),
            "buildable": bool(outcome.plan_text),
        }

    async def _save(self, request: Request) -> Response:
        body = await _body(request)
        plan: str | None = None
        if body.get("plan") is True:
            if self._built is None or self._built[0] != self._asked(body):
                raise InputError(
                    "there is no plan of the draft as it is now that can be built",
                    where="save",
                    fix="Set the load to 1, correct what the page lists, and wait for the plan",
                )
            plan = self._built[1]
        written = self.session.save(plan)
        return _json({**await self._state(), "written": [Path(path).name for path in written]})


def _edit_at(session: Session, do: str, path: PathOf, body: dict[str, Any]) -> None:
    if do == "remove":
        session.remove(path)
        return
    value = body.get("value")
    if isinstance(body.get("yaml"), str):
        value = _yaml(body["yaml"], path)
    if do == "set":
        session.set(path, value)
    else:
        session.add(path, value)


def _yaml(text: str, path: PathOf) -> Any:
    """The value that a text in YAML has."""
    try:
        return yaml_files.loads(f"value: {text}\n").data["value"]
    except (InputError, KeyError):
        raise InputError(
            f"`{text}` is no YAML on one line",
            where=str(path[-1]),
            fix="Write a value like `{fp8: 0.88}` or `[en, de]`",
        ) from None


def _path(value: Any) -> PathOf:
    is_path = (
        isinstance(value, list)
        and 0 < len(value) <= 20
        and all(
            isinstance(part, str) or (isinstance(part, int) and not isinstance(part, bool)) for part in value
        )
        and all(not isinstance(part, int) or part >= 0 for part in value)
    )
    if not is_path:
        raise InputError("a path is a list of keys and indices", where="path")
    return tuple(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise InputError("the text of the file is missing", where="text")
    return value if value.endswith("\n") or not value else f"{value}\n"


async def _body(request: Request) -> dict[str, Any]:
    """The JSON object of a request. Raises `InputError` if it is none, or too large."""
    content = b""
    async for chunk in request.stream():
        content += chunk
        if len(content) > _MOST_BODY:
            raise InputError("the request is too large", where="studio", fix="Edit the file itself")
    import json

    try:
        body = json.loads(content)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise InputError("the request is no JSON object", where="studio")
    return body


_QUIET = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def _html(text: str, policy: str) -> Response:
    return HTMLResponse(text, headers={**_QUIET, "Content-Security-Policy": policy})


def _json(content: Any, status: int = 200) -> Response:
    return JSONResponse(content, status, headers=_QUIET)


async def _refusal(_request: Request, error: Exception) -> Response:
    assert isinstance(error, IsthmusError)
    return _json({"error": error.what, "where": error.where, "fix": error.fix}, 422)


async def _failure(_request: Request, error: Exception) -> Response:
    return _json(
        {"error": str(error), "where": "studio", "fix": "Change something, and it is tried again"}, 500
    )


class _Guard:
    """Lets requests pass that name the secret, a loopback host with the port, and no other website as their origin."""

    def __init__(self, app: ASGIApp, *, secret: str, port: int) -> None:
        self._app, self._secret = app, secret
        self._hosts = {f"{host}:{port}" for host in HOSTS}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (refusal := self._refusal(scope)) is not None:
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        if headers.get("host") not in self._hosts:
            return PlainTextResponse("this address is not the studio's", 421, headers=_QUIET)
        given = scope["path"].removeprefix("/").partition("/")[0]
        if not hmac.compare_digest(given.encode(), self._secret.encode()):
            return PlainTextResponse("open the address that `isthmus studio` printed", 404, headers=_QUIET)
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        is_foreign = origin is not None and origin not in {f"http://{host}" for host in self._hosts}
        if scope["method"] != "GET":
            is_foreign = is_foreign or origin is None or site not in (None, "same-origin")
        elif site == "cross-site" and headers.get("sec-fetch-dest") != "document":
            is_foreign = True
        if is_foreign:
            return PlainTextResponse("another website may not call the studio", 403, headers=_QUIET)
        return None

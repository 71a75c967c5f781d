"""Puts the desk beside the reviewers' API in one process: each has a port, and neither answers on the other's."""

from __future__ import annotations

from dataclasses import replace

from starlette.types import ASGIApp, Receive, Scope, Send

from edge.config import ReviewsConfig
from edge.desk.application import DeskApplication
from edge.desk.board import PATHS as BOARD_PATHS
from edge.desk.stops import PATH as STOPS
from edge.reviews.figures import FiguresOf
from edge.reviews.queue import Queue
from edge.reviews.service import ReviewsService
from edge.service import Service, State


def with_desk(reviews: ReviewsService, config: ReviewsConfig, state: State) -> Service:
    """The review service with its desk. Raises ConfigError."""
    assert config.desk is not None, "there is a desk"
    service = reviews.service()
    queue = Queue(reviews.database, config.data_class, config.site)
    figures = FiguresOf(reviews.database, config.data_class, config.site, config.desk.people)
    desk = DeskApplication(config, state, reviews.desk, queue, reviews.stop_desk, figures)
    app = _by_port(service.app, desk.application(), config.desk.listen.port)
    return replace(
        service, app=app, paths={*service.paths, "/", STOPS, *BOARD_PATHS, "/desk.js", "/desk.css"}
    )


def _by_port(api: ASGIApp, desk: ASGIApp, desk_port: int) -> ASGIApp:
    """Requests of the desk's port go to the desk, all others to the API. The port is the connection's own, which no
    header changes.
    """

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        server = scope.get("server")
        await (desk if server is not None and server[1] == desk_port else api)(scope, receive, send)

    return app

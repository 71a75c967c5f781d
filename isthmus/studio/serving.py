"""Serves a studio with uvicorn on the loopback until it is interrupted."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn

from isthmus.core.errors import EnvironmentFault
from isthmus.studio.server import HOSTS, Studio
from isthmus.studio.session import Session


def serve(session: Session, today: str, port: int, announce: Callable[[str], None]) -> None:
    """Serve until Ctrl-C. `announce` is called with the address once it can be opened.

    `port` 0 takes a free one. Raises `EnvironmentFault` if the port is taken.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOSTS[0], port))
    except OSError as error:
        raise EnvironmentFault(
            f"port {port} cannot be used ({error.strerror})", where="--port", fix="Choose another one, or 0"
        ) from None
    listener.listen()
    taken = listener.getsockname()[1]
    studio = Studio(session, today)
    settings = uvicorn.Config(
        studio.app(taken), log_level="error", access_log=False, lifespan="on", server_header=False
    )
    announce(f"http://{HOSTS[0]}:{taken}/{studio.secret}/")
    uvicorn.Server(settings).run(sockets=[listener])

"""Base of fake services: they listen, record requests, and can misbehave."""

from __future__ import annotations

import socketserver
import threading
from typing import Any


class Fake(socketserver.ThreadingTCPServer):
    """A fake service. `behaviour` is `ok`, or a fault that the service supports."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(
        self, handler: type[socketserver.BaseRequestHandler], address: tuple[str, int] = ("127.0.0.1", 0)
    ) -> None:
        super().__init__(address, handler)
        self.behaviour = "ok"
        # The default poll interval is half a second, which each fake would need to stop.
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def reset(self, behaviour: str = "ok") -> None:
        self.behaviour = behaviour

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore broken connections, because tests break them on purpose."""

"""What stands where a prompt must not come: it answers as a model does, and remembers whoever came."""

from __future__ import annotations

import socket
import ssl
from typing import Any

from tests.edge.certificates import Authority
from tests.edge.fake_model import FakeModel


class Recorder(FakeModel):
    """A model server behind TLS that takes every name and every client; counts connections, keeps every request."""

    def __init__(self, authority: Authority, file: str, address: tuple[str, int]) -> None:
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._tls.load_cert_chain(authority.folder / f"{file}.crt", authority.folder / f"{file}.key")
        self.connections = 0
        super().__init__(address)

    def get_request(self) -> tuple[Any, Any]:
        plain, client = super().get_request()
        assert isinstance(plain, socket.socket)
        self.connections += 1
        # The handshake is the handler's: a client that never speaks holds nobody up.
        return self._tls.wrap_socket(plain, server_side=True, do_handshake_on_connect=False), client

    def reset(self, behaviour: str = "ok") -> None:
        super().reset(behaviour)
        self.connections = 0
